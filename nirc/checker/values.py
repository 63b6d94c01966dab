"""Check a bundle of nirc without nirc: does the chip get the network that the bundle names?

  python check.py [DIRECTORY]

The checker reads the files that go to the chip, rebuilds the network of integers from their bytes
alone, and compares it with the quantised network in network.nir: neuron by neuron, weight by
weight, delay by delay. It walks every route, counts every limit of the chip with numbers of its
own, and bounds every accumulator. certificate.json names the bytes of network.nir's arrays, so that
no HDF5 is needed. `nirc check` confirms those names.

It needs Python 3.9 and numpy, imports nothing of nirc, and shares no code with it. This file is
yours: use, change and pass it on as you like.
Exit status: 0 nothing found, 1 findings (one a line), 2 usage.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of numpy


@dataclass(frozen=True)
class Finding:
    """Something wrong. ``kind``: unreadable, altered, network, limit, route or overflow."""

    kind: str
    file: str
    place: str
    problem: str
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        numbers = [f"found {self.found}"] * bool(self.found)
        numbers += [f"wanted {self.wanted}"] * bool(self.wanted)
        return ": ".join([self.file, self.place, ", ".join([self.problem, *numbers])])


def finding(kind: str, file: str, place: str, problem: str, *values: object) -> Finding:
    """Return a finding with the value that was found, and the one wanted, as short ASCII."""
    texts = [ascii(each if isinstance(each, str) else repr(each))[1:-1][:80] for each in values]
    return Finding(kind, file, place, problem, *texts)


class Refused(Exception):
    """A file that cannot be read further."""

    def __init__(self, file: str, place: str, problem: str, *values: object) -> None:
        super().__init__(file, place, problem)
        self.finding = finding("unreadable", file, place, problem, *values)


@dataclass(frozen=True)
class Node:
    """A value of JSON and its place. Every access checks the type."""

    file: str
    path: str
    value: Any

    def refused(self, wanted: str) -> Refused:
        """Return the refusal of this value."""
        return Refused(self.file, self.path or "the file", "a value is odd", self.value, wanted)

    def __getitem__(self, key: str) -> Node:
        path = f"{self.path}.{key}".lstrip(".")
        if not isinstance(self.value, dict) or key not in self.value:
            raise Refused(self.file, path, "a field is missing")
        return Node(self.file, path, self.value[key])

    def has(self, required: str, optional: str = "") -> Node:
        """Demand an object with these fields, in words apart by blanks, and no others."""
        for name in required.split():
            self[name]
        for name in sorted(set(self.value) - {*required.split(), *optional.split()}):
            raise Refused(self.file, f"{self.path}.{name}".lstrip("."), "a field is unknown")
        return self

    def names(self) -> list[str]:
        """Return the names of an object's fields."""
        if not isinstance(self.value, dict):
            raise self.refused("an object")
        return list(self.value)

    def list(self) -> list[Node]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            raise self.refused("a list")
        return [Node(self.file, f"{self.path}[{i}]", v) for i, v in enumerate(self.value)]

    def one_of(self, *values: object) -> Any:
        """Return a value that is one of these. true is not 1, and 1 is not 1.0."""
        if not any(type(self.value) is type(v) and self.value == v for v in values):
            raise self.refused(" or ".join(map(repr, values)))
        return self.value

    def text(self) -> str:
        """Return a text."""
        if not isinstance(self.value, str):
            raise self.refused("a text")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """Return an integer in a range."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.refused(f"{low}..{high}")
        return self.value

    def integers(self, low: int, high: int, *shape: int | None) -> Array:
        """Return an array of integers. None in ``shape`` is any length."""
        items: list[Any] = [self.value]
        sizes = []
        for wanted in shape:
            lengths = {len(each) if type(each) is list else -1 for each in items}
            if len(lengths) != 1 or -1 in lengths or (wanted is not None and lengths != {wanted}):
                raise self.refused(f"a list of {wanted or 'equal lists'}")
            sizes.append(lengths.pop())
            items = list(itertools.chain.from_iterable(items))
            if not items:
                return np.zeros([*sizes, *(n or 0 for n in shape[len(sizes) :])], np.int64)
        if set(map(type, items)) != {int} or not low <= min(items) <= max(items) <= high:
            odd = next(x for x in items if type(x) is not int or not low <= x <= high)
            raise Node(self.file, self.path, odd).refused(f"{low}..{high}")
        return np.array(items, np.int64).reshape(sizes)

    def column(self, name: str, low: int, high: int) -> Array:
        """Return a field of every object in a list."""
        values = [row[name].value for row in self.list()]
        return Node(self.file, f"{self.path}[].{name}", values).integers(low, high, None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
