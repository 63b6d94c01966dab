"""Populations and projections in the words of py-spinnaker2, and their file ``network.npz``.

The emulator and deploy.py read the file. Names of models and parameters are the vendor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.checks import check_network
from nirc.backends.spinnaker2.findings import ValueOutsideRange
from nirc.backends.spinnaker2.limits import (
    DECAY,
    DELAY,
    DELAYED_WEIGHT,
    FLOAT32,
    GENERATED,
    IMPORTER,
    MAP,
    MAX_ATOMS,
    MAX_PIXELS,
    SCRIPTS,
    WEIGHT,
)
from nirc.backends.spinnaker2.rule import RESETS, Float32, Reset
from nirc.files import chipfiles
from nirc.files.bounds import MAX_NAME, MAX_TOTAL_BYTES
from nirc.files.chipfiles import CHANNELS, OUTPUTS, Network, Output, pointers
from nirc.files.description import Tree
from nirc.files.kinds import Array, Choice, Const, Flag, Integer, Kind, Many, Object, Switch, Text
from nirc.files.members import MAX_POINTER, NetworkFile

Int = NDArray[np.signedinteger[Any]]
Model = Literal["lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay", "lif_conv2d"]
MODELS: tuple[Model, ...] = get_args(Model)
DELAYED = ("lif", "lif_curr_exp")  # models whose synapses have delays, and 4 bits of weight
FILTERED = ("lif_curr_exp", "lif_curr_exp_no_delay")  # models with synaptic currents


FILE = "network.npz"
FORMAT = "nirc-spinnaker2-1"
READOUT = "readout"  # the emulator's name for all outputs, if there are membranes among them


def most_atoms(model: str) -> int:
    """Return the limit of neurons of a model, or of a ``spike_list``, on a processing element."""
    return MAX_PIXELS if model == "lif_conv2d" else MAX_ATOMS


@dataclass(frozen=True)
class Input:
    """A population of model ``spike_list``, which plays channels of the raster.

    ``channels`` (n,): the channel of each neuron. ``atoms``: most neurons on a PE.
    """

    name: str
    channels: Int
    atoms: int

    @property
    def n(self) -> int:
        """The number of neurons."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """Neurons of one of ``MODELS``.

    Parameters are float32, (n,) or (1,) for all. Only ``FILTERED`` models have decays of currents.
    ``atoms``: most neurons on a PE. ``spikes`` false: a readout, whose recorded v is the output.
    """

    name: str
    model: Model
    n: int
    atoms: int
    reset: Reset
    threshold: Float32
    alpha_decay: Float32
    i_offset: Float32
    v_init: Float32
    v_reset: Float32
    exc_decay: Float32 | None = None
    inh_decay: Float32 | None = None
    spikes: bool = True

    def parameters(self) -> dict[str, Float32]:
        """Return the model's parameters except ``reset``, by the vendor's names."""
        present = {name: getattr(self, name) for name in _PARAMETERS}
        return {name: value for name, value in present.items() if value is not None}


@dataclass(frozen=True)
class Projection:
    """Synapses one by one, sorted by source neuron, target neuron and delay. None is there twice.

    ``pre``, ``post``, ``weight`` and ``delay`` (synapses,). A spike of step t acts in step t + 1 +
    delay.
    """

    name: str
    source: str
    target: str
    pre: Int
    post: Int
    weight: Int
    delay: Int


@dataclass(frozen=True)
class Convolution:
    """A ``Conv2DProjection``, the only input of a population of model ``lif_conv2d``.

    A spike of step t acts in step t + 1. Sum pooling comes first, by ``pool_y`` x ``pool_x``
    windows side by side, then a cross-correlation of the zero-padded map. Neurons are numbered
    channel, row, column (C order). ``weight`` (C_in, C_out, rows, columns). x is horizontal here.
    No public source confirms this for the vendor's tools, so the compiler emits equal x and y only.
    """

    name: str
    source: str
    target: str
    in_height: int
    in_width: int
    stride_x: int
    stride_y: int
    pool_x: int
    pool_y: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    weight: Int

    def parameters(self) -> dict[str, int]:
        """Return the parameters of ``Conv2DProjection``, by the vendor's names."""
        return {name: getattr(self, name) for name in GEOMETRY}

    @property
    def shape_in(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the source."""
        return int(self.weight.shape[0]), self.in_height, self.in_width

    @property
    def shape_out(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the target."""
        _, channels, *kernel = self.weight.shape
        pads = (self.pad_top + self.pad_bottom, self.pad_left + self.pad_right)
        pooled = (self.in_height // self.pool_y, self.in_width // self.pool_x)
        strides = (self.stride_y, self.stride_x)
        rows, cols = (
            (n + p - k) // s + 1 for n, p, k, s in zip(pooled, pads, kernel, strides, strict=True)
        )
        return int(channels), int(rows), int(cols)


@dataclass(frozen=True)
class Tables(Network):
    """A network. ``channels``: width of the raster."""

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    convolutions: tuple[Convolution, ...]
    outputs: tuple[Output, ...]


_NAME = Text(MAX_NAME)
_ENDS: dict[str, Kind] = {"name": _NAME, "source": _NAME, "target": _NAME}
_FLOAT = ("<f4", ("1 or n",), *FLOAT32)
_DECAY = ("<f4", ("1 or n",), *DECAY)
_SIDES = ("in_height", "in_width", "stride_x", "stride_y", "pool_x", "pool_y")
_PADS = ("pad_top", "pad_bottom", "pad_left", "pad_right")
GEOMETRY = (*_SIDES, *_PADS)  # parameters of a convolution
_CURRENTS = {"exc_decay": "excitatory", "inh_decay": "inhibitory"}
_PARAMETERS = ("threshold", "alpha_decay", "i_offset", "v_init", "v_reset", *_CURRENTS)


def _population(model: Model) -> Object:
    fields: dict[str, Kind] = {
        "name": _NAME,
        "model": Const(model),
        "n": Integer(1, MAX_POINTER, doc="neurons"),
        "atoms": Integer(1, most_atoms(model), doc="neurons on a PE", source=GENERATED),
        "reset": Choice(RESETS),
        "spikes": Flag(doc="false: a readout, whose v counts"),
        "threshold": Array(*_FLOAT, source=GENERATED),
        "alpha_decay": Array(*_DECAY, doc="what is left of v in a step", source=GENERATED),
        "i_offset": Array(*_FLOAT, doc="added to v in each step", source=GENERATED),
        "v_init": Array(*_FLOAT, source=GENERATED),
        "v_reset": Array(*_FLOAT, source=GENERATED),
    }
    for name, current in _CURRENTS.items() if model in FILTERED else ():
        doc = f"what is left of the {current} current"
        fields[name] = Array(*_DECAY, doc=doc, source=GENERATED)
    return Object(fields)


def network_file() -> NetworkFile:
    """Describe network.npz."""
    inputs: dict[str, Kind] = {
        "name": _NAME,
        "atoms": Integer(1, MAX_ATOMS, doc="neurons on a PE", source=GENERATED),
        "channels": pointers("n", "the channel of the raster that each neuron plays"),
    }
    delay = "a spike of step t acts in t + 1 + delay"
    projections: dict[str, Kind] = {
        **_ENDS,
        "pre": pointers("synapses", "source neuron. Synapses are in the order of pre, post, delay"),
        "post": pointers("synapses", "target neuron"),
        "weight": Array("<i2", ("synapses",), *WEIGHT, source=IMPORTER),
        "delay": Array("<i2", ("synapses",), *DELAY, doc=delay, source=SCRIPTS),
    }
    weight = Array("|i1", ("C_in", "C_out", "rows", "columns"), *WEIGHT, source=IMPORTER)
    convolutions: dict[str, Kind] = {
        **_ENDS,
        **{name: Integer(1, MAP, source="nirc") for name in _SIDES},
        **{name: Integer(0, MAP, source="nirc") for name in _PADS},
        "weight": weight,
    }
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "channels": CHANNELS,
        "inputs": Many(Object(inputs), "inputs"),
        "populations": Many(
            Switch("model", tuple((m, _population(m)) for m in MODELS)), "populations"
        ),
        "projections": Many(Object(projections), "projections"),
        "convolutions": Many(Object(convolutions), "convolutions"),
        "outputs": OUTPUTS,
    }
    numbers = {
        "delayed": DELAYED,
        "weights": {True: DELAYED_WEIGHT, False: WEIGHT},  # with delays, without
        "delays": {True: DELAY, False: (0, 0)},
    }
    return NetworkFile(
        FILE,
        Object(fields),
        check_network,
        numbers,
        MAX_TOTAL_BYTES,
        finding=ValueOutsideRange,
        source=SCRIPTS,
    )


NETWORK = network_file()
_MAKERS = {
    "inputs": Input,
    "populations": Population,
    "projections": Projection,
    "convolutions": Convolution,
    "outputs": Output,
}


def tree_of(tables: Tables) -> Tree:
    """Return the tables as the tree of network.npz."""
    return chipfiles.tree_of(NETWORK, tables)


def to_npz(tables: Tables) -> bytes:
    """Return the bytes of ``network.npz``, the same for the same tables on every machine.

    Raises ``CompileError`` (N910) for a value that the chip does not take, ``InputError`` (U605) if
    the tables contradict themselves.
    """
    return chipfiles.to_npz(NETWORK, tables)


def from_npz(data: bytes) -> Tables:
    """Return the tables in the bytes of a ``network.npz``, with read-only arrays.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError``
    (N910) for values that the chip does not take. The diagnostics name field, value and allowed
    range.
    """
    return chipfiles.from_npz(NETWORK, data, Tables, _MAKERS)
