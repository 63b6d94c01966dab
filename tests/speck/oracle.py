"""The vendor's software sinabs behind our names: layers, discretiser, memory formulas, mapper.

sinabs is licensed under the AGPL: it is called here, nothing of it is copied. It runs without
`samna`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
import pytest
from networkx import DiGraph, topological_sort
from numpy.typing import NDArray

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, InputRoute
from nirc.backends.speck.geometry import Map
from nirc.backends.speck.limits import READOUT
from tests.speck import samna_blank

if TYPE_CHECKING:
    import torch
    from torch import nn

Array = NDArray[Any]
INSTALL = (
    "pip install torch==2.13.0 matplotlib pbr nirtorch==2.6; pip install --no-deps sinabs==3.1.3"
)


def require_sinabs() -> SimpleNamespace:
    """The parts of sinabs that the tests use.

    Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1.
    """
    try:
        import torch
        from torch import nn

        with samna_blank.importable():
            import sinabs.activation
            import sinabs.layers
            from sinabs.backend.dynapcnn import DynapcnnLayer, DynapcnnNetwork
            from sinabs.backend.dynapcnn.chips import Speck2EConfigBuilder, Speck2FConfigBuilder
            from sinabs.backend.dynapcnn.discretize import discretize_conv_spike_
            from sinabs.nir import to_nir
    except ImportError as error:
        reason = f"the vendor's software is missing ({error}); install it: {INSTALL}"
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    torch.set_num_threads(1)  # the layers are small, and tests run side by side
    return SimpleNamespace(
        torch=torch,
        nn=nn,
        layers=sinabs.layers,
        activation=sinabs.activation,
        DynapcnnLayer=DynapcnnLayer,
        DynapcnnNetwork=DynapcnnNetwork,
        discretise_in_place=discretize_conv_spike_,
        to_nir=to_nir,
        builders={"2e": Speck2EConfigBuilder, "2f": Speck2FConfigBuilder},
    )


class Oracle:
    """A configuration as sinabs' layers, with our integers in them."""

    def __init__(self, configuration: Configuration) -> None:
        self.sinabs = require_sinabs()
        self.configuration = configuration
        self.layers = {layer.core: self._layer(layer) for layer in configuration.layers}

    def _layer(self, layer: CoreLayer) -> Any:
        """Return sinabs' layer in double precision, with outputs for monitor and destinations."""
        s, nn, torch = self.sinabs, self.sinabs.nn, self.sinabs.torch
        (f, c, ky, kx), biased = layer.kernel.shape, layer.leak_enable
        conv = nn.Conv2d(c, f, (ky, kx), stride=layer.stride, padding=layer.padding, bias=biased)
        conv.weight.data = torch.tensor(layer.kernel).double()
        if biased:
            conv.bias.data = torch.tensor(layer.bias).double()
        spike = s.layers.IAFSqueeze(
            batch_size=1,
            spike_threshold=float(layer.threshold_high),
            min_v_mem=float(layer.threshold_low),
            reset_fn=s.activation.MembraneReset()
            if layer.return_to_zero
            else s.activation.MembraneSubtract(),
            spike_fn=s.activation.MultiSpike,
            record_states=True,
        )
        poolings = [(1, 1), *((d.pooling, d.pooling) for d in layer.destinations)]
        made = s.DynapcnnLayer(
            conv, spike, in_shape=layer.shape_in, pool=poolings, discretize=False
        ).double()
        assert made.get_neuron_shape() == layer.shape_out
        return made

    def run(self, raster: Array) -> Array:
        """Return spikes (samples, steps, outputs) of the monitored cores for ``raster``."""
        spikes, _ = self.trace(raster)
        return np.concatenate(
            [spikes[layer.core] for layer in self.configuration.layers if layer.monitor], axis=2
        )

    def trace(self, raster: Array) -> tuple[dict[int, Array], dict[int, Array]]:
        """Return spikes and membranes of every core, each (samples, steps, neurons)."""
        torch = self.sinabs.torch
        samples, steps, _ = raster.shape
        arriving = {
            layer.core: torch.zeros(samples * steps, *layer.shape_in, dtype=torch.float64)
            for layer in self.configuration.layers
        }
        flat = torch.tensor(np.asarray(raster)).double().reshape(samples * steps, -1)
        for route in self.configuration.inputs:
            of_route = flat[:, route.first : route.first + int(np.prod(route.shape))].reshape(
                -1, *route.shape
            )
            _add(arriving[route.layer], _summed(of_route, route.pooling), route.feature_shift)
        spikes, membranes = {}, {}
        for layer in in_order(self.configuration):
            first, *pooled = self._step(layer, arriving[layer.core], samples)
            recorded = self.layers[layer.core].spk_layer.recordings["v_mem"]
            spikes[layer.core] = _integers(first).reshape(samples, steps, -1)
            membranes[layer.core] = _integers(recorded).reshape(samples, steps, -1)
            for destination, sent in zip(layer.destinations, pooled, strict=True):
                if destination.layer != READOUT:
                    _add(arriving[destination.layer], sent, destination.feature_shift)
        return spikes, membranes

    def _step(
        self, layer: CoreLayer, arriving: torch.Tensor, samples: int
    ) -> tuple[torch.Tensor, ...]:
        torch, made = self.sinabs.torch, self.layers[layer.core]
        made.spk_layer.batch_size = samples
        made.spk_layer.v_mem = torch.tensor(layer.initial).double().repeat(samples, 1, 1, 1)
        with torch.no_grad():
            result = made(arriving)
        return result if isinstance(result, tuple) else (result,)

    def memories(self) -> dict[int, dict[str, int]]:
        """Words of kernel, neuron and bias memory by core, as sinabs computes them."""
        return {core: _words(layer) for core, layer in self.layers.items()}

    def misfits(self) -> list[int]:
        """Cores whose memories, as sinabs knows them, are too small for what they were given."""
        constraints = self.sinabs.builders[self.configuration.variant].get_constraints()
        return [core for core, layer in self.layers.items() if not constraints[core].fits(layer)]

    def mapping(self) -> dict[int, int]:
        """Return the cores that sinabs' own mapper gives to these layers.

        ValueError if they do not fit.
        """
        result: dict[int, int] = self.sinabs.builders[
            self.configuration.variant
        ].map_layers_to_cores(self.layers)
        return result

    def vendor_tree(self) -> list[dict[str, Any]]:
        """Return ``cnn_layers`` of the used cores by sinabs' builder, with our mapping."""
        for layer in self.configuration.layers:
            initial = self.sinabs.torch.tensor(layer.initial).double()
            self.layers[layer.core].spk_layer.v_mem = initial[None]
        ours = {core: core for core in (*self.layers, READOUT)}
        # Destination -1 is sinabs' word for an output.
        going = {
            c.core: [-1, *(d.layer for d in c.destinations)] for c in self.configuration.layers
        }
        written = self.sinabs.builders[self.configuration.variant].build_config(
            self.layers, ours, going
        )
        return [_plain(written.cnn_layers[core]) for core in sorted(self.layers)]


