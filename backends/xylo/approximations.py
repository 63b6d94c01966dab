"""Programs for what-if studies: one difference of Xylo at a time, in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.rule_differences import RESETS, kinds
from nirc.backends.xylo.differences import chip_rule, earliest, hop
from nirc.backends.xylo.drives import Shifts
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.limits import MAX_INPUT_SPIKES, STATE
from nirc.backends.xylo.neuron import chip_decay, chip_synapse, membrane_gain, nearest_dash
from nirc.backends.xylo.quantise import Plan, planned
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete
from nirc.ir.program import Program
from nirc.rounding.rule import KEEPING_SUMS, OWN_BITS
from nirc.semantics.variations import FixedPoint, altered, capped_inputs, inverse, with_chip_rule

Plans = dict[str, tuple[Plan, Shifts]]


def approximations(discrete: Program, bits: int = OWN_BITS) -> list[tuple[str, Program]]:
    """Return programs by name, each with one approximation of the chip. ``bits``: of weights.

    Reset and several spikes a step are also turned on together.
    """
    legal = XyloLegalise().run(discrete, Log())
    plans = planned(legal, Log(), bits)
    chip = chip_rule(discrete)
    programs = [
        (f"weights: {bits} bits, common bit shifts", _weights(legal, plans)),
        (
            "constants: integer thresholds and biases",
            altered(legal, lambda n, d: _constants(d, *plans[n])),
        ),
        ("decays: membrane by a power of two", altered(discrete, lambda _, d: _membrane_decay(d))),
        (
            "decays: synapse by a power of two, never none",
            altered(discrete, lambda _, d: _synapse(d)),
        ),
        (
            "saturation: up to 31 spikes a step",
            with_chip_rule(discrete, chip, spikes=True),
        ),
        ("saturation: states of 16 bits", altered(legal, lambda n, d: _words(d, *plans[n]))),
        ("saturation: 15 spikes of an input a step", capped_inputs(discrete, MAX_INPUT_SPIKES)),
        ("states: leaks of integer units", altered(legal, lambda n, d: _floored(d, *plans[n]))),
    ]
    if RESETS & kinds(discrete, chip):
        programs += [
            ("reset: subtract the threshold", with_chip_rule(discrete, chip, reset=True)),
            (
                "reset: subtract, up to 31 times a step",
                with_chip_rule(discrete, chip, reset=True, spikes=True),
            ),
        ]
    if (timed := _timed(legal)) is not None:
        programs.append(("delays: a step for every hop", timed))
    return programs


def _weights(legal: Program, plans: Plans) -> Program:
    """Return ``legal`` with the weights that the chip stores, in the model's units."""
    edges = [(s, t, p) for s, t, p in legal.edges() if t not in plans]
    for name, (plan, shifts) in plans.items():
        scale = plan.scale(shifts)
        for c, op in plan.weights(shifts, KEEPING_SUMS, Log()):
            unit = inverse(scale * plan.membrane * plan.receptors[c.projection.synapse].gain)
            stored = replace(op, value=frozen(op.value * unit[op.target]))
            edges.append((c.source, name, replace(c.projection, ops=(stored,))))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _constants(d: Discrete, plan: Plan, shifts: Shifts) -> Discrete:
    """Return the chip's thresholds and biases, which are integers."""
    neuron = plan.neuron(shifts, Log())
    scale = plan.scale(shifts)
    gain = membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), plan.dash_mem)
    drift = frozen(d.drift + ((neuron.bias + plan.kept(scale)) / scale - plan.bias) * inverse(gain))
    threshold = None if d.threshold is None else frozen(neuron.threshold / scale)
    fires = d.rule.fires
    rule = d.rule if fires is None else d.rule.with_fire(replace(fires, at=">="))
    return replace(d, drift=drift, threshold=threshold, rule=rule)


def _words(d: Discrete, plan: Plan, shifts: Shifts) -> FixedPoint:
    unit = 1 / plan.scale(shifts)
    most = (STATE[0] * unit, STATE[1] * unit)
    return FixedPoint(d, unit, v=most, current=most)


def _floored(d: Discrete, plan: Plan, shifts: Shifts) -> FixedPoint:
    """Return ``d`` with integer leaks, and the bias that compensates their rounding."""
    scale = plan.scale(shifts)
    drift = frozen(d.drift - plan.kept(scale) / scale)
    return FixedPoint(replace(d, drift=drift), 1 / scale, decayed=_leak)


def _leak(x: Float, kept: Float, unit: Float) -> Float:
    """Return a state after ``neuron.leak``: a state above 0 loses one unit at least."""
    lost = np.maximum(np.floor(x * (1 - kept) / unit) * unit, np.minimum(x, unit))
    left: Float = np.where(kept > 0, x - lost, 0.0)
    return left


def _membrane_decay(d: Discrete) -> Discrete:
    dash = nearest_dash(d.decay_mem, least=0)
    decay = np.where(d.decay_mem >= 1, 1.0, chip_decay(dash))
    gain = membrane_gain(d.decay_mem, d.gain_mem, dash)
    drift = membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), dash) * d.drift
    return replace(d, decay_mem=frozen(decay), gain_mem=frozen(gain), drift=frozen(drift))


def _synapse(d: Discrete) -> Discrete:
    decay, gain = chip_synapse(d.decay_syn, d.gain_syn, d.decay_mem.size)
    return replace(d, decay_syn=decay, gain_syn=gain, rule=d.rule.with_synapse())


def _timed(legal: Program) -> Program | None:
    """Return ``legal`` with the chip's timing. None: it is a mere shift of the model's.

    Outputs may have some steps of latency.
    """
    at = earliest(legal)
    arcs = list(legal.edges())
    lags = [at[source] + hop(legal, source, target) - at[target] for source, target, _ in arcs]
    if lags == [p.lag for _, _, p in arcs]:
        return None
    edges = [
        (source, target, replace(p, delay_steps=lag, feedback=False))
        for (source, target, p), lag in zip(arcs, lags, strict=True)
    ]
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)
