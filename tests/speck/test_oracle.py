"""The backend against the vendor's software: memories, mapping, weights, spikes are equal."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirc.api import Options, compile_model
from nirc.backends.speck.config import read_config
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, InputRoute
from nirc.backends.speck.demand import most_channels
from nirc.backends.speck.emulate import emulate
from nirc.backends.speck.geometry import Map, kernel_words, neuron_words, output_size
from nirc.backends.speck.limits import CORES
from nirc.ir.arrays import size
from tests.speck.oracle import (
    Discretised,
    configuration_of,
    discretised,
    iaf,
    in_order,
    network,
    require_sinabs,
)

pytestmark = pytest.mark.oracle
FILES = ("paper/cnn_sinabs.nir", "zoo/digits_if_cnn.nir")


@pytest.fixture(scope="module")
def sinabs() -> SimpleNamespace:
    return require_sinabs()


def assert_equals_oracle(configuration: Configuration, raster: np.ndarray) -> int:
    """Spikes and membranes of every neuron at every step. Returns how many spikes there were."""
    run = emulate(configuration, raster, mode="synchronous", record=True)
    oracle = network(configuration)
    spikes, membranes = oracle.trace(raster)
    cores = [layer.core for layer in configuration.layers]
    np.testing.assert_array_equal(
        run.spikes["neurons"], np.concatenate([spikes[core] for core in cores], axis=2)
    )
    np.testing.assert_array_equal(
        run.v["neurons"], np.concatenate([membranes[core] for core in cores], axis=2)
    )
    np.testing.assert_array_equal(run.outputs, oracle.run(raster))
    return int(run.spikes["neurons"].sum())


def assert_equals_sinabs(given: Discretised, raster: np.ndarray) -> int:
    """Compare sinabs' network with its integers in our tables, in our emulator and in the oracle.

    Return the number of spikes.
    """
    configuration = configuration_of(given)
    expected = given.run(raster)
    np.testing.assert_array_equal(network(configuration).run(raster), expected)
    np.testing.assert_array_equal(
        emulate(configuration, raster, mode="synchronous").outputs, expected
    )
    return int(expected.sum())


def random_raster(rng: np.random.Generator, samples: int, steps: int, channels: int) -> np.ndarray:
    return rng.poisson(0.25, (samples, steps, channels))


@pytest.mark.parametrize(
    ("file", "samples"), [("paper/cnn_sinabs.nir", 15), ("zoo/digits_if_cnn.nir", 35)]
)
def test_published_networks_as_sinabs_discretises_them(data: Path, file: str, samples: int) -> None:
    given = discretised(data / file)
    channels = size(tuple(given.network.input_shape))
    assert (
        assert_equals_sinabs(
            given, random_raster(np.random.default_rng(samples), samples, 20, channels)
        )
        > 100
    )


def random_stack(s: SimpleNamespace, rng: np.random.Generator, reset: str) -> tuple[Any, Map]:
    """Return convolutions with pools between, then maybe a linear layer, some with biases."""
    c, y = int(rng.integers(1, 4)), int(rng.integers(6, 11))
    shape, modules, pooled = (c, y, y), [], False

    def scaled(module: Any) -> Any:
        module.weight.data = s.torch.tensor(rng.normal(0.15, 0.5, module.weight.shape)).float()
        if module.bias is not None:
            module.bias.data = s.torch.tensor(rng.normal(0, 0.2, module.bias.shape)).float()
        return module

    for _ in range(rng.integers(1, 4)):
        k, stride, padding = (
            int(rng.integers(low, high)) for low, high in ((1, 4), (1, 3), (0, 3))
        )
        if output_size(y, k, stride, padding) < 2:
            break
        f = int(rng.integers(1, 7))
        conv = s.nn.Conv2d(c, f, k, stride=stride, padding=padding, bias=bool(rng.integers(2)))
        modules += [scaled(conv), iaf(s, float(rng.uniform(0.5, 2)), reset=reset)]
        c, y = f, output_size(y, k, stride, padding)
        pooled = y >= 4 and bool(rng.integers(2))
        if pooled:
            kind = s.nn.AvgPool2d if rng.integers(2) else s.layers.SumPool2d
            modules.append(kind(2))
            y //= 2
    if not modules or pooled or rng.integers(2):  # monitors show no pool at the end
        linear = s.nn.Linear(c * y * y, int(rng.integers(1, 9)), bias=bool(rng.integers(2)))
        modules += [s.nn.Flatten(), scaled(linear), iaf(s, float(rng.uniform(0.5, 2)), reset=reset)]
    return s.nn.Sequential(*modules), shape


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_random_stacks(sinabs: SimpleNamespace, reset: str) -> None:
    """80 rasters for each reset rule."""
    rng = np.random.default_rng(80)
    fired = 0
    for _ in range(20):
        model, shape = random_stack(sinabs, rng, reset)
        given = discretised(model, shape)
        fired += assert_equals_sinabs(given, random_raster(rng, 4, 12, size(shape))) > 0
    assert fired >= 15


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_branch_that_is_merged_again(sinabs: SimpleNamespace, reset: str) -> None:
    """Two destinations with different pools, and two cores that feed one."""
    s, rng = sinabs, np.random.default_rng(2)

    class Branches(s.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.fire = (
                s.nn.Conv2d(2, 4, 3, padding=1, bias=False),
                iaf(s, 1.0, reset=reset),
            )
            self.pool_a, self.pool_b = s.layers.SumPool2d(2), s.layers.SumPool2d(4)
            self.a, self.fire_a = (
                s.nn.Conv2d(4, 3, 2, stride=2, bias=True),
                iaf(s, 1.5, reset=reset),
            )
            self.b, self.fire_b = s.nn.Conv2d(4, 3, 1, bias=False), iaf(s, 0.7, reset=reset)
            self.merge = s.layers.Merge()
            self.last, self.fire_last = s.nn.Conv2d(3, 5, 2, bias=False), iaf(s, 1.0, reset=reset)

        def forward(self, x: Any) -> Any:
            x = self.fire(self.first(x))
            a, b = self.fire_a(self.a(self.pool_a(x))), self.fire_b(self.b(self.pool_b(x)))
            return self.fire_last(self.last(self.merge(a, b)))

    model = Branches()
    for conv in (model.first, model.a, model.b, model.last):
        conv.weight.data = s.torch.tensor(rng.normal(0.2, 0.4, conv.weight.shape)).float()
    assert (
        assert_equals_sinabs(discretised(model, (2, 8, 8)), random_raster(rng, 10, 12, 2 * 8 * 8))
        > 100
    )


def test_what_sinabs_cannot_say(sinabs: SimpleNamespace) -> None:
    """Feature shifts, two watched cores, initial membranes, biases, pooling, lower bounds."""
    rng = np.random.default_rng(3)

    def core(number: int, shape_in: Map, kernel: int, f: int, **kw: Any) -> CoreLayer:
        shape = (
            f,
            *(output_size(n, kernel, 1, kw.get("padding", (0, 0))[0]) for n in shape_in[1:]),
        )
        fields: dict[str, Any] = {
            "kernel": rng.integers(-128, 128, (f, shape_in[0], kernel, kernel)),
            "stride": (1, 1),
            "padding": (0, 0),
            "bias": rng.integers(-1500, 1500, f),
            "threshold_high": int(rng.integers(100, 2000)),
            "threshold_low": -int(rng.integers(1, 2000)),
            "return_to_zero": bool(rng.integers(2)),
            "initial": rng.integers(-1, 90, shape),
        }
        return CoreLayer(number, shape_in, shape, **(fields | kw))  # type: ignore[arg-type]

    fired = 0
    for _ in range(10):
        first = core(
            1,
            (3, 6, 6),
            3,
            4,
            padding=(1, 1),
            destinations=(Destination(4, 2), Destination(6)),
            monitor=True,
        )
        second = core(2, (2, 3, 3), 1, 3, destinations=(Destination(4, 1, 4),))
        third = core(4, (7, 3, 3), 2, 5, destinations=(Destination(6, 1, 4),))
        last = core(6, (9, 6, 6), 6, 3, monitor=True)
        inputs = (
            InputRoute(0, (2, 6, 6), 1, feature_shift=1),
            InputRoute(72, (1, 12, 6), 1, pooling=(2, 1)),
            InputRoute(0, (2, 6, 6), 2, pooling=(2, 2)),
        )
        configuration = Configuration("2e", (first, second, third, last), inputs)
        fired += assert_equals_oracle(configuration, random_raster(rng, 4, 12, 144))
    assert fired > 1000


@st.composite
def layers(draw: st.DrawFn) -> tuple[Map, int, int, tuple[int, int], tuple[int, int], bool]:
    """(input map, channels, kernel, stride, padding, whether there is a bias)."""
    shape = draw(st.tuples(st.integers(1, 1024), st.integers(1, 128), st.integers(1, 128)))
    f, kernel = draw(st.integers(1, 1024)), draw(st.integers(1, 16))
    stride = draw(st.tuples(*[st.sampled_from((1, 2, 4, 8))] * 2))
    padding = draw(st.tuples(*[st.integers(0, 7)] * 2))
    assume(all(n + 2 * p >= kernel for n, p in zip(shape[1:], padding, strict=True)))
    return shape, f, kernel, stride, padding, draw(st.booleans())


@settings(max_examples=400)
@given(layer=layers())
def test_memories_of_random_layers(
    sinabs: SimpleNamespace, layer: tuple[Map, int, int, tuple[int, int], tuple[int, int], bool]
) -> None:
    """Sizes only: the kernels are never allocated."""
    shape, f, kernel, stride, padding, bias = layer
    made = _sized(sinabs, shape, f, kernel, stride=stride, padding=padding, bias=bias)
    out = tuple(
        output_size(n, kernel, s, p) for n, s, p in zip(shape[1:], stride, padding, strict=True)
    )
    assert made.get_neuron_shape() == (f, *out)
    ours = {
        "kernel": kernel_words(shape[0], f, (kernel, kernel)),
        "neuron": neuron_words((f, *out)),
        "bias": f * bias,
    }
    assert made.memory_summary() == ours


@settings(max_examples=200)
@given(
    c=st.integers(1, 64),
    n=st.integers(1, 64),
    kernel=st.integers(1, 16),
    core=st.sampled_from(CORES),
)
def test_the_most_channels_of_a_core(
    sinabs: SimpleNamespace, c: int, n: int, kernel: int, core: Any
) -> None:
    assume(n >= kernel)
    out = output_size(n, kernel, 1, 0)
    most = most_channels(c, (kernel, kernel), (1, out, out), core.kernel, core.neuron)
    constraint = sinabs.builders["2f"].get_constraints()[core.number]
    if most:
        assert constraint.fits(_sized(sinabs, (c, n, n), most, kernel))
    assert most == 1024 or not constraint.fits(_sized(sinabs, (c, n, n), most + 1, kernel))


def _sized(s: SimpleNamespace, shape: Map, f: int, kernel: int, **options: Any) -> Any:
    options = {"bias": False} | options
    conv = s.nn.Conv2d(shape[0], f, kernel, device="meta", **options)
    return s.DynapcnnLayer(conv, iaf(s, 1.0), in_shape=shape, pool=[(1, 1)], discretize=False)


@pytest.mark.parametrize("variant", ["2e", "2f"])
def test_memories_of_the_cores(sinabs: SimpleNamespace, variant: str) -> None:
    theirs = sinabs.builders[variant].get_constraints()
    assert [(c.kernel_memory, c.neuron_memory, c.bias_memory) for c in theirs] == [
        (c.kernel, c.neuron, c.bias) for c in CORES
    ]


@pytest.fixture(scope="module", params=FILES)
def compiled(request: pytest.FixtureRequest, data: Path) -> tuple[Path, Any, Configuration]:
    """File, bundle and what its config.json says."""
    file = data / request.param
    bundle = compile_model(
        file, "speck", Options(reset="subtract", chip=(("rounding", "nearest"),))
    ).bundle
    return file, bundle, read_config(bundle.files["config.json"])


def test_compiled_weights_are_those_of_sinabs(compiled: tuple[Path, Any, Configuration]) -> None:
    """Thresholds too, but not the lower bound, which NIR does not have."""
    file, _, configuration = compiled
    theirs, ours = discretised(file), in_order(configuration)
    assert len(ours) == len(theirs.weights)
    for layer, weight, bias, threshold in zip(
        ours, theirs.weights, theirs.biases, theirs.thresholds, strict=True
    ):
        np.testing.assert_array_equal(layer.kernel, weight)
        np.testing.assert_array_equal(layer.bias, bias)
        assert layer.threshold_high == threshold
        assert layer.threshold_low == -32768


@pytest.mark.parametrize(
    ("file", "differ"), [("paper/cnn_sinabs.nir", 1), ("zoo/digits_if_cnn.nir", 0)]
)
def test_single_precision_moves_only_ties(data: Path, file: str, differ: int) -> None:
    """Of 39584 weights one scales to -42.50000045. That is -43, but sinabs takes -42.5."""
    single, double = discretised(data / file), discretised(data / file, double=True)
    assert single.thresholds == double.thresholds
    apart = np.concatenate(
        [np.abs(a - b).ravel() for a, b in zip(single.weights, double.weights, strict=True)]
    )
    assert apart.max() <= 1
    assert int(apart.sum()) == differ


@pytest.mark.parametrize("floor", [-1.0, -0.3, -20.0])
@pytest.mark.parametrize("bias", [0.0, 0.2])
def test_a_network_of_sinabs_is_its_dynapcnn_network_on_the_chip(
    sinabs: SimpleNamespace, tmp_path: Path, floor: float, bias: float
) -> None:
    """Sinabs' exporter: every integer and spike is that of Sinabs' quantised network."""
    s, rng = sinabs, np.random.default_rng(3)
    model, raster = _trained(s, rng, floor, bias), random_raster(rng, 3, 15, 2 * 12 * 12)
    sample = s.torch.tensor(raster[0, :1]).float().reshape(1, 2, 12, 12)
    graph = s.to_nir(model, sample)
    graph.infer_types()  # nirtorch 2.6 leaves the shapes of convolutions open
    nir.write(tmp_path / "model.nir", graph)
    with s.torch.no_grad():
        theirs = s.DynapcnnNetwork(
            _trained(s, np.random.default_rng(3), floor, bias), (2, 12, 12), dvs_input=False
        )
    bundle = compile_model(
        tmp_path / "model.nir", "speck", Options(writer=f"sinabs,floor={floor:g}")
    ).bundle
    for ours, layer in zip(
        in_order(read_config(bundle.files["config.json"])),
        theirs.dynapcnn_layers.values(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours.kernel, layer.conv_layer.weight.detach().numpy())
        assert ours.threshold_high == int(layer.spk_layer.spike_threshold)
        assert ours.threshold_low == int(layer.spk_layer.min_v_mem)
    expected = []
    for shown in s.torch.tensor(raster).float().reshape(3, 15, 2, 12, 12):
        for layer in theirs.dynapcnn_layers.values():
            layer.spk_layer.reset_states()
        with s.torch.no_grad():
            expected.append(theirs(shown).reshape(15, -1).numpy())
    assert np.sum(expected) > 10
    np.testing.assert_array_equal(bundle.run(raster).outputs, expected)


def _trained(s: SimpleNamespace, rng: np.random.Generator, floor: float, bias: float) -> Any:
    """Two convolutions with pools and a linear layer, seeded."""

    def filled(module: Any, spread: float) -> Any:
        module.weight.data = s.torch.tensor(
            rng.normal(0.3 * spread, spread, module.weight.shape)
        ).float()
        if bias:
            module.bias.data = s.torch.tensor(rng.normal(0, bias, module.bias.shape)).float()
        return module

    def neurons() -> Any:
        return s.layers.IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=floor)

    biased = bias > 0
    return s.nn.Sequential(
        filled(s.nn.Conv2d(2, 4, 3, padding=1, bias=biased), 0.2),
        neurons(),
        s.layers.SumPool2d(2),
        filled(s.nn.Conv2d(4, 6, 3, padding=1, bias=biased), 0.1),
        neurons(),
        s.layers.SumPool2d(2),
        s.nn.Flatten(),
        filled(s.nn.Linear(6 * 3 * 3, 5, bias=biased), 0.1),
        neurons(),
    )


def test_compiled_layers_fit_their_cores_by_sinabs_rules(
    compiled: tuple[Path, Any, Configuration],
) -> None:
    _, _, configuration = compiled
    oracle = network(configuration)
    assert oracle.misfits() == []
    assert sorted(oracle.mapping()) == [layer.core for layer in configuration.layers]
    for layer in configuration.layers:
        words = oracle.memories()[layer.core]
        f, c, *kernel = layer.kernel.shape
        assert words["kernel"] == kernel_words(c, f, (kernel[0], kernel[1]))
        assert words["neuron"] == neuron_words(layer.shape_out)


def test_config_json_says_what_sinabs_builder_would_write(
    compiled: tuple[Path, Any, Configuration],
) -> None:
    """Every field that sinabs writes, with the axes as it turns them."""
    _, bundle, configuration = compiled
    cores = json.loads(bundle.files["config.json"])["cnn_layers"]
    for layer, theirs in zip(
        configuration.layers, network(configuration).vendor_tree(), strict=True
    ):
        ours = cores[layer.core]
        # sinabs leaves monitors to another call.
        assert {name: ours[name] for name in theirs} == theirs | {"monitor_enable": layer.monitor}


def test_compiled_networks_run_as_in_sinabs(compiled: tuple[Path, Any, Configuration]) -> None:
    _, bundle, configuration = compiled
    raster = random_raster(np.random.default_rng(4), 20, 20, configuration.input_channels)
    expected = network(configuration).run(raster)
    shape = bundle.manifest["input_shape"][0]
    found = bundle.run(raster.reshape(*raster.shape[:2], *shape), mode="synchronous").outputs
    np.testing.assert_array_equal(
        found.reshape(*found.shape[:2], -1), expected[..., bundle.manifest["output_map"]]
    )
    assert found.any()
