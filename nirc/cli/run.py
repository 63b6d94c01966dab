"""Commands that run a network and look at the answer: run, verify, compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    commit_part,
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
        from nirc.report.score import accuracy, check_labels

        opened = Bundle.open(bundle)
        _check_out(out, data, bundle, opened.manifest["files"], output)
        rasters = read_rasters(data, opened.manifest.get("dt"), output.log)
        output.stage("load")
        with output.progress("running", len(rasters.inputs)) as advance:
            result = opened.run(
                rasters.inputs, mode=mode, record=record, progress=advance, log=output.log
            )
        output.stage("run")
        save_run(out, result, output.log, output.commit)
        output.stage("write")
        samples, steps, outputs = result.outputs.shape
        spikes = float(result.outputs.sum())
        output.results |= {"out": str(out), "samples": samples, "steps": steps, "outputs": outputs}
        output.line(
            f"{samples} sample(s) x {steps} steps, {outputs} outputs, "
            f"{spikes:g} output spikes in all -> {printable_path(out)}"
        )
        if rasters.labels is not None:
            check_labels(rasters.labels, outputs, output.log)
            share = accuracy(result.outputs.sum(axis=1), rasters.labels)
            output.results["accuracy"] = share
            output.line(f"accuracy {share:.4f}")


VERIFY_EPILOG = """\b
Stages, each run on the same inputs:
  recorded      the simulator's own outputs, if --data has them
  float         the model, as its simulator steps it
  discrete      as it is compiled: coefficients of one time step
  integer       in the chip's numbers
  device        the emitted files in the emulator; device:MODE in another mode
  board         what the chip itself answered (--recorded-on-chip)

\b
Columns:
  accuracy      share of the samples whose largest output count is at the label
  agreement     share of the samples whose answer is that of the stage float, and its
                interval of 95 %
  count error   mean difference of an output's spikes in a sample
  rate, on chip spikes of a neuron in a step, in the model and on the chip
  rate error    mean difference of a neuron's rate
  distance      of spike trains in time (van Rossum): 0 equal, 1 a spike at another place

A row `what if the chip's ... alone` is the model with this one difference.
"""


@click.command(epilog=VERIFY_EPILOG)
@MODEL
@COMPILING
@DATA
@click.option("--json", "json_file", metavar="F", type=NEW_FILE, help="Write the figures as JSON.")
@click.option(
    "--report",
    "page_file",
    metavar="F.html",
    type=NEW_FILE,
    help="Write a page with pictures: network, placement, weights, spikes.",
)
@click.option(
    "--max-accuracy-drop",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    help="End with status 1 if the chip answers worse than the model by more than this, e.g. 0.01.",
)
@click.option(
    "--recorded-on-chip",
    metavar="OUT.npz",
    type=FILE,
    help="Answers of a board to the same data, by deploy.py: one more stage, `board`.",
)
@OUTPUT
def verify(
    model: Path,
    target: str,
    data: Path,
    json_file: Path | None,
    page_file: Path | None,
    max_accuracy_drop: float | None,
    recorded_on_chip: Path | None,
    print_ir_after: str | None,
    output: Output,
    **options: Any,
) -> None:
    """Compare the model with the chip's answer, and name the stage that loses agreement."""
    use_one_thread()
    with output.about(str(model)):
        from nirc.files.recordings import read_recording, read_run
        from nirc.report.verify import as_text
        from nirc.verification.verify import compile_and_verify

        if page_file is not None:
            check_page(page_file, output)
        rasters = read_rasters(data, options["dt"], output.log)
        observe = output.observer(print_ir_after)
        on_chip = None if recorded_on_chip is None else read_recording(recorded_on_chip, output.log)
        if recorded_on_chip is not None:
            _check_target(read_run(recorded_on_chip), target, output)
        asked = compilation(options, output)
        with output.progress("verifying", 100) as advance:
            compiled, result = compile_and_verify(
                model,
                target,
                rasters,
                **asked,
                observe=observe,
                max_accuracy_drop=max_accuracy_drop,
                on_chip=on_chip,
                progress=advance,
            )
        output.stage("compare")
        if output.profile is not None:
            result["profile"] = output.profile.as_tree(output.profile.stages)
        drawn = b""
        if page_file is not None:
            from nirc.verification.page import page

            drawn = page(compiled, result, rasters)
        output.result(result, lambda: as_text(result))
        _write(json_file, page_file, result, drawn, output)
        output.log.raise_if_errors()


