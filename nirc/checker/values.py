"""Check a bundle of nirc without nirc: does the chip get the network that the bundle names?

  python check.py [DIRECTORY]      default: the directory of this file

The checker rebuilds the network of integers from the bytes of the files that go to the chip, and
compares it with the quantised network in network.nir: neuron by neuron, weight by weight, delay by
delay. It walks every route, counts every limit of the chip with numbers of its own, and bounds
every accumulator. certificate.json names the bytes of network.nir's arrays, so that no HDF5 is
needed. `nirc check` confirms those names.

It needs Python 3.9 and numpy, imports nothing of nirc, and shares no code with it. This file is
yours: use, change and pass it on as you like.
Exit status: 0 the chip gets the network, though some input may drive a state out of its range, 1
something is wrong (a line each), 2 usage.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np

# fmt: off
Array = Any  # of numpy
MOST = 1 << 23  # values of a list in full


class Finding(Exception):
    """Something wrong. ``kind``: unreadable, network, limit, route or overflow."""

    def __init__(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        super().__init__(kind)
        self.kind, self.file, self.problem = kind, file, problem
        texts = [ascii(str(each))[1:-1][:80] for each in (place, *values, "", "")]
        self.place, self.found, self.wanted, *_ = texts

    def __str__(self) -> str:
        found = f", found {self.found}" * bool(self.found)
        wanted = f", expected {self.wanted}" * bool(self.wanted)
        return f"{self.file}: {self.place}: {self.problem}{found}{wanted}"


def demand(is_so: Any, *what: Any, kind: str = "unreadable") -> None:
    """Read no further if something is wrong: ``what``, as ``Finding`` has it."""
    if not is_so:
        raise Finding(kind, *what)


def fit(file: str, value: Any, pattern: Any, place: str = "") -> Any:
    """Return a value of JSON, lists of integers as arrays. Raise ``Refused`` if it is odd.

    Patterns: (low, high) an integer, (low, high, axes) lists of integers, [pattern, ...] a list,
    {key: pattern} an object, ... as a key: of all other keys, {a, b} one of these, a type, a
    function of these arguments, else the value itself. true is not 1, and 1 is not 1.0.
    """
    kinds, wanted = (type(pattern), type(value)), pattern
    if kinds == (dict, dict):
        wanted = [key for key in pattern if key is not ...]
        if set(wanted) == set(value) or (... in pattern and set(wanted) <= set(value)):
            rows = ((key, pattern.get(key, pattern.get(...))) for key in value)
            return {k: fit(file, value[k], p, f"{place}.{k}".lstrip(".")) for k, p in rows}
    elif kinds == (list, list):
        rows = pattern[:1] * len(value) if pattern[1:] == [...] else pattern
        if len(rows) == len(value):
            pairs = enumerate(zip(value, rows))
            return [fit(file, v, p, f"{place}[{i}]") for i, (v, p) in pairs]
    elif kinds[0] is tuple:
        array = integers(value, *pattern)
        if array is not None:
            return array
    elif kinds[0] in (set, type({}.keys())):
        if kinds[1] in (str, int) and value in pattern:
            return value
    elif pattern is object or pattern is kinds[1] or (kinds[0] is kinds[1] and pattern == value):
        return value
    elif kinds[0] is not type and callable(pattern):
        return pattern(file, value, place)
    problem = "a value is not what it may be"
    raise Finding("unreadable", file, place or "the file", problem, value, wanted)


def integers(value: Any, low: int, high: int, axes: int = 0) -> Any:
    """Return an array of integers, a number without axes, None if there are others in the lists."""
    items, sizes = [value], []
    for _ in range(axes):
        lengths = {len(each) if type(each) is list else -1 for each in items}
        if len(lengths) > 1 or -1 in lengths:
            return None
        sizes.append(max(lengths, default=0))
        items = list(itertools.chain.from_iterable(items))
    if {*map(type, items)} <= {int} and (not items or low <= min(items) <= max(items) <= high):
        return np.array(items, np.int64).reshape(sizes) if axes else value
    return None


def in_full(file: str, value: Any, place: str) -> list[Any]:
    """Return a list in which an entry [first, count, step] stands for ``count`` values."""
    values: list[Any] = []
    for row in fit(file, value, [object, ...], place):
        if type(row) is not list:
            values.append(row)
            continue
        most = MOST - len(values)
        first, count, step = fit(file, row, [object, (1, most), (-most, most)], place)
        first = fit(file, first, (-MOST, MOST), place) if step else first
        values += range(first, first + count * step, step) if step else [first] * count
    return values


def parsed(file: str, data: bytes, pattern: Any) -> Any:
    """Return the tree of a JSON text that fits a pattern."""
    try:
        tree = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Finding("unreadable", file, "the file", "it is no JSON", error) from None
    return fit(file, tree, pattern)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)
