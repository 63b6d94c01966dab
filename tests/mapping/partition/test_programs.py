"""A program's projections keep their structure, and have the synapses that their operators have."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, sparse
from nirc.ir.populations import Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.mapping.partition.programs import problem_of, reach_of
from tests.mapping.partition.networks import slow_pairs

ONES = np.ones
OPS: dict[str, tuple[tuple[LinearOp, ...], tuple[int, ...], tuple[int, ...], str]] = {
    "dense": ((Dense(ONES((4, 12))),), (3, 2, 2), (4,), "dense"),
    "dense with few entries": ((Dense(np.eye(4)),), (4,), (4,), "sparse"),
    "nothing": ((), (4,), (4,), "one-to-one"),
    "flattened": ((), (2, 2, 1), (4,), "sparse"),
    "scale": ((Diagonal(ONES(4)),), (4,), (4,), "one-to-one"),
    "convolution": (
        (Conv(ONES((4, 1, 2, 3)), (2, 5, 6), (4, 3, 3), (2, 3), ((1, 0), (2, 2)), (1, 1), 2),),
        (2, 5, 6),
        (4, 3, 3),
        "window",
    ),
    "pool": (
        (Pool((2, 4, 4), (2, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0))),),
        (2, 4, 4),
        (2, 2, 2),
        "window",
    ),
    "convolution of a signal": (
        (Conv(ONES((3, 2, 3)), (2, 8), (3, 4), (2,), ((1, 1),), (1,), 1),),
        (2, 8),
        (3, 4),
        "window",
    ),
    "convolution, flattened": (
        (Conv(ONES((1, 1, 2, 2)), (1, 3, 3), (1, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),),
        (9,),
        (4,),
        "sparse",
    ),
    "pool, then dense": (
        (
            Pool((1, 4, 4), (1, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0))),
            Dense(np.array([[1.0, 0, 0, 1]])),
        ),
        (1, 4, 4),
        (1,),
        "sparse",
    ),
    "entries": ((sparse(np.array([0, 2]), np.array([1, 0]), ONES(2), 2, 3),), (2,), (3,), "sparse"),
}


@pytest.mark.parametrize("name", OPS)
def test_operators_reach_what_their_entries_reach(name: str) -> None:
    ops, source, target, kind = OPS[name]
    reach = reach_of(ops, source, target)
    assert reach.kind == kind
    signal = np.eye(int(np.prod(source)))
    for op in ops:
        signal = op.apply(signal)
    assert slow_pairs(reach) == set(zip(*(x.tolist() for x in np.nonzero(signal)), strict=True))


def test_sources_are_outside_and_sinks_are_nothing() -> None:
    program = Program.of(
        Form.DISCRETE,
        {"in": Source((2,), ()), "pop": Population((3,), None, ()), "out": Sink((3,), ())},
        [
            ("in", "pop", Projection((Dense(ONES((3, 2))),))),
            ("pop", "pop", Projection()),
            ("pop", "out", Projection()),
        ],
    )
    problem = problem_of(program, {"pop": 0.25})
    assert [(p.name, p.on_core) for p in problem.populations] == [("in", False), ("pop", True)]
    assert [(p.source, p.target, p.reach.kind) for p in problem.projections] == [
        (0, 1, "dense"),
        (1, 1, "one-to-one"),
    ]
    assert problem.populations[1].rate == 0.25
    assert problem_of(program, inputs_on_core=True).populations[0].on_core
