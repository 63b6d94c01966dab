"""The states that the chip's populations have as the model's first step begins.

The chip adds its biases from its first step on. A population that is k steps late has had k steps
of them by then, and what earlier populations fired for their biases alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nirc.backends.xylo.neuron import XyloNeuron, XyloStepper
from nirc.ir.arrays import Float, frozen_integers
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import source_order

Inlet = tuple[str, Callable[[Float], None]]


def begun(program: Program, latency_steps: Mapping[str, int]) -> Program:
    """Return the integer ``program``, its neurons with the states in which they begin.

    ``latency_steps``: of each node. Spikes that are on their way round a loop at that time are
    left out.
    """
    neurons = {n: p.dynamics for n, p in program.nodes(Population).items()}
    late = {name: latency_steps[name] for name in neurons}
    if not any(neuron.bias.any() for neuron in neurons.values()):
        return program
    steppers = {name: neuron.stepper(1) for name, neuron in neurons.items()}
    place = source_order(program)
    inlets = {name: _inlets(program, name, stepper, place) for name, stepper in steppers.items()}
    sent = {name: np.zeros((1, program[name].n)) for name in neurons}
    begins: dict[str, XyloNeuron] = {}
    for step in range(1, max(late.values()) + 1):
        sent = {name: _stepped(steppers[name], inlets[name], sent) for name in neurons}
        for name in [name for name in neurons if late[name] == step]:
            states = (*steppers[name].isyn, steppers[name].v)
            start = tuple(frozen_integers(state[0].astype(np.int64)) for state in states)
            begins[name] = replace(neurons[name], start=start)
    return program.mapped({n: program[n].with_dynamics(d) for n, d in begins.items()})


def _inlets(
    program: Program, name: str, stepper: XyloStepper, place: Mapping[str, int]
) -> list[Inlet]:
    """Return the populations that a population listens to, in the chip's order, ``place``."""
    into = [(s, p) for s, p in program.into(name) if isinstance(program[s], Population)]
    return [(s, stepper.inlet(p)) for s, p in sorted(into, key=lambda edge: place[edge[0]])]


def _stepped(stepper: XyloStepper, inlets: Sequence[Inlet], sent: Mapping[str, Float]) -> Float:
    """Return what a population sends in a step of the chip without input."""
    for source, add in inlets:
        add(sent[source])
    return stepper.finish()
