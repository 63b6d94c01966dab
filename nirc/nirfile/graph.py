"""A program as NIR nodes and edges, and the bytes of its file.

Coefficients of a step become the form that exporters write and ``infer-dt`` recognises: ``tau = dt
/ (1 - decay)`` and ``r = tau / dt``, which is a gain of 1. Any other gain goes into a Scale before
the neuron. An integrator becomes an IF (or I) of gain 1 / dt.
"""

from __future__ import annotations

import io
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.diagnostics.dynamics import times
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import LeftOutOfExport, NotInNir
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Diagonal
from nirc.ir.populations import Continuous, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import MEMBRANE
from nirc.nirfile.operators import EVERY, Later, Plus, Route, Step, laid_out
from nirc.writers.importer import ENDLESS, Fields

VERSION = "1.0.8"  # of the package nir with which the layout was checked
NEARLY = 1e-6  # float32: a gain that exporters meant to be 1 stays in r


@dataclass(frozen=True)
class Graph:
    """Nodes by name and edges, as a NIR file holds them.

    A node of type NIRGraph has a ``Graph`` under "graph".
    """

    nodes: Mapping[str, Fields]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Written:
    """The ``fields`` of a population's node, as arrays (n,).

    ``gain`` (n,) multiplies what arrives, ``constant`` (n,) is added to it, None for 1 and 0.
    """

    fields: Fields
    gain: Float | None = None
    constant: Float | None = None


def to_graph(program: Program, log: Log) -> Graph:
    """Return ``program`` in any executable form.

    Raises ``CompileError``: P314 for what NIR has no words for, P307 for a matrix that is too
    large. Warns (P315) of what is left out: the reset rule, onsets of biases, several spikes in a
    step.
    """
    neurons = {
        name: _neuron(name, p, program.dt_s, log) for name, p in program.nodes(Population).items()
    }
    routes = _routes(program, neurons, log)
    shapes = laid_out({name: program[name].shape for name in program.graph}, routes, EVERY)
    names = hdf5_names(program)
    nodes: dict[str, Fields] = {}
    for name, payload in program.graph.nodes(data="payload"):
        if name in neurons:
            nodes[names[name]] = shaped(neurons[name].fields, shapes[name])
        else:
            kind = "Input" if isinstance(payload, Source) else "Output"
            nodes[names[name]] = port(kind, shapes[name])
    edges: dict[tuple[str, str], None] = {}
    for route in routes:
        source, target = names[route.source], names[route.target]
        layers = route.layers(shapes[route.source], shapes[route.target], EVERY)
        if not layers and (source, target) in edges:  # a second edge needs a node of its own
            one = Diagonal(np.ones(size(shapes[route.source])))
            single = Route(route.source, route.target, (one,))
            layers = single.layers(shapes[route.source], shapes[route.target], EVERY)
        before = source
        for layer in layers:
            fields = layer.fields(EVERY, f"{route.source} -> {route.target}", log)
            name = free_name(f"{source}__{target}__{fields['type'].lower()}", nodes)
            nodes[name] = fields
            edges[before, name] = None
            before = name
        edges[before, target] = None
    log.raise_if_errors()
    return Graph(nodes, tuple(sorted(edges)))


def port(kind: str, shape: Shape) -> Fields:
    """Return an Input or Output."""
    return {"type": kind, "shape": np.array(shape)}


