"""`nirc build`: compile the rows of a project that changed, judge them by gates, and sum up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.project import UnreadableProject
from nirc.files import bundle
from nirc.files.commit import Commit, at_once
from nirc.project.file import Project, Row, read_project
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

Tree = dict[str, Any]


@dataclass(frozen=True)
class Choices:
    """A build as it is asked for.

    ``accept``: store the figures as the baseline. ``fresh``: build every row.
    """

    accept: bool = False
    fresh: bool = False
    jobs: int | None = None
    scheduler: str | None = None


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
    file: Path,
    choices: Choices = Choices(),
    *,
    log: Log,
    commit: Commit = at_once,
    progress: Callable[[int], None] | None = None,
) -> Tree:
    """Build the project in ``file``, write the summary, and return it.

    ``progress`` gets the number of rows that are done. ``commit``: around each rename. Findings of
    rows are in the tree, not in ``log``. Raises ``InputError`` (U620, U623) for a file of the
    project that cannot be read, ``UsageError`` (U608, U622).
    """
    notify = progress or (lambda _: None)
    work = _Build(read_project(file, log), choices, log, commit)
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
        "baseline": row.baseline,
    }
    attempt = Log()
    try:
        files, names = read_files(given, attempt)
    except NircError as refusal:
        _failed(row, refusal.diagnostics, work)
        return None
    shown = {role: _shown(Path(name), work.project.folder) for role, name in names.items()}
    return Task(row.name, row.target, row.options, files, shown, row.accepted, row.refused)


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
        _failed(row, [*answer.findings, *refusal.diagnostics], work)
        return
    work.rows[row.name] = _tree(row, "built", answer.findings, work) | {
        "bundle": f"{FOLDER}/{row.name}",
        "sha256": json.loads(answer.files[bundle.MANIFEST])["sha256"],
        "fingerprint": task.fingerprint(),
        "figures": dict(answer.figures),
        "stages": [dict(stage) for stage in answer.stages],
    }


# What is kept from an earlier build.


def _is_kept(row: Tree, task: Task, directory: Path) -> bool:
    """Return True if the bundle on the disk is the one that ``task`` would make."""
    try:
        if row["status"] == "failed" or row["fingerprint"] != task.fingerprint():
            return False
        manifest, _ = bundle.read(directory, Log())
    except (NircError, KeyError, OSError):
        return False
    return bool(manifest["sha256"] == row.get("sha256"))


def _earlier(folder: Path) -> dict[str, Tree]:
    """Return the rows of an earlier summary, none if there is none that makes sense."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        tree = _json(folder / "summary.json")
        if tree["schema"] == SUMMARY_SCHEMA and tree["nirc_version"] == __version__:
            return {row["name"]: row for row in tree["rows"] if _is_sound(row)}
    return {}


def _is_sound(row: Tree) -> bool:
    """Return True for a row with the fields that this module writes, of their types."""
    texts = (row["name"], row["model"], row["target"], row["file"], row["status"])
    findings: list[object] = []
    for each in row["findings"]:
        findings += [each[key] for key in ("code", "severity", "message")]
    numbers = [row["figures"].get(gate.name, 0.0) for gate in GATES]
    return (
        all(isinstance(text, str) for text in (*texts, *findings))
        and all(isinstance(number, (int, float)) for number in numbers)
        and isinstance(row["stages"], list)
    )


def _json(path: Path) -> Any:
    with path.open("rb") as file:
        return json.loads(file.read(MAX_SUMMARY))


def _stored(path: Path, log: Log) -> Mapping[str, Mapping[str, float]]:
    """Return the figures of the baseline, none without one. Raises ``InputError`` (U620)."""
    try:
        tree = _json(path)
        if tree["schema"] != BASELINE_SCHEMA:
            raise ValueError(f"its schema is not {BASELINE_SCHEMA}")
        return {
            str(name): {str(key): float(value) for key, value in row.items()}
            for name, row in tree["rows"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.add(
            UnreadableProject(
                problem="the baseline is not one that `nirc build --accept` wrote",
                found=str(error)[:200],
                help="take the version of your repository, or write it with --accept",
                file=str(path),
            )
        )
        log.raise_if_errors()
        raise AssertionError("an error was logged") from None


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
    found = [each for each in tree["findings"] if each["code"] != "P328"]
    return {**tree, "gates": gates, "findings": found + missed}
