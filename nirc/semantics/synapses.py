"""Sums of weights over spikes, exactly, for many samples at once: as a matrix, or spike by spike where that is less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.bool_] | NDArray[np.signedinteger[Any]]  # spikes of each, booleans or whole numbers
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

SPARSE = 32  # with less than one synapse in so many entries of its matrix, a projection is summed spike by spike
MAX_VALUES = 1 << 27  # entries of a matrix
WALKED = 1 << 21  # synapses that are added up at once, spike by spike
FLOAT32_WHOLE = 1 << 24  # float32 holds whole numbers up to here


@dataclass(frozen=True)
class Synapses:
    """Synapses one by one: source neuron, place of the sum that it adds to, and whole weight. None twice."""

    sources: Int64
    places: Int64
    weights: Int64
    n_sources: int
    n_places: int


class Sums(Protocol):
    """Adds up what spikes bring."""

    def sums(self, spikes: Counts) -> Int64:
        """(samples, places) of ``spikes`` (samples, sources)."""


def summing(synapses: Synapses) -> Sums:
    """The faster way for these synapses; both give the same."""
    entries = synapses.n_sources * synapses.n_places
    dense = entries <= min(SPARSE * len(synapses.places), MAX_VALUES)
    return _Matrix(synapses) if dense else _Lists(synapses)


class _Matrix:
    """Synapses as a matrix."""

    def __init__(self, synapses: Synapses) -> None:
        self.reach = float(np.bincount(synapses.places, np.abs(synapses.weights), minlength=1).max())
        precision = np.float32 if self.reach <= FLOAT32_WHOLE else np.float64
        self.weights = np.zeros((synapses.n_sources, synapses.n_places), precision)
        self.weights[synapses.sources, synapses.places] = synapses.weights

    def sums(self, spikes: Counts) -> Int64:
        if self.reach * int(spikes.max(initial=0)) > FLOAT32_WHOLE:
            self.weights = self.weights.astype(np.float64, copy=False)
        total: Int64 = (spikes.astype(self.weights.dtype) @ self.weights).astype(np.int64)
        return total


class _Lists:
    """Synapses as a list for each source, for projections that are mostly empty."""

    def __init__(self, synapses: Synapses) -> None:
        order = np.argsort(synapses.sources, kind="stable")
        self.fan_out = np.bincount(synapses.sources, minlength=synapses.n_sources)
        self.first = np.cumsum(self.fan_out) - self.fan_out
        self.places, self.n_places = synapses.places[order], synapses.n_places
        self.weights = synapses.weights[order].astype(np.float64)

    def sums(self, spikes: Counts) -> Int64:
        """Looks at those only who spike."""
        total = np.zeros(len(spikes) * self.n_places)
        samples, sources = np.nonzero(spikes)
        times = None if spikes.dtype == np.bool_ else spikes[samples, sources].astype(np.float64)
        ends = np.cumsum(self.fan_out[sources])
        start = done = 0
        while start < len(sources):
            stop = max(start + 1, int(np.searchsorted(ends, done + WALKED, "right")))
            some = slice(start, stop)
            count = self.fan_out[sources[some]]
            skipped = self.first[sources[some]] - (ends[some] - count - done)
            synapse = np.arange(count.sum()) + np.repeat(skipped, count)
            place = self.places[synapse] + np.repeat(samples[some] * self.n_places, count)
            brought = self.weights[synapse]
            if times is not None:
                brought *= np.repeat(times[some], count)
            total += np.bincount(place, brought, minlength=len(total))
            start, done = stop, int(ends[stop - 1])
        return total.astype(np.int64).reshape(len(spikes), self.n_places)
