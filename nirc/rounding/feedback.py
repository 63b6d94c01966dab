"""Rounding with feedback: the error of one weight is compensated by the weights that follow.

Let w be the weights of a neuron, q the rounded weights, and x the filtered spikes of its sources.
The squared error of the summed input is (q - w)' G (q - w) with G = mean of x x'. The sources are
rounded in turn. The error of each is distributed over the remaining sources in the best proportions
(optimal brain surgeon, Hassibi & Stork 1993, for quantisation Frantar et al., "GPTQ", 2023). All
neurons are rounded at once. Then single weights move while this helps. The result is never worse
than rounding to the nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float, on_grid

DAMPING = 0.01  # of the mean of G's diagonal, added to the diagonal: the samples are incomplete
TINY = 1e-9
ENOUGH = 36  # bits kept of library results
SWEEPS = 4  # over all sources, at most


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
    worse = squared_error(plain, exact, gram) < squared_error(corrected, exact, gram) * (1 - TINY)
    return np.where(worse[:, None], plain, corrected)


def _descended(
    rounded: Float, exact: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float
) -> Float:
    """Coordinate descent: move each weight in turn to its best integer while the others stay."""
    pull = _settled((rounded - exact) @ gram)  # (neurons, sources) half the slope
    for _ in range(SWEEPS):
        moved = False
        for k in range(len(gram)):
            best = np.clip(np.rint(rounded[:, k] - pull[:, k] / gram[k, k]), low, high)
            step = np.where(there[:, k], best - rounded[:, k], 0.0)
            if step.any():
                moved = True
                rounded[:, k] += step
                pull += step[:, None] * gram[k]
        if not moved:
            break
    return rounded


def _settled(x: Float) -> Float:
    """Return ``x`` without its last bits, which depend on the order of summation."""
    return on_grid(x, ENOUGH)


def squared_error(rounded: Float, exact: Float, gram: Float) -> Float:
    """Return (neurons,) the squared error of the summed input."""
    wrong = rounded - exact
    return np.asarray(((wrong @ gram) * wrong).sum(axis=1))
