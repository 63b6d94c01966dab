"""The legal program computes what the model does, or the model is refused."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nirc.api import Options, lower
from nirc.backends.speck.legalise import SpeckLegalise, _rests, leads
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.files.manifest import MAX_LEAD
from nirc.ir.linear import Conv, Dense, Pool
from nirc.ir.populations import Bias, Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program
from nirc.semantics.run import run
from tests import build
from tests.models import cuba, graph
from tests.speck.networks import along, conv, fire, flatten, line, pool, skipping, small


def legal(
    model: nir.NIRGraph, *, reset: str = "subtract", camera: bool = False
) -> tuple[Program, Program]:
    """The discrete program and the legal one."""
    discrete = lower(model, Options(reset=reset), log=Log()).discrete
    return discrete, SpeckLegalise(camera=camera).run(discrete, Log())


def refusals(model: nir.NIRGraph, **options: Any) -> list[str]:
    with pytest.raises(CompileError) as refusal:
        legal(model, **options)
    return [d.code for d in refusal.value.diagnostics if d.severity == "error"]


def same_answer(model: nir.NIRGraph, *, reset: str = "subtract", active: bool = True) -> Program:
    """The legal program, after both have answered the same to random spikes."""
    discrete, legalised = legal(model, reset=reset)
    rng = np.random.default_rng(1)
    inputs = rng.poisson(0.4, (2, 8, sum(s.n for s in discrete.nodes(Source).values())))
    expected = run(discrete, inputs).outputs
    assert (run(legalised, inputs).outputs == expected).all()
    assert expected.any() or not active, "nothing fires, so nothing was compared"
    return legalised


def into(program: Program, name: str) -> tuple[Pool | None, Conv]:
    """The only projection into a population."""
    ((_, projection),) = program.into(name)
    *before, last = projection.ops
    return (before[0] if before else None), last


def is_legal(op: Conv) -> bool:
    """Square, dense, undilated, within the datasheet's numbers."""
    f, c, y, x = op.weight.shape
    return (
        y == x <= 16
        and set(op.stride) <= {1, 2, 4, 8}
        and all(0 <= before <= 7 for before, _ in op.padding)
        and op.dilation == (1, 1)
        and op.groups == 1
        and c == op.shape_in[0]
        and f == op.shape_out[0]
    )


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "shape", "layer", "out"),
    [
        ("dilation", (2, 9, 9), conv(RNG, 2, 4, dilation=2), (4, 5, 5)),
        ("groups", (4, 9, 9), conv(RNG, 4, 4, groups=2), (4, 7, 7)),
        ("depthwise", (4, 9, 9), conv(RNG, 4, 4, groups=4), (4, 7, 7)),
        ("kernel 3 x 5", (1, 9, 9), conv(RNG, 1, 2, (3, 5), padding=(1, 2)), (2, 9, 9)),
        ("kernel 3 x 5 without padding", (1, 9, 9), conv(RNG, 1, 2, (3, 5)), (2, 7, 5)),
        (
            "kernel 2 x 4, strides 2 and 1",
            (1, 9, 9),
            conv(RNG, 1, 2, (2, 4), stride=(2, 1)),
            (2, 4, 6),
        ),
        ("stride 3", (2, 9, 9), conv(RNG, 2, 4, stride=3), (4, 3, 3)),
        ("padding 9", (2, 6, 6), conv(RNG, 2, 4, padding=9), (4, 22, 22)),
        ("kernel 17", (1, 20, 20), conv(RNG, 1, 2, 17), (2, 4, 4)),
        ("kernel 17, padded", (1, 12, 12), conv(RNG, 1, 2, 17, padding=8), (2, 12, 12)),
    ],
)
def test_what_a_core_cannot_do_is_expanded_exactly(
    name: str, shape: tuple[int, ...], layer: nir.Conv2d, out: tuple[int, ...]
) -> None:
    legalised = same_answer(line(shape, layer, fire(*out), out=out))
    assert is_legal(into(legalised, "n1")[1])


def test_a_dilated_kernel_keeps_its_map() -> None:
    legalised = same_answer(
        line((2, 9, 9), conv(RNG, 2, 4, dilation=2), fire(4, 5, 5), out=(4, 5, 5))
    )
    assert into(legalised, "n1")[1].weight.shape == (4, 2, 5, 5)


