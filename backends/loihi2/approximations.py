"""What-if programs: each difference between NIR's dynamics and Loihi 2's alone, still in floating
point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.retiming import retimed
from nirc.backends.loihi2.dynamics import shifted
from nirc.backends.loihi2.legalise import LoihiLegalise
from nirc.backends.loihi2.limits import STATE, STATE_SHIFT, WRAP
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.backends.loihi2.rule import DECAY_UNITY, effective_bias
from nirc.backends.loihi2.soft_reset import chip_rule, has_brake, reset_to_zero
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population, populations_of
from nirc.ir.program import Program
from nirc.semantics.fixed_point import Decayed, FixedPoint, exactly
from nirc.semantics.variations import altered, capped_inputs, inverse, later, times, with_chip_rule


def approximations(
    discrete: Program, quantise: LoihiQuantise | None = None, *, exact: bool = True
) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on, as ``quantise`` makes
    it.

    ``exact``: subtraction by synapses, wherever they can do it.
    """
    legal = LoihiLegalise(exact).run(discrete, Log())
    integer = (quantise or LoihiQuantise()).run(legal, Log())
    made = [
        (
            "weights: 8 bits"
            if quantise is None or not quantise.twice
            else "weights: twice 8 bits",
            _stored(legal, integer),
        ),
        ("decays: whole 4096ths", _rounded(legal)),
        ("constants: rounded biases", altered(legal, lambda n, d: _bias(d, integer[n].dynamics))),
        ("saturation: one spike of an input a step", capped_inputs(discrete, 1)),
        ("saturation: membranes of 24 bits", _in_words(legal, integer)),
        (
            "states: decay towards zero in whole units",
            altered(legal, lambda n, d: _cut(d, integer[n].dynamics)),
        ),
    ]
    if any(reset_to_zero(legal, name) for name in legal.nodes(Population)):
        made.insert(0, ("reset: to zero", with_chip_rule(legal, chip_rule, reset=True)))
    if slow := {i: extra for i, extra in enumerate(retimed(legal).slow) if extra}:
        made.append(("delays: a step for every synapse", later(legal, slow)))
    return made


def _rounded(program: Program) -> Program:
    def rounded(_: str, d: Discrete) -> Discrete:
        syn = None if d.decay_syn is None else _whole(d.decay_syn, 1)
        return replace(d, decay_mem=_whole(d.decay_mem, 0), decay_syn=syn)

    return altered(program, rounded)


def _bias(d: Discrete, neuron: LoihiNeuron) -> Discrete:
    """The constant as stored, from which the rounded leak and the shift to a reset of zero are
    taken back.
    """
    exact = shifted(d)[1]
    leak = 1 - d.decay_mem
    kept = np.where(leak > 0, neuron.dv / DECAY_UNITY * inverse(leak), 1.0)
    stored = effective_bias(neuron.bias_mant, neuron.bias_exp) / neuron.scale * inverse(kept)
    return replace(d, drift=frozen(d.drift + np.where(kept > 0, stored - exact, 0.0)))


def _in_words(legal: Program, integer: Program) -> Program:
    """States of 24 bits: v saturates, and a membrane that is kept in u goes round."""
    return altered(
        legal,
        lambda n, d: _words(
            d, integer[n].dynamics, going_round if has_brake(legal, n) else exactly
        ),
    )


def _words(d: Discrete, neuron: LoihiNeuron, decayed: Decayed) -> FixedPoint:
    unit = 1 / neuron.scale
    zero = _zero(d)  # the chip's voltages are counted from the reset
    return FixedPoint(d, unit, decayed, v=(STATE[0] * unit + zero, STATE[1] * unit + zero))


def going_round(x: Float, kept: Float, unit: Float) -> Float:
    """As u does beyond 24 bits, taken note of in the step after."""
    return ((x / unit + WRAP) % (2 * WRAP) - WRAP) * unit * kept


def _cut(d: Discrete, neuron: LoihiNeuron) -> FixedPoint:
    return FixedPoint(d, 1 / neuron.scale, decayed=_towards_zero, zero=_zero(d))


def _towards_zero(x: Float, kept: Float, unit: Float) -> Float:
    return np.trunc(x * kept / unit) * unit


def _zero(d: Discrete) -> Float:
    return -shifted(d)[2]


def _stored(legal: Program, integer: Program) -> Program:
    """The legal program with the weights that the chip stores, in volts."""
    edges = [(s, t, p) for s, t, p in legal.edges() if not isinstance(legal[t], Population)]
    waits = {
        (s, t, p.delay_steps + extra): p
        for (s, t, p), extra in zip(legal.edges(), retimed(legal).slow, strict=True)
    }
    for name, population in populations_of(legal, Discrete).items():
        d = population.dynamics
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        volts = (1 << STATE_SHIFT) / (integer[name].dynamics.scale * gain)
        for stored, q in integer.into(name):
            source = stored if stored in legal.graph else integer.into(stored)[0][0]
            edges.append(
                (
                    source,
                    name,
                    replace(waits[source, name, q.delay_steps], ops=(times(q.ops[0], volts),)),
                )
            )
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _whole(decay: Float, least: int) -> Float:
    return frozen(1 - np.maximum(np.rint((1 - decay) * DECAY_UNITY), least) / DECAY_UNITY)
