"""What a command prints, and with which status it ends: results to stdout, diagnostics to
stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from nirc.cli.streams import is_lost
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import Bug, OptionMakesNoSense, UnknownName
from nirc.files.bounds import printable
from nirc.version import __version__

if TYPE_CHECKING:
    from nirc.api import Compiled
    from nirc.chip.backend import Backend
    from nirc.mapping.floorplan import Floorplan
    from nirc.passes.pipeline import Observer, Step
    from nirc.semantics.raster import Run
    from nirc.writers.writer import Writer

BUG = 70
MAX_SHOWN = 1000  # characters of a path
MAX_CAUSE = 300  # characters of an unexpected exception's text


class Output:
    """Context of one command. Findings are printed when it ends, whatever the end is."""

    def __init__(
        self, form: str, *, quiet: bool, verbose: int, debug: bool, sarif: Path | None = None
    ) -> None:
        self.json, self.quiet, self.verbose, self.debug, self.sarif = (
            form == "json",
            quiet,
            verbose,
            debug,
            sarif,
        )
        self.log = Log()
        self.file = ""
        self.results: dict[str, Any] = {}
        self.status = 0

    def about(self, file: str) -> Output:
        """This, for a command on ``file``."""
        self.file = self.log.file = file
        return self

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None and not self._is_expected(error):
            return False
        found = list(self.log.diagnostics)
        if isinstance(error, NircError):
            self.status = error.exit_code
            found += [d for d in error.diagnostics if d not in found]
        found += self._write_sarif(found)
        if self.json:
            from nirc.diagnostics.human import as_json

            json.dump(
                {**self.results, "exit_status": self.status, "diagnostics": as_json(found)},
                sys.stdout,
                indent=1,
                sort_keys=True,
            )
            sys.stdout.write("\n")
        else:
            self._say(found)
        sys.stdout.flush()
        if self.status:
            sys.exit(self.status)
        return error is not None

    def _write_sarif(self, found: Sequence[Diagnostic]) -> list[Diagnostic]:
        """The file of --sarif; what it could not be written for is one more finding."""
        if self.sarif is None:
            return []
        from nirc.diagnostics.sarif import as_sarif
        from nirc.files.bundle import save_json

        log = Log()
        try:
            save_json(self.sarif, as_sarif(found, self.file, __version__), log)
        except NircError as error:
            self.status = self.status or error.exit_code
        return log.diagnostics

    def _is_expected(self, error: BaseException) -> bool:
        if isinstance(error, NircError):
            return True
        if self.debug or not isinstance(error, Exception):
            return False
        if is_lost(error):
            return False
        self.status = BUG
        at = _innermost(error)
        text = str(error)[:MAX_CAUSE]
        self.log.add(Bug(where=at, exception=type(error).__name__, text=text))
        return True

    def _say(self, found: Sequence[Diagnostic]) -> None:
        from nirc.diagnostics.human import render

        shown = [d for d in found if d.severity == "error"] if self.quiet else found
        color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        sys.stderr.write(render(shown, file=self.file, verbose=bool(self.verbose), color=color))

    def refuse(self, problem: str, *, found: str = "", help: str) -> NoReturn:
        """Raise ``UsageError`` (U607): the options do not go together."""
        raise OptionMakesNoSense(problem=problem, found=found, help=help).refusal()

    def line(self, text: str = "") -> None:
        """One line of a result."""
        if not self.quiet and not self.json:
            print(text)

    # --- one method for each command's result ---

    def compiled(self, made: Compiled, directory: Path) -> None:
        """What was made, and how full the chip is."""
        manifest, mapped = made.bundle.manifest, made.mapped
        self.results["bundle"] = str(directory)
        self.results["manifest"] = manifest
        dt = f"dt {manifest['dt']:g} s" if manifest["dt"] else "no time constants"
        self.line(
            f"{manifest['model']} -> {manifest['target']} ({manifest['part']}), {dt}, "
            f"latency {manifest['latency_steps']} step(s)"
        )
        for choice in (d for d in self.log.diagnostics if d.code == "X513"):
            self.line(f"  {choice.message}")
        for name, (used, of) in mapped.utilisation.items():
            self.line(f"  {name:<32} {used:>7} of {of:<7} {bar(used / of if of else 0)}")
        if manifest.get("calibration"):
            from nirc.report.calibration import summary

            self.line(summary(manifest["calibration"]))
        names = ", ".join(sorted([*manifest["files"], "manifest.json"]))
        self.line(f"wrote {printable(str(directory), MAX_SHOWN)}/: {names}")

    def compared(self, result: dict[str, Any]) -> None:
        """Every target in a table; status 1 if none fits."""
        self.results |= result
        self.status = 0 if any(row["fits"] for row in result["targets"]) else 1
        if not self.json and not self.quiet:
            from nirc.cli.comparison import as_text

            print(as_text(result, shutil.get_terminal_size((120, 24)).columns), end="")

    def inspected(self, inspection: dict[str, Any]) -> None:
        """Tables of layers and totals."""
        self.results |= inspection
        if not self.json and not self.quiet:
            from nirc.cli.inspect import as_text

            print(as_text(inspection, verbose=bool(self.verbose)), end="")

    def ran(self, run: Run, labels: Any, out: Path) -> None:
        """A summary of a run."""
        samples, steps, outputs = run.output.shape
        self.results |= {"out": str(out), "samples": samples, "steps": steps, "outputs": outputs}
        self.line(
            f"{samples} sample(s) x {steps} steps, {outputs} outputs, "
            f"{float(run.output.sum()):g} output spikes in all -> {printable(str(out), MAX_SHOWN)}"
        )
        if labels is not None:
            from nirc.verification.score import accuracy, check_labels

            check_labels(labels, outputs, self.log)
            share = accuracy(run.output.sum(axis=1), labels)
            self.results["accuracy"] = share
            self.line(f"accuracy {share:.4f}")

    def verified(self, result: dict[str, Any]) -> None:
        """The table of stages, the first divergence and the what-if table."""
        self.results |= result
        if not self.json and not self.quiet:
            from nirc.report.verify import as_text

            print(as_text(result), end="")

    def mapped(self, plan: Floorplan, tree: dict[str, Any], rows: int) -> None:
        """Tables of cores and links."""
        from nirc.report.mapping import as_text

        self.results["mapping"] = tree
        if not self.json and not self.quiet:
            print(as_text(plan, tree, rows), end="")

    def exported(self, stage: str, out: Path, loading: str, remark: str) -> None:
        """Where the file is, and the Python that loads it in the simulator that it is for."""
        self.results |= {"stage": stage, "out": str(out)}
        self.line(f"stage {stage} -> {printable(str(out), MAX_SHOWN)}")
        if loading:
            self.results |= {"loading": loading, "remark": remark}
            self.line("to load it:")
            for line in loading.replace("FILE", repr(printable(str(out), MAX_SHOWN))).splitlines():
                self.line(f"  {line}")
            self.line(f"  # {remark}")

    def targets(self, backends: list[Backend], name: str | None) -> None:
        """Variants, and with a name their limits."""
        from nirc.report.targets import as_text, as_tree

        self.results["targets"] = tree = as_tree(backends, name)
        if not self.json and not self.quiet:
            print(as_text(tree, limits=name is not None), end="")

    def writers(self, writers: list[Writer]) -> None:
        """Names, keys, values and what each key is about."""
        self.results["writers"] = [
            {"name": w.name, "title": w.title, "choices": {c.key: c.all_values for c in w.choices}}
            for w in writers
        ]
        for writer in writers:
            self.line(f"{writer.name:<10} {writer.title}")
            for choice in writer.choices:
                self.line(f"{'':<10} {choice.key}={choice.all_values}: {choice.question}")

    def passes(self, rows: list[tuple[str, str, str]]) -> None:
        """Name, scope and sentence of every pass."""
        self.results["passes"] = [{"name": n, "runs": r, "does": d} for n, r, d in rows]
        for name, runs, does in rows:
            self.line(f"{name:<18} {runs:<12} {does}")

    def text(self, text: str, **results: str) -> None:
        """Plain text."""
        self.results |= results | {"text": text}
        self.line(text.rstrip("\n"))

    # --- while a command runs ---

    def observer(self, print_after: str | None) -> Observer | None:
        """Prints programs after the named pass, and with -v one line for each pass."""
        if print_after is not None:
            self._check_pass(print_after)
        if print_after is None and not self.verbose:
            return None

        def observe(step: Step) -> None:
            from nirc.ir.text import digest, text

            if self.verbose:
                head = (
                    f"{step.name:<18} {digest(step.program)[:12]}  "
                    f"{len(step.program.graph):>4} nodes"
                )
                sys.stderr.write(f"{head}  {step.seconds * 1e3:8.1f} ms\n")
            if print_after in (step.name, "all"):
                self.line(f"// after {step.name}\n{text(step.program, origins=True)}")

        return observe

    def _check_pass(self, name: str) -> None:
        from nirc.chip.registry import described_passes

        names = [row[0] for row in described_passes(Log())]
        if name != "all" and name not in names:
            help_ = did_you_mean(name, names, "nirc passes")
            raise UnknownName(kind="pass", name=name, known=names, help=help_).refusal()

    @contextlib.contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, once the work has taken two seconds."""
        if self.quiet or self.json or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import Progress

        start, shown = time.monotonic(), False
        bar_ = Progress(console=Console(stderr=True), transient=True)
        task = bar_.add_task(what, total=total)

        def advance(done: int) -> None:
            nonlocal shown
            if not shown and time.monotonic() - start > 2:
                bar_.start()
                shown = True
            bar_.update(task, completed=done)

        try:
            yield advance
        finally:
            if shown:
                bar_.stop()


def bar(share: float, width: int = 20) -> str:
    """``[#####...............]  25 %``."""
    full = min(width, round(share * width))
    return f"[{'#' * full}{'.' * (width - full)}] {share:4.0%}"


def _innermost(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
