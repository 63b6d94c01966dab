"""Nengo, by the converter of NIR's examples, measured with nengo 4.1.0 (``LIF.step``)."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Training
from nirc.ir.rules import LETTER, MEMBRANE, parse
from nirc.writers.facts import Facts
from nirc.writers.importer import Cell, Importer, constant_input, of_unit_gain
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

FILTER = parse("emit, decay v, add x->v")  # a Lowpass sends what it held before this step's input
LONGEST_S = 1.0  # a time constant above it is no number of seconds
LOADED_DT_S = 1e-3


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return exact exponentials. Nengo also times spikes within the step, which no chip here does.

    See docs/reference/writers.md.
    """
    return _of_step(c, n, float(setting.values["dt"]))


def _of_step(c: Continuous, n: int, dt_s: float) -> Discrete:
    gain: Float | float = 1.0 if c.r is None else c.r
    decay: Float | float = 1.0
    if c.tau_mem_s is not None:
        decay = np.exp(-dt_s / c.tau_mem_s)
        gain = gain * (1 - decay)
    rule = LETTER if c.fires else FILTER
    if c.tau_syn_s is None:
        return discrete(c, n, rule, decay_mem=decay, gain_mem=gain)
    decay_syn = np.exp(-dt_s / c.tau_syn_s)
    gain_syn = (1.0 if c.w_in is None else c.w_in) * (1 - decay_syn)
    return discrete(
        c, n, rule, decay_mem=decay, gain_mem=gain, decay_syn=decay_syn, gain_syn=gain_syn
    )


def training(c: Continuous, setting: Setting) -> Training:
    """Return exponential decays. Every spike resets to zero."""
    return Training(step=float(setting.values["dt"]), exact=True)


def evidence(facts: Facts) -> Evidence:
    """Look for r = 1 and a threshold of 1 in float64, with time constants in seconds.

    This is a hint, never a proof.
    """
    fires, timed = facts.of("LIF", "CubaLIF"), facts.timed
    if not fires or len(timed) != len(facts.neurons):
        return NO_EVIDENCE
    if facts.of("Conv2d", "SumPool2d", "AvgPool2d"):
        return NO_EVIDENCE
    gains = all(n.all_equal("r", 1.0) for n in timed)
    thresholds = all(n.all_equal("v_threshold", 1.0) for n in fires)
    seconds = all(
        (t := n.tau_mem) is not None and t.min() > 0 and t.max() < LONGEST_S for n in timed
    )
    double = any((s := n.stored("tau")) is not None and s.dtype == np.float64 for n in timed)
    if not (gains and thresholds and seconds and double):
        return NO_EVIDENCE
    return Evidence(False, ("r = 1 and v_threshold = 1 in double precision",), open=("dt",))


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of the published converter: an IF by the letter of NIR, a LIF of Nengo."""
    if c.tau_mem_s is None:
        return discrete(reset_to_zero(c, n), n, LETTER if c.fires else MEMBRANE)
    return _of_step(c, n, LOADED_DT_S)


def write(d: Discrete) -> Cell | str:
    """Return IF neurons. Nengo's LIF spikes within a step, which no stage of nirc does."""
    if not d.fires or d.decay_syn is not None or (d.decay_mem != 1).any():
        return (
            "its converter builds IF neurons alone by steps; a LIF of Nengo spikes within the step"
        )
    d, gain = of_unit_gain(d)
    assert d.threshold is not None and d.rule.fires is not None
    # The converter divides by the threshold. A tie may fall to either side: move it off.
    toward = np.float32(np.inf if d.rule.fires.at == ">" else -np.inf)
    threshold = np.nextafter(d.threshold.astype(np.float32), toward).astype(np.float64)
    zero = np.zeros(threshold.size)
    fields = {"type": "IF", "r": zero + 1, "v_threshold": threshold, "v_reset": zero}
    return Cell(fields, gain, constant_input(d))


IMPORTER = Importer(
    lambda values: (
        "the converter of NIR's paper (paper/02_cnn/nengo_import.py): nir_to_nengo(nir.read(FILE))"
    ),
    loaded_step,
    write,
    frozenset({"Affine"}),
    order="ready",
    time_step=lambda program, values: LOADED_DT_S,
    remark="Nengo itself reads no NIR files",
)


WRITER = Writer(
    "nengo",
    "Nengo 4.1.0",
    evidence,
    step,
    choices=(Choice("dt", ("1e-3",), "the simulator's dt", "SECONDS", is_step, ("1e-4",), steps),),
    time_step=lambda program, values: float(values["dt"]),
    importer=IMPORTER,
    near="Nengo's spikes fall between steps, so that near is the best there is",
    training=training,
)
