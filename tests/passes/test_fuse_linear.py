"""fuse-linear: shorter chains, the same values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, sparse
from nirc.ir.populations import Projection
from nirc.ir.program import Program
from nirc.passes.fuse_linear import FuseLinear, fuse
from nirc.passes.pipeline import run_passes
from nirc.semantics.run import run
from tests.build import (
    DT,
    adder,
    affine,
    delay,
    graph,
    if_,
    inp,
    layers,
    linear,
    lowered,
    made,
    node,
    out,
    scale,
)
from tests.smith.case import Case
from tests.smith.check import by_definition
from tests.smith.grow import ANY, grown


def ops(program: Program, source: str, target: str) -> list[tuple[LinearOp, ...]]:
    return [p.ops for s, t, p in program.edges() if (s, t) == (source, target)]


def unfused(raw: RawGraph) -> Program:
    names = ("to-populations", "infer-dt", "discretise")
    passes = [made(name, **({"dt_s": DT} if name == "infer-dt" else {})) for name in names]
    return run_passes(layers(raw), passes, Log())


def quarters(dice: np.random.Generator, *shape: int) -> np.ndarray:
    """-1, -0.75, ... 1."""
    return dice.integers(-4, 5, shape) / 4


def network(seed: int) -> Case:
    """Most in numbers that binary fractions hold exactly: any order of sums gives the same."""
    return grown(np.random.default_rng(seed), ANY)


@given(st.integers(0, 1 << 20))
@settings(max_examples=30)
def test_fused_unfused_and_reference_answer_alike(seed: int) -> None:
    net = replace(network(seed), reset="model")
    slow = unfused(net.graph)
    fast = FuseLinear().run(slow, Log())
    expected = by_definition(net, layers(net.graph))
    tolerance = 0 if net.exact else 1e-9
    for program in (slow, fast):
        answer = run(program, net.inputs).outputs
        np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=tolerance)
    assert sum(len(p.ops) for *_, p in fast.edges()) <= sum(len(p.ops) for *_, p in slow.edges())


def test_the_random_networks_do_spike() -> None:
    """Else the comparison above would prove nothing."""
    nets = [network(seed) for seed in range(40)]
    assert sum(bool(run(unfused(net.graph), net.inputs).outputs.any()) for net in nets) > 20


@pytest.mark.parametrize("first", ["conv", "pool", "dense", "sparse", "diagonal"])
@pytest.mark.parametrize("second", ["conv", "pool", "dense", "sparse", "diagonal"])
def test_any_two_operators_keep_their_product(first: str, second: str) -> None:
    dice = np.random.default_rng(0)

    def op(kind: str) -> LinearOp:
        pads, one = ((1, 1), (1, 1)), (1, 1)
        weight = frozen(quarters(dice, 12, 12))
        return {
            "conv": Conv(
                frozen(quarters(dice, 3, 3, 3, 3)), (3, 2, 2), (3, 2, 2), one, pads, one, 1
            ),
            "pool": Pool((3, 2, 2), (3, 2, 2), (3, 3), one, pads, 0.25),
            "dense": Dense(weight),
            "sparse": sparse(*Dense(weight).coo(), 12, 12),
            "diagonal": Diagonal(frozen(np.repeat(quarters(dice, 3), 4))),
        }[kind]

    chain = (op(first), op(second))
    x = quarters(dice, 5, 12)
    expected, got = chain[1].apply(chain[0].apply(x)), x
    for each in fuse(chain):
        got = each.apply(got)
    np.testing.assert_array_equal(got, expected)
    if first == second and first in ("dense", "diagonal"):
        assert len(fuse(chain)) == 1


def test_a_scale_after_a_convolution_goes_into_its_kernel_if_it_is_the_same_over_each_map() -> None:
    kernel = Conv(
        frozen(np.ones((2, 1, 1, 1))), (1, 2, 2), (2, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    )
    per_map, per_pixel = np.repeat([2.0, 3.0], 4), np.arange(8.0)
    (both,) = fuse((kernel, Diagonal(frozen(per_map))))
    assert isinstance(both, Conv) and both.weight.ravel().tolist() == [2, 3]
    assert len(fuse((kernel, Diagonal(frozen(per_pixel))))) == 2


def test_a_scale_of_ones_and_a_pool_of_one_pixel_vanish() -> None:
    nothing = Pool((2, 3, 3), (2, 3, 3), (1, 1), (1, 1), ((0, 0), (0, 0)))
    assert fuse((Diagonal(frozen(np.ones(18))), nothing)) == ()


IDENTITIES = {
    "Scale": scale(np.ones((2, 3, 3))),
    "Conv2d": node(
        "Conv2d", weight=np.eye(2)[..., None, None], bias=np.zeros(2), stride=1, padding=0,
        dilation=1, groups=1,
    ),
    "depthwise": node(
        "Conv2d", weight=np.ones((2, 1, 1, 1)), bias=np.zeros(2), stride=1, padding=0,
        dilation=1, groups=2,
    ),
    "AvgPool2d": node("AvgPool2d", kernel_size=1, stride=1, padding=0),
}  # fmt: skip


@pytest.mark.parametrize("kind", IDENTITIES)
def test_an_identity_on_a_map_vanishes(kind: str) -> None:
    """So an Output behind it still has neurons right before it."""
    pop = RawNode("", "IF", {k: np.ones((2, 3, 3)) for k in ("r", "v_threshold", "v_reset")})
    nodes = {"in": inp(2, 3, 3), "pop": pop, "same": IDENTITIES[kind], "out": out(2, 3, 3)}
    program = lowered(graph(nodes, "in pop same out")).discrete
    assert ops(program, "pop", "out") == [()]


@pytest.mark.parametrize("item", [linear(np.eye(3)), affine(np.eye(3), np.zeros(3))])
def test_an_identity_matrix_vanishes(item: RawNode) -> None:
    nodes = {"in": inp(3), "pop": if_(3), "same": item, "out": out(3)}
    assert ops(lowered(graph(nodes, "in pop same out")).discrete, "pop", "out") == [()]


@pytest.mark.parametrize(
    "weight",
    [np.eye(3)[::-1], 2 * np.eye(3), np.eye(3) + np.eye(3, k=1), np.ones((3, 3)), -np.eye(3)],
)
def test_what_is_no_identity_stays(weight: np.ndarray) -> None:
    nodes = {"in": inp(3), "pop": if_(3), "other": linear(weight), "out": out(3)}
    assert ops(lowered(graph(nodes, "in pop other out")).discrete, "pop", "out") != [()]


@pytest.mark.parametrize(
    ("weight", "groups"),
    [
        (np.eye(2)[::-1], 1),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), 1),
        (np.array([[1.0], [2.0]]), 2),
        (np.ones((2, 1)), 1),
    ],
)
def test_a_kernel_of_one_tap_that_mixes_channels_stays(weight: np.ndarray, groups: int) -> None:
    taps = frozen(weight[..., None])
    shape_in = (groups * weight.shape[1], 4)
    kernel = Conv(taps, shape_in, (2, 4), (1,), ((0, 0),), (1,), groups)
    assert fuse((kernel,)) == (kernel,)


def test_a_list_of_ones_on_the_diagonal_vanishes_and_one_of_twos_stays() -> None:
    n = np.arange(3)
    assert fuse((Sparse(n, n, np.ones(3), 3, 3),)) == ()
    for value in (2 * np.ones(3), np.array([1.0, 1.0, 2.0])):
        assert len(fuse((Sparse(n, n, value, 3, 3),))) == 1
    assert len(fuse((Sparse(n, n[::-1].copy(), np.ones(3), 3, 3),))) == 1


def test_a_pool_takes_in_a_scale_that_is_the_same_everywhere() -> None:
    pool = Pool((1, 4), (1, 2), (2,), (2,), ((0, 0),), 0.5)
    (both,) = fuse((pool, Diagonal(frozen(np.full(2, 3.0)))))
    assert isinstance(both, Pool) and both.factor == 1.5
    assert len(fuse((pool, Diagonal(frozen(np.array([3.0, 4.0])))))) == 2


def test_a_bottleneck_stays_two_matrices() -> None:
    narrow, wide = Dense(frozen(np.ones((1, 50)))), Dense(frozen(np.ones((50, 1))))
    assert len(fuse((narrow, wide))) == 2
    assert len(fuse((wide, narrow))) == 1


def test_sparse_keeps_its_entries_when_scaled() -> None:
    entries = sparse(np.array([0, 1]), np.array([1, 0]), np.array([2.0, 3.0]), 2, 2)
    (scaled,) = fuse((Diagonal(frozen([10.0, 0.0])), entries))
    assert isinstance(scaled, Sparse) and scaled.coo()[2].tolist() == [30]


def test_parallel_matrices_become_one_and_keep_both_biases() -> None:
    raw = graph(
        {
            "in": inp(1),
            "a": affine([[2.0]], [1.0]),
            "b": affine([[3.0]], [10.0]),
            "pop": adder(),
            "out": out(1),
        },
        "in a pop out",
        "in b pop",
    )
    stages = lowered(raw)
    ((only,),) = ops(stages.discrete, "in", "pop")
    assert isinstance(only, Dense) and only.weight.item() == 5
    assert stages.outputs([[[1.0], [0.0]]]).ravel().tolist() == [16, 27]
    (projection,) = (p for s, _, p in stages.discrete.edges() if s == "in")
    assert projection.origins == ("nodes/a", "nodes/b")


def test_parallel_matrices_of_different_delay_stay_apart() -> None:
    raw = graph(
        {
            "in": inp(1),
            "a": linear([[2.0]]),
            "b": linear([[3.0]]),
            "d": delay(DT),
            "pop": adder(),
            "out": out(1),
        },
        "in a pop out",
        "in b d pop",
    )
    stages = lowered(raw)
    assert len(ops(stages.discrete, "in", "pop")) == 2
    assert stages.outputs([[[1.0], [0.0]]]).ravel().tolist() == [2, 5]


def test_one_to_one_wires_are_never_merged_away() -> None:
    raw = graph(
        {"in": inp(2), "a": scale(1.0), "b": scale(1.0), "pop": if_(2, 1.5), "out": out(2)},
        "in a pop out",
        "in b pop",
    )
    assert lowered(raw).outputs([[[1.0, 0.0]]]).ravel().tolist() == [1, 0]


def test_nothing_is_said_and_the_argument_stays_as_it_was() -> None:
    raw = network(3).graph
    before, log = unfused(raw), Log()
    edges = [p for *_, p in before.edges()]
    FuseLinear().run(before, log)
    assert not log.diagnostics and all(
        a is b for a, b in zip(edges, (p for *_, p in before.edges()), strict=True)
    )
    assert all(isinstance(p, Projection) for p in edges)
