"""Networks of integer weights answer as the model does, spike for spike: what the vendor's importer
gets wrong, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import pytest

from nirc import api
from nirc.api import Options
from nirc.backends.spinnaker2.tables import Tables, from_npz
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

DT_S = 1e-3
STEPS = 24
Nodes = Mapping[str, Any]


def graph(nodes: Nodes, edges: list[tuple[str, str]]) -> nir.NIRGraph:
    return nir.NIRGraph(dict(nodes), edges, type_check=False)


def answers(
    nodes: Nodes,
    edges: list[tuple[str, str]],
    *,
    reset: str = "model",
    rate: float = 0.4,
    codes: set[str] | None = None,
    **chip: str,
) -> Tables:
    """The compiled network, once device and model are known to answer alike on random inputs, and
    not with silence.
    """
    log = Log()
    options = Options(dt_s=DT_S, reset=reset, chip=tuple(sorted(chip.items())))
    made = api.compile_model(graph(nodes, edges), "spinnaker2:chip", options, log=log)
    assert {d.code for d in log.diagnostics if d.code[0] in "DN"} == (codes or set())
    channels = len(made.bundle.manifest["input_map"])
    inputs = (np.random.default_rng(1).random((6, STEPS, channels)) < rate).astype(int)
    model, device = run(made.stages.discrete, inputs).outputs, made.bundle.run(inputs).outputs
    np.testing.assert_allclose(device, model, rtol=1e-5, atol=1e-5)
    assert (model != 0).any(axis=(0, 1)).mean() >= 0.5, "most outputs are silent"
    return from_npz(made.bundle.files["network.npz"])


def chain(*layers: Any, shape: tuple[int, ...], **options: Any) -> Tables:
    """Input, ``layers`` one after the other, output."""
    names = [str(i) for i in range(len(layers))]
    nodes = {"in": nir.Input({"input": np.array(shape)}), **dict(zip(names, layers, strict=True))}
    nodes["out"] = nir.Output({"output": np.array([1])})
    return answers(nodes, list(zip(["in", *names], [*names, "out"], strict=True)), **options)


def integers(*shape: int, seed: int = 0, most: int = 5) -> np.ndarray:
    """Weights -most..most, more of them positive."""
    return np.random.default_rng(seed).integers(-most + 2, most + 1, shape).astype(float)


def fires(n: int | tuple[int, ...], *, threshold: float = 4, reset: float = 0.0) -> nir.IF:
    return nir.IF(np.ones(n), np.full(n, float(threshold)), np.full(n, reset))


def leaks(
    n: int, *, decay: float = 0.5, threshold: float = 4, leak: float = 0.0, reset: float = 0.0
) -> nir.LIF:
    steps = 1 / (1 - decay)
    fields = (np.full(n, value) for value in (steps * DT_S, steps, leak, float(threshold), reset))
    return nir.LIF(*fields)


def filters(n: int, *, decay: float = 0.5, threshold: float = 12) -> nir.CubaLIF:
    steps = 1 / (1 - decay)
    return nir.CubaLIF(
        tau_mem=np.full(n, 4 * DT_S),
        tau_syn=np.full(n, steps * DT_S),
        r=np.full(n, 4.0),
        w_in=np.full(n, steps),
        v_leak=np.zeros(n),
        v_threshold=np.full(n, float(threshold)),
        v_reset=np.zeros(n),
    )


# Neurons.


@pytest.mark.parametrize("reset", ["model", "subtract"])
def test_a_membrane_at_its_threshold_does_not_fire_yet(reset: str) -> None:
    """NIR asks for more than the threshold; the chip fires at it."""
    tables = chain(
        nir.Linear(np.eye(3) * [[1], [2], [4]]), fires(3), shape=(3,), reset=reset, rate=0.9
    )
    assert (tables.populations[0].threshold > [4, 2, 1]).all()


@pytest.mark.parametrize("reset", ["model", "zero", "subtract"])
def test_leaks_and_resets(reset: str) -> None:
    chain(nir.Linear(integers(5, 4)), leaks(5, leak=0.5, reset=-1.5), shape=(4,), reset=reset)


def test_every_neuron_has_parameters_of_its_own() -> None:
    neurons = nir.LIF(
        *(np.array(v) for v in ([2e-3, 4e-3], [2.0, 4.0], [0.5, -1.0], [3.0, 5.0], [-1.0, 1.0]))
    )
    tables = chain(nir.Linear(integers(2, 3, seed=1)), neurons, shape=(3,))
    population = tables.populations[0]
    assert [len(v) for v in (population.threshold, population.alpha_decay, population.v_reset)] == [
        2,
        2,
        2,
    ]


def test_a_synaptic_filter() -> None:
    chain(nir.Linear(integers(5, 4)), filters(5), shape=(4,), reset="subtract")


@pytest.mark.parametrize("bias", [0.0, 3.0])
@pytest.mark.parametrize("excites", ["a", "b"])
def test_two_filters_are_those_of_the_two_signs(excites: str, bias: float) -> None:
    """One of 2 steps and one of 4. The filter of the positive weights is that of excitation.

    Constants of their sign go through the filters, too.
    """
    nodes: Nodes = {"in": nir.Input({"input": np.array([3])})}
    for name, steps in (("a", 2), ("b", 4)):
        sign = 2 if name == excites else -1
        weight = np.abs(integers(3, 3)) * sign
        nodes |= {f"w{name}": nir.Affine(weight, np.full(3, bias * sign))}
        nodes |= {name: nir.LI(np.full(3, steps * DT_S), np.full(3, float(steps)), np.zeros(3))}
    nodes |= {"n": leaks(3, threshold=6), "out": nir.Output({"output": np.array([3])})}
    edges = [(s, t) for e in "ab" for s, t in (("in", f"w{e}"), (f"w{e}", e), (e, "n"))]
    made = answers(nodes, [*edges, ("n", "out")])
    population = next(p for p in made.populations if p.exc_decay is not None)
    decays = population.exc_decay, population.inh_decay
    assert decays == ((0.5, 0.75) if excites == "a" else (0.75, 0.5))


def test_a_neuron_without_memory() -> None:
    chain(nir.Linear(integers(5, 4)), nir.Threshold(np.full(5, 2.0)), shape=(4,))


class CubaLI:
    """NIR has it, nir 1.0.8 does not."""

    def __init__(self, **fields: np.ndarray) -> None:
        vars(self).update(fields)


@pytest.mark.parametrize("last", ["LI", "I", "CubaLI"])
def test_membranes_are_read_out(last: str) -> None:
    n, one = 3, np.ones(3)
    readout = {
        "LI": nir.LI(4 * DT_S * one, 4 * one, 0.25 * one),
        "I": nir.I(one / DT_S),
        "CubaLI": CubaLI(
            tau_syn=2 * DT_S * one, tau_mem=4 * DT_S * one, r=4 * one, v_leak=0 * one, w_in=2 * one
        ),
    }[last]
    tables = chain(
        nir.Linear(integers(4, 4)), fires(4), nir.Linear(integers(n, 4)), readout, shape=(4,)
    )
    assert [p.spikes for p in tables.populations] == [True, False]


def test_membranes_and_spikes_beside_each_other() -> None:
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(integers(4, 3)),
        "a": fires(4),
        "x": nir.Linear(integers(2, 4, seed=2)),
        "b": nir.LI(4 * DT_S * np.ones(2), 4 * np.ones(2), np.zeros(2)),
        "out a": nir.Output({"output": np.array([4])}),
        "out b": nir.Output({"output": np.array([2])}),
    }
    answers(
        nodes, [("in", "w"), ("w", "a"), ("a", "x"), ("x", "b"), ("a", "out a"), ("b", "out b")]
    )


def test_a_membrane_that_two_outputs_show() -> None:
    weight = nir.Linear(np.array([[0.3, -0.1, 0.77, 0.2], [0.11, 0.5, -0.29, 0.05]]))
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(integers(4, 3)),
        "a": fires(4),
        "x": weight,
        "b": nir.LI(4 * DT_S * np.ones(2), 4 * np.ones(2), np.zeros(2)),
        "out a": nir.Output({"output": np.array([2])}),
        "out b": nir.Output({"output": np.array([2])}),
    }
    made = api.compile_model(
        graph(
            nodes, [("in", "w"), ("w", "a"), ("a", "x"), ("x", "b"), ("b", "out a"), ("b", "out b")]
        ),
        "spinnaker2:chip",
        Options(dt_s=DT_S),
    )
    inputs = (np.random.default_rng(1).random((6, STEPS, 3)) < 0.4).astype(int)
    device = made.bundle.run(inputs).outputs
    np.testing.assert_allclose(device, run(made.integer, inputs).outputs, rtol=1e-6, atol=1e-6)
    assert device.any() and (device[:, :, :2] == device[:, :, 2:]).all()


# Constant inputs.


def test_a_bias_is_there_from_the_first_step_of_a_deep_layer() -> None:
    deep = (nir.Affine(integers(4, 4), np.array([1.0, -2, 0.5, 3])), leaks(4, decay=0.75))
    chain(nir.Affine(integers(4, 3), np.full(4, 0.5)), fires(4), *deep, *deep, shape=(3,))


def test_a_bias_through_the_synaptic_filter_is_exact() -> None:
    """The importer adds the steady state to the membrane at once; here a clock brings it by the
    synapse.
    """
    tables = chain(
        nir.Affine(integers(4, 3), np.array([1.0, -2, 4, 3])), filters(4), shape=(3,), rate=0.2
    )
    assert [p.name for p in tables.populations] == ["1", "bias"]
    assert not tables.populations[0].i_offset.any()


def test_what_is_not_an_integer_of_such_a_bias_comes_with_its_steady_state() -> None:
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Affine(np.array([[4.0, np.pi, np.e]]), np.array([0.9])),
        "n": filters(1, threshold=1e6),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("in", "w"), ("w", "n"), ("n", "out")]
    log, options = Log(), Options(dt_s=DT_S, allow_silent=True)
    made = api.compile_model(graph(nodes, edges), "spinnaker2:chip", options, log=log)
    (note,) = [d for d in log.diagnostics if d.code == "D431"]
    assert "of a unit of weight act at once" in note.message
    quiet = np.zeros((1, 60, 3), int)
    v = run(made.stages.discrete, quiet, record=["n"]).v["n"][0, :, 0]
    ours = made.bundle.run(quiet, record=["n"]).v["n"][0, :, 0] / made.mapped.blocks["n"].scale[0]
    assert abs(ours[-1] / v[-1] - 1) < 1e-5
    assert np.abs(ours - v).max() < 0.5 * 4  # half a unit of weight, filtered by the membrane


def test_biases_of_several_inputs_add_up() -> None:
    nodes = {
        "one": nir.Input({"input": np.array([2])}),
        "two": nir.Input({"input": np.array([3])}),
        "w1": nir.Affine(integers(4, 2), np.array([1.0, 0, 2, 0])),
        "w2": nir.Affine(integers(4, 3, seed=3), np.array([-0.5, 1, 2, 0])),
        "n": leaks(4),
        "out": nir.Output({"output": np.array([4])}),
    }
    tables = answers(nodes, [("one", "w1"), ("two", "w2"), ("w1", "n"), ("w2", "n"), ("n", "out")])
    population = tables.populations[0]
    np.testing.assert_array_equal(population.i_offset, [0.5, 1, 4, 0])


def test_a_constant_that_fires_alone_waits_for_the_first_step() -> None:
    tables = chain(
        nir.Linear(integers(3, 3)),
        fires(3),
        nir.Affine(integers(2, 3), np.array([4.0, 1])),
        nir.Threshold(np.full(2, 3.0)),
        shape=(3,),
    )
    assert tables.populations[-1].name == "bias"


# Linear layers.


def conv(weight: np.ndarray, size: tuple[int, int], **fields: Any) -> nir.Conv2d:
    fields = {
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "groups": 1,
        "bias": np.zeros(len(weight)),
    } | fields
    return nir.Conv2d(input_shape=size, weight=weight, **fields)


@pytest.mark.parametrize(
    ("fields", "out", "model"),
    [
        ({"padding": (1, 0)}, (4, 6, 6), "lif_conv2d"),
        ({"stride": (2, 2), "padding": (1, 1)}, (4, 3, 4), "lif_conv2d"),
        ({"stride": (2, 1)}, (4, 2, 6), "lif_no_delay"),
        ({"stride": (1, 2)}, (4, 4, 3), "lif_no_delay"),
        ({"dilation": (2, 1)}, (4, 2, 6), "lif_no_delay"),
        ({"bias": np.array([0.5, -1, 0, 2])}, (4, 4, 6), "lif_conv2d"),
    ],
)
def test_convolutions_of_both_axes(
    fields: dict[str, Any], out: tuple[int, ...], model: str
) -> None:
    tables = chain(
        conv(integers(4, 2, 3, 3), (6, 8), **fields),
        fires(out, threshold=6),
        shape=(2, 6, 8),
        rate=0.2,
    )
    assert tables.populations[0].model == model


def test_a_kernel_whose_constant_fires_alone_is_listed_for_its_clock() -> None:
    tables = chain(
        conv(integers(2, 1, 2, 2), (4, 4)),
        fires((2, 3, 3), threshold=3),
        conv(integers(2, 2, 2, 2, seed=1), (3, 3), bias=np.array([5.0, 0.0])),
        nir.Threshold(np.full((2, 2, 2), 3.0)),
        shape=(1, 4, 4),
    )
    models = {p.name: p.model for p in tables.populations}
    assert models == {"1": "lif_conv2d", "3": "lif_no_delay", "bias": "lif_no_delay"}


def test_groups() -> None:
    tables = chain(
        conv(integers(4, 1, 3, 3), (6, 8), groups=2), fires((4, 4, 6)), shape=(2, 6, 8), rate=0.2
    )
    assert tables.populations[0].model == "lif_no_delay"


@pytest.mark.parametrize(
    ("pool", "model"), [((2, 2), "lif_conv2d"), ((2, 1), "lif_no_delay"), ((1, 2), "lif_no_delay")]
)
@pytest.mark.parametrize("kind", [nir.SumPool2d, nir.AvgPool2d])
def test_pooling_before_a_convolution(kind: Any, pool: tuple[int, int], model: str) -> None:
    size = (8 // pool[0], 8 // pool[1])
    layers = (
        kind(np.array(pool), np.array(pool), np.array([0, 0])),
        conv(integers(3, 2, 3, 3), size),
        fires((3, size[0] - 2, size[1] - 2), threshold=5),
    )
    tables = chain(*layers, shape=(2, 8, 8), rate=0.3)
    assert tables.populations[0].model == model


def test_pooling_straight_into_neurons() -> None:
    layers = (
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        fires((2, 3, 2), threshold=2),
    )
    chain(*layers, shape=(2, 6, 4))


@pytest.mark.parametrize("affine", [True, False])
def test_pool_flatten_and_dense(affine: bool) -> None:
    """With Linear the importer raises, with a neuron before Flatten it drops the layer."""
    dense = (
        nir.Affine(integers(3, 12), np.array([1.0, 0, -1]))
        if affine
        else nir.Linear(integers(3, 12))
    )
    layers = (
        fires((2, 6, 4), threshold=0.5),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([2, 3, 2])}, 0, -1),
        dense,
        fires(3, threshold=9),
    )
    chain(*layers, shape=(2, 6, 4))


def test_neurons_flatten_dense() -> None:
    layers = (
        conv(integers(2, 1, 3, 3), (5, 4)),
        fires((2, 3, 2)),
        nir.Flatten({"input": np.array([2, 3, 2])}, 0, -1),
        nir.Affine(integers(3, 12), np.zeros(3)),
        fires(3),
    )
    tables = chain(*layers, shape=(1, 5, 4))
    assert len(tables.projections) == len(tables.convolutions) == 1


def test_convolution_along_one_axis() -> None:
    layer = nir.Conv1d(
        input_shape=9,
        weight=integers(3, 2, 3),
        stride=2,
        padding=1,
        dilation=1,
        groups=1,
        bias=np.ones(3),
    )
    chain(layer, fires((3, 5)), shape=(2, 9))


def test_scales_and_weights_in_a_row() -> None:
    chain(
        nir.Scale(np.array([1.0, 2, 3])),
        nir.Linear(integers(4, 3)),
        nir.Linear(integers(3, 4)),
        fires(3, threshold=20),
        shape=(3,),
    )


def test_neurons_straight_into_neurons() -> None:
    chain(
        nir.Linear(integers(3, 3, seed=2)), fires(3), fires(3, threshold=1.5), shape=(3,), rate=0.8
    )


# Time.


def recurrent(neurons: Any) -> tuple[Nodes, list[tuple[str, str]]]:
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(integers(4, 3)),
        "n": neurons,
        "r": nir.Affine(integers(4, 4, seed=5), np.array([1.0, 0, -1, 1])),
        "out": nir.Output({"output": np.array([4])}),
    }
    return nodes, [("in", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "out")]


@pytest.mark.parametrize("neurons", [leaks(4), filters(4)], ids=["LIF", "CubaLIF"])
def test_recurrence_with_a_bias_on_the_way_back(neurons: Any) -> None:
    answers(*recurrent(neurons))


def skip(**nodes: Any) -> tuple[Nodes, list[tuple[str, str]]]:
    """in -> a -> b and in -> b."""
    made = {
        "in": nir.Input({"input": np.array([3])}),
        "wa": nir.Linear(integers(4, 3)),
        "a": fires(4),
        "wb": nir.Linear(integers(2, 4)),
        "s": nir.Linear(integers(2, 3, seed=8)),
        "b": leaks(2),
        "out": nir.Output({"output": np.array([2])}),
    } | nodes
    edges = [
        ("in", "wa"),
        ("wa", "a"),
        ("a", "wb"),
        ("wb", "b"),
        ("in", "s"),
        ("s", "b"),
        ("b", "out"),
    ]
    return made, edges


def test_the_shorter_way_waits_in_its_synapses() -> None:
    tables = answers(*skip())
    models = {p.name: p.model for p in tables.populations}
    assert models == {"a": "lif_no_delay", "b": "lif"}
    assert {(p.source, int(d)) for p in tables.projections for d in p.delay} == {
        ("in", 0),
        ("in", 1),
        ("a", 0),
    }


def test_or_in_relays_with_weights_of_eight_bits() -> None:
    nodes = skip(
        s=nir.Linear(40 * integers(2, 3, seed=8)),
        wb=nir.Linear(31 * integers(2, 4)),
        b=leaks(2, threshold=90),
    )
    tables = answers(*nodes, delays="relays", codes={"N912"})
    models = {p.name: p.model for p in tables.populations}
    assert models == {"a": "lif_no_delay", "b": "lif_no_delay", "in.relay": "lif_no_delay"}


def test_weights_of_four_bits_are_reported() -> None:
    made, edges = skip(s=nir.Linear(40.0 * integers(2, 3, seed=8) + 0.37), b=leaks(2, threshold=90))
    log = Log()
    api.compile_model(graph(made, edges), "spinnaker2:chip", Options(dt_s=DT_S), log=log)
    assert "D430" in {d.code for d in log.diagnostics}


@pytest.mark.parametrize(("steps", "relays"), [(1, 0), (8, 0), (9, 1), (16, 1), (17, 2)])
def test_delays_of_any_length(steps: int, relays: int) -> None:
    layers = (nir.Delay(np.full(3, steps * DT_S)), nir.Linear(integers(2, 3)), fires(2))
    tables = chain(*layers, shape=(3,), codes={"N912"} if relays else None)
    assert len(tables.populations) == 1 + relays


def test_relays_along_a_chain_have_short_names() -> None:
    layers = (nir.Delay(np.full(3, 17 * DT_S)), nir.Linear(integers(2, 3)), fires(2))
    tables = chain(*layers, shape=(3,), codes={"N912"})
    (source,) = {p.name for p in tables.inputs}
    relays = {p.name for p in tables.populations if p.name.startswith(source)}
    assert relays == {f"{source}.relay", f"{source}.relay2"}


def test_a_relay_of_an_output_has_a_short_name() -> None:
    nodes, edges = skip(d=nir.Delay(np.full(3, 12 * DT_S)))
    nodes["out 2"] = nir.Output({"output": np.array([3])})
    tables = answers(nodes, [*edges, ("in", "d"), ("d", "out 2")], codes={"N912"})
    relays = {p.name for p in tables.populations if "relay" in p.name}
    assert relays == {"in.relay", "out 2.relay"}


def test_a_relay_of_a_population_has_the_name_of_the_population() -> None:
    layers = (nir.Linear(integers(3, 3)), fires(3), nir.Delay(np.full(3, 12 * DT_S)))
    tables = chain(*layers, nir.Linear(integers(2, 3)), fires(2), shape=(3,), codes={"N912"})
    names = [p.name for p in tables.populations]
    assert f"{names[0]}.relay" in names and len(names) == 3


def test_delays_of_their_own() -> None:
    chain(nir.Delay(np.array([0, 2, 5]) * DT_S), nir.Linear(integers(2, 3)), fires(2), shape=(3,))


def test_a_delayed_loop() -> None:
    nodes, edges = recurrent(leaks(4))
    nodes = {**nodes, "d": nir.Delay(np.full(4, 3 * DT_S))}
    answers(nodes, [e for e in edges if e != ("r", "n")] + [("r", "d"), ("d", "n")])


def test_a_loop_of_two_populations_takes_longer() -> None:
    nodes = {
        "in": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(integers(2, 2)),
        "a": fires(2),
        "f": nir.Linear(np.eye(2)),
        "b": fires(2, threshold=0.5),
        "g": nir.Linear(np.eye(2)),
        "out": nir.Output({"output": np.array([2])}),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "f"), ("f", "b"), ("b", "g"), ("g", "a"), ("b", "out")]
    log = Log()
    made = api.compile_model(graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S), log=log)
    assert [d.code for d in log.diagnostics if d.code[0] == "D"] == ["D406"]
    inputs = (np.random.default_rng(1).random((2, STEPS, 2)) < 0.4).astype(int)
    np.testing.assert_array_equal(
        made.bundle.run(inputs).outputs, run(made.integer, inputs).outputs
    )


def test_an_input_that_is_an_output() -> None:
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(integers(2, 3)),
        "n": fires(2),
        "echo": nir.Output({"output": np.array([3])}),
        "out": nir.Output({"output": np.array([2])}),
    }
    answers(nodes, [("in", "w"), ("w", "n"), ("n", "out"), ("in", "echo")])


# The graph.


def test_nested_graphs() -> None:
    inner = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([4])}),
            "n": leaks(4),
            "r": nir.Linear(integers(4, 4, seed=5)),
            "output": nir.Output({"output": np.array([4])}),
        },
        [("input", "n"), ("n", "r"), ("r", "n"), ("n", "output")],
    )
    chain(nir.Linear(integers(4, 3)), inner, nir.Linear(integers(2, 4)), fires(2), shape=(3,))


def test_two_filters_by_sign() -> None:
    nodes = {
        "in": nir.Input({"input": np.array([4])}),
        "w+": nir.Linear(np.abs(integers(3, 4))),
        "w-": nir.Linear(-np.abs(integers(3, 4, seed=1)) / 2),
        "fast": nir.LI(np.full(3, 2 * DT_S), np.full(3, 2.0), np.zeros(3)),
        "slow": nir.LI(np.full(3, 4 * DT_S), np.full(3, 4.0), np.zeros(3)),
        "n": leaks(3, threshold=8),
        "out": nir.Output({"output": np.array([3])}),
    }
    edges = [
        ("in", "w+"),
        ("in", "w-"),
        ("w+", "fast"),
        ("w-", "slow"),
        ("fast", "n"),
        ("slow", "n"),
        ("n", "out"),
    ]
    tables = answers(nodes, edges)
    (population,) = tables.populations
    assert population.exc_decay is not None and population.inh_decay is not None
    assert (population.exc_decay[0], population.inh_decay[0]) == (0.5, 0.75)
    assert len(tables.projections) == 2, "two synapses between the same neurons"


def test_synapses_of_one_unit_pass_the_filter_whatever_their_sign() -> None:
    current = nir.CubaLIF(
        tau_syn=np.full(1, 2 * DT_S), tau_mem=np.full(1, 4 * DT_S), r=np.full(1, 4.0),
        v_leak=np.zeros(1), v_threshold=np.full(1, 3.0), w_in=np.full(1, 2.0),
    )  # fmt: skip
    tables = chain(nir.Linear(np.array([[3.0, 1, -1, -2]])), current, shape=(4,))
    assert sorted(w for p in tables.projections for w in p.weight.tolist()) == [-2, -1, 1, 3]
