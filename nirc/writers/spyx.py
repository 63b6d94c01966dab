"""Spyx' LIF, IF, CuBaLIF, LI and recurrent cells, measured with spyx 1.0.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.time_step import AGREE
from nirc.diagnostics.log import Log
from nirc.diagnostics.writer import ExportMended, LayerLeftOut
from nirc.frontend.raw import RawGraph
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.layers import Flatten, Input, LayerNode, Linear, Neuron, Pool, Subgraph
from nirc.ir.populations import Continuous, Discrete, populations_of
from nirc.ir.program import Program, Training
from nirc.ir.rules import MEMBRANE, parse
from nirc.writers.facts import TIMED, Facts, Node, changed
from nirc.writers.importer import (
    Cell,
    Importer,
    constant_input,
    euler_tau,
    firing,
    of_unit_gain,
    threshold_for,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    discrete,
)

STEPS = 1.0  # dt where no parameter tells one: Spyx counts in steps
PLAIN = parse("fire > 1, emit, decay v, add x->v, subtract")
WITH_SYNAPSE = parse("fire > 1, emit, decay i, add x->i, subtract, decay v, add i->v")


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return a gain of 1 and the decay beta, which r holds.

    The spikes that leave are those of the membrane before the update.
    """
    dt_s = setting.dt_s or STEPS
    decay_syn = None if c.tau_syn_s is None else np.clip(1.0 - dt_s / c.tau_syn_s, 0.0, 1.0)
    decay: Float | float = 1.0
    if c.fires:
        if c.tau_mem_s is not None and c.r is not None:
            decay = np.clip(c.r, 0.0, 1.0)
        rule = PLAIN if decay_syn is None else WITH_SYNAPSE
        return discrete(c, n, rule, decay_mem=decay, decay_syn=decay_syn)
    if c.tau_mem_s is not None:
        decay = 1.0 - dt_s / c.tau_mem_s
    return discrete(c, n, MEMBRANE, decay_mem=decay, decay_syn=decay_syn)


def training(c: Continuous, setting: Setting) -> Training:
    """Return beta by dt. Every spike subtracts, a step late."""
    return Training(step=setting.dt_s or STEPS)


def evidence(facts: Facts) -> Evidence:
    """Look for names like ``layer_3``, and for r = 1 - dt / tau with one dt."""
    cells = facts.of("LIF", "CubaLIF")
    dt = _dt_s(cells)
    if (cells and dt is None) or not facts.neurons:
        return NO_EVIDENCE
    named = facts.named(r"layer_\d+(_threshold)?")
    reasons = []
    if named:
        reasons.append("nodes are called `layer_0`, `layer_1`, ...")
    if dt is not None:
        reasons.append(f"r = 1 - dt / tau with dt = {dt:.3g} in every LIF and CubaLIF")
    if not reasons:
        return NO_EVIDENCE
    open_ = ("complete",) if facts.ends_in_weights() else ()
    return Evidence(named and _as_written(facts), tuple(reasons), open=open_)


def _dt_s(cells: list[Node]) -> float | None:
    """Return the dt of r = 1 - dt / tau that all ``cells`` share."""
    steps = []
    for cell in cells:
        tau, r = cell.tau_mem, cell.numbers("r")
        if tau is None or r is None or tau.size != r.size or (r == 1).all():
            return None
        steps.append(tau * (1 - r))
    if not steps:
        return None
    every = np.concatenate(steps)
    middle = float(np.median(every))
    return middle if middle > 0 and (np.abs(every / middle - 1) < AGREE).all() else None


def _as_written(facts: Facts) -> bool:
    """Return True if all numbers are such as Spyx writes.

    Neurons rest at 0, IF and LI have gains of 1, and a Threshold follows each LI.
    """
    if not facts.resting_at_zero() or facts.of("CubaLI", "I"):
        return False
    if not all(n.all_equal("r", 1.0) for n in facts.of("IF", "LI")):
        return False
    if {f"{n.name}_threshold" for n in facts.of("LI")} != {n.name for n in facts.of("Threshold")}:
        return False
    stored = [n.stored("v_threshold") for n in facts.of("IF")]
    return all(x is not None and x.dtype != np.float64 for x in stored)


