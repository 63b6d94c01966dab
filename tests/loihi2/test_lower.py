"""Tables from integers: lists and matrices, parts, sums, and what inhibits itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.backends.loihi2 import lower as module
from nirc.backends.loihi2.drive import stored
from nirc.backends.loihi2.lower import (
    _inputs,
    _is_self_inhibition,
    _part,
    _projection,
    wraps_after,
)
from nirc.backends.loihi2.processes import Piece, in_order
from nirc.backends.loihi2.tables import Geometry, Input, Population, Projection, Tables
from nirc.ir.linear import Dense, Sparse
from tests.loihi2.graphs import random_graph
from tests.loihi2.reference import synapses
from tests.models import DT


@pytest.mark.parametrize(
    ("shape", "synapses_", "kind"),
    [
        ((64, 64), 1, "dense"),  # 4,096 places are never a list
        ((17, 241), 1, "sparse"),
        ((17, 241), 2048, "sparse"),
        ((17, 241), 2049, "dense"),  # a synapse in every second place
    ],
)
def test_a_large_matrix_that_is_mostly_empty_becomes_a_list(
    shape: tuple[int, int], synapses_: int, kind: str
) -> None:
    weight = np.zeros(shape)
    weight.flat[:synapses_] = 3
    made = _projection("w", "a", "b", Dense(weight), 2)
    assert made is not None and made.kind == kind
    assert (made.name, made.source, made.target) == ("w", "a", "b")
    assert made.delays is not None and (made.delays == 2).all()
    assert made.delays.shape == made.weights.shape
    if made.places is not None:
        rows, cols = made.places
        assert (rows * shape[1] + cols).tolist() == list(range(synapses_))
        assert made.weights.tolist() == [3] * synapses_


def test_a_list_is_sorted_and_has_no_weight_of_zero() -> None:
    op = Sparse(np.array([1, 0, 1, 0]), np.array([2, 1, 0, 0]), np.array([4.0, 0, -6, 2]), 3, 2)
    made = _projection("w", "a", "b", op, 0)
    assert made is not None and made.places is not None and made.delays is None
    assert [each.tolist() for each in made.places] == [[0, 1, 1], [0, 0, 2]]
    assert (made.weights.tolist(), made.sign_mode, made.weight_exp) == ([4, -12, 8], "mixed", -1)
    assert _projection("w", "a", "b", replace(op, value=np.zeros(4)), 0) is None
    assert _projection("w", "a", "b", Dense(np.zeros((2, 3))), 0) is None


@pytest.mark.parametrize(
    ("value", "mode", "exponent"),
    [
        ([3.0, 0.0], "excitatory", 0),
        ([-3.0, 0.0], "inhibitory", 0),
        ([255.0, 1.0], "excitatory", 0),
        ([256.0, 2.0], "excitatory", 1),
        ([-510.0, -2.0], "inhibitory", 1),
        ([3.0, -3.0], "mixed", -1),
        ([127.0, -3.0], "mixed", -1),
        ([128.0, -2.0], "mixed", 0),
        ([256.0, -4.0], "mixed", 1),
    ],
)
def test_signs_and_size_choose_mode_and_exponent(
    value: list[float], mode: str, exponent: int
) -> None:
    assert stored(np.array(value)) == (mode, exponent)


def test_a_part_has_the_synapses_between_its_neurons_in_their_order() -> None:
    rng = np.random.default_rng(0)
    matrix = np.where(rng.random((5, 6)) < 0.6, rng.integers(1, 9, (5, 6)), 0).astype(float)
    rows, cols = np.nonzero(matrix)
    sources, targets = np.array([4, 0, 5]), np.array([3, 1])
    dense = _part(Dense(matrix), sources, targets)
    listed = _part(Sparse(rows, cols, matrix[rows, cols], 6, 5), sources, targets)
    assert isinstance(dense, Dense) and isinstance(listed, Sparse)
    wanted = matrix[np.ix_(targets, sources)]
    assert dense.weight.tolist() == wanted.tolist()
    again = np.zeros((listed.n_out, listed.n_in))
    again[listed.target, listed.source] = listed.value
    assert again.tolist() == wanted.tolist()


def test_one_process_in_the_order_of_its_neurons_needs_no_parts() -> None:
    assert in_order((Piece("a", np.arange(3)),))
    assert not in_order((Piece("a", np.array([0, 2, 1])),))
    assert not in_order((Piece("a", np.arange(3)), Piece("b", np.arange(3, 5))))


@pytest.mark.parametrize("seed", range(8))
def test_the_most_that_arrives_in_a_step_is_the_sum_of_all_synapses_of_a_sign(seed: int) -> None:
    model = random_graph(seed)
    made = compile_model(model, "loihi2", Options(dt_s=DT, allow_silent=True, reset="zero"))
    tables: Tables = made.mapped.chip.tables
    wanted = {p.name: np.zeros((2, p.n)) for p in tables.populations}
    for p in tables.projections:
        for row, _, weight, _ in synapses(p):
            wanted[p.target][int(weight < 0), row] += abs(weight) * 2.0**p.weight_exp * 64
    for small in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BLOCK", 8 if small else 1 << 16)
            found = _inputs(tables)
        for name, into in found.items():
            assert into.positive.tolist() == wanted[name][0].tolist()
            assert into.negative.tolist() == wanted[name][1].tolist()
            assert not into.self_inhibition.any()


def neurons(name: str, **fields: Any) -> Population:
    zeros = np.zeros(2, np.int64)
    return replace(Population(name, 4095, 4096, 10, zeros, zeros, zeros), **fields)


def loop(weights: Any = ((-5, 0), (0, -7)), **fields: Any) -> Projection:
    made = Projection("w", "p", "p", "dense", np.array(weights), "inhibitory")
    return replace(made, **fields)


@pytest.mark.parametrize(
    ("projection", "inhibits"),
    [
        (loop(), True),
        (loop(source="q"), False),
        (loop(((-5, 0), (0, 1))), False),
        (loop(((-5, -1), (0, -7))), False),
        (loop(delays=np.zeros((2, 2), np.int64)), True),
        (loop(delays=np.array([[0, 0], [0, 1]])), False),
        (loop((-5, -7), kind="sparse", rows=np.arange(2), cols=np.arange(2)), True),
        (loop((-5, -7), kind="sparse", rows=np.arange(2), cols=np.array([1, 0])), False),
        (loop(geometry=Geometry((1, 1, 2), (1, 1, 2))), False),
    ],
)
def test_self_inhibition_is_of_each_neuron_to_itself_in_the_next_step(
    projection: Projection, inhibits: bool
) -> None:
    assert _is_self_inhibition(projection) == inhibits


@pytest.mark.parametrize(
    ("fields", "counts"), [({}, True), ({"dv": 4095}, False), ({"spikes": False}, False)]
)
def test_self_inhibition_counts_as_such_where_v_forgets_and_neurons_spike(
    fields: dict[str, Any], counts: bool
) -> None:
    drive = Projection("x", "in", "p", "dense", np.array([[20], [-4]]), "mixed", weight_exp=1)
    inputs = (Input("in", np.arange(1)),)
    tables = Tables(1, inputs, (neurons("p", **fields),), (loop(), drive), ())
    (into,) = _inputs(tables).values()
    assert into.positive.tolist() == [20 * 2 * 64, 0]
    assert into.self_inhibition.tolist() == ([5 * 64, 7 * 64] if counts else [0, 0])
    below = [0, 4 * 2 * 64] if counts else [5 * 64, (7 + 8) * 64]
    assert into.negative.tolist() == below


@pytest.mark.parametrize(("sources", "after"), [(1, None), (400, 167), (4000, 16)])
def test_u_has_room_for_so_many_steps_of_full_input(sources: int, after: int | None) -> None:
    """With a decay of 1/4096 a step: 128 units of each source."""
    weights = np.full((2, sources), 2)
    drive = Projection("x", "in", "p", "dense", weights, "excitatory")
    inputs = (Input("in", np.arange(sources)),)
    tables = Tables(sources, inputs, (neurons("p", du=0, dv=0, vth=131071),), (drive,), ())
    found = wraps_after(tables)
    assert found.get("p") == after
    if after is not None:
        held = [128 * sources * 4096 * (1 - (4095 / 4096) ** n) for n in (after, after + 1)]
        assert held[0] < 2**23 <= held[1]
