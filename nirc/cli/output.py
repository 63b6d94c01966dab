"""The output of a command: results to stdout, diagnostics to stderr, and its exit status."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from nirc.cli.progress import Bar, Hidden, Lines
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.escape import in_lines
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.log import Log
from nirc.diagnostics.policy import Policy, known_of
from nirc.diagnostics.similar import did_you_mean
from nirc.files.commit import Commit, at_once
from nirc.version import __version__

if TYPE_CHECKING:
    from nirc.cli.profile import Profile, Stage
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Observer, Step

DOCUMENTS = ("json", "gitlab", "junit")  # forms that are the whole standard output
MAX_SHOWN = 1000  # characters of a path
MAX_CAUSE = 300  # characters of an unexpected exception's text


@dataclass(frozen=True)
class Decisions:
    """The options -A, -W, --baseline and --write-baseline."""

    silenced: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    baseline: Path | None = None
    write: Path | None = None

    def policy(self, log: Log) -> Policy:
        """Return what the options decide. Raises ``UsageError`` (U606), ``InputError`` (U616)."""
        return Policy(_codes(self.silenced), _codes(self.refused), self._known(log))

    def _known(self, log: Log) -> frozenset[str]:
        if self.baseline is None:
            return frozenset()
        from nirc.diagnostics.usage import UnreadableBaseline

        try:
            return known_of(self.baseline.read_bytes())
        except OSError as error:
            reason = error.strerror or str(error)
        except ValueError as error:
            reason = str(error)
        log.add(UnreadableBaseline(file=str(self.baseline), reason=reason))
        log.raise_if_errors()
        return frozenset()


def _codes(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the codes of all texts. Raises ``UsageError`` (U606) for one that does not exist."""
    if not texts:
        return frozenset()
    from nirc.chip.explain import finding_class

    return frozenset(finding_class(code).code for code in ",".join(texts).split(","))


