"""Edges that close a cycle. They act one step later, since a cycle needs one step.

The search is depth-first from the inputs, in the order of nodes (the order of edges in a file has
no meaning). An edge back to a node whose visit has not ended closes a cycle. Self-loops are the
usual case. Source: all exporters let a recurrent spike of step t act at t + 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def feedback_edges(
    nodes: Iterable[str], inputs: Iterable[str], edges: Sequence[tuple[str, str, Key]]
) -> set[Key]:
    """Return keys of edges that close cycles. ``edges`` (source, target, key) have no delay."""
    place = {name: i for i, name in enumerate(nodes)}
    successors: dict[str, list[tuple[str, Key]]] = {}
    for source, target, key in sorted(edges, key=lambda e: (place[e[0]], place[e[1]])):
        successors.setdefault(source, []).append((target, key))
    closing: set[Key] = set()
    done: set[str] = set()
    for root in [*sorted(inputs, key=place.__getitem__), *place]:
        if root not in done:
            _visit(root, successors, done, closing)
    return closing


def _visit(
    root: str, successors: dict[str, list[tuple[str, Key]]], done: set[str], closing: set[Key]
) -> None:
    """Visit all nodes behind ``root``, without recursion, since files may nest deeply."""
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
            closing.add(key)
        elif target not in done:
            path.add(target)
            stack.append((target, iter(successors.get(target, ()))))
