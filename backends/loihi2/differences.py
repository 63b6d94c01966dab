"""Where the chip's dynamics differ in kind from the model's: one finding for each population and kind."""

from __future__ import annotations

import numpy as np

from nirc.analysis import rule_differences
from nirc.backends.loihi2.limits import LIF_MODELS
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.rule import DECAY_UNITY
from nirc.backends.loihi2.soft_reset import has_brake, reset_to_zero, why_not
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Rule

NOTICED = 0.01  # relative difference of a time constant from which on rounding is told


def report(legal: Program, integer: Program, log: Log) -> None:
    """What differs in a step, D420 to D423 for every population: ``legal`` is discrete, ``integer`` its numbers."""
    rule_differences.report(legal, chip_rule, LIF_MODELS, log, lambda name: _why_zero(legal, name))
    for name, population in legal.nodes(Population).items():
        d, neuron = population.dynamics, integer[name].dynamics
        assert isinstance(d, Discrete) and isinstance(neuron, LoihiNeuron)
        where = population.origins[0]
        if d.decay_syn is not None:
            field = "tau_mem" if has_brake(legal, name) else "tau_syn"
            _decay(name, field, d.decay_syn, (neuron.du + 1) / DECAY_UNITY, where, log)
        _decay(name, "tau_mem", d.decay_mem, neuron.dv / DECAY_UNITY, where, log)
        _start(name, d, neuron, where, log)


def chip_rule(name: str, d: Discrete) -> Rule:
    """NIR's letter. Where synapses subtract the threshold, v forgets all and its reset makes no difference."""
    return LETTER if d.rule.fires is not None else d.rule


def _why_zero(legal: Program, name: str) -> str:
    return (why_not(legal, name) or "a reset to zero was asked for") if reset_to_zero(legal, name) else ""


def _decay(name: str, field: str, decay: Float, loss: Float, where: str, log: Log) -> None:
    exact = 1.0 - decay
    vanished = (exact > 0) != (loss > 0)
    if vanished.any():
        chip = "an integrator" if (loss == 0).any() else "a loss of 1/4096 a step"
        log.differs(
            "D420",
            f"{field} of `{name}`: {int(vanished.sum())} of {decay.size} neurons become {chip} on the chip",
            where=f"{where}/{field}",
            found=f"a loss of {exact[vanished][0]:.3g} a step",
            limit="whole 4096ths; u loses at least 1 of them",
            source=LIF_MODELS,
            help="a longer --dt, or a shorter time constant",
        )
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(exact > 0, np.abs(loss / exact - 1), 0.0)
    if off.max() > NOTICED:
        worst = int(off.argmax())
        log.note(
            "D421",
            f"{field} of `{name}`: {int((off > NOTICED).sum())} of {decay.size} neurons change by more than 1 %",
            where=f"{where}/{field}",
            found=f"{1 / exact[worst]:.4g} steps become {1 / loss[worst]:.4g}",
            limit="whole 4096ths a step",
            source=LIF_MODELS,
        )


def _start(name: str, d: Discrete, neuron: LoihiNeuron, where: str, log: Log) -> None:
    if not neuron.spikes:
        return
    wanted = np.zeros(neuron.dv.size)
    if d.resets_to is not None and d.decay_mem.any():
        wanted = np.rint(-d.resets_to * neuron.scale)
    off = (np.abs(neuron.v_start - wanted) > 64) & (neuron.dv < DECAY_UNITY)  # without memory it does not matter
    if off.any():
        worst = int((np.abs(neuron.v_start - wanted) * off).argmax())
        log.differs(
            "D422",
            f"{int(off.sum())} neuron(s) of `{name}` begin at another voltage than in the model",
            where=where,
            found=f"{neuron.v_start[worst] / neuron.scale[worst]:.4g} V above v_reset",
            limit=f"{wanted[worst] / neuron.scale[worst]:.4g} V",
            source="neurons of deep layers run for some steps before their first input",
        )
