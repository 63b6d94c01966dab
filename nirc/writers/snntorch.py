"""snnTorch's Leaky, Synaptic, RLeaky and RSynaptic, measured with snntorch 1.0.0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.writer import ExportMended
from nirc.frontend.raw import RawGraph
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program, Training
from nirc.ir.rules import LETTER, MEMBRANE, Rule, parse
from nirc.writers.facts import TIMED, Facts, Node, changed, close
from nirc.writers.importer import (
    Cell,
    Importer,
    constant_input,
    euler_tau,
    firing,
    of_one_threshold,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    discrete,
    reset_to_zero,
)

CERTAIN = 1e-3  # a chance below which numbers alone tell the exporter
RARE = 1e-4  # the chance that a number carries float32's rounding of a round beta otherwise
HAIR = 1e-5  # relative: float32 may put a time constant below DT_S
DT_S = 1e-4  # the exporter's constant: tau = DT_S / (1 - beta), r = tau / DT_S

NEURONS, WEIGHTS = ".lif", ".w_rec"  # names of the parts of a recurrent cell
LATE_SUBTRACT = parse("fire > 1, decay v, add x->v, subtract, fire > 1, emit")
RESTORED = parse("fire > 1, decay v, add x->v, subtract, fire > 1, restore, subtract, emit")
LATE_SET = parse("fire > 1, decay v, add x->v, set, fire > 1, emit")
IF_DECAY = 0.9  # of an IF that is loaded: a Leaky of this beta


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return a gain of 1, beta = 1 - DT_S / tau, alpha = 1 - DT_S / tau_syn.

    The reset is a step late unless chosen otherwise. With ``zero`` a Leaky without recurrence
    resets at once, Synaptic and recurrent cells reset in the next step.
    """
    cell = c.tau_syn_s is not None or setting.recurrent
    return discrete(
        c,
        n,
        _rule(setting, cell=cell) if c.fires else MEMBRANE,
        decay_mem=1.0 if c.tau_mem_s is None else _decay(c.tau_mem_s),
        decay_syn=None if c.tau_syn_s is None else _decay(c.tau_syn_s),
    )


def _rule(setting: Setting, *, cell: bool) -> Rule:
    """Return the rule of the chosen reset. A ``cell`` resets to zero late where it is delayed."""
    reset = setting.values["reset"]
    delayed = setting.values["reset_delay"] == "yes"
    if reset == "subtract":
        return LATE_SUBTRACT if delayed else RESTORED
    if reset == "zero":
        return LATE_SET if delayed and cell else LETTER
    return LETTER.without_reset()


def _decay(tau_s: Float) -> Float:
    """Return beta as the simulator uses it.

    Learnt ones are clipped to 0 and 1 at every step, and written unclipped.
    """
    decay: Float = np.clip(1.0 - DT_S / tau_s, 0.0, 1.0)
    return decay


def training(c: Continuous, setting: Setting) -> Training:
    """Return beta and alpha by DT_S.

    A reset to zero acts at once if asked, but RSynaptic does not run with it.
    """
    if setting.recurrent and c.tau_syn_s is not None:
        return Training(step=DT_S)
    return Training(step=DT_S, resets={"set": 'reset_mechanism="zero" and reset_delay=False'})


def evidence(facts: Facts) -> Evidence:
    """Look for r = tau / 1e-4 with the roundings of float32, and the names that nirtorch gives."""
    nodes = facts.timed
    known = (*TIMED, "IF")
    if not nodes or any(n.type not in known for n in facts.neurons):
        return NO_EVIDENCE
    if not all(map(_as_exported, nodes)) or not facts.resting_at_zero():
        return NO_EVIDENCE
    reasons = [f"r = tau / {DT_S:g} s in all {len(nodes)} nodes that have a time constant"]
    rounded = set(chain.from_iterable(map(_time_constants, nodes)))
    fits = all(_fits_rounding(tau, single=single) for tau, single in rounded)
    chance = math.prod(_chance(tau, single=single) for tau, single in rounded)
    if fits and chance < 1.0:
        reasons.append("tau carries the rounding of 1 - beta in float32")
    numbered = facts.port_names and facts.named(r"(\w+\.)*\d+(\.(lif|w_rec|input|output))?")
    if numbered:
        reasons.append("nodes are called by their place in a Sequential, as nirtorch calls them")
    celled = any(name.endswith(".w_rec") for name in facts.names)
    if celled:
        reasons.append("a recurrent cell is called `X.lif` and `X.w_rec`")
    conclusive = fits and (numbered or celled or chance < CERTAIN)
    open_ = ("reset", "reset_delay") if facts.of("LIF", "CubaLIF", "IF") else ()
    # A Leaky without recurrence resets to zero at once, delayed or not.
    alone = not facts.of("CubaLIF") and not facts.has_loop()
    idle = ("reset=none", "reset=zero") if alone else ("reset=none",)
    return Evidence(conclusive, tuple(reasons), open=open_, idle={"reset_delay": idle})


