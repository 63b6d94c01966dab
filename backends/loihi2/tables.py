"""What the emulator runs and Lava is given: populations and projections in the chip's integers; and
their file.

``network.npz`` is read and written by ``nirc.files.chipfiles``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nirc.backends.loihi2.checks import check_network
from nirc.backends.loihi2.findings import ValueOutsideRange
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
    STATE,
    TOOLS_1,
    VTH,
    WEIGHT,
    WEIGHT_BITS,
    WEIGHT_EXP,
)
from nirc.backends.loihi2.rule import SIGN_MODES, IntArray, SignMode
from nirc.files import chipfiles
from nirc.files.bounds import MAX_NAME, MAX_TOTAL_BYTES
from nirc.files.description import Tree
from nirc.files.kinds import (
    Array,
    Choice,
    Const,
    Flag,
    Integer,
    Integers,
    Many,
    Object,
    Switch,
    Text,
)
from nirc.files.kinds import Kind as Type
from nirc.files.members import MAX_POINTER, NetworkFile

Kind = Literal["dense", "sparse", "conv"]
PROJECTIONS: tuple[Kind, ...] = ("dense", "sparse", "conv")

FILE = "network.npz"
FORMAT = "nirc-loihi2-1"
MAX_PRODUCTS = 1 << 34  # of a convolution in a step of the emulator
MAX_SEEN = 1 << 28  # values that it looks at


@dataclass(frozen=True)
class Input:
    """A source of spikes.

    ``channels`` (n,): which channel of the raster each of its n lines carries.
    """

    name: str
    channels: IntArray

    @property
    def n(self) -> int:
        """Lines."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """LIF neurons with one decay and one threshold. ``bias_mant``, ``bias_exp`` and ``v_init``
    (n,): a value each.

    ``v_init`` is the membrane before the first step, in units of v. ``spikes`` false: a readout,
    whose v is the output. The chip fires and resets it like any other, so the compiler keeps its v
    below ``vth << 6``.
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
    """Synapses from an input or population to a population, exactly as given to Lava's process of
    that ``kind``.

    Dense: ``weights`` and ``delays`` (targets, sources). Sparse: one entry a synapse in
    ``weights``, ``delays``, ``rows`` (its target neuron) and ``cols`` (its source), sorted by row,
    then column, none twice. Conv: ``weights`` (C_out, C_in / groups, y, x), a kernel in NIR's
    order, shared over space as ``geometry`` says; even, mixed, of 8 bits and exponent 0, since
    Lava's fixed-point model does nothing to them; no delays. ``delays`` are extra steps, None for
    none.
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
    """Columns of the output:

    ``neurons`` (k,) of a population, their spikes or, for a readout, their v.
    """

    population: str
    neurons: IntArray


@dataclass(frozen=True)
class Tables:
    """A whole network.

    ``channels``: width of the raster. Outputs stand in order, one beside the other.
    """

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
        return {kind: getattr(self, kind) for kind in _MAKERS}


_NAME = Text(MAX_NAME)


def _points(axis: str, doc: str) -> Array:
    return Array("<i4", (axis,), 0, MAX_POINTER, points=True, doc=doc)


def _geometry() -> Object:
    """Of a cross-correlation: output (f, y, x) looks at the input from (y, x) * stride - padding
    on.
    """
    step = Integers((2,), *CONV_STEP, doc="y, x", source=CONV_MODELS)
    return Object(
        {
            "shape_in": Integers(
                (3,), 1, MAX_POINTER, doc=f"channels, y, x; y and x {CONV_MAP[0]}..{CONV_MAP[1]}"
            ),
            "shape_out": Integers((3,), 1, MAX_POINTER, doc="the same of the output"),
            "stride": step,
            "padding": Integers((2,), *CONV_PADDING, doc="y, x", source=CONV_MODELS),
            "dilation": step,
            "groups": Integer(*CONV_STEP, source=CONV_MODELS),
        }
    )


def _projection(kind: Kind) -> Object:
    """Fields that come first tell what a projection is: a reader sees their damage first."""
    conv, shape = (
        kind == "conv",
        {"dense": ("targets", "sources"), "sparse": ("synapses",)}.get(kind, ()),
    )
    fields: dict[str, Type] = {
        "name": _NAME,
        "source": Text(MAX_NAME, doc="an input, or a population that spikes"),
        "target": Text(MAX_NAME, doc="a population"),
        "kind": Const(kind),
        "geometry": _geometry() if conv else Const(None),
        "sign_mode": Const("mixed") if conv else Choice(SIGN_MODES),
        "num_weight_bits": Const(8) if conv else Integer(*WEIGHT_BITS, source=DENSE_MODELS),
        "weight_exp": Const(0) if conv else Integer(*WEIGHT_EXP, source=TOOLS_1),
    }
    if conv:
        doc = "even; a kernel in NIR's order"
        axes = ("C_out", "C_in / groups", "y", "x")
        return Object(
            {**fields, "weights": Array("<i2", axes, *CONV_WEIGHT, doc=doc, source=CONV_MODELS)}
        )
    fields["weights"] = Array("<i2", shape, *WEIGHT, doc="as given to Lava", source=DENSE_MODELS)
    if kind == "sparse":
        fields["rows"] = _points(
            "synapses", "target neuron. Synapses are in the order of rows, then columns"
        )
        fields["cols"] = _points("synapses", "source neuron")
    fields["delays"] = Array(
        "<i2", shape, *DELAY, doc="steps more; missing if all are 0", source=DENSE_MODELS
    )
    return Object(fields, optional=("delays",))


def network_file() -> NetworkFile:
    """Describe network.npz."""
    population: dict[str, Type] = {
        "name": _NAME,
        "du": Integer(*DU, source=LIF_MODELS),
        "dv": Integer(*DV, source=LIF_MODELS),
        "vth": Integer(*VTH, source=LIF_MODELS),
        "spikes": Flag(doc="false: a readout, whose v counts"),
        "bias_mant": Array("<i2", ("n",), *BIAS_MANT, source=LIF_MODELS),
        "bias_exp": Array("<i2", ("n",), *BIAS_EXP, source=LIF_MODELS),
        "v_init": Array("<i4", ("n",), *STATE, source=LIF_MODELS),
    }
    inputs = Object(
        {
            "name": _NAME,
            "channels": _points("lines", "the channel of the raster that each line carries"),
        }
    )
    outputs = Object(
        {"population": _NAME, "neurons": _points("k", "outputs stand side by side, in order")}
    )
    fields: dict[str, Type] = {
        "format": Const(FORMAT),
        "channels": Integer(0, MAX_POINTER, doc="width of the raster"),
        "inputs": Many(inputs, "inputs"),
        "populations": Many(Object(population), "populations"),
        "projections": Many(
            Switch("kind", tuple((kind, _projection(kind)) for kind in PROJECTIONS)), "projections"
        ),
        "outputs": Many(outputs, "outputs"),
    }
    numbers = {
        "map": CONV_MAP,
        "kernel": CONV_STEP,
        "weight": CONV_WEIGHT,
        "products": MAX_PRODUCTS,
        "seen": MAX_SEEN,
    }
    return NetworkFile(
        FILE,
        Object(fields),
        check_network,
        numbers,
        MAX_TOTAL_BYTES,
        finding=ValueOutsideRange,
        source=LIF_MODELS,
    )


NETWORK = network_file()


def _made(geometry: Tree, **fields: Any) -> Projection:
    return Projection(**fields, geometry=None if geometry is None else _geometry_of(**geometry))


def _geometry_of(groups: int, **axes: list[int]) -> Geometry:
    numbers: dict[str, Any] = {name: tuple(values) for name, values in axes.items()}
    return Geometry(**numbers, groups=groups)


_MAKERS = {"inputs": Input, "populations": Population, "projections": _made, "outputs": Output}


def to_npz(tables: Tables) -> bytes:
    """The bytes of ``network.npz``: the same for the same tables, whatever the machine.

    Raises ``CompileError`` (L810) for a value that the chip does not take, ``InputError`` (U605) if
    the tables contradict themselves.
    """
    return chipfiles.to_npz(NETWORK, chipfiles.tree_of(NETWORK, tables.channels, tables.blocks()))


def from_npz(data: bytes) -> Tables:
    """The tables in the bytes of a ``network.npz``; its arrays are read-only, int16 or int32.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError``
    (L810) for values that the chip does not take. The diagnostics name field, value and allowed
    range.
    """
    channels, blocks = chipfiles.from_npz(NETWORK, data, _MAKERS)
    return Tables(channels, **blocks)
