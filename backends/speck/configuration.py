"""The content of config.json as arrays: the chip's cores and its inputs, without the model."""

from __future__ import annotations

from dataclasses import dataclass

from nirc.backends.speck.geometry import Map, Pair
from nirc.ir.arrays import Int, size


@dataclass(frozen=True)
class Destination:
    """A target of spikes. ``pooling`` divides coordinates, ``feature_shift`` moves channels up."""

    layer: int
    pooling: int = 1
    feature_shift: int = 0


@dataclass(frozen=True)
class CoreLayer:
    """One core. Kernel (out, in, y, x), bias (out,), initial (out, y, x), all int64.

    ``bias`` is added once per tick of the slow clock. ``monitor``: spikes are sent to the host.
    ``shape_out`` is the map before pooling.
    """

    core: int
    shape_in: Map
    shape_out: Map
    kernel: Int
    stride: Pair
    padding: Pair
    bias: Int
    threshold_high: int
    threshold_low: int
    return_to_zero: bool
    initial: Int
    destinations: tuple[Destination, ...] = ()
    monitor: bool = False

    @property
    def leak_enable(self) -> bool:
        """True if the slow clock does anything here."""
        return bool(self.bias.any())

    @property
    def neurons(self) -> int:
        """Size of the map."""
        return int(self.initial.size)


@dataclass(frozen=True)
class InputRoute:
    """The route of input channels from ``first`` on to one core, in C order of ``shape``.

    The host (or the DVS layer) divides coordinates by ``pooling`` (y, x). Events outside the core's
    map are dropped.
    """

    first: int
    shape: Map
    layer: int
    pooling: Pair = (1, 1)
    feature_shift: int = 0


@dataclass(frozen=True)
class Dvs:
    """The event camera as the source.

    It is pooled, then cut to ``origin`` to ``cut``, both inclusive (y, x). ``merge``: both
    polarities become channel 0.
    """

    origin: Pair
    cut: Pair
    pooling: int
    merge: bool


@dataclass(frozen=True)
class Configuration:
    """A configured chip. ``layers`` by rising core number.

    Output channels: the neurons of monitored cores, by rising core number, each in C order of
    (channel, y, x). ``slow_clock_hz``: one tick per step, None if no core uses it or the time step
    is unknown. ``readout``: the core whose channels 0, 4, 8, ... the readout layer takes, None if
    it is off.
    """

    variant: str
    layers: tuple[CoreLayer, ...]
    inputs: tuple[InputRoute, ...]
    slow_clock_hz: float | None = None
    dvs: Dvs | None = None
    readout: int | None = None

    @property
    def input_channels(self) -> int:
        """The channels of the raster."""
        return max((route.first + size(route.shape) for route in self.inputs), default=0)

    def by_core(self) -> dict[int, CoreLayer]:
        """Return layers by core number."""
        return {layer.core: layer for layer in self.layers}
