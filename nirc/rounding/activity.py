"""Rounding by the signals of the sources: the second moments of their filtered spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse, Weighted, windows_of
from nirc.ir.populations import Discrete
from nirc.rounding.feedback import with_feedback
from nirc.rounding.rule import KEEPING_SUMS, Weights

MOST_SOURCES = 2048  # of one neuron
MOST_ENTRIES = 1 << 23  # of a matrix
MOST_VALUES = 1 << 24  # filtered signals that are used
MOST_MOMENTS = 1 << 14  # moments per source
LONGEST = 0.95  # decay: resets make a neuron forget


class ByActivity:
    """Rounding by ``signals`` (samples, steps, n) of nodes. Without a signal, keep sums."""

    def __init__(self, signals: Mapping[str, NDArray[Any]]) -> None:
        self.signals = signals
        self.known: dict[tuple[object, ...], list[Float]] = {}

    def integers(self, weights: Weights) -> Float:
        """Minimise the squared error of the neurons' summed input."""
        if weights.source not in self.signals or not _tractable(weights.op):
            return KEEPING_SUMS.integers(weights)
        matrix, there = _matrix(weights.op, weights.exact)
        grams = self._grams(weights)
        if not all(
            np.isfinite(gram).all() for gram in (matrix, *grams)
        ):  # sources with unbounded membranes
            return KEEPING_SUMS.integers(weights)
        parts = zip(np.split(matrix, len(grams)), np.split(there, len(grams)), grams, strict=True)
        rounded = np.concatenate(
            [with_feedback(m, t, gram, weights.low, weights.high) for m, t, gram in parts]
        )
        if isinstance(weights.op, Sparse):
            return np.asarray(rounded[weights.op.target, weights.op.source])
        return rounded.reshape(weights.exact.shape)

    def _grams(self, weights: Weights) -> list[Float]:
        """Return second moments of the sources, for every group of a convolution."""
        op = weights.op
        decays = _decays(weights.target)
        shape = (
            (op.weight.shape[1:], op.stride, op.padding, op.dilation, op.groups)
            if isinstance(op, Conv)
            else ()
        )
        if not all(isinstance(b, Pool) for b in weights.before):
            return self._moments(weights.source, (*weights.before, op), decays)
        key = (weights.source, decays, weights.before, *shape)
        if key not in self.known:
            self.known[key] = self._moments(weights.source, (*weights.before, op), decays)
        return self.known[key]

    def _moments(
        self, source: str, ops: tuple[LinearOp, ...], decays: tuple[float, ...]
    ) -> list[Float]:
        signal = self.signals[source]
        samples = max(1, MOST_VALUES // max(1, signal[0].size))
        signal = signal[:: -(-len(signal) // samples)].astype(np.float64)
        for decay in decays:
            signal = _filtered(signal, decay)
        x = signal.reshape(-1, signal.shape[2])
        *before, last = ops
        positions = last.shape_out[1] * last.shape_out[-1] if isinstance(last, Conv) else 1
        x = _drawn(x, max(1, MOST_MOMENTS // min(positions, 16)))
        for op in before:
            x = op.apply(x)
        if not isinstance(last, Conv):
            return [x.T @ x / len(x)]
        seen = windows_of(
            x.reshape(len(x), *last.shape_in),
            last.weight.shape[2:],
            last.stride,
            last.padding,
            last.dilation,
        )
        axes = len(last.shape_in) - 1
        seen = np.moveaxis(seen, 1, 1 + axes)  # (moments, *positions, channels, *taps)
        seen = seen.reshape(-1, last.groups, last.weight[0].size)
        seen = _drawn(seen, MOST_MOMENTS)
        return [seen[:, g].T @ seen[:, g] / len(seen) for g in range(last.groups)]


def _drawn(x: Float, most: int) -> Float:
    """Return at most ``most`` rows, drawn at random."""
    if len(x) <= most:
        return x
    drawn: Float = x[np.sort(np.random.default_rng(0).choice(len(x), most, replace=False))]
    return drawn


def _tractable(op: Weighted) -> bool:
    if isinstance(op, Conv):
        return bool(op.weight[0].size <= MOST_SOURCES)
    return bool(op.n_in <= MOST_SOURCES and op.n_in * op.n_out <= MOST_ENTRIES)


def _matrix(op: Weighted, exact: Float) -> tuple[Float, NDArray[np.bool_]]:
    """Return ``exact`` by neuron (or channel) and source, and the mask of synapses."""
    if not isinstance(op, Sparse):
        matrix = exact.reshape(len(exact), -1)
        return matrix, matrix != 0
    matrix = np.zeros((op.n_out, op.n_in))
    there = np.zeros((op.n_out, op.n_in), np.bool_)
    matrix[op.target, op.source] = exact
    there[op.target, op.source] = exact != 0
    return matrix, there


def _decays(d: Discrete) -> tuple[float, ...]:
    """Return the decays of the filters that an input passes, as means over the population."""
    decays = [d.decay_mem] if d.decay_syn is None else [d.decay_syn, d.decay_mem]
    return tuple(min(LONGEST, round(float(decay.mean()), 6)) for decay in decays)


def _filtered(x: Float, decay: float) -> Float:
    """Return each signal with its exponential echo."""
    now = np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        now = x[:, t] = now * decay + x[:, t]
    return x
