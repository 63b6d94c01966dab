"""Arguments and options that several commands share, and the files that they name."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nirc.cli.interruption import Interruptions
from nirc.cli.output import Decisions, Output, printable_path
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.commit import Commit, at_once

if TYPE_CHECKING:
    from nirc.files.data import Data
    from nirc.options import Options


class _NewFile(click.Path):
    """A file to write. Its folder is missed before the work, not after it (U608)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(value)
        if not path.parent.is_dir():
            from nirc.diagnostics.usage import CannotWrite

            reason = f"there is no folder `{printable_path(path.parent)}`"
            raise CannotWrite(path=str(path), reason=reason, help="make the folder first").refusal()
        return super().convert(value, param, ctx)


class _TargetName(click.types.StringParamType):
    """A chip, perhaps with its variant. A command without it is told which there are."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Return the names of all chips."""
        from nirc.chip.registry import BACKENDS

        return ", ".join(BACKENDS.names())


class _DataFile(click.Path):
    """A file of input spikes. A command without it is told what the file holds."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Return the contents of such a file."""
        return "a file with `inputs` (samples, steps, ...input shape)"


Pairs = tuple[tuple[str, str], ...]
F = TypeVar("F", bound=Callable[..., Any])
TARGET_NAME = _TargetName()
FILE = click.Path(path_type=Path, readable=False)  # the reader reports why
NEW_FILE = _NewFile(path_type=Path, readable=False)


def _options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(f: F) -> F:
        for decorator in reversed(decorators):
            f = decorator(f)
        return f

    return apply


