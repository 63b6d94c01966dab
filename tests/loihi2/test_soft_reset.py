"""Subtraction by stock neurons: the membrane in u, and a synapse of each neuron to itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirc.api import Compiled, Options, compile_model, lower
from nirc.backends.loihi2 import rule
from nirc.backends.loihi2 import soft_reset as module
from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.legalise import LoihiLegalise
from nirc.backends.loihi2.lower import largest_u, wraps_after
from nirc.backends.loihi2.plan import ROOMS
from nirc.backends.loihi2.soft_reset import inhibits_itself, taps_of_a_filter, why_not
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense
from nirc.ir.populations import Population, Projection
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.loihi2.oracle import require_lava
from tests.loihi2.test_oracle import assert_equals_lava
from tests.models import DATA, DT, chain, cuba, graph, lif, linear

SUBTRACT = Options(dt_s=DT, reset="subtract", allow_silent=True)


def if_(n: int, threshold: float = 1.0) -> nir.IF:
    return nir.IF(r=np.ones(n) / DT, v_threshold=np.ones(n) * threshold)


def leaky(n: int, sixteenths: int) -> nir.LIF:
    """Decay of ``sixteenths``/16 a step."""
    return lif(n, 16 / (16 - sixteenths))


def sixteenths(rng: np.random.Generator, n_out: int, n_in: int) -> nir.Linear:
    return nir.Linear(weight=rng.integers(-8, 17, (n_out, n_in)) / 16)


def compiled(model: nir.NIRGraph, **chip: str) -> tuple[Compiled, dict[str, str]]:
    """With what was said, by code."""
    log = Log()
    made = compile_model(
        model, "loihi2", replace(SUBTRACT, chip=tuple(sorted(chip.items()))), log=log
    )
    return made, {d.code: d.severity for d in log.diagnostics}


def legal(model: nir.NIRGraph) -> tuple[Program, Program]:
    discrete = lower(model, SUBTRACT, log=Log()).discrete
    return discrete, LoihiLegalise().run(discrete, Log())


def binary(seed: int, samples: int, steps: int, channels: int, rate: float = 0.4) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, steps, channels)) < rate).astype(np.uint8)


# The chip's spikes are the model's.


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), kinds=st.tuples(*[st.integers(8, 16)] * 2))
def test_a_network_whose_numbers_the_chip_can_store_fires_exactly_as_the_model(
    seed: int, kinds: tuple[int, int]
) -> None:
    """Decays of sixteenths; 16 of them are an integrator, which loses 1/4096 a step on the chip.

    Its threshold lies between two sums of weights, and samples in which the loss might add up to
    that are left out, as those in which a leaky membrane comes within 1/500 of the threshold: the
    chip rounds states.
    """
    rng = np.random.default_rng(seed)
    one, two = (if_(4, 33 / 32) if k == 16 else leaky(4, k) for k in kinds)
    made, said = compiled(chain(3, sixteenths(rng, 4, 3), one, sixteenths(rng, 4, 4), two, n_out=4))
    inputs = binary(seed, 20, 25, 3)
    names = list(made.stages.discrete.nodes(Population))
    exact = run(made.stages.discrete, inputs, record=names)
    clear = np.ones(len(inputs), np.bool_)
    for name, kind in zip(names, kinds, strict=True):
        threshold = 33 / 32 if kind == 16 else 1
        before = exact.v[name] + threshold * exact.spikes[name]
        lost = np.abs(before).cumsum(axis=1) / 4096 if kind == 16 else 0
        clear &= (np.abs(before - threshold) > lost + 0.002).all(axis=(1, 2))
    assume(clear.any())
    np.testing.assert_array_equal(made.bundle.run(inputs).outputs[clear], exact.outputs[clear])
    assert "D401" not in said and ("D420" in said) == (16 in kinds)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 3.7])
@pytest.mark.parametrize("steps", [2.0, 4.0, 20.0, 300.0])
def test_weights_of_any_size_come_near(threshold: float, steps: float) -> None:
    rng = np.random.default_rng(0)
    model = chain(6, linear(rng, 8, 6), lif(8, steps, threshold), n_out=8)
    made, _ = compiled(model)
    inputs = binary(1, 20, 60, 6)
    expected, got = run(made.stages.discrete, inputs).outputs, made.bundle.run(inputs).outputs
    assert expected.any() and (expected == got).mean() > 0.96
    zero = compiled(model, reset="zero")[0].bundle.run(inputs).outputs
    assert (expected == got).mean() > (expected == zero).mean()


def test_a_lower_bound_is_lost_and_said_so() -> None:
    """Sinabs' min_v_mem: u has no bound, and the rule of the chip none either."""
    log = Log()
    options = Options(writer="sinabs,spikes=one,floor=-1")
    made = compile_model(
        chain(3, linear(np.random.default_rng(0), 4, 3), if_(4), n_out=4),
        "loihi2",
        options,
        log=log,
    )
    assert "D443" in {d.code for d in log.diagnostics}
    assert all(p.dynamics.v_least is None for p in made.legal.nodes(Population).values())