def _as_exported(node: Node) -> bool:
    pairs = [(node.tau_mem, node.numbers("r"))]
    if node.numbers("w_in") is not None:  # exporters of 2023 left it out
        pairs.append((node.numbers("tau_syn"), node.numbers("w_in")))
    return all(
        t is not None and g is not None and t.size == g.size and close(g, t / DT_S)
        for t, g in pairs
    )


def _time_constants(node: Node) -> Iterator[tuple[float, bool]]:
    """Yield distinct finite time constants in seconds, each with True if it is in float32."""
    for name in ("tau_mem", "tau_syn") if node.type.startswith("Cuba") else ("tau",):
        stored = node.stored(name)
        if stored is None:
            continue
        for tau in np.unique(stored):
            if np.isfinite(tau):
                yield float(tau), stored.dtype == np.float32


def _fits_rounding(tau: float, *, single: bool) -> bool:
    """Return True if tau is DT_S / (1 - beta) for some beta of float32."""
    beta = 1.0 - DT_S / tau
    near = np.float32(beta)
    if not single:  # computed in double precision from a beta of float32
        return abs(float(near) - beta) < 1e-14
    candidates = (near, np.nextafter(near, np.float32(2)), np.nextafter(near, np.float32(-2)))
    with np.errstate(divide="ignore"):
        return np.float32(tau) in [np.float32(DT_S) / (np.float32(1) - b) for b in candidates]


def _chance(tau: float, *, single: bool) -> float:
    """Return the chance that another tool writes a tau that fits.

    A tau of n steps fits in about 1.5 / n of all cases (counted over random float32 numbers).
    People choose round numbers of seconds, or of beta in double precision: a fit of these says
    nothing. A number that differs from them by float32's rounding alone is no accident.
    """
    seconds = float(f"{tau:.4g}")
    beta = float(f"{1.0 - DT_S / tau:.3g}")
    if not single:
        return 1.0 if abs(seconds / tau - 1) < 1e-12 or beta == 1.0 - DT_S / tau else RARE
    by_people = [seconds, DT_S / (1.0 - beta)] if beta < 1 else [seconds]
    if np.float32(tau) in [np.float32(x) for x in by_people]:
        return 1.0
    of_round_beta = beta < 1 and abs(1.0 - DT_S / tau - beta) < 2.0**-23
    return RARE if of_round_beta else min(1.0, 1.5 * DT_S / tau)


def repair(graph: RawGraph, log: Log) -> RawGraph:
    """Clip beta and alpha to 0 and 1, as the simulator does. Learnt ones may lie beyond."""
    return changed(graph, lambda node: _clipped(node, log))


def _clipped(node: Node, log: Log) -> dict[str, NDArray[np.generic]]:
    clipped: dict[str, NDArray[np.generic]] = {}
    for field, gain in (("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in")):
        tau, stored, factor = node.numbers(field), node.stored(field), node.stored(gain)
        if node.type not in TIMED or tau is None or stored is None or factor is None:
            continue
        above, below = tau < 0, (tau > 0) & (tau < DT_S * (1 - HAIR))
        if factor.shape == stored.shape and (above | below).any():
            kept = np.where(above, np.inf, np.where(below, DT_S, tau)).reshape(stored.shape)
            clipped[field], clipped[gain] = kept, kept / DT_S
            problem = (
                f"{int((above | below).sum())} decay(s) are clipped to 0 and 1, as snnTorch clips "
                "them at every step"
            )
            where = f"{node.raw.path}/{field}"
            found, limit = f"{tau.min():.4g} s", f"{DT_S:g} s or more"
            log.add(ExportMended(where=where, problem=problem, found=found, limit=limit))
    return clipped


