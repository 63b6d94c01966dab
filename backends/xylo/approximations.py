"""What-if programs: each difference between NIR's dynamics and Xylo's alone, still in floating
point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.xylo import dash
from nirc.backends.xylo.latency import earliest, hop
from nirc.backends.xylo.legalise import XyloLegalise, readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, MAX_INPUT_SPIKES, STATE
from nirc.backends.xylo.plan import Plan, Shifts
from nirc.backends.xylo.quantise import planned
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import Fire, Rule
from nirc.rounding.rule import KEEPING_SUMS
from nirc.semantics.fixed_point import FixedPoint
from nirc.semantics.variations import altered, capped_inputs, inverse, ruled

Plans = dict[str, tuple[Plan, Shifts]]


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on; reset and several spikes
    also together.
    """
    hidden = [n for n in discrete.nodes(Population) if n not in readouts(discrete)]
    legal = XyloLegalise().run(discrete, Log())
    plans = planned(legal, Log())
    made = [
        ("weights: 8 bits, common bit shifts", _weights(legal, plans)),
        (
            "constants: whole thresholds and biases",
            altered(legal, lambda n, d: _constants(d, *plans[n])),
        ),
        ("decays: membrane by a power of two", altered(discrete, lambda _, d: _membrane_decay(d))),
        (
            "decays: synapse by a power of two, never none",
            altered(discrete, lambda _, d: _synapse(d)),
        ),
        (
            "saturation: up to 31 spikes a step",
            altered(discrete, lambda _, d: _several_spikes(d), hidden),
        ),
        ("saturation: states of 16 bits", altered(legal, lambda n, d: _words(d, *plans[n]))),
        ("saturation: 15 spikes of an input a step", capped_inputs(discrete, MAX_INPUT_SPIKES)),
        ("states: leaks of whole units", altered(legal, lambda n, d: _floored(d, *plans[n]))),
    ]
    if any(
        d.fires and (d.rule.reset != "subtract" or d.rule.reset_is_late)
        for d in _dynamics(discrete)
    ):
        subtract = ruled(discrete, lambda rule: rule.at_once("subtract"))
        several = altered(subtract, lambda _, d: _several_spikes(d), hidden)
        made += [
            ("reset: subtract the threshold", subtract),
            ("reset: subtract, up to 31 times a step", several),
        ]
    if (timed := _timed(legal)) is not None:
        made.append(("delays: a step for every hop", timed))
    return made


def _weights(legal: Program, plans: Plans) -> Program:
    """The weights that the chip stores, in the model's units."""
    edges = [(s, t, p) for s, t, p in legal.edges() if t not in plans]
    for name, (plan, shifts) in plans.items():
        scale = plan.scale(shifts)
        for c, op in plan.weights(shifts, KEEPING_SUMS, Log()):
            unit = inverse(scale * plan.membrane * plan.receptors[c.projection.synapse].gain)
            stored = Sparse(
                op.target, op.source, frozen(op.value * unit[op.target]), op.n_in, op.n_out
            )
            edges.append((c.source, name, replace(c.projection, ops=(stored,))))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _constants(d: Discrete, plan: Plan, shifts: Shifts) -> Discrete:
    """Thresholds, and what biases bring in all, as the chip has them."""
    neuron, scale = plan.neuron(shifts, Log()), plan.scale(shifts)
    own = dash.membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), plan.dash_mem)
    drift = frozen(d.drift + ((neuron.bias + plan.kept(scale)) / scale - plan.bias) * inverse(own))
    threshold = None if d.threshold is None else frozen(neuron.threshold / scale)
    return replace(d, drift=drift, threshold=threshold, rule=_at_threshold(d.rule))


def _words(d: Discrete, plan: Plan, shifts: Shifts) -> FixedPoint:
    unit = 1 / plan.scale(shifts)
    most = (STATE[0] * unit, STATE[1] * unit)
    return FixedPoint(d, unit, v=most, current=most)


def _floored(d: Discrete, plan: Plan, shifts: Shifts) -> FixedPoint:
    """With what the bias holds against it."""
    scale = plan.scale(shifts)
    return FixedPoint(
        replace(d, drift=frozen(d.drift - plan.kept(scale) / scale)), 1 / scale, decayed=_leak
    )


def _leak(x: Float, kept: Float, unit: Float) -> Float:
    """A state loses whole units, rounded down, and at least one while it is above 0
    (``rule.leak``).
    """
    lost = np.maximum(np.floor(x * (1 - kept) / unit) * unit, np.minimum(x, unit))
    left: Float = np.where(kept > 0, x - lost, 0.0)
    return left


def _several_spikes(d: Discrete) -> Discrete:
    fires = d.rule.fires
    if fires is None or d.threshold is None or not (d.threshold > 0).all():
        return d
    return replace(d, rule=d.rule.with_fire(Fire(fires.at, MAX_HIDDEN_SPIKES)))


def _at_threshold(rule: Rule) -> Rule:
    return rule if rule.fires is None else rule.with_fire(replace(rule.fires, at=">="))


def _dynamics(program: Program) -> list[Discrete]:
    return [p.dynamics for p in populations_of(program, Discrete).values()]


def _membrane_decay(d: Discrete) -> Discrete:
    shift = dash.nearest_dash(d.decay_mem, least=0)
    decay = np.where(d.decay_mem >= 1, 1.0, 1.0 - 2.0**-shift)
    gain = dash.membrane_gain(d.decay_mem, d.gain_mem, shift)
    drift = dash.membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), shift) * d.drift
    return replace(d, decay_mem=frozen(decay), gain_mem=frozen(gain), drift=frozen(drift))


def _synapse(d: Discrete) -> Discrete:
    shift = dash.nearest_dash(
        np.zeros_like(d.decay_mem) if d.decay_syn is None else d.decay_syn, least=1
    )
    decay = 1.0 - 2.0**-shift
    # The chip decays after adding: of a weight w, w * decay arrives in the first step.
    gain = dash.synapse_gain(d.decay_syn, d.gain_syn, shift) * decay
    return replace(d, decay_syn=frozen(decay), gain_syn=frozen(gain), rule=d.rule.with_synapse())


def _timed(legal: Program) -> Program | None:
    """The chip's own timing, where it is no mere shift of the model's; outputs may be some steps
    late.
    """
    at = earliest(legal)
    edges, moved = [], False
    for source, target, p in legal.edges():
        lag = at[source] + hop(legal, source, target) - at[target]
        moved = moved or lag != p.lag
        edges.append((source, target, replace(p, delay_steps=lag, feedback=False)))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges) if moved else None
