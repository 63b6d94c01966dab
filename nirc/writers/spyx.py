"""Spyx.

LIF, IF, CuBaLIF, LI and recurrent cells; source: spyx 1.0.0 (``nn``, ``nir``), measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.time_step import AGREE
from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawGraph
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.layers import Flatten, Input, LayerNode, Linear, Neuron, Pool, Subgraph
from nirc.ir.populations import Continuous, Discrete, Population
from nirc.ir.program import Program
from nirc.ir.rules import parse
from nirc.ir.training import Training
from nirc.writers.facts import TIMED, Facts, Node, changed
from nirc.writers.importer import (
    Cell,
    Importer,
    constant_input,
    euler_tau,
    of_unit_gain,
    threshold_for,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    made,
    membrane_rule,
    memoryless,
)

STEPS = 1.0  # dt where no parameter tells one: Spyx counts in steps
PLAIN = parse("fire > 1, emit, decay v, add x->v, subtract")
WITH_SYNAPSE = parse("fire > 1, emit, decay i, add x->i, subtract, decay v, add i->v")


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """r holds beta.

    A gain of 1, and the spikes that leave are those of the membrane before the update.
    """
    if c.kind == "Threshold":
        return memoryless(c, n)
    dt_s = setting.dt_s or STEPS
    synapse = c.tau_syn_s is not None
    if not c.fires:
        decay: Float | float = 1.0 if c.tau_mem_s is None else 1.0 - dt_s / c.tau_mem_s
        rule = membrane_rule(synapse=synapse)
    else:
        decay = 1.0 if c.tau_mem_s is None or c.r is None else np.clip(c.r, 0.0, 1.0)
        rule = WITH_SYNAPSE if synapse else PLAIN
    decay_syn = None if c.tau_syn_s is None else np.clip(1.0 - dt_s / c.tau_syn_s, 0.0, 1.0)
    return made(c, n, rule, decay_mem=decay, decay_syn=decay_syn)


def training(c: Continuous, setting: Setting) -> Training:
    """beta by dt. Every spike subtracts, a step late."""
    return Training(step=setting.dt_s or STEPS)


def evidence(facts: Facts) -> Evidence:
    """Names like ``layer_3`` on numbers that Spyx writes, and r = 1 - dt / tau with one dt."""
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
    """The dt of r = 1 - dt / tau that all ``cells`` share."""
    pairs = [(n.tau_mem, n.numbers("r")) for n in cells]
    found = [
        t * (1 - r)
        for t, r in pairs
        if t is not None and r is not None and t.size == r.size and (r != 1).all()
    ]
    if not found or len(found) < len(cells):
        return None
    every = np.concatenate(found)
    middle = float(np.median(every))
    return middle if middle > 0 and (np.abs(every / middle - 1) < AGREE).all() else None


def _as_written(facts: Facts) -> bool:
    """Return whether all numbers are such as Spyx writes: rest at 0, gains of 1 in IF and LI, LI
    before Threshold.
    """
    plain = facts.of("IF", "LI")
    pairs = facts.of("LI")
    if (
        not facts.resting_at_zero()
        or not all(n.all_equal("r", 1.0) for n in plain)
        or facts.of("CubaLI", "I")
    ):
        return False
    if {f"{n.name}_threshold" for n in pairs} != {n.name for n in facts.of("Threshold")}:
        return False
    stored = [n.stored("v_threshold") for n in facts.of("IF")]
    return all(x is not None and x.dtype != np.float64 for x in stored)


def time_step(program: Program, values: Mapping[str, str]) -> float | None:
    """tau (1 - r) of the populations whose r is below 1; None where no parameter tells it."""
    told: list[float] = []
    for population in program.nodes(Population).values():
        d = population.dynamics
        if isinstance(d, Continuous) and d.fires and d.tau_mem_s is not None and d.r is not None:
            telling = np.isfinite(d.tau_mem_s) & (d.r < 1)
            told += (d.tau_mem_s[telling] * (1 - d.r[telling])).tolist()
    dt_s = float(np.median(told)) if told else None
    return STEPS if dt_s is not None and abs(dt_s / STEPS - 1) < AGREE else dt_s


def repair(graph: RawGraph, log: Log) -> RawGraph:
    """beta and alpha within 0 and 1, as the simulator clips them: beyond 1 tau is negative."""
    return changed(graph, lambda node: _clipped(node, log))


def _clipped(node: Node, log: Log) -> dict[str, NDArray[np.generic]]:
    made: dict[str, NDArray[np.generic]] = {}
    for field in ("tau", "tau_mem", "tau_syn"):
        tau, stored = node.numbers(field), node.stored(field)
        if node.type in TIMED and tau is not None and stored is not None and (tau < 0).any():
            made[field] = np.where(tau < 0, np.inf, tau).reshape(stored.shape)
            log.warning(
                "W205",
                f"{int((tau < 0).sum())} decay(s) are clipped to 1, as Spyx clips them at every "
                "step",
                where=f"{node.raw.path}/{field}",
                found=f"{tau.min():.4g} s",
                limit="above 0",
            )
    return made


def rewire(program: Program, log: Log) -> Program:
    """Inputs of recurrent cells reach the neurons, and Flatten counts channels last, as in Spyx
    itself.
    """
    _say_gaps(list(program.nodes(LayerNode)), log)
    nodes: dict[str, LayerNode] = {}
    for name, payload in program.nodes(LayerNode).items():
        layer = payload.layer
        if isinstance(layer, Subgraph):
            layer = Subgraph(_cell(layer.program, payload.origins[0], log))
        nodes[name] = replace(payload, layer=layer)
    for name, payload in program.nodes(LayerNode).items():
        if isinstance(payload.layer, Pool) and any(before for before, _ in payload.layer.padding):
            nodes[name] = replace(
                payload, layer=_unevenly_padded(payload.layer, payload.origins[0], log)
            )
        if isinstance(payload.layer, Flatten) and _is_map(payload.layer):
            for target, _ in program.out_of(name):
                nodes[target] = _channels_first(nodes[target], payload.layer, log)
    return program.rebuilt(nodes, program.edges())


def _say_gaps(names: list[str], log: Log) -> None:
    """W206: layers are numbered in order, and the exporter leaves out those that it does not
    know.
    """
    numbers = sorted(int(m[1]) for n in names if (m := re.fullmatch(r"layer_(\d+)", n)))
    missing = sorted(set(range(len(numbers) and numbers[-1] + 1)) - set(numbers))
    if missing:
        log.differs(
            "W206",
            f"the file lacks layer {', '.join(map(str, missing))}: Spyx's exporter leaves out "
            "what it does not know",
            where="nodes",
            found=", ".join(f"layer_{n}" for n in numbers),
            help="replace ALIF, LI, Dropout and their like by layers that NIR has, and export "
            "again",
        )


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
    log.warning(
        "W205",
        f"the input of a recurrent cell is wired to `{neuron}`: Spyx's exporter wires it to "
        f"`{wrong[0][1]}`",
        where=f"{where}/edges",
        found=f"{entry} -> {wrong[0][1]}",
        limit=f"{entry} -> {neuron}",
    )
    return cell.rebuilt(
        dict(cell.graph.nodes(data="payload")),
        [(s, neuron, p) if (s, t, p) in wrong else (s, t, p) for s, t, p in edges],
    )


def _unevenly_padded(pool: Pool, where: str, log: Log) -> Pool:
    """SAME padding: the file holds the zeros of both sides in all, of which the larger half comes
    last.
    """
    total = [before for before, _ in pool.padding]
    pads = tuple((n // 2, n - n // 2) for n in total)
    log.warning(
        "W205",
        "padding of the pool is divided between both sides: Spyx's exporter writes their sum",
        where=f"{where}/padding",
        found=tuple(total),
        limit=pads,
    )
    return replace(pool, padding=pads)


def _is_map(layer: Flatten) -> bool:
    return layer.input_shape is not None and len(layer.input_shape) == 3


def _channels_first(payload: LayerNode, flatten: Flatten, log: Log) -> LayerNode:
    """The layer behind a Flatten with its columns in the order of nirc's Flatten."""
    assert flatten.input_shape is not None
    layer, (c, h, w) = payload.layer, flatten.input_shape
    if not isinstance(layer, Linear) or layer.weight.shape[-1] != size((c, h, w)):
        log.warning(
            "W205",
            "Spyx's Flatten counts channels last, and what follows has no weights whose order "
            "could be changed",
            where=payload.origins[0],
        )
        return payload
    rows = layer.weight.reshape(*layer.weight.shape[:-1], h, w, c)
    weight = frozen(np.moveaxis(rows, -1, -3).reshape(layer.weight.shape))
    log.warning(
        "W205",
        "columns of the weight are reordered: Spyx's Flatten counts height, width, channel",
        where=f"{payload.origins[0]}/weight",
        found=f"({h}, {w}, {c})",
        limit=f"({c}, {h}, {w})",
    )
    return replace(payload, layer=Linear(weight, layer.bias))


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """``from_nir`` with its dt of 1: as ``step``, but beta comes from tau.

    LI with a Threshold behind is a PSU_LIF.
    """
    if c.fires and c.tau_mem_s is not None:
        c = replace(c, r=frozen(1.0 - STEPS / c.tau_mem_s))
    return step(c, n, Setting(STEPS, setting.values, setting.recurrent))


def write(d: Discrete) -> Cell | str:
    """LIF and CuBaLIF; a PSU_LIF, as LI and Threshold, where a spike does not reset."""
    if not d.fires:
        return "its importer builds no neuron that sends its membrane"
    d, gain = of_unit_gain(d)
    zero, tau = np.zeros(d.decay_mem.size), euler_tau(d.decay_mem, STEPS)
    threshold = threshold_for(d, ">")
    if d.rule.reset == "none" and d.decay_syn is None:
        fields = {"type": "LI", "tau": tau, "r": zero + 1, "v_leak": zero}
        return Cell(fields, gain, constant_input(d), threshold=threshold)
    fields = {"r": d.decay_mem, "v_leak": zero, "v_threshold": threshold, "v_reset": zero}
    if d.decay_syn is None:
        return Cell({"type": "LIF", "tau": tau, **fields}, gain, constant_input(d))
    tau_syn = euler_tau(d.decay_syn, STEPS)
    return Cell(
        {"type": "CubaLIF", "tau_mem": tau, "tau_syn": tau_syn, "w_in": zero + 1, **fields}, gain
    )


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
