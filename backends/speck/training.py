"""The numbers of Speck that training may change. A step of its neurons is a rule of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.speck.legalise import leads
from nirc.backends.speck.limits import BIAS, THRESHOLD_LOW, WEIGHT
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.quantise import MOST_THRESHOLD
from nirc.chip.training import Fits, Multiples, Place, Trainable, Trainables
from nirc.ir.arrays import Float, frozen_integers
from nirc.ir.computation import Computation, of_discrete
from nirc.ir.linear import Conv
from nirc.ir.populations import Population, populations_of
from nirc.ir.program import Program
from nirc.rounding.rule import OWN_BITS, narrowed

BOUNDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # lower bounds of membranes, in thresholds below 0


@dataclass(frozen=True)
class SpeckTraining:
    """``nirc.chip.training.Training`` of Speck by steps. ``bits``: of a weight."""

    payloads: ClassVar[tuple[type, ...]] = (SpeckNeuron,)
    bits: int = OWN_BITS

    def computation(self, population: Population[Any]) -> Computation:
        """Return one step of a layer."""
        return of_discrete(population.dynamics.as_discrete(), integers=True)

    def trainables(self, program: Program) -> Trainables:
        """Return a threshold a layer, a bias a channel, and all kernels."""
        values: dict[str, dict[str, Trainable]] = {}
        early = leads(program)
        for name, population in populations_of(program, SpeckNeuron).items():
            n = population.dynamics
            least, most = 1, BIAS[1]
            if early[name]:  # the layer must not fire before its first input
                least = n.threshold_high
                most = (n.threshold_high - 1 - n.initial) // early[name]
            channel = np.repeat(np.arange(n.shape[0]), n.bias.size // n.shape[0])
            one = np.zeros(n.bias.size, np.int64)
            values[name] = {
                "threshold": Trainable(Multiples(least, MOST_THRESHOLD), n.scale, one),
                "drift": Trainable(Multiples(BIAS[0], most), n.scale, channel),
            }
        weights: dict[Place, Trainable] = {}
        grid = Multiples(*narrowed(WEIGHT, self.bits))
        for number, (_, target, p) in enumerate(program.edges()):
            if target in values and isinstance(p.ops[-1], Conv):
                scale = program[target].dynamics.scale[:1]
                weights[number, len(p.ops) - 1] = Trainable(grid, scale)
        return Trainables(values, weights)

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return a layer with other lower bounds of its membranes.

        A constant leak pulls a membrane to this bound, where the model's leak ends at 0. But a high
        bound forgets what inhibition has left. So the best bound depends on a layer's inputs.
        """
        n = population.dynamics
        bounds = np.clip(-np.rint(np.array(BOUNDS) * n.threshold_high), *THRESHOLD_LOW)
        others = sorted({int(bound) for bound in bounds} - {n.threshold_low})
        return [population.with_dynamics(replace(n, threshold_low=each)) for each in others]

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return nothing: membranes have a constant leak, which has slopes."""
        return ()

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other thresholds and biases."""
        nodes = {}
        for name, of in values.items():
            neuron = replace(
                program[name].dynamics,
                threshold_high=int(np.rint(of["threshold"][0])),
                bias=frozen_integers(np.rint(of["drift"])),
            )
            nodes[name] = program[name].with_dynamics(neuron)
        return program.mapped(nodes)
