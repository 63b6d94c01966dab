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
from nirc.diagnostics.dynamics import LeakTooSmall, OtherStart, TimeConstantRounded
from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.ir.training import Training

NOTICED = 0.01  # relative difference of a time constant from which on rounding is told


class IntegratorLeaks(LeakTooSmall):
    """An integrator that is kept in u, which loses 1/4096 a step at least."""

    def words(self) -> Words:
        """Return the words of this finding."""
        membrane = self.field == "tau_mem"
        state = "membrane" if membrane else "synaptic current"
        why = ", and a threshold is subtracted from u" if membrane else ""
        return Words(
            f"`{self.population}`: {self.neurons} of {self.of} neurons integrate, and lose 1/4096 "
            f"of their {state} a step on the chip",
            found="no loss, 2.4 % in 100 steps on the chip",
            limit=f"u loses 1/4096 a step or more{why}",
            source=LIF_MODELS,
            help=self.advice,
        )


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
        log.add(
            LeakTooSmall(
                where=f"{where}/{field}",
                population=name,
                field=field,
                neurons=int(vanished.sum()),
                of=decay.size,
                loss=float(exact[vanished][0]),
                advice=training.with_decay(field, 1 - 1 / DECAY_UNITY),
            )
        )
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(exact > 0, np.abs(loss / exact - 1), 0.0)
    if off.max() > NOTICED:
        worst = int(off.argmax())
        log.add(
            TimeConstantRounded(
                where=f"{where}/{field}",
                population=name,
                field=field,
                neurons=int((off > NOTICED).sum()),
                of=decay.size,
                model=training.time_constant(decay[worst]),
                chip=training.time_constant(1 - loss[worst]),
            )
        )


def _leaks(name: str, field: str, decay: Float, where: str, training: Training, log: Log) -> None:
    """D420 of an integrator that is kept in u, which never keeps all: a membrane with a brake, or a
    synapse.
    """
    slowest = training.with_decay(field, 1 - 1 / DECAY_UNITY)
    log.add(
        IntegratorLeaks(
            where=where,
            population=name,
            field=field,
            neurons=int((decay == 1).sum()),
            of=decay.size,
            loss=0.0,
            advice=_without_loss(training) if field == "tau_mem" else slowest,
        )
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
        log.add(
            OtherStart(
                where=where,
                population=name,
                neurons=int(off.sum()),
                chip_v=float(neuron.v_start[worst] / neuron.scale[worst]),
                model_v=float(wanted[worst] / neuron.scale[worst]),
            )
        )
