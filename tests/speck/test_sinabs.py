"""What docs and scripts say of sinabs, sentence by sentence."""

from __future__ import annotations

import importlib
import json
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.backends.speck.emit import BOARDS, deploy_py
from tests.speck import samna_blank
from tests.speck.oracle import iaf, require_sinabs

pytestmark = pytest.mark.oracle
Map = tuple[int, int, int]


@pytest.fixture(scope="module")
def sinabs() -> SimpleNamespace:
    return require_sinabs()


def module_of(name: str) -> Any:
    with samna_blank.importable():
        return importlib.import_module(f"sinabs.{name}")


def convolution(s: SimpleNamespace, *sizes: Any, **options: Any) -> Any:
    return s.nn.Conv2d(*sizes, bias=False, **options)


def configured(s: SimpleNamespace, shape: Map, *modules: Any) -> Any:
    """sinabs' network of ``modules`` on a Speck 2f, and its configuration object."""
    with s.torch.no_grad():
        made = s.DynapcnnNetwork(s.nn.Sequential(*modules), shape, dvs_input=False)
    return made, made.make_config(device="speck2fdevkit")


@pytest.mark.parametrize(
    ("shape", "sizes", "options"),
    [
        ((1, 8, 8), (1, 1, 3), {"dilation": 2}),
        ((2, 8, 8), (2, 2, 3), {"groups": 2}),
        ((1, 9, 9), (1, 1, 3), {"stride": 3}),
        ((1, 9, 9), (1, 1, 9), {"padding": 9}),
        ((1, 17, 17), (1, 1, 17), {}),
        ((1, 100, 100), (1, 1, 1), {}),
        ((1, 200, 200), (1, 1, 8), {"stride": 8}),
    ],
    ids=["dilation", "groups", "stride 3", "padding 9", "kernel 17", "map 100", "input 200"],
)
def test_what_the_chip_has_not_is_accepted_without_a_word(
    sinabs: SimpleNamespace, shape: Map, sizes: Any, options: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configured(sinabs, shape, convolution(sinabs, *sizes, **options), iaf(sinabs, 1.0))


def test_a_pool_of_3_is_accepted_without_a_word(sinabs: SimpleNamespace) -> None:
    s = sinabs
    first = convolution(s, 1, 1, 3, padding=1), iaf(s, 1.0), s.layers.SumPool2d(3)
    _, config = configured(s, (1, 9, 9), *first, convolution(s, 1, 1, 3), iaf(s, 1.0))
    assert 3 in [d.pooling for core in config.cnn_layers for d in core.destinations]


def test_kernels_maps_and_neurons_that_it_refuses(sinabs: SimpleNamespace) -> None:
    s = sinabs
    with pytest.raises(ValueError, match="same height and width"):
        configured(s, (1, 9, 9), convolution(s, 1, 1, (3, 5)), iaf(s, 1.0))
    with pytest.raises(ValueError, match="same height and width"):
        configured(s, (1, 4, 6), s.nn.Flatten(), s.nn.Linear(24, 2, bias=False), iaf(s, 1.0))
    with pytest.raises(Exception, match="LIF layers"):
        leaky = s.layers.LIFSqueeze(tau_mem=10.0, batch_size=1)
        configured(s, (1, 9, 9), convolution(s, 1, 1, 3), leaky)
    with pytest.raises(ValueError, match="could not be mapped to any core"):  # not split
        configured(s, (64, 4, 4), convolution(s, 64, 1024, 2), iaf(s, 1.0))


def test_an_earlier_layer_leaves_its_core_to_one_that_fits_no_other(
    sinabs: SimpleNamespace,
) -> None:
    """Placement is a matching. By first fit the last layer would find no core."""
    s = sinabs

    def sized(n: int) -> Any:
        conv = convolution(s, 1, 1, 1, device="meta")
        return s.DynapcnnLayer(
            conv, iaf(s, 1.0), in_shape=(1, n, n), pool=[(1, 1)], discretize=False
        )

    small, large = sized(2), sized(250)
    cores = s.builders["2f"].get_constraints()
    fitting = [i for i, core in enumerate(cores) if core.fits(large)]
    assert fitting == [0, 1, 2] and cores[0].fits(small)
    layers = dict(enumerate([small, *[large] * len(fitting)]))
    placed = s.builders["2f"].map_layers_to_cores(layers)
    assert sorted(placed[i] for i in (1, 2, 3)) == fitting and placed[0] not in fitting


def discretised(s: SimpleNamespace, low: float | None, bias: float) -> tuple[list[float], Any, Any]:
    """Weights of +-0.3 and 0.7 volts, the biases, and the neurons, in sinabs' integers."""
    conv = s.nn.Conv2d(1, 1, 2)
    conv.weight.data = s.torch.tensor([[[[0.3, -0.3], [0.7, -0.4]]]])
    conv.bias.data = s.torch.tensor([bias])
    neurons = s.layers.IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=low)
    s.discretise_in_place(conv, neurons)
    return conv.weight.flatten().tolist(), conv.bias.item(), neurons