def network(configuration: Configuration) -> Oracle:
    """sinabs' network of our integers."""
    return Oracle(configuration)


@dataclass(frozen=True)
class Discretised:
    """A model in sinabs: its network and, by layer in its order, the integers."""

    network: Any
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    thresholds: tuple[int, ...]
    lows: tuple[int, ...]

    def run(self, raster: Array) -> Array:
        """Return spikes (samples, steps, outputs) by sinabs' own forward, from zero states."""
        torch = require_sinabs().torch
        spikes = []
        for sample in torch.tensor(np.asarray(raster)).double():
            for layer in self.network.dynapcnn_layers.values():
                layer.spk_layer.reset_states()
            with torch.no_grad():
                result = self.network(sample.reshape(len(sample), *self.network.input_shape))
            spikes.append(result.reshape(len(sample), -1).numpy())
        return np.stack(spikes).astype(np.int64)


def discretised(
    model: str | Path | nn.Module,
    input_shape: Map | None = None,
    *,
    reset: str = "subtract",
    double: bool = False,
) -> Discretised:
    """Return sinabs' integers of a NIR chain (which knows its input shape) or a torch model.

    sinabs scales in single precision, which now and then makes a tie of what is none; ``double``:
    its same discretiser on the same layers in double precision.
    """
    s = require_sinabs()
    if isinstance(model, str | Path):
        model, input_shape = torch_chain(model, reset=reset)
    made = s.DynapcnnNetwork(model, input_shape=input_shape, discretize=not double, dvs_input=False)
    if double:
        for layer in made.dynapcnn_layers.values():
            layer.double()
            s.discretise_in_place(layer.conv_layer, layer.spk_layer, to_int=False)
    layers = list(made.dynapcnn_layers.values())
    for layer in layers:
        # Spikes leave a layer in single precision, in which a fast convolution need not be exact
        # for integers.
        layer.double().conv_layer.register_forward_pre_hook(lambda _, given: given[0].double())
    return Discretised(
        made,
        tuple(_integers(layer.conv_layer.weight) for layer in layers),
        tuple(
            np.zeros(layer.conv_layer.out_channels, np.int64)
            if layer.conv_layer.bias is None
            else _integers(layer.conv_layer.bias)
            for layer in layers
        ),
        tuple(int(_integers(layer.spk_layer.spike_threshold)) for layer in layers),
        tuple(int(_integers(layer.spk_layer.min_v_mem)) for layer in layers),
    )


