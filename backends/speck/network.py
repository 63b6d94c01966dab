"""A legal program as the chip's layers: one kernel each, whatever comes in already merged into its
input channels.

Made from the integer form by ``lower``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from nirc.backends.speck.geometry import Map, Pair


@dataclass(frozen=True)
class Arrow:
    """Spikes of ``source`` (an input or a layer) enter a layer.

    ``shape``: the source's map before pooling. ``pooling`` (y, x). ``feature_shift``: the layer's
    input channel of the source's channel 0.
    """

    source: str
    shape: Map
    pooling: Pair
    feature_shift: int


@dataclass(frozen=True)
class Layer:
    """One population with everything that reaches it. ``kernel`` (out, in, y, x); ``bias`` (out,)
    per step.

    ``events``: events that arrive in a step of one sample, as calibration measured them or as
    assumed.
    """

    name: str
    origin: str
    shape_in: Map
    shape_out: Map
    kernel: NDArray[Any]
    stride: Pair
    padding: Pair
    bias: NDArray[Any]
    arrows: tuple[Arrow, ...]
    events: float

    @property
    def kernel_size(self) -> Pair:
        """Kernel (y, x)."""
        return int(self.kernel.shape[2]), int(self.kernel.shape[3])

    @property
    def has_bias(self) -> bool:
        """Whether bias memory is needed."""
        return bool(self.bias.any())

    @property
    def synaptic_operations(self) -> float:
        """Per step: each event updates every output channel at k^2 / stride^2 positions (sinabs
        docs, tips).
        """
        taps = self.kernel_size[0] * self.kernel_size[1] / (self.stride[0] * self.stride[1])
        return self.events * self.shape_out[0] * taps


@dataclass(frozen=True)
class Network:
    """All layers, sources first.

    ``inputs``: model inputs by name with their channels; ``watched``: layers read out.
    """

    inputs: dict[str, int]
    layers: tuple[Layer, ...]
    watched: tuple[str, ...]

    def layer(self, name: str) -> Layer:
        """One layer by name."""
        return next(layer for layer in self.layers if layer.name == name)

    def leaving(self, source: str) -> list[tuple[Layer, Arrow]]:
        """What listens to ``source``."""
        return [(layer, a) for layer in self.layers for a in layer.arrows if a.source == source]
