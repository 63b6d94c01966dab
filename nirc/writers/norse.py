"""Norse's LIFBoxCell, LIFCell and IAFCell, measured with norse 1.1.0. See norse#411, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program, Training
from nirc.ir.rules import LETTER, MEMBRANE, Reset, Rule, parse
from nirc.writers.facts import Facts, Node
from nirc.writers.importer import (
    ENDLESS,
    Cell,
    Importer,
    constant_input,
    firing,
    nearest_float32,
    of_unit_gain,
    rescaled,
    total_gain,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    discrete,
    is_step,
    reset_to_zero,
    steps,
)

HAIR = 1e-5  # relative: a rounding of float32
RUN_DT_S = 1e-3  # of a network without a dt of its own
SLOWEST_S = 1.0  # a time constant above it, read with the usual dt, was not scaled by dt
CELL = parse("add x->i, decay v, add i->v, decay i, fire > 1, set, emit")
READOUT = Rule(CELL.operations[:4])


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return a decay of 1 - dt^2 / tau: the file's tau is dt * tau.

    v starts at v_leak. LIFCell takes i before its decay.
    """
    if c.tau_mem_s is None:  # IAFCell starts where it is reset to
        d = discrete(c, n, _rule(c, LETTER, MEMBRANE, setting))
        return replace(d, v_start=c.v_reset) if c.v_reset is not None and c.v_reset.any() else d
    share = _share(c.tau_mem_s, setting)
    rules = (LETTER, MEMBRANE) if c.tau_syn_s is None else (CELL, READOUT)
    return discrete(
        c,
        n,
        _rule(c, *rules, setting),
        decay_mem=1 - share,
        gain_mem=share * _gain(c),
        decay_syn=None if c.tau_syn_s is None else 1 - _share(c.tau_syn_s, setting),
        starts_at_leak=True,
    )


def _share(tau_s: Float, setting: Setting) -> Float:
    """Return the share that a state loses in a step."""
    return _step_in_file(setting) / tau_s


def _step_in_file(setting: Setting) -> float:
    """Return a step in the unit of the file's time constants.

    The exporter multiplies tau by its dt, where 1 changes none.
    """
    exported = float(setting.values["dt"])
    run = exported if exported < 1 else RUN_DT_S
    return run * exported


def training(c: Continuous, setting: Setting) -> Training:
    """Return time constants as in the file, and the two resets."""
    resets: dict[Reset, str] = {
        "set": "reset_method=reset_value",
        "subtract": "reset_method=reset_subtract",
    }
    return Training(step=_step_in_file(setting), resets=resets)


def _gain(c: Continuous) -> Float | float:
    return 1.0 if c.r is None else c.r


def _rule(c: Continuous, fires: Rule, silent: Rule, setting: Setting) -> Rule:
    if not c.fires:
        return silent
    return fires.with_reset("subtract") if setting.values["reset"] == "subtract" else fires


def evidence(facts: Facts) -> Evidence:
    """Look for ports with a batch axis, r = 1, and time constants far below a millisecond."""
    neurons = facts.neurons
    known = ("LIF", "CubaLIF", "IF", "LI", "CubaLI")
    if not neurons or not all(n.type in known and n.all_equal("r", 1.0) for n in neurons):
        return NO_EVIDENCE
    ports = [*facts.port_shapes("Input"), *facts.port_shapes("Output")]
    batched = bool(facts.port_shapes("Input")) and all(len(s) > 1 and s[0] == 1 for s in ports)
    taus = [t for n in facts.timed if (t := n.tau_mem) is not None]
    longest = max((float(t.max()) for t in taus), default=0.0)
    short = bool(taus) and longest < RUN_DT_S
    single = all(map(_threshold_is_single, neurons))
    reasons = []
    if not taus and single:
        reasons.append("IF neurons with r = 1 in float32")
    if batched:
        reasons.append("r = 1, and Input and Output have a batch axis of 1")
    if short:
        reasons.append(
            f"r = 1 and time constants below 1 ms (at most {longest:.3g} s): tau was multiplied "
            "by dt"
        )
    if not reasons:
        return NO_EVIDENCE
    numbered = facts.port_names and facts.named(r"\d+|\d+\.\S+|\w*(lif|cell|linear|conv|fc)\w*\d*")
    assumed = {"dt": "1"} if longest / RUN_DT_S > SLOWEST_S else {}
    open_ = (*(("dt",) if taus else ()), *(("reset",) if facts.of("LIF", "CubaLIF", "IF") else ()))
    # Steps of another length leave no trace: a time constant in seconds would look the same.
    known_step = not taus or short
    conclusive = (
        batched and numbered and single and known_step and not any(map(_has_batch_axis, neurons))
    )
    return Evidence(conclusive, tuple(reasons), assumed, open_)


def _threshold_is_single(node: Node) -> bool:
    """Return True if the threshold is stored in float32, or absent."""
    if node.numbers("v_threshold") is None:
        return True
    stored = node.stored("v_threshold")
    return stored is not None and stored.dtype == np.float32


