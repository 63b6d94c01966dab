"""Arguments to one call of the library.

Imports no numpy before a command needs it: `nirc --help` must feel instant.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from nirc.cli import streams
from nirc.cli.arguments import COMPILING, DATA, FILE, LOWERING, MODEL, OUTPUT, READING
from nirc.cli.output import Output
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.version import __version__

if TYPE_CHECKING:
    from nirc.api import Options
    from nirc.files.data import Data

SUGGESTED = 0.6  # likeness from which a first word is a mistyped command rather than a model

EPILOG = """\b
Examples:
  nirc model.nir --target xylo                 compile for the first Xylo that fits
  nirc model.nir --target xylo:audio3 -o out   for one variant, into directory out
  nirc model.nir --target all                  every target: fits or why not, cores, cost
  nirc inspect model.nir                       what is in a model, and who wrote it
  nirc inspect model.nir --data recorded.npz   which rule gives the simulator's own outputs
  nirc run out --data spikes.npz --out o.npz   run the emitted files, bit for bit
  nirc verify model.nir --target xylo --data spikes.npz
  nirc export model.nir --target xylo -o chip.nir   the network with the chip's numbers, as NIR
  nirc export model.nir --stage float --for norse -o n.nir   what Norse loads as this network
  nirc explain X504                            what a diagnostic means

