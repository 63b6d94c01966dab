"""What the emulator runs and Lava is given: populations and projections in the chip's integers; and their file.

``network.npz`` is read and written by ``nirc.files.npz``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nirc.backends.loihi2.geometry import Geometry
from nirc.backends.loihi2.limits import (
    BIAS_EXP,
    BIAS_MANT,
    CONV_MAP,
    CONV_MODELS,
    CONV_PADDING,
    CONV_STEP,
    CONV_WEIGHT,
    DELAY,
    DENSE_MODELS,
    DU,
    DV,
    LIF_MODELS,
    LOGS,
    STATE,
    TOOLS_1,
    VTH,
    WEIGHT,
    WEIGHT_BITS,
    WEIGHT_EXP,
)
from nirc.backends.loihi2.rule import SIGN_MODES, IntArray, SignMode
from nirc.files.json import JsonReader
from nirc.files.npz import MAX_INDEX, ArrayField, BlockKind, NpzFormat

Kind = Literal["dense", "sparse", "conv"]
PROJECTIONS: tuple[Kind, ...] = ("dense", "sparse", "conv")

FILE = "network.npz"
FORMAT = "nirc-loihi2-1"
MAX_PRODUCTS = 1 << 34  # of a convolution in a step of the emulator
MAX_SEEN = 1 << 28  # values that it looks at


@dataclass(frozen=True)
class Input:
    """A source of spikes. ``channels`` (n,): which channel of the raster each of its n lines carries."""

    name: str
    channels: IntArray

    @property
    def n(self) -> int:
        """Lines."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """LIF neurons with one decay and one threshold. ``bias_mant``, ``bias_exp`` and ``v_init`` (n,): a value each.

    ``v_init`` is the membrane before the first step, in units of v. ``spikes`` false: a readout, whose v is the
    output. The chip fires and resets it like any other, so the compiler keeps its v below ``vth << 6``.
    """

    name: str
    du: int
    dv: int
    vth: int
    bias_mant: IntArray
    bias_exp: IntArray
    v_init: IntArray
    spikes: bool = True

    @property
    def n(self) -> int:
        """Neurons."""
        return len(self.bias_mant)


@dataclass(frozen=True)
class Projection:
    """Synapses from an input or population to a population, exactly as given to Lava's process of that ``kind``.

    Dense: ``weights`` and ``delays`` (targets, sources). Sparse: one entry a synapse in ``weights``, ``delays``,
    ``rows`` (its target neuron) and ``cols`` (its source), sorted by row, then column, none twice.
    Conv: ``weights`` (C_out, C_in / groups, y, x), a kernel in NIR's order, shared over space as ``geometry`` says;
    even, mixed, of 8 bits and exponent 0, since Lava's fixed-point model does nothing to them; no delays.
    ``delays`` are extra steps, None for none.
    """

    name: str
    source: str
    target: str
    kind: Kind
    weights: IntArray
    sign_mode: SignMode
    rows: IntArray | None = None
    cols: IntArray | None = None
    delays: IntArray | None = None
    num_weight_bits: int = 8
    weight_exp: int = 0
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Output:
    """Columns of the output: ``neurons`` (k,) of a population, their spikes or, for a readout, their v."""

    population: str
    neurons: IntArray


@dataclass(frozen=True)
class Tables:
    """A whole network. ``channels``: width of the raster. Outputs stand in order, one beside the other."""

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[Output, ...]

    def sizes(self) -> dict[str, int]:
        """Neurons of each population and lines of each input, by name."""
        sizes = {source.name: source.n for source in self.inputs}
        return sizes | {population.name: population.n for population in self.populations}

    def blocks(self) -> Mapping[str, tuple[Any, ...]]:
        """All blocks by kind."""
        return {kind: getattr(self, kind) for kind in KINDS}


_INDEX = (0, MAX_INDEX)  # compared with what it points into later
GEOMETRY: dict[str, tuple[int, tuple[int, int], str]] = {  # numbers, range and its source; of shapes in the second
    "shape_in": (3, (1, MAX_INDEX), ""),
    "shape_out": (3, (1, MAX_INDEX), ""),
    "stride": (2, CONV_STEP, CONV_MODELS),
    "padding": (2, CONV_PADDING, CONV_MODELS),
    "dilation": (2, CONV_STEP, CONV_MODELS),
}


def _geometry(reader: JsonReader, value: Any, path: str) -> Geometry | None:
    """A convolution's shapes and steps, whole numbers; none for other projections."""
    if value is None:
        return None
    block = reader.as_object(value, path, (*GEOMETRY, "groups"))
    anything = (-MAX_INDEX, MAX_INDEX)
    lists = {
        name: tuple(reader.array(block[name], (n,), anything, f"{path}.{name}").tolist())
        for name, (n, _, _) in GEOMETRY.items()
    }
    return Geometry(**lists, groups=reader.integer(block["groups"], anything, f"{path}.groups"))


KINDS: dict[str, BlockKind] = {
    "inputs": BlockKind(Input, arrays={"channels": ArrayField("<i4", _INDEX)}),
    "populations": BlockKind(
        Population,
        flags=("spikes",),
        numbers={"du": (DU, LIF_MODELS), "dv": (DV, LIF_MODELS), "vth": (VTH, LIF_MODELS)},
        arrays={
            "bias_mant": ArrayField("<i2", BIAS_MANT, LIF_MODELS),
            "bias_exp": ArrayField("<i2", BIAS_EXP, LIF_MODELS),
            "v_init": ArrayField("<i4", STATE, LIF_MODELS),
        },
    ),
    "projections": BlockKind(
        Projection,
        ("name", "source", "target"),
        choices={"kind": PROJECTIONS, "sign_mode": SIGN_MODES},
        numbers={"num_weight_bits": (WEIGHT_BITS, DENSE_MODELS), "weight_exp": (WEIGHT_EXP, TOOLS_1)},
        nested={"geometry": _geometry},
        arrays={
            "weights": ArrayField("<i2", WEIGHT, DENSE_MODELS),
            "rows": ArrayField("<i4", _INDEX, optional=True),
            "cols": ArrayField("<i4", _INDEX, optional=True),
            "delays": ArrayField("<i2", DELAY, DENSE_MODELS, optional=True),
        },
    ),
    "outputs": BlockKind(Output, ("population",), arrays={"neurons": ArrayField("<i4", _INDEX)}),
}


