"""Differences between the model's dynamics and the chip's: findings, and programs with one each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis import rule_differences
from nirc.analysis.retiming import retimed
from nirc.backends.loihi2.legalise import LoihiLegalise
from nirc.backends.loihi2.limits import DELAY, LIF_MODELS, STATE, STATE_SHIFT, WRAP
from nirc.backends.loihi2.neuron import LoihiNeuron, shifted
from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.backends.loihi2.rule import DECAY_UNITY, effective_bias
from nirc.backends.loihi2.soft_reset import chip_rule, inhibits_itself, reset_to_zero, why_not
from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import LeakTooSmall, OtherStart, TimeConstantRounded
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population, populations_of
from nirc.ir.program import Program, Training
from nirc.semantics.variations import (
    FixedPoint,
    altered,
    capped_inputs,
    exactly,
    inverse,
    later,
    times,
    with_chip_rule,
)

NOTICED = 0.01  # relative change of a time constant from which on D421 reports it
START_UNITS = 64  # units of v that a start may be off: a threshold has some thousand


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
    """Report differences of the update rule, and D420 to D422, for every population.

    ``legal`` is discrete, ``integer`` has its numbers.
    """
    rule_differences.report(legal, chip_rule, LIF_MODELS, log, lambda name: _why_zero(legal, name))
    neurons = populations_of(integer, LoihiNeuron)
    for name, population in populations_of(legal, Discrete).items():
        d, neuron = population.dynamics, neurons[name].dynamics
        where = population.origins[0]
        training = legal.training.get(name, Training())
        if d.decay_syn is not None:
            field = "tau_mem" if inhibits_itself(legal, name) else "tau_syn"
            _decay(name, field, d.decay_syn, (neuron.du + 1) / DECAY_UNITY, where, training, log)
        _decay(name, "tau_mem", d.decay_mem, neuron.dv / DECAY_UNITY, where, training, log)
        _start(name, d, neuron, where, log)


def _why_zero(legal: Program, name: str) -> str:
    if not reset_to_zero(legal, name):
        return ""
    return why_not(legal, name) or "a reset to zero was asked for"


def _decay(
    name: str, field: str, decay: Float, loss: Float, where: str, training: Training, log: Log
) -> None:
    exact = 1.0 - decay
    slowest = training.with_decay(field, 1 - 1 / DECAY_UNITY)
    vanished = (exact > 0) & (loss == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(exact > 0, np.abs(loss / exact - 1), 0.0)
    if ((exact == 0) & (loss > 0)).any():
        log.add(
            IntegratorLeaks(
                where=where,
                population=name,
                field=field,
                neurons=int((exact == 0).sum()),
                of=decay.size,
                loss=0.0,
                advice=_without_loss(training) if field == "tau_mem" else slowest,
            )
        )
    elif vanished.any():
        log.add(
            LeakTooSmall(
                where=f"{where}/{field}",
                population=name,
                field=field,
                neurons=int(vanished.sum()),
                of=decay.size,
                loss=float(exact[vanished][0]),
                advice=slowest,
            )
        )
    elif off.max() > NOTICED:
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


def _without_loss(training: Training) -> str:
    """Return advice for a membrane in v, which loses nothing and which a spike sets to zero."""
    shown = "`nirc verify` shows what the loss costs in the row of the decays"
    asked = training.resets.get("set", "")
    if not asked:
        return shown
    return f"{shown}; a membrane that resets to zero loses nothing: train with {asked}"


def _start(name: str, d: Discrete, neuron: LoihiNeuron, where: str, log: Log) -> None:
    if not neuron.spikes:
        return
    start = np.rint(shifted(d)[2] * neuron.scale) + 0.0
    remembers = neuron.dv < DECAY_UNITY
    off = np.where(remembers, np.abs(neuron.v_start - start), 0)
    if off.max() > START_UNITS:
        worst = int(off.argmax())
        log.add(
            OtherStart(
                where=where,
                population=name,
                neurons=int((off > START_UNITS).sum()),
                chip_v=float(neuron.v_start[worst] / neuron.scale[worst]),
                model_v=float(start[worst] / neuron.scale[worst]),
            )
        )


# Programs with one difference each, still in floating point.


def approximations(
    discrete: Program, quantise: LoihiQuantise | None = None, *, exact: bool = True
) -> list[tuple[str, Program]]:
    """Return programs by name, each with one approximation of the chip, as ``quantise`` makes it.

    ``exact``: subtraction by self-inhibition where it is possible.
    """
    legal = LoihiLegalise(exact).run(discrete, Log())
    quantise = quantise or LoihiQuantise()
    integer = quantise.run(legal, Log())

    def alone(name: str, d: Discrete) -> Discrete:
        return _with_bias(d, integer[name].dynamics)

    def in_words(name: str, d: Discrete) -> FixedPoint:
        neuron = integer[name].dynamics
        decayed = wrapping if inhibits_itself(legal, name) else exactly
        zero = -shifted(d)[2]  # the chip's voltages are counted from the reset
        low, high = (state / neuron.scale + zero for state in STATE)
        return FixedPoint(d, 1 / neuron.scale, decayed, v=(low, high))

    def truncated(name: str, d: Discrete) -> FixedPoint:
        unit = 1 / integer[name].dynamics.scale
        return FixedPoint(d, unit, decayed=towards_zero, zero=-shifted(d)[2])

    capped = capped_inputs(discrete, 1)
    programs = [
        (
            f"weights: {'twice ' if quantise.twice else ''}{quantise.bits} bits",
            _with_weights(legal, integer),
        ),
        ("decays: multiples of 1/4096", altered(legal, lambda _, d: _with_decays(d))),
        ("constants: rounded biases", altered(legal, alone)),
        ("saturation: one spike of an input a step", capped),
        ("saturation: membranes of 24 bits", altered(legal, in_words)),
        ("states: decay towards zero in integer units", altered(legal, truncated)),
    ]
    before = populations_of(discrete, Discrete)
    if any(p.dynamics.rule.restores and inhibits_itself(legal, n) for n, p in before.items()):
        # Self-inhibition takes the threshold away in the step of the spike, in every program.
        programs = [
            (name if each is capped else f"{name} (and reset)", each) for name, each in programs
        ]
        programs.insert(0, ("reset: in the step of the spike", legal))
    if any(reset_to_zero(legal, name) for name in legal.nodes(Population)):
        programs.insert(0, ("reset: to zero", with_chip_rule(legal, chip_rule, reset=True)))
    if slow := {i: extra for i, extra in enumerate(retimed(legal, DELAY[1]).slow) if extra}:
        programs.append(("delays: a step for every synapse", later(legal, slow)))
    return programs


def _with_decays(d: Discrete) -> Discrete:
    """Return the neuron with the decays of the chip."""
    syn = None if d.decay_syn is None else _in_4096ths(d.decay_syn, 1)
    return replace(d, decay_mem=_in_4096ths(d.decay_mem, 0), decay_syn=syn)


def _in_4096ths(decay: Float, least: int) -> Float:
    return frozen(1 - np.maximum(np.rint((1 - decay) * DECAY_UNITY), least) / DECAY_UNITY)


def _with_bias(d: Discrete, neuron: LoihiNeuron) -> Discrete:
    """Return the neuron with the constant that the chip stores.

    The rounding of the leak and the shift to a reset of zero are undone.
    """
    exact = shifted(d)[1]
    leak = 1 - d.decay_mem
    kept = np.where(leak > 0, neuron.dv / DECAY_UNITY * inverse(leak), 1.0)
    stored = effective_bias(neuron.bias_mant, neuron.bias_exp) / neuron.scale * inverse(kept)
    return replace(d, drift=frozen(d.drift + np.where(kept > 0, stored - exact, 0.0)))


def wrapping(x: Float, kept: Float, unit: Float) -> Float:
    """Decay a state that wraps around beyond 24 bits, in the step after."""
    return ((x / unit + WRAP) % (2 * WRAP) - WRAP) * unit * kept


def towards_zero(x: Float, kept: Float, unit: Float) -> Float:
    """Decay a state, and truncate it to integer units."""
    return np.trunc(x * kept / unit) * unit


def _with_weights(legal: Program, integer: Program) -> Program:
    """Return the legal program with the weights that the chip stores, in volts."""
    edges = [(s, t, p) for s, t, p in legal.edges() if not isinstance(legal[t], Population)]
    originals = {
        (s, t, p.delay_steps + extra): p
        for (s, t, p), extra in zip(legal.edges(), retimed(legal, DELAY[1]).slow, strict=True)
    }
    for name, population in populations_of(legal, Discrete).items():
        d = population.dynamics
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        volts = (1 << STATE_SHIFT) / (integer[name].dynamics.scale * gain)
        for sender, q in integer.into(name):
            source = sender if sender in legal.graph else integer.into(sender)[0][0]
            original = originals[source, name, q.delay_steps]
            edges.append((source, name, replace(original, ops=(times(q.ops[0], volts),))))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)