def _check_target(run: Mapping[str, Any] | None, target: str, output: Output) -> None:
    """Refuse a recording of another target, as its run record names it."""
    recorded = target if run is None else str(run["target"])
    if target not in (recorded, recorded.partition(":")[0]):
        output.refuse(
            "the recording is of another target",
            found=f"{recorded}, by the record of its run",
            help=f"--target {recorded}",
        )


def _check_out(
    out: Path, data: Path, bundle: Path, listed: Mapping[str, str], output: Output
) -> None:
    """Refuse an answer that would replace the data, or a file of the bundle."""
    from nirc.files.running import replaced_by

    if lost := replaced_by(out, [data], bundle, listed):
        problem = f"the answer would replace {lost}"
        output.refuse(problem, found=f"--out {out}", help="name another file")


def _write(
    json_file: Path | None, page: Path | None, result: dict[str, Any], drawn: bytes, output: Output
) -> None:
    """Write the figures and the page, and name them."""
    from nirc.files.bundle import save_bytes, save_json

    if json_file is not None:
        save_json(json_file, result, output.log, commit_part())
        output.line(f"wrote {printable_path(json_file)}")
    if page is not None:
        save_bytes(page, drawn, output.log, commit_part())
        output.line(f"wrote {printable_path(page)}")


def check_page(page: Path, output: Output) -> None:
    """Raise ``UsageError`` (U607) before the work."""
    if page.suffix != ".html":
        output.refuse("--report writes a page", found=page.name, help="name F.html")


@click.command()
@click.argument("first", metavar="A.npz", type=FILE)
@click.argument("second", metavar="B.npz", type=FILE)
@click.option(
    "--tolerance",
    metavar="N",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="Spikes of a neuron in a sample that may be too many or too few. Above 0 their steps do "
    "not count, as suits a chip that is not deterministic.",
)
@click.option(
    "--bundle",
    metavar="DIR",
    type=FILE,
    help="The bundle that was run: the order of its populations, and which to record next.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=NEW_FILE,
    help="Draw the sample that differs first: FILE.svg.",
)
@OUTPUT
def compare(
    first: Path,
    second: Path,
    tolerance: float,
    bundle: Path | None,
    plot: Path | None,
    output: Output,
) -> None:
    """Find the first step, population and neuron in which two recordings differ.

    A.npz and B.npz are of `nirc run --record all`, of deploy.py on a board, or of a simulator
    (`outputs`). A run record beside one, as deploy.py writes it, tells board and versions. The
    status is 0 if they are equal, 1 if they differ.
    """
    with output.about(str(first)):
        from nirc.files.recordings import read_recording, read_run
        from nirc.report.compare import as_text, picture
        from nirc.report.mapping import check_picture
        from nirc.verification.compare import compare as compared

        if not math.isfinite(tolerance):
            output.refuse(
                "--tolerance is a number of spikes",
                found=f"{tolerance:g}",
                help="0, or as many as a neuron may have too many in a sample",
            )
        if plot is not None:
            check_picture(plot)
        order = None if bundle is None else _order(bundle)
        a, b = (read_recording(path, output.log) for path in (first, second))
        result = compared(a, b, tolerance=tolerance, order=order, log=output.log)
        result["runs"] = [read_run(path) for path in (first, second)]
        if plot is not None:
            from nirc.files.bundle import save_bytes

            save_bytes(plot, picture(a, b, result), output.log, output.commit)
        output.result(result, lambda: as_text(result))
        output.status = 0 if result["equal"] else 1


def _order(bundle: Path) -> list[str]:
    from nirc.api import Bundle
    from nirc.files.bundle import in_order

    return in_order(Bundle.open(bundle).manifest)
