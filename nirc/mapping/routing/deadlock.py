"""A check of routes for deadlocks: messages that wait for one another in a cycle.

A message holds a link until it gets the next link. This makes the next link a *dependency* of the
first. Routes cannot deadlock if no chain of dependencies returns to its beginning (Dally and Seitz,
"Deadlock-free message routing in multiprocessor interconnection networks", IEEE Trans. Computers
1987, here for routes fixed in advance).

* Dimension-ordered routes on a **mesh** have no cycle. Along an axis messages keep their direction.
  From axis x they may turn to y, then z, but never back. Multicast trees of ordered routes have the
  same turns. Detours around faults and congestion-aware routes may turn anywhere: check them.
* On a **torus** each ring can be a cycle by itself. The chip then needs two virtual channels per
  link, and messages change the channel at a border of the torus. This check knows no virtual
  channels and reports the ring.
* On **triangles** the longest axis goes first. So all turns occur and cycles are common.
  SpiNNaker's routers drop a packet that waits too long. So a cycle shows where packets may be lost.

The check does not cover branches of one multicast message that wait for each other. This happens
if routers hold messages in pieces (wormhole) instead of copying them completely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing import Routes
from nirc.mapping.routing.links import Ints, LinkGraph, Longs
from nirc.native.loops import in_c

Bools = npt.NDArray[np.bool_]
SHOWN = 12  # links of a cycle in a text


@dataclass(frozen=True)
class DeadlockCheck:
    """The answer of ``check``.

    ``dependencies``: number of pairs of links: the first is held while the second is waited for.
    ``cycle``: links that each wait for the next, the last for the first. Empty if there is no
    cycle. ``text``: the answer in words, for reports.
    """

    dependencies: int
    cycle: tuple[int, ...]
    text: str

    @property
    def free(self) -> bool:
        """True if the routes cannot deadlock."""
        return not self.cycle


def check(links: LinkGraph, routes: Routes) -> DeadlockCheck:
    """Look for a cyclic channel dependency among ``routes``.

    Of several cycles, the choice depends on nothing but the set of dependencies.
    """
    follows = dependencies(links, routes)
    count = int(np.count_nonzero(follows))
    path = np.empty(links.source.size, np.int32)
    cycle = path[: _cycle(follows, links.outgoing, links.target, path)]
    if not cycle.size:
        return DeadlockCheck(count, (), f"no cycle among {count} channel dependencies")
    axes = 3 if links.size[2] > 1 else 2
    shown = cycle[:SHOWN]
    points = [tuple(xyz) for xyz in links.coordinates[links.source[shown], :axes].tolist()]
    names = [links.direction_names[d] for d in links.direction[shown]]
    steps = ", ".join(f"{point} {name}" for point, name in zip(points, names, strict=True))
    more = f" ... {cycle.size - SHOWN} more ..." if cycle.size > SHOWN else ""
    text = f"{cycle.size} links wait for one another in a circle: {steps}{more}, and again "
    return DeadlockCheck(count, tuple(cycle.tolist()), f"{text}{points[0]}")


def dependencies(links: LinkGraph, routes: Routes) -> Bools:
    """Return (links, directions) bool: some tree continues from the link in this direction.

    The next link is ``links.outgoing[links.target[link], direction]``.
    """
    follows = np.zeros((links.source.size, links.outgoing.shape[1]), np.bool_)
    ends = (links.source, links.target, links.direction)
    _fill(routes.first, routes.link, ends, links.routers, follows)
    return follows


@in_c("follows", "qiiiin?*")
def _fill(
    first: Longs, link: Ints, ends: tuple[Ints, Ints, Ints], routers: int, follows: Bools
) -> None:
    """Fill in ``follows``, see ``dependencies``. ``ends``: source, target, direction of links."""
    source, target, direction = ends
    seen = np.zeros(routers, np.int64)  # the last net that enters the router, from 1
    arrived = np.zeros(routers, np.int32)  # the link by which this net enters the router
    for net in range(first.size - 1):
        for i in range(first[net], first[net + 1]):
            here = source[link[i]]
            if seen[here] == net + 1:
                follows[arrived[here], direction[link[i]]] = True
            seen[target[link[i]]] = net + 1
            arrived[target[link[i]]] = link[i]


@in_c("cycle", "?iii*")
def _cycle(follows: Bools, outgoing: Ints, target: Ints, path: Ints) -> int:
    """Remove links that no link waits for (Kahn's sort, 1962). The rest leads to a cycle.

    ``path`` (links,) begins with the cycle. Return its length.
    """
    links, directions = follows.shape
    waiting = np.zeros(links, np.int32)  # links that lead to this link and are not removed yet
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
        return 0
    return _cycle_backwards(follows, outgoing, target, waiting, path)


def _cycle_backwards(
    follows: Bools, outgoing: Ints, target: Ints, waiting: Ints, path: Ints
) -> int:
    """Go back from link to link among the remaining links, until a link repeats."""
    links, directions = follows.shape
    before = np.full(links, -1, np.int32)
    for link in range(links):
        if waiting[link] > 0:
            for d in range(directions):
                if follows[link, d]:
                    before[outgoing[target[link], d]] = link
    position = np.full(links, -1, np.int32)
    link = int(np.argmax(waiting))
    count = 0
    while position[link] < 0:
        position[link] = count
        path[count] = link
        count += 1
        link = before[link]
    length = count - position[link]
    path[:length] = path[position[link] : count][::-1].copy()
    return length  # type: ignore[no-any-return]
