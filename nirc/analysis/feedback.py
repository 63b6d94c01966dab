"""Which edges close a cycle? Those act one step later: a cycle needs one step.

Depth-first from the inputs, in the order of nodes (that of edges in a file means nothing): an edge back to a
node whose visit has not ended closes a cycle. Self-loops are the usual case. Source: exporters, which all let a
recurrent spike of step t act at t + 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def feedback_edges(nodes: Iterable[str], inputs: Iterable[str], edges: Sequence[tuple[str, str, Key]]) -> set[Key]:
    """Keys of the edges that close cycles. ``edges``: (source, target, key), without the delayed ones."""
    place = {name: i for i, name in enumerate(nodes)}
    successors: dict[str, list[tuple[str, Key]]] = {}
    for source, target, key in sorted(edges, key=lambda e: (place[e[0]], place[e[1]])):
        successors.setdefault(source, []).append((target, key))
    found: set[Key] = set()
    done: set[str] = set()
    for root in [*sorted(inputs, key=place.__getitem__), *place]:
        if root not in done:
            _visit(root, successors, done, found)
    return found


def _visit(root: str, successors: dict[str, list[tuple[str, Key]]], done: set[str], found: set[Key]) -> None:
    """Iterative, since a file may nest deeper than Python recurses."""
    path = {root}
    stack: list[tuple[str, Iterator[tuple[str, Key]]]] = [(root, iter(successors.get(root, ())))]
    while stack:
        node, rest = stack[-1]
        step = next(rest, None)
        if step is None:
            stack.pop()
            path.discard(node)
            done.add(node)
            continue
        target, key = step
        if target in path:
            found.add(key)
        elif target not in done:
            path.add(target)
            stack.append((target, iter(successors.get(target, ()))))
