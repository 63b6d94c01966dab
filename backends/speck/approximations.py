"""Programs with one difference between the model and Speck, in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.rule_differences import RESETS, kinds
from nirc.backends.speck.convolve import bias_of
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import SpeckNeuron, chip_rule
from nirc.backends.speck.quantise import SpeckQuantise, leak_per_step
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.semantics.variations import FixedPoint, altered, times, with_chip_rule


def approximations(
    discrete: Program, quantise: SpeckQuantise | None = None, *, camera: bool = False
) -> list[tuple[str, Program]]:
    """Return programs by name, each with one approximation of ``quantise``."""
    quantise = quantise or SpeckQuantise()
    legal = SpeckLegalise(camera=camera).run(discrete, Log())
    integer = quantise.run(legal, Log())
    neurons = {n: p.dynamics for n, p in populations_of(integer, SpeckNeuron).items()}
    exact = populations_of(legal, Discrete)
    leaky = {n for n, p in exact.items() if (p.dynamics.decay_mem != 1).any()}
    programs = [
        (f"weights: {quantise.bits} bits, one scale a layer", _weights(legal, integer, neurons)),
        ("constants: integer thresholds and biases", _constants(legal, neurons, leaky)),
        ("saturation: several spikes a step", with_chip_rule(discrete, chip_rule, spikes=True)),
    ]
    if RESETS & kinds(discrete, chip_rule):
        at_once = with_chip_rule(discrete, chip_rule, reset=True)
        programs.append(("reset: in the step of the spike", at_once))
    others = neurons.keys() - leaky
    if others:
        bound = "minus the threshold" if quantise.bounded else "16 bits"
        bounds = altered(legal, lambda n, d: _bounded(d, neurons[n]), others)
        programs.append((f"saturation: membranes down to {bound}", bounds))
    if leaky:
        leaks = altered(legal, lambda n, d: _bounded(_leaking(d), neurons[n]), leaky)
        programs.append(("decays: a constant leak, and nothing below 0", leaks))
    return programs


def _weights(legal: Program, integer: Program, neurons: dict[str, SpeckNeuron]) -> Program:
    """Return ``legal`` with the kernels that the chip stores, in volts."""
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
    """Return ``legal`` with the thresholds that the chip stores.

    The error of a rounded bias is one more constant. A leak is not rounded.
    """
    nodes = dict(legal.graph.nodes(data="payload"))
    for name, neuron in neurons.items():
        d = legal[name].dynamics
        at = neuron.threshold_high / neuron.scale
        rule = d.rule if neuron.initial else d.rule.with_fire(replace(d.rule.fires, at=">="))
        lost = (
            0.0
            if name in leaky
            else neuron.bias / neuron.scale - bias_of(legal.into(name), neuron.bias.size)
        )
        stored = replace(d, threshold=frozen(at), drift=frozen(d.drift + lost), rule=rule)
        nodes[name] = replace(nodes[name], dynamics=stored)
    return legal.rebuilt(nodes, legal.edges())


def _leaking(d: Discrete) -> Discrete:
    """Return dynamics that lose a constant amount in each step."""
    ones = frozen(np.ones_like(d.decay_mem))
    return replace(d, decay_mem=ones, drift=frozen(d.drift - leak_per_step(d, None)))


def _bounded(d: Discrete, neuron: SpeckNeuron) -> FixedPoint:
    """Return dynamics with the chip's lower bound."""
    low = neuron.threshold_low / neuron.scale
    return FixedPoint(d, 1 / neuron.scale, v=(low, np.full_like(low, np.inf)))
