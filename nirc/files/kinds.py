"""Kinds of values that a file may hold, and the check of a value.

deploy.py holds this module's text. It needs the standard library of Python 3.9 only.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from nirc.files.faults import Faults, join

MAX_TEXT = 4096  # characters of a name that is free


class Kind(ABC):
    """The values that are allowed.

    ``doc`` explains the value, ``source`` is the origin of its range.
    """

    doc: str = ""
    source: str = ""

    @abstractmethod
    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Note all faults of ``value``."""


def _words() -> Any:
    """Return a field that deploy.py does not need."""
    return field(default="", repr=False)


def _shape_fits(value: Any, shape: tuple[int | str | Size, ...], path: str, faults: Faults) -> bool:
    """Note an array with another shape. Axes with a name may have any length."""
    axes = [axis for axis, n in enumerate(shape) if isinstance(n, int)]
    good = value.ndim == len(shape) and all(value.shape[axis] == shape[axis] for axis in axes)
    if not good:
        faults.damaged(path, "an array has another shape", value.shape, shape)
    return bool(good)


def _is_object(value: Any, path: str, faults: Faults) -> bool:
    """Note a value that is no JSON object."""
    good = isinstance(value, dict)
    if not good:
        faults.damaged(path, "a JSON object is missing", value, "an object")
    return good


@dataclass(frozen=True)
class Size:
    """The length of an axis, by name. A chip takes ``least`` to ``most``."""

    name: str
    most: int
    least: int = 1
    source: str = _words()

    def fits(self, n: int, path: str, faults: Faults) -> bool:
        """Note a length that the chip does not take."""
        good = self.least <= n <= self.most
        if not good:
            message = f"the number of {self.name} is outside the chip's range"
            faults.outside(path, n, (self.least, self.most), message, self.source)
        return good


@dataclass(frozen=True)
class Integer(Kind):
    """An integer from ``low`` to ``high``. With ``only``, one of these."""

    low: int
    high: int
    only: tuple[int, ...] = ()
    doc: str = _words()
    source: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """True, 1.0 and "1" are no integers."""
        if type(value) is not int:
            faults.damaged(path, "a value is not an integer", value, f"{self.low}..{self.high}")
        elif not self.low <= value <= self.high:
            faults.outside(path, value, (self.low, self.high), source=self.source)
        elif self.only and value not in self.only:
            faults.outside(path, value, list(self.only), source=self.source)


@dataclass(frozen=True)
class Number(Kind):
    """A number from ``low`` to ``high``, with or without a fraction."""

    low: float
    high: float
    doc: str = _words()
    source: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Infinity is outside, NaN cannot be in JSON."""
        if type(value) not in (int, float):
            faults.damaged(path, "a value is not a number", value, f"{self.low:g}..{self.high:g}")
        elif not self.low <= value <= self.high:
            faults.outside(path, value, f"{self.low:g}..{self.high:g}", source=self.source)


@dataclass(frozen=True)
class Flag(Kind):
    """True or false."""

    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """1 is not true."""
        if not isinstance(value, bool):
            faults.damaged(path, "a flag is neither true nor false", value, "true or false")


@dataclass(frozen=True)
class Text(Kind):
    """Printable characters, ``least`` to ``most``."""

    most: int
    least: int = 1
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Control characters are refused."""
        short = isinstance(value, str) and self.least <= len(value) <= self.most
        if not short or not value.isprintable():
            allowed = f"{self.least} to {self.most} printable characters"
            faults.damaged(path, "a text is missing", value, allowed)


