"""A tree of links for every multicast net (trees.py), spread over busy links (congestion.py)."""

from __future__ import annotations

import numpy as np

from nirc.mapping.congestion import spread_load
from nirc.mapping.links import LinkGraph
from nirc.mapping.nets import Nets, Routes, UnreachableError, walk
from nirc.mapping.trees import Progress, ordered_trees

__all__ = ["Nets", "Routes", "UnreachableError", "route", "walk"]


def route(
    nets: Nets,
    links: LinkGraph,
    *,
    congestion_aware: bool = False,
    seed: int = 0,
    rounds: int = 20,
    work: int = 20_000_000,
    progress: Progress | None = None,
) -> Routes:
    """Return a tree of working links from the source of each net to all its targets.

    Without faults, each target is as few links from its source as possible. With faults and links
    of equal cost, a tree has no more links than the shortest routes to its targets together.
    ``congestion_aware``: lower the largest load. With finite capacities this means the largest load
    / capacity, until the ratio is at most 1. This takes at most ``rounds`` rounds and about
    ``work`` steps of search. ``seed`` orders the nets in a round. Routes may get longer. The
    largest load never rises. The answer depends on nothing else.
    ``progress``: called with the stage and the share of the stage that is done.
    Raises ``UnreachableError`` naming all targets that faults cut off, ``ValueError`` for unknown
    routers.
    """
    for name, ids in (("source", nets.source), ("target", nets.target)):
        if ids.size and (ids.min() < 0 or ids.max() >= links.routers):
            raise ValueError(
                f"{name} names routers {ids.min()} to {ids.max()}; there are 0 to "
                f"{links.routers - 1}"
            )
    if links.routers == 1:
        return Routes(np.zeros(nets.source.size + 1, np.int64), np.zeros(0, np.int32), np.zeros(0))
    routes = ordered_trees(nets, links, progress)
    if congestion_aware:
        routes = spread_load(nets, links, routes, seed, rounds, work, progress)
    return routes
