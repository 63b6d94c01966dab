"""`nirc build`: compile the rows of a project that changed, judge them by gates, and sum up."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.project import GateNotMet, UnreadableProject
from nirc.files import bundle
from nirc.files.bounds import RefusalError
from nirc.files.commit import Commit, at_once
from nirc.files.foreign import check_file
from nirc.options import is_finite
from nirc.project.file import Project, Row
from nirc.project.gates import GATES, outcomes
from nirc.project.summary import summary_html
from nirc.project.task import Answer, Task, read_files
from nirc.project.workers import answers
from nirc.version import __version__

FOLDER = "build"  # beside the project file
BASELINE = "nirc.baseline.json"  # beside the project file
SUMMARY_SCHEMA = "nirc-build/1"
BASELINE_SCHEMA = "nirc-build-baseline/1"
MAX_SUMMARY = 1 << 28  # bytes
NUMBERS = (*(gate.name for gate in GATES), "accuracy_of_model")
TEXTS = ("fullest", "energy_source")
SEALED = ("name", "target", "file", "fingerprint", "sha256", "figures", "stages", "findings")

Tree = dict[str, Any]


@dataclass(frozen=True)
class Choices:
    """A build as it is asked for.

    ``accept``: store the figures as the baseline. ``fresh``: build every row. ``jobs`` and
    ``scheduler``: see ``nirc.project.workers``.
    """

    accept: bool = False
    fresh: bool = False
    jobs: int | None = None
    scheduler: str | None = None
    allowed: tuple[str, ...] = ()  # codes, beside those of the project file
    refused: tuple[str, ...] = ()
    baseline: Path | None = None  # of accepted findings, for rows that name none


@dataclass
class _Build:
    project: Project
    choices: Choices
    log: Log
    commit: Commit
    rows: dict[str, Tree] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.project.folder / FOLDER


def build(
    project: Project,
    choices: Choices = Choices(),
    *,
    log: Log,
    commit: Commit = at_once,
    progress: Callable[[int], None] | None = None,
) -> Tree:
    """Build the rows of ``project``, write the summary, and return it.

    ``progress`` gets the number of rows that are done. ``commit``: around each rename. Findings of
    rows are in the tree, not in ``log``. Raises ``InputError`` (U620) for a stored
    baseline that cannot be read, ``UsageError`` (U608, U622).
    """
    notify = progress or (lambda _: None)
    work = _Build(project, choices, log, commit)
    earlier = {} if choices.fresh else _earlier(work.folder)
    stored = _stored(work.project.folder / BASELINE, log)
    tasks = []
    for row in work.project.rows:
        task = _task(row, work)
        if task is None:
            continue
        kept = earlier.get(row.name)
        if kept is not None and _is_kept(kept, task, work.folder / row.name):
            work.rows[row.name] = {**kept, "status": "kept"}
        else:
            tasks.append(task)
    notify(len(work.rows))
    by_name = {task.name: task for task in tasks}
    try:
        for answer in answers(tasks, jobs=choices.jobs, scheduler=choices.scheduler):
            _take(answer, by_name[answer.name], work)
            notify(len(work.rows))
    except KeyboardInterrupt:
        for name in by_name.keys() - work.rows.keys():
            if name in earlier:
                work.rows[name] = earlier[name]
        _write(work, stored)
        raise
    if choices.accept:
        stored = _accepted(work, stored)
    return _write(work, stored)


def _task(row: Row, work: _Build) -> Task | None:
    """Return the task of ``row``. If a file cannot be read, the row has failed."""
    given = {
        "model": row.path,
        "data": row.data,
        "calibrate": row.calibrate,
        "baseline": row.baseline or work.choices.baseline,
    }
    attempt = Log()
    try:
        files, names = read_files(given, attempt)
    except NircError as refusal:
        _failed(row, refusal.diagnostics, work)
        return None
    shown = {role: _shown(Path(name), work.project.folder) for role, name in names.items()}
    allowed = (*row.accepted, *work.choices.allowed)
    refused = (*row.refused, *work.choices.refused)
    return Task(row.name, row.target, row.options, files, shown, allowed, refused)


def _shown(path: Path, folder: Path) -> str:
    """Return a path as the project file has it, so that summaries do not depend on a machine."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _failed(row: Row, findings: Iterable[Diagnostic], work: _Build) -> None:
    work.rows[row.name] = _tree(row, "failed", findings, work)


