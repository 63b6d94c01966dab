"""The command `nirc`: its subcommands, its exit status, and streams that are closed or full.

Imports no numpy before a command needs it: `nirc --help` must feel instant.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click
from click.shell_completion import CompletionItem, shell_complete

from nirc.cli import compile, data, fit, look, project, run
from nirc.cli.arguments import options_for_scripts
from nirc.cli.interruption import Interruptions
from nirc.cli.output import LostStreamError, Output, wants_color, width_of
from nirc.diagnostics.docstring import docstring
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.similar import did_you_mean, nearest
from nirc.version import __version__

COMPLETE = "_NIRC_COMPLETE"  # set by a shell that asks for completions, or for its script
WIDTH = 100
HELP = ["-h", "--help"]
CONTEXT = {"help_option_names": HELP, "max_content_width": WIDTH}
EPILOG = """\b
Examples:
  nirc model.nir --target xylo                 compile for the first Xylo that fits
  nirc model.nir --target xylo:audio3 -o out   for one variant, into directory out
  nirc model.nir --target all                  every target: fits or why not, cores, cost
  nirc inspect model.nir                       what is in a model, and who wrote it
  nirc inspect model.nir --data recorded.npz   which rule gives the simulator's own outputs
  nirc run out --data spikes.npz --out o.npz   run the emitted files, bit for bit
  nirc verify model.nir --target xylo --data spikes.npz
  nirc fit model.nir --target speck --data spikes.npz -o fitted.nir   train the chip's integers
  nirc mapping out                             which core holds what
  nirc compare emulator.npz board.npz          the first step, population and neuron that differ
  nirc export model.nir --target xylo -o chip.nir   the network with the chip's numbers, as NIR
  nirc export model.nir --stage float --for norse -o n.nir   what Norse loads as this network
  nirc data hand.aedat4 -o hand.npz --dt 1e-3 --pool 4   events of a camera, as input spikes
  nirc check out                               the emitted files, by an independent checker
  nirc build                                   all models of nirc.toml that changed, with gates
  nirc sweep model.nir --target xylo --vary seed=0,1,2 --data spikes.npz
  nirc diff old.nir new.nir --target xylo      what changed, and what it means on the chip
  nirc doctor                                  what is installed, and what is missing for a chip
  nirc explain X504                            what a diagnostic means
  nirc help ci                                 options for CI

Completion: eval "$(_NIRC_COMPLETE=bash_source nirc)", also zsh_source, fish_source.

