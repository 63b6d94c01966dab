"""Candidates of a search, run over the same samples by the library in C."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.native.floats import FastStepper

AT_ONCE = 256  # neurons that are run through all steps, so that they stay in the nearest cache


class _Search(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("edges", "steps", "emits")),
        *((name, ctypes.c_void_p) for name in ("drive", "bias", "gain", "second")),
        *((name, ctypes.c_void_p) for name in ("inhibition", "start", "echoes", "counts")),
        *((name, ctypes.c_double) for name in ("decay", "unit", "count_unit")),
        *((name, ctypes.c_void_p) for name in ("x", "second_x", "echo", "count", "off")),
    )


@dataclass(frozen=True)
class Wanted:
    """The model's signal: ``echoes`` (rows, steps, n) and ``counts`` (rows, n), with their units.

    ``decay``: of the echoes.
    """

    echoes: Float
    counts: Float
    decay: float
    unit: float
    count_unit: float


@dataclass(frozen=True)
class Driven:
    """A projection: ``drive`` (rows, steps, n) and ``bias`` (steps, n).

    ``second``: it ends at the second receptor.
    """

    drive: Float
    bias: Float
    second: bool


class Candidates:
    """Populations with dynamics ``d``, whose parameters are (candidates, 1, n).

    ``gains``: (candidates, projections). ``inhibition`` (candidates, 1, n): what a spike takes away
    from a neuron's own input in the next step.
    """

    def __init__(
        self,
        d: Discrete,
        driven: Sequence[Driven],
        gains: Float,
        inhibition: Float | None,
        wanted: Wanted,
    ) -> None:
        self.rows, self.steps, n = wanted.echoes.shape
        self.count = len(gains)
        self.block = max(1, min(self.rows, AT_ONCE // n))
        self.stepper = FastStepper(d, (self.count, self.block, n))
        sent, x, second, echo, count, off = self.kept = [
            np.zeros(shape) for shape in ((self.count, self.block, n), *[(self.block, n)] * 5)
        ]
        drives = [np.ascontiguousarray(p.drive) for p in driven]
        biases = [np.ascontiguousarray(np.broadcast_to(p.bias, (self.steps, n))) for p in driven]
        gains = np.ascontiguousarray(gains)
        seconds = np.array([p.second for p in driven], np.int64)
        pointers = [_pointers(drives), _pointers(biases)]
        start = (
            None if d.v_start is None else np.ascontiguousarray(np.broadcast_to(d.v_start, (n,)))
        )
        inhibits = None
        if inhibition is not None:
            shape = (self.count, 1, n)
            inhibits = np.ascontiguousarray(np.broadcast_to(inhibition, shape))
        echoes, counts = map(np.ascontiguousarray, (wanted.echoes, wanted.counts))
        arrays = (*pointers, gains, seconds, inhibits, start, echoes, counts)
        self.read = [*arrays, *drives, *biases]  # alive as long as this
        self.search = _Search(
            *(len(driven), self.steps, self.stepper.emits),
            *(None if array is None else array.ctypes.data for array in arrays),
            *(wanted.decay, wanted.unit, wanted.count_unit),
            *(x.ctypes.data, second.ctypes.data if seconds.any() else None),
            *(array.ctypes.data for array in (echo, count, off)),
        )
        self.stepper.population.sent = sent.ctypes.data

    def errors(self, least: float) -> Float:
        """Return (candidates,) distances from the model. A candidate ends at ``least``."""
        assert self.stepper.library is not None
        errors = np.zeros(self.count)
        for row in range(0, self.rows, self.block):
            active = np.flatnonzero(errors < least)
            self.stepper.library.search_rows(
                ctypes.byref(self.stepper.population),
                ctypes.byref(self.search),
                ctypes.c_int64(row),
                ctypes.c_int64(min(self.block, self.rows - row)),
                ctypes.c_void_p(active.ctypes.data),
                ctypes.c_int64(len(active)),
                ctypes.c_void_p(errors.ctypes.data),
            )
        return errors


def _pointers(arrays: Sequence[Float]) -> NDArray[np.uintp]:
    return np.array([array.ctypes.data for array in arrays], np.uintp)
