"""network.npz: the integer program as a file, described once.

Emulator and C file are both made from what is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ChipLacks
from nirc.files import chipfiles
from nirc.files.bounds import MAX_NAME, MAX_TOTAL_BYTES
from nirc.files.chipfiles import CHANNELS, OUTPUTS, Labels, Network, Output, pointers
from nirc.files.kinds import Array, Const, Integer, Kind, Many, Object, Switch, Text
from nirc.files.members import MAX_POINTER, NetworkFile
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, LinearOp, Pool, Sparse, weights_of
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse
from nirc.semantics.run import execution_order
from nirc_target_c.bounds import weighted
from nirc_target_c.checks import check_network, shape_out
from nirc_target_c.limits import (
    C99,
    DECAY_ONE,
    MOST,
    SHIFT,
    STATE,
    WEIGHT,
    WORDS,
    report_excesses,
)
from nirc_target_c.neuron import CNeuron

Int = NDArray[np.signedinteger[Any]]

FILE = "network.npz"
FORMAT = "nirc-target-c-1"
READOUT = "readout"  # nirc's name for all outputs together, where there are membranes among them
DECAYS = ("decay_mem", "decay_syn", "decay_syn_2")
CONSTANTS = ("drift", "threshold", "v_reset", "v_least", "v_start")
SIDES = ("maps", "height", "width")  # of the map that comes in
WINDOW = ("pool_y", "pool_x", "stride_y", "stride_x", "dilation_y", "dilation_x", "groups")
PADS = ("pad_top", "pad_bottom", "pad_left", "pad_right")


@dataclass(frozen=True)
class Input:
    """Channels of the raster, side by side."""

    name: str
    channels: Int

    @property
    def n(self) -> int:
        """The number of channels."""
        return len(self.channels)


@dataclass(frozen=True)
class Neurons:
    """A population, in the units of its states.

    All arrays are (n,) or (1,) for all. Decays keep multiples of 1 / 2^23. An array is None where
    ``Discrete`` has none.
    """

    name: str
    n: int
    rule: str
    decay_mem: Int
    drift: Int
    decay_syn: Int | None = None
    decay_syn_2: Int | None = None
    threshold: Int | None = None
    v_reset: Int | None = None
    v_least: Int | None = None
    v_start: Int | None = None


@dataclass(frozen=True)
class Matrix:
    """A projection. Weights (n_out, n_in) times 2^``shift`` are in units of the target's state."""

    kind: str
    source: str
    target: str
    lag: int
    receptor: int
    shift: int
    weight: Int


@dataclass(frozen=True)
class Listed(Matrix):
    """Synapses one by one, by target and source neuron."""

    pre: Int
    post: Int


@dataclass(frozen=True)
class Kernel(Matrix):
    """A convolution behind a pooling. Weights (maps out, maps in / groups, y, x)."""

    maps: int
    height: int
    width: int
    pool_y: int
    pool_x: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    groups: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int


@dataclass(frozen=True)
class Constant:
    """A constant that reaches a receptor in every step from step ``onset`` on, (n,)."""

    target: str
    receptor: int
    onset: int
    value: Int


@dataclass(frozen=True)
class Tables(Network):
    """The network. ``bits``: of a weight."""

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Neurons, ...]
    projections: tuple[Matrix, ...]
    constants: tuple[Constant, ...]
    outputs: tuple[Output, ...]


# The file.


def _projection(kind: str) -> Object:
    axes = {
        "dense": ("n_out", "n_in"),
        "list": ("synapses",),
        "kernel": ("maps out", "maps in", "y", "x"),
    }
    fields: dict[str, Kind] = {
        "kind": Const(kind),
        "source": Text(MAX_NAME),
        "target": Text(MAX_NAME),
        "lag": Integer(0, MOST, doc="a spike of step t acts in step t + lag"),
        "receptor": Integer(0, 1),
        "shift": Integer(0, SHIFT, doc="weights are multiplied by 2^shift"),
        "weight": Array("<i2", axes[kind], -WEIGHT[16], WEIGHT[16], source=WORDS),
    }
    if kind == "list":
        fields["pre"] = pointers("synapses", "source neuron")
        fields["post"] = pointers("synapses", "target neuron, in rising order")
    if kind == "kernel":
        fields |= {name: Integer(1, MOST) for name in (*SIDES, *WINDOW)}
        fields |= {name: Integer(0, MOST) for name in PADS}
    return Object(fields)


