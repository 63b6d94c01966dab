"""The numbers of Xylo that training may change, and one step of its neurons as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.xylo.beginning import begun
from nirc.backends.xylo.differences import latencies
from nirc.backends.xylo.limits import BIAS, DASH, STATE, THRESHOLD, WEIGHT
from nirc.backends.xylo.neuron import XyloNeuron, chip_decay
from nirc.backends.xylo.one_state import with_one_state
from nirc.chip.training import Fits, Multiples, Place, ShiftDecays, Trainable, Trainables
from nirc.ir.arrays import Float, Int, frozen_integers
from nirc.ir.computation import (
    OUT,
    SPIKES,
    X_2,
    Compare,
    Computation,
    Copy,
    Leak,
    Over,
    Plus,
    Receive,
    Saturate,
    Step,
    Subtract,
    Wrap,
    X,
)
from nirc.ir.linear import Sparse
from nirc.ir.populations import Population, Role, Source, populations_of
from nirc.ir.program import Program
from nirc.rounding.rule import OWN_BITS, narrowed

ONE = np.ones(1)
MEMBRANE_DECAY = Trainable(ShiftDecays(*DASH), ONE)
SYNAPSE_DECAY = Trainable(ShiftDecays(1, DASH[1]), ONE)
FASTER = (1, 2)  # places by which membranes of a variant decay faster
DECAYS = {"dash_mem": "decay_mem", "dash_syn": "decay_syn", "dash_syn_2": "decay_syn_2"}


@dataclass(frozen=True)
class XyloTraining:
    """``nirc.chip.training.Training`` of Xylo. ``bits``: of a weight."""

    payloads: ClassVar[tuple[type, ...]] = (XyloNeuron,)
    bits: int = OWN_BITS

    def computation(self, population: Population[Any]) -> Computation:
        """Return the rule of ``neuron``, in the same order."""
        n: XyloNeuron = population.dynamics
        parameters = {
            "decay_mem": chip_decay(n.dash_mem),
            "decay_syn": chip_decay(n.dash_syn),
            "threshold": n.threshold.astype(np.float64),
            "bias": n.bias.astype(np.float64),
        }
        nothing = np.zeros(population.n, np.int64)
        start = [each.ravel().astype(np.float64) for each in n.start or (nothing,) * 3]
        states = {"i": start[0], "v": start[2]}
        steps = _synapse("i", X, "decay_syn")
        current = "i"
        if n.dash_syn_2 is not None:
            parameters["decay_syn_2"] = chip_decay(n.dash_syn_2)
            states["i_2"] = start[1]
            steps += [*_synapse("i_2", X_2, "decay_syn_2"), Plus("both", "i", "i_2")]
            current = "both"
        steps += [
            Leak("lost", "v", "decay_mem"),
            Wrap("lost", 16),
            Plus("change", current, "lost"),
            Saturate("change", *STATE),
            Plus("change", "change", "bias"),
            Saturate("change", *STATE),
            Plus("v", "v", "change"),
            Saturate("v", *STATE),
            Compare("v", "threshold", ">=", n.max_spikes, integers=True),
            Subtract("v", "threshold"),
        ]
        if n.silent:
            parameters["scale"] = n.scale
        steps.append(Over(OUT, "v", "scale") if n.silent else Copy(OUT, SPIKES))
        return Computation(tuple(steps), parameters, states)

    def trainables(self, program: Program) -> Trainables:
        """Return decays, thresholds, biases and weights of all neurons that are not relays."""
        values: dict[str, dict[str, Trainable]] = {}
        for name, population in _trained(program).items():
            n = population.dynamics
            of = {"decay_mem": MEMBRANE_DECAY, "decay_syn": SYNAPSE_DECAY}
            if n.dash_syn_2 is not None:
                of["decay_syn_2"] = SYNAPSE_DECAY
            of["bias"] = Trainable(Multiples(*BIAS), n.scale)
            if not n.silent:
                of["threshold"] = Trainable(Multiples(*THRESHOLD), n.scale)
            values[name] = of
        weights: dict[Place, Trainable] = {}
        for number, (source, target, p) in enumerate(program.edges()):
            if target not in values or not isinstance(p.ops[0], Sparse):
                continue
            n = program[target].dynamics
            shift = n.shift_in if isinstance(program[source], Source) else n.shift_rec
            grid = Multiples(*narrowed(WEIGHT, self.bits), step=2.0**shift)
            weights[number, 0] = Trainable(grid, n.scale[p.ops[0].target])
        return Trainables(values, weights)

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return nothing: calibration has set the decays, and other numbers have slopes."""
        return ()

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return membranes that decay twice and four times as fast, and neurons of one state.

        Calibration sets decays before weights learn. There slow membranes are best, which keep what
        a spike leaves. When weights learn, faster ones come nearer to a model that is reset to 0.
        Neurons of one state (``one_state``) suit models without synaptic filters.
        """
        faster = [[self.changed(program, _faster(program, fewer))] for fewer in FASTER]
        of_one = with_one_state(program, model, self.bits, fits)
        return [*faster, *([of_one] if of_one else [])]

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other numbers, and the states at which it begins."""
        nodes = {}
        for name, population in populations_of(program, XyloNeuron).items():
            of = values.get(name, {})
            integers = {k: frozen_integers(of[k]) for k in ("threshold", "bias") if k in of}
            dashes = {k: _dash(of[v]) for k, v in DECAYS.items() if v in of}
            fields: dict[str, Any] = {**integers, **dashes}
            nodes[name] = population.with_dynamics(
                replace(population.dynamics, start=None, **fields)
            )
        program = program.mapped(nodes)
        return begun(program, latencies(program))


def _faster(program: Program, fewer: int) -> dict[str, dict[str, Float]]:
    """Return decays of membranes whose dashes are ``fewer`` places smaller, where any memory is."""
    decays = {}
    for name, population in _trained(program).items():
        dash = population.dynamics.dash_mem
        if not population.dynamics.silent:
            decays[name] = {"decay_mem": chip_decay(np.maximum(dash - fewer, np.minimum(dash, 1)))}
    return decays


def _synapse(state: str, source: str, decay: str) -> list[Step]:
    return [
        Receive(state, source),
        Leak("lost", state, decay),
        Plus(state, state, "lost"),
    ]


def _dash(decay: Float) -> Int:
    return frozen_integers(np.rint(-np.log2(1.0 - decay)))


def _trained(program: Program) -> dict[str, Population[XyloNeuron]]:
    populations = populations_of(program, XyloNeuron)
    return {name: p for name, p in populations.items() if p.role is not Role.RELAY}