def sinabs_placement(made: Any, variant: str = "2f") -> tuple[dict[int, int], Any]:
    """Cores by layer from sinabs' mapper, and the configuration object its builder wrote.

    ValueError if it refuses.
    """
    configuration = made.make_config(device=f"speck{variant}devkit")
    return dict(made.layer2core_map), configuration


def configuration_of(given: Discretised, variant: str = "2f") -> Configuration:
    """Our tables with sinabs' integers on the cores that sinabs chose."""
    made = given.network
    cores, _ = sinabs_placement(made, variant)
    exits = set(made.exit_layer_ids)
    layers = []
    for at, (index, layer) in enumerate(made.dynapcnn_layers.items()):
        shape = tuple(int(n) for n in layer.get_neuron_shape())
        conv = layer.conv_layer
        layers.append(
            CoreLayer(
                core=cores[index],
                shape_in=tuple(int(n) for n in layer.in_shape),  # type: ignore[arg-type]
                shape_out=shape,  # type: ignore[arg-type]
                kernel=given.weights[at],
                stride=tuple(conv.stride),
                padding=tuple(conv.padding),
                bias=given.biases[at],
                threshold_high=given.thresholds[at],
                threshold_low=given.lows[at],
                return_to_zero=type(layer.spk_layer.reset_fn).__name__ == "MembraneReset",
                initial=np.zeros(shape, np.int64),
                destinations=tuple(
                    Destination(cores[to], int(pool[0]))
                    for to, pool in zip(made.layer_destination_map[index], layer.pool, strict=True)
                    if to >= 0
                ),
                monitor=index in exits,
            )
        )
    inputs = [
        InputRoute(0, tuple(made.input_shape), cores[index])
        for index in sorted(made.dynapcnn_module.entry_points)
    ]
    return Configuration(
        variant, tuple(sorted(layers, key=lambda layer: layer.core)), tuple(inputs)
    )


def torch_chain(file: str | Path, *, reset: str = "subtract") -> tuple[nn.Module, Map]:
    """A NIR file that is a chain as a torch model, and its input shape.

    Lower bounds as sinabs' importer sets them.
    """
    s = require_sinabs()
    graph = nir.read(file)
    following = dict(graph.edges)
    assert len(following) == len(graph.edges), "not a chain"
    name, modules = "input", []
    while (name := following[name]) != "output":
        modules.append(_module(s, graph.nodes[name], reset))
    c, y, x = (int(n) for n in graph.nodes["input"].input_type["input"])
    return s.nn.Sequential(*modules), (c, y, x)


