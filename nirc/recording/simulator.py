"""Simulators that can be recorded, and their modules as NIR nodes. torch's own layers are here."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnclearSimulator, UnknownSimulator
from nirc.diagnostics.writer import ModuleComputesOtherwise, RecordedBeyondExporter
from nirc.writers.importer import Fields

Shape = tuple[int, ...]
Array = NDArray[Any]
Layout = Literal["step", "steps first", "samples first", "folded"]
Kind = Literal["neuron", "layer", "unknown", "open"]

ABOVE = (-1.0, 0.0, 0.25, 3.0)  # the threshold: neurons fire never, never, once, once
MEMBRANES = (-1.0, 0.5, 1.0, 2.5, 300.0)  # at a threshold of 1
SPIKES = [0.0, 0.0, 1.0, 2.0, 300.0]  # of MEMBRANES, where there is no bound

# Modules of torch that only call functions, which the trace sees.
TORCH_OPEN = {"Sequential", "ModuleList", "ModuleDict", "Module", "Identity", "Flatten"}
TORCH_OPEN |= {"Unflatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"}
TORCH_OPEN |= {"FeatureAlphaDropout"}


@dataclass(frozen=True)
class Part:
    """The nodes of a module by suffix, and edges between them.

    The suffix ``""`` is that of the node with the module's own name. ``entry``: the suffix of the
    node that takes the module's input. ``exit``: of the node that gives its output. ``choices``:
    values of the writer's choices by which this module computes, the module's own first.
    """

    nodes: Mapping[str, Fields]
    edges: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    exit: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """A module at its place: its name, and shapes without samples and steps.

    ``looped``: its spikes come back to it.
    """

    name: str
    shape_in: Shape
    shape_out: Shape
    log: Log
    looped: bool = False

    def refuse(self, problem: str, *, found: object = "", limit: str = "", help: str = "") -> None:
        """Refuse a module whose file would compute something else (W212)."""
        self.log.add(
            ModuleComputesOtherwise(
                where=self.name,
                module=self.name,
                problem=problem,
                found=found,
                limit=limit,
                help=help,
            )
        )

    def warn(self, problem: str, *, found: object = "", help: str = "") -> None:
        """Warn of what the file holds and the simulator's own exporter leaves out (W213)."""
        self.log.add(
            RecordedBeyondExporter(
                where=self.name, module=self.name, problem=problem, found=found, help=help
            )
        )

    def full(self, value: object) -> Array:
        """Return a parameter for each neuron, in float64 and in the shape of the neurons."""
        return np.broadcast_to(as_array(value).astype(np.float64), self.shape_out).copy()


Convert = Callable[[Any, Site], Part]


def _nothing(modules: Collection[Any]) -> None:
    """Keep states as they are: they are given to the network and come back from it."""


def _once_a_step(modules: Collection[Any]) -> Layout:
    return "step"


@contextmanager
def _unchanged(modules: Collection[Any], samples: int) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Simulator:
    """A torch package that steps spiking neurons.

    ``name``: as in ``--from``. ``package``: the root of its classes' modules. ``neurons``: by class
    name, modules with a state. ``reset`` sets the states of all modules to their start. ``layout``:
    how a network takes its input. ``lead``: the number of axes for samples and steps that a neuron
    takes. ``layers``: by class name, its own modules without a state. ``open``: its modules that
    only call others. ``kept``: the attributes in which neurons keep their states between calls.
    ``folded`` sets modules up for a batch of so many samples while it is open. ``zero_bias``: its
    exporter writes zeros where a bias is absent. ``membranes``: by class name, the membrane of a
    neuron as a leaky integrator. ``membrane_problem`` says why that of a module is none, and what
    to do, "" if it is. None: its neurons do not return their membrane last.
    """

    name: str
    package: str
    neurons: Mapping[str, Convert]
    reset: Callable[[Collection[Any]], None] = _nothing
    layout: Callable[[Collection[Any]], Layout] = _once_a_step
    lead: Callable[[Any], int] = lambda module: 1
    layers: Mapping[str, Convert] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    folded: Callable[[Collection[Any], int], AbstractContextManager[None]] = _unchanged
    zero_bias: bool = False
    membranes: Mapping[str, Convert] = field(default_factory=dict)
    membrane_problem: Callable[[Any], tuple[str, str]] | None = None

    def kind(self, module: Any) -> Kind:
        """Return what a module is for the trace. It looks into a module that is open."""
        root, name = _root(module), type(module).__name__
        if root == "torch" and name in LAYERS:
            return "layer"
        if root == "torch":
            return "open" if name in TORCH_OPEN else "unknown"
        if root != self.package:
            return "open"
        if name in self.neurons:
            return "neuron"
        if name in self.layers:
            return "layer"
        return "open" if name in self.open else "unknown"

    def convert(self, module: Any, *, membrane: bool) -> Convert:
        """Return the function that makes nodes of this module, or of the neuron's membrane."""
        name = type(module).__name__
        if membrane:
            return self.membranes[name]
        if _root(module) == "torch":
            return partial(linear, zero_bias=self.zero_bias) if name == "Linear" else LAYERS[name]
        return self.neurons.get(name) or self.layers[name]


def modules_of(network: Any) -> dict[str, Any]:
    """Return all modules of a network by name, itself as ``""``.

    Rockpool gives the method ``modules`` another meaning.
    """
    return dict(nn.Module.named_modules(network))


def _root(module: Any) -> str:
    return type(module).__module__.partition(".")[0]


NAMES = ("snntorch", "norse", "sinabs", "rockpool")  # of modules here, imported when used