def rewire(program: Program, log: Log) -> Program:
    """Keep the edges of recurrent weights that lead back to their neurons.

    A cell that comes first is written with edges to the next.
    """
    edges, kept = list(program.edges()), []
    for source, target, projection in edges:
        neurons = source.removesuffix(WEIGHTS) + NEURONS
        if source.endswith(WEIGHTS) and target != neurons and neurons in program.graph:
            problem = (
                f"the edge from `{source}` to `{target}` is dropped: snnTorch's recurrent weights "
                "lead to their neurons"
            )
            found = f"{source} -> {target}"
            log.add(ExportMended(where="edges", problem=problem, found=found))
        else:
            kept.append((source, target, projection))
    if len(kept) == len(edges):
        return program
    return program.rebuilt(dict(program.graph.nodes(data="payload")), kept)


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of ``import_from_nir``: Leaky and Synaptic, reset to zero at once.

    v_reset is not read. An IF leaks by 0.9. Other resets are set after loading. A gain other than 1
    goes into the threshold.
    """
    zero = reset_to_zero(c, n)
    if c.kind == "IF":
        return discrete(zero, n, RESTORED, decay_mem=IF_DECAY)
    if not c.fires or c.tau_mem_s is None:
        return discrete(c, n, MEMBRANE)
    gain = np.ones(n) if c.r is None else c.r * DT_S / c.tau_mem_s
    if c.tau_syn_s is not None and c.w_in is not None:
        gain = gain * c.w_in * DT_S / c.tau_syn_s
    d = discrete(
        zero,
        n,
        _rule(setting, cell=c.tau_syn_s is not None),
        decay_mem=_decay(c.tau_mem_s),
        decay_syn=None if c.tau_syn_s is None else _decay(c.tau_syn_s),
    )
    return d if d.threshold is None else replace(d, threshold=frozen(d.threshold / gain))


def write(d: Discrete) -> Cell | str:
    """Return Leaky as LIF and Synaptic as CubaLIF, with one threshold for all neurons."""
    if not d.fires:
        return "its importer builds no neuron that sends its membrane"
    d, gain = of_one_threshold(d)
    tau = euler_tau(d.decay_mem, DT_S)
    fields = {"r": tau / DT_S, **firing(d, ">")}
    if d.decay_syn is None:
        return Cell({"type": "LIF", "tau": tau, **fields}, gain, constant_input(d))
    tau_syn = euler_tau(d.decay_syn, DT_S)
    fields |= {"tau_mem": tau, "tau_syn": tau_syn, "w_in": tau_syn / DT_S}
    return Cell({"type": "CubaLIF", **fields}, gain)


def _call(values: Mapping[str, str]) -> str:
    """Return the call, and the lines that set another reset.

    ``import_from_nir`` has no argument for the reset.
    """
    call = "net = snntorch.import_nir.import_from_nir(nir.read(FILE))"
    reset, delay = values.get("reset", "zero"), values.get("reset_delay", "no")
    if (reset, delay) == ("zero", "no"):
        return call
    function = {"zero": "_base_zero", "subtract": "_base_sub", "none": "_base_int"}[reset]
    return (
        f"{call}\n"
        "for m in net.modules():\n"
        "    if isinstance(m, (snntorch.Leaky, snntorch.Synaptic)):\n"
        f"        m.reset_mechanism, m.reset_delay = {reset!r}, {delay == 'yes'}\n"
        f"        m.state_function = m.{function}"
    )


AT_A_SPIKE = "what a spike does to the membrane"
LATE_RESET = "whether the reset acts in the next step"
IMPORTER = Importer(
    _call,
    loaded_step,
    write,
    frozenset({"Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"}),
    order="ready",
    loops="long",
    choices=(
        Choice("reset", ("zero", "subtract", "none"), f"{AT_A_SPIKE}, set after loading"),
        Choice("reset_delay", ("no", "yes"), f"{LATE_RESET}, set after loading"),
    ),
    time_step=lambda program, values: DT_S,
    remark="nirtorch 2.6 or later; outputs, state = net(step, state) for each step, state None at "
    "first",
)


WRITER = Writer(
    "snntorch",
    "snnTorch 1.0.0",
    evidence,
    step,
    choices=(
        Choice("reset", ("subtract", "zero", "none"), f"{AT_A_SPIKE} (reset_mechanism)"),
        Choice("reset_delay", ("yes", "no"), f"{LATE_RESET} (reset_delay)"),
    ),
    time_step=lambda program, values: DT_S,
    repair=repair,
    rewire=rewire,
    importer=IMPORTER,
    training=training,
)