Exit status: 0 done, 1 cannot be compiled as asked, 2 usage, 3 input cannot be read,
70 a bug in nirc, 130 interrupted.
"""


class _Commands(click.Group):
    """`nirc MODEL.nir ...` is `nirc compile MODEL.nir ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _refuse_mistyped(self, args)
        if args and args[0] not in (*self.commands, "-h", "--help", "--version"):
            args = ["compile", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word: a command or a model."""
        files = [CompletionItem(incomplete, type="file")]
        return [*super().shell_complete(ctx, incomplete), *files]


def _refuse_mistyped(group: click.Group, args: list[str]) -> None:
    """Refuse `nirc inspct model.nir`, unless there is a file `inspct`."""
    if not args or args[0] in group.commands or not args[0].isalpha() or Path(args[0]).exists():
        return
    if close := nearest(args[0], group.commands):
        raise click.UsageError(
            f"there is no command and no file `{args[0]}`; did you mean `nirc {close[0]}`?"
        )


@click.group(cls=_Commands, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(__version__, prog_name="nirc")
def cli() -> None:
    """Compile spiking networks in NIR files for neuromorphic chips, and prove the chip's answer.

    `nirc MODEL.nir --target NAME` writes a directory (a bundle) that a lab loads on the chip. `nirc
    run` runs the emitted files here, bit for bit. `nirc verify` shows where the answer departs from
    the model's.
    """


CI = """Options of every command for CI. So is `--format json`, `github`, `gitlab` and `junit`.
docs/how-to/gate-in-ci.md has files for GitHub and GitLab.
"""


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def help_(context: click.Context, topic: str | None) -> None:
    """Show the help of a command, or with `ci` the options for CI."""
    assert context.parent is not None
    known = {"ci": compile.compile_, **cli.commands}
    if topic is not None and topic not in known:
        nearest_ = did_you_mean(topic, known)
        raise click.UsageError(f"there is no command `{topic}`{f'; {nearest_}' * bool(nearest_)}")
    if topic is None:
        click.echo(context.parent.get_help())
        return
    shown = click.Context(
        known[topic],
        context.parent,
        info_name=topic,
        max_content_width=WIDTH,
        help_option_names=HELP,
    )
    if topic != "ci":
        click.echo(shown.get_help())
        return
    formatter = shown.make_formatter()
    formatter.write_dl(options_for_scripts(known[topic], shown))
    click.echo(f"{CI}\n{formatter.getvalue()}", nl=False)


COMMANDS: tuple[click.Command, ...] = (
    compile.compile_,
    look.inspect,
    run.run,
    run.verify,
    run.compare,
    fit.fit,
    look.mapping,
    look.check,
    compile.export,
    project.build,
    project.sweep,
    project.diff_,
    data.data,
    look.targets,
    look.doctor,
    look.explain,
    look.writers,
    look.passes,
    help_,
)
for command in COMMANDS:
    cli.add_command(command)
for command in (cli, *COMMANDS):
    if command.help is None and command.callback is not None:  # under python -OO
        command.help = docstring(inspect.unwrap(command.callback))


def main(args: Sequence[str] | None = None) -> None:
    """Run a command: never a traceback, always an exit status of the contract."""
    given = sys.argv[1:] if args is None else list(args)
    _make_streams_usable()
    if instruction := os.environ.get(COMPLETE):
        sys.exit(shell_complete(cli, {}, "nirc", COMPLETE, instruction))
    interruptions = Interruptions()
    with interruptions.taken(to_the_end=args is None):
        _run(given, interruptions)


def _run(given: list[str], interruptions: Interruptions) -> None:
    try:
        # Not cli.main(), which ends with status 1 at a closed pipe. Status 1 means that the model
        # does not compile.
        with cli.make_context("nirc", list(given), obj=interruptions) as context:
            cli.invoke(context)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _show(error, as_json=_wants_json(given))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted; nothing was written\n")
        sys.exit(130)
    except NircError as error:  # of an option, outside any Output
        form = "json" if _wants_json(given) else "human"
        with Output(form, quiet=False, verbose=0, debug=False):
            raise error
    except (LostStreamError, OSError) as error:  # OSError: of click, as it prints the help
        reason = error.reason if isinstance(error, LostStreamError) else error
        if not isinstance(reason, BrokenPipeError):
            with contextlib.suppress(OSError):
                sys.stderr.write(f"error[U608]: the output cannot be written: {reason.strerror}\n")
        _give_up_streams()
        sys.exit(141 if isinstance(reason, BrokenPipeError) else 2)


def _show(error: click.ClickException, *, as_json: bool) -> None:
    """Print what click refuses as every other error. Without a command that is the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    from nirc.diagnostics.human import render
    from nirc.diagnostics.usage import OptionMakesNoSense

    context = error.ctx if isinstance(error, click.UsageError) else None
    help_ = f"{'nirc' if context is None else context.command_path} --help"
    problem, _, rest = error.format_message().partition(". ")
    if isinstance(error, click.NoSuchOption):
        problem, rest = error.message, ""
        help_ = did_you_mean(error.option_name, error.possibilities or (), help_)
    finding = OptionMakesNoSense(
        problem=f"{problem[:1].lower()}{problem[1:]}".rstrip("."),
        limit=" ".join(rest.removeprefix("Choose from:").split()),
        help=help_,
    ).diagnostic()
    if as_json:
        result = {"diagnostics": [finding.as_dict()], "exit_status": 2}
        print(json.dumps(result, indent=1, sort_keys=True))
    else:
        color, width = wants_color(sys.stderr), width_of(sys.stderr)
        sys.stderr.write(render([finding], file="", color=color, width=width))


def _wants_json(args: Sequence[str]) -> bool:
    """Return True if a command line that makes no sense asks for ``--format json``."""
    return "--format=json" in args or ("--format", "json") in pairwise(args)


def _make_streams_usable() -> None:
    """Replace closed streams, and let streams escape letters that their encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Opened before any file, which else would get this stream's number and its text. It
            # lives as long as the process.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_streams() -> None:
    """Discard the buffered text, so that it does not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