def _pairs(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Pairs:
    """Return the pairs of all NAME=VALUE."""
    pairs = []
    for text in given:
        name, _, value = text.partition("=")
        if not (name and value):
            raise click.BadParameter(f"`{text}` is not of the form NAME=VALUE")
        pairs.append((name, value))
    return tuple(pairs)


MODEL = click.argument("model", metavar="MODEL.nir", type=FILE)
DATA = click.option(
    "--data",
    metavar="FILE",
    type=_DataFile(path_type=Path, readable=False),
    required=True,
    help="Input spikes: .npz with `inputs` (samples, steps, ...), perhaps `labels`, `dt`; a .npy; "
    "nir's data.",
)


class _ForScripts(click.Option):
    """An option that `nirc help ci` explains, so that other pages of help are short."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return one line for all of these options at the first of them, None at the others."""
        scripted = [p for p in ctx.command.params if isinstance(p, _ForScripts)]
        if self is not scripted[0]:
            return None
        return ", ".join(p.opts[-1] for p in scripted), "For CI: `nirc help ci`."

    def explained(self, ctx: click.Context) -> tuple[str, str]:
        """Return the option and its meaning."""
        return super().get_help_record(ctx) or ("", "")


def options_for_scripts(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """Return the options of ``command`` that `nirc help ci` explains, with their meanings."""
    return [p.explained(context) for p in command.params if isinstance(p, _ForScripts)]


_OUTPUT = _options(
    click.option(
        "--format",
        "form",
        type=click.Choice(["human", "json", "github", "gitlab", "junit"]),
        default="human",
        show_default=True,
        help="How results and diagnostics are printed: for people, as one JSON object, or as "
        "GitHub, GitLab (Code Quality) or JUnit want them.",
    ),
    click.option(
        "--sarif",
        cls=_ForScripts,
        metavar="FILE",
        type=NEW_FILE,
        help="Also write the diagnostics as SARIF 2.1.0, for CI systems.",
    ),
    click.option(
        "-A",
        "--allow",
        "silenced",
        cls=_ForScripts,
        metavar="CODE",
        multiple=True,
        help="Allow a warning: neither printed nor, with --strict, an error. May be repeated.",
    ),
    click.option(
        "-W",
        "--refuse",
        "refused",
        cls=_ForScripts,
        metavar="CODE",
        multiple=True,
        help="Make a warning an error. May be repeated.",
    ),
    click.option(
        "--baseline",
        cls=_ForScripts,
        metavar="FILE",
        type=FILE,
        help="Accept the findings that FILE holds.",
    ),
    click.option(
        "--write-baseline",
        cls=_ForScripts,
        metavar="FILE",
        type=NEW_FILE,
        help="Write the warnings of this command as a baseline.",
    ),
    click.option(
        "-q", "--quiet", is_flag=True, help="Print results and errors, no warnings, no progress."
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Print notes, digests of passes, time and memory of stages.",
    ),
    click.option("--debug", is_flag=True, help="Show the traceback of a bug."),
)


def OUTPUT(command: Callable[..., None]) -> Callable[..., None]:  # noqa: N802 - a decorator like its neighbours
    """Add the options of output. The command gets them as one argument ``output``."""

    @functools.wraps(command)
    def reporting(
        *,
        form: str,
        sarif: Path | None,
        silenced: tuple[str, ...],
        refused: tuple[str, ...],
        baseline: Path | None,
        write_baseline: Path | None,
        quiet: bool,
        verbose: int,
        debug: bool,
        **rest: Any,
    ) -> None:
        decisions = Decisions(silenced, refused, baseline, write_baseline)
        interruptions = click.get_current_context().find_object(Interruptions)
        output = Output(
            form,
            quiet=quiet,
            verbose=verbose,
            debug=debug,
            sarif=sarif,
            decisions=decisions,
            commit=at_once if interruptions is None else interruptions.commit,
        )
        command(output=output, **rest)

    return _OUTPUT(reporting)


READING = _options(
    click.option(
        "--from",
        "writer",
        metavar="NAME[,KEY=VALUE]...",
        help="Who wrote the file, and what it does not say, e.g. snntorch,reset=zero; `nir` is "
        "the letter of NIR. Default: as the file shows. `nirc writers` lists names, keys and "
        "values.",
    ),
    click.option(
        "--dt",
        metavar="SECONDS",
        type=float,
        help="Time step; default: as the file's parameters imply.",
    ),
    click.option(
        "--reset",
        type=click.Choice(["model", "zero", "subtract", "none"]),
        default="model",
        show_default=True,
        help="What a spike does to the membrane; `model`: the writer's default, for NIR's letter "
        "v := v_reset.",
    ),
    click.option(
        "--discretise",
        type=click.Choice(["euler", "exponential"]),
        help="Decays per step where the file is read by NIR's letter: forward Euler (default), or "
        "exact.",
    ),
)
LOWERING = _options(
    READING,
    click.option(
        "--readout",
        metavar="li[:STEPS]|if[:THRESHOLD]",
        help="Add readout neurons behind an output that is a linear layer: leaky integrators "
        "whose membrane is read, or integrate-and-fire neurons.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse where the chip's dynamics differ in kind from the model's.",
    ),
    click.option(
        "--allow-silent",
        is_flag=True,
        help="Go on where no output can ever fire, whatever comes in (P325).",
    ),
    click.option(
        "--calibrate",
        metavar="FILE",
        type=FILE,
        help="Sample inputs, no labels: gains, decays and weights at which the chip answers as "
        "the model.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of every search."),
    click.option(
        "--effort",
        type=click.Choice(["quick", "normal", "thorough"]),
        default="normal",
        show_default=True,
        help="Work of the searches for cores, places and routes. The answer does not depend on the "
        "machine.",
    ),
    click.option(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        help="Bound the searches of Speck and Xylo by time; the answer then depends on the "
        "machine.",
    ),
    click.option(
        "--weight-bits",
        metavar="N",
        type=int,
        help="Bits of a weight, sign included: 2 to 8. Default: as many as the chip has.",
    ),
    click.option(
        "--set",
        "chip",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_pairs,
        help="An option of the chip's own; `nirc targets NAME` lists them. May be repeated.",
    ),
    click.option(
        "--input",
        "camera",
        metavar="VALUE",
        help="Where events come from, for chips with a camera: host, dvs. Short for --set "
        "input=VALUE.",
    ),
)
COMPILING = _options(
    click.option(
        "--target",
        metavar="NAME[:VARIANT]",
        type=TARGET_NAME,
        required=True,
        help="Chip to compile for; `nirc targets` lists them. Without a variant the first that "
        "fits is taken. A compilation also takes `all`, compares every target and writes nothing.",
    ),
    LOWERING,
    click.option(
        "--print-ir-after",
        metavar="PASS|all",
        help="Print the program after a pass; `nirc passes` lists them.",
    ),
)


def commit_part() -> Commit:
    """Return a context around each of several renames."""
    interruptions = click.get_current_context().find_object(Interruptions)
    return at_once if interruptions is None else interruptions.commit_part


def use_one_thread() -> None:
    """Use one thread to run or calibrate networks, before numpy reads the number once.

    Then numpy starts no threads, see ``nirc.semantics.threads``. A number that the user chose
    stays. This is for the command's own process.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def asked_options(options: dict[str, Any]) -> Options:
    """Return the options of a compilation."""
    from nirc.options import Options

    camera = [] if options["camera"] is None else [("input", options["camera"])]
    return Options(
        dt_s=options["dt"],
        reset=options["reset"],
        discretise=options["discretise"],
        readout=options["readout"],
        writer=options["writer"],
        strict=options["strict"],
        allow_silent=options["allow_silent"],
        seed=options["seed"],
        effort=options["effort"],
        time_limit_s=options["time_limit"],
        weight_bits=options["weight_bits"],
        chip=tuple(sorted({*options["chip"], *camera})),
    )


def compilation(options: dict[str, Any], output: Output) -> dict[str, Any]:
    """Return the arguments that compile, verify and export share. Reads ``--calibrate``."""
    asked = asked_options(options)
    sample = options["calibrate"]
    if sample is not None:
        sample = read_rasters(sample, asked.dt_s, output.log)
    return {"options": asked, "log": output.log, "calibration": sample}


def read_rasters(path: Path, dt_s: float | None, log: Log) -> Data:
    """Return the data of ``path``. Its findings name this file. Raises ``InputError``."""
    from nirc.files.data import read_data

    attempt = Log()
    data = None
    with contextlib.suppress(NircError):  # raised below, with all findings
        data = read_data(path, attempt, dt_s)
    log.add_all(replace(finding, file=str(path)) for finding in attempt.diagnostics)
    log.raise_if_errors()
    assert data is not None
    return data
