"""Checks of chips whose network is in config.json, and in an archive once more."""

from __future__ import annotations

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.values import Array, demand

# fmt: off
CONFIG = "config.json"


def shaped(place: str, array: Array, *shape: int) -> Array:
    """Return an array that has to be of this shape. One without values fits all such shapes."""
    fits = array.shape == shape or not (array.size or np.prod(shape))
    demand(fits, CONFIG, place, "another shape", array.shape, shape)
    return array.reshape(shape)


def compare_archive(bundle: Bundle, name: str, want: dict[str, Array]) -> None:
    """Note the arrays of an archive that are not as in config.json."""
    have = bundle.npz(name)
    for key in sorted({*want, *have}):
        a, b = (arrays.get(key, np.zeros(0)) for arrays in (have, want))
        if a.dtype != b.dtype or not np.array_equal(a, b):
            bundle.note("network", name, key, "it differs from config.json")
