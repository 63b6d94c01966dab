"""Changes of one place in a tree. A place is written "populations[0].name"."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nirc.files.faults import join
from nirc.files.kinds import (
    Array,
    Choice,
    Const,
    Flag,
    Integer,
    Integers,
    Kind,
    Many,
    Map,
    Maybe,
    Number,
    Object,
    Size,
    Switch,
    Text,
)
from nirc.files.runs import Runs

Tree = Any
Change = Callable[[Tree], None]


def keys(path: str) -> list[str | int]:
    """The steps that lead to a place. Names with dots stand in quotes."""
    found = re.findall(r"'([^']*)'|([^.\[\]']+)|\[(\d+)\]", path)
    return [int(index) if index else quoted or name for quoted, name, index in found]


def at(tree: Tree, path: str) -> Any:
    """The value at a place."""
    for key in keys(path):
        tree = tree[key]
    return tree


def put(path: str, value: object) -> Change:
    """Set a value."""
    return lambda tree: _above(tree, path).__setitem__(keys(path)[-1], copy.deepcopy(value))


def drop(path: str) -> Change:
    """Delete a field or an entry."""
    return lambda tree: _above(tree, path).__delitem__(keys(path)[-1])


def more(path: str, value: object) -> Change:
    """Append to a list."""
    return lambda tree: at(tree, path).append(copy.deepcopy(value))


def _above(tree: Tree, path: str) -> Any:
    for key in keys(path)[:-1]:
        tree = tree[key]
    return tree


# Changes that no file survives, for each field of a description.

WRONG: dict[type[Kind], list[Any]] = {
    Integer: [True, 1.5, "1", [1], {}],
    Number: [True, "1", [1.0]],
    Flag: [0, 1, "true", [], {}],
    Text: ["", 3, ["a"], "a\x1b[2J", {}],
    Choice: ["another", ["a"], 0, {}],
    Many: [{}, "list", 3],
    Integers: [{}, "list", 3, [[[[[1]]]]], [None]],
    Object: [[], "object", 3],
    Map: [[], "object", 3],
    Switch: [[], "object", 3],
}


def spoiled(
    kind: Kind, value: Any, path: str = "", null: bool = False
) -> Iterator[tuple[str, Change]]:
    """Changes of ``value`` and of all that is in it, which the description forbids.

    Of lists the last entry.
    """
    kind = kind.kind if isinstance(kind, Runs) else kind
    wrong = list(WRONG.get(type(kind), []))
    wrong += [] if null or isinstance(kind, Maybe) else [None]
    match kind:
        case Maybe():
            if value is not None:
                yield from spoiled(kind.kind, value, path, null=True)
            else:
                wrong = WRONG[type(kind.kind)]
        case Integer() | Number():
            wrong += [kind.low - max(1, abs(kind.low)), kind.high + max(1, abs(kind.high))]
            if isinstance(kind, Integer) and kind.only:
                wrong += [n for n in range(kind.low, kind.high) if n not in kind.only][:1]
        case Text():
            wrong = [*wrong[kind.least == 0 :], "a" * (kind.most + 1)]
        case Const():
            wrong = [bad for bad in ["another", 3, {}, [3], None] if bad != kind.value]
        case Many():
            wrong += _lengths(kind.size, value)
            if value:
                yield from spoiled(kind.item, value[-1], f"{path}[{len(value) - 1}]")
        case Integers():
            wrong += _lengths(kind.shape[0], value)
            yield from _leaf(kind, value, path)
        case Object():
            yield from _fields(kind, value, path)
        case Map():
            for name, inner in list(value.items())[-1:]:
                yield from spoiled(kind.item, inner, join(path, name))
        case Switch():
            inner = kind.case(value)
            assert inner is not None
            yield from spoiled(inner, value, path)
        case Array():
            wrong = _arrays(kind, value)
    for bad in wrong if path else []:
        yield path, put(path, bad)


def _lengths(size: int | str | Size, value: list[Any]) -> list[list[Any]]:
    """Lists that are too short or too long."""
    if isinstance(size, int):
        return [value[:-1], [*value, value[-1]]]
    if isinstance(size, Size):
        return [value[: size.least - 1], (value * (size.most + 1))[: size.most + 1]]
    return []


def _leaf(kind: Integers, value: Any, path: str) -> Iterator[tuple[str, Change]]:
    """Other values of the last number, other lengths of its row."""
    place = path
    for _ in kind.shape:
        if not value:
            return
        place, row, value = f"{place}[{len(value) - 1}]", value, value[-1]
    for bad in [kind.low - 1, kind.high + 1, True, 1.5, None, "1", [1]]:
        yield place, put(place, bad)
    if len(kind.shape) > 1:
        row_place = place[: place.rindex("[")]
        yield row_place, put(row_place, row[:-1])
        yield row_place, put(row_place, [*row, row[0]])


def _fields(kind: Object, value: dict[str, Any], path: str) -> Iterator[tuple[str, Change]]:
    """A field that is missing, one too many, and what is wrong inside the fields."""
    before = f"{path}." if path else ""
    if not kind.open:
        yield f"{before}unknown", put(f"{before}unknown", 1)
    for name, inner in kind.fields.items():
        if name in value:
            yield from spoiled(inner, value[name], before + name)
            if name not in kind.optional:
                yield before + name, drop(before + name)


def _arrays(kind: Array, value: Any) -> list[Any]:
    """Arrays of another type or shape, and with a value outside the range if the type has one."""
    made = [value.astype("<f8"), value[None], value.reshape(-1)[:, None, None, None, None]]
    for bad in (kind.low - 1, kind.high + 1):
        with np.errstate(all="ignore"):
            if (
                value.size
                and np.array([bad]).astype(value.dtype)[0] == bad
                and bad not in (kind.low, kind.high)
            ):
                other = value.copy()
                other.flat[-1] = bad
                made.append(other)
    return made
