"""Findings of project files, their gates, and the workers that compile them."""

from __future__ import annotations

from dataclasses import replace

from nirc.diagnostics.errors import InputError, UsageError
from nirc.diagnostics.finding import Finding, Stated, Words

EXAMPLE = '[model.braille] with path = "braille.nir" and targets = ["xylo"]'


class UnreadableProject(Stated):
    code = "U620"
    title = "the project file cannot be read, or means nothing"
    raises = InputError
    meaning = """
    `nirc build` reads `nirc.toml`: a table `[model.NAME]` for each model, with `path`, perhaps
    `data`, and options of the command line by their long names, `[defaults]` for all of them, and
    `[model.NAME.gate]` with limits. The file is missing, is no TOML, or has a key or a value that
    nirc does not know. The message names the key.
    """
    example = """
    `tragets = ["xylo"]` under `[defaults]`: "there is no key `tragets`", and the question whether
    `targets` was meant.
    """
    what_to_do = """
    Correct the key that the message names. docs/how-to/gate-in-ci.md has the whole format with an
    example. Paths are relative to the folder of the project file.
    """
    sources = "`nirc/project/file.py`; TOML 1.0, https://toml.io."


class WorkerLost(Finding):
    code = "U621"
    title = "a worker ended before it had compiled its model"
    meaning = """
    `nirc build` and `nirc sweep` compile in processes of their own. One of them was ended by the
    system or by another program, or its connection was lost. The other rows are not touched.
    """
    example = "The system ended a worker because the machine had no memory left."
    what_to_do = """
    Start the command again: what was built is kept. If the machine has little memory, take fewer
    workers, as `--jobs 1`.
    """
    sources = "`nirc/project/workers.py`."

    reason: str

    def words(self) -> Words:
        return Words(
            "the worker of this row ended without an answer",
            found=self.reason,
            help="start the command again, with fewer workers (--jobs 1) if memory was short",
        )


class SchedulerLost(Stated):
    code = "U622"
    title = "the scheduler cannot be used"
    raises = UsageError
    meaning = """
    `--scheduler ADDRESS` names a scheduler of Dask, whose workers compile. It does not answer, the
    package `distributed` is not installed here, or a worker has another version of nirc, so that
    its bytes could differ.
    """
    example = "`--scheduler tcp://node1:8786` where no `dask scheduler` runs on that machine."
    what_to_do = """
    Start `dask scheduler` there, and `dask worker tcp://node1:8786` on each machine, in an
    environment with the same nirc. `pip install 'nirc-compiler[distributed]'` installs both.
    """
    sources = "`nirc/project/workers.py`; https://distributed.dask.org."


class GateNotMet(Finding):
    code = "P328"
    title = "a gate of the project file is not met"
    meaning = """
    `[model.NAME.gate]` bounds a figure of the compiled model: `accuracy` and `agreement` from
    below, `accuracy_drop`, `utilisation`, `latency` and `energy` from above. Where `nirc build
    --accept` has stored a baseline, no figure may be worse than there, but for `slack`. A figure
    that is not known does not pass: accuracy needs `data` with labels, agreement needs `data`, and
    energy is estimated for some chips only.
    """
    example = """
    `agreement = 0.95` where the chip answers as the model in 91 % of the samples: found 0.91, limit
    at least 0.95.
    """
    what_to_do = """
    `nirc verify` names the stage and the difference that cost most. If the new figure is right,
    `nirc build --accept` stores it as the baseline, or change the gate.
    """
    sources = "The project file, and `nirc.baseline.json` beside it."

    gate: str
    value: float | None
    limit: float
    least: bool  # the limit is from below
    of_baseline: bool
    cause: str = ""  # for which the value is not known

    def words(self) -> Words:
        limit = f"{'at least' if self.least else 'at most'} {self.limit:g}"
        kind = "is worse than the baseline" if self.of_baseline else "does not meet its gate"
        answers = self.gate in ("accuracy", "accuracy_drop", "agreement")
        words = Words(
            f"{self.gate} {kind}",
            found=f"{self.value:g}" if self.value is not None else "",
            limit=limit,
            help="`nirc verify` names the difference that costs most" if answers else "",
        )
        if self.value is None:
            message = f"{self.gate} is not known, so that its gate is not met"
            return replace(words, message=message, found=self.cause, help="")
        if self.of_baseline:
            return replace(words, help="if this is right, `nirc build --accept` stores it")
        return words
