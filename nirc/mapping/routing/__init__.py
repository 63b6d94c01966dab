"""Routing: multicast nets, the trees of links that carry them, and a check of the trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing.links import Floats, Ints, LinkGraph, Longs
from nirc.native.loops import in_c

SHOWN = 5  # unreachable targets listed in a message
WALK_FAULTS = {
    1: "uses a link that nothing leads to",
    2: "enters a router twice",
    3: "misses a target",
}


@dataclass(frozen=True, eq=False)
class Nets:
    """Nets to route. A net sends from one router to several routers.

    The targets of net i are ``target[first[i]:first[i + 1]]``. They may repeat and include the
    source. Raises ``ValueError`` for arrays that do not fit.
    """

    source: Ints  # (nets,) router
    first: Longs  # (nets + 1,)
    target: Ints  # (pairs,) router
    weight: Floats  # (nets,) load on each link of the net's tree, at least 0

    def __post_init__(self) -> None:
        kinds = {"source": np.int32, "first": np.int64, "target": np.int32, "weight": np.float64}
        for name, kind in kinds.items():
            array = np.ascontiguousarray(getattr(self, name), kind)
            object.__setattr__(self, name, array)
            if array.ndim != 1:
                raise ValueError(f"{name} must have one axis, not {array.ndim}")
        sources, weights, firsts = self.source.size, self.weight.size, self.first.size
        if not sources == weights == firsts - 1:
            raise ValueError(f"{sources} sources, {weights} weights, {firsts} firsts (+1)")
        ends = self.first[[0, -1]].tolist()
        if ends != [0, self.target.size] or (np.diff(self.first) < 0).any():
            raise ValueError(f"first must rise from 0 to the number of targets, {self.target.size}")
        if not (self.weight >= 0).all() or not np.isfinite(self.weight).all():
            raise ValueError("weights must be finite and at least 0")

    @classmethod
    def unicast(
        cls, source: npt.ArrayLike, target: npt.ArrayLike, weight: npt.ArrayLike = 1.0
    ) -> Nets:
        """Return one net for each pair of routers. ``weight``: one number or (pairs,)."""
        sources = np.asarray(source, np.int32)
        weights = np.broadcast_to(np.asarray(weight, np.float64), sources.shape)
        return cls(sources, np.arange(sources.size + 1), np.asarray(target, np.int32), weights)


@dataclass(frozen=True, eq=False)
class Routes:
    """A tree for each net: the links ``link[first[i]:first[i + 1]]``, from the source on."""

    first: Longs  # (nets + 1,)
    link: Ints  # (links of all trees,)
    loads: Floats  # (links,) sum of the weights of the nets that use the link

    @property
    def hops(self) -> Longs:
        """(nets,) the number of links of each net."""
        return np.diff(self.first)

    @property
    def max_load(self) -> float:
        """The load of the busiest link."""
        return float(self.loads.max(initial=0.0))

    def cost(self, links: LinkGraph) -> float:
        """Return the sum over links of load times cost."""
        return weighed(self.loads, links.cost)


class UnreachableError(ValueError):
    """Faults cut targets off. ``nets``, ``targets`` (n,): net and router without a route."""

    def __init__(self, nets: Nets, links: LinkGraph, pairs: Longs) -> None:
        self.nets = (np.searchsorted(nets.first, pairs, side="right") - 1).astype(np.int64)
        self.targets = nets.target[pairs]
        at = [tuple(xyz) for xyz in links.coordinates.tolist()]
        lines = []
        for net, target in zip(
            self.nets[:SHOWN].tolist(), self.targets[:SHOWN].tolist(), strict=True
        ):
            source = int(nets.source[net])
            faulty = [r for r in sorted({source, target}) if not links.works[r]]
            reason = " and ".join(f"router {r} is faulty" for r in faulty)
            lines.append(
                f"net {net}: router {source} {at[source]} -> {target} {at[target]}, "
                f"{reason or 'no route of working links is left'}"
            )
        if pairs.size > SHOWN:
            lines.append(f"and {pairs.size - SHOWN} more")
        count = np.unique(self.nets).size
        super().__init__(f"{pairs.size} targets of {count} nets are cut off: {'; '.join(lines)}")


def walk(nets: Nets, links: LinkGraph, routes: Routes) -> Ints:
    """Check the trees by following them. Return (pairs,) int32: links from source to target.

    Raises ``ValueError`` if a tree uses a link before reaching it, enters a router twice, or misses
    a target.
    """
    hops = np.zeros(nets.target.size, np.int32)
    found = np.zeros(2, np.int64)
    trees = (routes.first, routes.link)
    ends = (links.source, links.target)
    pairs = (nets.source, nets.first, nets.target)
    _walk(pairs, trees, ends, links.routers, hops, found)
    net, fault = found.tolist()
    if fault:
        raise ValueError(f"the tree of net {net} {WALK_FAULTS[fault]}")
    return hops


def weighed(loads: Floats, cost: Floats) -> float:
    """Return the sum of load times cost, added in order. BLAS has no fixed order."""
    return float(np.cumsum(loads * cost)[-1]) if loads.size else 0.0


@in_c("walk", "iqiqiiini*q*")
def _walk(
    nets: tuple[Ints, Longs, Ints],
    trees: tuple[Longs, Ints],
    ends: tuple[Ints, Ints],
    routers: int,
    hops: Ints,
    found: Longs,
) -> None:
    """Fill in ``hops``, and ``found``: net and fault of the first tree that is wrong."""
    source, first, target = nets
    tree_first, link = trees
    link_source, link_target = ends
    seen = np.full(routers, -1, np.int64)
    depth = np.zeros(routers, np.int32)
    for net in range(source.size):
        seen[source[net]] = net
        depth[source[net]] = 0
        for i in range(tree_first[net], tree_first[net + 1]):
            here, there = link_source[link[i]], link_target[link[i]]
            if seen[here] != net:
                found[0], found[1] = net, 1
                return
            if seen[there] == net:
                found[0], found[1] = net, 2
                return
            seen[there] = net
            depth[there] = depth[here] + 1
        for pair in range(first[net], first[net + 1]):
            if seen[target[pair]] != net:
                found[0], found[1] = net, 3
                return
            hops[pair] = depth[target[pair]]