class LostStreamError(Exception):
    """The standard output or the standard error is closed or full."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextlib.contextmanager
def to_streams() -> Iterator[None]:
    """Mark a block that prints. An ``OSError`` in it is the fault of a stream, not of a file."""
    try:
        yield
    except OSError as error:
        raise LostStreamError(error) from error


class Output:
    """Context of one command. Findings are printed when it ends, also after an error."""

    def __init__(
        self,
        form: str,
        *,
        quiet: bool,
        verbose: int,
        debug: bool,
        sarif: Path | None = None,
        decisions: Decisions = Decisions(),
        commit: Commit = at_once,
    ) -> None:
        self.form = form
        self.is_document = form in DOCUMENTS
        self.shows_notes = False
        self.decisions = decisions
        self.quiet = quiet
        self.verbose = verbose
        self.debug = debug
        self.sarif = sarif
        self.commit = commit  # around the rename that puts a result at its place
        self.log = Log()
        self.file = ""
        self.results: dict[str, Any] = {}
        self.status = 0
        self.profile: Profile | None = None

    def about(self, file: str) -> Output:
        """Return this object, for a command on ``file``."""
        self.file = file
        self.log.file = file
        return self

    def __enter__(self) -> Output:
        try:
            self.log.policy = self.decisions.policy(self.log)
        except NircError as error:
            self.__exit__(type(error), error, None)
        if self.verbose:
            from nirc.cli.profile import Profile

            self.profile = Profile()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None and not self._is_expected(error):
            return False
        findings = list(self.log.diagnostics)
        if isinstance(error, NircError):
            self.status = error.exit_code
            findings += [d for d in error.diagnostics if d not in findings]
        findings += self._write_files(findings)
        self._end_profile()
        with to_streams():
            self._print(findings)
            sys.stdout.flush()
        if self.status:
            sys.exit(self.status)
        return error is not None

    def _write_files(self, findings: Sequence[Diagnostic]) -> list[Diagnostic]:
        """Write the files of --sarif and --write-baseline. Return what cannot be written."""
        if self.sarif is None and self.decisions.write is None:
            return []
        from nirc.diagnostics.policy import baseline
        from nirc.diagnostics.sarif import as_sarif
        from nirc.files.bundle import save_json

        log = Log()
        accepted = self.log.policy.accepts
        try:
            if self.sarif is not None:
                tree = as_sarif(
                    findings, self.file, __version__, status=self.status, accepted=accepted
                )
                save_json(self.sarif, tree, log, self.commit)
            if self.decisions.write is not None:
                save_json(self.decisions.write, baseline(findings), log, self.commit)
        except NircError as error:
            self.status = self.status or error.exit_code
        return log.diagnostics

    def _is_expected(self, error: BaseException) -> bool:
        if isinstance(error, NircError):
            return True
        if not isinstance(error, Exception) or isinstance(error, LostStreamError):
            return False
        if self.debug:
            traceback.print_exception(error)
        from nirc.diagnostics.usage import Bug, NoMemory, SystemRefuses

        at = _innermost(error)
        if isinstance(error, MemoryError):
            self.log.add(NoMemory(where=at))
        elif isinstance(error, OSError):
            file = "" if error.filename is None else str(error.filename)
            self.log.add(SystemRefuses(where=at, path=file, reason=error.strerror or str(error)))
        else:
            text = str(error)[:MAX_CAUSE]
            self.log.add(Bug(where=at, exception=type(error).__name__, text=text))
        self.status = Finding.by_code[self.log.errors[-1].code].raises.exit_code
        return True

    def _print(self, findings: Sequence[Diagnostic]) -> None:
        """Print the findings that are not accepted, in the form of --format."""
        from nirc.diagnostics.formats import FORMATS
        from nirc.diagnostics.human import as_json, render

        new = [d for d in findings if not self.log.policy.accepts(d)]
        accepted = sum(d.severity != "note" for d in findings) - sum(
            d.severity != "note" for d in new
        )
        if self.form == "json":
            tree = {"exit_status": self.status, "accepted": accepted, "diagnostics": as_json(new)}
            json.dump({**self.results, **tree}, sys.stdout, indent=1, sort_keys=True)
            sys.stdout.write("\n")
            return
        if self.form in FORMATS:
            sys.stdout.write(FORMATS[self.form](new, self.file))
            return
        shown = [d for d in new if d.severity == "error"] if self.quiet else new
        text = render(
            shown,
            file=self.file,
            verbose=bool(self.verbose) or self.shows_notes,
            color=wants_color(sys.stderr),
            width=width_of(sys.stderr),
            accepted=0 if self.quiet else accepted,
        )
        sys.stderr.write(text)

    def refuse(self, problem: str, *, found: str = "", help: str) -> NoReturn:
        """Raise ``UsageError`` (U607): the options do not go together."""
        from nirc.diagnostics.usage import OptionMakesNoSense

        raise OptionMakesNoSense(problem=problem, found=found, help=help).refusal()

    def line(self, text: str = "") -> None:
        """Print one line of a result."""
        if not self.is_document:
            with to_streams():
                print(in_lines(text))

    def result(self, tree: dict[str, Any], text: Callable[[], str]) -> None:
        """Print ``text``, or with --format json ``tree`` at the end."""
        self.results |= tree
        if not self.is_document:
            shown = in_lines(text())
            with to_streams():
                print(shown, end="")

    # While a command runs.

    def observer(self, print_after: str | None) -> Observer | None:
        """Return a printer of programs after the named pass, with -v of a line for each pass."""
        if print_after is not None:
            self._check_pass(print_after)
        if print_after is None and not self.verbose:
            return None

        def observe(step: Step) -> None:
            from nirc.ir.text import text

            self.stage(step.name, step.program)
            if step.program is not None and print_after in (step.name, "all"):
                self.line(f"// after {step.name}\n{text(step.program, origins=True)}")

        return observe

    def stage(self, name: str, program: Program | None = None) -> None:
        """With -v, end a stage and print its time and memory, with the digest of ``program``."""
        if self.profile is None:
            return
        stage = self.profile.end(name)
        form = ""
        if program is not None:
            from nirc.ir.text import digest

            form = f"{digest(program)[:12]}  {len(program.graph):>4} nodes"
        self._print_stage(stage, form)
        self.profile.shown()

    @staticmethod
    def _print_stage(stage: Stage, form: str = "") -> None:
        memory = "" if stage.peak_mb is None else f"  {stage.peak_mb:7.0f} MB"
        with to_streams():
            sys.stderr.write(
                f"{stage.name:<18} {form:<24}  {stage.seconds * 1e3:8.1f} ms{memory}\n"
            )

    def _end_profile(self) -> None:
        """With -v, print the remaining stages and the sum. Add all to the results for JSON."""
        if self.profile is None:
            return
        stages = self.profile.finished()
        for stage in (stages[0], *stages[-2:]):
            self._print_stage(stage)
        total = (sum(stage.seconds for stage in stages), sum(s.cpu_seconds for s in stages))
        self._print_stage(type(stages[0])("sum", total[0], stages[-1].peak_mb, total[1]))
        self.results["profile"] = self.profile.as_tree(stages)

    def _check_pass(self, name: str) -> None:
        from nirc.chip.registry import described_passes
        from nirc.diagnostics.usage import UnknownName

        names = [row[0] for row in described_passes(Log())]
        if name != "all" and name not in names:
            help_ = did_you_mean(name, names, "nirc passes")
            raise UnknownName(kind="pass", name=name, known=names, help=help_).refusal()

    def progress(self, what: str, total: int) -> Hidden:
        """Return progress on the standard error: a bar on a terminal, else a line a stage.

        --quiet hides it, and so does a form that is a document.
        """
        if self.quiet or self.is_document:
            return Hidden()
        return Bar(what, total) if sys.stderr.isatty() else Lines(what)


def wants_color(stream: TextIO) -> bool:
    """Return True for a terminal that shows colours. NO_COLOR and FORCE_COLOR decide first."""
    if "NO_COLOR" in os.environ:
        return False
    if "FORCE_COLOR" in os.environ:
        return os.environ["FORCE_COLOR"] not in ("", "0", "false")
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int | None:
    """Return the columns of a terminal, None for anything else."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def printable_path(path: Path) -> str:
    """Return a path as it may appear on a terminal."""
    from nirc.files.bounds import printable

    return printable(str(path), MAX_SHOWN)


def _innermost(error: BaseException) -> str:
    """Return file and line in which ``error`` was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