def simulator_of(network: Any, asked: str | None, log: Log) -> Simulator:
    """Return the simulator that a network is made of, or the one that is asked for.

    Raises ``UsageError`` (U613) if it is not known.
    """
    is_network = isinstance(network, nn.Module)
    roots = {_root(module) for module in modules_of(network).values()} if is_network else set()
    present = [name for name in NAMES if name in roots]
    if asked is not None and asked not in NAMES:
        log.add(UnknownSimulator(asked=asked, known=NAMES))
    elif not is_network or (asked is None and len(present) != 1):
        kind = f"{type(network).__name__} without a module of a simulator"
        log.add(UnclearSimulator(found=", ".join(present) or kind, known=NAMES))
    log.raise_if_errors()
    simulator: Simulator = import_module(f"nirc.recording.{asked or present[0]}").SIMULATOR
    return simulator


# Modules of torch.


def as_array(value: Any) -> Array:
    """Return a tensor or a number as an array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def size(shape: Shape) -> int:
    """Return the number of values of a signal."""
    return math.prod(shape)


def linear(module: Any, site: Site, *, zero_bias: bool = False) -> Part:
    """Return torch.nn.Linear.

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
    return Part({"": {"type": "Affine", "weight": weight, "bias": _bias(module, weight)}})


def _bias(module: Any, weight: Array) -> Array:
    if module.bias is None:
        return np.zeros(len(weight), weight.dtype)
    return as_array(module.bias)


def convolution(module: Any, site: Site) -> Part:
    """Return torch.nn.Conv1d or Conv2d with one group and, in two dimensions, a square kernel.

    nir 1.0.8 computes the shape of others wrongly, and its ``read`` refuses them.
    """
    if module.padding_mode != "zeros":
        site.refuse("padding is not by zeros", found=module.padding_mode, limit="zeros")
    dilation, axes = np.array(module.dilation), len(module.kernel_size)
    padding = _padding(module, site)
    weight = _one_group(as_array(module.weight), module.groups)
    weight, padding = _square(weight, padding, dilation, site)
    spatial = np.array(site.shape_in[1:])
    fields: Fields = {"type": f"Conv{axes}d", "weight": weight, "bias": _bias(module, weight)}
    fields |= {"stride": np.array(module.stride), "padding": padding, "dilation": dilation}
    fields |= {"groups": 1, "input_shape": spatial if axes > 1 else int(spatial[0])}
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
    """Return the same convolution with all channels connected, zeros between groups."""
    if groups == 1:
        return weight
    out, within = weight.shape[:2]
    dense = np.zeros((out, within * groups, *weight.shape[2:]), weight.dtype)
    for g, rows in enumerate(np.split(np.arange(out), groups)):
        dense[rows, g * within : (g + 1) * within] = weight[rows]
    return dense


def _square(weight: Array, padding: Array, dilation: Array, site: Site) -> tuple[Array, Array]:
    """Return the same convolution with a square kernel, zeros around the given one."""
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
    """Return an average or a sum over a window. NIR has no windows that stick out of the map."""
    kernel = _pair(module.kernel_size)
    stride = _pair(module.kernel_size if module.stride is None else module.stride)
    padding = _pair(getattr(module, "padding", 0))
    sizes = np.array(site.shape_in[-2:])
    if tuple((sizes + 2 * padding - kernel) // stride + 1) != site.shape_out[-2:]:
        problem, help_ = "windows stick out of the map (ceil_mode)", "use ceil_mode=False"
        site.refuse(problem, found=site.shape_out, help=help_)
    if padding.any() and not getattr(module, "count_include_pad", True):
        problem = "zeros around the map are left out of the mean"
        site.refuse(problem, help="use count_include_pad=True")
    if getattr(module, "divisor_override", None) is not None:
        problem = "the mean has a divisor of its own"
        site.refuse(problem, found=module.divisor_override, limit="None")
    return Part({"": {"type": kind, "kernel_size": kernel, "stride": stride, "padding": padding}})


def _pair(value: Any) -> Array:
    return np.broadcast_to(np.array(value, int), (2,)).copy()


def flatten(shape: Shape) -> Part:
    """Return all axes of a signal as one."""
    fields = {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array(shape)}
    return Part({"": fields})


def recurrent(neuron: Part, back: Part) -> Part:
    """Return a cell: the neuron ``lif``, whose spikes come back through the weights ``w_rec``."""
    (fields,), (weights,) = neuron.nodes.values(), back.nodes.values()
    nodes = {"lif": fields, "w_rec": weights}
    edges = (("lif", "w_rec"), ("w_rec", "lif"))
    return replace(neuron, nodes=nodes, edges=edges, entry="lif", exit="lif")


def check_fires_once(
    fire: Callable[[Any], Any], site: Site, problem: str, *, limit: str = "", help: str = ""
) -> None:
    """Refuse neurons that do not fire once, at every call, above the threshold.

    ``fire`` returns the spikes of membranes, given from the threshold on.
    """
    spikes = [fire(torch.tensor(ABOVE)).detach().tolist() for _ in range(2)]
    if spikes != [[0.0, 0.0, 1.0, 1.0]] * 2:
        found = f"{spikes[0]} at {list(ABOVE)} above the threshold"
        site.refuse(problem, found=found, limit=limit, help=help)


LAYERS: Mapping[str, Convert] = {
    "Linear": linear,
    "Conv1d": convolution,
    "Conv2d": convolution,
    "AvgPool2d": partial(pool, kind="AvgPool2d"),
}
