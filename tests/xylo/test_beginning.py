"""States in which neurons begin that are some steps late, by what their biases did till then."""

from __future__ import annotations

import numpy as np

from nirc.backends.xylo.beginning import begun
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.ir.linear import Sparse
from nirc.ir.populations import Population, Projection, Source
from nirc.ir.program import Form, Program

ONE = np.ones(1, np.int64)


def neuron(*, bias: int = 0, threshold: int = 10, two: bool = False) -> XyloNeuron:
    """A neuron that loses a unit of its membrane a step and half of its synaptic states."""
    second = ONE * 2 if two else None
    return XyloNeuron(
        15 * ONE, ONE, threshold * ONE, bias * ONE, np.ones(1), 31, 0, 0, dash_syn_2=second
    )


def program(edges: dict[tuple[str, str, int], float], **neurons: XyloNeuron) -> Program:
    """Neurons and the weights between them, by source, target and receptor."""
    zero = np.zeros(1, np.int64)
    nodes: dict[str, object] = {"in": Source((1,), ("nodes/in",))}
    nodes |= {name: Population((1,), d, (f"nodes/{name}",)) for name, d in neurons.items()}
    projections = [
        (s, t, Projection((Sparse(zero, zero, np.array([w]), 1, 1),), synapse=receptor))
        for (s, t, receptor), w in edges.items()
    ]
    return Program.of(Form.INTEGER, nodes, projections)


def starts(made: Program) -> dict[str, list[int] | None]:
    """Both synaptic states and the membrane of each neuron, None if it begins from 0."""
    found = {n: p.dynamics.start for n, p in made.nodes(Population).items()}
    return {n: None if s is None else [int(each[0]) for each in s] for n, s in found.items()}


def test_without_biases_all_neurons_begin_from_zero() -> None:
    model = program({("in", "a", 0): 5, ("a", "b", 0): 5}, a=neuron(), b=neuron())
    assert begun(model, {"in": 0, "a": 0, "b": 2}) is model


def test_a_neuron_has_had_a_step_of_its_bias_for_each_step_of_its_latency() -> None:
    """It loses one unit in each step in which it is above 0."""
    model = program({}, a=neuron(bias=4), b=neuron(bias=4), c=neuron(bias=4), d=neuron())
    found = starts(begun(model, {"a": 0, "b": 1, "c": 2, "d": 1}))
    assert found == {"a": None, "b": [0, 0, 4], "c": [0, 0, 7], "d": [0, 0, 0]}


def test_what_earlier_neurons_fire_for_their_biases_arrives_a_step_later() -> None:
    """Neuron a fires in its first step. Its spike is 8 at b in the second, of which 4 are left."""
    model = program({("a", "b", 0): 8, ("in", "b", 0): 99}, a=neuron(bias=10), b=neuron())
    for steps, state in ((1, [0, 0, 0]), (2, [4, 0, 4])):
        found = starts(begun(model, {"in": 0, "a": 0, "b": steps}))
        assert found == {"a": None, "b": state}


def test_each_receptor_has_a_state_of_its_own() -> None:
    """Of 8 and 16 units dash 1 leaves a half, dash 2 three quarters."""
    edges = {("a", "b", 0): 8.0, ("a", "b", 1): 16.0}
    model = program(edges, a=neuron(bias=10), b=neuron(threshold=100, two=True))
    assert starts(begun(model, {"a": 0, "b": 2}))["b"] == [4, 12, 16]


def test_two_sources_of_one_receptor_add_up() -> None:
    edges = {("a", "c", 0): 8.0, ("b", "c", 0): 4.0}
    model = program(edges, a=neuron(bias=10), b=neuron(bias=10), c=neuron(threshold=100))
    assert starts(begun(model, {"a": 0, "b": 0, "c": 2}))["c"] == [6, 0, 6]
