"""Commands that show something, from `inspect` to `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nirc.cli.arguments import FILE, MODEL, NEW_FILE, OUTPUT, READING, read_rasters
from nirc.cli.output import Output


@click.command()
@MODEL
@READING
@click.option(
    "--data",
    metavar="FILE",
    type=FILE,
    help="Inputs with the simulator's own `outputs` (samples, steps, ...): which rule reproduces "
    "them?",
)
@OUTPUT
def inspect(model: Path, data: Path | None, output: Output, **options: Any) -> None:
    """Show what is in MODEL.nir: writer, layers, shapes, neurons, synapses, time step, oddities.

    With -v the IR.

    With --data every rule that the file may mean is run, and the table says which gives the
    recorded outputs.
    """
    with output.about(str(model)):
        from nirc.api import Options
        from nirc.verification.inspection import as_text, inspection

        asked = Options(
            options["dt"], options["reset"], options["discretise"], writer=options["writer"]
        )
        recorded = None if data is None else read_rasters(data, options["dt"], output.log)
        with output.progress("comparing rules", 100) as advance:
            result = inspection(model, asked, output.log, recorded, advance)
        output.result(result, lambda: as_text(result, verbose=bool(output.verbose)))


@click.command()
@click.argument("bundle", metavar="DIR", type=FILE)
@click.option(
    "--plot",
    metavar="FILE",
    type=NEW_FILE,
    help="Draw the placement: FILE.svg.",
)
@click.option(
    "--by",
    type=click.Choice(["population", "use"]),
    default="population",
    show_default=True,
    help="What the colours of --plot mean.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Cores in the table; 0: all of them.",
)
@OUTPUT
def mapping(bundle: Path, plot: Path | None, by: str, rows: int, output: Output) -> None:
    """Show the cores of a many-core chip: contents, use, busiest links, and a picture."""
    with output.about(str(bundle)):
        from nirc.api import Bundle
        from nirc.files.bundle import save_bytes
        from nirc.report.mapping import as_text, as_tree, check_picture, read_floorplan

        if plot is not None:
            check_picture(plot)
        opened = Bundle.open(bundle)
        plan = read_floorplan(opened.manifest, opened.files)
        if plot is not None:
            from nirc.report.floorplan import floorplan

            save_bytes(plot, floorplan(plan, by=by).file(), output.log, output.commit)
        tree = as_tree(plan, opened.manifest)
        output.result({"mapping": tree}, lambda: as_text(plan, tree, rows))


@click.command()
@click.argument("bundle", metavar="DIR", type=FILE)
@OUTPUT
def check(bundle: Path, output: Output) -> None:
    """Check the bundle DIR by a checker that shares no code with the compiler.

    It rebuilds the network from the files that go to the chip, and compares it with network.nir.
    Status 1 if the bundle is wrong (an error). A sum that may go too far (C905) is no error: the
    emulator does the same.
    """
    with output.about(str(bundle)):
        from nirc.certificate.checking import check_directory
        from nirc.checker.compare import PASSED

        output.shows_notes = True  # notes are findings of this command
        check_directory(bundle, output.log)
        output.results["findings"] = [each.as_dict() for each in output.log.diagnostics]
        if not output.log.errors:
            output.line(PASSED)
        output.log.raise_if_errors()


@click.command()
@click.argument("name", required=False)
@OUTPUT
def targets(name: str | None, output: Output) -> None:
    """List targets, or one target's variants with every limit and its source."""
    with output:
        from nirc.report.targets import target_text, target_tree

        tree = target_tree(name, output.log)
        output.result({"targets": tree}, lambda: target_text(tree, limits=name is not None))


@click.command()
@OUTPUT
def doctor(output: Output) -> None:
    """Show what is installed: nirc, its extras, simulators, and the vendors' packages.

    Nothing of it is imported. What is missing for which target is named with the command that
    installs it.
    """
    with output:
        from nirc.report.doctor import as_text, examination

        tree = examination(output.log)
        output.result({"doctor": tree}, lambda: as_text(tree))


@click.command()
@click.argument("code")
@OUTPUT
def explain(code: str, output: Output) -> None:
    """Show the meaning of the diagnostic CODE, and what to do about it."""
    with output:
        from nirc.chip.explain import explanation

        text = explanation(code)
        output.result({"text": text, "code": code.upper()}, lambda: text.rstrip("\n") + "\n")


@click.command()
@OUTPUT
def writers(output: Output) -> None:
    """List the writers of files, and what their files leave out: names, keys, values of --from.

    Of the values of a key the first is the simulator's own default.
    """
    with output:
        from nirc.writers.writer import installed_writers

        installed = list(installed_writers(output.log).values())
        output.results["writers"] = [
            {"name": w.name, "title": w.title, "choices": {c.key: c.all_values for c in w.choices}}
            for w in installed
        ]
        for writer in installed:
            output.line(f"{writer.name:<10} {writer.title}")
            for choice in writer.choices:
                output.line(f"{'':<10} {choice.key}={choice.all_values}: {choice.question}")


@click.command()
@OUTPUT
def passes(output: Output) -> None:
    """List the passes in the order in which they run, each with its one sentence."""
    with output:
        from nirc.chip.registry import described_passes

        rows = described_passes(output.log)
        output.results["passes"] = [{"name": n, "runs": r, "does": d} for n, r, d in rows]
        for name, runs, does in rows:
            output.line(f"{name:<18} {runs:<12} {does}")
