"""One population as a NIR neuron.

Coefficients of a step become the form that exporters write and `infer-dt` recognises: ``tau = dt /
(1 - decay)`` and ``r = tau / dt``, which is a gain of 1; what gain there was goes into a Scale
before the neuron. An integrator becomes an IF (or I) of gain 1 / dt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Continuous, Discrete
from nirc.writers.importer import ENDLESS, Fields

NEARLY = 1e-6  # float32: a gain that exporters meant to be 1 stays in r


@dataclass(frozen=True)
class Written:
    """``fields`` (arrays (n,)); ``gain`` on what arrives and ``constant`` added to it, (n,), None
    for 1 and 0.
    """

    fields: Fields
    gain: Float | None = None
    constant: Float | None = None


def physical(c: Continuous, dt_s: float | None) -> Written:
    """The parameters as they came, under NIR's names."""
    if c.kind == "Threshold":
        return Written({"type": "Threshold", "threshold": c.v_threshold})
    tau = "tau" if c.kind in ("LI", "LIF") else "tau_mem"
    r = c.r if c.r is None or not c.per_step or dt_s is None else c.r / dt_s
    named = {"tau_syn": c.tau_syn_s, tau: c.tau_mem_s, "r": r, "w_in": c.w_in, "v_leak": c.v_leak}
    named |= {"v_threshold": c.v_threshold, "v_reset": c.v_reset}
    return Written(
        {"type": c.kind, **{name: value for name, value in named.items() if value is not None}}
    )


def per_step(d: Discrete, dt_s: float | None) -> Written:
    """Coefficients of one step; the second receptor and several spikes a step have no words in
    NIR.
    """
    step = 1.0 if dt_s is None else dt_s
    gain_syn = np.ones(d.gain_mem.size) if d.gain_syn is None else d.gain_syn
    usual = bool((np.abs(np.concatenate([d.gain_mem, gain_syn]) - 1) < NEARLY).all())
    gain_mem, gain_syn = (d.gain_mem, gain_syn) if usual else (np.ones(d.gain_mem.size),) * 2
    rest = 1 - d.decay_mem
    integrates = not rest.any() and d.decay_syn is None
    tau = step / np.maximum(rest, 1 / ENDLESS)
    leak, constant = np.where(rest > 0, d.drift * tau / step, 0.0), np.where(rest > 0, 0.0, d.drift)
    fields: Fields = {"type": _kind(d, integrates=integrates)}
    if integrates:
        fields["r"] = gain_mem / step
    else:
        fields |= {
            "tau" if d.decay_syn is None else "tau_mem": tau,
            "r": gain_mem * tau / step,
            "v_leak": leak,
        }
    if d.decay_syn is not None:
        tau_syn = step / np.maximum(1 - d.decay_syn, 1 / ENDLESS)
        fields |= {"tau_syn": tau_syn, "w_in": gain_syn * tau_syn / step}
        # A constant behind a synaptic filter: what its steady state lets through.
        constant = constant * (1 - d.decay_syn)
    if d.threshold is not None:
        fields |= {
            "v_threshold": d.threshold,
            "v_reset": np.zeros(tau.size) if d.v_reset is None else d.v_reset,
        }
    gain = None if usual else d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
    return Written(fields, gain, constant if constant.any() else None)


def _kind(d: Discrete, *, integrates: bool) -> str:
    if integrates:
        return "I" if d.threshold is None else "IF"
    silent = "LI" if d.decay_syn is None else "CubaLI"
    return silent if d.threshold is None else f"{silent}F"
