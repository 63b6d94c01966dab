"""The demands of a layer of Speck on the cores, and how many of its channels each core holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from nirc.backends.speck.geometry import Map, Pair, bits, kernel_words
from nirc.backends.speck.limits import CHANNELS, Core

KERNEL = "kernel memory"
NEURON = "neuron memory"
BIAS = "bias memory"
MEMORIES = (KERNEL, NEURON, BIAS)
PLACED = "placed"
DESTINATIONS = "destinations"
ONE_CORE = "one core"
UNBOUNDED = 1 << 40  # words of a memory that does not count

Member = tuple[str, str]  # a layer or source, and a limit
Conflict = tuple[Member, ...]  # they cannot hold together. Without any one of them they can


@dataclass(frozen=True)
class Demand:
    """One layer for the placer. ``operations``: synaptic operations of the layer in a step.

    ``sources``: its inputs, once for each arrow. ``one_core``: it must not be split.
    """

    name: str
    channels_in: int
    kernel: Pair
    shape_out: Map
    has_bias: bool
    sources: tuple[str, ...]
    operations: float = 0.0
    one_core: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.shape_out[0]


@dataclass(frozen=True)
class PlaceProblem:
    """Layers, and the number of parts that a source may reach.

    ``destinations``: by source. A source that is absent, such as the host, has no such limit.
    """

    demands: tuple[Demand, ...]
    destinations: Mapping[str, int]


def capacity(demand: Demand, core: Core, memories: Iterable[str] = MEMORIES) -> int:
    """Return the most output channels of ``demand`` on ``core``. Only ``memories`` count."""
    memories = set(memories)
    kernel = core.kernel if KERNEL in memories else UNBOUNDED
    neuron = core.neuron if NEURON in memories else UNBOUNDED
    bias = core.bias if BIAS in memories and demand.has_bias else CHANNELS
    most = most_channels(demand.channels_in, demand.kernel, demand.shape_out, kernel, neuron)
    return min(most, bias, demand.channels)


def fewest_cores(
    demand: Demand, cores: Iterable[Core], memories: Iterable[str] = MEMORIES
) -> int | None:
    """Return the cores that a layer takes if it is alone on the chip, None if all are too few.

    Only ``memories`` count.
    """
    memories = {*memories}
    caps = sorted((capacity(demand, core, memories) for core in cores), reverse=True)
    held = enumerate(accumulate(caps), start=1)
    return next((number for number, channels in held if channels >= demand.channels), None)


def most_channels(
    channels_in: int, kernel: Pair, shape_out: Map, kernel_memory: int, neuron_memory: int
) -> int:
    """Return the most output channels of a layer that memories of these sizes hold."""
    _, y, x = shape_out
    spare = kernel_memory // max(1, kernel_words(channels_in, 1, kernel))
    by_kernel = 1 << (spare.bit_length() - 1) if spare else 0  # 2^k <= spare
    return min(CHANNELS, by_kernel, neuron_memory >> (bits(y) + bits(x)))
