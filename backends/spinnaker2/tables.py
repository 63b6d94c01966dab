"""What the emulator runs and py-spinnaker2 is given: populations and projections in its words; and
their file.

``network.npz`` is read and written by ``nirc.files.chipfiles``. Names of models and parameters are
the vendor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
from nirc.files.description import Tree
from nirc.files.kinds import Array, Choice, Const, Flag, Integer, Kind, Many, Object, Switch, Text
from nirc.files.members import MAX_POINTER, NetworkFile

Int = NDArray[np.signedinteger[Any]]
Model = Literal["lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay", "lif_conv2d"]
MODELS: tuple[Model, ...] = (
    "lif",
    "lif_no_delay",
    "lif_curr_exp",
    "lif_curr_exp_no_delay",
    "lif_conv2d",
)
DELAYED = ("lif", "lif_curr_exp")  # models whose synapses have delays, and 4 bits of weight
FILTERED = ("lif_curr_exp", "lif_curr_exp_no_delay")  # models with synaptic currents


def most_atoms(model: str) -> int:
    """Neurons of a model that a processing element takes; ``model`` may be ``spike_list`` as
    well.
    """
    return MAX_PIXELS if model == "lif_conv2d" else MAX_ATOMS


FILE = "network.npz"
FORMAT = "nirc-spinnaker2-1"


@dataclass(frozen=True)
class Input:
    """A population of model ``spike_list``: in each step as many spikes as its channel of the
    raster counts.

    ``channels`` (n,): which channel of the raster each of its n neurons plays. ``atoms``: most of
    them on a PE.
    """

    name: str
    channels: Int
    atoms: int

    @property
    def n(self) -> int:
        """Neurons."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """Neurons of one of ``MODELS``. Parameters are float32, (n,) or (1,) for all; currents' decays
    only if FILTERED.

    ``atoms``: most of them on a PE. ``spikes`` false: a readout, whose recorded v is the output.
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
        """What the model takes, by the vendor's names; ``reset`` is separate."""
        present = {name: getattr(self, name) for name in _PARAMETERS}
        return {name: value for name, value in present.items() if value is not None}


@dataclass(frozen=True)
class Projection:
    """Synapses one by one, sorted by source neuron, then target neuron, then delay; none twice.

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
    """A ``Conv2DProjection``: the only input of a population of model ``lif_conv2d``. A spike of t
    acts in t + 1.

    Sum pooling first, by ``pool_y`` x ``pool_x`` windows side by side, then cross-correlation of
    the zero-padded map. Neurons are numbered channel, row, column (C order). ``weight`` (C_in,
    C_out, rows, columns). Whatever is called x is horizontal; as no public source says that the
    vendor sees it so, the compiler emits equal x and y only.
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
        """What ``Conv2DProjection`` takes, by the vendor's names."""
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
class Output:
    """Columns of the output:

    ``neurons`` (k,) of a population, their spikes or, for a readout, their v.
    """

    population: str
    neurons: Int


@dataclass(frozen=True)
class Tables:
    """A whole network.

    ``channels``: width of the raster. Outputs stand in order, one beside the other.
    """

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    convolutions: tuple[Convolution, ...]
    outputs: tuple[Output, ...]

    def sizes(self) -> dict[str, int]:
        """Neurons of each input and population, by name."""
        sizes = {source.name: source.n for source in self.inputs}
        return sizes | {population.name: population.n for population in self.populations}

    def blocks(self) -> Mapping[str, tuple[Any, ...]]:
        """All blocks by kind."""
        return {kind: getattr(self, kind) for kind in _MAKERS}


_NAME = Text(MAX_NAME)
_ENDS: dict[str, Kind] = {"name": _NAME, "source": _NAME, "target": _NAME}
_FLOAT = ("<f4", ("1 or n",), *FLOAT32)
_DECAY = ("<f4", ("1 or n",), *DECAY)
_SIDES = ("in_height", "in_width", "stride_x", "stride_y", "pool_x", "pool_y")
_PADS = ("pad_top", "pad_bottom", "pad_left", "pad_right")
GEOMETRY = (*_SIDES, *_PADS)  # parameters of a convolution
_PARAMETERS = (
    "threshold",
    "alpha_decay",
    "i_offset",
    "v_init",
    "v_reset",
    "exc_decay",
    "inh_decay",
)


def _points(axis: str, doc: str) -> Array:
    return Array("<i4", (axis,), 0, MAX_POINTER, points=True, doc=doc)


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
    if model in FILTERED:
        fields["exc_decay"] = Array(
            *_DECAY, doc="what is left of the excitatory current", source=GENERATED
        )
        fields["inh_decay"] = Array(
            *_DECAY, doc="what is left of the inhibitory current", source=GENERATED
        )
    return Object(fields)


def network_file() -> NetworkFile:
    """Describe network.npz."""
    inputs: dict[str, Kind] = {
        "name": _NAME,
        "atoms": Integer(1, MAX_ATOMS, doc="neurons on a PE", source=GENERATED),
        "channels": _points("n", "the channel of the raster that each neuron plays"),
    }
    projections: dict[str, Kind] = {
        **_ENDS,
        "pre": _points("synapses", "source neuron. Synapses are in the order of pre, post, delay"),
        "post": _points("synapses", "target neuron"),
        "weight": Array("<i2", ("synapses",), *WEIGHT, source=IMPORTER),
        "delay": Array(
            "<i2",
            ("synapses",),
            *DELAY,
            doc="a spike of step t acts in t + 1 + delay",
            source=SCRIPTS,
        ),
    }
    weight = Array("|i1", ("C_in", "C_out", "rows", "columns"), *WEIGHT, source=IMPORTER)
    convolutions: dict[str, Kind] = {
        **_ENDS,
        **{name: Integer(1, MAP, source="nirc") for name in _SIDES},
        **{name: Integer(0, MAP, source="nirc") for name in _PADS},
        "weight": weight,
    }
    outputs: dict[str, Kind] = {
        "population": _NAME,
        "neurons": _points("k", "outputs stand side by side, in order"),
    }
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "channels": Integer(0, MAX_POINTER, doc="width of the raster"),
        "inputs": Many(Object(inputs), "inputs"),
        "populations": Many(
            Switch("model", tuple((m, _population(m)) for m in MODELS)), "populations"
        ),
        "projections": Many(Object(projections), "projections"),
        "convolutions": Many(Object(convolutions), "convolutions"),
        "outputs": Many(Object(outputs), "outputs"),
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
    """The tables as the tree of network.npz."""
    return chipfiles.tree_of(NETWORK, tables.channels, tables.blocks())


def to_npz(tables: Tables) -> bytes:
    """The bytes of ``network.npz``: the same for the same tables, whatever the machine.

    Raises ``CompileError`` (N910) for a value that the chip does not take, ``InputError`` (U605) if
    the tables contradict themselves.
    """
    return chipfiles.to_npz(NETWORK, tree_of(tables))


def from_npz(data: bytes) -> Tables:
    """The tables in the bytes of a ``network.npz``; its arrays are read-only.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError``
    (N910) for values that the chip does not take. The diagnostics name field, value and allowed
    range.
    """
    channels, blocks = chipfiles.from_npz(NETWORK, data, _MAKERS)
    return Tables(channels, **blocks)
