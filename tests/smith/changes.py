"""Ways to write another graph with the same meaning.

Each relation says which stages answer with the same bits. The float stage sums in another order
where nodes or neurons change places, so that only graphs of binary fractions give the same bits
there. A chip's integer stage rounds each neuron's or population's weights by a scale that depends
on the sets of weights and thresholds, so that order, names and common factors of two change none of
its integers. A population that is split may get two scales, so chips are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nirc.frontend.raw import RawGraph, RawNode
from tests.build import changed, inp, linear, node, out, scale
from tests.smith.case import Case, Edge

Change = Callable[[np.random.Generator, Case], Case | None]
WEIGHTED = ("Linear", "Affine", "Conv1d", "Conv2d")


@dataclass(frozen=True)
class Relation:
    """``chips``: a chip's integers do not change either."""

    name: str
    change: Change
    chips: bool


def renamed(dice: np.random.Generator, case: Case) -> Case:
    """Other names. The order of Inputs and of Outputs stays, and all order where names decide."""
    letters = list("abcxyzABC019_-")
    drawn = {
        "".join(dice.choice(letters, dice.integers(1, 7)))
        for _ in range(20 * len(case.graph.nodes))
    }
    chosen = [str(n) for n in dice.permutation(sorted(drawn))[: len(case.graph.nodes)]]
    old = list(case.graph.nodes)
    names = dict(zip(old, sorted(chosen) if case.order_matters else chosen, strict=True))
    for kind in ("Input", "Output"):
        ports = case.of_kind(kind)
        names |= dict(zip(ports, sorted(names[n] for n in ports), strict=True))
    nodes = {names[n]: item for n, item in case.graph.nodes.items()}
    shapes = {names[n]: shape for n, shape in case.shapes.items()}
    return case.with_graph(nodes, [(names[a], names[b]) for a, b in case.graph.edges], shapes)


def edges_shuffled(dice: np.random.Generator, case: Case) -> Case:
    """The edges in another order, some of them twice: they are a set."""
    edges = [case.graph.edges[i] for i in dice.permutation(len(case.graph.edges))]
    return case.with_graph(case.graph.nodes, [*edges, *edges[:2]])


def renumbered(dice: np.random.Generator, case: Case) -> Case | None:
    """The neurons of a population in another order, and all that goes in and out of them."""
    chosen = _flat_population(dice, case)
    if chosen is None:
        return None
    n = case.shapes[chosen][0]
    order = dice.permutation(n)
    editing = _Editing(case)
    matrix = np.eye(n)[order]
    columns = list(range(sum(map(len, case.output_columns().values()))))
    for target in case.out_of(chosen):
        if case.graph.nodes[target].type == "Output" and case.into(target) == [chosen]:
            place = case.output_columns()[target]
            columns[place.start : place.stop] = [place[i] for i in order]
        else:
            editing.after(chosen, target, matrix.T)
    for source, target in list(editing.edges):
        if target == chosen:
            editing.before(source, chosen, matrix)
    fields = {k: _taken(v, n, order) for k, v in case.graph.nodes[chosen].fields.items()}
    editing.nodes[chosen] = changed(case.graph.nodes[chosen], **fields)
    return editing.case(columns=tuple(columns))


def _taken(value: object, n: int, chosen: np.ndarray) -> np.ndarray:
    """Values of the ``chosen`` of ``n`` neurons; one value stands for all."""
    array = np.asarray(value)
    return array[..., chosen] if array.ndim and array.shape[-1] == n else array


def doubled(dice: np.random.Generator, case: Case) -> Case | None:
    """A population with weights, thresholds, resets and leaks times a power of two."""
    firing = [
        n
        for n in case.populations
        if case.graph.nodes[n].type in ("IF", "LIF", "CubaLIF", "Threshold")
    ]
    if not firing:
        return None
    chosen = str(dice.choice(firing))
    factor = float(dice.choice([2.0, 0.5, 8.0]))
    editing = _Editing(case)
    for source in case.into(chosen):
        item = case.graph.nodes[source]
        if item.type in WEIGHTED and case.out_of(source) == [chosen]:
            both = {
                k: np.asarray(item.fields[k]) * factor
                for k in ("weight", "bias")
                if k in item.fields
            }
            editing.nodes[source] = changed(item, **both)
        else:
            editing.between(source, chosen, scale(factor))
    volts = ("threshold", "v_threshold", "v_reset", "v_leak")
    item = case.graph.nodes[chosen]
    editing.nodes[chosen] = changed(
        item, **{k: np.asarray(item.fields[k]) * factor for k in volts if k in item.fields}
    )
    return editing.case()


