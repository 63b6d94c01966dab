"""Rounding by the signals of the sources: the second moments of their filtered spikes.

The error of one weight is compensated by the weights that follow (feedback).

Let w be the weights of a neuron, q the rounded weights, and x the filtered spikes of its sources.
The squared error of the summed input is (q - w)' G (q - w) with G = mean of x x'. The sources are
rounded in turn. The error of each is distributed over the remaining sources in the best proportions
(optimal brain surgeon, Hassibi & Stork 1993, for quantisation Frantar et al., "GPTQ", 2023). All
neurons are rounded at once. Then single weights move while this helps. The result is never worse
than rounding to the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float, on_grid
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse, Weighted, windows_of
from nirc.ir.populations import Discrete
from nirc.rounding.rule import KEEPING_SUMS, Weights

MOST_SOURCES = 2048  # of one neuron
MOST_ENTRIES = 1 << 23  # of a matrix: 64 MiB
MOST_VALUES = 1 << 24  # filtered signals that are used: 128 MiB
MOST_MOMENTS = 1 << 14  # moments per source
LONGEST = 0.95  # decay: resets make a neuron forget
DAMPING = 0.01  # of the mean of G's diagonal, added to the diagonal: the samples are incomplete
TINY = 1e-9
ENOUGH = 36  # bits kept of library results
SWEEPS = 4  # over all sources, at most


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
        with np.errstate(invalid="ignore", over="ignore"):
            grams = self._grams(weights)
        if not all(np.isfinite(each).all() for each in (matrix, *grams)):
            return KEEPING_SUMS.integers(weights)  # the membrane of a source is unbounded
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


def with_feedback(
    exact: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float
) -> Float:
    """Round ``exact`` (neurons, sources) to integers from ``low`` to ``high``.

    Weights without a synapse (``there``) are 0. ``gram`` (sources, sources): G above. Library
    results are cut to a grid, so their order of summation does not matter.
    """
    size = np.diag(gram)
    gram = _settled(gram + DAMPING * max(float(size.mean()), 1e-30) * np.eye(size.size))
    order = np.argsort(-size, kind="stable")  # the largest moments are rounded first, and nearest
    passed = _settled(np.linalg.cholesky(np.linalg.inv(gram[np.ix_(order, order)])).T)
    left = exact[:, order].copy()
    there = there[:, order]
    rounded = np.zeros_like(left)
    for k in range(size.size):
        rounded[:, k] = np.where(there[:, k], np.clip(np.rint(left[:, k]), low, high), 0.0)
        wrong = (left[:, k] - rounded[:, k]) / passed[k, k]
        left[:, k + 1 :] -= wrong[:, None] * passed[k, k + 1 :]
    back = np.argsort(order)
    rounded = rounded[:, back]
    there = there[:, back]
    nearest = np.where(there, np.clip(np.rint(exact), low, high), 0.0)
    corrected, plain = (
        _descended(start, exact, there, gram, low, high) for start in (rounded, nearest)
    )
    errors = (squared_error(each, exact, gram) for each in (plain, corrected))
    return np.where(_clearly_less(*errors)[:, None], plain, corrected)


def _clearly_less(one: Float, other: Float) -> NDArray[np.bool_]:
    """Return True where ``one`` is below ``other`` by more than the errors of their summation."""
    less: NDArray[np.bool_] = one < other * (1 - TINY)
    return less


def _descended(
    rounded: Float, exact: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float
) -> Float:
    """Coordinate descent: move each weight in turn to its best integer while the others stay."""
    pull = _settled((rounded - exact) @ gram)  # (neurons, sources) half the slope
    for _ in range(SWEEPS):
        if not _swept(rounded, pull, there, gram, low, high):
            break
    return rounded


def _swept(
    rounded: Float, pull: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float
) -> bool:
    """Move each weight once, in place, and the slopes with it. Return True if any moved."""
    moved = False
    for k in range(len(gram)):
        best = np.clip(np.rint(rounded[:, k] - pull[:, k] / gram[k, k]), low, high)
        step = np.where(there[:, k], best - rounded[:, k], 0.0)
        if step.any():
            moved = True
            rounded[:, k] += step
            pull += step[:, None] * gram[k]
    return moved


def _settled(x: Float) -> Float:
    """Return ``x`` without its last bits, which depend on the order of summation."""
    return on_grid(x, ENOUGH)


def squared_error(rounded: Float, exact: Float, gram: Float) -> Float:
    """Return (neurons,) the squared error of the summed input."""
    wrong = rounded - exact
    return np.asarray(((wrong @ gram) * wrong).sum(axis=1))
