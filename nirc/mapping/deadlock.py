"""Can messages on these routes wait for one another in a circle?

A message that holds a link until it gets the next makes the next one a *dependency*. Routes cannot deadlock if no
chain of dependencies comes back to where it began (Dally and Seitz, "Deadlock-free message routing in multiprocessor
interconnection networks", IEEE Trans. Computers 1987; for routes fixed in advance, as here).

* Dimension-ordered routes on a **mesh** have no cycle: along an axis messages only go on in their direction, and from
  axis x they may turn to y, then z, but never back. Multicast trees of such routes have the same turns. Detours
  around faults and congestion-aware routes turn as they like: check them.
* On a **torus** each ring can be a cycle by itself. Such a chip needs two virtual channels per link, one for messages
  that have yet to cross a border of the torus, one for those that have; then the order holds again. This test knows
  no virtual channels and reports the ring.
* On **triangles** the longest axis goes first, so all turns occur and cycles are common. SpiNNaker's routers drop a
  packet that waits too long, so it is never stuck, but such a cycle shows where packets may be lost.

Not covered: branches of one multicast message that wait for each other when routers hold messages in pieces
(wormhole) instead of copying whole ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.links import Ints, LinkGraph, Longs
from nirc.mapping.route import Routes

Bools = npt.NDArray[np.bool_]
SHOWN = 12  # links of a cycle in a text


@dataclass(frozen=True)
class DeadlockCheck:
    """The answer of ``check``.

    ``dependencies``: pairs of links of which one is held while the other is waited for. ``cycle``: links, each waiting
    for the next and the last for the first; empty if there is no such cycle. ``text``: this in words, for reports.
    """

    dependencies: int
    cycle: tuple[int, ...]
    text: str

    @property
    def free(self) -> bool:
        """Whether the routes cannot deadlock."""
        return not self.cycle


def check(links: LinkGraph, routes: Routes) -> DeadlockCheck:
    """Whether a cyclic channel dependency exists among ``routes``, and the cycle if there is one."""
    count = int(np.count_nonzero(dependencies(links, routes)))
    cycle = find_cycle(links, routes)
    if cycle is None:
        return DeadlockCheck(count, (), f"no cycle among {count} channel dependencies")
    steps = [f"{_point(links, links.source[k])} {links.direction_names[links.direction[k]]}" for k in cycle[:SHOWN]]
    more = f" ... {cycle.size - SHOWN} more ..." if cycle.size > SHOWN else ""
    way = f"{', '.join(steps)}{more}, and again {_point(links, links.source[cycle[0]])}"
    return DeadlockCheck(count, tuple(cycle.tolist()), f"{cycle.size} links wait for one another in a circle: {way}")


def _point(links: LinkGraph, router: int) -> str:
    x, y, z = links.coordinates[router].tolist()
    return f"({x}, {y}, {z})" if links.size[2] > 1 else f"({x}, {y})"


def dependencies(links: LinkGraph, routes: Routes) -> Bools:
    """(links, directions) bool: some tree goes from the link on in this direction.

    The next link is ``links.outgoing[links.target[link], direction]``.
    """
    follows = np.zeros((links.source.size, links.outgoing.shape[1]), np.bool_)
    _fill(routes.first, routes.link, links.source, links.target, links.direction, np.zeros(links.routers, np.int64),
          np.zeros(links.routers, np.int32), follows)  # fmt: skip
    return follows


def find_cycle(links: LinkGraph, routes: Routes) -> Ints | None:
    """Links of which each waits for the next and the last for the first, or None: the routes cannot deadlock.

    Of several cycles the one found depends on nothing but the set of dependencies.
    """
    follows = dependencies(links, routes)
    cycle: Ints = _cycle(follows, links.outgoing, links.target)
    return cycle if cycle.size else None


@compiled
def _fill(
    first: Longs, link: Ints, source: Ints, target: Ints, direction: Ints, seen: Longs, arrived: Ints, follows: Bools
) -> None:
    """``arrived``: the link by which the tree of the net numbered in ``seen`` (from 1) enters a router."""
    for net in range(first.size - 1):
        for i in range(first[net], first[net + 1]):
            here = source[link[i]]
            if seen[here] == net + 1:
                follows[arrived[here], direction[link[i]]] = True
            seen[target[link[i]]], arrived[target[link[i]]] = net + 1, link[i]


@compiled
def _cycle(follows: Bools, outgoing: Ints, target: Ints) -> Ints:
    """Kahn's sort (1962): take away links that nothing waits to enter; what is left hangs on a cycle. Empty: none."""
    links, directions = follows.shape
    waiting = np.zeros(links, np.int32)  # links that lead to this one and are not yet taken away
    for link in range(links):
        for d in range(directions):
            if follows[link, d]:
                waiting[outgoing[target[link], d]] += 1
    ready = np.empty(links, np.int32)
    end = 0
    for link in range(links):
        if waiting[link] == 0:
            ready[end] = link
            end += 1
    done = 0
    while done < end:
        link = ready[done]
        done += 1
        for d in range(directions):
            if follows[link, d]:
                following = outgoing[target[link], d]
                waiting[following] -= 1
                if waiting[following] == 0:
                    ready[end] = following
                    end += 1
    if end == links:
        return ready[:0]
    return _back_round(follows, outgoing, target, waiting)  # type: ignore[no-any-return]


@compiled
def _back_round(follows: Bools, outgoing: Ints, target: Ints, waiting: Ints) -> Ints:
    """Go from a link that is left to one that leads to it, and so on, until one comes again."""
    links, directions = follows.shape
    before = np.full(links, -1, np.int32)
    for link in range(links):
        if waiting[link] > 0:
            for d in range(directions):
                if follows[link, d]:
                    before[outgoing[target[link], d]] = link
    way, position = np.empty(links, np.int32), np.full(links, -1, np.int32)
    link, count = int(np.argmax(waiting)), 0
    while position[link] < 0:
        position[link] = count
        way[count] = link
        count += 1
        link = before[link]
    return way[position[link] : count][::-1].copy()
