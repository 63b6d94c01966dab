"""toychip's tables, its file, and its emulator.

The chip visits its neurons in the order of the file, so a spike crosses a feed-forward network
within a step; a weight from a neuron to itself or to an earlier one acts in the next step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from toychip.quantise import ToyNeuron, ToyStepper


@dataclass(frozen=True)
class Network:
    """``weights`` (neurons, inputs + neurons); ``places``: population -> its neurons; ``outputs``:
    neurons.
    """

    inputs: int
    weights: np.ndarray
    neurons: ToyNeuron
    places: dict[str, tuple[int, int]]
    outputs: tuple[int, ...]


def assemble(program: Program) -> Network:
    """Neurons in the order of signals; every projection into one matrix."""
    names = _in_order(program)
    places, end = {}, 0
    for name in names:
        places[name] = (end, end + program[name].n)
        end += program[name].n
    inputs = sum(s.n for s in program.nodes(Source).values())
    column = {name: inputs + start for name, (start, _) in places.items()}
    first = 0
    for name, source in program.nodes(Source).items():
        column[name], first = first, first + source.n
    weights = np.zeros((end, inputs + end))
    for name in names:
        for source, projection in program.into(name):
            start, stop = places[name]
            matrix = projection.ops[0].weight
            weights[start:stop, column[source] : column[source] + matrix.shape[1]] += matrix
    parts = [program[n].dynamics for n in names]
    fields = ("decay", "decay_syn", "threshold")
    neurons = ToyNeuron(*(np.concatenate([getattr(d, f) for d in parts]) for f in fields))
    sinks = [s for t in program.nodes(Sink) for s, _ in program.into(t)]
    outputs = tuple(i for s in sinks for i in range(*places[s]))
    return Network(inputs, weights, neurons, places, outputs)


def _in_order(program: Program) -> list[str]:
    names, todo = [], list(program.nodes(Population))
    while todo:
        ready = [n for n in todo if all(s not in todo or p.lag for s, p in program.into(n))]
        names += ready
        todo = [n for n in todo if n not in ready]
    return names


def to_json(network: Network) -> bytes:
    """Everything that the chip needs."""
    n = network.neurons
    tree = {
        "inputs": network.inputs,
        "weights": network.weights.tolist(),
        "neurons": [n.decay.tolist(), n.decay_syn.tolist(), n.threshold.tolist()],
        "places": network.places,
        "outputs": network.outputs,
    }
    return json.dumps(tree, sort_keys=True).encode()


def from_json(text: bytes) -> Network:
    """The inverse of ``to_json``. (A real backend checks what it reads.)"""
    tree = json.loads(text)
    places = {name: (a, b) for name, (a, b) in tree["places"].items()}
    neurons = ToyNeuron(*(np.array(values) for values in tree["neurons"]))
    return Network(
        tree["inputs"], np.array(tree["weights"]), neurons, places, tuple(tree["outputs"])
    )


def emulate(network: Network, raster: np.ndarray) -> Run:
    """(samples, steps, inputs) -> output spikes, and everything of "all" neurons; visits one
    population after another.

    (A real backend keeps states only if it is asked to.)
    """
    samples, steps, _ = raster.shape
    n = network.neurons
    cut = {
        k: ToyNeuron(n.decay[a:b], n.decay_syn[a:b], n.threshold[a:b])
        for k, (a, b) in network.places.items()
    }
    steppers = {name: ToyStepper(neuron, samples) for name, neuron in cut.items()}
    spikes = np.zeros((samples, len(n.threshold)))
    fired, v = np.zeros((2, samples, steps, len(n.threshold)))
    for t in range(steps):
        for name in sorted(network.places, key=lambda k: network.places[k]):
            a, b = network.places[name]
            signal = np.concatenate([raster[:, t], spikes], axis=1)
            spikes[:, a:b] = steppers[name].step(signal @ network.weights[a:b].T)
            v[:, t, a:b] = steppers[name].v
        fired[:, t] = spikes
    return Run(fired[:, :, list(network.outputs)], {"all": fired}, {"all": v})
