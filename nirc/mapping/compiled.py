"""Inner loops in machine code. Only modules that are imported when a search begins may import this one.

numba keeps what it compiled beside the source and looks at that file's date only: after an edit of a compiled function
that others call, remove ``__pycache__/*.nb?``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """numba's njit without the interpreter lock, kept on disk where a directory can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for the cache
        return njit(nogil=True)(function)
