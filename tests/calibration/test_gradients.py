"""Operators backwards: <A x, y> = <x, A' y>, and the gradient by the numbers is that of a
difference quotient.
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.calibration.gradients import Operator
from nirc.ir.linear import (
    Conv,
    Dense,
    Diagonal,
    LinearOp,
    Pool,
    Weighted,
    sparse,
    weights_of,
    with_weights,
)


def operators() -> dict[str, LinearOp]:
    rng = np.random.default_rng(0)
    target, source = np.nonzero(rng.random((5, 7)) < 0.4)
    return {
        "dense": Dense(rng.normal(size=(5, 7))),
        "diagonal": Diagonal(rng.normal(size=7)),
        "sparse": sparse(target, source, rng.normal(size=target.size), 7, 5),
        "conv": Conv(
            rng.normal(size=(4, 3, 3, 3)), (3, 6, 5), (4, 6, 5), (1, 1), ((1, 1), (1, 1)), (1, 1), 1
        ),
        "strided": Conv(
            rng.normal(size=(4, 3, 2, 3)), (3, 7, 6), (4, 3, 3), (2, 2), ((0, 0), (1, 0)), (1, 1), 1
        ),
        "grouped": Conv(
            rng.normal(size=(4, 2, 3, 3)), (4, 9, 9), (4, 5, 5), (1, 1), ((0, 0), (0, 0)), (2, 2), 2
        ),
        "conv1d": Conv(rng.normal(size=(2, 3, 3)), (3, 8), (2, 6), (1,), ((0, 0),), (1,), 1),
        "pool": Pool((3, 6, 4), (3, 3, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), 0.25),
        "overlapping": Pool((2, 5, 5), (2, 3, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),
    }


@pytest.mark.parametrize("name", operators())
def test_the_transpose_is_the_transpose(name: str) -> None:
    op = operators()[name]
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, op.n_in)), rng.normal(size=(3, op.n_out))
    both = Operator(op)
    assert np.allclose(both.apply(x), op.apply(x))
    assert np.allclose((op.apply(x) * y).sum(axis=1), (x * both.to_input(y)).sum(axis=1))


@pytest.mark.parametrize("name", operators())
def test_the_gradient_by_the_numbers_is_the_change_of_the_output(name: str) -> None:
    op = operators()[name]
    if not isinstance(op, Weighted):
        assert name in ("diagonal", "pool", "overlapping")  # nothing in them may change
        return
    rng = np.random.default_rng(2)
    x, y, change = (
        rng.normal(size=(3, op.n_in)),
        rng.normal(size=(3, op.n_out)),
        rng.normal(size=weights_of(op).shape),
    )
    gradient = Operator(op).to_numbers(x, y)
    moved = with_weights(op, weights_of(op) + change)  # the output is linear in the numbers
    assert np.isclose(((moved.apply(x) - op.apply(x)) * y).sum(), (gradient * change).sum())