def _has_batch_axis(node: Node) -> bool:
    stored = node.stored("r")
    return stored is not None and stored.ndim > 1 and stored.shape[0] == 1


def time_step(program: Program, values: Mapping[str, str]) -> float:
    """Return the dt that the network ran with."""
    dt_s = float(values["dt"])
    return dt_s if dt_s < 1 else RUN_DT_S


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of ``from_nir``: LIFBox and IAF cells reset to zero.

    The reset of a CubaLIF is an argument. r of a LIF is not read. A CubaLIF is two box cells, both
    drawn to v_leak, where they start.
    """
    zero = reset_to_zero(c, n)
    if c.tau_mem_s is None or not c.fires:
        return discrete(zero, n, LETTER if c.fires else MEMBRANE)
    share = RUN_DT_S / c.tau_mem_s
    if c.tau_syn_s is None:
        return discrete(
            zero, n, LETTER, decay_mem=_left(share), gain_mem=share, starts_at_leak=True
        )
    share_syn = RUN_DT_S / c.tau_syn_s
    leak = np.zeros(n) if c.v_leak is None else c.v_leak
    d = discrete(
        zero,
        n,
        _rule(c, LETTER, MEMBRANE, setting),
        decay_mem=_left(share),
        gain_mem=share * _gain(c),
        decay_syn=_left(share_syn),
        gain_syn=share_syn * (1.0 if c.w_in is None else c.w_in),
        starts_at_leak=True,
    )
    return replace(d, drift=frozen(share * leak * (1 + _gain(c))))


def _left(share: Float) -> Float:
    """Return what a state keeps. float32 may put a time constant a hair below the step."""
    left = 1.0 - share
    return np.where((left < 0) & (left > -HAIR), 0.0, left)


def write(d: Discrete) -> Cell | str:
    """Return IAF as IF, LIFBox as LIF, and a CubaLIF for a synapse or a subtraction."""
    if not d.fires:
        return "its importer builds no neuron that sends its membrane"
    zero = np.zeros(d.decay_mem.size)
    if d.decay_syn is not None or d.rule.reset == "subtract":
        d, gain = of_unit_gain(d)
        share = _share_of(d.decay_mem)
        share_syn = _share_of(zero if d.decay_syn is None else d.decay_syn)
        fields = {"type": "CubaLIF", "tau_mem": _tau_of(share), "r": 1 / share, **firing(d, ">")}
        fields |= {"tau_syn": _tau_of(share_syn), "w_in": 1 / share_syn}
        values = {"reset": "subtract" if d.rule.reset == "subtract" else "zero"}
        return Cell(fields, gain, constant_input(d), values=values)
    if (d.decay_mem == 1).all():
        d, gain = of_unit_gain(d)
        fields = {"type": "IF", "r": zero + 1, **firing(d, ">", leaks=False)}
        return Cell(fields, gain, constant_input(d))
    if not (total_gain(d) > 0).all():
        return "its importer builds no neuron with a gain that is not positive"
    share = _share_of(d.decay_mem)
    unit = share / total_gain(d)
    leak = (zero if d.v_start is None else d.v_start) * unit
    d = rescaled(d, unit)
    constant = d.drift / share - leak
    fields = {"type": "LIF", "tau": _tau_of(share), "r": zero + 1, **firing(d, ">")}
    return Cell(fields | {"v_leak": leak}, None, constant if constant.any() else None)


def _share_of(decay: Float) -> Float:
    """Return (n,) what a state loses in a step. It is never 0, as it divides."""
    return np.maximum(1.0 - decay, 1.0 / ENDLESS)


def _tau_of(share: Float) -> Float:
    """Return (n,) the seconds whose inverse times dt, in float32, is ``share``."""
    dt = np.float32(RUN_DT_S)
    return nearest_float32(RUN_DT_S / share, share, lambda tau: dt * (np.float32(1) / tau))


def _call(values: Mapping[str, str]) -> str:
    subtract = ", reset_method=norse.torch.functional.reset.reset_subtract"
    keywords = subtract if values.get("reset") == "subtract" else ""
    return f"net = norse.torch.from_nir(nir.read(FILE){keywords})"


IMPORTER = Importer(
    _call,
    loaded_step,
    write,
    frozenset({"Affine", "Linear", "Conv2d", "SumPool2d", "Flatten"}),
    loops="any",
    choices=(
        Choice("reset", ("zero", "subtract"), "what a spike does to a CubaLIF (reset_method)"),
    ),
    time_step=lambda program, values: RUN_DT_S,
    remark="outputs, state = net(step, state) for each step, state None at first",
)


WRITER = Writer(
    "norse",
    "Norse 1.1.0",
    evidence,
    step,
    choices=(
        Choice(
            "dt",
            ("1e-3",),
            "the dt of the export (1: tau was not scaled)",
            "SECONDS",
            is_step,
            ("1e-4", "1"),
            steps,
        ),
        Choice("reset", ("zero", "subtract"), "what a spike does to the membrane (reset_method)"),
    ),
    time_step=time_step,
    importer=IMPORTER,
    training=training,
)
