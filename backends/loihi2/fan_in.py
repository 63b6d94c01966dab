"""Neurons with more synapses than a core holds, at any scale that a plan may choose.

The scale of a population comes from all of its weights. So a neuron's weights alone do not show how
many of them round to zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.drive import LARGEST, TINY, Drive
from nirc.backends.loihi2.plan import Plan
from nirc.backends.loihi2.soft_reset import self_inhibition_of
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense, Sparse, Weighted
from nirc.ir.populations import Discrete, Population, Projection, populations_of
from nirc.ir.program import Program
from nirc.rounding.rule import OWN_BITS

# Weights of a matrix from which on a rounding takes long (benchmarks/scale.py).
LARGE = 1 << 22
# Of the most units a threshold. ``Plan.best_k`` takes half of them or more, and a sum of rounded
# weights that is too large makes it less.
LEAST_SHARE = 0.4


def has_large_matrix(program: Program) -> bool:
    """Return True if a projection is a matrix of ``LARGE`` weights or more."""
    return any(_is_large(projection) for _, _, projection in program.edges())


def surely_stored(legal: Program, bits: int = OWN_BITS) -> Program:
    """Return the part of a legal program that has no synapse which may round to zero.

    ``bits``: of a weight. Of each large matrix the part has synapses of the first neuron. A weight
    of one step of the grid or more is stored. No other synapses are in the part.
    """
    edges = []
    kept = {name: _kept(legal, name, bits) for name in populations_of(legal, Discrete)}
    for number, (source, target, p) in enumerate(legal.edges()):
        if not isinstance(legal[target], Population):
            edges.append((source, target, p))
            continue
        op = p.ops[0] if p.ops else None
        if isinstance(op, Weighted):
            row = kept.get(target, {}).get(number, np.zeros(op.n_in))
            at = np.flatnonzero(row)
            part = Sparse(np.zeros_like(at), at, frozen(row[at]), op.n_in, op.n_out)
            edges.append((source, target, replace(p, ops=(part,), biases=())))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _is_large(projection: Projection) -> bool:
    op = projection.ops[0] if len(projection.ops) == 1 else None
    return isinstance(op, Dense) and op.weight.size >= LARGE


def _kept(legal: Program, name: str, bits: int) -> dict[int, Float]:
    """Return the sure weights of the first neuron by the number of a large projection."""
    into = [(i, p) for i, (_, t, p) in enumerate(legal.edges()) if t == name]
    population = legal[name]
    if not any(_is_large(p) for _, p in into) or not population.dynamics.fires:
        return {}
    weighted = [(i, p) for i, p in into if isinstance(p.ops[0], Weighted)]
    ops = [p.ops[0] for _, p in weighted]
    plan = Plan(population, ops, 0, self_inhibition=self_inhibition_of(legal, name), bits=bits)
    if plan.reduce_weights():
        return {}
    most = plan.largest_k()
    plan.for_netx = True
    least = max(LEAST_SHARE * min(most, plan.largest_k()), 1)
    return {
        i: np.where(_stored(drive, least), drive.op.weight[0], 0.0)
        for (i, p), drive in zip(weighted, plan.drives, strict=True)
        if _is_large(p) and isinstance(drive.op, Dense)
    }


def _stored(drive: Drive, least_k: float) -> NDArray[np.bool_]:
    """Return True (n_in,) for weights of the first neuron that are a step of the grid or more.

    A grid with steps of more than one unit has at least 63.5 steps for the largest weight: a
    quarter of the largest mixed weight.
    """
    step = max(drive.largest * 4 / (LARGEST - 1), 1 / least_k, TINY) * drive.coarse
    stored: NDArray[np.bool_] = np.abs(drive.value[0]) >= step
    return stored