def _tree(row: Row, status: str, findings: Iterable[Diagnostic], work: _Build) -> Tree:
    model = _shown(row.path, work.project.folder)
    return {
        "name": row.name,
        "model": row.model,
        "target": row.target,
        "file": model,
        "status": status,
        "bundle": None,
        "fingerprint": None,
        "figures": {},
        "stages": [],
        "findings": [replace(d, file=d.file or model).as_dict() for d in findings],
    }


def _take(answer: Answer, task: Task, work: _Build) -> None:
    """Write the bundle of an answer, and keep its row."""
    row = next(each for each in work.project.rows if each.name == answer.name)
    if answer.files is None:
        _failed(row, answer.findings, work)
        return
    attempt = Log()
    try:
        bundle.make_folder(work.folder, attempt)
        bundle.write(work.folder / row.name, answer.files, force=False, log=attempt,
                     commit=work.commit)  # fmt: skip
    except NircError as refusal:
        help_ = f"remove the folder {FOLDER}/{row.name}, or move it away"
        refused = (
            replace(d, help=help_ if d.code == "U602" else d.help) for d in refusal.diagnostics
        )
        _failed(row, [*answer.findings, *refused], work)
        return
    made = _tree(row, "built", answer.findings, work) | {
        "bundle": f"{FOLDER}/{row.name}",
        "sha256": json.loads(answer.files[bundle.MANIFEST])["sha256"],
        "fingerprint": task.fingerprint,
        "figures": dict(answer.figures),
        "stages": [dict(stage) for stage in answer.stages],
    }
    work.rows[row.name] = {**made, "seal": _seal(made)}


# What is kept from an earlier build.


