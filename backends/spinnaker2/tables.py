"""What the emulator runs and py-spinnaker2 is given: populations and projections in its words; and their file.

``network.npz`` is read and written by ``nirc.files.npz``. Names of models and parameters are the vendor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
from nirc.files.npz import MAX_INDEX, ArrayField, BlockKind, NpzFormat

Int = NDArray[np.signedinteger[Any]]
Model = Literal["lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay", "lif_conv2d"]
MODELS: tuple[Model, ...] = ("lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay", "lif_conv2d")
DELAYED = ("lif", "lif_curr_exp")  # models whose synapses have delays, and 4 bits of weight
FILTERED = ("lif_curr_exp", "lif_curr_exp_no_delay")  # models with synaptic currents


def most_atoms(model: str) -> int:
    """Neurons of a model that a processing element takes; ``model`` may be ``spike_list`` as well."""
    return MAX_PIXELS if model == "lif_conv2d" else MAX_ATOMS


FILE = "network.npz"
FORMAT = "nirc-spinnaker2-1"


@dataclass(frozen=True)
class Input:
    """A population of model ``spike_list``: in each step as many spikes as its channel of the raster counts.

    ``channels`` (n,): which channel of the raster each of its n neurons plays. ``atoms``: most of them on a PE.
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
    """Neurons of one of ``MODELS``. Parameters are float32, (n,) or (1,) for all; currents' decays only if FILTERED.

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

    ``pre``, ``post``, ``weight`` and ``delay`` (synapses,). A spike of step t acts in step t + 1 + delay.
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
    """A ``Conv2DProjection``: the only input of a population of model ``lif_conv2d``. A spike of t acts in t + 1.

    Sum pooling first, by ``pool_y`` x ``pool_x`` windows side by side, then cross-correlation of the zero-padded map.
    Neurons are numbered channel, row, column (C order). ``weight`` (C_in, C_out, rows, columns). Whatever is called
    x is horizontal; as no public source says that the vendor sees it so, the compiler emits equal x and y only.
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
        return {name: getattr(self, name) for name in _GEOMETRY}

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
        rows, cols = ((n + p - k) // s + 1 for n, p, k, s in zip(pooled, pads, kernel, strides, strict=True))
        return int(channels), int(rows), int(cols)


@dataclass(frozen=True)
class Output:
    """Columns of the output: ``neurons`` (k,) of a population, their spikes or, for a readout, their v."""

    population: str
    neurons: Int


@dataclass(frozen=True)
class Tables:
    """A whole network. ``channels``: width of the raster. Outputs stand in order, one beside the other."""

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
        return {kind: getattr(self, kind) for kind in KINDS}


_INDEX = (0, MAX_INDEX)  # compared with what it points into later
_ATOMS = ((1, MAX_PIXELS), GENERATED)
_GEOMETRY = {
    **dict.fromkeys(("in_height", "in_width", "stride_x", "stride_y", "pool_x", "pool_y"), ((1, MAP), "nirc")),
    **dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), ((0, MAP), "nirc")),
}
_PARAMETERS = {
    "threshold": ArrayField("<f4", FLOAT32, GENERATED),
    "alpha_decay": ArrayField("<f4", DECAY, GENERATED),
    "i_offset": ArrayField("<f4", FLOAT32, GENERATED),
    "v_init": ArrayField("<f4", FLOAT32, GENERATED),
    "v_reset": ArrayField("<f4", FLOAT32, GENERATED),
    "exc_decay": ArrayField("<f4", DECAY, GENERATED, optional=True),
    "inh_decay": ArrayField("<f4", DECAY, GENERATED, optional=True),
}
_ENDS = ("name", "source", "target")
KINDS: dict[str, BlockKind] = {
    "inputs": BlockKind(Input, numbers={"atoms": _ATOMS}, arrays={"channels": ArrayField("<i4", _INDEX)}),
    "populations": BlockKind(
        Population,
        choices={"model": MODELS, "reset": RESETS},
        flags=("spikes",),
        numbers={"n": (_INDEX, ""), "atoms": _ATOMS},
        arrays=_PARAMETERS,
    ),
    "projections": BlockKind(
        Projection,
        _ENDS,
        arrays={
            "pre": ArrayField("<i4", _INDEX),
            "post": ArrayField("<i4", _INDEX),
            "weight": ArrayField("<i2", WEIGHT, IMPORTER),
            "delay": ArrayField("<i2", DELAY, SCRIPTS),
        },
    ),
    "convolutions": BlockKind(
        Convolution, _ENDS, numbers=_GEOMETRY, arrays={"weight": ArrayField("|i1", WEIGHT, IMPORTER)}
    ),
    "outputs": BlockKind(Output, ("population",), arrays={"neurons": ArrayField("<i4", _INDEX)}),
}


def to_npz(tables: Tables) -> bytes:
    """The bytes of ``network.npz``: the same for the same tables, whatever the machine.

    Raises ``CompileError`` (N910) for a value that the chip does not take, ``InputError`` (U605) if the tables
    contradict themselves.
    """
    form = _Format()
    form.check(tables)
    return form.pack(tables.channels, tables.blocks())


