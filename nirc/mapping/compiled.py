"""Inner loops in machine code, compiled at the first call. Other commands do not load numba.

Compiling takes seconds where numba's cache is empty, and loading numba half a second where it is
full. So a caller may say how much there is to do: little work runs as plain Python
(``little_work``). Without numba all work does, and a warning (U617) says so. The answer is the
same.

Kernels draw random numbers from generators of nirc, so the numbers are the same on every machine.
Logarithms are tabled, since the last bit of ``exp`` differs between C libraries.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import numpy as np

from nirc.diagnostics.errors import warn
from nirc.diagnostics.usage import NumbaMissing

PACKAGE = "nirc."
# Rounds of kernels' loops that a process runs in plain Python, at about 2 us each. Together they
# cost less than loading numba with a full cache. ``benchmarks/startup.py --cold`` shows the gain.
MOST_PLAIN = 200_000


class _Waiting:
    """A function that is not compiled yet. It keeps its name and docstring."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.copy: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if _plain.get():
            return self.in_python(*args)
        if numba_is_missing():
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                return self.in_python(*args)
        return _machine_code(self)(*args)

    def in_python(self, *args: Any) -> Any:
        """Run the function in plain Python, and all kernels that it calls.

        It runs as a copy that knows these kernels, since another thread may compile them meanwhile.
        A kernel in machine code returns an unsigned integer as ``int``. Python would go on with it
        in another kind of arithmetic.
        """
        if self.copy is None:
            names = dict(self.function.__globals__)
            for name in self.function.__code__.co_names:
                kernel = _kernels.get(_python_of(names.get(name)))
                if kernel is not None:
                    names[name] = kernel.in_python
            self.copy = FunctionType(self.function.__code__, names)
        return self.copy(*args)


@functools.cache
def numba_is_missing() -> bool:
    """Return True without numba, and warn once in a process."""
    if find_spec("numba") is not None:
        return False
    warn([NumbaMissing().diagnostic()])
    return True


def _python_of(value: Any) -> object:
    """Return the Python function of a kernel, compiled or not, None for anything else."""
    return value.function if isinstance(value, _Waiting) else getattr(value, "py_func", None)


_kernels: dict[object, _Waiting] = {}
_lock = threading.Lock()
_plain: ContextVar[bool] = ContextVar("_plain", default=False)
_rounds_left = [MOST_PLAIN]
_ready: dict[_Waiting, Any] = {}
_waiting: list[_Waiting] = []


def compiled(function: Callable[..., Any]) -> Any:
    """Mark a function for numba's njit, without the interpreter lock and with a cache on disk."""
    waiting = _Waiting(function)
    _waiting.append(waiting)
    _kernels[function] = waiting
    return waiting


@contextlib.contextmanager
def little_work(rounds: int) -> Iterator[None]:
    """Run kernels of the block in plain Python, if ``rounds`` of their loops are cheap.

    Kernels that are compiled already stay compiled. All blocks of a process share one budget, so
    many small blocks are not slower than compiling. Integers wrap around as in machine code.
    """
    with _lock:
        plain = rounds <= _rounds_left[0]
        if plain and _waiting:
            _rounds_left[0] -= rounds
    token = _plain.set(plain)
    try:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            yield
    finally:
        _plain.reset(token)


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
