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
        comparisons = [op for op in d.rule.operations if isinstance(op, Fire)]
        self.library = library() if len(comparisons) < 2 else None
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

    def run(self, first: Float, second: Float | None, itself: Float | None) -> tuple[Float, Float]:
        """Run all steps. Return the signals and ``before``, (rows, steps, n), as the inputs are.

        ``itself`` (n,): weights of synapses of each neuron to itself, with a lag of one step. Only
        with a library, on a fresh population.
        """
        assert self.library is not None
        first = np.ascontiguousarray(first)
        second = None if second is None else np.ascontiguousarray(second)
        signal, before = np.empty(first.shape), np.empty(first.shape)
        memory, sent = np.empty((2, *self.shape))
        self.population.sent = sent.ctypes.data
        arrays = (first, second, itself, signal, before, memory)
        self.library.run_population(
            ctypes.byref(self.population),
            ctypes.c_int64(first.shape[1]),
            *(None if array is None else _address(array) for array in arrays),
            ctypes.c_int64(self.emits),
        )
        return signal, before

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


def add_driven(total: Float, gains: Float, x: Float, bias: Float) -> None:
    """Add ``gains`` (groups,) times ``x`` (rows, n) plus ``bias`` (n,) to (groups, rows, n)."""
    found = library()
    if found is None or x.strides[1] != x.itemsize:
        total += gains[:, None, None] * (x + bias)
        return
    groups, rows, n = total.shape
    arrays = (total, np.ascontiguousarray(gains), x, np.ascontiguousarray(bias))
    sizes = (x.strides[0] // x.itemsize, groups, rows, n)
    found.add_driven(*map(_address, arrays), *map(ctypes.c_int64, sizes))


def follow(
    echoes: Float, counts: Float, signal: Float, target: Float, decay: float, off: Float
) -> None:
    """Let ``echoes`` and ``counts`` follow ``signal``, and set ``off`` to the squared distance.

    All are (groups, rows, n), but ``target`` (rows, n), the echoes that are wanted.
    """
    found = library()
    if found is None or target.strides[1] != target.itemsize:
        echoes *= decay
        echoes += signal
        counts += signal
        off[:] = (echoes - target) ** 2
        return
    groups, rows, n = echoes.shape
    arrays = (echoes, counts, off, signal, target)
    sizes = (target.strides[0] // target.itemsize, groups, rows, n)
    found.follow(*map(_address, arrays), ctypes.c_double(decay), *map(ctypes.c_int64, sizes))


def _address(array: Float) -> ctypes.c_void_p:
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
    ``drift`` (n,): the sum over steps and rows of the slopes by the membrane, rounded to a grid.
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
    ) -> None:
        self.library = library
        n = d.decay_mem.size
        self.drift: Float = np.zeros(n)
        self.kept: dict[str, NDArray[Any]] = {"drift": self.drift}
        for name in BACKWARD_STATES:
            self.kept[name] = np.zeros((rows, n))
        for name in BACKWARD_PARAMETERS:
            values = getattr(d, name)
            if values is not None:
                self.kept[name] = np.ascontiguousarray(values, np.float64)
        self.steps = _Backward(rows, n, sets, several, GRID_BITS, sharp)
        for name, values in self.kept.items():
            setattr(self.steps, name, values.ctypes.data)

    def step(self, slope: Float, before: Float, first: Float, second: Float) -> None:
        """Write the slopes by both receptors into ``first`` and ``second``.

        All are (rows, n), with the same distance from row to row.
        """
        arrays = (slope, before, first, second)
        stride = ctypes.c_int64(slope.strides[0] // slope.itemsize)
        self.library.step_back(ctypes.byref(self.steps), *map(_address, arrays), stride)

    def run(
        self, slope: Float, before: Float, first: Float, second: Float, itself: Float | None
    ) -> None:
        """Run all steps: (rows, steps, n) each. ``itself``: as in ``FastStepper.run``.

        The slopes of these synapses are added to ``slope``.
        """
        steps = ctypes.c_int64(slope.shape[1])
        arrays = [_address(array) for array in (slope, before, first, second)]
        weights = None if itself is None else _address(itself)
        self.library.run_back(ctypes.byref(self.steps), steps, *arrays, weights)
