"""Nengo, by the converter of NIR's examples; source: nengo 4.1.0 (``LIF.step``), measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, parse
from nirc.ir.training import Training
from nirc.writers.facts import Facts
from nirc.writers.importer import Cell, Importer, constant_input, of_unit_gain
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    is_step,
    made,
    membrane_rule,
    memoryless,
    replace_reset,
    steps,
)

FILTER = parse("emit, decay v, add x->v")  # a Lowpass sends what it held before this step's input
LONGEST_S = 1.0  # a time constant above it is no number of seconds


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Exact exponentials.

    Nengo also times spikes within the step, which no chip here does: see docs.
    """
    if c.kind == "Threshold":
        return memoryless(c, n)
    dt_s = float(setting.values["dt"])
    gain: Float | float = 1.0 if c.r is None else c.r
    decay: Float | float = 1.0 if c.tau_mem_s is None else np.exp(-dt_s / c.tau_mem_s)
    decay_syn = None if c.tau_syn_s is None else np.exp(-dt_s / c.tau_syn_s)
    gain_syn = 1.0 if c.w_in is None else c.w_in
    rule = LETTER if c.fires else FILTER
    return made(
        c,
        n,
        rule if decay_syn is None else rule.with_synapse(),
        decay_mem=decay,
        gain_mem=gain if c.tau_mem_s is None else gain * (1 - decay),
        decay_syn=decay_syn,
        gain_syn=1.0 if decay_syn is None else gain_syn * (1 - decay_syn),
    )


def training(c: Continuous, setting: Setting) -> Training:
    """Exponential decays. Every spike resets to zero."""
    return Training(step=float(setting.values["dt"]), exact=True)


def evidence(facts: Facts) -> Evidence:
    """r = 1 and a threshold of 1 in double precision, with time constants in seconds: a hint, never
    a proof.
    """
    fires = facts.of("LIF", "CubaLIF")
    timed = facts.timed
    if (
        not fires
        or len(timed) != len(facts.neurons)
        or facts.of("Conv2d", "SumPool2d", "AvgPool2d")
    ):
        return NO_EVIDENCE
    normal = all(n.all_equal("r", 1.0) for n in timed) and all(
        n.all_equal("v_threshold", 1.0) for n in fires
    )
    seconds = all(
        t is not None and t.min() > 0 and t.max() < LONGEST_S for t in (n.tau_mem for n in timed)
    )
    double = any((s := n.stored("tau")) is not None and s.dtype == np.float64 for n in timed)
    if not (normal and seconds and double):
        return NO_EVIDENCE
    return Evidence(False, ("r = 1 and v_threshold = 1 in double precision",), open=("dt",))


def time_step(program: Program, values: Mapping[str, str]) -> float:
    """As chosen."""
    return float(values["dt"])


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """The published converter: an IF by the letter of NIR. A LIF is Nengo's own, see ``step``."""
    if c.tau_mem_s is None:
        return made(
            replace_reset(c, np.zeros(n)), n, LETTER if c.fires else membrane_rule(synapse=False)
        )
    return step(c, n, Setting(setting.dt_s, {"dt": "1e-3"}, setting.recurrent))


def write(d: Discrete) -> Cell | str:
    """IF neurons. Nengo's LIF spikes within a step, which no stage of nirc does."""
    if not d.fires or d.decay_syn is not None or (d.decay_mem != 1).any():
        return (
            "its converter builds IF neurons alone by steps; a LIF of Nengo spikes within the step"
        )
    d, gain = of_unit_gain(d)
    assert d.threshold is not None and d.rule.fires is not None
    # The converter divides by the threshold, and a tie may fall to either side: it is moved off the
    # threshold.
    toward = np.float32(np.inf if d.rule.fires.at == ">" else -np.inf)
    threshold = np.nextafter(d.threshold.astype(np.float32), toward).astype(np.float64)
    zero = np.zeros(threshold.size)
    fields = {"type": "IF", "r": zero + 1, "v_threshold": frozen(threshold), "v_reset": zero}
    return Cell(fields, gain, constant_input(d))


IMPORTER = Importer(
    lambda values: (
        "the converter of NIR's paper (paper/02_cnn/nengo_import.py): nir_to_nengo(nir.read(FILE))"
    ),
    loaded_step,
    write,
    frozenset({"Affine"}),
    order="ready",
    time_step=lambda program, values: 1e-3,
    remark="Nengo itself reads no NIR files",
)


WRITER = Writer(
    "nengo",
    "Nengo 4.1.0",
    evidence,
    step,
    choices=(Choice("dt", ("1e-3",), "the simulator's dt", "SECONDS", is_step, ("1e-4",), steps),),
    time_step=time_step,
    importer=IMPORTER,
    near="Nengo's spikes fall between steps, so that near is the best there is",
    training=training,
)
