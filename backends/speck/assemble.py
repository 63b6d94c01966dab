"""Layers on their cores, with the routes between them: the configuration of the chip."""

from __future__ import annotations

import numpy as np

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.limits import READOUT
from nirc.backends.speck.network import Arrow, Layer, Network
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
    slow_clock_hz: float | None,
    dvs: Dvs | None,
    readout: bool,
) -> Configuration:
    """The chip's tables.

    A part of a layer has the destinations of the whole layer, its channels moved up.
    """
    parts: dict[str, list[Part]] = {}
    for part in placed.parts:
        parts.setdefault(part.name, []).append(part)
    cores, neurons = [], populations_of(program, SpeckNeuron)
    for part in placed.parts:
        layer = network.layer(part.name)
        neuron = neurons[part.name].dynamics
        read = part.name in network.watched
        destinations = [
            Destination(target_part.core, arrow.pooling[0], arrow.feature_shift + part.first)
            for into, arrow in network.leaving(part.name)
            for target_part in parts[into.name]
        ]
        if read and readout:
            destinations.append(Destination(READOUT))
        cores.append(_core(layer, part, neuron, tuple(destinations), monitor=read))
    return Configuration(
        variant=target.variant,
        layers=tuple(sorted(cores, key=lambda c: c.core)),
        inputs=tuple(_routes(network, parts)),
        slow_clock_hz=slow_clock_hz if any(c.leak_enable for c in cores) else None,
        dvs=dvs,
        readout=parts[network.watched[0]][0].core if readout else None,
    )


def _core(
    layer: Layer,
    part: Part,
    neuron: SpeckNeuron,
    destinations: tuple[Destination, ...],
    *,
    monitor: bool,
) -> CoreLayer:
    shape = (part.stop - part.first, *layer.shape_out[1:])
    return CoreLayer(
        core=part.core,
        shape_in=layer.shape_in,
        shape_out=shape,
        kernel=layer.kernel[part.first : part.stop],
        stride=layer.stride,
        padding=layer.padding,
        bias=layer.bias[part.first : part.stop],
        threshold_high=neuron.threshold_high,
        threshold_low=neuron.threshold_low,
        return_to_zero=neuron.return_to_zero,
        initial=np.full(shape, neuron.initial),
        destinations=destinations,
        monitor=monitor,
    )


def _routes(network: Network, parts: dict[str, list[Part]]) -> list[InputRoute]:
    """In the order of the raster's channels, then of the layers."""
    routes, first = [], 0
    for name, channels in network.inputs.items():
        for layer, arrow in network.leaving(name):
            routes += [_route(first, arrow, part.core) for part in parts[layer.name]]
        first += channels
    return routes


def _route(first: int, arrow: Arrow, core: int) -> InputRoute:
    return InputRoute(first, arrow.shape, core, arrow.pooling, arrow.feature_shift)
