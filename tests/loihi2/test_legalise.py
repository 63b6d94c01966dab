"""What stock neurons and synapses can do: the legal program means what the discrete one means, to
the spike.
"""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from nirc.analysis.retiming import retimed
from nirc.api import Options, compile_model, lower
from nirc.backends.loihi2.kernels import geometry_of, one_operator
from nirc.backends.loihi2.legalise import LoihiLegalise
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.ir.verify import verify
from nirc.semantics.run import run
from tests.loihi2.graphs import random_graph
from tests.models import DT, chain, cuba, graph, lif, linear

ONE = np.ones(3)


def legal(model: nir.NIRGraph, reset: str = "model") -> tuple[Program, Program, Log]:
    """The discrete program, what became of it, and what was said."""
    log = Log()
    discrete = lower(model, Options(dt_s=DT, reset=reset), log=Log()).discrete
    made = LoihiLegalise().run(discrete, log)
    verify(made)
    return discrete, made, log


def binary(seed: int, steps: int, channels: int, samples: int = 2) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, steps, channels)) < 0.3).astype(np.uint8)


def assert_same_meaning(model: nir.NIRGraph, *, steps: int = 60, reset: str = "model") -> Program:
    discrete, made, _ = legal(model, reset)
    channels = sum(
        s.n for _, s in discrete.graph.nodes(data="payload") if type(s).__name__ == "Source"
    )
    inputs = binary(0, steps, channels)
    expected = run(discrete, inputs).outputs
    assert expected.any()
    np.testing.assert_allclose(run(made, inputs).outputs, expected, rtol=1e-6, atol=1e-9)
    return made


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_keep_their_meaning(seed: int) -> None:
    discrete, made, log = legal(random_graph(seed), ("model", "zero", "subtract")[seed % 3])
    assert not log.errors
    channels = sum(
        s.n for _, s in discrete.graph.nodes(data="payload") if type(s).__name__ == "Source"
    )
    inputs = binary(seed, 40, channels)
    np.testing.assert_allclose(
        run(made, inputs).outputs, run(discrete, inputs).outputs, rtol=1e-6, atol=1e-9
    )


def test_every_projection_is_one_operator_without_gains() -> None:
    _, made, _ = legal(chain(3, linear(np.random.default_rng(0), 4, 3), cuba(4), n_out=4))
    population = made["cubalif1"]
    assert (population.dynamics.gain_mem == 1).all() and (population.dynamics.gain_syn == 1).all()
    ((_, projection),) = made.into("cubalif1")
    assert (
        len(projection.ops) == 1 and isinstance(projection.ops[0], Dense) and not projection.biases
    )


# Constants.


def affine(bias: float) -> nir.Affine:
    return nir.Affine(weight=np.eye(3), bias=bias * ONE)


def test_a_constant_before_a_plain_neuron_is_a_drift() -> None:
    made = assert_same_meaning(chain(3, affine(0.05), lif(3), n_out=3))
    assert (made["lif1"].dynamics.drift == pytest.approx(0.05)) and "always" not in made.graph


def test_a_constant_before_a_synaptic_filter_comes_from_a_neuron_that_always_fires() -> None:
    """Exact from the first step on; a drift would leave out the start of the synapse."""
    made = assert_same_meaning(chain(3, affine(0.05), cuba(3), n_out=3))
    assert not made["cubalif1"].dynamics.drift.any()
    fires = run(made, binary(0, 20, 3), record=["always"]).spikes["always"]
    assert fires.all()


def test_a_constant_that_begins_later_is_the_same_neuron_over_a_delay() -> None:
    nodes = {
        "in": nir.Input(ONE[:1] * 3),
        "a": affine(0.4),
        "d": nir.Delay(delay=ONE * 7 * DT),
        "p": lif(3),
    }
    model = graph(
        nodes | {"out": nir.Output(ONE[:1] * 3)},
        [("in", "a"), ("a", "d"), ("d", "p"), ("p", "out")],
    )
    made = assert_same_meaning(model)
    lags = {s: p.lag for s, p in made.into("p")}
    assert lags["always"] == 7


def test_a_threshold_below_its_constant_is_kept_quiet_until_its_first_step() -> None:
    """A neuron without memory whose constant alone sets it off would fire before the model's first
    step.
    """
    neuron = nir.Threshold(threshold=ONE * 0.5)
    made = assert_same_meaning(
        chain(3, linear(np.random.default_rng(0), 3, 3), lif(3), affine(0.6), neuron, n_out=3)
    )
    assert not made["threshold3"].dynamics.drift.any() and "always" in made.graph


# Synaptic filters.


def two_receptors(slow: float, fast: float | None) -> nir.NIRGraph:
    """An input that reaches a neuron through one filter and through another (None: none)."""
    rng = np.random.default_rng(2)
    nodes: dict[str, nir.NIRNode] = {
        "in": nir.Input(np.array([3])),
        "slow": nir.LI(tau=ONE * slow * DT, r=ONE, v_leak=0 * ONE),
        "a": linear(rng, 3, 3, 1.0),
        "b": linear(rng, 3, 3),
        "p": lif(3),
        "out": nir.Output(np.array([3])),
    }
    edges = [("in", "slow"), ("slow", "a"), ("a", "p"), ("b", "p"), ("p", "out")]
    if fast is None:
        return graph(nodes, [*edges, ("in", "b")])
    nodes["fast"] = nir.LI(tau=ONE * fast * DT, r=ONE, v_leak=0 * ONE)
    return graph(nodes, [*edges, ("in", "fast"), ("fast", "b")])


