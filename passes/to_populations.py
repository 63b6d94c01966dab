"""to-populations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, assert_never

import networkx as nx
import numpy as np

from nirc.analysis.retiming import feedback_edges
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import LinearLoop, LoopOrder, TooManyPaths, TooManyProjections
from nirc.ir import layers as nir
from nirc.ir import linear
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.layers import LayerNode
from nirc.ir.linear import LinearOp
from nirc.ir.populations import Bias, Continuous, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program

Arc = tuple[str, str, Projection]
MAX_PROJECTIONS = 1 << 17  # of a program, above the edges that a file may have


@dataclass(frozen=True)
class ToPopulations:
    """Turn every path of linear nodes between two populations into one projection."""

    max_paths: int = 4096  # through one linear node
    name: ClassVar[str] = "to-populations"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError``: P305 for a loop without a neuron, P307 for too many paths."""
        nodes = {n: _node(n, p, program) for n, p in program.nodes(LayerNode).items()}
        linear_nodes = [n for n, node in nodes.items() if node is None]
        _refuse_linear_loops(program, linear_nodes, log)
        wire = Projection(origins=())
        arcs = _Arcs((s, t, wire) for s, t, _ in program.edges())
        for name in _sources_first(program, linear_nodes):
            paths = arcs.paths_through(name, program[name])
            where = program[name].origins[0]
            if paths > self.max_paths:
                log.add(TooManyPaths(where=where, paths=paths, most=self.max_paths))
            elif len(arcs) + paths > MAX_PROJECTIONS:
                every = len(arcs) + paths
                log.add(TooManyProjections(where=where, paths=every, most=MAX_PROJECTIONS))
            log.raise_if_errors()
            arcs.eliminate(name, program[name])
        kept = {n: node for n, node in nodes.items() if node is not None}
        edges = _with_feedback(kept, arcs.listed())
        late = [(s, t) for s, t, p in edges if p.feedback and s != t]
        if late:
            log.add(LoopOrder(where=program[late[0][0]].origins[0], edges=late))
        return program.rebuilt(kept, edges, form=Form.CONTINUOUS)


def _node(
    name: str, payload: LayerNode, program: Program
) -> Source | Sink | Population[Continuous] | None:
    """Return the node of the population form, None for a linear node or an inner port (a wire)."""
    layer = payload.layer
    shape = payload.shape_out or (1,)
    if isinstance(layer, nir.Input) and not program.into(name):
        return Source(shape, payload.origins)
    if isinstance(layer, nir.Output) and not program.out_of(name):
        return Sink(shape, payload.origins)
    if isinstance(layer, nir.Neuron):
        return Population(shape, _continuous(layer), payload.origins)
    return None


def _continuous(neuron: nir.Neuron) -> Continuous:
    parameters: dict[str, Any] = dict(neuron.parameters())
    return Continuous(neuron.kind, **parameters)


def _refuse_linear_loops(program: Program, linear_nodes: list[str], log: Log) -> None:
    graph = program.graph.subgraph(linear_nodes)
    for members in nx.strongly_connected_components(graph):
        first = min(members)
        if len(members) > 1 or graph.has_edge(first, first):
            log.add(LinearLoop(where=program[first].origins[0], nodes=tuple(sorted(members))))
    log.raise_if_errors()


def _sources_first(program: Program, linear_nodes: list[str]) -> list[str]:
    """Return linear nodes, sources first, so that a bias behind a junction counts once."""
    position = {n: i for i, n in enumerate(program.graph)}
    graph = program.graph.subgraph(linear_nodes)
    return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))


class _Arcs:
    """Projections in order, with those into and out of each node."""

    def __init__(self, arcs: Iterable[Arc]) -> None:
        self._arcs: dict[int, Arc] = {}
        self._into: dict[str, dict[int, None]] = {}
        self._out_of: dict[str, dict[int, None]] = {}
        self._next = 0
        for arc in arcs:
            self._add(arc)

    def __len__(self) -> int:
        return len(self._arcs)

    def listed(self) -> list[Arc]:
        """Return all projections."""
        return list(self._arcs.values())

    def paths_through(self, name: str, payload: LayerNode) -> int:
        """Return the number of paths through ``name``, each of which becomes a projection."""
        layer = payload.layer
        delays = np.unique(layer.delay_s).size if isinstance(layer, nir.Delay) else 1
        return len(self._into.get(name, ())) * len(self._out_of.get(name, ())) * delays

    def eliminate(self, name: str, payload: LayerNode) -> None:
        """Replace ``name`` by arcs from its sources to its targets. The first carries its bias."""
        into = [self._remove(i) for i in list(self._into.get(name, ()))]
        out_of = [self._remove(i) for i in list(self._out_of.get(name, ()))]
        for _, target, after in out_of:
            for number, (source, _, before) in enumerate(into):
                for part in _through(payload, with_bias=number == 0):
                    self._add((source, target, chained(chained(before, part), after)))

    def _add(self, arc: Arc) -> None:
        source, target, _ = arc
        self._arcs[self._next] = arc
        self._into.setdefault(target, {})[self._next] = None
        self._out_of.setdefault(source, {})[self._next] = None
        self._next += 1

    def _remove(self, number: int) -> Arc:
        source, target, projection = self._arcs.pop(number)
        del self._into[target][number], self._out_of[source][number]
        return source, target, projection


