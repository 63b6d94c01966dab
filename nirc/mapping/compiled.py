"""Inner loops in machine code, made when the first of them is called: what searches nothing does not load numba."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

PACKAGE = "nirc."


class _Waiting:
    """A function that will be compiled, under its own name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return _machine_code(self)(*args)


_lock = threading.Lock()
_made: dict[_Waiting, Any] = {}
_waiting: list[_Waiting] = []


def compiled(function: Callable[..., Any]) -> Any:
    """numba's njit without the interpreter lock, kept on disk where a directory can be written."""
    waiting = _Waiting(function)
    _waiting.append(waiting)
    return waiting


def _machine_code(wanted: _Waiting) -> Any:
    """``wanted`` compiled. All others that wait are too, in the modules that hold them: loops call one another."""
    with _lock:
        for waiting in _waiting:
            _made[waiting] = _njit(waiting.function)
        if _waiting:
            _waiting.clear()
            for name, module in list(sys.modules.items()):
                if name.startswith(PACKAGE):
                    for attribute, value in list(vars(module).items()):
                        if isinstance(value, _Waiting):
                            setattr(module, attribute, _made[value])
        return _made[wanted]


def _njit(function: Callable[..., Any]) -> Any:
    from numba import njit

    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for the cache
        return njit(nogil=True)(function)
