"""Run networks whose synapses have delays, as chips do: step by step, many samples at once.

A spike of step t acts in step t + 1 + delay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from nirc.semantics.raster import Recorder, Run
from nirc.semantics.synapses import Counts

CHUNK_VALUES = 1 << 18  # states held at once, so that they stay in the processor's cache
CHUNK_SAMPLES = 64  # but at least so many samples, to be worth a matrix product
MAX_VALUES = 1 << 27  # unless they would be more than these


class Cells(Protocol):
    """States (samples, n) of a population, under the names that ``Recorder`` reads."""

    @property
    def n(self) -> int:
        """The number of neurons."""

    @property
    def spikes(self) -> Counts:
        """The spikes (samples, n) of the last step."""

    def reset(self, samples: int) -> NDArray[Any]:
        """Go back to the start, for a batch. Return zeros for the sums that arrive in a step."""

    def step(self, arrived: NDArray[Any]) -> None:
        """Take the sums that arrived, and fire."""


class Bundle(Protocol):
    """A projection. ``n_places``: sums of a sample."""

    source: str
    target: str
    delays: list[int]
    n_places: int

    def sums(self, spikes: Any) -> NDArray[Any]:
        """Return the sums (samples, delays, ...) of ``spikes`` (samples, sources)."""


def run_delayed(
    inputs: NDArray[Any],
    channels: Mapping[str, NDArray[Any]],
    cells: Mapping[str, Cells],
    bundles: Sequence[Bundle],
    recorder: Recorder,
    progress: Callable[[int], None] | None,
    counts: DTypeLike,
) -> Run:
    """Run ``inputs`` (samples, steps, channels). ``channels``: of each input of the network.

    ``progress`` gets the number of samples that are finished. ``counts``: the type of the spike
    counts of inputs.
    """
    depth = dict.fromkeys(cells, 1)
    for bundle in bundles:
        depth[bundle.target] = max(depth[bundle.target], 1 + max(bundle.delays, default=0))
    chunk = _samples_at_once(cells, bundles, depth)
    for start in range(0, len(inputs), chunk):
        part = inputs[start : start + chunk].astype(counts)
        arriving: dict[str, list[NDArray[Any]]] = {}  # by name and step modulo depth
        for name, population in cells.items():
            nothing = population.reset(len(part))
            arriving[name] = [nothing.copy() for _ in range(depth[name])]
        for now in range(inputs.shape[1]):
            sent: dict[str, Counts] = {k: part[:, now, index] for k, index in channels.items()}
            for name, population in cells.items():
                arrived = arriving[name][now % depth[name]]
                population.step(arrived)
                arrived[:] = 0
                sent[name] = population.spikes
            for bundle in bundles:
                spikes = sent[bundle.source]
                if not spikes.any():
                    continue
                sums = bundle.sums(spikes)
                into = arriving[bundle.target]
                for k, delay in enumerate(bundle.delays):
                    into[(now + 1 + delay) % len(into)] += sums[:, k]
            recorder.write(cells, slice(start, start + len(part)), now)
        if progress is not None:
            progress(start + len(part))
    return recorder.run()


def _samples_at_once(
    cells: Mapping[str, Cells], bundles: Sequence[Bundle], depth: Mapping[str, int]
) -> int:
    values = sum(population.n * (depth[name] + 4) for name, population in cells.items())
    values += sum(bundle.n_places for bundle in bundles)
    wanted = max(CHUNK_SAMPLES, CHUNK_VALUES // max(1, values))
    return max(1, min(wanted, MAX_VALUES // max(1, values)))
