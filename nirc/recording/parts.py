"""A module of torch as NIR nodes: what the layers of all simulators have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.writers.importer import Fields

Shape = tuple[int, ...]
Array = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """The nodes of a module by suffix, ``""`` for the one that has the module's own name, and edges
    between them.

    ``entry``: the suffix of the node that takes the module's input. ``exit``: of the node that
    gives its output. ``choices``: values of the writer's choices by which this module computes, the
    module's own first.
    """

    nodes: Mapping[str, Fields]
    edges: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    exit: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """A module at its place: its name, shapes without batch and time, and whether its spikes come
    back to it.
    """

    name: str
    shape_in: Shape
    shape_out: Shape
    log: Log
    looped: bool = False

    def refuse(self, what: str, *, found: object = "", limit: str = "", help: str = "") -> None:
        """Refuse a module whose file would compute something else (W212)."""
        self.log.error(
            "W212", f"`{self.name}`: {what}", where=self.name, found=found, limit=limit, help=help
        )

    def warn(self, what: str, *, found: object = "", help: str = "") -> None:
        """Warn of what the file holds and the simulator's own exporter leaves out (W213)."""
        self.log.warning("W213", f"`{self.name}`: {what}", where=self.name, found=found, help=help)

    def full(self, value: object) -> Array:
        """A parameter for each neuron, in float64 and in the shape of the neurons."""
        return np.broadcast_to(as_array(value).astype(np.float64), self.shape_out).copy()


Convert = Callable[[Any, Site], Part]


def as_array(value: Any) -> Array:
    """A tensor or a number as an array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def linear(module: Any, site: Site, *, zero_bias: bool = False) -> Part:
    """torch.nn.Linear.

    ``zero_bias``: the simulator's exporter writes a bias of zeros where there is none.
    """
    weight = as_array(module.weight)
    if site.shape_in != (weight.shape[1],):
        site.refuse(
            "a linear layer takes the last axis of its input only",
            found=f"an input of shape {site.shape_in}",
            limit=f"({weight.shape[1]},)",
            help="flatten the signal before the layer",
        )
    if module.bias is None and not zero_bias:
        return Part({"": {"type": "Linear", "weight": weight}})
    bias = np.zeros(len(weight), weight.dtype) if module.bias is None else as_array(module.bias)
    return Part({"": {"type": "Affine", "weight": weight, "bias": bias}})


def convolution(module: Any, site: Site) -> Part:
    """torch.nn.Conv1d and Conv2d with one group and, in two dimensions, a square kernel.

    nir 1.0.8 tells the shape of others wrongly, and its ``read`` refuses them.
    """
    weight, axes = as_array(module.weight), len(module.kernel_size)
    if module.padding_mode != "zeros":
        site.refuse("padding is not by zeros", found=module.padding_mode, limit="zeros")
    dilation, stride = np.array(module.dilation), np.array(module.stride)
    padding = _padding(module, site)
    weight = _one_group(weight, module.groups)
    weight, padding = _square(weight, padding, dilation, site)
    bias = np.zeros(len(weight), weight.dtype) if module.bias is None else as_array(module.bias)
    spatial = np.array(site.shape_in[1:])
    fields: Fields = {"type": f"Conv{axes}d", "weight": weight, "bias": bias, "groups": 1}
    fields |= {"stride": stride, "padding": padding, "dilation": dilation}
    fields["input_shape"] = spatial if axes > 1 else int(spatial[0])
    return Part({"": fields})


def _padding(module: Any, site: Site) -> Array:
    """Return the number of zeros on either side of each axis."""
    if module.padding == "valid":
        return np.zeros(len(module.kernel_size), int)
    if module.padding != "same":
        return np.array(module.padding)
    total = np.array(module.dilation) * (np.array(module.kernel_size) - 1)
    if (total % 2).any():
        site.refuse(
            "padding `same` adds one more zero at one end",
            found=f"kernel {tuple(module.kernel_size)}",
            limit="an odd kernel",
            help="choose an odd kernel, or a padding in numbers",
        )
    return np.asarray(total // 2)


def _one_group(weight: Array, groups: int) -> Array:
    """The same convolution with all channels connected, zeros between groups."""
    if groups == 1:
        return weight
    out, within = weight.shape[:2]
    dense = np.zeros((out, within * groups, *weight.shape[2:]), weight.dtype)
    size = out // groups
    for g in range(groups):
        dense[g * size : (g + 1) * size, g * within : (g + 1) * within] = weight[
            g * size : (g + 1) * size
        ]
    return dense


def _square(weight: Array, padding: Array, dilation: Array, site: Site) -> tuple[Array, Array]:
    """The same convolution with a square kernel, zeros around the given one."""
    kernel = np.array(weight.shape[2:])
    missing = kernel.max() - kernel
    if not missing.any():
        return weight, padding
    if (missing % 2).any():
        site.warn(
            "nir 1.0.8 does not open a file with this kernel unless its type checks are off",
            found=f"kernel {tuple(int(k) for k in kernel)}",
            help="sides that are both odd or both even are written as a square",
        )
        return weight, padding
    around = [(0, 0), (0, 0), *((int(m // 2), int(m // 2)) for m in missing)]
    return np.pad(weight, around), padding + dilation * missing // 2


def pool(module: Any, site: Site, *, kind: str) -> Part:
    """Average or sum over a window. NIR leaves out windows that stick out of the map."""
    kernel = _pair(module.kernel_size)
    stride = _pair(module.kernel_size if module.stride is None else module.stride)
    padding = _pair(getattr(module, "padding", 0))
    sizes = np.array(site.shape_in[-2:])
    if tuple((sizes + 2 * padding - kernel) // stride + 1) != site.shape_out[-2:]:
        site.refuse(
            "windows stick out of the map (ceil_mode)",
            found=site.shape_out,
            help="use ceil_mode=False",
        )
    if padding.any() and not getattr(module, "count_include_pad", True):
        site.refuse(
            "zeros around the map are left out of the mean", help="use count_include_pad=True"
        )
    if getattr(module, "divisor_override", None) is not None:
        site.refuse(
            "the mean has a divisor of its own", found=module.divisor_override, limit="None"
        )
    return Part({"": {"type": kind, "kernel_size": kernel, "stride": stride, "padding": padding}})


def _pair(value: Any) -> Array:
    return np.broadcast_to(np.array(value, int), (2,)).copy()


def average_pool(module: Any, site: Site) -> Part:
    """torch.nn.AvgPool2d."""
    return pool(module, site, kind="AvgPool2d")


def flatten(shape: Shape) -> Part:
    """All axes of a signal as one."""
    return Part(
        {"": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array(shape)}}
    )


def recurrent(neuron: Part, back: Part) -> Part:
    """A cell: the neuron ``lif``, whose spikes come back through the weights ``w_rec``."""
    (fields,), (weights,) = neuron.nodes.values(), back.nodes.values()
    nodes = {"lif": fields, "w_rec": weights}
    return replace(
        neuron, nodes=nodes, edges=(("lif", "w_rec"), ("w_rec", "lif")), entry="lif", exit="lif"
    )


def size(shape: Shape) -> int:
    """Values of a signal."""
    return math.prod(shape)


LAYERS: Mapping[str, Convert] = {
    "Conv1d": convolution,
    "Conv2d": convolution,
    "AvgPool2d": average_pool,
}