def test_an_unfiltered_receptor_beside_a_filtered_one_takes_two_synapses() -> None:
    """A spike arrives, and one step later what the filter still holds of it is taken away."""
    made = assert_same_meaning(two_receptors(6, None))
    assert sorted(p.delay_steps for _, p in made.into("p")) == [0, 0, 1]


def test_a_faster_filter_is_made_of_delays() -> None:
    _, made, _ = legal(two_receptors(12, 3))
    assert max(p.delay_steps for _, p in made.into("p")) > 5
    discrete, made, _ = legal(two_receptors(12, 3))
    inputs = binary(1, 80, 3, samples=20)
    expected, got = run(discrete, inputs).outputs, run(made, inputs).outputs
    assert expected.any() and (expected == got).mean() > 0.995  # taps below 2^-14 are left out


def test_two_slow_filters_are_refused() -> None:
    with pytest.raises(CompileError) as refusal:
        legal(two_receptors(60, 50))
    assert {d.code for d in refusal.value.diagnostics} == {"L812"}


# Outputs, delays, latency.


def test_linear_layers_before_an_output_are_summed_up_by_readouts() -> None:
    rng = np.random.default_rng(0)
    made = assert_same_meaning(chain(3, linear(rng, 4, 3), lif(4), linear(rng, 2, 4), n_out=2))
    assert not made["out.sum"].dynamics.fires


def test_a_membrane_that_travels_is_refused() -> None:
    membrane = nir.LI(
        tau=np.linspace(2, 9, 3) * DT, r=ONE, v_leak=0 * ONE
    )  # too different to be a synapse
    with pytest.raises(CompileError) as refusal:
        legal(chain(3, membrane, linear(np.random.default_rng(0), 3, 3), lif(3), n_out=3))
    assert {d.code for d in refusal.value.diagnostics} == {"P306"}


@pytest.mark.parametrize("steps", [63, 64, 127, 200])
def test_long_delays_pass_through_relays(steps: int) -> None:
    nodes = {
        "in": nir.Input(np.array([3])),
        "d": nir.Delay(delay=ONE * steps * DT),
        "p": lif(3, threshold=0.5),
    }
    model = graph(
        nodes | {"out": nir.Output(np.array([3]))}, [("in", "d"), ("d", "p"), ("p", "out")]
    )
    made = assert_same_meaning(model, steps=260)
    relays = [n for n in made.nodes(Population) if ".delayed" in n]
    assert len(relays) == -(-steps // 63) - 1 - (steps == 127) or steps < 128
    assert all(0 <= d <= 63 for d in retimed(made, 63).delays)
    notes = [d for d in legal(model)[2].diagnostics if d.code == "L809"]
    assert [str(3 * len(relays)) in d.message for d in notes] == [True] * bool(relays)


def test_a_short_path_beside_a_very_long_one_takes_few_relays() -> None:
    """A relay is 64 steps behind its source: a synapse takes a step and holds a spike for 63."""
    depth = 150
    nodes = {"in": nir.Input(ONE.shape), "out": nir.Output(ONE.shape)}
    nodes |= {f"p{i:03}": lif(3, threshold=0.5) for i in range(depth)}
    path = ["in", *(f"p{i:03}" for i in range(depth)), "out"]
    ways = [("p000", f"p{depth - 1}"), ("p000", f"p{depth - 20}")]
    made = assert_same_meaning(graph(nodes, [*pairwise(path), *ways]), steps=200)
    assert [n for n in made.nodes(Population) if ".delayed" in n] == [
        "p000.delayed0.1",
        "p000.delayed0.2",
    ]
    found = retimed(made, 63)
    assert max(found.delays) == 63 and found.latency_steps["p000.delayed0.2"] == 1 + 2 * 64


def test_ways_of_different_length_are_aligned_by_delays() -> None:
    rng = np.random.default_rng(0)
    nodes = {"in": nir.Input(np.array([3])), "out": nir.Output(np.array([3]))}
    for k in range(3):
        nodes |= {f"w{k}": linear(rng, 3, 3), f"p{k}": lif(3)}
    nodes["short"] = linear(rng, 3, 3)
    edges = [
        ("in", "w0"),
        ("w0", "p0"),
        ("p0", "w1"),
        ("w1", "p1"),
        ("p1", "w2"),
        ("w2", "p2"),
        ("p2", "out"),
    ]
    _, made, log = legal(graph(nodes, [*edges, ("in", "short"), ("short", "p2")]))
    found = retimed(made, 63)
    delays = dict(zip([(s, t) for s, t, _ in made.edges()], found.delays, strict=True))
    assert found.latency_steps["p2"] == 3 and delays["in", "p2"] == 2 and not any(found.slow)
    assert not log.diagnostics


def test_a_loop_of_one_population_is_exact_and_one_of_two_takes_longer() -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": linear(rng, 3, 3),
        "a": lif(3),
        "out": nir.Output(np.array([3])),
    }
    nodes |= {"rec": linear(rng, 3, 3)}
    edges = [("in", "w"), ("w", "a"), ("a", "rec"), ("a", "out")]
    alone = retimed(legal(graph(nodes, [*edges, ("rec", "a")]))[1], 63)
    assert not any(alone.slow) and not any(alone.delays)
    nodes |= {"b": lif(3), "back": linear(rng, 3, 3)}
    both = retimed(legal(graph(nodes, [*edges, ("rec", "b"), ("b", "back"), ("back", "a")]))[1], 63)
    assert sum(both.slow) == 1
    looped = graph(nodes, [*edges, ("rec", "b"), ("b", "back"), ("back", "a")])
    said = compile_model(looped, "loihi2", Options()).bundle.diagnostics
    (slow,) = [d for d in said if d.code == "D406"]
    assert slow.where == "nodes/back"
    nodes["wait"] = nir.Delay(delay=ONE * 2 * DT)
    slow = retimed(
        legal(graph(nodes, [*edges, ("rec", "b"), ("b", "wait"), ("wait", "back"), ("back", "a")]))[
            1
        ],
        63,
    )
    assert not any(slow.slow)  # the loop's own delay pays for both synapses