def _through(payload: LayerNode, *, with_bias: bool) -> list[Projection]:
    """Return the projections of a linear node: one, or one for each distinct delay of a Delay."""
    layer = payload.layer
    origins = payload.origins
    if isinstance(layer, nir.Delay):
        return _delays(layer.delay_s, origins)
    biases: tuple[Bias, ...] = ()
    value = _bias(payload)
    if with_bias and value is not None and value.any():
        biases = (Bias(value),)
    return [Projection(_operators(payload), biases=biases, origins=origins)]


def _delays(delay_s: Float, origins: tuple[str, ...]) -> list[Projection]:
    values = np.unique(delay_s)
    if values.size == 1:
        return [Projection(delay_s=float(values[0]), origins=origins)]
    masks = [(float(d), frozen(delay_s == d)) for d in values]
    return [Projection((linear.Diagonal(mask),), delay_s=d, origins=origins) for d, mask in masks]


def _bias(payload: LayerNode) -> Float | None:
    layer = payload.layer
    if isinstance(layer, nir.Linear) and layer.bias is not None:
        return frozen(layer.bias.reshape(-1))
    if isinstance(layer, nir.Conv) and layer.bias is not None:
        return frozen(np.repeat(layer.bias, size((payload.shape_out or (1,))[1:])))
    return None


def _operators(payload: LayerNode) -> tuple[LinearOp, ...]:
    """Return the linear operators of a node on flat vectors. Flatten and inner ports have none."""
    layer = payload.layer
    shape_in = payload.shape_in or (1,)
    shape_out = payload.shape_out or (1,)
    match layer:
        case nir.Linear() if layer.weight.ndim == 2:
            return (linear.Dense(layer.weight),)
        case nir.Linear():
            return (_blocks(layer.weight),)
        case nir.Scale():
            return (linear.Diagonal(layer.scale),)
        case nir.Conv():
            return (
                linear.Conv(
                    layer.weight,
                    shape_in,
                    shape_out,
                    layer.stride,
                    layer.padding,
                    layer.dilation,
                    layer.groups,
                ),
            )
        case nir.Pool():
            factor = 1.0 / size(layer.kernel) if layer.kind == "avg" else 1.0
            return (
                linear.Pool(shape_in, shape_out, layer.kernel, layer.stride, layer.padding, factor),
            )
        case nir.Flatten() | nir.Input() | nir.Output():
            return ()
        case nir.Delay() | nir.Neuron() | nir.Subgraph():
            raise TypeError(f"{type(layer).__name__} is no linear operator")
        case _:
            assert_never(layer)


def _blocks(weight: Float) -> linear.Sparse:
    """Turn a weight of over two axes into one block for each index of the leading axes."""
    *lead, rows, columns = weight.shape
    blocks = size(tuple(lead))
    block, row, column = np.nonzero(weight.reshape(blocks, rows, columns))
    values = weight.reshape(blocks, rows, columns)[block, row, column]
    return linear.sparse(
        block * rows + row, block * columns + column, values, blocks * columns, blocks * rows
    )


def chained(first: Projection, second: Projection) -> Projection:
    """Return ``first``, then ``second``. Delays commute with operators and delay biases."""
    carried = tuple(_carried(b, second) for b in first.biases)
    return Projection(
        first.ops + second.ops,
        delay_s=first.delay_s + second.delay_s,
        biases=carried + second.biases,
        origins=first.origins + second.origins,
    )


def _carried(bias: Bias, through: Projection) -> Bias:
    value = bias.value[None, :]
    for op in through.ops:
        value = op.apply(value)
    return Bias(frozen(value[0]), bias.onset_s + through.delay_s)


def _with_feedback(nodes: Mapping[str, object], arcs: list[Arc]) -> list[Arc]:
    instant = [(s, t, i) for i, (s, t, p) in enumerate(arcs) if p.delay_s == 0]
    back = feedback_edges(
        nodes, [n for n, node in nodes.items() if isinstance(node, Source)], instant
    )
    return [
        (s, t, replace(p, feedback=True) if i in back else p) for i, (s, t, p) in enumerate(arcs)
    ]
