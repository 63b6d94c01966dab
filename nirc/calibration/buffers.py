"""Arrays that are used again. A fresh array of many pages costs more than a pass over it."""

from __future__ import annotations

from sys import getrefcount

import numpy as np

from nirc.ir.arrays import Float, Shape, size


class Buffers:
    """Memory for arrays of some sizes. An array is free again when nothing else refers to it."""

    def __init__(self) -> None:
        self.arrays: list[Float] = [np.empty(0)]
        self.unused = self._references(0)

    def empty(self, shape: Shape) -> Float:
        """Return an array with any content."""
        n = size(shape)
        for number in range(len(self.arrays)):
            if self.arrays[number].size == n and self._references(number) == self.unused:
                return self.arrays[number].reshape(shape)
        self.arrays.append(np.empty(n))
        return self.arrays[-1].reshape(shape)

    def _references(self, number: int) -> int:
        return getrefcount(self.arrays[number])
