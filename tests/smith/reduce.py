"""Looks for the smallest case that still fails in the same way (delta debugging).

Every cut is tried from the largest to the smallest, and tried again until none is left that keeps
the failure. A cut that makes the graph invalid fails in another way, and is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from nirc.frontend.raw import RawNode
from tests.build import changed
from tests.smith.case import Case

Fails = Callable[[Case], bool]
MATRICES = ("Linear", "Affine")


def reduced(case: Case, fails: Fails, *, tries: int = 2000) -> Case:
    """The smallest case that is found in so many tries."""
    left = tries
    found = True
    while found:
        found = False
        for smaller in cuts(case):
            left -= 1
            if left < 0:
                return case
            if fails(smaller):
                case, found = smaller, True
                break
    return case


def cuts(case: Case) -> Iterator[Case]:
    """Smaller cases, the smallest first."""
    yield from _inputs(case)
    yield from _without_nodes(case)
    yield from _bridged(case)
    yield from _without_edges(case)
    yield from _fewer_neurons(case)
    yield from _simpler(case)


def _inputs(case: Case) -> Iterator[Case]:
    """One sample, fewer steps, fewer spikes."""
    x = case.inputs
    if len(x) > 1:
        yield from (replace(case, inputs=x[i : i + 1]) for i in range(len(x)))
    for steps in (x.shape[1] // 2, x.shape[1] - 1):
        if 0 < steps < x.shape[1]:
            yield replace(case, inputs=x[:, :steps])
    for kept in (
        np.minimum(x, 1),
        *(np.where(np.arange(x.shape[1])[:, None] // n % 2, x, 0) for n in (1, 2, 4)),
    ):
        if kept.sum() < x.sum():
            yield replace(case, inputs=kept)


def _without_nodes(case: Case) -> Iterator[Case]:
    """Without a node and all that it alone feeds or that feed it alone."""
    for name in case.graph.nodes:
        yield from _pruned(case, {name})


def _pruned(case: Case, gone: set[str]) -> Iterator[Case]:
    edges = [edge for edge in case.graph.edges if not gone & set(edge)]
    while True:
        sending, hearing = {a for a, _ in edges}, {b for _, b in edges}
        kinds = {n: item.type for n, item in case.graph.nodes.items() if n not in gone}
        idle = {n for n, kind in kinds.items() if n not in sending and kind != "Output"}
        idle |= {n for n, kind in kinds.items() if n not in hearing and kind != "Input"}
        if not idle:
            break
        gone = gone | idle
        edges = [edge for edge in edges if not gone & set(edge)]
    nodes = {n: item for n, item in case.graph.nodes.items() if n not in gone}
    if {"Input", "Output"} <= set(kinds.values()) and edges:
        yield case.with_graph(nodes, edges, inputs=_channels(case, set(nodes)))


def _channels(case: Case, kept: set[str]) -> np.ndarray:
    """The columns of the inputs that are left."""
    first, columns = 0, []
    for name in case.of_kind("Input"):
        n = int(np.prod(case.shapes[name]))
        columns += list(range(first, first + n)) if name in kept else []
        first += n
    return case.inputs[:, :, columns]


def _bridged(case: Case) -> Iterator[Case]:
    """Without a node that keeps the shape: what sends to it sends to what it sends to."""
    for name, item in case.graph.nodes.items():
        before, after = case.into(name), case.out_of(name)
        same = {case.shapes[b] for b in before} == {case.shapes[name]}
        if item.type in ("Input", "Output") or not same or name in before:
            continue
        nodes = {n: other for n, other in case.graph.nodes.items() if n != name}
        edges = [edge for edge in case.graph.edges if name not in edge]
        yield case.with_graph(
            nodes, list(dict.fromkeys([*edges, *((a, b) for a in before for b in after)]))
        )


def _without_edges(case: Case) -> Iterator[Case]:
    for edge in case.graph.edges:
        if len(case.into(edge[1])) > 1:
            left = [other for other in case.graph.edges if other != edge]
            yield from _pruned(case.with_graph(case.graph.nodes, left), set())


def _fewer_neurons(case: Case) -> Iterator[Case]:
    """Half of the neurons of a flat population, or all but one of an end."""
    for name in [*case.populations, *case.of_kind("Input")]:
        if len(case.shapes[name]) == 1 and case.shapes[name][0] > 1:
            n = case.shapes[name][0]
            for kept in (np.arange(n // 2), np.arange(n // 2, n), np.arange(n - 1)):
                yield from _with_neurons(case, name, kept)


def _with_neurons(case: Case, name: str, kept: np.ndarray) -> Iterator[Case]:
    n, nodes, shapes = case.shapes[name][0], dict(case.graph.nodes), dict(case.shapes)
    for source in case.into(name):
        if nodes[source].type not in MATRICES or case.out_of(source) != [name]:
            return
        nodes[source] = _cut(nodes[source], {"weight": -2, "bias": -1}, n, kept)
        shapes[source] = (len(kept),)
    for target in case.out_of(name):
        if nodes[target].type == "Output" and case.into(target) == [name]:
            nodes[target] = changed(nodes[target], shape=[len(kept)])
            shapes[target] = (len(kept),)
        elif nodes[target].type in MATRICES and case.into(target) == [name]:
            nodes[target] = _cut(nodes[target], {"weight": -1}, n, kept)
        else:
            return
    inputs, shapes[name] = case.inputs, (len(kept),)
    if nodes[name].type == "Input":
        nodes[name] = changed(nodes[name], shape=[len(kept)])
        start = sum(int(np.prod(case.shapes[i])) for i in case.of_kind("Input") if i < name)
        inputs = np.delete(inputs, start + np.setdiff1d(np.arange(n), kept), axis=2)
    else:
        nodes[name] = _cut(nodes[name], dict.fromkeys(nodes[name].fields, -1), n, kept)
    yield replace(case.with_graph(nodes, case.graph.edges, shapes), shapes=shapes, inputs=inputs)


def _cut(item: RawNode, axes: dict[str, int], n: int, kept: np.ndarray) -> RawNode:
    fields = {}
    for key, axis in axes.items():
        value = np.asarray(item.fields.get(key, 0))
        if value.ndim >= -axis and value.shape[axis] == n:
            fields[key] = np.take(value, kept, axis=axis)
    return changed(item, **fields)


def _simpler(case: Case) -> Iterator[Case]:
    """Rounder numbers."""
    for name, item in case.graph.nodes.items():
        for key, value in item.fields.items():
            if not isinstance(value, str) and value.dtype.kind == "f":
                for simple in _rounder(key, value):
                    nodes = {**case.graph.nodes, name: changed(item, **{key: simple})}
                    yield case.with_graph(nodes, case.graph.edges)


def _rounder(key: str, value: np.ndarray) -> Iterator[np.ndarray]:
    simple = []
    if key in ("weight", "bias", "v_leak", "v_reset", "delay"):
        simple.append(np.zeros_like(value))
    if key in ("weight", "scale", "v_threshold", "threshold"):
        simple += [np.ones_like(value), np.sign(value), np.round(value), np.round(value, 1)]
    sizes = (
        np.count_nonzero(value),
        np.count_nonzero(value != np.round(value)),
        np.unique(value).size,
    )
    for other in simple:
        now = (
            np.count_nonzero(other),
            np.count_nonzero(other != np.round(other)),
            np.unique(other).size,
        )
        if now < sizes and not (key.endswith("threshold") and (other <= 0).any()):
            yield other