def test_what_is_above_the_threshold_is_kept() -> None:
    """One input of 3.5 thresholds is three spikes, one a step."""
    made, _ = compiled(chain(1, nir.Linear(weight=np.array([[3.5]])), if_(1), n_out=1))
    inputs = np.zeros((1, 8, 1), np.uint8)
    inputs[0, 1] = 1
    assert made.bundle.run(inputs).outputs.ravel().tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


def test_constants_reach_the_membrane() -> None:
    """Biases and leak potentials come from the neuron that always fires, from the model's first
    step on.
    """
    neurons = lif(3)
    neurons.v_leak = np.array([0.0, 0.6, 2.0])
    layers = nir.Affine(weight=np.eye(3) / 2, bias=np.array([0.3, 0.0, -0.1])), neurons
    made, _ = compiled(chain(3, linear(np.random.default_rng(0), 3, 3), lif(3), *layers, n_out=3))
    inputs = binary(0, 10, 60, 3)
    expected, got = run(made.stages.discrete, inputs).outputs, made.bundle.run(inputs).outputs
    assert expected.any(axis=(0, 1)).all() and (expected == got).mean() > 0.98
    assert not made.legal["lif3"].dynamics.drift.any() and "always" in made.legal.graph


def test_a_convolutional_network_answers_as_the_model() -> None:
    """digits_if_cnn, trained with subtraction: .740 with a reset to zero, and .794 in float."""
    file = DATA / "zoo/digits_if_cnn.nir"
    with np.load(file.with_suffix(".npz")) as data:
        inputs, labels = data["inputs"].reshape(*data["inputs"].shape[:2], -1), data["labels"]
    made = compile_model(file, "loihi2", Options(reset="subtract"))
    answer, taught = (
        output.sum(axis=1).argmax(axis=1)
        for output in (made.bundle.run(inputs).outputs, run(made.stages.discrete, inputs).outputs)
    )
    assert (answer == taught).mean() > 0.93
    assert abs((answer == labels).mean() - (taught == labels).mean()) < 0.01


# Synaptic filters.