def _described() -> NetworkFile:
    kept = Array("<i4", ("1 or n",), 0, DECAY_ONE, doc="what is left, in 1 / 2^23", source=WORDS)
    state = Array("<i4", ("1 or n",), -STATE, STATE, source=WORDS)
    neurons: dict[str, Kind] = {
        "name": Text(MAX_NAME),
        "n": Integer(1, MOST, doc="neurons"),
        "rule": Text(MAX_NAME, doc="operations of a step, see nirc.ir.rules"),
        **dict.fromkeys(DECAYS, kept),
        **dict.fromkeys(CONSTANTS, state),
    }
    missing = tuple(name for name in (*DECAYS, *CONSTANTS) if name not in ("decay_mem", "drift"))
    constants: dict[str, Kind] = {
        "target": Text(MAX_NAME),
        "receptor": Integer(0, 1),
        "onset": Integer(0, MAX_POINTER, doc="the first step"),
        "value": Array("<i4", ("n",), -STATE, STATE, source=WORDS),
    }
    inputs: dict[str, Kind] = {
        "name": Text(MAX_NAME),
        "channels": pointers("n", "the channels of the raster, side by side"),
    }
    kinds = tuple((kind, _projection(kind)) for kind in ("dense", "list", "kernel"))
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "channels": CHANNELS,
        "inputs": Many(Object(inputs), "inputs"),
        "populations": Many(Object(neurons, missing), "populations"),
        "projections": Many(Switch("kind", kinds), "projections"),
        "constants": Many(Object(constants), "constants"),
        "outputs": OUTPUTS,
    }
    return NetworkFile(
        FILE, Object(fields), check_network, {}, MAX_TOTAL_BYTES, finding=ChipLacks, source=WORDS
    )


NETWORK = _described()
_KINDS: dict[str, type[Matrix]] = {"dense": Matrix, "list": Listed, "kernel": Kernel}
_MAKERS = {
    "inputs": Input,
    "populations": Neurons,
    "projections": lambda **block: _KINDS[block["kind"]](**block),
    "constants": Constant,
    "outputs": Output,
}


def to_npz(tables: Tables) -> bytes:
    """Return the bytes of network.npz, the same for the same tables on every machine."""
    return chipfiles.to_npz(NETWORK, tables)


def from_npz(data: bytes) -> Tables:
    """Return the tables. Raises ``InputError`` (U605) or ``CompileError`` (P320)."""
    return chipfiles.from_npz(NETWORK, data, Tables, _MAKERS)


# From the integer program.


def tables_of(program: Program) -> tuple[Tables, dict[str, str]]:
    """Return the tables of an integer program, and the label of each node."""
    labels = Labels((READOUT,))
    names = {name: labels.new(name) for name in execution_order(program)}
    inputs = []
    first = 0
    for name, source in program.nodes(Source).items():
        inputs.append(Input(names[name], np.arange(first, first + source.n)))
        first += source.n
    order = [name for name in names if isinstance(program[name], Population)]
    populations = tuple(_neurons(names[name], program[name].dynamics.units) for name in order)
    projections: list[Matrix] = []
    constants: list[Constant] = []
    for name in order:
        for sender, projection in program.into(name):
            projections.append(_matrix(names[sender], names[name], projection))
            constants += _constants(names[name], projection)
    shown = dict.fromkeys(program.into(sink)[0][0] for sink in program.nodes(Sink))
    outputs = tuple(Output(names[name], np.arange(program[name].n)) for name in shown)
    tables = Tables(
        first, tuple(inputs), populations, tuple(projections), tuple(constants), outputs
    )
    return tables, names


def _neurons(name: str, d: Discrete) -> Neurons:
    arrays: dict[str, Int] = {}
    for field in (*DECAYS, *CONSTANTS):
        value = getattr(d, field)
        if value is not None:
            whole = _integers(value * DECAY_ONE if field in DECAYS else value)
            arrays[field] = whole[:1] if (whole == whole[:1]).all() else whole
    return Neurons(name, d.decay_mem.size, d.rule.text, **arrays)


def _matrix(source: str, target: str, p: Projection) -> Matrix:
    op = weighted(p)
    weights = weights_of(op)
    shift = _shift(weights)
    common: dict[str, Any] = {
        "source": source,
        "target": target,
        "lag": p.lag,
        "receptor": p.synapse,
        "shift": shift,
        "weight": _integers(weights / 2.0**shift),
    }
    match op:
        case Dense():
            return Matrix("dense", **common)
        case Sparse():
            return Listed("list", **common, pre=op.source, post=op.target)
        case Conv():
            pool = next((each for each in p.ops[:-1] if isinstance(each, Pool)), None)
            common |= _geometry(pool, op)
            return Kernel("kernel", **common)


