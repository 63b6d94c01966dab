"""Rockpool's LIFTorch, LIFNeuronTorch and ExpSynTorch, measured with rockpool 3.1.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from nirc.analysis.time_step import AGREE, is_round, rockpool, rounded
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete, populations_of
from nirc.ir.program import Program, Training
from nirc.ir.rules import MEMBRANE, Fire, Rule, parse
from nirc.writers.facts import Facts, Node
from nirc.writers.importer import (
    ENDLESS,
    Cell,
    Importer,
    exact_tau,
    of_unit_gain,
    rescaled,
    threshold_for,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    counts,
    discrete,
    is_count,
)

WITH_SYNAPSE = parse("add x->i, decay i, decay v, add i->v, fire >= many, subtract, emit")
WITHOUT = parse("decay v, add x->v, fire >= many, subtract, emit")
READ_SYNAPSE = Rule(WITH_SYNAPSE.operations[:4])
USUAL_DT_S = 1e-3
TIES = 2.0**-20  # relative: above the rounding errors of float32
LONGEST = 2.0**30  # steps: the longest time constant of a loaded LI, which is an integer
CERTAIN = 1e-4  # relative: what float32 parameters leave of a step


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return exponential decays and gains of 1.

    The synaptic current decays after the input is added, and so does a readout.
    """
    dt_s = setting.dt_s or USUAL_DT_S
    decay: Float | float = 1.0 if c.tau_mem_s is None else np.exp(-dt_s / c.tau_mem_s)
    decay_syn = None if c.tau_syn_s is None else np.exp(-dt_s / c.tau_syn_s)
    if not c.fires and decay_syn is None:
        return discrete(c, n, MEMBRANE, decay_mem=decay, gain_mem=decay)
    if not c.fires:
        return discrete(c, n, READ_SYNAPSE, decay_mem=decay, decay_syn=decay_syn)
    most = setting.values["spikes"]
    rule = WITHOUT if decay_syn is None else WITH_SYNAPSE
    rule = rule.with_fire(Fire(">=", None if most == "many" else int(most)))
    return discrete(c, n, rule, decay_mem=decay, decay_syn=decay_syn)


def training(c: Continuous, setting: Setting) -> Training:
    """Return exponential decays. Every spike subtracts."""
    return Training(step=setting.dt_s or USUAL_DT_S, exact=True)


def evidence(facts: Facts) -> Evidence:
    """Look for r = tau / dt * exp(-dt / tau) with a round dt, and names like ``1_LIFTorch``."""
    steps = [s for n in facts.timed if (s := _dt_s(n)) is not None]
    if not steps or len(steps) < len(facts.timed) or not is_round(steps[0]):
        return NO_EVIDENCE
    if any(abs(s / steps[0] - 1) >= AGREE for s in steps):
        return NO_EVIDENCE
    if not all(n.all_equal("w_in", 1.0) for n in facts.of("CubaLIF", "CubaLI")):
        return NO_EVIDENCE
    reasons = [
        f"r = tau / dt * exp(-dt / tau) with dt = {steps[0]:g} s in all {len(steps)} timed nodes"
    ]
    torch = [n for n in facts.names if n.endswith(("Torch", "Jax"))]
    if torch:
        reasons.append(f"nodes are called after Rockpool's modules, such as `{torch[0]}`")
    # r = tau / dt with a round dt may explain every node as well, as in files of other tools.
    plain = all(map(_plain_step_is_round, facts.timed))
    conclusive = not plain or (bool(torch) and facts.named(r"\d+_[A-Za-z]\w*"))
    open_ = ("spikes",) if facts.of("LIF", "CubaLIF", "IF") else ()
    return Evidence(conclusive, tuple(reasons), open=open_)


def _plain_step_is_round(node: Node) -> bool:
    tau, r = node.tau_mem, node.numbers("r")
    if tau is None or r is None:
        return False
    return is_round(float(np.median(tau)) / float(np.median(r)))


def _dt_s(node: Node) -> float | None:
    """Return the step of every neuron of a node, if they agree."""
    tau, r = node.tau_mem, node.numbers("r")
    if tau is None or r is None or tau.size != r.size:
        return None
    if not (np.isfinite(tau) & np.isfinite(r) & (r > 0)).all():
        return None
    steps = _steps(tau, r)
    middle = float(np.median(steps))
    return rounded(middle) if middle > 0 and np.ptp(steps) <= AGREE * middle else None


def _steps(tau_s: Float, r: Float) -> list[float]:
    """Return the steps that the different pairs of a time constant and a gain imply."""
    pairs = {*zip(tau_s.tolist(), r.tolist(), strict=True)}
    return [rockpool(float(t), float(g)) for t, g in pairs]


def _short(dt_s: float) -> float:
    """Return the step of three digits that is meant: float32 parameters tell it to four."""
    short = float(f"{dt_s:.2e}")
    return short if abs(short / dt_s - 1) < CERTAIN else rounded(dt_s)


