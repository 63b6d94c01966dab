"""Commands for several models or compilations: build, sweep, diff."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from nirc.cli.arguments import (
    FILE,
    LOWERING,
    MODEL,
    OUTPUT,
    TARGET_NAME,
    asked_options,
    commit_part,
    compilation,
    use_one_thread,
)
from nirc.cli.output import Output, printable_path, to_streams

BUILD_EPILOG = """\b
nirc.toml:
  [defaults]
  targets = ["xylo", "loihi2"]
  [model.braille]
  path = "models/braille.nir"
  from = "snntorch,reset=zero"     # any option of the command line, by its long name
  data = "data/braille.npz"
  [model.braille.gate]
  accuracy_drop = 0.01             # at most; also latency (steps), energy (J a step), utilisation
  agreement = 0.95                 # at least; also accuracy

Gates also hold against nirc.baseline.json, which --accept writes. Keep it in the repository.
docs/how-to/gate-in-ci.md has files for GitHub and GitLab.
"""
WORKERS = (
    click.option(
        "--jobs", metavar="N", type=click.IntRange(min=1), help="Processes; default: one a core."
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="A scheduler of Dask whose workers compile, e.g. tcp://node1:8786 (needs the extra "
        "`distributed`).",
    ),
)


def codes_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes of -A or -W. Several may stand in one text, with commas."""
    return tuple(code for code in ",".join(texts).split(",") if code)


@click.command(epilog=BUILD_EPILOG)
@click.argument("file", metavar="[FILE]", type=FILE, default="nirc.toml", required=False)
@click.option(
    "--accept", is_flag=True, help="Store the figures as the baseline that later builds must keep."
)
@click.option("--fresh", is_flag=True, help="Build every row, also where nothing changed.")
@WORKERS[0]
@WORKERS[1]
@OUTPUT
def build(
    file: Path,
    accept: bool,
    fresh: bool,
    jobs: int | None,
    scheduler: str | None,
    output: Output,
) -> None:
    """Compile all models of a project for their targets, and judge them by gates.

    FILE is nirc.toml if it is not given. Bundles go to build/MODEL.TARGET/ beside it, with
    build/summary.json and build/summary.html. What did not change is not compiled again. Status 1
    if a model does not compile or a gate is not met.
    """
    use_one_thread()
    with output.about(str(file)):
        from nirc.project.build import Choices, build
        from nirc.project.file import read_project
        from nirc.project.summary import as_text, has_passed

        project = read_project(file, output.log)
        asked = output.decisions
        choices = Choices(
            accept,
            fresh,
            jobs,
            scheduler,
            codes_of(asked.silenced),
            codes_of(asked.refused),
            asked.baseline,
        )
        try:
            with output.progress("building", len(project.rows)) as advance:
                summary = build(
                    project, choices, log=output.log, commit=commit_part(), progress=advance
                )
        except KeyboardInterrupt:
            with to_streams():
                sys.stderr.write("interrupted; what was built is kept, `nirc build` goes on\n")
            sys.exit(130)
        _report(summary["rows"], output)
        columns = shutil.get_terminal_size((120, 24)).columns
        output.result(summary, lambda: as_text(summary, columns))
        output.line(f"wrote {printable_path(file.parent / 'build')}/: summary.html, summary.json")
        stored = file.parent / "nirc.baseline.json"
        if accept:
            output.line(f"wrote {printable_path(stored)}: later builds must not be worse")
        elif not stored.exists():
            output.line("no baseline is stored: `nirc build --accept` keeps these figures as one")
        output.status = 0 if all(has_passed(row) for row in summary["rows"]) else 1


def _report(rows: list[dict[str, Any]], output: Output) -> None:
    """Log the errors of all rows, and their warnings for a machine or with -v."""
    from nirc.diagnostics.errors import Diagnostic

    plain = output.form != "human" or output.sarif is not None or output.decisions.write is not None
    everything = plain or bool(output.verbose)
    for row in rows:
        for tree in row["findings"]:
            # A baseline of findings knows them by their messages alone.
            named = tree["message"] if plain else f"{row['name']}: {tree['message']}"
            finding = Diagnostic(**{**tree, "message": named})
            if finding.severity == "error" or everything:
                output.log.add(finding)


