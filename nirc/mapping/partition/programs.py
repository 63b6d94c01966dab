"""The partition problem of a program: its populations, and the structure of its projections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np

from nirc.ir import linear
from nirc.ir.linear import LinearOp
from nirc.ir.populations import Population as Neurons
from nirc.ir.populations import Projection as Synapses
from nirc.ir.populations import Source
from nirc.ir.program import Program
from nirc.mapping.partition import reach
from nirc.mapping.partition.boxes import AXES, three_axes
from nirc.mapping.partition.problem import Floats, Population, Problem, Projection

DEFAULT_RATE = 0.1  # spikes of a neuron in a step if nothing was measured: a choice
FULL = 0.5  # a matrix with at least this share of entries counts as dense
MOST_ENTRIES = 1 << 26


def problem_of(
    program: Program,
    rates: Mapping[str, float | Floats] | None = None,
    *,
    inputs_on_core: bool = False,
) -> Problem:
    """Return sources and populations of a ``program`` in its order.

    ``rates``: by name, see ``Population.rate``. Raises ``ValueError`` if operators in a row have
    too many entries to be composed.
    """
    known = rates or {}
    mixed: dict[str, Source | Neurons[Any]] = {**program.nodes(Source), **program.nodes(Neurons)}
    ends = {name: mixed[name] for name in program.graph.nodes if name in mixed}
    populations = tuple(
        Population(
            name,
            _shape(end.shape),
            known.get(name, DEFAULT_RATE),
            on_core=inputs_on_core or isinstance(end, Neurons),
        )
        for name, end in ends.items()
    )
    number = {name: i for i, name in enumerate(ends)}
    projections = tuple(
        Projection(
            number[s],
            number[t],
            reach_of(p.ops, populations[number[s]].shape, populations[number[t]].shape),
        )
        for s, t, p in program.edges()
        if isinstance(p, Synapses) and s in number and t in number
    )
    return Problem(populations, projections)


def reach_of(ops: Sequence[LinearOp], source: Sequence[int], target: Sequence[int]) -> reach.Reach:
    """Return the structure of linear operators in a row between these shapes.

    No operator: one to one. Raises ``ValueError`` if the operators have no structure and more than
    ``MOST_ENTRIES`` entries together.
    """
    here = three_axes(source)
    there = three_axes(target)
    if not ops and here == there:
        return reach.one_to_one(here)
    n = math.prod(here)
    chain = list(ops) or [linear.Diagonal(np.ones(n))]
    if len(chain) == 1 and (structured := _structured(chain[0], here, there)) is not None:
        return structured
    one = linear.composed(chain, max_entries=MOST_ENTRIES)
    if one is None:
        raise ValueError(f"operators in a row have more than {MOST_ENTRIES} entries together")
    if one.entries > MOST_ENTRIES:
        raise ValueError(f"{one.entries} synapses without a structure are more than {MOST_ENTRIES}")
    post, pre, _ = one.coo()
    return reach.sparse(here, there, pre, post)


def _structured(
    op: LinearOp, source: tuple[int, int, int], target: tuple[int, int, int]
) -> reach.Reach | None:
    """Return an operator as a product of axes. None if it is no product between these shapes."""
    match op:
        case linear.Dense():
            return reach.dense(source, target) if op.entries >= FULL * op.weight.size else None
        case linear.Diagonal():
            return reach.one_to_one(source) if source == target else None
        case linear.Sparse():
            return None
        case linear.Conv():
            kernel, dilation, groups = op.weight.shape[2:], op.dilation, op.groups
        case linear.Pool():
            kernel, dilation, groups = op.kernel, (1, 1), op.shape_in[0]
        case _:
            assert_never(op)
    if (three_axes(op.shape_in), three_axes(op.shape_out)) != (source, target):
        return None
    before = [pad[0] for pad in op.padding]
    return reach.window(
        op.shape_in,
        op.shape_out,
        kernel,
        stride=op.stride,
        padding=before,
        dilation=dilation,
        groups=groups,
    )


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape) if 0 < len(shape) <= AXES else (math.prod(shape),)