def identity_inserted(dice: np.random.Generator, case: Case) -> Case:
    """A node on an edge that changes nothing."""
    source, target = case.graph.edges[dice.integers(len(case.graph.edges))]
    shape = case.shapes[source]
    kinds = [scale(np.ones(shape)), scale(1.0), node("Delay", delay=np.zeros(shape))]
    if len(shape) == 1:
        kinds += [
            linear(np.eye(*shape)),
            node("Affine", weight=np.eye(*shape), bias=np.zeros(shape)),
        ]
        kinds += [node("Flatten", start_dim=0, end_dim=-1, input_type=shape)]
    else:
        axes = len(shape) - 1
        weight = np.eye(shape[0]).reshape(shape[0], shape[0], *(1,) * axes)
        sizes = shape[1:] if axes == 2 else shape[1]
        once, nothing = np.ones(axes, int), np.zeros(axes, int)
        fields = {"stride": once, "padding": nothing, "dilation": once, "groups": 1}
        fields |= {"weight": weight, "bias": np.zeros(shape[0]), "input_shape": sizes}
        kinds.append(node(f"Conv{axes}d", **fields))
    if len(shape) == 3:
        kinds += [
            node(k, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0])
            for k in ("SumPool2d", "AvgPool2d")
        ]
    editing = _Editing(case)
    editing.between(source, target, kinds[dice.integers(len(kinds))])
    return editing.case()


def delay_in_two(dice: np.random.Generator, case: Case) -> Case | None:
    """A Delay of several steps as two of them."""
    delays = {n: np.asarray(case.graph.nodes[n].fields["delay"]) for n in case.of_kind("Delay")}
    chosen = [n for n, d in delays.items() if np.min(d) > 1.5 * case.dt_s]
    if not chosen:
        return None
    name = str(dice.choice(chosen))
    editing = _Editing(case)
    first, steps = case.fresh("d"), np.rint(delays[name] / case.dt_s)
    editing.nodes[first] = node("Delay", delay=(steps - 1) * case.dt_s)
    editing.nodes[name] = node("Delay", delay=np.full(steps.shape, case.dt_s))
    editing.shapes[first] = case.shapes[name]
    editing.edges = [(a, first if b == name else b) for a, b in editing.edges] + [(first, name)]
    return editing.case()


def split(dice: np.random.Generator, case: Case) -> Case | None:
    """A population as two, unless it hears itself within a step: each half would hear the other
    at another time. Both keep its place in the order of names, which may decide about loops.
    """
    chosen = _flat_population(dice, case, but=set().union(*case.loops()))
    if chosen is None:
        return None
    n = case.shapes[chosen][0]
    cut = int(dice.integers(1, n))
    editing = _Editing(case)
    item = editing.nodes.pop(chosen)
    editing.edges = [edge for edge in editing.edges if chosen not in edge]
    for number, part in enumerate((range(cut), range(cut, n))):
        name, rows = case.fresh(f"{chosen}-half{number}"), np.eye(n)[list(part)]
        editing.shapes[name] = (len(part),)
        fields = {k: _taken(v, n, np.array(part)) for k, v in item.fields.items()}
        editing.nodes[name] = changed(item, **fields)
        for target in case.out_of(chosen):
            editing.path(name, target, rows.T)
        for source in case.into(chosen):
            editing.path(source, name, rows)
    return editing.case()


def nested(dice: np.random.Generator, case: Case) -> Case | None:
    """Some nodes with one way in and one way out as a graph of its own."""
    if case.order_matters:
        return None
    inner = [
        n
        for n in case.graph.nodes
        if case.graph.nodes[n].type not in ("Input", "Output", "NIRGraph")
    ]
    best: tuple[set[str], str, str] | None = None
    for _ in range(12):
        part = {str(dice.choice(inner))}
        for _ in range(int(dice.integers(1, 6))):
            near = {n for edge in case.graph.edges if part & set(edge) for n in edge} & set(inner)
            part |= {str(dice.choice(sorted(near)))}
        doors = [{b for a, b in case.graph.edges if b in part and a not in part},
                 {a for a, b in case.graph.edges if a in part and b not in part}]  # fmt: skip
        if [len(door) for door in doors] == [1, 1] and (best is None or len(part) > len(best[0])):
            best = part, doors[0].pop(), doors[1].pop()
    return None if best is None else _wrapped(case, *best)