SWEEP_EPILOG = """\b
Examples:
  nirc sweep model.nir --target xylo --target loihi2 --data spikes.npz --vary seed=0,1,2
  nirc sweep model.nir --target speck --data spikes.npz --vary dt=1e-3,5e-4
  nirc sweep model.nir --target xylo --vary "from=snntorch,reset=zero;snntorch,reset=subtract"

Writes sweep/sweep.json and sweep/sweep.html. `nirc targets NAME` lists a chip's own options,
which can be varied, too.
"""


@click.command(epilog=SWEEP_EPILOG)
@MODEL
@click.option(
    "--target", "targets", metavar="NAME[:VARIANT]", type=TARGET_NAME, multiple=True,
    required=True, help="A chip; may be repeated.",
)  # fmt: skip
@click.option(
    "--vary", "varying", metavar="NAME=V1,V2", multiple=True,
    help="An option and the values that it takes in turn; may be repeated: all combinations.",
)  # fmt: skip
@click.option("--data", metavar="FILE", type=FILE, help="Input spikes, for accuracy and agreement.")
@LOWERING
@click.option(
    "-o", "--out", metavar="DIR", type=FILE, default="sweep", show_default=True,
    help="Where sweep.json and sweep.html go.",
)  # fmt: skip
@WORKERS[0]
@WORKERS[1]
@OUTPUT
def sweep(
    model: Path,
    targets: tuple[str, ...],
    varying: tuple[str, ...],
    data: Path | None,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    output: Output,
    **options: Any,
) -> None:
    """Compile MODEL.nir for targets and values of options, and compare the figures.

    No bundle is written. Status 1 if no row compiles.
    """
    use_one_thread()
    with output.about(str(model)):
        from nirc.files.bundle import make_folder, save_bytes, save_json
        from nirc.project import sweep as sweeping
        from nirc.project.summary import sweep_html
        from nirc.project.task import read_files
        from nirc.report.table import table

        if out.exists() and not out.is_dir():
            output.refuse(
                "--out is a file, not a folder", found=f"--out {out}", help="name another folder"
            )
        given = {
            "model": model,
            "data": data,
            "calibrate": options["calibrate"],
            "baseline": output.decisions.baseline,
        }
        files, names = read_files(given, output.log)
        axes = [sweeping.varied(text, targets) for text in varying]
        decided = output.decisions
        tasks = sweeping.tasks_of(
            targets,
            asked_options(options),
            axes,
            files,
            names,
            codes_of(decided.silenced),
            codes_of(decided.refused),
        )
        with output.progress("sweeping", len(tasks)) as advance:
            tree = sweeping.sweep(tasks, jobs=jobs, scheduler=scheduler, progress=advance)
        head = sweeping.head_of(tree)
        rows = [(row, sweeping.cells(row, head)) for row in tree["rows"]]
        page = sweep_html(model.name, head, rows, tree["nirc_version"])
        make_folder(out, output.log)
        save_json(out / "sweep.json", tree, output.log, commit_part())
        save_bytes(out / "sweep.html", page, output.log, commit_part())
        columns = shutil.get_terminal_size((120, 24)).columns
        output.result(tree, lambda: table(head, [texts for _, texts in rows], columns))
        output.line(f"wrote {printable_path(out)}/: sweep.html, sweep.json")
        output.status = 0 if any(row["status"] == "built" for row in tree["rows"]) else 1


@click.command("diff")
@click.argument("first", metavar="A", type=FILE)
@click.argument("second", metavar="B", type=FILE)
@click.option(
    "--target", metavar="NAME[:VARIANT]", help="Also compile both models for a chip and compare."
)
@LOWERING
@OUTPUT
def diff_(first: Path, second: Path, target: str | None, output: Output, **options: Any) -> None:
    """Show what changed between two models or two bundles, and what it means on the chip.

    A and B are NIR files or bundles. The status is 0 if they are equal, 1 if they differ.
    """
    with output.about(str(first)):
        from nirc.project.diff import as_text, diff, diff_on_chip

        if target is not None and (first.is_dir() or second.is_dir()):
            output.refuse("--target compares models", found="a bundle", help="leave --target away")
        asked_options(options).checked(output.log)
        if target is None:
            result = diff(first, second, asked_options(options), output.log)
        else:
            asked = compilation(options, output)
            result = diff_on_chip(first, second, target, **asked)
        output.result(result, lambda: as_text(result))
        output.status = 0 if result["equal"] else 1
