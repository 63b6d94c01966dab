"""Operators and neurons, forwards and backwards: gradients by inputs, weights and currents."""

from __future__ import annotations

from typing import Protocol, assert_never

import numpy as np

from nirc.calibration.buffers import Buffers
from nirc.ir.arrays import Float, size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse
from nirc.ir.populations import Discrete
from nirc.native.floats import BackwardSteps
from nirc.native.library import library
from nirc.native.operators import Kernel, Maps, Windows, on_grid

SHARP = 2.0  # of the slope of a spike: wide enough that silent neurons learn


class Operator:
    """An operator for many batches, forwards (``apply``) and backwards."""

    def __init__(self, op: LinearOp, buffers: Buffers | None = None) -> None:
        self.op = op
        self.buffers = Buffers() if buffers is None else buffers
        # Empty for an operator without a matrix.
        self.matrix: Float = op.weight if isinstance(op, Dense) else np.zeros((0, 0))
        self.diagonal: Float | None = None  # of synapses of each neuron to itself
        if isinstance(op, Sparse) and op.n_in == op.n_out:
            every = np.arange(op.n_in)
            if np.array_equal(op.target, every) and np.array_equal(op.source, every):
                self.diagonal = op.value
        if isinstance(op, Sparse) and self.diagonal is None:
            self.matrix = np.zeros((op.n_out, op.n_in))
            self.matrix[op.target, op.source] = op.value
        self.fast = self._fast()

    def _fast(self) -> Kernel | Windows | None:
        """Return the operator of the library in C."""
        found = library()
        if found is None:
            return None
        if self.matrix.size:
            out, inputs = self.matrix.shape
            return Kernel(found, Maps(1, inputs, out), self.matrix)
        if isinstance(self.op, Conv):
            return Kernel(found, Maps.of(self.op), self.op.weight)
        return Windows(found, self.op) if isinstance(self.op, Pool) else None

    def apply(self, x: Float) -> Float:
        """Map (batch, n_in) to (batch, n_out)."""
        if self.diagonal is not None:
            return x * self.diagonal
        y = self.buffers.empty((len(x), self.op.n_out))
        if self.fast is not None and self.fast.apply(x, y):
            return y
        return x @ self.matrix.T if self.matrix.size else self.op.apply(x)

    def to_input(self, delta: Float) -> Float:
        """Map (batch, n_out) to (batch, n_in) by the transpose. ``delta``: on a grid."""
        if self.diagonal is not None:
            return delta * self.diagonal
        if self.fast is not None:
            slope = self.buffers.empty((len(delta), self.op.n_in))
            self.fast.to_input(delta, slope)
            return slope
        match self.op:
            case Dense() | Sparse():
                return delta @ self.matrix
            case Diagonal():
                return delta * self.op.scale
            case Conv():
                return _conv_to_input(self.op, delta)
            case Pool():
                return _pool_to_input(self.op, delta)
            case _:
                assert_never(self.op)

    def to_numbers(self, x: Float, delta: Float) -> Float:
        """Return the gradient by the numbers for ``x`` (batch, n_in), ``delta`` (batch, n_out).

        Both are on a grid.
        """
        if self.diagonal is not None:
            return np.asarray((delta * x).sum(axis=0))
        if isinstance(self.fast, Kernel):
            numbers = self.fast.to_numbers(x, delta)
            if isinstance(self.op, Conv):
                return numbers.reshape(self.op.weight.shape)
            whole = numbers.reshape(self.matrix.shape)
            return whole[self.op.target, self.op.source] if isinstance(self.op, Sparse) else whole
        match self.op:
            case Conv():
                return _conv_to_weight(self.op, x, delta)
            case Dense():
                return delta.T @ x
            case Sparse():
                gradient: Float = delta.T @ x
                return gradient[self.op.target, self.op.source]
            case Diagonal() | Pool():
                raise TypeError(f"{self.op.text()} has no numbers")
            case _:
                assert_never(self.op)


def _taps(op: Conv) -> list[tuple[slice, ...]]:
    """Return the slices of the padded input for each tap of the kernel, in C order."""
    axes = list(zip(op.dilation, op.stride, op.shape_out[1:], strict=True))
    return [
        tuple(
            slice(t * d, t * d + s * (n - 1) + 1, s) for t, (d, s, n) in zip(tap, axes, strict=True)
        )
        for tap in np.ndindex(*op.weight.shape[2:])
    ]


def _padded(op: Conv | Pool, x: Float) -> Float:
    x = x.reshape(len(x), *op.shape_in)
    return np.pad(x, ((0, 0), (0, 0), *op.padding)) if any(p != (0, 0) for p in op.padding) else x


def _unpadded(op: Conv | Pool, x: Float) -> Float:
    inside = tuple(slice(p[0], p[0] + n) for p, n in zip(op.padding, op.shape_in[1:], strict=True))
    return x[(slice(None), slice(None), *inside)].reshape(len(x), -1)


def _room(op: Conv | Pool, batch: int) -> Float:
    spatial = tuple(n + p[0] + p[1] for n, p in zip(op.shape_in[1:], op.padding, strict=True))
    return np.zeros((batch, op.shape_in[0], *spatial))


