"""The compiled library, found once. Without a compiler at installation there is none."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.util import find_spec

SWITCH = "NIRC_NATIVE"  # "0": run the definitions in numpy
NEWEST = "map_multicast"  # the function that came last


def library() -> ctypes.CDLL | None:
    """Return the library, or None if it was not compiled or is switched off."""
    return None if os.environ.get(SWITCH) == "0" else _loaded()


@cache
def _loaded() -> ctypes.CDLL | None:
    spec = find_spec("nirc.native._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        found = ctypes.CDLL(spec.origin)
    except OSError:  # built for another machine
        return None
    return found if hasattr(found, NEWEST) else None  # built from older sources
