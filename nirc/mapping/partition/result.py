"""A partition: parts on cores, with the arrays that placement and routing need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nirc.mapping.partition.boxes import Boxes, Ints
from nirc.mapping.partition.hyperedges import Hyperedges, hyperedges
from nirc.mapping.partition.problem import Cores, Floats, Problem
from nirc.mapping.traffic import Traffic

if TYPE_CHECKING:
    from nirc.mapping.nets import Nets

UNITS_PER_SPIKE = 1000  # traffic is in integers: thousandths of a spike per step


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts by population, then in C order of their first neurons. Cores are 0..count-1.

    ``population`` (parts,): index in the problem. ``boxes`` (parts, 3, 2). ``core`` (parts,).
    ``usage`` (cores, resources): the used resources of each core. ``bound``: no partition has fewer
    cores.
    """

    problem: Problem
    cores: Cores
    population: Ints
    boxes: Boxes
    core: Ints
    usage: Ints
    bound: int

    @property
    def count(self) -> int:
        """The number of cores in use."""
        return len(self.usage)

    @property
    def proven(self) -> bool:
        """True if no partition has fewer cores."""
        return self.count == self.bound

    def parts_of(self, population: int) -> Ints:
        """Return (k,) the indices of a population's parts."""
        low, high = np.searchsorted(self.population, (population, population + 1))
        return np.arange(low, high)

    @cached_property
    def hyperedges(self) -> Hyperedges:
        """The spikes and the parts that they reach."""
        return hyperedges(self.problem, self.population, self.boxes)

    @cached_property
    def spikes(self) -> tuple[Ints, Ints, Floats]:
        """(source core or -1, target core, spikes per step): a spike once for each target core."""
        return core_pairs(self.hyperedges, self.core, self.count)

    @cached_property
    def traffic(self) -> float:
        """Spikes per step, each times its distinct target cores (the source's core may be free)."""
        source, target, spikes = self.spikes
        counted = source != target if self.cores.local_is_free else np.ones(source.size, bool)
        return float(spikes[counted].sum())

    def between_cores(self, units: int = UNITS_PER_SPIKE) -> Traffic:
        """Return the traffic to place, without external inputs.

        ``units``: the integer for one spike per step. Weights are rounded and at least 1.
        """
        source, target, spikes = self.spikes
        inner = (source >= 0) & (spikes > 0)
        weight = np.maximum(np.round(spikes[inner] * units), 1).astype(np.int64)
        return Traffic.from_edges(self.count, source[inner], target[inner], weight)

    def nets(self, outside: int | None = None) -> Nets:
        """Return a net for each sending part, to every core that any of its neurons reaches.

        Weights are spikes per step. Routers are cores here: replace them by indexing with
        ``Nets.source`` and ``.target``. ``outside``: the router where spikes of external inputs
        enter, with a net for each input. None: no nets for external inputs.
        """
        from nirc.mapping.nets import Nets

        edges = self.hyperedges
        senders = np.where(edges.source >= 0, edges.source, len(self.core) + edges.population)
        if outside is None:
            senders = np.where(edges.source >= 0, edges.source, -1)
        cores = self.count
        key = np.unique(senders[edges.edge_of] * cores + self.core[edges.target])
        sender, target = np.divmod(key[key >= 0], cores)
        used, count = np.unique(sender, return_counts=True)
        inside = used < len(self.core)
        source = np.full(used.size, -1 if outside is None else outside)
        source[inside] = self.core[used[inside]]
        sending = senders >= 0
        weight = np.bincount(
            senders[sending], weights=edges.weight[sending], minlength=int(used.max(initial=-1)) + 1
        )
        return Nets(source, np.append(0, np.cumsum(count)), target, weight[used])


def core_pairs(edges: Hyperedges, core: Ints, cores: int) -> tuple[Ints, Ints, Floats]:
    """See ``Partition.spikes``."""
    edge = edges.edge_of
    key = np.unique(edge * cores + core[edges.target]) if edge.size else edge
    edge, target = np.divmod(key, max(cores, 1))
    source = np.where(edges.source >= 0, core[edges.source] if core.size else -1, -1)[edge]
    pair, of = np.unique((source + 1) * cores + target, return_inverse=True)
    spikes = np.bincount(of.ravel(), weights=edges.weight[edge], minlength=pair.size).astype(
        np.float64
    )
    return pair // max(cores, 1) - 1, pair % max(cores, 1), spikes