Exit status: 0 done, 1 cannot be compiled as asked, 2 usage, 3 input cannot be read,
70 a bug in nirc.
"""


class _Commands(click.Group):
    """`nirc MODEL.nir ...` is `nirc compile MODEL.nir ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _refuse_mistyped(self, args)
        if (args and args[0] not in self.commands and not args[0].startswith("-")) or (
            args and args[0].startswith("-") and args[0] not in ("-h", "--help", "--version")
        ):
            args = ["compile", *args]
        return super().parse_args(ctx, args)


def _refuse_mistyped(group: click.Group, args: list[str]) -> None:
    """`nirc inspct model.nir` is no model called inspct."""
    if not args or args[0] in group.commands or not args[0].isalpha() or Path(args[0]).exists():
        return
    if close := difflib.get_close_matches(args[0], group.commands, n=1, cutoff=SUGGESTED):
        raise click.UsageError(
            f"there is no command and no file `{args[0]}`; did you mean `nirc {close[0]}`?"
        )


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=_Commands, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(__version__, prog_name="nirc")
def cli() -> None:
    """Compile spiking networks in NIR files for neuromorphic chips, and prove what the chip will
    answer.

    `nirc MODEL.nir --target NAME` writes a directory (a bundle) that a lab loads on the chip. `nirc
    run` runs the emitted files here, bit for bit; `nirc verify` shows where the answer departs from
    the model's.
    """


@cli.command("compile", epilog="`nirc MODEL.nir --target NAME` is the same.")
@MODEL
@COMPILING
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=FILE,
    help="Bundle to write; default: MODEL.NAME in the current directory.",
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
    calibrate: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Compile MODEL.nir for a chip and write a bundle."""
    _one_thread(calibrate)
    with output.about(str(model)):
        from nirc.api import compile_model

        if target == "all":
            _compare(model, out, data, calibrate, options, output)
            return
        if data is not None:
            output.refuse(
                "--data goes with --target all",
                help="`nirc verify` compares one target with the model",
            )
        observe = output.observer(print_ir_after)
        directory = out or Path(f"{model.stem}.{target.partition(':')[0]}")
        _check_place(directory, force, output.log)
        sample = _calibration(calibrate, options["dt"], output.log)
        with output.progress("calibrating", 100) as advance:
            made = compile_model(
                model,
                target,
                _asked(options),
                log=output.log,
                observe=observe,
                calibration=sample,
                progress=advance,
            )
        made.bundle.save(directory, force=force, log=output.log)
        output.compiled(made, directory)


@cli.command()
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
        from nirc.cli.inspect import inspection

        asked = Options(
            options["dt"], options["reset"], options["discretise"], writer=options["writer"]
        )
        recorded = None if data is None else _rasters(data, options["dt"], output.log)
        with output.progress("comparing rules", 100) as advance:
            found = inspection(model, asked, output.log, recorded, advance)
        output.inspected(found)


@cli.command()
@click.argument("bundle", metavar="DIR", type=FILE)
@DATA
@click.option(
    "--out",
    metavar="OUT.npz",
    type=FILE,
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
    """Run the bundle DIR in its chip's bit-exact emulator; rows line up with the model's steps."""
    with output.about(str(bundle)):
        from nirc.api import Bundle
        from nirc.files.bundle import save_run

        opened = Bundle.open(bundle)
        names = tuple(opened.manifest["populations"]) if "all" in record else record
        rasters = _rasters(data, opened.manifest.get("dt"), output.log)
        with output.progress("running", len(rasters.inputs)) as advance:
            result = opened.run(
                rasters.inputs, mode=mode, record=names, progress=advance, log=output.log
            )
        save_run(out, result, output.log)
        output.ran(result, rasters.labels, out)


@cli.command()
@MODEL
@COMPILING
@DATA
@click.option("--json", "json_file", metavar="F", type=FILE, help="Write the figures as JSON.")
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
    calibrate: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Compare the model with what the chip will answer, stage by stage, and name where agreement is
    lost.
    """
    _one_thread(calibrate)
    with output.about(str(model)):
        from nirc.files.bundle import save_json
        from nirc.verification.verify import verify as compare

        rasters = _rasters(data, options["dt"], output.log)
        with output.progress("verifying", 100) as advance:
            result = compare(
                model,
                target,
                rasters,
                _asked(options),
                log=output.log,
                observe=output.observer(print_ir_after),
                calibration=_calibration(calibrate, options["dt"], output.log),
                max_accuracy_drop=max_accuracy_drop,
                progress=advance,
            )
        if json_file is not None:
            save_json(json_file, result, output.log)
        output.verified(result)
        output.log.raise_if_errors()


@cli.command()
@click.argument("bundle", metavar="DIR", type=FILE)
@click.option(
    "--plot",
    metavar="FILE",
    type=FILE,
    help="Draw the placement: FILE.svg or FILE.png (needs matplotlib).",
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
    """Show which core of a many-core chip holds what: use per core, busiest links, and a
    picture.
    """
    with output.about(str(bundle)):
        from nirc.api import Bundle
        from nirc.files.bundle import save_bytes
        from nirc.report.mapping import as_tree, check_picture, read_floorplan

        if plot is not None:
            check_picture(plot)
        opened = Bundle.open(bundle)
        plan = read_floorplan(opened.manifest, opened.files)
        if plot is not None:
            from nirc.report.floorplan import picture

            save_bytes(plot, picture(plan, plot.suffix.lower()[1:], by=by), output.log)
        output.mapped(plan, as_tree(plan, opened.manifest), rows)


EXPORT_EPILOG = """\b
Examples:
  nirc export model.nir --target xylo -o chip.nir             the numbers that the chip will use
  nirc export model.nir --stage float --for norse -o n.nir  what Norse loads as the network read
  nirc export model.nir --stage float --for snntorch,reset=subtract,reset_delay=yes -o s.nir

A simulator's importer chooses resets, bounds and numbers of spikes of its own. --for writes
the parameters from which it computes the stage, and refuses (P317) what no parameter can tell it.
docs/reference/export.md has a table.
"""


@cli.command(epilog=EXPORT_EPILOG)
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
    "sinabs, rockpool, spyx, "
    "nengo, lava. Default: none, the file says what NIR can say.",
)
@click.option(
    "-o", "--out", metavar="OUT.nir", type=FILE, required=True, help="The NIR file to write."
)
@OUTPUT
def export(
    model: Path,
    target: str | None,
    stage: str,
    simulator: str | None,
    out: Path,
    calibrate: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Write a stage of the compilation as NIR, for simulators to evaluate or fine-tune what the
    chip will run.
    """
    with output.about(str(model)):
        from nirc.export.export import exported
        from nirc.files.bundle import save_bytes

        sample = _calibration(calibrate, options["dt"], output.log)
        with output.progress("calibrating", 100) as advance:
            made = exported(
                model,
                stage,
                target,
                _asked(options),
                simulator=simulator,
                log=output.log,
                calibration=sample,
                progress=advance,
            )
        save_bytes(out, made.data, output.log)
        output.exported(stage, out, made.loading, made.remark)


@cli.command()
@click.argument("name", required=False)
@OUTPUT
def targets(name: str | None, output: Output) -> None:
    """List targets, or one target's variants with every limit and its source."""
    with output:
        from nirc.chip import registry

        if name is None:
            output.targets(list(registry.backends(output.log).values()), name)
        else:
            output.targets([registry.resolve(name)[0]], name)


@cli.command()
@click.argument("code")
@OUTPUT
def explain(code: str, output: Output) -> None:
    """Say what the diagnostic CODE means and what to do about it."""
    with output:
        from nirc.chip.explain import explanation

        output.text(explanation(code), code=code.upper())


@cli.command()
@OUTPUT
def writers(output: Output) -> None:
    """List who may have written a file, and what its files do not say: names, keys and values of
    --from.

    Of the values of a key the first is the simulator's own default.
    """
    with output:
        from nirc.writers.writer import installed_writers

        output.writers(list(installed_writers(output.log).values()))


@cli.command()
@OUTPUT
def passes(output: Output) -> None:
    """List the passes in the order in which they run, each with its one sentence."""
    with output:
        from nirc.chip.registry import described_passes

        output.passes(described_passes(output.log))


def _compare(
    model: Path,
    out: Path | None,
    data: Path | None,
    calibrate: Path | None,
    options: dict[str, Any],
    output: Output,
) -> None:
    """`--target all`: a table, no bundle. Status 1 if the model fits no target."""
    from nirc.cli.comparison import compare

    if out is not None:
        output.refuse(
            "--target all writes no bundle",
            found=f"--out {out}",
            help="leave --out away, or name one target",
        )
    rasters = None if data is None else _rasters(data, options["dt"], output.log)
    sample = _calibration(calibrate, options["dt"], output.log)
    with output.progress("comparing", 100) as advance:
        result = compare(
            model,
            _asked(options),
            log=output.log,
            calibration=sample,
            data=rasters,
            progress=advance,
        )
    output.compared(result)


def _asked(options: dict[str, Any]) -> Options:
    from nirc.api import Options

    camera = [] if options["camera"] is None else [("input", options["camera"])]
    return Options(
        dt_s=options["dt"],
        reset=options["reset"],
        discretise=options["discretise"],
        readout=options["readout"],
        writer=options["writer"],
        strict=options["strict"],
        seed=options["seed"],
        time_limit_s=options["time_limit"],
        chip=tuple(sorted({*options["chip"], *camera})),
    )


def _check_place(directory: Path, force: bool, log: Log) -> None:
    """Refuse an unusable --out before the work, not after it."""
    from nirc.files.bundle import refuse_unusable

    refuse_unusable(directory, force=force, log=log)


def _one_thread(calibrate: Path | None) -> None:
    """A calibration's products are small: threads would only wait for each other (measured: 35 s of
    CPU for 10).

    Before numpy is imported, which reads it once; a user's own choice stays.
    """
    if calibrate is not None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _calibration(path: Path | None, dt_s: float | None, log: Log) -> Data | None:
    return None if path is None else _rasters(path, dt_s, log)


def _rasters(path: Path, dt_s: float | None, log: Log) -> Data:
    """The data of ``path``; findings name that file, not the command's model or bundle.

    Raises ``InputError``.
    """
    from nirc.files.data import read_data

    own, data = Log(), None
    with contextlib.suppress(NircError):  # said below
        data = read_data(path, own, dt_s)
    for finding in own.diagnostics:
        log.add(replace(finding, file=str(path)))
    log.raise_if_errors()
    assert data is not None
    return data


def main(args: Sequence[str] | None = None) -> None:
    """Entry point: never a traceback, always an exit status of the contract."""
    given = sys.argv[1:] if args is None else list(args)
    streams.make_usable()
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        # Not cli.main(): it would answer a closed pipe with status 1, which says that the model
        # does not compile.
        with cli.make_context("nirc", list(given)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        if _wants_json(given):
            wrong = {"code": "U607", "severity": "error", "message": error.format_message()}
            print(json.dumps({"diagnostics": [wrong], "exit_status": 2}, indent=1, sort_keys=True))
        else:
            error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted; nothing was written\n")
        sys.exit(130)
    except NircError as error:  # raised outside any Output
        sys.exit(error.exit_code)
    except BrokenPipeError:
        streams.give_up()
        sys.exit(141)
    except OSError as error:  # a file's errors are reported where it is written: this is a stream's
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"error[U608]: what nirc has to say cannot be written: {error.strerror}\n"
            )
        streams.give_up()
        sys.exit(2)


def _wants_json(args: Sequence[str]) -> bool:
    """Whether ``--format json`` was asked for, on a command line that makes no sense."""
    return "--format=json" in args or ("--format", "json") in pairwise(args)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
