"""Rounding with feedback: what rounding one weight does wrong is made good by those that are rounded after it.

Of a neuron with weights w, rounded to q, and sources whose filtered spikes are x, the squared error of the summed
input is (q - w)' G (q - w) with G = mean of x x'. Source by source, the error is passed on to the sources that are
still to be rounded in the proportions that make up for it best (optimal brain surgeon, Hassibi & Stork 1993; for
quantisation Frantar et al., "GPTQ", 2023). All neurons at once. Then single weights move as long as that helps; and
what comes of it is never worse than rounding to the nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.exact import on_grid
from nirc.ir.arrays import Float

DAMPING = 0.01  # of the mean of G's diagonal, added to it: the samples are not all there is
TINY = 1e-9
ENOUGH = 36  # bits of what libraries compute
SWEEPS = 4  # over all sources, at most


def with_feedback(exact: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float) -> Float:
    """``exact`` (neurons, sources) as whole numbers from ``low`` to ``high``; 0 where no synapse is ``there``.

    ``gram`` (sources, sources): G above. What libraries compute is cut to a grid, so that their order does not matter.
    """
    size = np.diag(gram)
    gram = _settled(gram + DAMPING * max(float(size.mean()), 1e-30) * np.eye(size.size))
    order = np.argsort(-size, kind="stable")  # what matters most is rounded first, and nearest
    passed = _settled(np.linalg.cholesky(np.linalg.inv(gram[np.ix_(order, order)])).T)
    left, there = exact[:, order].copy(), there[:, order]
    whole = np.zeros_like(left)
    for k in range(size.size):
        whole[:, k] = np.where(there[:, k], np.clip(np.rint(left[:, k]), low, high), 0.0)
        wrong = (left[:, k] - whole[:, k]) / passed[k, k]
        left[:, k + 1 :] -= wrong[:, None] * passed[k, k + 1 :]
    back = np.argsort(order)
    whole, there = whole[:, back], there[:, back]
    nearest = np.where(there, np.clip(np.rint(exact), low, high), 0.0)
    found, other = (_descended(start, exact, there, gram, low, high) for start in (whole, nearest))
    worse = squared_error(other, exact, gram) < squared_error(found, exact, gram) * (1 - TINY)
    return np.where(worse[:, None], other, found)


def _descended(whole: Float, exact: Float, there: NDArray[np.bool_], gram: Float, low: float, high: float) -> Float:
    """Coordinate descent: each weight in turn to the whole number that is best while the others stay."""
    pull = _settled((whole - exact) @ gram)  # (neurons, sources) half the slope
    for _ in range(SWEEPS):
        moved = False
        for k in range(len(gram)):
            best = np.clip(np.rint(whole[:, k] - pull[:, k] / gram[k, k]), low, high)
            step = np.where(there[:, k], best - whole[:, k], 0.0)
            if step.any():
                moved = True
                whole[:, k] += step
                pull += step[:, None] * gram[k]
        if not moved:
            break
    return whole


def _settled(x: Float) -> Float:
    """``x`` without its last bits, in which the order of summation shows."""
    return on_grid(x, ENOUGH)


def squared_error(whole: Float, exact: Float, gram: Float) -> Float:
    """(neurons,) of the summed input."""
    wrong = whole - exact
    return np.asarray(((wrong @ gram) * wrong).sum(axis=1))
