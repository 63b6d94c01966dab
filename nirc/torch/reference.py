"""The reference as a trainable program: real numbers, and the writer's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from nirc.chip.training import Fits, Place, Reals, Trainable, Trainables
from nirc.ir.arrays import Float, frozen
from nirc.ir.computation import Computation, of_discrete
from nirc.ir.linear import Conv, Dense, Sparse
from nirc.ir.populations import Discrete, Population, populations_of
from nirc.ir.program import Program

ONE = np.ones(1)
DECAY = Trainable(Reals(0.0, 1.0), ONE)
NUMBER = Trainable(Reals(), ONE)
# Parameters of a population that train. Gains do not: weights do the same.
KINDS = {
    "decay_mem": DECAY,
    "decay_syn": DECAY,
    "decay_syn_2": DECAY,
    "threshold": NUMBER,
    "drift": NUMBER,
    "v_reset": NUMBER,
}


class ReferenceTraining:
    """``nirc.chip.training.Training`` of the discrete form."""

    payloads: ClassVar[tuple[type, ...]] = (Discrete,)

    def computation(self, population: Population[Any]) -> Computation:
        """Return one step of a population."""
        return of_discrete(population.dynamics)

    def trainables(self, program: Program) -> Trainables:
        """Return decays, thresholds, drifts and resets, weights and biases."""
        values = {}
        for name, population in populations_of(program, Discrete).items():
            read = self.computation(population).parameters
            values[name] = {key: kind for key, kind in KINDS.items() if key in read}
        weights: dict[Place, Trainable] = {}
        biases: dict[Place, Trainable] = {}
        for number, (_, _, p) in enumerate(program.edges()):
            for k, op in enumerate(p.ops):
                if isinstance(op, Dense | Sparse | Conv):
                    weights[number, k] = NUMBER
            biases |= {(number, k): NUMBER for k in range(len(p.biases))}
        return Trainables(values, weights, biases)

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return nothing: all numbers of a neuron have slopes."""
        return ()

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return nothing: decays have slopes."""
        return ()

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other values."""
        return program.mapped(
            {
                name: program[name].with_dynamics(
                    replace(program[name].dynamics, **{k: frozen(v) for k, v in each.items()})
                )
                for name, each in values.items()
            }
        )