def _constants(target: str, p: Projection) -> list[Constant]:
    return [
        Constant(target, p.synapse, bias.onset_steps, _integers(bias.value)) for bias in p.biases
    ]


def _geometry(pool: Pool | None, conv: Conv) -> dict[str, int]:
    maps, height, width = conv.shape_in if pool is None else pool.shape_in
    pool_y, pool_x = (1, 1) if pool is None else pool.kernel
    (top, bottom), (left, right) = conv.padding
    return {
        **dict(zip(SIDES, (maps, height, width), strict=True)),
        **{"pool_y": pool_y, "pool_x": pool_x, "groups": conv.groups},
        **{"stride_y": conv.stride[0], "stride_x": conv.stride[1]},
        **{"dilation_y": conv.dilation[0], "dilation_x": conv.dilation[1]},
        **dict(zip(PADS, (top, bottom, left, right), strict=True)),
    }


def _shift(weight: Float) -> int:
    """Return how many bits all weights have in common that are 0, at most ``SHIFT``."""
    bits = int(np.bitwise_or.reduce(np.abs(weight).astype(np.int64), axis=None, initial=0))
    return min(SHIFT, (bits & -bits).bit_length() - 1) if bits else 0


def _integers(values: Float) -> Int:
    return np.rint(values).astype(np.int64)


# And back.


def program_of(tables: Tables) -> Program:
    """Return the integer program of a file. Raises ``CompileError`` (P320) above a limit."""
    nodes: dict[str, Any] = {}
    for source in tables.inputs:
        nodes[source.name] = Source((source.n,), (source.name,))
    for block in tables.populations:
        nodes[block.name] = Population((block.n,), _dynamics(block), (block.name,))
    constants: dict[tuple[str, int], list[Bias]] = {}
    for each in tables.constants:
        bias = Bias(frozen(each.value), onset_steps=each.onset)
        constants.setdefault((each.target, each.receptor), []).append(bias)
    edges: list[tuple[str, str, object]] = []
    for matrix in tables.projections:
        projection = Projection(
            _ops(matrix, nodes[matrix.source].n, nodes[matrix.target].n),
            delay_steps=matrix.lag,
            synapse=matrix.receptor,
            biases=tuple(constants.pop((matrix.target, matrix.receptor), ())),
        )
        edges.append((matrix.source, matrix.target, projection))
    labels = Labels(nodes)
    for output in tables.outputs:
        sink = labels.new("output")
        nodes[sink] = Sink((len(output.neurons),), (sink,))
        edges.append((output.population, sink, Projection()))
    program = Program.of(Form.INTEGER, nodes, edges)
    report_excesses(program, C99, log := Log(file=FILE))
    log.raise_if_errors()
    return program


def _dynamics(block: Neurons) -> CNeuron:
    coefficients: dict[str, Float] = {}
    for field in (*DECAYS, *CONSTANTS):
        value = getattr(block, field)
        if value is not None:
            unit = DECAY_ONE if field in DECAYS else 1
            coefficients[field] = frozen(np.broadcast_to(value / unit, block.n))
    ones = np.ones(block.n)
    units = Discrete(gain_mem=ones, rule=parse(block.rule), grain=1.0, **coefficients)
    return CNeuron(units, ones)


def _ops(matrix: Matrix, n_in: int, n_out: int) -> tuple[LinearOp, ...]:
    weight = frozen(matrix.weight * 2.0**matrix.shift)
    if isinstance(matrix, Listed):
        return (Sparse(matrix.post, matrix.pre, weight, n_in, n_out),)
    if not isinstance(matrix, Kernel):
        return (Dense(weight),)
    k = matrix
    pooled = (k.maps, k.height // k.pool_y, k.width // k.pool_x)
    conv = Conv(
        weight,
        pooled,
        shape_out(vars(k)),
        (k.stride_y, k.stride_x),
        ((k.pad_top, k.pad_bottom), (k.pad_left, k.pad_right)),
        (k.dilation_y, k.dilation_x),
        k.groups,
    )
    if (k.pool_y, k.pool_x) == (1, 1):
        return (conv,)
    window = (k.pool_y, k.pool_x)
    return Pool((k.maps, k.height, k.width), pooled, window, window, ((0, 0), (0, 0))), conv
