"""The letter of NIR, for files by hand, by other tools and by writers that nobody names."""

from __future__ import annotations

import numpy as np

from nirc.analysis.time_step import euler, exponential
from nirc.ir.arrays import Float
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Training
from nirc.ir.rules import LETTER, MEMBRANE, Reset
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Setting,
    Writer,
    discrete,
    reset_to_zero,
)

HAIR = 1e-5  # relative: float32 may put a time constant below the time step

RESETS: tuple[tuple[Reset, str, str], ...] = (
    ("set", "zero", "a reset to zero"),
    ("subtract", "subtract", "a reset that subtracts the threshold"),
)


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return forward Euler as exporters mean it, or the exact exponential.

    v > v_threshold comes next, then the reset. An integrator's gain counts once a step or a second,
    as ``infer-dt`` has decided.
    """
    dt_s = setting.dt_s
    exact = setting.values["discretise"] == "exponential"
    one = np.ones(n)
    r = one if c.r is None else c.r
    if c.tau_mem_s is None:
        decay, gain = one, r if c.per_step or dt_s is None else r * dt_s
    else:
        decay, gain = _of_step(c.tau_mem_s, r, dt_s, exact=exact)
    decay_syn: Float | None = None
    gain_syn = one
    if c.tau_syn_s is not None:
        w_in = one if c.w_in is None else c.w_in
        decay_syn, gain_syn = _of_step(c.tau_syn_s, w_in, dt_s, exact=exact)
    rule = LETTER if c.fires else MEMBRANE
    if c.fires and setting.values["reset"] == "subtract":
        rule = LETTER.with_reset("subtract")
    if c.fires and setting.values["reset"] == "zero":
        c = reset_to_zero(c, n)
    return discrete(
        c, n, rule, decay_mem=decay, gain_mem=gain, decay_syn=decay_syn, gain_syn=gain_syn
    )


def training(c: Continuous, setting: Setting) -> Training:
    """Return both resets, and the chosen decay."""
    resets: dict[Reset, str] = {
        reset: f"{words}; --reset {name} says that it was" for reset, name, words in RESETS
    }
    exact = setting.values["discretise"] == "exponential"
    return Training(step=setting.dt_s, exact=exact, resets=resets)


def _of_step(tau_s: Float, gain: Float, dt_s: float | None, *, exact: bool) -> tuple[Float, Float]:
    assert dt_s is not None  # infer-dt refuses otherwise
    if exact:
        return exponential(tau_s, gain, dt_s)
    return euler(np.where((tau_s < dt_s) & (tau_s > dt_s * (1 - HAIR)), dt_s, tau_s), gain, dt_s)


WRITER = Writer(
    "nir",
    "the letter of NIR",
    lambda facts: NO_EVIDENCE,  # the letter is what is left
    step,
    choices=(
        Choice("reset", ("model", "zero", "subtract"), "what a spike does to the membrane"),
        Choice("discretise", ("euler", "exponential"), "how a state decays in a step"),
    ),
    training=training,
)
