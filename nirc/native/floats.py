"""Populations of floating-point neurons, stepped by the library in C, for calibration.

``NeuronStepper`` is the definition. Answers are equal to the bit, since no expression is rounded
otherwise.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import GRID_BITS, Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import Fire
from nirc.native.library import library
from nirc.semantics.neuron import NeuronStepper

# The numbers of the operations in floats.c, by their texts.
OPERATIONS = {
    "decay i": 0,
    "decay v": 1,
    "add x->i": 2,
    "add x->v": 3,
    "add i->v": 4,
    "fire >=": 5,
    "fire >": 6,
    "subtract": 7,
    "set": 8,
    "restore": 9,
    "bound": 10,
    "emit": 11,
}
STATES = ("v", "i", "i_2", "spikes", "earlier", "before", "sent")
BLOCK = 1024  # neurons that are stepped at once, so that their states stay in the nearest cache
PARAMETERS = (
    "decay_mem",
    "gain_mem",
    "drift",
    "decay_syn",
    "gain_syn",
    "decay_syn_2",
    "gain_syn_2",
    "threshold",
    "v_reset",
    "v_least",
)


class _Population(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("groups", "rows", "n", "block", "operations")),
        *((name, ctypes.c_void_p) for name in ("operation", *STATES, "x", "second", *PARAMETERS)),
        *((name, ctypes.c_double) for name in ("grain", "most")),
    )


class FastStepper(NeuronStepper):
    """A population over a batch. ``before`` (..., n): the membrane at the last comparison.

    ``shape``: (rows, n), or (groups, rows, n) with parameters that differ between the groups.
    """

    def __init__(self, d: Discrete, shape: tuple[int, ...]) -> None:
        super().__init__(d, shape)
        self.before: Float = self.v
        self.shape = shape
        self.library = library() if comparisons(d) < 2 else None
        self.kept: dict[str, NDArray[Any]] = {}  # that the library reads, alive as long as this
        if self.library is not None:
            self.population = self._population(d)

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Map the input of both receptors to spikes, or to the membrane without spikes."""
        if self.library is None:
            sent = super().step(x, second)
            if not self.d.fires:
                self.before = self.v
            return sent
        q = self.population
        given = self._whole(x)
        other = None if second is None else self._whole(second)
        q.x = given.ctypes.data
        q.second = None if other is None else other.ctypes.data
        emitted = np.empty(self.shape)
        q.sent = emitted.ctypes.data
        self.library.step_population(ctypes.byref(q))
        if not self.emits:
            emitted[:] = self.v
        return emitted

    def run(self, first: Float, second: Float | None, itself: Float | None, signal: Float) -> None:
        """Run all steps. Write ``signal`` and, over ``first``, the membranes before resets.

        All are contiguous (rows, steps, n). ``itself`` (n,): weights of synapses of each neuron to
        itself, with a lag of one step. Only with a library, on a fresh population.
        """
        assert self.library is not None
        memory, sent = np.empty((2, *self.shape))
        self.population.sent = sent.ctypes.data
        arrays = (first, second, itself, signal, first, memory)
        self.library.run_population(
            ctypes.byref(self.population),
            ctypes.c_int64(first.shape[1]),
            *(None if array is None else _address(array) for array in arrays),
            ctypes.c_int64(self.emits),
        )

    def fire(self, op: Fire) -> None:
        """Keep the membrane that the comparison sees."""
        self.before = self.v
        super().fire(op)

    def _whole(self, values: Float) -> Float:
        return np.ascontiguousarray(np.broadcast_to(values, self.shape), np.float64)

    def _population(self, d: Discrete) -> _Population:
        groups, rows, n = (1,) * (3 - len(self.shape)) + self.shape
        block = max(1, min(rows, BLOCK // max(n, 1)))
        q = _Population(groups, rows, n, block)
        texts = [op.text for op in d.rule.operations]
        self.emits = "emit" in texts
        codes = [OPERATIONS[" ".join(t.split()[:2]) if "fire" in t else t] for t in texts]
        if d.v_least is None:
            codes = [code for code in codes if code != OPERATIONS["bound"]]
        self.kept["operation"] = np.array(codes, np.int32)
        q.operations = len(codes)
        most = next((op.most for op in d.rule.operations if isinstance(op, Fire)), 1)
        q.most = np.inf if most is None else most
        q.grain = 0.0 if d.grain is None else d.grain
        if d.fires:
            self.before = np.zeros(self.shape)
        self.earlier = self.spikes.copy()
        for name in ("v", "i", "i_2", "spikes", "earlier", "before"):
            values = getattr(self, name)
            if values is not None:
                self.kept[name] = values
        factors: dict[str, Any] = {name: getattr(d, name) for name in PARAMETERS}
        factors |= {name: getattr(self, name) for name in ("decay_mem", "gain_mem", "drift")}
        factors["gain_syn"] = self.gain_syn
        if d.v_reset is None:
            factors["v_reset"] = np.zeros(n)
        for name, values in factors.items():
            if values is not None:
                whole = np.broadcast_to(values, (groups, 1, n)).repeat(block, axis=1)
                self.kept[name] = np.ascontiguousarray(whole, np.float64)
        for name, values in self.kept.items():
            setattr(q, name, values.ctypes.data)
        return q


def comparisons(d: Discrete) -> int:
    """Return the comparisons with the threshold in a step. The library runs one at most."""
    return sum(isinstance(op, Fire) for op in d.rule.operations)


def trace_slopes(
    signal: Float, reference: NDArray[Any], decay: float, factor: float, slope: Float
) -> bool:
    """Set ``slope`` to ``factor`` times the traces, back in time, of the traces of the difference.

    All are (rows, steps, n). Return False without a library.
    """
    found = library()
    if found is None or not (signal.flags.c_contiguous and reference.flags.c_contiguous):
        return False
    now = np.empty(signal.shape[2])
    bytes_ = _address(reference) if reference.dtype == np.uint8 else None
    doubles = _address(reference) if reference.dtype == np.float64 else None
    if bytes_ is None and doubles is None:
        return False
    sizes = map(ctypes.c_int64, signal.shape)
    numbers = (ctypes.c_double(decay), ctypes.c_double(factor))
    pointers = map(_address, (slope, now))
    found.trace_slopes(_address(signal), bytes_, doubles, *sizes, *numbers, *pointers)
    return True


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


BACKWARD_PARAMETERS = (
    "threshold",
    "decay_mem",
    "gain_mem",
    "decay_syn",
    "gain_syn",
    "decay_syn_2",
    "gain_syn_2",
)
BACKWARD_STATES = ("v", "i", "i_2", "into")


class _Backward(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "n", "sets", "several", "bits")),
        ("sharp", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in (*BACKWARD_PARAMETERS, *BACKWARD_STATES, "drift")),
    )


