"""toychip's tables, its file, and its emulator.

The chip visits its neurons in the order of the file, so a spike crosses a feed-forward network
within a step. A weight from a neuron to itself or to an earlier neuron acts in the next step.
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
    """The chip's tables.

    ``weights``: (neurons, inputs + neurons). ``places``: first neuron of a population, and the
    first behind it. ``outputs``: neurons.
    """

    inputs: int
    weights: np.ndarray
    neurons: ToyNeuron
    places: dict[str, tuple[int, int]]
    outputs: tuple[int, ...]


def assemble(program: Program) -> Network:
    """Put neurons in the order of signals, and every projection into one matrix."""
    names = _in_order(program)
    places = {}
    end = 0
    for name in names:
        places[name] = (end, end + program[name].n)
        end += program[name].n
    inputs = sum(s.n for s in program.nodes(Source).values())
    column = {name: inputs + start for name, (start, _) in places.items()}
    first = 0
    for name, source in program.nodes(Source).items():
        column[name] = first
        first += source.n
    weights = np.zeros((end, inputs + end))
    for name in names:
        for source, projection in program.into(name):
            start, stop = places[name]
            matrix = projection.ops[0].weight
            weights[start:stop, column[source] : column[source] + matrix.shape[1]] += matrix
    parts = [program[n].dynamics for n in names]
    fields = ("decay", "decay_syn", "threshold")
    neurons = ToyNeuron(*(np.concatenate([getattr(d, f) for d in parts]) for f in fields))
    outputs: list[int] = []
    for sink in program.nodes(Sink):
        for source, _ in program.into(sink):
            outputs += range(*places[source])
    return Network(inputs, weights, neurons, places, tuple(outputs))


def _in_order(program: Program) -> list[str]:
    """Return populations so that a spike crosses all edges without delay in one round."""
    names = []
    todo = list(program.nodes(Population))
    while todo:
        ready = [n for n in todo if all(s not in todo or p.lag for s, p in program.into(n))]
        names += ready
        todo = [n for n in todo if n not in ready]
    return names


def to_json(network: Network) -> bytes:
    """Return the chip's file."""
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
    """Read a file of ``to_json``. (A real backend checks every field.)"""
    tree = json.loads(text)
    places = {name: (a, b) for name, (a, b) in tree["places"].items()}
    neurons = ToyNeuron(*(np.array(values) for values in tree["neurons"]))
    return Network(
        tree["inputs"], np.array(tree["weights"]), neurons, places, tuple(tree["outputs"])
    )


def emulate(network: Network, raster: np.ndarray) -> Run:
    """Run (samples, steps, inputs), one population after another, and record "all" neurons.

    (A real backend records only if asked.)
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