@pytest.mark.parametrize("synapse", [1.5, 4.0, 12.0])
def test_a_synaptic_filter_is_made_of_delays(synapse: float) -> None:
    """Rounding aside, spikes are the model's but for a few; the chip's are nearer to them than with
    a reset to zero.
    """
    rng = np.random.default_rng(0)
    nodes = {"in": nir.Input(np.array([5])), "w": linear(rng, 8, 5, 1.0), "p": cuba(8, 6, synapse)}
    nodes |= {"own": linear(rng, 8, 8, 0.2), "out": nir.Output(np.array([8]))}
    nodes["p"].w_in = np.ones(8)  # the synapse's steady state is its input
    model = graph(nodes, [("in", "w"), ("w", "p"), ("p", "own"), ("own", "p"), ("p", "out")])
    inputs = binary(0, 30, 60, 5)
    discrete, made = legal(model)
    expected = run(discrete, inputs).outputs
    assert expected.mean() > 0.02 and (run(made, inputs).outputs == expected).mean() > 0.98
    exact, said = compiled(model)
    zero = compiled(model, reset="zero")[0]
    near, far = (
        np.abs((m.bundle.run(inputs).outputs - expected).sum(axis=1)).mean() for m in (exact, zero)
    )
    assert near < far / 2 and said["D425"] == "note" and "D401" not in said
    lags = [p.delay_steps for s, p in made.into("p") if s == "in"]
    assert lags == list(range(len(lags)))


def test_filters_that_differ_from_neuron_to_neuron() -> None:
    neurons = cuba(3)
    neurons.tau_syn = np.array([1.0, 3.0, 9.0]) * DT
    neurons.w_in = np.ones(3)
    discrete, made = legal(chain(4, nir.Linear(weight=np.full((3, 4), 0.4)), neurons, n_out=3))
    inputs = binary(0, 20, 60, 4)
    expected = run(discrete, inputs).outputs
    assert expected.any(axis=(0, 1)).all() and (run(made, inputs).outputs == expected).mean() > 0.99


def test_too_many_synapses_for_a_filter_are_not_made() -> None:
    weight = np.random.default_rng(0).normal(size=(200, 200))
    _, said = compiled(chain(200, nir.Linear(weight=weight), cuba(200, synapse=8), n_out=200))
    assert "D401" in said and "D425" not in said


@pytest.mark.parametrize(("most", "why"), [(8, ""), (7, "would take 8 synapses, more than 7")])
def test_a_filter_of_two_delays_has_twice_the_synapses(
    monkeypatch: pytest.MonkeyPatch, most: int, why: str
) -> None:
    """A step leaves a 32nd of the synaptic current."""
    fast = cuba(2, synapse=32 / 31)
    model = chain(2, nir.Linear(weight=np.ones((2, 2))), fast, n_out=2)
    discrete = lower(model, SUBTRACT, log=Log()).discrete
    monkeypatch.setattr(module, "MOST_SYNAPSES", most)
    name = next(n for n, p in discrete.nodes(Population).items() if p.dynamics.fires)
    assert module._taps(discrete, name) == 2
    assert why in module.why_not(discrete, name)


# Which populations, and what is said of the others.


def mixed() -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    return chain(
        4,
        linear(rng, 5, 4),
        if_(5),
        linear(rng, 4, 5),
        cuba(4, synapse=40),
        linear(rng, 3, 4),
        lif(3),
        n_out=3,
    )


def test_a_slow_synaptic_filter_keeps_the_reset_to_zero_beside_others_that_subtract() -> None:
    discrete, made = legal(mixed())
    assert [inhibits_itself(made, name) for name in ("if1", "cubalif3", "lif5")] == [
        True,
        False,
        True,
    ]
    inputs = binary(0, 5, 60, 4)
    np.testing.assert_allclose(run(made, inputs).outputs, run(discrete, inputs).outputs, atol=1e-9)
    assert compiled(mixed())[1]["D401"] == "warning"


def test_the_reset_to_zero_can_be_asked_for() -> None:
    made, said = compiled(
        chain(3, linear(np.random.default_rng(0), 3, 3), lif(3), n_out=3), reset="zero"
    )
    assert not inhibits_itself(made.legal, "lif1") and "D401" in said
    assert all(p.source != p.target for p in made.mapped.chip.tables.projections)


def test_the_papers_constants_have_no_self_inhibition() -> None:
    model = chain(3, linear(np.random.default_rng(0), 3, 3), lif(3), n_out=3)
    made, said = compiled(model, constants="paper")
    assert not inhibits_itself(made.legal, "lif1") and "D401" in said


