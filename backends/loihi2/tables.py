"""The network that the emulator runs and Lava gets, in the chip's integers, and its file.

``nirc.files.chipfiles`` reads and writes ``network.npz``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from nirc.backends.loihi2.checks import check_network, output_side
from nirc.backends.loihi2.findings import ValueOutsideRange
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
from nirc.files.chipfiles import CHANNELS, OUTPUTS, Network, Output, pointers
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

Map = tuple[int, int, int]  # channels, y, x
Pair = tuple[int, int]  # y, x
Kind = Literal["dense", "sparse", "conv"]
PROJECTIONS: tuple[Kind, ...] = ("dense", "sparse", "conv")

FILE = "network.npz"
FORMAT = "nirc-loihi2-1"
MAX_PRODUCTS = 1 << 34  # of a convolution in a step of the emulator
MAX_SEEN = 1 << 28  # values that it looks at


@dataclass(frozen=True)
class Geometry:
    """A cross-correlation in NIR's order of axes. Signals are flat in C order of (channels, y, x).

    Output (f, y, x) reads the input from (y, x) * stride - padding on. Padding is the same on both
    sides, as in Lava.
    """

    shape_in: Map
    shape_out: Map
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def n_out(self) -> int:
        """Neurons of the output."""
        return math.prod(self.shape_out)

    @property
    def positions(self) -> int:
        """Places of an output map."""
        return self.shape_out[1] * self.shape_out[2]

    def covers(self, kernel: Pair) -> Pair:
        """Return the outputs (y, x) of a kernel of this size.

        They are below 1 if the kernel does not fit into the padded map.
        """
        axes = zip(self.shape_in[1:], kernel, self.stride, self.padding, self.dilation, strict=True)
        y, x = (output_side(*axis) for axis in axes)
        return y, x


@dataclass(frozen=True)
class Input:
    """A source of spikes. ``channels`` (n,): the raster's channel of each of its n lines."""

    name: str
    channels: IntArray

    @property
    def n(self) -> int:
        """Lines."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """LIF neurons with one pair of decays and one threshold.

    ``bias_mant``, ``bias_exp`` and ``v_init`` (n,) have a value for each neuron. ``v_init`` is the
    membrane before the first step, in units of v. ``spikes``: False for a readout, whose v is the
    output. The chip fires and resets a readout like any other population, so the compiler keeps its
    v below ``vth << 6``.
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
    """Synapses from an input or population, exactly as Lava's process of that ``kind`` gets them.

    Dense: ``weights`` and ``delays`` (targets, sources). Sparse: one entry a synapse in
    ``weights``, ``delays``, ``rows`` (its target neuron) and ``cols`` (its source), sorted by row,
    then column, none twice. Conv: ``weights`` (C_out, C_in / groups, y, x), a kernel in NIR's order
    that is shared over space by ``geometry``. Its weights are even and mixed, of 8 bits and
    exponent 0, since Lava's fixed-point model changes nothing of them. It has no delays. ``delays``
    are extra steps, None for none.
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

    @property
    def places(self) -> tuple[IntArray, IntArray] | None:
        """The target and the source of each synapse of a list, None for a matrix or a kernel."""
        return None if self.rows is None or self.cols is None else (self.rows, self.cols)


@dataclass(frozen=True)
class Tables(Network):
    """A network. ``channels``: width of the raster."""

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[Output, ...]


_NAME = Text(MAX_NAME)


def _geometry() -> Object:
    """Describe the geometry of a kernel."""
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
    """Describe a projection. A reader sees damage of the first fields first."""
    conv = kind == "conv"
    shape = {"dense": ("targets", "sources"), "sparse": ("synapses",)}.get(kind, ())
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
        fields["rows"] = pointers(
            "synapses", "target neuron. Synapses are in the order of rows, then columns"
        )
        fields["cols"] = pointers("synapses", "source neuron")
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
            "channels": pointers("lines", "the channel of the raster that each line carries"),
        }
    )
    fields: dict[str, Type] = {
        "format": Const(FORMAT),
        "channels": CHANNELS,
        "inputs": Many(inputs, "inputs"),
        "populations": Many(Object(population), "populations"),
        "projections": Many(
            Switch("kind", tuple((kind, _projection(kind)) for kind in PROJECTIONS)), "projections"
        ),
        "outputs": OUTPUTS,
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


def _projection_of(geometry: Tree, **fields: Any) -> Projection:
    if geometry is None:
        return Projection(**fields)
    axes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in geometry.items()
    }
    return Projection(**fields, geometry=Geometry(**axes))


_MAKERS = {
    "inputs": Input,
    "populations": Population,
    "projections": _projection_of,
    "outputs": Output,
}


def to_npz(tables: Tables) -> bytes:
    """Return the bytes of ``network.npz``, the same for the same tables on every machine.

    Raises ``CompileError`` (L810) for a value that the chip does not take. Raises ``InputError``
    (U605) if the tables contradict themselves.
    """
    return chipfiles.to_npz(NETWORK, tables)


def from_npz(data: bytes) -> Tables:
    """Return the tables of a ``network.npz``. Its arrays are read-only, int16 or int32.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself. Raises
    ``CompileError`` (L810) for values that the chip does not take. The diagnostics name field,
    value and allowed range.
    """
    return chipfiles.from_npz(NETWORK, data, Tables, _MAKERS)
