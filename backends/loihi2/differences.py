"""Where the chip's dynamics differ in kind from the model's: one finding for each population and
kind.
"""

from __future__ import annotations

import numpy as np

from nirc.analysis import rule_differences
from nirc.backends.loihi2.limits import LIF_MODELS
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.rule import DECAY_UNITY
from nirc.backends.loihi2.soft_reset import chip_rule, has_brake, reset_to_zero, why_not
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.ir.training import Training

NOTICED = 0.01  # relative difference of a time constant from which on rounding is told


def report(legal: Program, integer: Program, log: Log) -> None:
    """What differs in a step, D420 to D423 for every population:

    ``legal`` is discrete, ``integer`` its numbers.
    """
    rule_differences.report(legal, chip_rule, LIF_MODELS, log, lambda name: _why_zero(legal, name))
    neurons = populations_of(integer, LoihiNeuron)
    for name, population in populations_of(legal, Discrete).items():
        d, neuron = population.dynamics, neurons[name].dynamics
        where = population.origins[0]
        training = legal.training.get(name, Training())
        if d.decay_syn is not None:
            field = "tau_mem" if has_brake(legal, name) else "tau_syn"
            _decay(name, field, d.decay_syn, (neuron.du + 1) / DECAY_UNITY, where, training, log)
        _decay(name, "tau_mem", d.decay_mem, neuron.dv / DECAY_UNITY, where, training, log)
        _start(name, d, neuron, where, log)


def _why_zero(legal: Program, name: str) -> str:
    return (
        (why_not(legal, name) or "a reset to zero was asked for")
        if reset_to_zero(legal, name)
        else ""
    )


def _decay(
    name: str, field: str, decay: Float, loss: Float, where: str, training: Training, log: Log
) -> None:
    exact = 1.0 - decay
    if ((exact == 0) & (loss > 0)).any():
        _leaks(name, field, decay, where, training, log)
        return
    vanished = (exact > 0) & (loss == 0)
    if vanished.any():
        log.warning(
            "D420",
            f"{field} of `{name}`: {int(vanished.sum())} of {decay.size} neurons become "
            "integrators on the chip",
            where=f"{where}/{field}",
            found=f"a loss of {exact[vanished][0]:.3g} a step",
            limit="whole 4096ths",
            source=LIF_MODELS,
            help=training.with_decay(field, 1 - 1 / DECAY_UNITY),
        )
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(exact > 0, np.abs(loss / exact - 1), 0.0)
    if off.max() > NOTICED:
        worst = int(off.argmax())
        log.note(
            "D421",
            f"{field} of `{name}`: {int((off > NOTICED).sum())} of {decay.size} neurons change by "
            "more than 1 %",
            where=f"{where}/{field}",
            found=f"{training.time_constant(decay[worst])} becomes "
            f"{training.time_constant(1 - loss[worst])}",
            limit="whole 4096ths a step",
            source=LIF_MODELS,
        )


def _leaks(name: str, field: str, decay: Float, where: str, training: Training, log: Log) -> None:
    """D420 of an integrator that is kept in u, which never keeps all: a membrane with a brake, or a
    synapse.
    """
    membrane = field == "tau_mem"
    log.warning(
        "D420",
        f"`{name}`: {int((decay == 1).sum())} of {decay.size} neurons integrate, and lose 1/4096 "
        "of their "
        f"{'membrane' if membrane else 'synaptic current'} a step on the chip",
        where=where,
        found="no loss, 2.4 % in 100 steps on the chip",
        limit="u loses 1/4096 a step or more"
        + (", and a threshold is subtracted from u" if membrane else ""),
        source=LIF_MODELS,
        help=_without_loss(training)
        if membrane
        else training.with_decay(field, 1 - 1 / DECAY_UNITY),
    )


def _without_loss(training: Training) -> str:
    """Return the way to a membrane in v, which loses nothing and which a spike sets to zero."""
    shown = "`nirc verify` shows what the loss costs in the row of the decays"
    asked = training.resets.get("set", "")
    return (
        f"{shown}; a membrane that resets to zero loses nothing: train with {asked}"
        if asked
        else shown
    )


def _start(name: str, d: Discrete, neuron: LoihiNeuron, where: str, log: Log) -> None:
    if not neuron.spikes:
        return
    wanted = np.zeros(neuron.dv.size)
    if d.resets_to is not None and d.decay_mem.any():
        wanted = np.rint(-d.resets_to * neuron.scale)
    off = (np.abs(neuron.v_start - wanted) > 64) & (
        neuron.dv < DECAY_UNITY
    )  # without memory it does not matter
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
