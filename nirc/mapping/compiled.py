"""Inner loops in machine code, compiled at the first call. Other commands do not load numba.

Kernels draw random numbers from generators of nirc, so the numbers are the same on every machine.
Logarithms are tabled, since the last bit of ``exp`` differs between C libraries.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

PACKAGE = "nirc."


class _Waiting:
    """A function that is not compiled yet. It keeps its name and docstring."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return _machine_code(self)(*args)


_lock = threading.Lock()
_ready: dict[_Waiting, Any] = {}
_waiting: list[_Waiting] = []


def compiled(function: Callable[..., Any]) -> Any:
    """Mark a function for numba's njit, without the interpreter lock and with a cache on disk."""
    waiting = _Waiting(function)
    _waiting.append(waiting)
    return waiting


def _machine_code(wanted: _Waiting) -> Any:
    """Return ``wanted`` compiled.

    This compiles all waiting functions and replaces them in their modules, since loops call one
    another.
    """
    with _lock:
        for waiting in _waiting:
            _ready[waiting] = _njit(waiting.function)
        if _waiting:
            _waiting.clear()
            for name, module in list(sys.modules.items()):
                if name.startswith(PACKAGE):
                    for attribute, value in list(vars(module).items()):
                        if isinstance(value, _Waiting):
                            setattr(module, attribute, _ready[value])
        return _ready[wanted]


def _njit(function: Callable[..., Any]) -> Any:
    from numba import njit

    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for the cache
        return njit(nogil=True)(function)


# A rise of the cost by d is accepted at temperature T if d <= T * e, with e from this table.
# The values e have the exponential distribution.
UPHILL = np.round(-np.log((np.arange(4096) + 0.5) / 4096), 6)


@compiled
def first_state(seed):  # type: ignore[no-untyped-def]
    """Return the first state for ``following``."""
    return np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)


@compiled
def following(state):  # type: ignore[no-untyped-def]
    """Return the next state (xorshift64, Marsaglia 2003). Its bits are the random numbers."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@compiled
def following_linear(state):  # type: ignore[no-untyped-def]
    """Return the next state (the linear congruence of Knuth's MMIX). Its high bits are random."""
    return state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@compiled
def below(bits, n):  # type: ignore[no-untyped-def]
    """Map 32 random bits to 0..n-1."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))
