"""The integer form adds one source after another, as the chip does, and saturates each time."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.xylo.emulate import emulate
from nirc.backends.xylo.fit import assemble, channels
from nirc.backends.xylo.lower import lower
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.place import Placement
from nirc.backends.xylo.training import XyloTraining
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen_integers
from nirc.ir.linear import sparse
from nirc.ir.populations import Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.semantics.run import run
from tests.torch.networks import torch_or_skip

N, INPUTS, OUTPUTS, SHIFT, STEPS = 12, 6, 4, 7, 30
Rng = np.random.Generator


def neuron(rng: Rng, n: int, *, most: int) -> XyloNeuron:
    """Neurons whose thresholds lie near the largest state."""
    dashes = [frozen_integers(rng.integers(1, 5, n)) for _ in range(3)]
    return XyloNeuron(
        dashes[0],
        dashes[1],
        frozen_integers(rng.integers(18_000, 30_000, n)),
        frozen_integers(np.zeros(n)),
        np.ones(n),
        most,
        SHIFT,
        SHIFT,
        dashes[2] if most > 1 else None,
    )


def synapses(rng: Rng, n_in: int, n_out: int, *, synapse: int = 0, late: int = 0) -> Projection:
    """Large weights of both signs."""
    weight = rng.integers(-60, 90, (n_in, n_out)) * 2.0**SHIFT
    source, target = np.nonzero(weight)
    op = sparse(target, source, weight[source, target], n_in, n_out)
    return Projection((op,), delay_steps=late, synapse=synapse)


def saturating(rng: Rng) -> Program:
    """Two inputs, two recurrent populations with both receptors, and a readout.

    The edges stand in another order than the nodes.
    """
    first, second = (Population((N,), neuron(rng, N, most=31), (name,)) for name in "ab")
    nodes = {
        "x": Source((INPUTS,), ("x",)),
        "y": Source((INPUTS,), ("y",)),
        "a": first,
        "b": second,
        "c": Population((OUTPUTS,), neuron(rng, OUTPUTS, most=1), ("c",)),
        "out": Sink((OUTPUTS,), ("out",)),
    }
    edges = [
        ("b", "b", synapses(rng, N, N, late=1)),
        ("a", "b", synapses(rng, N, N)),
        ("a", "b", synapses(rng, N, N, synapse=1)),
        ("a", "a", synapses(rng, N, N, late=1)),
        ("y", "a", synapses(rng, INPUTS, N)),
        ("x", "a", synapses(rng, INPUTS, N)),
        ("b", "c", synapses(rng, N, OUTPUTS)),
        ("c", "out", Projection()),
    ]
    return Program.of(Form.INTEGER, nodes, edges)


def spikes(rng: Rng) -> np.ndarray:
    """Counts of 8 samples."""
    return rng.integers(0, 2, (8, STEPS, 2 * INPUTS)) * rng.integers(1, 3, (8, STEPS, 2 * INPUTS))


@pytest.mark.parametrize("seed", range(4))
def test_the_integer_form_is_the_chip_where_sums_saturate_halfway(seed: int) -> None:
    """The chip answers two steps later: one for each step from neuron to neuron."""
    rng = np.random.default_rng(seed)
    program = saturating(rng)
    reservoir = lower(program, Log())
    none = np.zeros(0, np.int64)
    placed = Placement(np.arange(2 * N), none, none, 2 * N)
    chip = assemble(reservoir, placed, channels(reservoir, 2 * INPUTS))
    inputs = spikes(rng)
    on_chip = emulate(chip, inputs).outputs
    answer = run(program, inputs).outputs
    assert answer.any()
    np.testing.assert_array_equal(answer[:, : STEPS - 2], on_chip[:, 2:])


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(2))
def test_the_torch_module_adds_in_the_same_order(seed: int) -> None:
    torch = torch_or_skip()
    from nirc.torch.module import ProgramModule

    rng = np.random.default_rng(seed)
    program = saturating(rng)
    inputs = spikes(rng)
    module = ProgramModule(program, XyloTraining())
    answer = module.run(inputs)
    expected = run(program, inputs, record=["a", "b", "c"])
    for name, signal in expected.spikes.items():
        np.testing.assert_array_equal(answer.signals[name].detach().numpy(), signal)
    answer.outputs.sum().backward()
    weights = dict(module.named_parameters())["x->a/weight"]
    assert torch.isfinite(weights.grad).all() and weights.grad.any()