def time_step(program: Program, values: Mapping[str, str]) -> float | None:
    """Return tau (1 - r) of the populations whose r is below 1, None if there is none."""
    steps: list[float] = []
    for population in populations_of(program, Continuous).values():
        c = population.dynamics
        if c.fires and c.tau_mem_s is not None and c.r is not None:
            finite = np.isfinite(c.tau_mem_s) & (c.r < 1)
            steps += (c.tau_mem_s[finite] * (1 - c.r[finite])).tolist()
    dt_s = float(np.median(steps)) if steps else None
    return STEPS if dt_s is not None and abs(dt_s / STEPS - 1) < AGREE else dt_s


def repair(graph: RawGraph, log: Log) -> RawGraph:
    """Clip beta and alpha to 0 and 1, as the simulator does: beyond 1 tau is negative."""
    return changed(graph, lambda node: _clipped(node, log))


def _clipped(node: Node, log: Log) -> dict[str, NDArray[np.generic]]:
    clipped: dict[str, NDArray[np.generic]] = {}
    for field in ("tau", "tau_mem", "tau_syn"):
        tau, stored = node.numbers(field), node.stored(field)
        if node.type in TIMED and tau is not None and stored is not None and (tau < 0).any():
            clipped[field] = np.where(tau < 0, np.inf, tau).reshape(stored.shape)
            number = int((tau < 0).sum())
            problem = f"{number} decay(s) are clipped to 1, as Spyx clips them at every step"
            where, found = f"{node.raw.path}/{field}", f"{tau.min():.4g} s"
            log.add(ExportMended(where=where, problem=problem, found=found, limit="above 0"))
    return clipped


def rewire(program: Program, log: Log) -> Program:
    """Bring inputs of recurrent cells to the neurons, and count channels last, as Spyx does."""
    _report_gaps(list(program.nodes(LayerNode)), log)
    nodes: dict[str, LayerNode] = {}
    for name, payload in program.nodes(LayerNode).items():
        layer = payload.layer
        if isinstance(layer, Subgraph):
            layer = Subgraph(_cell(layer.program, payload.origins[0], log))
        nodes[name] = replace(payload, layer=layer)
    for name, payload in program.nodes(LayerNode).items():
        layer, where = payload.layer, payload.origins[0]
        if isinstance(layer, Pool) and any(before for before, _ in layer.padding):
            nodes[name] = replace(payload, layer=_unevenly_padded(layer, where, log))
        if isinstance(layer, Flatten) and _is_map(layer):
            for target, _ in program.out_of(name):
                nodes[target] = _channels_first(nodes[target], layer, log)
    return program.rebuilt(nodes, program.edges())


def _report_gaps(names: list[str], log: Log) -> None:
    """Report W206: layers are numbered in order, and the exporter leaves out unknown ones."""
    present = sorted(int(m[1]) for n in names if (m := re.fullmatch(r"layer_(\d+)", n)))
    missing = set(range(present[-1] + 1)) - set(present) if present else set()
    if missing:
        log.add(LayerLeftOut(where="nodes", missing=tuple(sorted(missing)), present=tuple(present)))


def _cell(cell: Program, where: str, log: Log) -> Program:
    layers = {n: p.layer for n, p in cell.nodes(LayerNode).items()}
    entries = [n for n, layer in layers.items() if isinstance(layer, Input)]
    neurons = [n for n, layer in layers.items() if isinstance(layer, Neuron)]
    if len(entries) != 1 or len(neurons) != 1:
        return cell
    (entry,), (neuron,) = entries, neurons
    edges = list(cell.edges())
    wrong = [(s, t, p) for s, t, p in edges if s == entry and isinstance(layers[t], Linear)]
    if not wrong or not any(s == neuron and t == wrong[0][1] for s, t, _ in edges):
        return cell
    weights = wrong[0][1]
    problem = (
        f"the input of a recurrent cell is wired to `{neuron}`: Spyx's exporter wires it to "
        f"`{weights}`"
    )
    found, limit = f"{entry} -> {weights}", f"{entry} -> {neuron}"
    log.add(ExportMended(where=f"{where}/edges", problem=problem, found=found, limit=limit))
    return cell.rebuilt(
        dict(cell.graph.nodes(data="payload")),
        [(s, neuron, p) if (s, t, p) in wrong else (s, t, p) for s, t, p in edges],
    )