def to_npz(tables: Tables) -> bytes:
    """The bytes of ``network.npz``: the same for the same tables, whatever the machine.

    Raises ``CompileError`` (L810) for a value that the chip does not take, ``InputError`` (U605) if the tables
    contradict themselves.
    """
    form = _Format()
    form.check(tables)
    return form.pack(tables.channels, tables.blocks())


def from_npz(data: bytes) -> Tables:
    """The tables in the bytes of a ``network.npz``; its arrays are read-only, int16 or int32.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError`` (L810) for values
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
        super().__init__(FILE, FORMAT, KINDS, code="L810", source=LIF_MODELS)

    def check(self, tables: Tables) -> None:
        """Raise if they contradict themselves, or hold values that the chip does not take."""
        for i, source in enumerate(tables.inputs):
            self.indices(source.channels, tables.channels, f"inputs[{i}].channels")
        for i, population in enumerate(tables.populations):
            for name in ("bias_mant", "bias_exp", "v_init"):
                self.shape(getattr(population, name), (max(1, population.n),), f"populations[{i}].{name}")
        self.unique([*tables.inputs, *tables.populations], "the inputs and populations")
        self.unique(tables.projections, "the projections")
        for i, projection in enumerate(tables.projections):
            self.synapses(projection, tables, f"projections[{i}]")
        self.outputs(tables.outputs, tables.populations)
        self.ranges(tables.blocks())
        self.log.raise_if_errors()

    def synapses(self, projection: Projection, tables: Tables, path: str) -> None:
        """A projection whose ends exist and whose arrays fit them."""
        sources, targets = self.ends(projection, tables.inputs, tables.populations, path)
        rows, cols = projection.rows, projection.cols
        if (projection.geometry is not None) != (projection.kind == "conv"):
            self.damaged("convolutions have a geometry, no others", f"{path}.geometry", projection.kind, "conv")
        if projection.kind != "sparse" and (rows is not None or cols is not None):
            self.damaged(f"a {projection.kind} projection has no rows and columns", path, "rows, cols", "weights alone")
        if projection.geometry is not None:
            self.convolution(projection, projection.geometry, sources, targets, path)
        elif projection.kind == "dense":
            self.shape(projection.weights, (targets, sources), f"{path}.weights")
        elif rows is None or cols is None:
            self.damaged("the places of the synapses are missing", path, None, "rows and cols")
        else:
            self.shape(projection.weights, (projection.weights.size,), f"{path}.weights")
            for name, index, n in (("rows", rows, targets), ("cols", cols, sources)):
                self.shape(index, projection.weights.shape, f"{path}.{name}")
                self.within(index, n, f"{path}.{name}")
            if (np.diff(rows.astype(np.int64) * sources + cols) <= 0).any():
                self.damaged("synapses are out of order or double", path, "rows, cols", "by row, then column")
        if projection.delays is not None:
            self.shape(projection.delays, projection.weights.shape, f"{path}.delays")

    def convolution(self, p: Projection, g: Geometry, sources: int, targets: int, path: str) -> None:
        """A kernel that fits its geometry, and a geometry that fits its ends."""
        at = f"{path}.geometry"
        for name, (_, allowed, source) in GEOMETRY.items():
            self._range(np.array(getattr(g, name)), allowed, f"{at}.{name}", source)
        self._range(np.array([g.groups]), CONV_STEP, f"{at}.groups", CONV_MODELS)
        self._range(np.array([*g.shape_in[1:], *g.shape_out[1:]]), CONV_MAP, at, LOGS)
        self.log.raise_if_errors()
        if p.weights.ndim != 4 or g.shape_in[0] % g.groups or g.shape_out[0] % g.groups:
            self.damaged("groups do not divide the channels", at, g.groups, "a kernel of 4 axes, equal groups")
        kernel = (p.weights.shape[2], p.weights.shape[3])
        self._range(np.array(kernel), CONV_STEP, f"{path}.weights", CONV_MODELS)
        self.shape(p.weights, g.kernel_shape(kernel), f"{path}.weights")
        for name, n, found in (("shape_in", sources, g.n_in), ("shape_out", targets, g.n_out)):
            if n != found:
                self.damaged("a map has another size than its neurons", f"{at}.{name}", found, n)
        if g.covers(kernel) != g.shape_out[1:]:
            self.damaged("the kernel gives another output", f"{at}.shape_out", g.shape_out[1:], g.covers(kernel))
        for size, most in ((p.weights.size * g.positions, MAX_PRODUCTS), (g.looks_at(kernel), MAX_SEEN)):
            if size > most:
                self.damaged("the convolution is too large", at, size, most)
        fixed = (p.sign_mode, p.num_weight_bits, p.weight_exp, p.delays is None)
        if fixed != ("mixed", 8, 0, True):
            self.damaged("a convolution is mixed, of 8 bits, exponent 0 and no delays", path, fixed, "no such settings")
        if (p.weights & 1).any():
            odd = int(p.weights[(p.weights & 1) != 0].flat[0])
            self.outside(f"{path}.weights", odd, CONV_WEIGHT, "a weight of a convolution is odd", CONV_MODELS)
