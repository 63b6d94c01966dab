"""A partition: parts on cores, and everything that placing and routing want to know of it, as arrays."""

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

UNITS_PER_SPIKE = 1000  # traffic is in whole numbers: thousandths of a spike and step


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts by population, then in C order of their first neurons; cores are numbered from 0 without gaps.

    ``population`` (parts,): number in the problem. ``boxes`` (parts, 3, 2). ``core`` (parts,). ``usage``
    (cores, resources): what is taken of each core. ``bound``: no partition has fewer cores.
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
        """Cores that are used."""
        return len(self.usage)

    @property
    def proven(self) -> bool:
        """Whether it is known that no partition has fewer cores."""
        return self.count == self.bound

    def parts_of(self, population: int) -> Ints:
        """(k,) the parts of a population, by number."""
        low, high = np.searchsorted(self.population, (population, population + 1))
        return np.arange(low, high)

    @cached_property
    def hyperedges(self) -> Hyperedges:
        """Which spikes go to which parts."""
        return hyperedges(self.problem, self.population, self.boxes)

    @cached_property
    def spikes(self) -> tuple[Ints, Ints, Floats]:
        """(source core or -1, target core, spikes a step), each pair once; a spike counts once for a target core."""
        return core_pairs(self.hyperedges, self.core, self.count)

    @cached_property
    def traffic(self) -> float:
        """Spikes a step, each times the distinct cores that it goes to; its own core only if that is not free."""
        source, target, spikes = self.spikes
        counted = source != target if self.cores.own_is_free else np.ones(source.size, bool)
        return float(spikes[counted].sum())

    def between_cores(self, units: int = UNITS_PER_SPIKE) -> Traffic:
        """Traffic to be placed: ``units`` for a spike a step, rounded, at least 1. Without external inputs."""
        source, target, spikes = self.spikes
        inner = (source >= 0) & (spikes > 0)
        weight = np.maximum(np.round(spikes[inner] * units), 1).astype(np.int64)
        return Traffic.from_edges(self.count, source[inner], target[inner], weight)

    def nets(self, outside: int | None = None) -> Nets:
        """One net for each part that sends: to every core that any of its neurons reaches; weight: spikes a step.

        Routers are cores here: put their places in with ``Nets.source`` and ``.target`` as indices. ``outside``: the
        router where spikes of external inputs enter, one net for each such input; None leaves them out.
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
        weight = np.bincount(senders[sending], weights=edges.weight[sending], minlength=int(used.max(initial=-1)) + 1)
        return Nets(source, np.append(0, np.cumsum(count)), target, weight[used])


def core_pairs(edges: Hyperedges, core: Ints, cores: int) -> tuple[Ints, Ints, Floats]:
    """See ``Partition.spikes``."""
    edge = edges.edge_of
    key = np.unique(edge * cores + core[edges.target]) if edge.size else edge
    edge, target = np.divmod(key, max(cores, 1))
    source = np.where(edges.source >= 0, core[edges.source] if core.size else -1, -1)[edge]
    pair, of = np.unique((source + 1) * cores + target, return_inverse=True)
    spikes = np.bincount(of.ravel(), weights=edges.weight[edge], minlength=pair.size).astype(np.float64)
    return pair // max(cores, 1) - 1, pair % max(cores, 1), spikes
