"""`nirc sweep`: one model over targets and values of options, each combination a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from nirc.chip import registry
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.options import Options
from nirc.project.file import OPTIONS
from nirc.project.summary import FIGURES, figures_of
from nirc.project.task import Answer, Task
from nirc.project.workers import answers
from nirc.version import __version__

SCHEMA = "nirc-sweep/1"
MOST_ROWS = 10_000
YES = {"true": True, "false": False}

Value = str | int | float | bool


@dataclass(frozen=True)
class Varied:
    """An option, and the values that it takes in turn. ``own``: an option of a chip."""

    name: str
    values: tuple[Value, ...]
    own: bool = False


def varied(text: str, targets: Sequence[str]) -> Varied:
    """Return ``NAME=V1,V2``. Values that hold commas are separated by ``;``.

    Raises ``UsageError`` (U607) for a name or value that makes no sense.
    """
    name, _, listed = text.partition("=")
    values = [each.strip() for each in listed.split(";" if ";" in listed else ",")]
    chips = registry.option_names(*targets)
    if not all(values):
        raise _senseless(f"`--vary {text}` is not of the form NAME=VALUE,VALUE", text)
    values = list(dict.fromkeys(values))
    if name in chips:
        return Varied(name, tuple(values), own=True)
    if name not in OPTIONS:
        known = sorted([*OPTIONS, *chips])
        raise _senseless(f"there is no option `{name}` to vary", name, ", ".join(known),
                         did_you_mean(name, known))  # fmt: skip
    kind = OPTIONS[name][1][-1]
    return Varied(name, tuple(_value(name, each, kind) for each in values))


def _value(name: str, text: str, kind: type) -> Value:
    try:
        return YES[text] if kind is bool else kind(text)
    except (ValueError, KeyError, OverflowError):
        raise _senseless(f"`{name}` cannot be `{text}`", text, kind.__name__) from None


def _senseless(problem: str, found: str, limit: str = "", help: str = "") -> NircError:
    return OptionMakesNoSense(problem=problem, found=found, limit=limit, help=help).refusal()


def tasks_of(
    targets: Sequence[str],
    options: Options,
    varying: Sequence[Varied],
    files: Mapping[str, bytes],
    names: Mapping[str, str],
    allowed: tuple[str, ...] = (),
    refused: tuple[str, ...] = (),
) -> dict[str, tuple[Task, dict[str, Value]]]:
    """Return a task for each combination by name, with the values that it varies.

    An option of a chip is left out for a target that has none of this name. Raises ``UsageError``
    (U607) for a value that no compilation takes, or for too many rows.
    """
    _check(targets, options, varying)
    tasks: dict[str, tuple[Task, dict[str, Value]]] = {}
    for target in dict.fromkeys(targets):
        known = registry.option_names(target)
        own = tuple(pair for pair in options.chip if pair[0] in known)
        axes = [v for v in varying if not v.own or v.name in known]
        for values in product(*(axis.values for axis in axes)):
            given = {axis.name: value for axis, value in zip(axes, values, strict=True)}
            asked = _with(replace(options, chip=own), axes, given)
            asked.checked(Log())
            parts = [target.replace(":", "-"), *(f"{n}-{v}" for n, v in given.items())]
            task = Task(".".join(parts), target, asked, files, names, allowed, refused)
            tasks[task.name] = (task, given)
            if len(tasks) > MOST_ROWS:
                raise _senseless("the sweep has too many rows", str(len(tasks)), str(MOST_ROWS))
    return tasks


def _check(targets: Sequence[str], options: Options, varying: Sequence[Varied]) -> None:
    """Refuse an option that no target has, and one that is varied twice."""
    known = registry.option_names(*targets)
    for name, _ in options.chip:
        if name not in known:
            raise _senseless(f"no target has an option `{name}`", name, ", ".join(sorted(known)))
    names = [axis.name for axis in varying]
    for name in names:
        if names.count(name) > 1:
            raise _senseless(f"`{name}` is varied twice", name, "one --vary with all its values")


def _with(options: Options, axes: Sequence[Varied], given: Mapping[str, Value]) -> Options:
    chip = dict(options.chip)
    fields: dict[str, Any] = {}
    for axis in axes:
        if axis.own:
            chip[axis.name] = str(given[axis.name])
        else:
            fields[OPTIONS[axis.name][0]] = given[axis.name]
    return replace(options, chip=tuple(sorted(chip.items())), **fields)


def sweep(
    tasks: Mapping[str, tuple[Task, dict[str, Value]]],
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return the tree of a sweep: a row for each task, in their order, whatever the workers do."""
    rows: dict[str, dict[str, Any]] = {}
    for answer in answers([task for task, _ in tasks.values()], jobs=jobs, scheduler=scheduler):
        rows[answer.name] = _row(answer, *tasks[answer.name])
        if progress is not None:
            progress(len(rows))
    return {
        "schema": SCHEMA,
        "nirc_version": __version__,
        "rows": [rows[name] for name in tasks],
    }


def _row(answer: Answer, task: Task, given: Mapping[str, Value]) -> dict[str, Any]:
    return {
        "name": task.name,
        "target": task.target,
        "varied": dict(given),
        "status": "failed" if answer.files is None else "built",
        "figures": dict(answer.figures),
        "findings": [finding.as_dict() for finding in answer.findings],
    }


def head_of(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the heads of the table of a sweep."""
    names: dict[str, None] = {}
    for row in tree["rows"]:
        names |= dict.fromkeys(row["varied"])
    return ("target", *names, "status", *FIGURES)


def cells(row: Mapping[str, Any], head: Sequence[str]) -> list[str]:
    """Return the texts of a row under ``head``. A row that failed shows its codes."""
    status = row["status"]
    if status == "failed":
        codes = {f["code"]: None for f in row["findings"] if f["severity"] == "error"}
        status = f"no: {', '.join(codes)}"
    varied_ = [str(row["varied"].get(name, "-")) for name in head[1 : -len(FIGURES) - 1]]
    return [row["target"], *varied_, status, *figures_of(row["figures"])]