# Kernels.


def conv(
    rng: np.random.Generator, shape: tuple[int, int, int], features: int, **fields: object
) -> Conv:
    c, h, w = shape
    given = {
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
        "groups": 1,
    } | fields
    kernel, stride, padding, dilation = (
        given[k] for k in ("kernel", "stride", "padding", "dilation")
    )
    out = [
        (n + sum(pad) - d * (k - 1) - 1) // s + 1
        for n, k, s, pad, d in zip((h, w), kernel, stride, padding, dilation, strict=True)  # type: ignore[call-overload]
    ]
    weight = frozen(rng.normal(size=(features, c // given["groups"], *kernel)))  # type: ignore[operator,misc]
    return Conv(weight, shape, (features, *out), stride, padding, dilation, given["groups"])  # type: ignore[arg-type]


def pool(shape: tuple[int, int, int], k: int) -> Pool:
    c, h, w = shape
    return Pool(shape, (c, h // k, w // k), (k, k), (k, k), ((0, 0), (0, 0)), 1 / k**2)


RNG = np.random.default_rng(0)
SHARED: dict[str, tuple[LinearOp, ...]] = {
    "a convolution": (conv(RNG, (2, 6, 7), 3),),
    "stride, dilation, groups": (
        conv(RNG, (4, 9, 9), 6, stride=(2, 1), dilation=(1, 2), groups=2),
    ),
    "padding on one side": (conv(RNG, (2, 6, 6), 3, padding=((0, 1), (2, 0))),),
    "the same, dilated": (conv(RNG, (2, 8, 8), 3, padding=((0, 1), (2, 0)), dilation=(2, 2)),),
    "a pool": (pool((3, 6, 6), 2),),
    "a pool and a convolution": (pool((3, 8, 8), 2), conv(RNG, (3, 4, 4), 2)),
    "a convolution and a pool": (conv(RNG, (3, 8, 8), 2), pool((2, 6, 6), 2)),
    "a scaled convolution": (Diagonal(np.full(72, 0.5)), conv(RNG, (2, 6, 6), 3)),
}
LISTED: dict[str, tuple[LinearOp, ...]] = {
    "padding of what was pooled": (
        conv(RNG, (2, 6, 6), 2),
        conv(RNG, (2, 4, 4), 2, padding=((1, 1), (1, 1))),
    ),
    "a pool and a matrix": (pool((2, 4, 4), 2), Dense(RNG.normal(size=(5, 8)))),
    "a wide map": (conv(RNG, (1, 3, 300), 1),),
    "many groups": (conv(RNG, (200, 3, 3), 200, groups=200),),
}


@pytest.mark.parametrize("case", [*SHARED, *LISTED])
def test_a_chain_of_operators_becomes_one(case: str) -> None:
    ops = (SHARED | LISTED)[case]
    x = np.random.default_rng(1).integers(0, 2, (4, ops[0].n_in)).astype(np.float64)
    made, expected = one_operator(ops, ops[0].n_in), x
    for op in ops:
        expected = op.apply(expected)
    assert made is not None
    assert isinstance(made, Conv) == (case in SHARED)
    if isinstance(made, Conv):
        geometry = geometry_of(made)
        assert geometry is not None and geometry.shape_out == made.shape_out
    np.testing.assert_allclose(made.apply(x), expected, atol=1e-12)


def test_no_operator_is_one_to_one() -> None:
    made = one_operator((), 4)
    assert isinstance(made, Sparse) and made.entries == 4


def test_dynamics_are_discrete_everywhere() -> None:
    _, made, _ = legal(two_receptors(12, 3))
    assert all(isinstance(p.dynamics, Discrete) for p in made.nodes(Population).values())
