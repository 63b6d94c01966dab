"""One thread for numpy's products while nirc runs a network. Afterwards all is as it was.

The products are small, and threads would wait for each other: with 8 of them a run took up to 46
times the CPU time. OpenBLAS, which numpy's wheels bring, has one number of threads for the process.
Another BLAS keeps its threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

# Where wheels of Linux, Windows and macOS keep their libraries, seen from numpy's folder.
FOLDERS = ("../numpy.libs", ".libs", ".dylibs")
PREFIXES = ("scipy_openblas", "openblas")
SUFFIXES = ("64_", "_64", "")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Blas:
    get: Callable[[], int]
    set: Callable[[int], object]


@cache
def _loaded() -> tuple[_Blas, ...]:
    """Return the libraries of numpy that have a number of threads."""
    found = []
    for folder in FOLDERS:
        for path in sorted((Path(np.__file__).parent / folder).glob("*openblas*")):
            try:
                library = ctypes.CDLL(str(path))
            except OSError:
                continue
            if (blas := _functions(library)) is not None:
                found.append(blas)
    return tuple(found)


def _functions(library: ctypes.CDLL) -> _Blas | None:
    for prefix in PREFIXES:
        for suffix in SUFFIXES:
            get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
            set_ = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
            if get is not None and set_ is not None:
                return _Blas(get, set_)
    return None


class _Inside:
    """The calls that run now, in any Python thread, and the numbers before the first of them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.calls = 0
        self.before: list[int] = []

    def enter(self) -> None:
        with self.lock:
            if self.calls == 0:
                self.before = [blas.get() for blas in _loaded()]
                for blas in _loaded():
                    blas.set(1)
            self.calls += 1

    def leave(self) -> None:
        with self.lock:
            self.calls -= 1
            if self.calls == 0:
                for blas, number in zip(_loaded(), self.before, strict=True):
                    blas.set(number)


_inside = _Inside()


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread for products. The last call that ends restores the number of the first."""
    _inside.enter()
    try:
        yield
    finally:
        _inside.leave()


def with_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Run ``function`` with one thread for products."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with one_thread():
            return function(*args, **kwargs)

    return run