@dataclass(frozen=True)
class Choice(Kind):
    """One of several words."""

    words: tuple[str, ...]
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Each word as it is written."""
        if not isinstance(value, str) or value not in self.words:
            faults.damaged(path, "a word is unknown", value, ", ".join(self.words))


@dataclass(frozen=True)
class Const(Kind):
    """The one value that nirc writes here."""

    value: Any
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """The type counts, too: 1 is not true."""
        wanted = self.value
        is_list = isinstance(wanted, list)
        if isinstance(wanted, dict):
            fields: dict[str, Kind] = {name: Const(inner) for name, inner in wanted.items()}
            Object(fields).check(value, path, faults)
        elif type(value) is not type(wanted) or (is_list and len(value) != len(wanted)):
            faults.damaged(path, "a setting is unknown", value, json.dumps(wanted))
        elif is_list:
            for i, inner in enumerate(wanted):
                Const(inner).check(value[i], f"{path}[{i}]", faults)
        elif value != wanted:
            faults.damaged(path, "a setting is unknown", value, json.dumps(wanted))


@dataclass(frozen=True)
class Maybe(Kind):
    """Null, or a value of a kind."""

    kind: Kind
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Null is always right."""
        if value is not None:
            self.kind.check(value, path, faults)


@dataclass(frozen=True)
class Many(Kind):
    """A list of values of one kind.

    ``size`` is a number, a ``Size``, or the name of a length that is free.
    """

    item: Kind
    size: int | str | Size
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Entries are checked only if there are not too many."""
        if _length_fits(value, self.size, path, faults):
            for i, item in enumerate(value):
                self.item.check(item, f"{path}[{i}]", faults)


def _length_fits(value: Any, size: int | str | Size, path: str, faults: Faults) -> bool:
    if type(value) is not list or (isinstance(size, int) and len(value) != size):
        wanted = f"a list of {size}" if isinstance(size, int) else "a list"
        faults.damaged(path, "a list is missing or of the wrong length", value, wanted)
        return False
    return size.fits(len(value), path, faults) if isinstance(size, Size) else True


@dataclass(frozen=True)
class Integers(Kind):
    """Nested lists of integers. Each axis of ``shape`` has a length, a name or a ``Size``.

    ``check_shapes`` compares the lengths that have names.
    """

    shape: tuple[int | str | Size, ...]
    low: int
    high: int
    doc: str = _words()
    source: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Look at all numbers at once. Look for the place only if something is wrong.

        Before a file is written, an array of integers may stand for the lists.
        """
        if not faults.exact and hasattr(value, "dtype"):
            self._check_array(value, path, faults)
        elif _length_fits(value, self.shape[0], path, faults) and not self._fits(value):
            self._explain(value, path, list(self.shape), faults)

    def _check_array(self, value: Any, path: str, faults: Faults) -> None:
        allowed = (self.low, self.high)
        if value.dtype.kind != "i":
            wanted = f"{self.low}..{self.high}"
            faults.damaged(path, "a value is not an integer", value.dtype.str, wanted)
        elif not _shape_fits(value, self.shape, path, faults):
            return
        elif value.size and not self.low <= value.min() <= value.max() <= self.high:
            bad = value[(value < self.low) | (value > self.high)]
            faults.outside(path, bad[0].item(), allowed, source=self.source, others=len(bad) - 1)

    def _fits(self, value: list[Any]) -> bool:
        flat = value
        for size in self.shape[1:]:
            if not set(map(type, flat)) <= {list}:
                return False
            if isinstance(size, int) and not set(map(len, flat)) <= {size}:
                return False
            flat = list(chain.from_iterable(flat))
        integers = set(map(type, flat)) <= {int}
        return integers and (not flat or self.low <= min(flat) <= max(flat) <= self.high)

    def has_shape(self, value: Any, shape: tuple[int, ...]) -> bool:
        """Return True if the lists, which have been checked, have these lengths."""
        if hasattr(value, "dtype"):
            return bool(value.shape == shape)
        rows = [value]
        for depth, size in enumerate(shape):
            if depth:
                rows = list(chain.from_iterable(rows))
            if not set(map(len, rows)) <= {size}:
                return False
        return True

    def _explain(self, value: Any, path: str, axes: list[int | str | Size], faults: Faults) -> None:
        if not axes:
            Integer(self.low, self.high, source=self.source).check(value, path, faults)
        elif _length_fits(value, axes[0] if isinstance(axes[0], int) else "", path, faults):
            for i, inner in enumerate(value):
                self._explain(inner, f"{path}[{i}]", axes[1:], faults)