def test_sum_pooling_between_layers_is_done_by_the_sending_core() -> None:
    legalised = same_answer(small(np.random.default_rng(0)))
    pooling, kernel = into(legalised, "n4")
    assert pooling is not None and pooling.kernel == (2, 2) and pooling.factor == 1
    assert kernel.weight.shape == (6, 4, 3, 3)


def test_an_average_becomes_a_sum_with_smaller_weights() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(0.2, 0.5, (2, 4))
    model = line(
        (1, 4, 4),
        conv(rng, 1, 1, padding=1),
        fire(1, 4, 4),
        pool(avg=True),
        flatten(1, 2, 2),
        nir.Linear(weight),
        fire(2),
        out=(2,),
    )
    pooling, kernel = into(same_answer(model, active=False), "n5")
    assert pooling is not None and pooling.factor == 1
    np.testing.assert_allclose(kernel.weight.reshape(2, 4), weight / 4)


def test_a_linear_layer_after_a_map_reads_channels_and_positions_in_their_order() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(0.1, 0.5, (4, 45))
    model = line((3, 3, 5), flatten(3, 3, 5), nir.Linear(weight), fire(4), out=(4,))
    _, kernel = into(same_answer(model), "n2")
    top = (kernel.weight.shape[2] - 3) // 2
    np.testing.assert_array_equal(
        kernel.weight[:, :, top : top + 3, :5], weight.reshape(4, 3, 3, 5)
    )


def test_a_network_of_linear_layers_has_maps_of_one_pixel() -> None:
    rng = np.random.default_rng(3)
    model = line(
        (6,),
        nir.Linear(rng.normal(0.2, 0.5, (5, 6))),
        fire(5),
        nir.Linear(rng.normal(0.2, 0.5, (3, 5))),
        fire(3),
        out=(3,),
    )
    legalised = same_answer(model)
    assert into(legalised, "n1")[1].weight.shape == (5, 6, 1, 1)
    assert into(legalised, "n3")[1].weight.shape == (3, 5, 1, 1)


def test_a_convolution_and_the_pooling_behind_it_are_one_kernel() -> None:
    legalised = same_answer(
        line((1, 8, 8), conv(RNG, 1, 3, padding=1), pool(), fire(3, 4, 4), out=(3, 4, 4))
    )
    _, kernel = into(legalised, "n2")
    assert kernel.weight.shape == (3, 1, 4, 4) and kernel.stride == (2, 2)


def test_pooling_by_three_before_a_linear_layer_goes_into_its_weights() -> None:
    rng = np.random.default_rng(5)
    model = line(
        (1, 12, 12),
        conv(rng, 1, 3, padding=1),
        fire(3, 12, 12),
        pool(3),
        flatten(3, 4, 4),
        nir.Linear(rng.normal(0.1, 0.5, (4, 48))),
        fire(4),
        out=(4,),
    )
    pooling, kernel = into(same_answer(model), "n5")
    assert pooling is None and kernel.weight.shape == (4, 3, 12, 12)


def test_rows_that_a_pool_leaves_out_are_named_if_they_come_to_padding() -> None:
    """7 rows pooled by 2 leave one over. Its events come to the padding of a 3 x 3 kernel."""
    rng = np.random.default_rng(5)
    padded = line(
        (1, 7, 7),
        conv(rng, 1, 3, padding=1),
        fire(3, 7, 7),
        pool(),
        conv(rng, 3, 4, padding=1),
        fire(4, 3, 3),
        out=(4, 3, 3),
    )
    log = Log()
    SpeckLegalise().run(lower(padded, Options(reset="subtract"), log=Log()).discrete, log)
    assert [d.code for d in log.diagnostics] == ["D418"]
    assert into(same_answer(padded), "n4")[0] is not None
    bare = line(
        (1, 7, 7),
        conv(rng, 1, 3, padding=1),
        fire(3, 7, 7),
        pool(),
        conv(rng, 3, 4),
        fire(4, 1, 1),
        out=(4, 1, 1),
    )
    assert into(same_answer(bare), "n4")[0] is not None


def test_the_host_pools_events_by_any_number() -> None:
    model = line((1, 9, 9), pool(3), conv(RNG, 1, 3, 2), fire(3, 2, 2), out=(3, 2, 2))
    pooling, kernel = into(same_answer(model), "n2")
    assert pooling is not None and pooling.kernel == (3, 3) and kernel.weight.shape == (3, 1, 2, 2)


