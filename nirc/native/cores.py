"""A core of convolutional neurons for the library in C: events one by one, or frames."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.native.library import library

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class _Core(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("count", "first", "position", "tap", "weights")),
        *((name, ctypes.c_int64) for name in ("pixels", "taps", "channels", "positions")),
        *((name, ctypes.c_int32) for name in ("low", "high", "threshold", "to_zero")),
    )


@dataclass(frozen=True)
class Core:
    """Tables of a core. ``count``, ``first`` (pixels + 1,): updates of an event at a pixel.

    ``position``, ``tap``: of each update. ``weights``: (input channels * taps + 1, channels), the
    last row is the bias. A membrane is clipped to ``low`` and ``high``. ``threshold``: the least
    membrane that fires. The pixel after the last one is a tick of the clock.
    """

    count: Int64
    first: Int64
    position: Int64
    tap: Int64
    weights: Int32
    taps: int
    positions: int
    low: int
    high: int
    threshold: int
    to_zero: bool

    def _structure(self) -> _Core:
        arrays = (self.count, self.first, self.position, self.tap, self.weights)
        sizes = (len(self.count) - 1, self.taps, self.weights.shape[1], self.positions)
        limits = (self.low, self.high, self.threshold, self.to_zero)
        return _Core(*(array.ctypes.data for array in arrays), *sizes, *limits)

    def events(
        self, time: Int64, address: Int64, roots: int, samples: int, v: Int32
    ) -> tuple[Int64, Int64]:
        """Run events in order. Return times and neurons of the spikes. ``v`` is changed."""
        lib = library()
        assert lib is not None and v.flags.c_contiguous
        lib.core_events.restype = ctypes.c_int64
        spikes = [ctypes.POINTER(ctypes.c_int64)(), ctypes.POINTER(ctypes.c_int64)()]
        n = lib.core_events(
            ctypes.byref(self._structure()),
            ctypes.c_void_p(time.ctypes.data),
            ctypes.c_void_p(address.ctypes.data),
            ctypes.c_int64(len(time)),
            ctypes.c_int64(roots),
            ctypes.c_int64(samples),
            ctypes.c_void_p(v.ctypes.data),
            *(ctypes.byref(p) for p in spikes),
        )
        if n < 0:
            raise MemoryError
        times, neurons = (
            np.ctypeslib.as_array(p, (n,)).copy() if n else np.zeros(0, np.int64) for p in spikes
        )
        for p in spikes:
            lib.core_free(p)
        return times, neurons

    def frames(self, counts: Int32, v: Int32, *, record: bool) -> tuple[Int32, Int32 | None]:
        """Run frames (rows, input channels, pixels) of one sample. ``v`` is changed.

        Return spikes and, to record, membranes: (rows, neurons).
        """
        lib = library()
        assert lib is not None and v.flags.c_contiguous
        spikes = np.empty((len(counts), self.positions * self.weights.shape[1]), np.int32)
        membranes = np.empty_like(spikes) if record else None
        lib.core_frames(
            ctypes.byref(self._structure()),
            ctypes.c_void_p(counts.ctypes.data),
            ctypes.c_int64(len(counts)),
            ctypes.c_int64(counts.shape[1]),
            ctypes.c_void_p(v.ctypes.data),
            ctypes.c_void_p(spikes.ctypes.data),
            None if membranes is None else ctypes.c_void_p(membranes.ctypes.data),
        )
        return spikes, membranes
