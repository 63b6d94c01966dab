"""Layers on their cores, with the routes between them: the configuration of the chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.legalise import leads
from nirc.backends.speck.limits import READOUT
from nirc.backends.speck.network import Layer, Network
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.place import Part, Placement
from nirc.chip.target import Target
from nirc.ir.populations import populations_of
from nirc.ir.program import Program


def assemble(
    network: Network,
    program: Program,
    placed: Placement,
    target: Target,
    *,
    slow_clock_hz: float | None = None,
    dvs: Dvs | None = None,
    readout: bool = False,
) -> Configuration:
    """Return the chip's tables.

    A part of a layer has the destinations of the layer, with its channels moved up.
    """
    parts: dict[str, list[Part]] = {}
    for part in placed.parts:
        parts.setdefault(part.name, []).append(part)
    neurons = populations_of(program, SpeckNeuron)
    early = leads(program)
    cores: list[CoreLayer] = []
    for part in placed.parts:
        read = part.name in network.watched
        destinations: list[Destination] = []
        for into, arrow in network.leaving(part.name):
            shift = arrow.feature_shift + part.first
            targets = [target.core for target in parts[into.name]]
            destinations += [Destination(core, arrow.pooling[0], shift) for core in targets]
        if read and readout:
            destinations.append(Destination(READOUT))
        neuron = neurons[part.name].dynamics
        layer = network.layer(part.name)
        core = _core(layer, part, neuron, early[part.name])
        cores.append(replace(core, destinations=tuple(destinations), monitor=read))
    return Configuration(
        variant=target.variant,
        layers=tuple(sorted(cores, key=lambda c: c.core)),
        inputs=tuple(_routes(network, parts)),
        slow_clock_hz=slow_clock_hz if any(c.leak_enable for c in cores) else None,
        dvs=dvs,
        readout=parts[network.watched[0]][0].core if readout else None,
    )


def _core(layer: Layer, part: Part, neuron: SpeckNeuron, lead: int) -> CoreLayer:
    """Return a core whose neurons begin as the model's do after ``lead`` steps without input."""
    channels = slice(part.first, part.stop)
    bias = layer.bias[channels]
    shape = (len(bias), *layer.shape_out[1:])
    initial = np.maximum(neuron.initial + lead * bias, neuron.threshold_low)
    return CoreLayer(
        core=part.core,
        shape_in=layer.shape_in,
        shape_out=shape,
        kernel=layer.kernel[channels],
        stride=layer.stride,
        padding=layer.padding,
        bias=bias,
        threshold_high=neuron.threshold_high,
        threshold_low=neuron.threshold_low,
        return_to_zero=neuron.return_to_zero,
        initial=np.broadcast_to(initial[:, None, None], shape).copy(),
    )


def _routes(network: Network, parts: dict[str, list[Part]]) -> list[InputRoute]:
    """Return the routes in the order of the raster's channels, then of the layers."""
    routes: list[InputRoute] = []
    first = 0
    for name, channels in network.inputs.items():
        for layer, arrow in network.leaving(name):
            shift = arrow.feature_shift
            cores = [part.core for part in parts[layer.name]]
            routes += [InputRoute(first, arrow.shape, core, arrow.pooling, shift) for core in cores]
        first += channels
    return routes