def test_an_input_too_large_for_one_kernel_is_sent_as_channels() -> None:
    rng = np.random.default_rng(2)
    model = line(
        (1, 28, 28),
        flatten(1, 28, 28),
        nir.Linear(rng.normal(0.02, 0.1, (10, 784))),
        fire(10),
        out=(10,),
    )
    assert into(same_answer(model), "n2")[1].weight.shape == (10, 784, 1, 1)


def test_thresholds_of_channels_go_into_the_weights() -> None:
    thresholds = np.random.default_rng(1).uniform(0.5, 2, (4, 1, 1))
    model = line((2, 9, 9), conv(RNG, 2, 4), fire(4, 7, 7, threshold=thresholds), out=(4, 7, 7))
    legalised = same_answer(model)
    assert len(set(legalised["n1"].dynamics.threshold.tolist())) == 1
    assert into(legalised, "n1")[1].weight.shape == (4, 2, 3, 3)


def test_thresholds_of_single_neurons_make_each_a_channel_where_it_fits() -> None:
    thresholds = np.random.default_rng(1).uniform(0.5, 2, (4, 3, 3))
    model = line((2, 5, 5), conv(RNG, 2, 4), fire(4, 3, 3, threshold=thresholds), out=(4, 3, 3))
    assert into(same_answer(model), "n1")[1].shape_out == (36, 1, 1)
    large = np.random.default_rng(1).uniform(0.5, 2, (4, 62, 62))
    assert refusals(
        line((2, 64, 64), conv(RNG, 2, 4), fire(4, 62, 62, threshold=large), out=(4, 62, 62))
    ) == ["S713"]


def test_a_residual_sum_keeps_two_projections_with_one_frame() -> None:
    legalised = same_answer(skipping(np.random.default_rng(4), kernels=(1, 5)))
    kernels = {s: p.ops[-1] for s, p in legalised.into("last")}
    assert {k.weight.shape for k in kernels.values()} == {(3, 4, 5, 5)}
    assert kernels["first"].padding == kernels["second"].padding


def test_two_ways_from_one_population_to_another_are_one_projection() -> None:
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([2, 8, 8])),
        "a": conv(rng, 2, 4, padding=1),
        "b": conv(rng, 2, 4, 1),
        "last": fire(4, 8, 8),
        "out": nir.Output(np.array([4, 8, 8])),
    }
    edges = [("in", "a"), ("in", "b"), ("a", "last"), ("b", "last"), ("last", "out")]
    legalised = same_answer(graph(nodes, edges))
    assert len(legalised.into("last")) == 1


def test_branches_of_different_stride_cannot_share_a_core() -> None:
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([2, 64, 64])),
        "a": conv(rng, 2, 16, 3, padding=1),
        "first": fire(16, 64, 64),
        "b": conv(rng, 2, 8, 3, padding=1, stride=2),
        "c": conv(rng, 16, 8, 2, stride=1, padding=0),
        "p": pool(),
        "last": fire(8, 32, 32),
        "out": nir.Output(np.array([8, 32, 32])),
    }
    nodes["c"] = conv(rng, 16, 8, 1)
    edges = along("in a first p c last", "in b last out")
    assert refusals(graph(nodes, edges)) == ["S721"]


@pytest.mark.parametrize(
    ("neuron", "code"),
    [
        (cuba(3), "S712"),
        (nir.LI(tau=np.ones(3) * 1e-3, r=np.ones(3) * 10, v_leak=np.zeros(3)), "S712"),
        (nir.Threshold(np.ones(3)), "S712"),
        (
            nir.LIF(
                tau=np.ones(3) * 1e-3, r=np.ones(3) * 10, v_leak=np.ones(3), v_threshold=np.ones(3)
            ),
            "S712",
        ),
        (nir.IF(r=np.ones(3), v_threshold=np.zeros(3), v_reset=np.zeros(3)), "S716"),
    ],
)
def test_neurons_that_no_core_has_are_refused(neuron: nir.NIRNode, code: str) -> None:
    assert code in refusals(line((2,), nir.Linear(np.ones((3, 2))), neuron, out=(3,)))


def test_a_reset_to_another_potential_is_refused_unless_the_user_says_otherwise() -> None:
    neuron = nir.IF(r=np.ones(3), v_threshold=np.ones(3), v_reset=-np.ones(3))
    model = line((2,), nir.Linear(np.ones((3, 2))), neuron, out=(3,))
    assert refusals(model, reset="model") == ["S712"]
    same_answer(model, reset="zero")


