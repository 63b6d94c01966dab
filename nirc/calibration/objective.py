"""The distance of spikes from the model's: traces (a spike and its exponential echo) and counts.

Traces follow van Rossum (2001).
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

TINY = 1e-9


def echo(steps: int) -> float:
    """Return the decay per step of a trace: a fifth of the samples' length, 4 to 20 steps."""
    return 1.0 - 1.0 / min(20.0, max(4.0, steps / 5.0))


def traces(x: Float, decay: float) -> Float:
    """Return (samples, steps, n) each signal with its echo."""
    y = np.empty_like(x)
    now = np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        now = now * decay + x[:, t]
        y[:, t] = now
    return y


def traces_back(slope: Float, decay: float) -> Float:
    """Return the transpose of ``traces``."""
    y = np.empty_like(slope)
    now = np.zeros_like(slope[:, 0])
    for t in reversed(range(slope.shape[1])):
        now = now * decay + slope[:, t]
        y[:, t] = now
    return y


def power(reference: Float, decay: float) -> float:
    """Return the unit of distances: the squared traces of the model, summed, as mean over
    samples.
    """
    return float((traces(reference, decay) ** 2).sum() / max(1, len(reference))) + TINY


def count_power(reference: Float) -> float:
    """Return the unit of counts: the squared counts over all steps, summed, as mean over
    samples.
    """
    return float((reference.sum(axis=1) ** 2).sum() / max(1, len(reference))) + TINY


def distances(answer: Float, reference: Float) -> Float:
    """Return (samples,) squared error of the counts plus squared error of the traces.

    Each is in units of the model's mean square. ``answer`` and ``reference`` (samples, steps,
    outputs).
    """
    decay = echo(reference.shape[1])
    counts = answer.sum(axis=1)
    expected = reference.sum(axis=1)
    by_count: Float = ((counts - expected) ** 2).sum(axis=1) / count_power(reference)
    off = traces(answer, decay) - traces(reference, decay)
    by_trace: Float = (off**2).sum(axis=(1, 2)) / power(reference, decay)
    return np.asarray(by_count + by_trace)


def disagreements(answer: Float, reference: Float) -> Float:
    """Return (samples,) 1 if another output has the largest count, 0 if the model has several."""
    counts = answer.sum(axis=1)
    expected = reference.sum(axis=1)
    clear = (expected == expected.max(axis=1, keepdims=True)).sum(axis=1) == 1
    differs: Float = (clear & (counts.argmax(axis=1) != expected.argmax(axis=1))).astype(np.float64)
    return differs