def _wrapped(case: Case, part: set[str], entry: str, exit_: str) -> Case:
    name, arriving = case.fresh("sub"), next(a for a in case.into(entry) if a not in part)
    inner: dict[str, RawNode] = {n: case.graph.nodes[n] for n in part}
    inner |= {"input": inp(*case.shapes[arriving]), "output": out(*case.shapes[exit_])}
    edges: list[Edge] = [edge for edge in case.graph.edges if set(edge) <= part]
    edges += [("input", entry), (exit_, "output")]
    nodes = {n: item for n, item in case.graph.nodes.items() if n not in part}
    nodes[name] = RawNode("", "NIRGraph", graph=RawGraph(dict(sorted(inner.items())), tuple(edges)))
    outer = [(name if a in part else a, name if b in part else b)
             for a, b in case.graph.edges if not {a, b} <= part]  # fmt: skip
    return case.with_graph(nodes, outer, {name: case.shapes[exit_]})


class _Editing:
    """Nodes, edges and shapes of a case, to be changed."""

    def __init__(self, case: Case) -> None:
        self.before_ = case
        self.nodes, self.edges, self.shapes = (
            dict(case.graph.nodes),
            list(case.graph.edges),
            dict(case.shapes),
        )
        self.added = 0

    def case(self, **other: object) -> Case:
        return self.before_.with_graph(self.nodes, self.edges, self.shapes, **other)

    def between(self, source: str, target: str, item: RawNode) -> None:
        """``item``, which keeps the shape, on an edge."""
        self.edges.remove((source, target))
        self._on(source, target, item, self.shapes[source])

    def path(self, source: str, target: str, matrix: np.ndarray) -> None:
        """A new edge with ``matrix``."""
        self._on(source, target, linear(matrix), (len(matrix),))

    def _on(self, source: str, target: str, item: RawNode, shape: tuple[int, ...]) -> None:
        name = f"{self.before_.fresh('m')}-{self.added}"
        self.added += 1
        self.nodes[name], self.shapes[name] = item, shape
        self.edges += [(source, name), (name, target)]

    def after(self, source: str, target: str, matrix: np.ndarray) -> None:
        """``matrix`` behind ``source``: in the weights of ``target`` where they are its alone."""
        item = self.nodes[target]
        if item.type in ("Linear", "Affine") and self._into(target) == [source]:
            weight = np.asarray(item.fields["weight"]) @ matrix
            self.nodes[target] = changed(item, weight=weight)
        else:
            self.between(source, target, linear(matrix))

    def before(self, source: str, target: str, matrix: np.ndarray) -> None:
        """``matrix`` before ``target``: in the weights of ``source`` where they are its alone."""
        item = self.nodes[source]
        if item.type in ("Linear", "Affine") and self._out_of(source) == [target]:
            both = {
                k: matrix @ np.asarray(item.fields[k])
                for k in ("weight", "bias")
                if k in item.fields
            }
            self.nodes[source] = changed(item, **both)
        else:
            self.between(source, target, linear(matrix))

    def _into(self, name: str) -> list[str]:
        return [a for a, b in self.edges if b == name]

    def _out_of(self, name: str) -> list[str]:
        return [b for a, b in self.edges if a == name]


def _flat_population(
    dice: np.random.Generator, case: Case, but: set[str] | frozenset[str] = frozenset()
) -> str | None:
    flat = [
        n
        for n in case.populations
        if len(case.shapes[n]) == 1 and case.shapes[n][0] > 1 and n not in but
    ]
    return str(dice.choice(flat)) if flat else None


RELATIONS = (
    Relation("renamed", renamed, True),
    Relation("edges shuffled", edges_shuffled, True),
    Relation("renumbered", renumbered, True),
    Relation("doubled", doubled, True),
    Relation("identity inserted", identity_inserted, True),
    Relation("delay in two", delay_in_two, True),
    Relation("split", split, False),
    Relation("nested", nested, True),
)