def from_npz(data: bytes) -> Tables:
    """The tables in the bytes of a ``network.npz``; its arrays are read-only.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError`` (N910) for values
    that the chip does not take; the diagnostics name field, value and allowed range.
    """
    form = _Format()
    channels, blocks = form.unpack(data)
    tables = Tables(channels, **blocks)
    form.check(tables)
    return tables


class _Format(NpzFormat):
    """Looks whether the tables make sense."""

    def __init__(self) -> None:
        super().__init__(FILE, FORMAT, KINDS, code="N910", source=SCRIPTS)

    def check(self, tables: Tables) -> None:
        """Raise if they contradict themselves, or hold values that the chip does not take."""
        for i, source in enumerate(tables.inputs):
            self.indices(source.channels, tables.channels, f"inputs[{i}].channels")
        for i, population in enumerate(tables.populations):
            self.population(population, f"populations[{i}]")
        for i, source in enumerate(tables.inputs):
            self._range(np.array([source.atoms]), (1, MAX_ATOMS), f"inputs[{i}].atoms", GENERATED)
        for i, population in enumerate(tables.populations):
            allowed = (1, most_atoms(population.model))
            self._range(np.array([population.atoms]), allowed, f"populations[{i}].atoms", GENERATED)
        self.unique([*tables.inputs, *tables.populations], "the inputs and populations")
        self.unique([*tables.projections, *tables.convolutions], "the projections")
        self.ranges(tables.blocks())
        self.log.raise_if_errors()  # sizes are multiplied from here on
        for i, projection in enumerate(tables.projections):
            self.projection(projection, tables, f"projections[{i}]")
        for i, convolution in enumerate(tables.convolutions):
            self.convolution(convolution, tables, f"convolutions[{i}]")
        self.targets(tables)
        self.outputs(tables.outputs, tables.populations)
        self.log.raise_if_errors()

    def population(self, population: Population, path: str) -> None:
        """Parameters for all neurons, or for each, and those that its model has."""
        if population.n < 1:
            self.damaged("a population is empty", f"{path}.n", population.n, "1 or more neurons")
        for name in ("exc_decay", "inh_decay"):
            if (getattr(population, name) is not None) != (population.model in FILTERED):
                self.damaged("the model has other parameters", f"{path}.{name}", population.model, "as the model has")
        for name, value in population.parameters().items():
            if value.shape != (1,):
                self.shape(value, (population.n,), f"{path}.{name}")

    def source_and_target(self, block: Projection | Convolution, tables: Tables, path: str) -> tuple[int, Population]:
        """Neurons of a source that sends, and a target that exists."""
        sources, _ = self.ends(block, tables.inputs, tables.populations, path)
        return sources, next(p for p in tables.populations if p.name == block.target)

    def projection(self, projection: Projection, tables: Tables, path: str) -> None:
        """Synapses in order, within what the target's model takes."""
        sources, target = self.source_and_target(projection, tables, path)
        if target.model == "lif_conv2d":
            self.damaged("the model takes no list of synapses", f"{path}.target", target.model, "a convolution")
        pre, post = projection.pre, projection.post
        for name in ("pre", "post", "weight", "delay"):
            self.shape(getattr(projection, name), (pre.size,), f"{path}.{name}")
        self.within(pre, sources, f"{path}.pre")
        self.within(post, target.n, f"{path}.post")
        key = (pre.astype(np.int64) * target.n + post) * (DELAY[1] + 1) + projection.delay
        if (np.diff(key) <= 0).any():
            self.damaged("synapses are out of order or double", path, "pre, post, delay", "by pre, then post, delay")
        delayed = target.model in DELAYED
        weights, delays = (DELAYED_WEIGHT, DELAY) if delayed else (WEIGHT, (0, 0))
        self._range(projection.weight, weights, f"{path}.weight", f"{SCRIPTS}: {target.model}")
        self._range(projection.delay, delays, f"{path}.delay", f"{SCRIPTS}: {target.model}")

    def convolution(self, convolution: Convolution, tables: Tables, path: str) -> None:
        """Maps that have as many pixels as there are neurons."""
        sources, target = self.source_and_target(convolution, tables, path)
        if target.model != "lif_conv2d":
            self.damaged("the model takes no convolution", f"{path}.target", target.model, "lif_conv2d")
        if convolution.weight.ndim != 4 or 0 in convolution.weight.shape:
            self.damaged("an array has another shape", f"{path}.weight", convolution.weight.shape, "4 axes")
        for what, shape, n in (("source", convolution.shape_in, sources), ("target", convolution.shape_out, target.n)):
            if min(shape) < 1 or int(np.prod(shape)) != n:
                self.damaged("a map does not fit the population", f"{path}.{what}", shape, f"{n} neurons")

    def targets(self, tables: Tables) -> None:
        """One convolution into each population of ``lif_conv2d``."""
        for i, population in enumerate(tables.populations):
            n = sum(convolution.target == population.name for convolution in tables.convolutions)
            if population.model == "lif_conv2d" and n != 1:
                self.damaged("the model takes one convolution", f"populations[{i}]", n, 1)
