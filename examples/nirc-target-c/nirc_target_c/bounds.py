"""The largest input of a step, by the weights alone: every source fires as often as it can."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.linear import LinearOp, Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program

COUNT = 255  # spikes of a neuron or an input in a step: one byte


def largest_input(program: Program, name: str) -> Float:
    """Return (n,) the sum of all magnitudes that can reach the neurons of ``name`` in a step."""
    total = np.zeros(program[name].n)
    for source, projection in program.into(name):
        total = total + reach(projection, most_spikes(program, source))
    return total


def reach(projection: Projection, most: float) -> Float:
    """Return (n,) the magnitudes of a projection whose sources send ``most`` spikes each."""
    last = weighted(projection)
    ops = (*projection.ops[:-1], with_weights(last, np.abs(weights_of(last))))
    total = through(ops, np.full(ops[0].n_in, most))
    for bias in projection.biases:
        total = total + np.abs(bias.value)
    return total


def weighted(projection: Projection) -> Weighted:
    """Return the operator with the weights, the last one. A pool may stand before it."""
    op = projection.ops[-1]
    assert isinstance(op, Weighted)
    return op


def through(ops: tuple[LinearOp, ...], signal: Float) -> Float:
    """Return (n_out,) a signal (n_in,) behind a chain of operators."""
    rows = signal[None]
    for op in ops:
        rows = op.apply(rows)
    return np.asarray(rows[0])


def most_spikes(program: Program, source: str) -> float:
    """Return how many spikes a neuron or an input sends in a step, at most."""
    node = program[source]
    if not isinstance(node, Population):
        return float(COUNT)
    d = node.dynamics if isinstance(node.dynamics, Discrete) else node.dynamics.units
    fires = d.rule.fires
    most = None if fires is None else fires.most
    return float(COUNT if most is None else min(most, COUNT))
