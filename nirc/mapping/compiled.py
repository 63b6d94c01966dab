"""Inner loops in machine code, compiled at the first call. Other commands do not load numba."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

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
