"""How far spikes are from the model's: traces (a spike and its exponential echo, van Rossum 2001) and counts."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

TINY = 1e-9


def echo(steps: int) -> float:
    """Decay per step of a trace: a fifth of the samples' length, 4 to 20 steps."""
    return 1.0 - 1.0 / min(20.0, max(4.0, steps / 5.0))


def traces(x: Float, decay: float) -> Float:
    """(samples, steps, n): each signal with its echo."""
    y, now = np.empty_like(x), np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        now = now * decay + x[:, t]
        y[:, t] = now
    return y


def traces_back(slope: Float, decay: float) -> Float:
    """The transpose of ``traces``."""
    y, now = np.empty_like(slope), np.zeros_like(slope[:, 0])
    for t in reversed(range(slope.shape[1])):
        now = now * decay + slope[:, t]
        y[:, t] = now
    return y


def power(taught: Float, decay: float) -> float:
    """Mean over samples of the sum of the squares of the model's traces: the unit of distances."""
    return float((traces(taught, decay) ** 2).sum() / max(1, len(taught))) + TINY


def count_power(taught: Float) -> float:
    """The same of the counts over all steps."""
    return float((taught.sum(axis=1) ** 2).sum() / max(1, len(taught))) + TINY


def distances(answer: Float, taught: Float) -> Float:
    """(samples,) squared error of the output's counts and of its traces, each in units of the model's own mean square.

    ``answer`` and ``taught`` (samples, steps, outputs).
    """
    decay = echo(taught.shape[1])
    counts, expected = answer.sum(axis=1), taught.sum(axis=1)
    by_count: Float = ((counts - expected) ** 2).sum(axis=1) / count_power(taught)
    off = traces(answer, decay) - traces(taught, decay)
    by_trace: Float = (off**2).sum(axis=(1, 2)) / power(taught, decay)
    return np.asarray(by_count + by_trace)


def disagreements(answer: Float, taught: Float) -> Float:
    """(samples,) 1 where the output with the largest count is another than the model's; 0 for a model with several."""
    counts, expected = answer.sum(axis=1), taught.sum(axis=1)
    clear = (expected == expected.max(axis=1, keepdims=True)).sum(axis=1) == 1
    differs: Float = (clear & (counts.argmax(axis=1) != expected.argmax(axis=1))).astype(np.float64)
    return differs
