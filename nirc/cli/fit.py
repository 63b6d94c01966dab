"""The command that fine-tunes a network for a chip: fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nirc.cli.arguments import (
    DATA,
    FILE,
    LOWERING,
    MODEL,
    NEW_FILE,
    OUTPUT,
    TARGET_NAME,
    asked_options,
    commit_part,
    read_rasters,
    use_one_thread,
)
from nirc.cli.output import Output, printable_path


@click.command(
    epilog="Example: `nirc fit net.nir --target speck --data train.npz --test test.npz -o "
    "fitted.nir`, then `nirc fitted.nir --target speck`."
)
@MODEL
@click.option(
    "--target",
    metavar="NAME[:VARIANT]",
    type=TARGET_NAME,
    required=True,
    help="Chip to fit to; `nirc targets` lists them.",
)
@LOWERING
@DATA
@click.option(
    "--labels",
    is_flag=True,
    help="Learn the labels of --data. Default: the model's own answers, which need no labels.",
)
@click.option(
    "--test",
    metavar="FILE",
    type=FILE,
    help="Samples to measure on, before and after: others than those of --data.",
)
@click.option(
    "--epochs",
    metavar="N",
    type=int,
    help="How often each of two courses goes through its samples, 64 of them a round. Default: 48 "
    "to 320 rounds a course, as a bounded work allows, some two minutes in all.",
)
@click.option(
    "-o",
    "--out",
    metavar="OUT.nir",
    type=NEW_FILE,
    required=True,
    help="The network with the fitted integers, which a compilation for the same target takes.",
)
@click.option(
    "--bundle", metavar="DIR", type=FILE, help="Also write the bundle of the fitted chip."
)
@click.option("--force", is_flag=True, help="Write the bundle over other things.")
@click.option(
    "--json",
    "json_file",
    metavar="F",
    type=NEW_FILE,
    help="Write the figures as JSON: `plain` is the chip without calibration, `before` the "
    "calibrated chip, `after` the fitted one, `float` the model; `fit.rounds` is the number of "
    "rounds behind `after`, 0 if the calibrated chip is kept.",
)
@OUTPUT
def fit(
    model: Path,
    target: str,
    data: Path,
    labels: bool,
    test: Path | None,
    epochs: int | None,
    out: Path,
    bundle: Path | None,
    force: bool,
    json_file: Path | None,
    *,
    output: Output,
    **options: Any,
) -> None:
    """Fine-tune MODEL.nir for a chip: its integers learn to answer as the model does.

    The network is calibrated on --data, then its weights, biases and thresholds learn through the
    chip's own arithmetic, from these samples and from inputs made beside them, which the model
    answers. Three of eight samples are held aside. If the fitted chip does not show on those that
    it answers better, the calibrated one is written, and P329 says so.
    """
    use_one_thread()
    with output.about(str(model)):
        from nirc.files.bundle import refuse_unusable, save_bytes, save_json
        from nirc.finetuning.measured import Request, as_text, fit_and_measure, nir_of

        _refuse([out, json_file], [model, data, test], options, output)
        if bundle is not None:
            refuse_unusable(bundle, force=force, log=output.log)
        asked = asked_options(options)
        rasters = read_rasters(data, asked.dt_s, output.log)
        tests = None if test is None else read_rasters(test, asked.dt_s, output.log)
        request = Request(rasters, labels, tests, epochs)
        with output.progress("fitting", 100) as advance:
            result = fit_and_measure(
                model,
                target,
                request,
                asked,
                log=output.log,
                progress=advance,
                stage=advance.stage,
            )
        output.stage("fit")
        save_bytes(out, nir_of(result.compiled, output.log), output.log, commit_part())
        output.result(result.tree, lambda: as_text(result.tree))
        output.line(f"wrote {printable_path(out)}")
        if bundle is not None:
            result.compiled.bundle.save(bundle, force=force, log=output.log)
            output.line(f"wrote {printable_path(bundle)}/")
        if json_file is not None:
            save_json(json_file, result.tree, output.log, commit_part())
            output.line(f"wrote {printable_path(json_file)}")


def _refuse(
    places: Sequence[Path | None],
    inputs: Sequence[Path | None],
    options: dict[str, Any],
    output: Output,
) -> None:
    """Refuse outputs that would replace an input or one another, and options without a sense."""
    from nirc.files.running import replaced_by

    named = [place for place in places if place is not None]
    for place in named:
        if lost := replaced_by(place, [each for each in inputs if each is not None]):
            output.refuse(
                f"`{printable_path(place)}` would replace {lost}",
                found=str(place),
                help="name another file",
            )
        if place.is_dir():
            output.refuse(
                "a folder is in the place of a file", found=str(place), help="name a file"
            )
    if len({place.absolute() for place in named}) < len(named):
        output.refuse(
            "two outputs have one name", found=str(named[0]), help="name one file for each"
        )
    if options["calibrate"] is not None:
        output.refuse(
            "--calibrate does not go with fit: it calibrates on --data",
            found=f"--calibrate {options['calibrate']}",
            help="leave it out",
        )