@dataclass(frozen=True)
class Array(Kind):
    """An array of numpy, of exactly this type. Each axis of ``shape`` has a length or a name.

    ``points`` means that the numbers point to something. One outside the range is damage then.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float
    high: float
    points: bool = False
    doc: str = _words()
    source: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Lengths that have names may be any."""
        if value.dtype.str != self.dtype and (faults.exact or value.dtype.kind != self.dtype[1]):
            faults.damaged(path, "an array has another type", value.dtype.str, self.dtype)
            return
        if not _shape_fits(value, self.shape, path, faults):
            return
        # False for NaN.
        inside = not value.size or (value.min() >= self.low and value.max() <= self.high)
        if inside:
            return
        bad = value[~((value >= self.low) & (value <= self.high))]
        if self.points:
            wanted = f"{self.low}..{self.high}"
            faults.damaged(path, "a number points to nothing", bad[0].item(), wanted)
        else:
            allowed = (self.low, self.high)
            faults.outside(path, bad[0].item(), allowed, source=self.source, others=len(bad) - 1)


@dataclass(frozen=True)
class Object(Kind):
    """Named fields. ``optional`` may be missing. ``open`` allows fields without a description.

    An object with arrays lists their names in its field "arrays".
    """

    fields: dict[str, Kind]
    optional: tuple[str, ...] = ()
    open: bool = False
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """An unknown field is a fault. It could mean something to the chip."""
        if not _is_object(value, path, faults):
            return
        before = f"{path}." if path else ""
        for name, kind in self.fields.items():
            if name in value:
                kind.check(value[name], before + name, faults)
            elif name not in self.optional:
                faults.damaged(before + name, "a field is missing", None, "this field")
        others = value.keys() - self.fields.keys()
        if "arrays" in others and self.arrays_of(value):
            others.remove("arrays")
            Const(self.arrays_of(value)).check(value["arrays"], f"{before}arrays", faults)
        for name in sorted(others) if not self.open else ():
            faults.damaged(join(path, name), "a field is unknown", value[name], "no such field")

    def arrays_of(self, value: dict[str, Any]) -> list[str]:
        """Return the names of the arrays that ``value`` has, in the order of the fields."""
        return [
            name for name, kind in self.fields.items() if isinstance(kind, Array) and name in value
        ]


@dataclass(frozen=True)
class Map(Kind):
    """Values of one kind under names that are free."""

    item: Kind
    doc: str = _words()

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """Names are printable."""
        if not _is_object(value, path, faults):
            return
        before = f"{path}." if path else ""
        for name, item in value.items():
            if name.isidentifier() and name.isascii():
                self.item.check(item, before + name, faults)
            else:
                Text(MAX_TEXT).check(name, path, faults)
                self.item.check(item, join(path, name), faults)


@dataclass(frozen=True)
class Switch(Kind):
    """Objects with other fields for each value of one field.

    ``default`` is for all other values.
    """

    key: str
    cases: tuple[tuple[Any, Kind], ...]
    default: Kind | None = None
    doc: str = _words()

    def case(self, value: dict[str, Any]) -> Kind | None:
        """Return the kind of ``value``."""
        found = value.get(self.key)
        for wanted, kind in self.cases:
            if type(found) is type(wanted) and found == wanted:
                return kind
        return self.default

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """A key that is in no case is a fault."""
        if not _is_object(value, path, faults):
            return
        kind = self.case(value)
        if kind is not None:
            kind.check(value, path, faults)
        else:
            allowed = ", ".join(str(wanted) for wanted, _ in self.cases)
            faults.damaged(join(path, self.key), "a word is unknown", value.get(self.key), allowed)