@pytest.mark.parametrize(("inputs", "room"), [(2, 64), (300, 24), (4000, 0)])
def test_many_inputs_leave_less_room_and_too_many_none(inputs: int, room: int) -> None:
    """u wraps around at 24 bits: a note, a warning if it is soon.

    Where weights would lose their bits, the reset is to zero.
    """
    weight = np.full((2, inputs), -0.1)
    made, said = compiled(chain(inputs, nir.Linear(weight=weight), if_(2), n_out=2))
    tables = made.mapped.chip.tables
    after = wraps_after(tables)
    assert (after.get("if1", 0) >= room) and ("D401" in said) == (not room)
    if room:
        assert said["D424"] == ("note" if after["if1"] >= 64 else "warning")
        assert (
            largest_u(tables, after["if1"])["if1"]
            < 2**23
            <= largest_u(tables, after["if1"] + 1)["if1"]
        )
        assert after["if1"] >= ROOMS[-1][0]


def test_short_time_constants_never_wrap_around() -> None:
    made, said = compiled(chain(6, linear(np.random.default_rng(0), 4, 6), lif(4, 20), n_out=4))
    assert not wraps_after(made.mapped.chip.tables) and "D424" not in said and "D401" not in said


# Lava's.


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(3))
def test_lava_says_the_same_of_maps_constants_and_filters(seed: int) -> None:
    """A convolution with biases into integrators, then leaky ones with a leak potential, then a
    filter of delays.
    """
    require_lava()
    rng = np.random.default_rng(seed)
    maps, leak = np.ones((2, 5, 4)), lif(4, 9.0)
    leak.v_leak = rng.normal(0, 0.3, 4)
    nodes: dict[str, nir.NIRNode] = {
        "in": nir.Input(np.array([1, 5, 4])),
        "conv": nir.Conv2d(
            (5, 4), rng.normal(0.3, 0.6, (2, 1, 3, 3)), 1, 1, 1, 1, rng.normal(0, 0.1, 2)
        ),
        "maps": nir.IF(r=maps / DT, v_threshold=maps * rng.uniform(0.5, 2)),
        "flat": nir.Flatten(input_type={"input": np.array(maps.shape)}, start_dim=0, end_dim=-1),
        "w": linear(rng, 4, maps.size, 0.2),
        "leaky": leak,
        "v": linear(rng, 3, 4),
        "filtered": cuba(3, synapse=2.0),
        "out": nir.Output(np.array([3])),
    }
    names = list(nodes)
    made, said = compiled(graph(nodes, list(pairwise(names))))
    assert "D425" in said and "D401" not in said
    tables = made.mapped.chip.tables
    raster = binary(seed, 1, 40, tables.channels)
    assert (
        any(p.kind == "conv" for p in tables.projections) and emulate(tables, raster).outputs.any()
    )
    assert_equals_lava(tables, raster[0])


# How large u gets.


