"""Layers as the placer sees them, and how many channels of one a core holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nirc.backends.speck.geometry import Map, Pair, bits, kernel_words
from nirc.backends.speck.limits import CHANNELS, Core

KERNEL, NEURON, BIAS = "kernel memory", "neuron memory", "bias memory"
PLACED, DESTINATIONS, ONE_CORE = "placed", "destinations", "one core"
MEMORIES = (KERNEL, NEURON, BIAS)
UNBOUNDED = 1 << 40  # words of a memory that is left out of account

Member = tuple[str, str]  # layer (or source), limit


@dataclass(frozen=True)
class Demand:
    """One layer as the placer sees it; ``operations``: synaptic operations per step of the whole
    layer.

    ``sources``: what feeds it, one entry an arrow. ``whole``: it must stay in one core.
    """

    name: str
    channels_in: int
    kernel: Pair
    shape_out: Map
    has_bias: bool
    sources: tuple[str, ...]
    operations: float = 0.0
    whole: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.shape_out[0]


@dataclass(frozen=True)
class PlaceProblem:
    """``destinations``: how many parts each limited source may reach; a source that is absent (the
    host): any.
    """

    demands: tuple[Demand, ...]
    destinations: Mapping[str, int]


def capacity(demand: Demand, core: Core, memories: Iterable[str] = MEMORIES) -> int:
    """The most output channels of ``demand`` that ``core`` holds, only these ``memories``
    counted.
    """
    memories = set(memories)
    kernel = core.kernel if KERNEL in memories else UNBOUNDED
    neuron = core.neuron if NEURON in memories else UNBOUNDED
    bias = core.bias if BIAS in memories and demand.has_bias else CHANNELS
    most = most_channels(demand.channels_in, demand.kernel, demand.shape_out, kernel, neuron)
    return min(most, bias, demand.channels)


def most_channels(
    channels_in: int, kernel: Pair, shape_out: Map, kernel_memory: int, neuron_memory: int
) -> int:
    """The most output channels of a layer that memories of these sizes hold."""
    _, y, x = shape_out
    spare = kernel_memory // max(1, kernel_words(channels_in, 1, kernel))
    by_kernel = 1 << (spare.bit_length() - 1) if spare else 0  # 2^k <= spare
    return min(CHANNELS, by_kernel, neuron_memory >> (bits(y) + bits(x)))