def time_step(program: Program, values: Mapping[str, str]) -> float:
    """Return the step that most neurons' parameters imply, Rockpool's default without any."""
    steps: list[float] = []
    for c in _timed(program):
        if c.tau_mem_s is not None and c.r is not None and (c.r > 0).all():
            steps += _steps(c.tau_mem_s, c.r)
    return _short(float(np.median(steps))) if steps else USUAL_DT_S


def _timed(program: Program) -> Iterator[Continuous]:
    for population in populations_of(program, Continuous).values():
        if population.dynamics.tau_mem_s is not None:
            yield population.dynamics


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of ``from_nir``: LIFTorch and ExpSynTorch with a dt of tau / (1 + r) each.

    v_leak is a constant input to v. The time constants of an ExpSynTorch lose their fractions.
    """
    rule = WITHOUT if c.fires else MEMBRANE
    if c.tau_mem_s is None:
        return discrete(c, n, rule)
    dt_s = _loaded_dt_s(c)
    plain = replace(c, v_leak=None)
    if c.tau_syn_s is None:
        decay = np.exp(-dt_s / np.maximum(np.trunc(c.tau_mem_s), 1e-300))
        return discrete(plain, n, rule, decay_mem=decay, gain_mem=1.0 if c.fires else decay)
    d = discrete(
        plain,
        n,
        WITH_SYNAPSE if c.fires else READ_SYNAPSE,
        decay_mem=np.exp(-dt_s / c.tau_mem_s),
        decay_syn=np.exp(-dt_s / c.tau_syn_s),
    )
    return d if c.v_leak is None else replace(d, drift=frozen(c.v_leak))


def _loaded_dt_s(c: Continuous) -> float:
    assert c.tau_mem_s is not None
    return float(np.min(c.tau_mem_s / (1 + (0.0 if c.r is None else c.r))))


def loaded_time_step(program: Program, values: Mapping[str, str]) -> float:
    """Return the step of the first population with a time constant."""
    first = next(_timed(program), None)
    return USUAL_DT_S if first is None else rounded(_loaded_dt_s(first))


def write(d: Discrete) -> Cell | str:
    """Return LIFTorch as CubaLIF, ExpSynTorch as LI.

    A neuron without a synapse gets one that keeps next to nothing, in its own unit.
    """
    d, gain = of_unit_gain(d)
    zero = np.zeros(d.decay_mem.size)
    if d.threshold is None:
        return _written_li(d, gain)
    kept = np.maximum(zero if d.decay_syn is None else d.decay_syn, 1 / ENDLESS)
    d = rescaled(d, kept)  # what arrives is multiplied by what the synapse keeps
    # In the unit of such a synapse sums are rounded, and fall short of ties.
    ties = np.where(kept <= 1 / ENDLESS, TIES, 0.0)
    tau = exact_tau(d.decay_mem, USUAL_DT_S)
    fields = {"type": "CubaLIF", "tau_mem": tau, "r": tau / USUAL_DT_S - 1, "v_leak": d.drift}
    fields |= {"tau_syn": exact_tau(kept, USUAL_DT_S), "w_in": zero + 1}
    fields |= {"v_threshold": threshold_for(d, ">=") * (1 - ties), "v_reset": zero}
    return Cell(fields, gain)


def _written_li(d: Discrete, gain: Float | None) -> Cell | str:
    if d.decay_syn is not None:
        return "its importer builds no readout with a synapse"
    if d.decay_mem.size == 1 or not (d.decay_mem > 0).all():
        return "its importer builds no readout of a single neuron, and none without memory"
    rate = np.maximum(-np.log(d.decay_mem), 1 / ENDLESS)
    dt = LONGEST * float(rate.min())
    tau = np.rint(dt / rate)
    fields = {"type": "LI", "tau": tau, "r": tau / dt - 1, "v_leak": np.zeros(tau.size)}
    left = (1.0 if gain is None else gain) / d.decay_mem
    return Cell(fields, left, d.drift / d.decay_mem if d.drift.any() else None)


IMPORTER = Importer(
    lambda values: "net = rockpool.nn.modules.from_nir(nir.read(FILE))",
    loaded_step,
    write,
    frozenset({"Affine", "Linear"}),
    loops="nested",
    time_step=loaded_time_step,
    remark="outputs, _ = net(inputs), inputs (samples, steps, channels)",
)


WRITER = Writer(
    "rockpool",
    "Rockpool 3.1.0",
    evidence,
    step,
    choices=(
        Choice(
            "spikes",
            ("many",),
            "how often a neuron may fire in a step (max_spikes_per_dt)",
            "N",
            is_count,
            ("1",),
            numbers=counts,
        ),
    ),
    time_step=time_step,
    importer=IMPORTER,
    training=training,
)
