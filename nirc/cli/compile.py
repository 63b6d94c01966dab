"""Commands that write chip files or NIR: compile, export."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nirc.cli.arguments import (
    COMPILING,
    FILE,
    LOWERING,
    MODEL,
    NEW_FILE,
    OUTPUT,
    compilation,
    read_rasters,
    use_one_thread,
)
from nirc.cli.output import Output, printable_path
from nirc.diagnostics.plural import counted

if TYPE_CHECKING:
    from nirc.api import Compiled


@click.command("compile", epilog="`nirc MODEL.nir --target NAME` is the same.")
@MODEL
@COMPILING
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=FILE,
    help="Bundle to write; default: MODEL.NAME or MODEL.NAME-VARIANT in the current directory.",
)
@click.option("--force", is_flag=True, help="Write into a directory that holds other things.")
@click.option(
    "--data",
    metavar="FILE",
    type=FILE,
    help="With --target all: input spikes, for accuracy and agreement on every target.",
)
@OUTPUT
def compile_(
    model: Path,
    target: str,
    out: Path | None,
    force: bool,
    data: Path | None,
    print_ir_after: str | None,
    output: Output,
    **options: Any,
) -> None:
    """Compile MODEL.nir for a chip and write a bundle."""
    if options["calibrate"] is not None or data is not None:
        use_one_thread()
    with output.about(str(model)):
        from nirc.api import compile_model
        from nirc.files.bundle import contents, refuse_unusable, write

        if target == "all":
            _compare(model, out, data, options, output)
            return
        if data is not None:
            output.refuse(
                "--data goes with --target all",
                help="`nirc verify` compares one target with the model",
            )
        observe = output.observer(print_ir_after)
        directory = out or Path(f"{model.stem}.{target.replace(':', '-')}")
        refuse_unusable(directory, force=force, log=output.log)  # before the work, not after it
        asked = compilation(options, output)
        with output.progress("calibrating", 100) as advance:
            compiled = compile_model(model, target, **asked, observe=observe, progress=advance)
        output.log.raise_if_errors()
        files = contents(compiled.bundle.manifest, compiled.bundle.files)
        write(directory, files, force=force, log=output.log, commit=output.commit)
        output.stage("write")
        _print_compiled(compiled, directory, output)


def _print_compiled(compiled: Compiled, directory: Path, output: Output) -> None:
    """Print the use of the chip, and the files."""
    from nirc.diagnostics.passes import VariantChosen
    from nirc.report.verify import summary

    manifest = compiled.bundle.manifest
    output.results |= {"bundle": str(directory), "manifest": manifest}
    dt = f"dt {manifest['dt']:g} s" if manifest["dt"] else "no time constants"
    output.line(
        f"{manifest['model']} -> {manifest['target']} ({manifest['part']}), {dt}, "
        f"latency {counted(manifest['latency_steps'], 'step')}"
    )
    for finding in output.log.diagnostics:
        if finding.code == VariantChosen.code:
            output.line(f"  {finding.message}")
    units = {limit.name: limit.unit for limit in compiled.mapped.target.limits}
    for name, (used, of) in compiled.mapped.utilisation.items():
        unit = f"  {units.get(name, '')}".rstrip()
        line = f"  {name:<32} {used:>7} of {of:<7} {_bar(used / of if of else 0)}{unit}"
        narrow = shutil.get_terminal_size((120, 24)).columns < len(line)
        output.line(f"  {name} {used} of {of}{unit.replace('  ', ' ')}" if narrow else line)
    if manifest.get("calibration"):
        output.line(summary(manifest["calibration"]))
    names = ", ".join(sorted([*manifest["files"], "manifest.json"]))
    output.line(f"wrote {printable_path(directory)}/: {names}")


def _bar(share: float, width: int = 20) -> str:
    """Return ``[#####...............]  25 %``."""
    full = min(width, round(share * width))
    return f"[{'#' * full}{'.' * (width - full)}] {share:4.0%}"


def _compare(
    model: Path, out: Path | None, data: Path | None, options: dict[str, Any], output: Output
) -> None:
    """Print a table of all targets. Status 1 if the model fits none."""
    from nirc.verification.comparison import as_text, compare

    if out is not None:
        output.refuse(
            "--target all writes no bundle",
            found=f"--out {out}",
            help="leave --out away, or name one target",
        )
    rasters = None if data is None else read_rasters(data, options["dt"], output.log)
    asked = compilation(options, output)
    with output.progress("comparing", 100) as advance:
        observe = output.observer(None)
        result = compare(model, **asked, data=rasters, observe=observe, progress=advance)
    columns = shutil.get_terminal_size((120, 24)).columns
    output.result(result, lambda: as_text(result, columns))
    output.status = 0 if any(row["fits"] for row in result["targets"]) else 1


EXPORT_EPILOG = """\b
Examples:
  nirc export model.nir --target xylo -o chip.nir             the numbers that the chip will use
  nirc export model.nir --stage float --for norse -o n.nir  what Norse loads as the network read
  nirc export model.nir --stage float --for snntorch,reset=subtract,reset_delay=yes -o s.nir

A simulator's importer chooses resets, bounds and numbers of spikes of its own. --for writes
the parameters from which it computes the stage, and refuses (P317) what no parameter can tell it.
docs/reference/export.md has a table.
"""


@click.command(epilog=EXPORT_EPILOG)
@MODEL
@click.option(
    "--target", metavar="NAME[:VARIANT]", help="The chip, for the stages `legal` and `integer`."
)
@LOWERING
@click.option(
    "--stage",
    type=click.Choice(["float", "discrete", "legal", "integer"]),
    default="integer",
    show_default=True,
    help="The form to write: as read, per step, as the chip wants it, or with the numbers that "
    "the chip will use.",
)
@click.option(
    "--for",
    "simulator",
    metavar="NAME[,KEY=VALUE]...",
    help="The simulator that is to load the file and to compute the stage: snntorch, norse, "
    "sinabs, rockpool, spyx, nengo, lava. Default: none, the file says what NIR can say.",
)
@click.option(
    "-o", "--out", metavar="OUT.nir", type=NEW_FILE, required=True, help="The NIR file to write."
)
@OUTPUT
def export(
    model: Path,
    target: str | None,
    stage: str,
    simulator: str | None,
    out: Path,
    output: Output,
    **options: Any,
) -> None:
    """Write a stage of the compilation as NIR, to evaluate or fine-tune it in a simulator."""
    with output.about(str(model)):
        from nirc.exporting.export import exported
        from nirc.files.bundle import save_bytes

        asked = compilation(options, output)
        with output.progress("calibrating", 100) as advance:
            result = exported(model, stage, target, **asked, simulator=simulator, progress=advance)
        save_bytes(out, result.data, output.log, output.commit)
        output.results |= {"stage": stage, "out": str(out)}
        output.line(f"stage {stage} -> {printable_path(out)}")
        if result.loading:
            output.results |= {"loading": result.loading, "remark": result.remark}
            output.line("to load it:")
            for line in result.loading.replace("FILE", repr(printable_path(out))).splitlines():
                output.line(f"  {line}")
            output.line(f"  # {result.remark}")
