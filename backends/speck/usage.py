"""How much of each limit a network needs: (where, value) pairs, as `limits` asks for them."""

from __future__ import annotations

from collections.abc import Iterable

from nirc.backends.speck.network import Network

Measure = Iterable[tuple[str, int]]


def kernel_size(network: Network) -> Measure:
    """The larger side of each kernel."""
    return [(layer.origin, max(layer.kernel_size)) for layer in network.layers]


def padding(network: Network) -> Measure:
    """The larger padding."""
    return [(layer.origin, max(layer.padding)) for layer in network.layers]


def input_map(network: Network) -> Measure:
    """The larger side of what a core takes in, after pooling."""
    return [(layer.origin, max(layer.shape_in[1:])) for layer in network.layers]


def output_map(network: Network) -> Measure:
    """The larger side of a map of neurons."""
    return [(layer.origin, max(layer.shape_out[1:])) for layer in network.layers]


def input_channels(network: Network) -> Measure:
    """Input channels, those of all merged sources together."""
    return [(layer.origin, layer.shape_in[0]) for layer in network.layers]
