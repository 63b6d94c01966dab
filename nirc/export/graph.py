"""A whole program as NIR nodes and edges: plain data, no file yet."""

from __future__ import annotations

import io
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.export.neurons import Written, per_step, physical
from nirc.export.operators import EVERY, Later, Plus, Route, Step, laid_out
from nirc.ir.arrays import Float, Shape
from nirc.ir.linear import Diagonal
from nirc.ir.populations import Continuous, Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program
from nirc.writers.importer import Fields


@dataclass(frozen=True)
class Graph:
    """Nodes by name and edges, as a NIR file holds them.

    A node of type NIRGraph has a ``Graph`` under "graph".
    """

    nodes: Mapping[str, Fields]
    edges: tuple[tuple[str, str], ...]


def to_graph(program: Program, log: Log) -> Graph:
    """``program`` in any executable form; an integer neuron says by ``as_discrete()`` what it does
    in a step.

    Raises ``CompileError``: P314 for what NIR has no words for, P307 for a matrix that is too
    large. Warns (P315) of what is left out: the reset rule, onsets of biases, several spikes in a
    step.
    """
    neurons = {
        name: _neuron(name, p, program.dt_s, log) for name, p in program.nodes(Population).items()
    }
    routes = _routes(program, neurons, log)
    shapes = laid_out({name: program[name].shape for name in program.graph}, routes, EVERY)
    names = _names(program)
    nodes: dict[str, Fields] = {}
    for name, payload in program.graph.nodes(data="payload"):
        shape = shapes[name]
        if name in neurons:
            nodes[names[name]] = shaped(neurons[name].fields, shape)
        else:
            nodes[names[name]] = port("Input" if isinstance(payload, Source) else "Output", shape)
    edges: dict[tuple[str, str], None] = {}
    for route in routes:
        source, target = names[route.source], names[route.target]
        layers = route.layers(shapes[route.source], shapes[route.target], EVERY)
        if not layers and (source, target) in edges:  # a second edge of its own
            n = int(np.prod(shapes[route.source]))
            one = Route(route.source, route.target, (Diagonal(np.ones(n)),))
            layers = one.layers(shapes[route.source], shapes[route.target], EVERY)
        before = source
        for layer in layers:
            fields = layer.fields(EVERY, f"{route.source} -> {route.target}", log)
            name = _free(f"{source}__{target}__{fields['type'].lower()}", nodes)
            nodes[name] = fields
            edges[before, name] = None
            before = name
        edges[before, target] = None
    log.raise_if_errors()
    return Graph(nodes, tuple(sorted(edges)))


def port(kind: str, shape: Shape) -> Fields:
    """An Input or Output."""
    return {"type": kind, "shape": np.array(shape)}


def shaped(fields: Fields, shape: Shape) -> Fields:
    """Arrays (n,), or (1,) for a whole population, in the population's shape."""
    return {
        k: np.broadcast_to(v if v.size == 1 else v.reshape(shape), shape)
        if isinstance(v, np.ndarray)
        else v
        for k, v in fields.items()
    }


def _names(program: Program) -> dict[str, str]:
    """Names as HDF5 can hold them: a slash would be a group inside a group."""
    names: dict[str, str] = {}
    for name in program.graph:
        names[name] = _free(name.replace("/", ".").strip(".") or "node", set(names.values()))
    return names


def _free(stem: str, taken: Container[str]) -> str:
    number = 0
    while (name := f"{stem}{number or ''}") in taken:
        number += 1
    return name


def _routes(program: Program, neurons: Mapping[str, Written], log: Log) -> list[Route]:
    constants = {name: made.constant for name, made in neurons.items() if made.constant is not None}
    routes = []
    for source, target, projection in program.edges():
        steps: list[Step] = list(projection.ops)
        delay_s, early, late = _constants(projection, program, program[target].n, log)
        if early.any():
            steps.append(Plus(early))
        if delay_s:
            steps.append(Later(delay_s))
        if late.any():
            steps.append(Plus(late))
        if target in neurons and (gain := neurons[target].gain) is not None:
            steps.append(Diagonal(gain))
        if target in constants:
            steps.append(Plus(constants.pop(target)))  # on one of the projections only
        routes.append(Route(source, target, tuple(steps)))
    return routes


