"""What-if programs: each difference between the model and Speck alone, in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.speck.leak import leak_per_step
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import Fire, Rule
from nirc.semantics.fixed_point import FixedPoint
from nirc.semantics.variations import altered, ruled, times


def approximations(
    discrete: Program, quantise: SpeckQuantise | None = None, *, camera: bool = False
) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on, as ``quantise`` makes
    it.
    """
    legal, quantise = SpeckLegalise(camera=camera).run(discrete, Log()), quantise or SpeckQuantise()
    integer = quantise.run(legal, Log())
    neurons = {n: p.dynamics for n, p in populations_of(integer, SpeckNeuron).items()}
    leaky = {
        n for n, p in populations_of(legal, Discrete).items() if (p.dynamics.decay_mem != 1).any()
    }
    found = [
        ("weights: 8 bits, one scale a layer", _weights(legal, integer, neurons)),
        ("constants: whole thresholds and biases", _constants(legal, neurons, leaky)),
        ("saturation: several spikes a step", ruled(discrete, _several)),
    ]
    held = {n: q for n, q in neurons.items() if n not in leaky}
    if held:
        bound = "minus the threshold" if quantise.bounded else "16 bits"
        bounds = altered(legal, lambda n, d: _bounded(d, held[n]), held)
        found.append((f"saturation: membranes down to {bound}", bounds))
    if leaky:
        leaks = altered(legal, lambda n, d: _leaking(d, neurons[n]), leaky)
        found.append(("decays: a constant leak, and nothing below 0", leaks))
    return found


def _several(rule: Rule) -> Rule:
    return rule if rule.fires is None else rule.with_fire(Fire(rule.fires.at, None))


def _weights(legal: Program, integer: Program, neurons: dict[str, SpeckNeuron]) -> Program:
    """The kernels that the chip stores, in volts."""
    edges = []
    for name in legal.graph:
        for (source, p), (_, stored) in zip(legal.into(name), integer.into(name), strict=True):
            ops = p.ops
            if name in neurons:
                *pools, kernel = stored.ops
                ops = (*pools, times(kernel, 1 / neurons[name].scale))
            edges.append((source, name, replace(p, ops=ops)))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _constants(legal: Program, neurons: dict[str, SpeckNeuron], leaky: set[str]) -> Program:
    """Thresholds as stored; what rounding a bias adds or takes away is one more constant.

    A leak is not rounded.
    """
    nodes = dict(legal.graph.nodes(data="payload"))
    for name, neuron in neurons.items():
        d = legal[name].dynamics
        at = neuron.threshold_high / neuron.scale
        rule = d.rule if neuron.initial else d.rule.with_fire(replace(d.rule.fires, at=">="))
        exact = sum(
            (b.value for _, p in legal.into(name) for b in p.biases), np.zeros(neuron.bias.size)
        )
        lost = 0.0 * exact if name in leaky else neuron.bias / neuron.scale - exact
        stored = replace(d, threshold=frozen(at), drift=frozen(d.drift + lost), rule=rule)
        nodes[name] = replace(nodes[name], dynamics=stored)
    return legal.rebuilt(nodes, legal.edges())


def _bounded(d: Discrete, neuron: SpeckNeuron) -> FixedPoint:
    low = neuron.threshold_low / neuron.scale
    return FixedPoint(d, 1 / neuron.scale, v=(low, np.full_like(low, np.inf)))


def _leaking(d: Discrete, neuron: SpeckNeuron) -> FixedPoint:
    one: Float = np.ones_like(d.decay_mem)
    low = neuron.threshold_low / neuron.scale
    same = replace(d, decay_mem=frozen(one), drift=frozen(d.drift - leak_per_step(d, None)))
    return FixedPoint(same, 1 / neuron.scale, v=(low, np.inf * one))