def _by_group(op: Conv) -> Float:
    """Return the kernel as (taps, groups, out, in)."""
    out, per_group, *kernel = op.weight.shape
    taps: Float = op.weight.reshape(
        op.groups, out // op.groups, per_group, size(tuple(kernel))
    ).transpose(3, 0, 1, 2)
    return taps


def _conv_to_input(op: Conv, delta: Float) -> Float:
    batch = len(delta)
    delta = delta.reshape(batch, op.groups, op.shape_out[0] // op.groups, -1)
    room = _room(op, batch)
    for kernel, slices in zip(_by_group(op), _taps(op), strict=True):
        part = np.matmul(kernel.transpose(0, 2, 1), delta)  # (batch, groups, in, positions)
        room[(slice(None), slice(None), *slices)] += part.reshape(
            batch, op.shape_in[0], *op.shape_out[1:]
        )
    return _unpadded(op, room)


def _conv_to_weight(op: Conv, x: Float, delta: Float) -> Float:
    batch = len(x)
    groups = op.groups
    per_out = op.shape_out[0] // groups
    padded = _padded(op, x)
    delta = (
        delta.reshape(batch, groups, per_out, -1).transpose(1, 2, 0, 3).reshape(groups, per_out, -1)
    )
    parts = []
    for slices in _taps(op):
        seen = padded[(slice(None), slice(None), *slices)].reshape(
            batch, groups, op.shape_in[0] // groups, -1
        )
        rows = seen.transpose(1, 0, 3, 2).reshape(groups, delta.shape[2], -1)
        parts.append(np.matmul(delta, rows).reshape(op.shape_out[0], -1))  # (out, in per group)
    return np.stack(parts, axis=-1).reshape(op.weight.shape)


def _pool_to_input(op: Pool, delta: Float) -> Float:
    batch = len(delta)
    delta = delta.reshape(batch, *op.shape_out) * op.factor
    room = _room(op, batch)
    axes = list(zip(op.stride, op.shape_out[1:], strict=True))
    for tap in np.ndindex(*op.kernel):
        slices = tuple(
            slice(t, t + s * (n - 1) + 1, s) for t, (s, n) in zip(tap, axes, strict=True)
        )
        room[(slice(None), slice(None), *slices)] += delta
    return _unpadded(op, room)


class Carried(Protocol):
    """Slopes that a neuron's membrane and currents carry to earlier steps."""

    d: Discrete
    v: Float | float
    i: Float | float
    i_2: Float | float


def by_inputs(carried: Carried, into: Float) -> tuple[Float, Float]:
    """Return the slopes by the input of both receptors, from those by the membrane's sum.

    ``carried`` keeps what goes on to the step before.
    """
    d = carried.d
    carried.v = into * d.decay_mem
    first = second = into * d.gain_mem
    if d.decay_syn is not None and d.gain_syn is not None:
        total = carried.i + first
        carried.i = total * d.decay_syn
        first = total * d.gain_syn
    if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
        total = carried.i_2 + second
        carried.i_2 = total * d.decay_syn_2
        second = total * d.gain_syn_2
    return first, second


class BackwardNeurons:
    """A population from the last step to the first. A delayed reset counts as immediate.

    A spike has the slope ``1 / (threshold (1 + SHARP |v - threshold| / threshold)^2)``, as in
    training with surrogate gradients (Neftci et al., 2019). If neurons may fire several times a
    step, the slope stays at its maximum above the threshold. The reset counts as a constant, since
    its slope would only add noise (Zenke & Vogels, 2021).
    """

    def __init__(self, d: Discrete, rows: int, *, drift: bool = True) -> None:
        self.d = d
        self.sets = d.rule.reset == "set"
        self.several = d.rule.fires is not None and d.rule.fires.most != 1
        self.v: Float | float = 0.0
        self.i: Float | float = 0.0
        self.i_2: Float | float = 0.0
        self.wants_drift = drift
        self.drift: Float = np.zeros(d.decay_mem.size)  # sum of the slopes by the drift
        self.fast: BackwardSteps | None = None
        found = library()
        if found is not None:
            kind = {"sets": self.sets, "several": self.several}
            self.fast = BackwardSteps(found, d, rows, **kind, sharp=SHARP, drift=drift)
            self.drift = self.fast.drift

    def step(self, slope: Float, before: Float, first: Float, second: Float | None) -> None:
        """Write the slopes by the input of both receptors into ``first`` and ``second``.

        ``slope``: by the signal. ``before``: membrane before the reset. All are (rows, n).
        ``second``: None without a projection to the second receptor.
        """
        if self.fast is not None:
            self.fast.step(slope, before, first, second)
            return
        first[:], by_second, into = self._slopes(slope, before)
        if second is not None:
            second[:] = by_second
        if self.wants_drift:
            self.drift += on_grid(into).sum(axis=0)

    def _slopes(self, slope: Float, before: Float) -> tuple[Float, Float, Float]:
        """Return the slopes by the input of both receptors, and by the drift."""
        d = self.d
        if d.threshold is None:
            into = self.v + slope
        else:
            away = (before - d.threshold) / d.threshold
            far = np.maximum(-away, 0.0) if self.several else np.abs(away)
            kept = self.v * (away <= 0) if self.sets else self.v
            into = kept + slope / (d.threshold * (1.0 + SHARP * far) ** 2)
        first, second = by_inputs(self, into)
        return first, second, into
