"""Typed access to a raw node's fields. Faults name node, field, value and domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.file import (
    AllFieldsMissing,
    MissingField,
    NotNumbersOrText,
    UnknownField,
    ValueOutsideDomain,
)
from nirc.diagnostics.finding import Stated
from nirc.diagnostics.graph import DefaultAssumed
from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawNode
from nirc.ir.arrays import Float, Shape, frozen

MAX_AXIS = 1 << 24  # the longest axis that a shape may declare
MAX_AXES = 32  # values of a shape or of a field that has one for each axis


class BadNodeError(Exception):
    """The node cannot be built. Its faults have been reported."""


class Fields:
    """Typed access to a node's fields.

    ``connected``: the node has edges, so its neighbours may later settle an ambiguity.
    """

    def __init__(self, raw: RawNode, log: Log, *, connected: bool = False) -> None:
        self.raw = raw
        self.log = log
        self.connected = connected
        self.used: set[str] = {"type", "metadata"}
        self.bad = False
        self.missing: list[str] = []

    def fail(
        self,
        kind: type[Stated],
        field: str,
        problem: str,
        *,
        found: object = "",
        limit: str = "",
        help: str = "",
    ) -> None:
        """Report a fault of ``field``. ``finish`` then gives up the node."""
        self.bad = True
        problem = f"`{self.raw.type}`: {problem}"
        where = self.place(field)
        self.log.add(kind(where=where, problem=problem, found=found, limit=limit, help=help))

    def place(self, field: str) -> str:
        """Return the place of ``field`` in the file."""
        return f"{self.raw.path}/{field}"

    def has(self, field: str) -> bool:
        """Return True if the file has this field."""
        return field in self.raw.fields

    def assume(self, field: str, value: object, origin: str) -> None:
        """Warn (G220) of the ``value`` assumed for an absent field. ``origin``: of the value."""
        if field not in self.raw.fields:
            where = self.place(field)
            self.log.add(DefaultAssumed(where=where, field=field, value=value, origin=origin))

    def floats(
        self,
        field: str,
        *,
        default: float | None = None,
        infinite: bool = False,
        positive: bool = False,
    ) -> Float:
        """Return a float64 array. ``default`` makes the field optional."""
        self.used.add(field)
        if field not in self.raw.fields:
            if default is None:
                self._missing(field)
                return frozen(np.ones(1))
            return frozen(default)
        value = self.raw.fields[field]
        if isinstance(value, str):
            problem = f"field `{field}` is text"
            found = repr(value[:40])
            self.fail(NotNumbersOrText, field, problem, found=found, limit="numbers")
            return frozen(np.ones(1))
        array = frozen(value)
        if array.size == 0:
            problem = f"field `{field}` is empty"
            found = f"shape {array.shape}"
            self.fail(ValueOutsideDomain, field, problem, found=found, limit="one value or more")
            return frozen(np.ones(1))
        if np.isfinite(array).all() and not (positive and (array <= 0).any()):
            return array
        wrong = (
            np.isnan(array)
            | (np.isinf(array) & (not infinite or (array < 0)))
            | ((array <= 0) & positive)
        )
        if wrong.any():
            where = np.unravel_index(int(np.argmax(wrong)), array.shape)
            finite = "finite and > 0" if positive else "finite"
            limit = "> 0" if positive and infinite else finite
            self.fail(
                ValueOutsideDomain,
                field,
                f"field `{field}` has {int(wrong.sum())} value(s) outside its domain",
                found=f"{array[where]} at index {tuple(map(int, where))}",
                limit=limit,
                help="check the training run or the export",
            )
            return frozen(np.ones(1))
        return array

    def ints(
        self, field: str, *, default: Shape | None = None, low: int = 0, count: int | None = None
    ) -> Shape:
        """Return a tuple of integers >= ``low``. A scalar is repeated ``count`` times."""
        self.used.add(field)
        fallback = default if default is not None else (max(low, 1),) * (count or 1)
        if field not in self.raw.fields:
            if default is None:
                self._missing(field)
            return fallback
        value = self.raw.fields[field]
        if isinstance(value, str):
            problem = f"field `{field}` is text"
            found = repr(value[:40])
            self.fail(NotNumbersOrText, field, problem, found=found, limit="integers")
            return fallback
        if np.size(value) > MAX_AXES:
            problem = f"field `{field}` has too many values"
            found = f"{np.size(value)} values"
            self.fail(ValueOutsideDomain, field, problem, found=found, limit=f"{MAX_AXES} values")
            return fallback
        array: NDArray[Any] = np.asarray(value).ravel()
        if array.dtype.kind == "f":
            array = array.astype(np.float64)  # float16 cannot hold MAX_AXIS
        numeric = array.size > 0 and array.dtype.kind in "iufb" and np.isfinite(array).all()
        if not numeric or ((array != np.floor(array)) | (array < low) | (array > MAX_AXIS)).any():
            problem = f"field `{field}` must be integers"
            limit = f"{low} to {MAX_AXIS}"
            self.fail(ValueOutsideDomain, field, problem, found=str(array[:4]), limit=limit)
            return fallback
        numbers = tuple(int(n) for n in array)
        if count is not None and len(numbers) == 1:
            numbers *= count
        if count is not None and len(numbers) != count:
            problem = f"field `{field}` has {len(numbers)} values"
            limit = f"1 or {count} values"
            self.fail(ValueOutsideDomain, field, problem, found=str(numbers), limit=limit)
            return fallback
        return numbers

    def shape(self, field: str) -> Shape | None:
        """Return a declared shape. None: absent, empty or with zeros."""
        self.used.add(field)
        if field not in self.raw.fields or np.size(self.raw.fields[field]) == 0:
            return None
        numbers = self.ints(field, low=0, default=())
        return numbers if numbers and 0 not in numbers else None

    def _missing(self, field: str) -> None:
        self.bad = True
        self.missing.append(field)

    def _report_missing(self) -> None:
        """Report (F109) each missing field, or once if all fields are missing."""
        node_type = self.raw.type
        if len(self.missing) > 1 and not self.raw.fields:
            where = self.raw.path
            missing = AllFieldsMissing(where=where, node_type=node_type, fields=self.missing)
            self.log.add(missing)
            return
        for field in self.missing:
            self.log.add(MissingField(where=self.place(field), node_type=node_type, field=field))

    def finish(self) -> None:
        """Warn of unknown fields. Raise ``BadNodeError`` if a fault was reported."""
        self._report_missing()
        absent = sorted(self.used - set(self.raw.fields))
        for field in sorted(set(self.raw.fields) - self.used):
            where = self.place(field[:60])
            self.log.add(
                UnknownField(where=where, node_type=self.raw.type, field=field, absent=absent)
            )
        if self.bad:
            raise BadNodeError
