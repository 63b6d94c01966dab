"""Exact sums of weights over spikes, for many samples at once: by a matrix or spike by spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.bool_] | NDArray[np.signedinteger[Any]]  # spikes of each source
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

SPARSE = 32  # below one synapse in 32 entries of its matrix, a projection is summed spike by spike
MAX_VALUES = 1 << 27  # entries of a matrix
WALKED = 1 << 21  # synapses that are summed at once, spike by spike
FLOAT32_INTEGERS = 1 << 24  # float32 holds integers up to here


@dataclass(frozen=True)
class Synapses:
    """Synapses by index: source neuron, place of its sum, integer weight. No synapse twice."""

    sources: Int64
    places: Int64
    weights: Int64
    n_sources: int
    n_places: int


class Sums(Protocol):
    """Sums the weights of spikes."""

    def sums(self, spikes: Counts) -> Int64:
        """Return (samples, places) sums for ``spikes`` (samples, sources)."""


def summing(synapses: Synapses) -> Sums:
    """Return the faster implementation for these synapses. Both give equal sums."""
    entries = synapses.n_sources * synapses.n_places
    dense = entries <= min(SPARSE * len(synapses.places), MAX_VALUES)
    return _Matrix(synapses) if dense else _Lists(synapses)


class _Matrix:
    """Synapses as a matrix."""

    def __init__(self, synapses: Synapses) -> None:
        self.reach = float(
            np.bincount(synapses.places, np.abs(synapses.weights), minlength=1).max()
        )
        precision = np.float32 if self.reach <= FLOAT32_INTEGERS else np.float64
        self.weights = np.zeros((synapses.n_sources, synapses.n_places), precision)
        self.weights[synapses.sources, synapses.places] = synapses.weights

    def sums(self, spikes: Counts) -> Int64:
        if self.reach * int(spikes.max(initial=0)) > FLOAT32_INTEGERS:
            self.weights = self.weights.astype(np.float64, copy=False)
        total: Int64 = (spikes.astype(self.weights.dtype) @ self.weights).astype(np.int64)
        return total


class _Lists:
    """Synapses as a list for each source, for sparse projections."""

    def __init__(self, synapses: Synapses) -> None:
        order = np.argsort(synapses.sources, kind="stable")
        self.fan_out = np.bincount(synapses.sources, minlength=synapses.n_sources)
        self.first = np.cumsum(self.fan_out) - self.fan_out
        self.places = synapses.places[order]
        self.n_places = synapses.n_places
        self.weights = synapses.weights[order].astype(np.float64)

    def sums(self, spikes: Counts) -> Int64:
        """Sum over the sources with spikes only."""
        total = np.zeros(len(spikes) * self.n_places)
        samples, sources = np.nonzero(spikes)
        times = None if spikes.dtype == np.bool_ else spikes[samples, sources].astype(np.float64)
        ends = np.cumsum(self.fan_out[sources])
        start = done = 0
        while start < len(sources):
            stop = max(start + 1, int(np.searchsorted(ends, done + WALKED, "right")))
            chunk = slice(start, stop)
            count = self.fan_out[sources[chunk]]
            skipped = self.first[sources[chunk]] - (ends[chunk] - count - done)
            synapse = np.arange(count.sum()) + np.repeat(skipped, count)
            place = self.places[synapse] + np.repeat(samples[chunk] * self.n_places, count)
            weights = self.weights[synapse]
            if times is not None:
                weights *= np.repeat(times[chunk], count)
            total += np.bincount(place, weights, minlength=len(total))
            start = stop
            done = int(ends[stop - 1])
        return total.astype(np.int64).reshape(len(spikes), self.n_places)
