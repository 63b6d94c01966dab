"""The order in which nodes are written, and in which a simulator runs a graph that it has loaded.

Seen in nirtorch 2.6 and spyx 1.0.0.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Sequence

from nirc.writers.importer import Order

Edge = tuple[str, str]


def written_order(
    names: Sequence[str], forward: Sequence[Edge], loops: Collection[str], last: Collection[str]
) -> list[str]:
    """Return ``names`` as signals reach them, with ``last`` at the end.

    ``loops``: the nodes that lead back in a loop. They come right behind its neurons.
    """
    place = {name: i for i, name in enumerate(names)}
    missing = {name: sum(t == name for _, t in forward) for name in names}

    def key(name: str) -> tuple[bool, bool, int, str]:
        return name in last, name not in loops, place[name], name

    heap = [key(name) for name in names if not missing[name]]
    heapq.heapify(heap)
    order = []
    while heap:
        name = heapq.heappop(heap)[-1]
        order.append(name)
        for source, target in forward:
            if source == name:
                missing[target] -= 1
                if not missing[target]:
                    heapq.heappush(heap, key(target))
    return order


def run_order(order: Order, names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """Return names in the order in which they are run. Those that never are, are missing.

    ``names`` in the order of the file, ``first`` the Input among them.
    """
    if order == "depth first":
        return _depth_first(edges, first)
    return _ready(names, edges, first) if order == "ready" else _path(edges, first)


def _depth_first(edges: Sequence[Edge], first: str) -> list[str]:
    """Run a node, then what each of its edges leads to, if nothing has led there before."""
    order: dict[str, None] = {}
    stack = [first]
    while stack:
        node = stack.pop()
        if node not in order:
            order[node] = None
            stack += [t for s, t in reversed(edges) if s == node]
    return list(order)


def _ready(names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """Run a node as soon as all its inputs have run.

    One of several inputs that depends on the node need not have.
    """
    into: dict[str, list[str]] = {name: [s for s, t in edges if t == name] for name in names}
    done = {first: None}
    at = list(names).index(first)
    queue = deque([*names[at + 1 :], *names[:at]])
    refused = 0  # nodes in a row that have gone to the end of the queue
    while queue and refused < len(queue):
        name = queue.popleft()
        dependent = _reachable(edges, name) if len(into[name]) > 1 else set()
        if all(s in done or s in dependent for s in into[name]):
            done[name] = None
            refused = 0
        else:
            queue.append(name)
            refused += 1
    return list(done)


def _reachable(edges: Sequence[Edge], start: str) -> set[str]:
    reached: set[str] = set()
    stack = [start]
    while stack:
        node = stack.pop()
        new = [t for s, t in edges if s == node and t not in reached]
        reached.update(new)
        stack += new
    return reached


def _path(edges: Sequence[Edge], first: str) -> list[str]:
    """Follow the first edge of each node."""
    order = [first]
    following = dict(reversed(edges))
    while (after := following.get(order[-1])) is not None and after not in order:
        order.append(after)
    return order


def fault(order: Sequence[str], forward: Sequence[Edge], back: Sequence[Edge], last: str) -> str:
    """Return the node that would be run out of its turn, "" if there is none.

    Over a ``forward`` edge a signal arrives in its own step, over a ``back`` edge a step later.
    ``last`` gives the output.
    """
    at = {name: i for i, name in enumerate(order)}
    for edge in (*forward, *back):
        for name in edge:
            if name not in at:
                return name
    for source, target in forward:
        if at[source] >= at[target]:
            return target
    for source, target in back:
        if at[source] < at[target]:
            return target
    return "" if order[-1] == last else order[-1]
