"""In which order a simulator runs the nodes of a graph that it has loaded.

Seen in nirtorch 2.6 and spyx 1.0.0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from nirc.writers.importer import Order

Edge = tuple[str, str]


def run_order(order: Order, names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """Names in the order in which they are run; those that never are, are missing.

    ``names`` in the order of the file, ``first`` the Input among them.
    """
    if order == "depth first":
        return _depth_first(edges, first)
    return _ready(names, edges, first) if order == "ready" else _path(edges, first)


def _depth_first(edges: Sequence[Edge], first: str) -> list[str]:
    """A node, then what each of its edges leads to, if nothing has led there before."""
    found: dict[str, None] = {}
    stack = [first]
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack += [t for s, t in reversed(edges) if s == node]
    return list(found)


def _ready(names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """A node as soon as all its inputs have run.

    One of several inputs that depends on the node need not have.
    """
    into: dict[str, list[str]] = {name: [s for s, t in edges if t == name] for name in names}
    done = {first: None}
    at = list(names).index(first)
    queue = deque([*names[at + 1 :], *names[:at]])
    refused = 0  # nodes in a row that have gone to the end of the queue
    while queue and refused < len(queue):
        name = queue.popleft()
        late = _reachable(edges, name) if len(into[name]) > 1 else set()
        if all(s in done or s in late for s in into[name]):
            done[name] = None
            refused = 0
        else:
            queue.append(name)
            refused += 1
    return list(done)


def _reachable(edges: Sequence[Edge], start: str) -> set[str]:
    found: set[str] = set()
    stack = [start]
    while stack:
        node = stack.pop()
        for s, t in edges:
            if s == node and t not in found:
                found.add(t)
                stack.append(t)
    return found


def _path(edges: Sequence[Edge], first: str) -> list[str]:
    """The first edge of each node is followed."""
    found = [first]
    while (
        after := next((t for s, t in edges if s == found[-1]), None)
    ) is not None and after not in found:
        found.append(after)
    return found


def fault(order: Sequence[str], forward: Sequence[Edge], back: Sequence[Edge], last: str) -> str:
    """The node that would be run out of its turn, "" if there is none.

    Over a ``forward`` edge a signal arrives in its own step, over a ``back`` edge a step later.
    ``last`` gives the output.
    """
    at = {name: i for i, name in enumerate(order)}
    for source, target in (*forward, *back):
        for name in (source, target):
            if name not in at:
                return name
    for source, target in forward:
        if at[source] >= at[target]:
            return target
    for source, target in back:
        if at[source] < at[target]:
            return target
    return "" if order[-1] == last else order[-1]
