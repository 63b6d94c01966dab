"""Commands that run a network: run, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nirc.cli.arguments import (
    COMPILING,
    DATA,
    FILE,
    MODEL,
    NEW_FILE,
    OUTPUT,
    compilation,
    read_rasters,
    use_one_thread,
)
from nirc.cli.output import Output, printable_path


@click.command()
@click.argument("bundle", metavar="DIR", type=FILE)
@DATA
@click.option(
    "--out",
    metavar="OUT.npz",
    type=NEW_FILE,
    required=True,
    help="Where `output` (samples, outputs) and `spikes` (samples, steps, outputs) go.",
)
@click.option(
    "--mode",
    metavar="NAME",
    help="How the emulator runs, for chips with several modes; default: the chip's first.",
)
@click.option(
    "--record",
    metavar="NAME|all",
    multiple=True,
    help="Also write spikes/NAME and v/NAME (chip units) of a population; may be repeated.",
)
@OUTPUT
def run(
    bundle: Path,
    data: Path,
    out: Path,
    mode: str | None,
    record: tuple[str, ...],
    output: Output,
) -> None:
    """Run the bundle DIR in its chip's bit-exact emulator. Rows line up with the model's steps."""
    use_one_thread()
    with output.about(str(bundle)):
        from nirc.api import Bundle
        from nirc.files.bundle import save_run
        from nirc.verification.score import accuracy, check_labels

        opened = Bundle.open(bundle)
        names = tuple(opened.manifest["populations"]) if "all" in record else record
        rasters = read_rasters(data, opened.manifest.get("dt"), output.log)
        output.stage("load")
        with output.progress("running", len(rasters.inputs)) as advance:
            result = opened.run(
                rasters.inputs, mode=mode, record=names, progress=advance, log=output.log
            )
        output.stage("run")
        save_run(out, result, output.log, output.commit)
        output.stage("write")
        samples, steps, outputs = result.output.shape
        spikes = float(result.output.sum())
        output.results |= {"out": str(out), "samples": samples, "steps": steps, "outputs": outputs}
        output.line(
            f"{samples} sample(s) x {steps} steps, {outputs} outputs, "
            f"{spikes:g} output spikes in all -> {printable_path(out)}"
        )
        if rasters.labels is not None:
            check_labels(rasters.labels, outputs, output.log)
            share = accuracy(result.output.sum(axis=1), rasters.labels)
            output.results["accuracy"] = share
            output.line(f"accuracy {share:.4f}")


@click.command()
@MODEL
@COMPILING
@DATA
@click.option("--json", "json_file", metavar="F", type=NEW_FILE, help="Write the figures as JSON.")
@click.option(
    "--max-accuracy-drop",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    help="End with status 1 if the chip answers worse than the model by more than this, e.g. 0.01.",
)
@OUTPUT
def verify(
    model: Path,
    target: str,
    data: Path,
    json_file: Path | None,
    max_accuracy_drop: float | None,
    print_ir_after: str | None,
    output: Output,
    **options: Any,
) -> None:
    """Compare the model with the chip's answer, and name the stage that loses agreement."""
    use_one_thread()
    with output.about(str(model)):
        from nirc.files.bundle import save_json
        from nirc.report.verify import as_text
        from nirc.verification.verify import verify as compare

        rasters = read_rasters(data, options["dt"], output.log)
        observe = output.observer(print_ir_after)
        asked = compilation(options, output)
        with output.progress("verifying", 100) as advance:
            result = compare(
                model,
                target,
                rasters,
                **asked,
                observe=observe,
                max_accuracy_drop=max_accuracy_drop,
                progress=advance,
            )
        output.stage("compare")
        if output.profile is not None:
            result["profile"] = output.profile.as_tree(output.profile.stages)
        if json_file is not None:
            save_json(json_file, result, output.log, output.commit)
        output.result(result, lambda: as_text(result))
        output.log.raise_if_errors()
