"""Typed access to a raw node's fields. Faults name node, field, value and domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.files.refusal import EXPORT_AGAIN, UNFINISHED
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
        code: str,
        field: str,
        message: str,
        *,
        found: object = "",
        limit: str = "",
        help: str = "",
    ) -> None:
        """Report a fault of ``field``. ``finish`` then gives up the node."""
        self.bad = True
        self.log.error(
            code,
            f"`{self.raw.type}`: {message}",
            where=f"{self.raw.path}/{field}",
            found=found,
            limit=limit,
            help=help,
        )

    def has(self, field: str) -> bool:
        """Return True if the file has this field."""
        return field in self.raw.fields

    def assume(self, field: str, value: object, source: str) -> None:
        """Warn (G220) of the ``value`` assumed for an absent field. ``source``: its origin."""
        if field not in self.raw.fields:
            self.log.warning(
                "G220",
                f"`{field}` is absent and read as {value}",
                where=f"{self.raw.path}/{field}",
                source=source,
                help="write the field when exporting, also where the framework has a default",
            )

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
            self.fail(
                "F107", field, f"field `{field}` is text", found=repr(value[:40]), limit="numbers"
            )
            return frozen(np.ones(1))
        array = frozen(value)
        if array.size == 0:
            self.fail(
                "F110",
                field,
                f"field `{field}` is empty",
                found=f"shape {array.shape}",
                limit="one value or more",
            )
            return frozen(np.ones(1))
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
                "F110",
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
            self.fail(
                "F107",
                field,
                f"field `{field}` is text",
                found=repr(value[:40]),
                limit="whole numbers",
            )
            return fallback
        if np.size(value) > MAX_AXES:
            message = f"field `{field}` has too many values"
            self.fail(
                "F110", field, message, found=f"{np.size(value)} values", limit=f"{MAX_AXES} values"
            )
            return fallback
        array: NDArray[Any] = np.asarray(value).ravel()
        array = (
            array.astype(np.float64) if array.dtype.kind == "f" else array
        )  # float16 cannot hold MAX_AXIS
        ok = array.size > 0 and array.dtype.kind in "iufb" and bool(np.isfinite(array).all())
        if (
            not ok
            or (array != np.floor(array)).any()
            or (array < low).any()
            or (array > MAX_AXIS).any()
        ):
            self.fail(
                "F110",
                field,
                f"field `{field}` must be whole numbers",
                found=str(array[:4]),
                limit=f"{low} to {MAX_AXIS}",
            )
            return fallback
        numbers = tuple(int(n) for n in array)
        if count is not None and len(numbers) == 1:
            numbers *= count
        if count is not None and len(numbers) != count:
            self.fail(
                "F110",
                field,
                f"field `{field}` has {len(numbers)} values",
                found=str(numbers),
                limit=f"1 or {count} values",
            )
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
        if len(self.missing) > 1 and not self.raw.fields:
            self.log.error(
                "F109",
                f"`{self.raw.type}`: all of its fields are missing",
                where=self.raw.path,
                found="no fields",
                limit=", ".join(self.missing),
                help=UNFINISHED,
            )
            return
        for field in self.missing:
            help_ = f"{EXPORT_AGAIN} with this field"
            self.fail("F109", field, f"field `{field}` is missing", help=help_)

    def finish(self) -> None:
        """Warn of unknown fields. Raise ``BadNodeError`` if a fault was reported."""
        self._report_missing()
        absent = sorted(self.used - set(self.raw.fields))
        for field in sorted(set(self.raw.fields) - self.used):
            self.log.warning(
                "F111",
                f"`{self.raw.type}` has no field `{field[:60]}` in NIR; it is ignored",
                where=f"{self.raw.path}/{field[:60]}",
                help=did_you_mean(field, absent),
            )
        if self.bad:
            raise BadNodeError