def _constants(
    projection: Projection, program: Program, n: int, log: Log
) -> tuple[float, Float, Float]:
    """The delay in seconds, and the biases (n,) before and behind it: one that begins with the
    signal is before it.
    """
    discrete = program.form is not Form.CONTINUOUS
    dt_s = program.dt_s or 0.0
    delay_s = projection.delay_steps * dt_s if discrete else projection.delay_s
    early, late = np.zeros(n), np.zeros(n)
    for bias in projection.biases:
        onset_s = bias.onset_steps * dt_s if discrete else bias.onset_s
        if onset_s == delay_s:
            early = early + bias.value
        else:
            late = late + bias.value
            if onset_s:
                _left_out(log, f"that a constant input begins after {onset_s:g} s")
    return delay_s, early, late


def _neuron(name: str, population: Population[Any], dt_s: float | None, log: Log) -> Written:
    dynamics = population.dynamics
    if hasattr(dynamics, "as_discrete"):
        dynamics = dynamics.as_discrete()
    if isinstance(dynamics, Continuous):
        return physical(dynamics, dt_s)
    if not isinstance(dynamics, Discrete) or dynamics.gain_syn_2 is not None:
        log.error(
            "P314",
            f"the neurons of `{name}` have no form in NIR",
            where=population.origins[0],
            found="two receptors" if isinstance(dynamics, Discrete) else type(dynamics).__name__,
            limit="a membrane and at most one synaptic filter",
            help="export an earlier stage",
        )
        return Written({"type": "Threshold", "threshold": np.ones(population.n)})
    for what, help_ in _unsaid(dynamics):
        _left_out(
            log,
            f"that `{name}` {what}",
            help=help_ or "a simulator that reads the file will differ by this",
        )
    return per_step(dynamics, dt_s)


def _unsaid(d: Discrete) -> list[tuple[str, str]]:
    """Return a sentence on what NIR's letter leaves out of these neurons, and the option of nirc
    that says it.
    """
    rule, fires = d.rule, d.rule.fires
    if fires is None:
        return []
    found = []
    if rule.reset == "subtract":
        found.append(("subtracts the threshold at a spike", "read the file with --reset subtract"))
    if rule.reset == "none":
        found.append(("is not reset by a spike", ""))
    if rule.reset_is_delayed:
        found.append(("is reset a step after a spike", ""))
    if fires.most != 1:
        found.append(
            (
                f"fires {'any number of' if fires.most is None else f'up to {fires.most}'} times "
                "in a step",
                "",
            )
        )
    if fires.at == ">=":
        found.append(("fires at its threshold, not above it only", ""))
    if d.v_least is not None:
        found.append(("has a lower bound of the membrane", ""))
    if d.v_start is not None:
        found.append(("does not start at 0", ""))
    return found


def _left_out(
    log: Log, what: str, help: str = "a simulator that reads the file will differ by this"
) -> None:
    log.warning("P315", f"NIR cannot say {what}", help=help)


VERSION = "1.0.8"  # of the reader that the layout was checked with


def nir_bytes(graph: Graph, metadata: Mapping[str, str] | None = None) -> bytes:
    """HDF5 as ``nir.write`` lays it out: node/{type, nodes/NAME/FIELD, edges}, version. Same graph,
    same bytes.

    ``metadata``: texts of the outermost graph, in node/metadata.
    """
    import h5py

    buffer = io.BytesIO()
    text = h5py.string_dtype()
    with h5py.File(buffer, "w", track_order=False) as file:
        file.create_dataset("version", data=VERSION, dtype=text)
        root = file.create_group("node")
        _write(root, graph, text)
        for key, note in sorted((metadata or {}).items()):
            root.create_dataset(f"metadata/{key}", data=note, dtype=text)
    return buffer.getvalue()


def _write(group: Any, graph: Graph, text: Any) -> None:
    """A graph in its group. Edges keep their order, which importers follow."""
    import numpy as np

    group.create_dataset("type", data="NIRGraph", dtype=text)
    for name, fields in sorted(graph.nodes.items()):
        node = group.create_group(f"nodes/{name}")
        if fields["type"] == "NIRGraph":
            _write(node, fields["graph"], text)
            continue
        for field, value in sorted(fields.items()):
            if isinstance(value, str):
                node.create_dataset(field, data=value, dtype=text)
            else:
                squeeze = {"compression": "gzip"} if np.size(value) > 1 else {}
                node.create_dataset(field, data=value, track_times=False, **squeeze)
    group.create_dataset("edges", data=graph.edges, dtype=text)