def shaped(fields: Fields, shape: Shape) -> Fields:
    """Return arrays (n,), or (1,) for a whole population, in the population's shape."""

    def of(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return np.broadcast_to(value if value.size == 1 else value.reshape(shape), shape)

    return {name: of(value) for name, value in fields.items()}


def hdf5_names(program: Program) -> dict[str, str]:
    """Return names as HDF5 can hold them: a slash would be a group inside a group."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in program.graph:
        names[name] = free_name(name.replace("/", ".").strip(".") or "node", taken)
        taken.add(names[name])
    return names


def free_name(stem: str, taken: Container[str]) -> str:
    """Return ``stem``, with a number if it is taken."""
    number = 0
    while (name := f"{stem}{number or ''}") in taken:
        number += 1
    return name


def _routes(program: Program, neurons: Mapping[str, Written], log: Log) -> list[Route]:
    constants = {name: w.constant for name, w in neurons.items() if w.constant is not None}
    routes = []
    for source, target, projection in program.edges():
        steps: list[Step] = list(projection.ops)
        delay_s, before, behind = _constants(projection, program, program[target].n, log)
        if isinstance(program[target], Sink):
            delay_s += program[target].delay_steps * (program.dt_s or 0.0)
        if before.any():
            steps.append(Plus(before))
        if delay_s:
            steps.append(Later(delay_s))
        if behind.any():
            steps.append(Plus(behind))
        if target in neurons and (gain := neurons[target].gain) is not None:
            steps.append(Diagonal(gain))
        if target in constants:
            steps.append(Plus(constants.pop(target)))  # on one of the projections only
        routes.append(Route(source, target, tuple(steps)))
    return routes


def _constants(
    projection: Projection, program: Program, n: int, log: Log
) -> tuple[float, Float, Float]:
    """Return the delay in seconds, and the biases (n,) before and behind it.

    A bias that begins with the signal is before the delay.
    """
    discrete = program.form is not Form.CONTINUOUS
    dt_s = program.dt_s or 0.0
    delay_s = projection.delay_steps * dt_s if discrete else projection.delay_s
    before, behind = np.zeros(n), np.zeros(n)
    for bias in projection.biases:
        onset_s = bias.onset_steps * dt_s if discrete else bias.onset_s
        if onset_s == delay_s:
            before = before + bias.value
            continue
        behind = behind + bias.value
        if onset_s:
            log.add(LeftOutOfExport(what=f"that a constant input begins after {onset_s:g} s"))
    return delay_s, before, behind


def stepped(dynamics: Any) -> Any:
    """Return what integer neurons do in a step, other dynamics as they are."""
    return dynamics.as_discrete() if hasattr(dynamics, "as_discrete") else dynamics


def _neuron(name: str, population: Population[Any], dt_s: float | None, log: Log) -> Written:
    d = stepped(population.dynamics)
    if isinstance(d, Continuous):
        return physical(d, dt_s)
    if not isinstance(d, Discrete) or d.gain_syn_2 is not None:
        reason = "two receptors" if isinstance(d, Discrete) else type(d).__name__
        log.add(NotInNir(where=population.origins[0], population=name, reason=reason))
        return Written({"type": "Threshold", "threshold": np.ones(population.n)})
    for each in _left_out(name, d):
        log.add(each)
    return per_step(d, dt_s)


def _left_out(name: str, d: Discrete) -> Iterator[LeftOutOfExport]:
    """Yield what NIR's letter leaves out of these neurons."""
    rule, fires = d.rule, d.rule.fires
    letter = MEMBRANE.with_synapse() if rule.has_synapse else MEMBRANE
    others = {
        "has a lower bound of the membrane": d.v_least is not None,
        "does not start at 0": d.v_start is not None,
        f"cuts its states to multiples of {d.grain or 0:g} V": d.grain is not None,
    }
    if fires is not None:
        letter = rule.at_once()
        others |= {
            "is not reset by a spike": rule.reset == "none",
            "is reset a step after a spike": rule.reset_is_delayed,
            f"fires {times(fires.most)} in a step": fires.most != 1,
            "fires at its threshold, not above it only": fires.at == ">=",
        }
        if rule.reset == "subtract":
            what = f"that `{name}` subtracts the threshold at a spike"
            yield LeftOutOfExport(what=what, help="read the file with --reset subtract")
    order = rule.without_bound().without_reset()
    others[f"does a step in another order ({rule.text})"] = order != letter.without_reset()
    for what, left_out in others.items():
        if left_out:
            yield LeftOutOfExport(what=f"that `{name}` {what}")


def physical(c: Continuous, dt_s: float | None) -> Written:
    """Return the parameters as they came, under NIR's names."""
    if c.kind == "Threshold":
        return Written({"type": "Threshold", "threshold": c.v_threshold})
    tau = "tau" if c.kind in ("LI", "LIF") else "tau_mem"
    r = c.r if c.r is None or not c.per_step or dt_s is None else c.r / dt_s
    named = {"tau_syn": c.tau_syn_s, tau: c.tau_mem_s, "r": r, "w_in": c.w_in, "v_leak": c.v_leak}
    named |= {"v_threshold": c.v_threshold, "v_reset": c.v_reset}
    fields = {name: value for name, value in named.items() if value is not None}
    return Written({"type": c.kind, **fields})


def per_step(d: Discrete, dt_s: float | None) -> Written:
    """Return coefficients of one step."""
    dt = 1.0 if dt_s is None else dt_s
    one = np.ones(d.gain_mem.size)
    gain_mem, gain_syn = d.gain_mem, one if d.gain_syn is None else d.gain_syn
    gain = None
    if (np.abs(np.concatenate([gain_mem, gain_syn]) - 1) >= NEARLY).any():
        gain = gain_mem * gain_syn
        gain_mem = gain_syn = one
    lost = 1 - d.decay_mem
    tau = dt / np.maximum(lost, 1 / ENDLESS)
    constant = np.where(lost > 0, 0.0, d.drift)
    integrates = not lost.any() and d.decay_syn is None
    fields: Fields = {"type": _kind(d, integrates=integrates)}
    if integrates:
        fields["r"] = gain_mem / dt
    else:
        fields |= {"tau" if d.decay_syn is None else "tau_mem": tau, "r": gain_mem * tau / dt}
        fields["v_leak"] = np.where(lost > 0, d.drift * tau / dt, 0.0)
    if d.decay_syn is not None:
        tau_syn = dt / np.maximum(1 - d.decay_syn, 1 / ENDLESS)
        fields |= {"tau_syn": tau_syn, "w_in": gain_syn * tau_syn / dt}
        # A constant behind a synaptic filter: what its steady state lets through.
        constant = constant * (1 - d.decay_syn)
    if d.threshold is not None:
        reset = np.zeros(tau.size) if d.v_reset is None else d.v_reset
        fields |= {"v_threshold": d.threshold, "v_reset": reset}
    return Written(fields, gain, constant if constant.any() else None)


def _kind(d: Discrete, *, integrates: bool) -> str:
    if integrates:
        return "I" if d.threshold is None else "IF"
    silent = "LI" if d.decay_syn is None else "CubaLI"
    return silent if d.threshold is None else f"{silent}F"


def nir_bytes(graph: Graph, metadata: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return HDF5 as ``nir.write`` lays it out. The same graph gives the same bytes.

    The layout is node/{type, nodes/NAME/FIELD, edges}, version. ``metadata``: texts and bytes of
    the outermost graph, in node/metadata.
    """
    import h5py

    buffer = io.BytesIO()
    text = h5py.string_dtype()
    with h5py.File(buffer, "w", track_order=False) as file:
        file.create_dataset("version", data=VERSION, dtype=text)
        root = file.create_group("node")
        _write(root, graph, text)
        for key, note in sorted((metadata or {}).items()):
            if isinstance(note, bytes):
                array = np.frombuffer(note, np.uint8)
                root.create_dataset(
                    f"metadata/{key}", data=array, track_times=False, compression="gzip"
                )
            else:
                root.create_dataset(f"metadata/{key}", data=note, dtype=text)
    return buffer.getvalue()


def _write(group: Any, graph: Graph, text: Any) -> None:
    """Write a graph into its group. Edges keep their order, which importers follow."""
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
