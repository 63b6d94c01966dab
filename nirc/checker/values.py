"""Check a bundle of nirc without nirc: does the chip get the network that the bundle names?

  python check.py [DIRECTORY]

The checker reads the files that go to the chip, rebuilds the network of integers from their bytes
alone, and compares it with the quantised network in network.nir: neuron by neuron, weight by
weight, delay by delay. It walks every route, counts every limit of the chip with numbers of its
own, and bounds every accumulator. certificate.json names the bytes of network.nir's arrays, so that
no HDF5 is needed. `nirc check` confirms those names.

It needs Python 3.9 and numpy, imports nothing of nirc, and shares no code with it. This file is
yours: use, change and pass it on as you like.
Exit status: 0 the chip gets the network, though some input may drive a state out of its range, 1
something is wrong (a line each), 2 usage.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of numpy
MOST_VALUES = 1 << 23  # of a list in full


class Finding(Exception):
    """Something wrong. ``kind``: unreadable, network, limit, route or overflow."""

    def __init__(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        super().__init__(kind)
        self.kind, self.file, self.problem = kind, file, problem
        texts = [ascii(str(each))[1:-1][:80] for each in (place, *values, "", "")]
        self.place, self.found, self.wanted, *_ = texts

    def __str__(self) -> str:
        found = f", found {self.found}" if self.found else ""
        wanted = f", wanted {self.wanted}" if self.wanted else ""
        return f"{self.file}: {self.place}: {self.problem}{found}{wanted}"


class Refused(Finding):
    """A file that cannot be read further."""

    def __init__(self, file: str, place: str, problem: str, *values: object) -> None:
        super().__init__("unreadable", file, place, problem, *values)


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
        if key not in self.of(dict):
            raise Refused(self.file, path, "a field is missing")
        return Node(self.file, path, self.value[key])

    def has(self, fields: str) -> Node:
        """Demand an object with these fields, in words apart by blanks, and no others."""
        if set(self.of(dict)) != set(fields.split()):
            raise Refused(self.file, self.path, "the fields are others", list(self.value), fields)
        return self

    def of(self, kind: type) -> Any:
        """Return a value of this type: dict, list or str."""
        if type(self.value) is not kind:
            raise self.refused(f"a {kind.__name__}")
        return self.value

    def list(self) -> list[Node]:
        """Return the items of a list."""
        items = enumerate(self.of(list))
        return [Node(self.file, f"{self.path}[{i}]", value) for i, value in items]

    def one_of(self, *values: object) -> Any:
        """Return a value that is one of these. true is not 1, and 1 is not 1.0."""
        texts = [json.dumps(each, sort_keys=True) for each in values]
        if json.dumps(self.value, sort_keys=True) not in texts:
            raise self.refused(" or ".join(texts))
        return self.value

    def name_in(self, names: Iterable[str]) -> str:
        """Return a text that is one of these. ``names`` is a dict, for many of them."""
        if self.of(str) not in names:
            raise self.refused(" or ".join(itertools.islice(names, 9)))
        return str(self.value)

    def flat(self) -> Node:
        """Return a list in full: an entry [first, count, step] stands for ``count`` values."""
        values: list[Any] = []
        for row in self.list():
            if type(row.value) is not list:
                values.append(row.value)
                continue
            first, count, step = row.list() if len(row.value) == 3 else [row] * 3
            if len(values) + count.integer(1, MOST_VALUES) > MOST_VALUES:
                raise row.refused(f"at most {MOST_VALUES} values in all")
            if step.integer(-MOST_VALUES, MOST_VALUES):
                first.integer(-MOST_VALUES, MOST_VALUES)
                values += range(first.value, first.value + count.value * step.value, step.value)
            else:
                values += [first.value] * count.value
        return Node(self.file, self.path, values)

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