def _module(s: SimpleNamespace, node: Any, reset: str) -> nn.Module:
    match type(node).__name__:
        case "Conv2d":
            f, c, *kernel = node.weight.shape
            conv = s.nn.Conv2d(c, f, kernel, _pair(node.stride), _pair(node.padding))
            return _filled(s, conv, node.weight, node.bias)
        case "Affine" | "Linear":
            linear = s.nn.Linear(node.weight.shape[1], node.weight.shape[0])
            return _filled(
                s, linear, node.weight, getattr(node, "bias", np.zeros(len(node.weight)))
            )
        case "SumPool2d":
            return s.layers.SumPool2d(_pair(node.kernel_size), _pair(node.stride))  # type: ignore[no-any-return]
        case "AvgPool2d":
            return s.nn.AvgPool2d(_pair(node.kernel_size), _pair(node.stride))  # type: ignore[no-any-return]
        case "Flatten":
            return s.nn.Flatten()  # type: ignore[no-any-return]
        case "IF":
            return iaf(s, float(np.unique(node.v_threshold / node.r).item()), reset=reset)
    raise ValueError(f"{type(node).__name__} is not in these chains")


def iaf(s: SimpleNamespace, threshold: float, *, reset: str = "subtract") -> nn.Module:
    """Integrate and fire with the lower bound at minus its threshold."""
    rule = s.activation.MembraneReset() if reset == "zero" else s.activation.MembraneSubtract()
    return s.layers.IAFSqueeze(  # type: ignore[no-any-return]
        batch_size=1, spike_threshold=threshold, min_v_mem=-threshold, reset_fn=rule
    )


def _filled(s: SimpleNamespace, module: Any, weight: Array, bias: Array) -> Any:
    """Return ``module`` with these parameters. A bias of zeros is none, as it needs no memory."""
    module.weight.data = s.torch.tensor(weight).float()
    if np.any(bias):
        module.bias.data = s.torch.tensor(bias).float()
    else:
        module.bias = None
    return module


def in_order(configuration: Configuration) -> Sequence[CoreLayer]:
    """Layers before those that they send to."""
    graph = DiGraph()
    graph.add_nodes_from(layer.core for layer in configuration.layers)
    graph.add_edges_from(
        (layer.core, d.layer)
        for layer in configuration.layers
        for d in layer.destinations
        if d.layer != READOUT
    )
    by_core = configuration.by_core()
    return [by_core[core] for core in topological_sort(graph)]


def _summed(spikes: torch.Tensor, pooling: tuple[int, int]) -> torch.Tensor:
    """Return sums of windows side by side. A remainder of the map is left out."""
    (y, x), rows = pooling, spikes
    return rows.unfold(2, y, y).unfold(3, x, x).sum((-2, -1)) if pooling != (1, 1) else rows


def _add(arriving: torch.Tensor, spikes: torch.Tensor, feature_shift: int) -> None:
    """Add ``spikes`` to a core's input map. The rest outside the map is lost."""
    c, y, x = (min(a, b) for a, b in zip(arriving.shape[1:], spikes.shape[1:], strict=True))
    c = min(c, arriving.shape[1] - feature_shift)
    arriving[:, feature_shift : feature_shift + c, :y, :x] += spikes[:, :c, :y, :x]


def _words(layer: Any) -> dict[str, int]:
    return {name: int(words) for name, words in layer.memory_summary().items()}


def _integers(values: Any) -> Array:
    """Integers that sinabs keeps as floats."""
    array = values.detach().numpy()
    assert (array == np.rint(array)).all()
    return array.astype(np.int64)


def _pair(values: Array) -> tuple[int, int]:
    y, x = (int(v) for v in np.broadcast_to(values, 2))
    return y, x


def _plain(thing: Any) -> Any:
    """Records as dictionaries, tensors as numbers."""
    if isinstance(thing, samna_blank.Record):
        return {name: _plain(value) for name, value in vars(thing).items()}
    if isinstance(thing, dict):
        return {name: _plain(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(value) for value in thing]
    return thing.item() if hasattr(thing, "item") else thing