@settings(max_examples=300, deadline=None)
@given(
    du=st.sampled_from([0, 3, 40, 250, 1300, 4095]),
    most=st.tuples(*[st.integers(0, 2000)] * 2),
    threshold=st.integers(1, 1000),
    surplus=st.integers(-50, 50),
    seed=st.integers(0, 2**32),
)
def test_no_input_brings_u_further_than_is_said(
    du: int, most: tuple[int, int], threshold: int, surplus: int, seed: int
) -> None:
    """Inputs at their largest, of both signs, by turns, and at random. Self-inhibition may be too
    small or too large.
    """
    rng = np.random.default_rng(seed)
    positive, negative = most
    inhibition = max(0, round(threshold * (4095 - du) / 4096) + surplus)
    steps = 60
    ways = [
        np.full(steps, positive),
        np.full(steps, -negative),
        np.tile([positive, -negative], steps // 2),
    ]
    ways += [rng.choice([positive, -negative, 0], steps) for _ in range(5)]
    u, largest = np.zeros(len(ways), np.int64), []
    for arrives in np.array(ways).T:
        spikes = u > threshold << 6
        u = rule.decay(u, du + 1) + ((arrives - inhibition * spikes) << 6)
        largest.append(np.abs(u).max())
    units = np.array([positive, negative, inhibition]) * 64.0
    for t in (1, 2, 10, steps):
        bound = rule.largest_state(
            units[:1],
            units[1:2],
            np.array([du]),
            t,
            self_inhibition=units[2:],
            threshold=threshold * 64.0,
        )
        assert max(largest[:t]) <= bound[0]


# With the calibration.


@pytest.mark.usefixtures("small_calibration")
@pytest.mark.parametrize(
    "model",
    [
        mixed(),
        *(
            chain(4, linear(np.random.default_rng(1), 3, 4), neurons, n_out=3)
            for neurons in (if_(3), cuba(3))
        ),
    ],
)
def test_calibrated_networks_keep_their_self_inhibition(model: nir.NIRGraph) -> None:
    inputs = binary(0, 12, 30, 4)
    made = compile_model(model, "loihi2", SUBTRACT, calibration=inputs, log=Log())
    loops = [
        p
        for p in made.mapped.chip.tables.projections
        if p.source == p.target in ("if1", "cubalif1")
    ]
    assert loops and all((p.rows == p.cols).all() for p in loops if p.rows is not None)
    np.testing.assert_array_equal(
        made.bundle.run(inputs).outputs, run(made.integer, inputs).outputs
    )


def test_a_constant_of_one_neuron_comes_through_the_clock_too() -> None:
    """Its own v forgets everything, so u needs it in each step."""
    model = chain(2, nir.Affine(np.eye(2) / 2, np.array([0.0, 0.25])), leaky(2, 15), n_out=2)
    discrete, made = legal(model)
    assert inhibits_itself(made, "lif1")
    own = [p for s, t, p in made.edges() if s == t == "lif1"]
    assert [p.origins for p in own] == [made["lif1"].origins] and own[0].feedback
    inputs = binary(1, 2, 60, 2)
    found = run(made, inputs).outputs
    assert found[..., 1].sum() > found[..., 0].sum() > 0
    np.testing.assert_array_equal(found, run(discrete, inputs).outputs)


@pytest.mark.parametrize("threshold", [[1.0, -1.0], [-1.0, 1.0], [1.0, 0.0]])
def test_thresholds_have_to_be_above_0(threshold: list[float]) -> None:
    discrete, _ = legal(chain(2, nir.Linear(np.eye(2) / 2), leaky(2, 15), n_out=2))
    population = discrete["lif1"]
    d = replace(population.dynamics, threshold=np.array(threshold))
    changed = discrete.mapped({"lif1": replace(population, dynamics=d)})
    assert why_not(discrete, "lif1") == ""
    assert why_not(changed, "lif1") == "its thresholds are not above 0"


def test_a_filter_is_a_row_of_projections_of_one_source_each_a_step_later() -> None:
    op = Dense(np.array([[1.0, 2.0]]))

    def later(steps: int) -> Projection:
        return Projection((op,), delay_steps=steps, origins=())

    into = [("a", later(1)), ("a", later(2)), ("b", later(3)), ("b", later(5)), ("c", later(6))]
    assert taps_of_a_filter(into, None) == [[0], [1], [2], [3], [4]]
    assert taps_of_a_filter(into, 9) == [[0, 1], [2], [3], [4]]
    assert taps_of_a_filter(into, 0) == taps_of_a_filter(into, 1) == [[0], [1], [2], [3], [4]]
    more = [("a", later(1)), ("a", later(2)), ("a", later(3))]
    assert taps_of_a_filter(more, 9) == [[0, 1, 2]]