def test_recurrence_is_refused() -> None:
    nodes = {
        "in": nir.Input(np.array([2])),
        "w": nir.Linear(np.ones((3, 2))),
        "pop": fire(3),
        "rec": nir.Linear(np.ones((3, 3))),
        "out": nir.Output(np.array([3])),
    }
    loop = graph(nodes, [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")])
    assert refusals(loop) == ["S714"]


def test_a_hundred_edges_of_loops_are_named_and_the_others_counted() -> None:
    names = [f"p{i}" for i in range(12)]
    nodes = {"in": nir.Input(np.array([1])), **{name: fire(1) for name in names}}
    edges = [("in", "p0"), *permutations(names, 2), ("p0", "out")]
    with pytest.raises(CompileError) as refusal:
        legal(graph(nodes | {"out": nir.Output(np.array([1]))}, edges))
    found = [d.message for d in refusal.value.diagnostics if d.code == "S714"]
    assert len(found) == 100 and found[-1].endswith("; so do 32 other edges")


def delayed(*, skip: bool = False, bias: float = 0.0) -> nir.NIRGraph:
    """Return two layers with a delay of 3 steps between, and a path without it or a bias."""
    nodes = {
        "in": nir.Input(np.array([2])),
        "w1": nir.Linear(np.ones((3, 2))),
        "first": fire(3),
        "late": nir.Delay(np.ones(3) * 3e-4),
        "w2": nir.Affine(np.ones((3, 3)), np.ones(3) * bias),
        "w3": nir.Linear(np.ones((3, 2))),
        "last": nir.LIF(
            tau=np.ones(3) * 1e-3, r=np.ones(3) * 10, v_leak=np.zeros(3), v_threshold=np.ones(3)
        ),
        "out": nir.Output(np.array([3])),
    }
    paths = ["in w1 first late w2 last out"] + ["in w3 last"] * skip
    return graph(nodes, along(*paths))


@pytest.mark.parametrize("bias", [0.0, 0.2, -0.2])
def test_a_delay_that_all_paths_share_is_legal(bias: float) -> None:
    legalised = same_answer(delayed(bias=bias))
    assert leads(legalised) == {"in": 0, "first": 0, "last": 3, "out": 3}


@pytest.mark.parametrize(
    "model", [delayed(skip=True), delayed(bias=0.7)], ids=["paths of two delays", "fires by itself"]
)
def test_other_delays_are_refused(model: nir.NIRGraph) -> None:
    with pytest.raises(CompileError) as refusal:
        legal(model)
    (found,) = [d for d in refusal.value.diagnostics if d.severity == "error"]
    assert (found.code, found.found) == ("S715", "3 step(s)")
    assert "remove the Delay node" in found.help


def test_a_delay_longer_than_a_bundle_can_name_is_refused() -> None:
    model = delayed()
    model.nodes["late"] = nir.Delay(np.ones(3) * 2e-4 * MAX_LEAD)
    assert refusals(model) == ["S715"]


def test_a_delay_of_the_simulators_neurons_is_not_blamed_on_a_node() -> None:
    """Spyx's neurons send their spikes a step later. The skip makes two delays of it."""
    rng = np.random.default_rng(0)
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([2])),
        "layer_0": nir.Linear(rng.normal(0, 1, (3, 2))),
        "layer_1": fire(3),
        "layer_2": nir.Linear(rng.normal(0, 1, (3, 3))),
        "layer_3": fire(3),
        "layer_4": nir.Linear(rng.normal(0, 1, (3, 2))),
        "output": nir.Output(np.array([3])),
    }
    paths = ["input layer_0 layer_1 layer_2 layer_3 output", "input layer_4 layer_3"]
    model = graph(nodes, along(*paths))
    with pytest.raises(CompileError) as refusal:
        discrete = lower(model, Options(writer="spyx"), log=Log()).discrete
        SpeckLegalise().run(discrete, Log())
    (found,) = refusal.value.diagnostics
    assert found.code == "S715" and "Delay node" not in found.help


def test_an_output_must_be_one_population() -> None:
    assert refusals(
        line((1, 4, 4), conv(RNG, 1, 2, padding=1), fire(2, 4, 4), pool(), out=(2, 2, 2))
    ) == ["P308"]