def _unevenly_padded(pool: Pool, where: str, log: Log) -> Pool:
    """Divide the zeros of both sides, which the file adds up. The larger half comes last."""
    total = [before for before, _ in pool.padding]
    pads = tuple((n // 2, n - n // 2) for n in total)
    problem = "padding of the pool is divided between both sides: Spyx's exporter writes their sum"
    where = f"{where}/padding"
    log.add(ExportMended(where=where, problem=problem, found=tuple(total), limit=pads))
    return replace(pool, padding=pads)


def _is_map(layer: Flatten) -> bool:
    return layer.input_shape is not None and len(layer.input_shape) == 3


def _channels_first(payload: LayerNode, flatten: Flatten, log: Log) -> LayerNode:
    """Return the layer behind a Flatten with its columns in the order of nirc's Flatten."""
    assert flatten.input_shape is not None
    layer, (c, h, w) = payload.layer, flatten.input_shape
    where = payload.origins[0]
    if not isinstance(layer, Linear) or layer.weight.shape[-1] != size((c, h, w)):
        problem = (
            "Spyx's Flatten counts channels last, and what follows has no weights whose order "
            "could be changed"
        )
        log.add(ExportMended(where=where, problem=problem))
        return payload
    rows = layer.weight.reshape(*layer.weight.shape[:-1], h, w, c)
    weight = frozen(np.moveaxis(rows, -1, -3).reshape(layer.weight.shape))
    problem = "columns of the weight are reordered: Spyx's Flatten counts height, width, channel"
    found, limit = f"({h}, {w}, {c})", f"({c}, {h}, {w})"
    log.add(ExportMended(where=f"{where}/weight", problem=problem, found=found, limit=limit))
    return replace(payload, layer=Linear(weight, layer.bias))


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of ``from_nir`` with its dt of 1: as ``step``, but beta comes from tau.

    LI with a Threshold behind is a PSU_LIF.
    """
    if c.fires and c.tau_mem_s is not None:
        c = replace(c, r=frozen(1.0 - STEPS / c.tau_mem_s))
    return step(c, n, Setting(STEPS, setting.values, setting.recurrent))


def write(d: Discrete) -> Cell | str:
    """Return LIF and CuBaLIF, or a PSU_LIF, as LI and Threshold, where a spike does not reset."""
    if not d.fires:
        return "its importer builds no neuron that sends its membrane"
    d, gain = of_unit_gain(d)
    zero, tau = np.zeros(d.decay_mem.size), euler_tau(d.decay_mem, STEPS)
    if d.rule.reset == "none" and d.decay_syn is None:
        fields = {"type": "LI", "tau": tau, "r": zero + 1, "v_leak": zero}
        return Cell(fields, gain, constant_input(d), threshold=threshold_for(d, ">"))
    fields = {"r": d.decay_mem, **firing(d, ">")}
    if d.decay_syn is None:
        return Cell({"type": "LIF", "tau": tau, **fields}, gain, constant_input(d))
    fields |= {"tau_mem": tau, "tau_syn": euler_tau(d.decay_syn, STEPS), "w_in": zero + 1}
    return Cell({"type": "CubaLIF", **fields}, gain)


IMPORTER = Importer(
    lambda values: "net, outputs = spyx.nir.from_nir(nir.read(FILE), INPUTS)",
    loaded_step,
    write,
    frozenset({"Affine", "Linear", "Conv2d", "SumPool2d", "Flatten"}),
    order="path",
    loops="pair",
    time_step=lambda program, values: STEPS,
    rewire=rewire,
    dilates=False,
    map_order="channels last",
    remark="INPUTS (steps, samples, ...), maps with the channel last",
)


WRITER = Writer(
    "spyx",
    "Spyx 1.0.0",
    evidence,
    step,
    choices=(
        Choice(
            "complete",
            ("yes",),
            "whether a last LI layer was left out, which Spyx's exporter does not write",
            remedy="--readout li:STEPS adds it",
        ),
    ),
    time_step=time_step,
    repair=repair,
    rewire=rewire,
    importer=IMPORTER,
    training=training,
)
