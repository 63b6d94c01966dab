"""Programs for what-if studies: one difference of the chip each, still in floating point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nirc.analysis.rule_differences import RESETS, kinds
from nirc.backends.spinnaker2.drives import Drive
from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise
from nirc.backends.spinnaker2.neuron import chip_rule
from nirc.backends.spinnaker2.quantise import Quantised, Spinnaker2Quantise
from nirc.backends.spinnaker2.spike_sources import integer_part
from nirc.diagnostics.dynamics import NoLowerBound, OneSpikeAStep
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection
from nirc.ir.program import Program
from nirc.ir.rules import Rule
from nirc.semantics.variations import FixedPoint, altered, inverse, ruled, with_chip_rule

Populations = dict[str, Quantised]


def approximations(discrete: Program, quantise: Spinnaker2Quantise) -> list[tuple[str, Program]]:
    """Return programs by name, each with one approximation of the chip turned on."""
    legal = Spinnaker2Legalise().run(discrete, Log())
    populations = quantise.planned(legal, Log())
    model = [populations[name] for name in legal.nodes(Population)]
    narrow = any(q.delayed for q in populations.values())
    weights = _driven(legal, populations, lambda q, d: replace(d.projection, ops=q.in_volts(d)))
    programs = [
        (
            f"weights: {quantise.bits} bits"
            + (", or 4 and a sign where delays differ" if narrow else ""),
            weights,
        ),
        ("states: single precision", altered(legal, lambda _, d: _single(d))),
    ]
    if (clocked := _clocked(legal, populations)) is not None:
        programs.append(("constants: through a filter in integer weights", clocked))
    if any(any(q.lag(d) != d.projection.lag for d in q.into) for q in model):
        slow = _driven(
            legal,
            populations,
            lambda q, d: replace(d.projection, delay_steps=q.lag(d), feedback=False),
        )
        programs.append(("delays: a step for every synapse", slow))
    return programs + _by_rule(legal)


def _by_rule(legal: Program) -> list[tuple[str, Program]]:
    """Return programs with the differences of the chip's update rule, alone and together.

    These are the differences that ``rule_differences.report`` warns of.
    """

    def chip(_: str, d: Discrete) -> Rule:
        return chip_rule(d.rule)

    def changed(**parts: bool) -> Program:
        return with_chip_rule(legal, chip, **parts)

    found = kinds(legal, chip)
    programs = []
    resets = bool(found & RESETS)
    if resets:
        programs.append(("reset: in the step of the spike", changed(reset=True)))
    if OneSpikeAStep in found:
        programs.append(("saturation: one spike a step", changed(spikes=True)))
        if resets:
            both = changed(reset=True, spikes=True)
            programs.append(("reset: in the step of the spike, one spike a step", both))
    if NoLowerBound in found:
        boundless = ruled(legal, lambda rule: rule.without_bound())
        programs.append(("saturation: membranes without a lower bound", boundless))
    return programs


def _driven(
    legal: Program, populations: Populations, change: Callable[[Quantised, Drive], Projection]
) -> Program:
    """Return the legal program with projections changed by ``change``, without relays."""
    edges = [(s, t, p) for s, t, p in legal.edges() if not isinstance(legal[t], Population)]
    for name in legal.nodes(Population):
        q = populations[name]
        for drive in q.into:
            source = drive.source
            while source not in legal.graph:  # a relay, which one population drives
                source = populations[source].into[0].source
            edges.append((source, name, replace(change(q, drive), biases=())))
        for source, p in legal.into(name):
            if p.biases:
                nothing = np.zeros(0, np.int64)
                none = Sparse(nothing, nothing, frozen(np.zeros(0)), legal[source].n, q.n)
                edges.append((source, name, replace(p, ops=(none,))))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _single(d: Discrete) -> FixedPoint:
    return FixedPoint(d, np.ones_like(d.decay_mem), decayed=in_single_precision)


def in_single_precision(x: Float, kept: Float, unit: Float) -> Float:
    """Return the decayed state as float32 holds it."""
    rounded: Float = (x.astype(np.float32) * kept.astype(np.float32)).astype(np.float64)
    return rounded


def _clocked(legal: Program, populations: Populations) -> Program | None:
    """Return the program with constants behind filters as clocks bring them.

    Integer weights pass the filter. The rest acts at once with its value in the steady state.
    Return None without such constants.
    """
    nodes = dict(legal.graph.nodes(data="payload"))
    edges = []
    for name in legal.graph:
        q = populations.get(name)
        for source, p in legal.into(name):
            if q is None or not q.filtered or not any(b.value.any() for b in p.biases):
                edges.append((source, name, p))
                continue
            d, gain = nodes[name].dynamics, q.receptors.gains[p.synapse]
            decay = d.decay_syn_2 if p.synapse else d.decay_syn
            biases, drift = [], d.drift
            for b in p.biases:
                integer, rest = integer_part(b.value * gain * q.scale, q.limit)
                value = frozen(integer * inverse(gain * q.scale))
                biases.append(Bias(value, b.onset_s, b.onset_steps))
                drift = drift + rest / q.scale * inverse(1 - decay)
            nodes[name] = replace(nodes[name], dynamics=replace(d, drift=frozen(drift)))
            edges.append((source, name, replace(p, biases=tuple(biases))))
    if all(nodes[name] is legal[name] for name in legal.graph):
        return None
    return legal.rebuilt(nodes, edges)