def test_all_that_is_wrong_is_said() -> None:
    model = line(
        (2,),
        nir.Linear(np.ones((3, 2))),
        cuba(3),
        nir.Linear(np.ones((3, 3))),
        fire(3, threshold=-1.0),
        nir.Linear(np.ones((2, 3))),
        out=(2,),
    )
    assert sorted(refusals(model)) == ["P308", "S712", "S716"]


@st.composite
def stacks(draw: st.DrawFn) -> nir.NIRGraph:
    """One or two convolutions of any kind, pools of any kind around them."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(3, 12)), draw(st.integers(3, 12)))
    start, layers = shape, []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["conv", "conv", "pool conv", "conv pool"]))
        for each in kind.split():
            c, h, w = shape
            if each == "pool":
                k, s = draw(st.integers(1, 4)), draw(st.sampled_from([None, 1, 2]))
                padding = draw(st.integers(0, min(1, k // 2)))
                shape = (c, *((n + 2 * padding - k) // (s or k) + 1 for n in (h, w)))
                layers.append(pool(k, stride=s, padding=padding, avg=draw(st.booleans())))
            else:
                ky, kx = draw(st.integers(1, 5)), draw(st.integers(1, 5))
                stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
                padding_ = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
                dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
                groups = draw(st.sampled_from([1, c]))
                f = groups * draw(st.integers(1, 3))
                layers.append(
                    conv(
                        rng,
                        c,
                        f,
                        (ky, kx),
                        stride=stride,
                        padding=padding_,
                        dilation=dilation,
                        groups=groups,
                        bias=draw(st.booleans()),
                    )
                )
                kernel = (dilation[0] * (ky - 1) + 1, dilation[1] * (kx - 1) + 1)
                shape = (
                    f,
                    *(
                        (n + 2 * padding_[a] - kernel[a]) // stride[a] + 1
                        for a, n in enumerate((h, w))
                    ),
                )
            assume(min(shape) >= 1)
        layers.append(fire(*shape, threshold=draw(st.sampled_from([0.5, 1.0]))))
    return line(start, *layers, out=shape)


@given(stacks(), st.booleans())
def test_any_stack_means_the_same_once_it_is_legal(model: nir.NIRGraph, camera: bool) -> None:
    discrete, legalised = legal(model, camera=camera)
    rng = np.random.default_rng(0)
    for name in legalised.nodes(Population):
        ways = legalised.into(name)
        assert all(isinstance(p.ops[-1], Conv) for _, p in ways)
        x = {s: rng.integers(0, 3, (2, discrete[s].n)).astype(float) for s, _ in ways}
        got = sum(_applied(p.ops, x[s]) for s, p in ways)
        want = (
            sum(_applied(p.ops, x[s]) for s, p in discrete.into(name))
            * discrete[name].dynamics.gain_mem
        )
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def _applied(ops: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
    for op in ops:
        x = op.apply(x)
    return x


def test_a_population_without_any_input_is_refused() -> None:
    """No kernel leads to it, so that no core can hold it."""
    raw = build.graph(
        {"in": build.inp(2), "n": build.if_(2), "m": build.if_(2), "o": build.out(2)}, "in n", "m o"
    )
    with pytest.raises(CompileError) as refusal:
        SpeckLegalise().run(build.lowered(raw).discrete, Log())
    assert ("S712", "nodes/m") in [(d.code, d.where) for d in refusal.value.diagnostics]


@pytest.mark.parametrize(("steps", "onset", "rests"), [(1, 0, True), (2, 0, False), (1, 1, False)])
def test_neurons_that_wait_may_not_fire_by_their_biases(
    steps: int, onset: int, rests: bool
) -> None:
    """One of two neurons fires in its second step. The bias of the other is 0."""
    both = np.ones(2)
    dynamics = Discrete(both, both, 0 * both, threshold=both, v_reset=0 * both)
    bias = Bias(np.array([0.6, 0.0]), onset_steps=onset)
    arriving = Projection((Dense(np.zeros((2, 1))),), biases=(bias,), origins=("nodes/w",))
    nodes = {"in": Source((1,), ("nodes/in",)), "a": Population((2,), dynamics, ("nodes/a",))}
    program = Program.of(Form.DISCRETE, nodes, [("in", "a", arriving)])
    assert _rests(program, "a", steps) == rests