class BackwardSteps:
    """A population from the last step to the first, as ``BackwardNeurons`` of the calibration.

    ``sets``: a spike sets the membrane. ``several``: neurons fire several times a step.
    ``drift`` (n,): the sum over steps and rows of the slopes by the membrane, rounded to a grid, if
    that is wanted.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        d: Discrete,
        rows: int,
        *,
        sets: bool,
        several: bool,
        sharp: float,
        drift: bool,
    ) -> None:
        self.library = library
        n = d.decay_mem.size
        self.drift: Float = np.zeros(n)
        self.kept: dict[str, NDArray[Any]] = {"drift": self.drift} if drift else {}
        for name in BACKWARD_STATES:
            self.kept[name] = np.zeros((rows, n))
        for name in BACKWARD_PARAMETERS:
            values = getattr(d, name)
            if values is not None:
                self.kept[name] = np.ascontiguousarray(values, np.float64)
        self.steps = _Backward(rows, n, sets, several, GRID_BITS, sharp)
        for name, values in self.kept.items():
            setattr(self.steps, name, values.ctypes.data)

    def step(self, slope: Float, before: Float, first: Float, second: Float | None) -> None:
        """Write the slopes by both receptors into ``first`` and ``second``.

        All are (rows, n), with the same distance from row to row.
        """
        arrays = (slope, before, first, second)
        stride = ctypes.c_int64(slope.strides[0] // slope.itemsize)
        pointers = (None if array is None else _address(array) for array in arrays)
        self.library.step_back(ctypes.byref(self.steps), *pointers, stride)

    def run(
        self, slope: Float, before: Float, first: Float, second: Float | None, itself: Float | None
    ) -> None:
        """Run all steps: (rows, steps, n) each. ``itself``: as in ``FastStepper.run``.

        The slopes of these synapses are added to ``slope``, which may also be ``first``.
        """
        arrays = (slope, before, first, second, itself)
        self.library.run_back(
            ctypes.byref(self.steps),
            ctypes.c_int64(slope.shape[1]),
            *(None if array is None else _address(array) for array in arrays),
        )
