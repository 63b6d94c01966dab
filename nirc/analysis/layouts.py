"""Weights with another order of axes, as other frameworks store them.

NIR and PyTorch store a weight as (out, in, *kernel). Keras and Flax store (in, out) and (*kernel,
in, out).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.layers import Conv, Layer, Linear


@dataclass(frozen=True)
class Layout:
    """An order of axes. ``linear``: (in, out). ``conv``: of a convolution, "" for NIR's."""

    linear: bool
    conv: str = ""

    def order(self, layer: Layer) -> str:
        """Return the order of axes in words, for a message."""
        return "(in, out)" if isinstance(layer, Linear) else ORDERS[self.conv]

    def turned(self, layer: Layer) -> str:
        """Return an expression that turns the weight of ``layer`` to NIR's order."""
        return "weight.T" if isinstance(layer, Linear) else TRANSPOSE[self.conv]

    def read(self, layer: Layer) -> Layer:
        """Return the layer with its weight in NIR's order, if this layout applies."""
        if self.linear and isinstance(layer, Linear):
            return _linear(layer)
        return _conv(layer, self.conv) if self.conv and isinstance(layer, Conv) else layer


ORDERS = {"io": "(in, out, kernel)", "kio": "(kernel, in, out)", "oki": "(out, kernel, in)"}
TRANSPOSE = {
    "io": "weight.swapaxes(0, 1)",
    "kio": "numpy.moveaxis(weight, (-1, -2), (0, 1))",
    "oki": "numpy.moveaxis(weight, -1, 1)",
}
LAYOUTS = (
    Layout(linear=True),
    Layout(linear=True, conv="kio"),
    Layout(linear=True, conv="io"),
    *(Layout(linear=False, conv=order) for order in ORDERS),
)


def _linear(layer: Linear) -> Linear:
    weight = layer.weight.swapaxes(-1, -2)
    return Linear(frozen(weight), _bias(layer.bias, weight.shape[:-1]))


def _conv(layer: Conv, order: str) -> Conv:
    kernel = list(range(layer.axes))
    axes = {
        "io": [1, 0, *(2 + n for n in kernel)],
        "kio": [layer.axes + 1, layer.axes, *kernel],
        "oki": [0, layer.axes + 1, *(1 + n for n in kernel)],
    }[order]
    weight = layer.weight.transpose(axes)
    return replace(layer, weight=frozen(weight), bias=_bias(layer.bias, weight.shape[:1]))


def _bias(bias: Float | None, rows: tuple[int, ...]) -> Float | None:
    """Return a bias for other rows if all its numbers are equal, else the unchanged bias."""
    if bias is None or bias.shape == rows or not (bias == bias.flat[0]).all():
        return bias
    return frozen(np.full(rows, bias.flat[0]))