def test_without_a_lower_bound_the_scale_is_1(sinabs: SimpleNamespace) -> None:
    """Weights below half a volt become 0."""
    weights, _, neurons = discretised(sinabs, None, 0.1)
    assert weights == [0, 0, 1, 0]
    assert (int(neurons.spike_threshold), int(neurons.min_v_mem)) == (1, -32768)
    weights, _, neurons = discretised(sinabs, -1.0, 0.1)
    assert weights == [54, -54, 127, -73] and int(neurons.min_v_mem) == -181


def test_biases_have_8_bits_and_a_large_one_coarsens_all_weights(sinabs: SimpleNamespace) -> None:
    weights, bias, _ = discretised(sinabs, -1.0, 50.0)
    assert bias == 127 and max(map(abs, weights)) <= 2


def test_membranes_that_a_network_still_holds_are_scaled(sinabs: SimpleNamespace) -> None:
    conv, neurons = convolution(sinabs, 1, 1, 1), iaf(sinabs, 1.0)
    conv.weight.data[:] = 1.0
    neurons.v_mem = sinabs.torch.full((1, 1, 2, 2), 0.5)
    made, config = configured(sinabs, (1, 2, 2), conv, neurons)
    (layer,) = made.dynapcnn_layers.values()
    assert layer.spk_layer.v_mem.flatten().tolist() == [64.0] * 4  # of a threshold of 127
    assert [[[64, 64], [64, 64]]] in [
        vars(c).get("neurons_initial_value") for c in config.cnn_layers
    ]


def test_neurons_fire_at_their_threshold_and_several_times_a_step(sinabs: SimpleNamespace) -> None:
    neurons = iaf(sinabs, 1.0)
    with sinabs.torch.no_grad():
        fired = neurons(sinabs.torch.tensor([[1.0], [0.99], [2.02]]))
    assert fired.flatten().tolist() == [1.0, 0.0, 3.0]


def test_its_importer_sets_the_lower_bound_and_its_exporter_forgets_it(
    sinabs: SimpleNamespace,
) -> None:
    s = sinabs
    one = nir.NIRGraph.from_list(
        nir.Input(input_type=np.array([2])),
        nir.Affine(weight=np.eye(2), bias=np.zeros(2)),
        nir.IF(r=np.ones(2), v_threshold=np.array([1.5, 1.5])),
        nir.Output(output_type=np.array([2])),
    )
    read = module_of("nir").from_nir(one, batch_size=1)
    (neurons,) = [m for m in read.modules() if isinstance(m, s.layers.IAFSqueeze)]
    assert neurons.min_v_mem.flatten().tolist() == [-1.5, -1.5]
    bounded = s.layers.IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=-0.3)
    model = s.nn.Sequential(s.nn.Linear(2, 2), bounded)
    with s.torch.no_grad():
        written = s.to_nir(model, s.torch.zeros(1, 2))
    (node,) = [n for n in written.nodes.values() if isinstance(n, nir.IF)]
    assert not any("0.3" in str(value) for value in vars(node).values())


def test_the_cut_is_the_last_index() -> None:
    """A crop of rows 3 to 32 and columns 5 to 39. The layer's own crop ends before its end."""
    require_sinabs()
    dvs = module_of("backend.dynapcnn.dvs_layer").DVSLayer((128, 128), crop=((3, 33), (5, 40)))
    config = dvs.get_config_dict()
    assert config["cut"] == {"x": 39, "y": 32} and config["origin"] == {"x": 5, "y": 3}


def test_names_of_boards_and_of_what_they_measure() -> None:
    require_sinabs()
    names = set(module_of("backend.dynapcnn.io").device_types.values())
    assert {name for boards in BOARDS.values() for name in boards} == {
        name for name in names if name.startswith("Speck")
    }
    found = re.search(r"^NETS = (\[.*?\])", deploy_py("2f").decode(), re.MULTILINE)
    assert found is not None and len(json.loads(found[1])) == 5
    source = module_of("backend.dynapcnn.dynapcnn_network").__file__
    assert (
        f"item_names = {found[1]}" in Path(source).with_name("dynapcnn_visualizer.py").read_text()
    )


def test_its_importer_drops_nodes_that_it_does_not_know(sinabs: SimpleNamespace) -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(input_type=np.array([2])),
        nir.Scale(scale=np.full(2, 3.0)),
        nir.Affine(weight=np.eye(2), bias=np.zeros(2)),
        nir.Output(output_type=np.array([2])),
    )
    with sinabs.torch.no_grad():
        answer, _ = module_of("nir").from_nir(graph, batch_size=1)(sinabs.torch.ones(1, 2))
    assert answer.flatten().tolist() == [1.0, 1.0]  # not 3


def test_defaults_of_its_neurons_and_pools(sinabs: SimpleNamespace) -> None:
    """Subtraction and no lower bound. Windows side by side, and the remainder is left out."""
    neurons = sinabs.layers.IAF()
    assert neurons.spike_fn is sinabs.activation.MultiSpike and neurons.min_v_mem is None
    assert isinstance(neurons.reset_fn, sinabs.activation.MembraneSubtract)
    pooled = sinabs.layers.SumPool2d(2)(sinabs.torch.ones(1, 1, 5, 5))
    assert pooled.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]]
