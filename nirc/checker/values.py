"""Check a bundle of nirc without nirc: does the chip get the network that the bundle names?

It rebuilds the network of integers from the bytes of the files that go to the chip, and compares it
with the quantised network in network.nir: neuron by neuron, weight by weight, delay by delay. It
walks every route, counts every limit with numbers of its own, and bounds every accumulator.
certificate.json names the bytes of network.nir's arrays. `nirc check` confirms those names.
It needs Python 3.9 and numpy, and shares no code with nirc. Use it, change it and pass it on.

Exit status: 0 the chip gets the network, though some input may drive a state out of its range, 1
something is wrong (a line each), 2 usage.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

# fmt: off
Array = Any  # of numpy
MOST = 1 << 23  # values of a list in full


class Finding(Exception):
    """Something wrong. ``kind``: unreadable, network, limit, route or overflow."""
    def __init__(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        self.kind, self.file, self.problem = kind, file, problem
        texts = [ascii(str(each))[1:-1].replace("\\'", "'") for each in (place, *values, "", "")]
        self.place, self.found, self.wanted, *_ = (text[:400] for text in texts)

    def __str__(self) -> str:
        found = f", found {self.found}" * bool(self.found)
        wanted = f", expected {self.wanted}" * bool(self.wanted)
        return f"{self.file}: {self.place}: {self.problem}{found}{wanted}"


def demand(is_so: Any, *what: Any, kind: str = "unreadable") -> None:
    """Read no further if something is wrong: ``what``, as ``Finding`` has it."""
    if not is_so:
        raise Finding(kind, *what)


def fit(file: str, value: Any, pattern: Any, place: str = "") -> Any:
    """Return a value of JSON, lists of integers as arrays. Raise ``Finding`` if it is odd.

    Patterns: (low, high) an integer, (low, high, axes) lists of integers, [pattern, ...] a list,
    {key: pattern} an object, ... as a key: of all other keys, {a, b} one of these, a type, a
    function of these arguments, else the value itself. true is not 1, and 1 is not 1.0.
    """
    kind, wanted = type(pattern), pattern
    if kind is dict and type(value) is dict:
        wanted = [key for key in pattern if key is not ...]
        if set(wanted) == set(value) or (... in pattern and set(wanted) <= set(value)):
            rows = ((key, pattern.get(key, pattern.get(...))) for key in value)
            return {k: fit(file, value[k], p, f"{place}.{k}".lstrip(".")) for k, p in rows}
    elif kind is list and type(value) is list:
        rows = pattern[:1] * len(value) if pattern[1:] == [...] else pattern
        if len(rows) == len(value):
            return [fit(file, value[i], p, f"{place}[{i}]") for i, p in enumerate(rows)]
    elif kind is tuple:
        (low, high, *axes), array = pattern, np.array(value, object)
        items = array.ravel().tolist()
        fits = array.ndim == sum(axes) or (axes and not items)  # an empty list has any axes
        if fits and {*map(type, items)} <= {int} and all(low <= item <= high for item in items):
            return array.astype(np.int64) if axes else value
    elif ((kind is set and type(value) in (str, int) and value in pattern)
          or pattern in (object, type(value)) or (kind is type(value) and pattern == value)):
        return value
    elif kind is not type and callable(pattern):
        return pattern(file, value, place)
    raise Finding("unreadable", file, place or "the file", "a value is odd", value, wanted)


def in_full(file: str, value: Any, place: str) -> list[Any]:
    """Return a list in which an entry [first, count, step] stands for ``count`` values."""
    values: list[Any] = []
    for row in fit(file, value, [object, ...], place):
        if type(row) is list:
            most = MOST - len(values)
            each = (-MOST, MOST) if row[2:] != [0] else object
            first, count, step = fit(file, row, [each, (1, most), (-most, most)], place)
            values += range(first, first + count * step, step) if step else [first] * count
        else:
            values.append(row)
    return values


def parsed(file: str, data: bytes, pattern: Any) -> Any:
    """Return the tree of a JSON text that fits a pattern."""
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len(dict(pairs)) == len(pairs), file, "the file", "a name stands twice")
        return dict(pairs)
    try:
        tree = json.loads(data.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Finding("unreadable", file, "the file", "it is no JSON", error) from None
    return fit(file, tree, pattern)
