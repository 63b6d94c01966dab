"""Loops of the mapping in C. Each has a definition in Python, with the same bits.

Without the library all loops run in Python, and a warning (U617) says so.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nirc.diagnostics.errors import warn
from nirc.diagnostics.usage import LibraryMissing
from nirc.native.library import SWITCH, library

NO_MEMORY = -(1 << 31)  # as in mapping.h
ARRAYS = {"q": "int64", "i": "int32", "Q": "uint64", "I": "uint32", "d": "float64", "?": "bool"}
INTEGER = "n"
REAL = "x"
# By letter. The text of a dtype would take longer than most calls.
DTYPES: dict[str, list[np.dtype[Any]]] = {
    **{letter: [np.dtype(name)] for letter, name in ARRAYS.items()},
    "t": [np.dtype("int32"), np.dtype("int64")],
}
CHANGED = "*"


class _Argument(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("rows", "columns", "width", "integer")),
        ("real", ctypes.c_double),
    )


def in_c(name: str, kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the library run a function, if the library has ``name``.

    ``kinds``: a letter for each argument, tuples flattened. A letter of ``ARRAYS`` stands for an
    array, ``n`` for an integer, ``x`` for a real number, ``t`` for an array of int32 or int64. A
    star behind a letter: the function changes this array.
    """
    letters = re.findall(r"\w\*?|\?\*?", kinds)

    def replaced(definition: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(definition)
        def call(*args: Any) -> Any:
            function = getattr(library(), f"map_{name}", None)
            if function is not None:
                return _called(function, letters, args)
            _warn_once()
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                return definition(*args)

        return call

    return replaced


@functools.cache
def _warn_once() -> None:
    if os.environ.get(SWITCH) != "0":
        warn([LibraryMissing().diagnostic()])


def _called(function: Any, kinds: list[str], args: tuple[Any, ...]) -> int:
    """Return the integer that the function returns. Raises ``MemoryError`` and ``TypeError``."""
    flat = list(_flat(args))
    if len(flat) != len(kinds):
        raise TypeError(f"{len(flat)} arguments, wanted {len(kinds)}")
    pieces = list(map(_in_one_piece, kinds, flat))  # alive as long as the call
    packed = (_Argument * len(flat))(*map(_packed, kinds, pieces))
    function.restype = ctypes.c_int64
    result = int(function(packed))
    if result == NO_MEMORY:
        raise MemoryError
    return result


def _flat(args: Iterable[Any]) -> Iterable[Any]:
    for value in args:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


def _in_one_piece(kind: str, value: Any) -> Any:
    """Return numbers, and arrays that are contiguous. Raises ``TypeError`` for another dtype."""
    if kind in (INTEGER, REAL):
        return value
    wanted = DTYPES[kind[0]]
    if value.dtype not in wanted:
        raise TypeError(f"an array of {value.dtype}, wanted {' or '.join(map(str, wanted))}")
    if kind.endswith(CHANGED) and not value.flags.c_contiguous:
        raise TypeError("an array that is changed must be in one piece")
    return np.ascontiguousarray(value)


def _packed(kind: str, value: Any) -> _Argument:
    if kind == INTEGER:
        return _Argument(integer=int(value))
    if kind == REAL:
        return _Argument(real=float(value))
    rows = value.shape[0]
    columns = value.shape[1] if value.ndim > 1 else 1
    return _Argument(value.ctypes.data, rows, columns, value.itemsize)