# Raised for a file that makes no sense.
NONSENSE = (
    OSError,
    RefusalError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def _is_kept(row: Tree, task: Task, directory: Path) -> bool:
    """Return True if the bundle on the disk is the one that ``task`` would make."""
    try:
        if row["status"] == "failed" or row["fingerprint"] != task.fingerprint:
            return False
        manifest, _ = bundle.read(directory, Log())
    except (NircError, KeyError, OSError):
        return False
    return bool(manifest["sha256"] == row.get("sha256"))


def _earlier(folder: Path) -> dict[str, Tree]:
    """Return the rows of an earlier summary, none if there is none that makes sense."""
    with contextlib.suppress(*NONSENSE):
        tree = _json(folder / "summary.json")
        if tree["schema"] == SUMMARY_SCHEMA and tree["nirc_version"] == __version__:
            return {row["name"]: row for row in tree["rows"] if _is_sound(row)}
    return {}


def _is_sound(row: Tree) -> bool:
    """Return True for a row as ``_take`` makes it, unchanged since."""
    numbers = [row["figures"].get(name, 0.0) for name in NUMBERS]
    return (
        row["seal"] == _seal(row)
        and all(isinstance(row[name], str) for name in ("name", "model", "target", "file"))
        and row["status"] in ("built", "kept")
        and all(isinstance(number, (int, float)) and is_finite(number) for number in numbers)
        and all(_is_finding(each) for each in row["findings"])
        and set(row["figures"]) <= {*NUMBERS, "fullest", "energy_source"}
        and all(isinstance(row["figures"].get(name, ""), str) for name in TEXTS)
        and ("utilisation" in row["figures"]) == ("fullest" in row["figures"])
        and ("accuracy" in row["figures"]) == ("accuracy_of_model" in row["figures"])
    )


def _is_finding(tree: Tree) -> bool:
    finding = Diagnostic(**tree)
    return finding.severity in ("error", "warning", "note") and all(
        isinstance(value, str) for value in tree.values()
    )


def _seal(row: Tree) -> str:
    """Return the SHA-256 of what a row says of its compilation: a row edited by hand is no row."""
    kept = {name: row[name] for name in SEALED}
    kept["findings"] = [each for each in row["findings"] if each["code"] != GateNotMet.code]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _json(path: Path) -> Any:
    check_file(path)
    with path.open("rb") as file:
        return json.loads(file.read(MAX_SUMMARY))


def _stored(path: Path, log: Log) -> Mapping[str, Mapping[str, float]]:
    """Return the figures of the baseline, none without one. Raises ``InputError`` (U620)."""
    if not path.exists():
        return {}
    try:
        tree = _json(path)
        if tree["schema"] != BASELINE_SCHEMA:
            raise ValueError(f"its schema is not {BASELINE_SCHEMA}")
        return {str(name): _figures(row) for name, row in tree["rows"].items()}
    except NONSENSE as error:
        found = (
            str(error)[:200] if isinstance(error, (ValueError, OSError)) else "another structure"
        )
        wrong = UnreadableProject(
            problem="the baseline is not one that `nirc build --accept` wrote",
            found=found,
            help="take the version of your repository, or write it with --accept",
            file=str(path),
        )
        raise wrong.refusal() from None


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of one row of the baseline. Raises ``ValueError``."""
    for name, value in row.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name not in NUMBERS or not number or not is_finite(value):
            raise ValueError(f"`{name[:40]}` is no figure")
    return dict(row)


def _accepted(work: _Build, stored: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Store the figures of all rows that compiled. Rows that failed keep theirs."""
    names = {row.name for row in work.project.rows}
    rows: dict[str, Mapping[str, float]] = {
        name: figures for name, figures in stored.items() if name in names
    }
    for name, row in work.rows.items():
        if row["status"] != "failed":
            known = {gate.name: row["figures"].get(gate.name) for gate in GATES}
            rows[name] = {key: value for key, value in known.items() if value is not None}
    tree = {"schema": BASELINE_SCHEMA, "rows": rows}
    bundle.save_json(work.project.folder / BASELINE, tree, work.log, work.commit)
    return rows


# The summary.


def _write(work: _Build, stored: Mapping[str, Mapping[str, float]]) -> Tree:
    """Judge the rows, write summary.json and summary.html, and return the summary."""
    rows = []
    for row in work.project.rows:
        if (tree := work.rows.get(row.name)) is not None:
            rows.append(_judged(row, tree, stored.get(row.name)))
    summary = {"schema": SUMMARY_SCHEMA, "nirc_version": __version__, "rows": rows}
    bundle.make_folder(work.folder, work.log)
    bundle.save_json(work.folder / "summary.json", summary, work.log, work.commit)
    page = summary_html(work.project.file.name, summary)
    bundle.save_bytes(work.folder / "summary.html", page, work.log, work.commit)
    return summary


def _judged(row: Row, tree: Tree, stored: Mapping[str, float] | None) -> Tree:
    """Return the row with its gates, and a finding for each that is not met."""
    if tree["status"] == "failed":
        return {**tree, "gates": {}}
    gates = {}
    missed = []
    for outcome in outcomes(tree["figures"], row.gates, stored):
        name = outcome.gate.name
        gates[f"{name}_of_baseline" if outcome.of_baseline else name] = outcome.as_tree()
        if not outcome.passed:
            missed.append(replace(outcome.finding().diagnostic(), file=tree["file"]).as_dict())
    found = [each for each in tree["findings"] if each["code"] != GateNotMet.code]
    return {**tree, "gates": gates, "findings": found + missed}
