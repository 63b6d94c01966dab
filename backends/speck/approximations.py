"""What-if programs: each difference between the model and Speck alone, in floating point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nirc.backends.speck.convolve import parts_of
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import MOST_SPIKES, SpeckNeuron
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import FIRES_AT, Discrete, Population, Projection
from nirc.ir.program import Program


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    found = [("weights and thresholds: 8 bits", _rounded(SpeckLegalise().run(discrete, Log())))]
    if discrete.reset == "subtract":
        found.append(("several spikes a step", _several(discrete)))
    return found


def _several(discrete: Program) -> Program:
    return discrete.mapped({n: _changed(p, max_spikes=MOST_SPIKES) for n, p in discrete.nodes(Population).items()})


def _changed(population: Population, **fields: Any) -> Population:
    assert isinstance(population.dynamics, Discrete)
    return replace(population, dynamics=replace(population.dynamics, **fields))


def _rounded(legal: Program) -> Program:
    """The legal program with the chip's numbers, in volts; its leak and biases stay the model's."""
    integer = SpeckQuantise().run(legal, Log())
    nodes = dict(legal.graph.nodes(data="payload"))
    scale: dict[str, float] = {}
    for name, population in legal.nodes(Population).items():
        neuron = integer[name].dynamics
        assert isinstance(neuron, SpeckNeuron)
        scale[name] = float(neuron.scale[0])
        at = neuron.threshold_high / neuron.scale * (1.0 if neuron.initial else FIRES_AT)
        nodes[name] = _changed(population, threshold=frozen(at))
    return legal.rebuilt(nodes, [(s, t, _whole(p, scale.get(t))) for s, t, p in legal.edges()])


def _whole(p: Projection, scale: float | None) -> Projection:
    if scale is None:  # into a Sink
        return p
    pool, conv = parts_of(p)
    whole = replace(conv, weight=frozen(np.rint(conv.weight * scale) / scale))
    return replace(p, ops=(whole,) if pool is None else (pool, whole))
