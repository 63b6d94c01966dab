"""A strict stand-in for Lava and for the modules of Intel's member-only extension that deploy.py
uses on hardware.

Processes take the arguments of the real ones and nothing else, ports join only where shapes fit,
and host and chip meet only in adapters. A fake board turns what was built into tables and runs
nirc's emulator on them; the ways to the chip and back take ``steps_in`` and ``steps_out`` steps.
Sources: lava-nc 0.10.0 (`proc/*/process.py`, `magma/core/run_configs.py`, `utils/loihi.py`); for
what is not in it, its public users: lava-dl (`tests/.../netx/test_hdf5.py`, tutorials),
lava-optimization (`solvers/generic/solver.py`), sandialabs/Fugu
(`fugu/backends/lava_interfaces.py`).
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables

Shape = tuple[int, ...]


class SignMode(enum.Enum):
    NULL = 0
    MIXED = 1
    EXCITATORY = 2
    INHIBITORY = 3


class ChipGeneration(enum.Enum):
    N2A2 = "N2A2"
    N3B2 = "N3B2"
    N3B3 = "N3B3"
    N3C1 = "N3C1"
    N3D1 = "N3D1"


@dataclass
class Port:
    """``index``: which element of its process's port each element of this view is."""

    process: Any
    name: str
    index: NDArray[np.int64]

    @property
    def shape(self) -> Shape:
        return self.index.shape

    def transpose(self, axes: Sequence[int]) -> Port:
        assert sorted(axes) == list(range(self.index.ndim)), axes
        return Port(self.process, self.name, self.index.transpose(axes))

    def reshape(self, new_shape: Shape) -> Port:
        assert type(new_shape) is tuple and int(np.prod(new_shape)) == self.index.size, new_shape
        return Port(self.process, self.name, self.index.reshape(new_shape))

    def flatten(self) -> Port:
        return self.reshape((self.index.size,))

    def connect(self, other: Port) -> None:
        assert type(other) is Port and self.shape == other.shape, (self.shape, other.shape)
        assert self.name in ("s_out", "a_out", "out") and other.name in ("s_in", "a_in", "inp"), (
            self,
            other,
        )
        assert (other.index.ravel() == np.arange(other.index.size)).all(), (
            "views of inputs are for the sender"
        )
        assert self.process.side_out == other.process.side_in, (
            f"{self.process} meets {other.process}"
        )
        self.process.board.wires.append((self, other))


@dataclass
class Var:
    process: Any
    name: str
    shape: Shape
    probed: bool = False


@dataclass
class Board:
    """What has been built since the last run, and how it was asked for."""

    steps_in: int = 0
    steps_out: int = 0
    wires: list[tuple[Port, Port]] = field(default_factory=list)
    reached: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    stopped: int = 0
    refuse: Exception | None = None


@dataclass
class LogConfig:
    level: int
    level_console: int


class Process:
    """``side_in`` and ``side_out``: host or chip, where its input comes from and its output goes
    to.
    """

    side_in = side_out = "chip"
    board: Board

    def __init__(self, name: str | None = None) -> None:
        assert name is None or (type(name) is str and name.isidentifier() and name.isascii()), name
        self.name = name or f"Process_{id(self)}"

    def port(self, name: str, shape: Shape) -> Port:
        assert type(shape) is tuple and all(type(n) is int and n > 0 for n in shape), shape
        return Port(self, name, np.arange(int(np.prod(shape))).reshape(shape))

    def run(self, *, condition: RunSteps, run_cfg: Loihi2HwCfg) -> None:
        assert type(condition) is RunSteps and type(run_cfg) is Loihi2HwCfg
        _Run(self, condition.num_steps, run_cfg)

    def stop(self) -> None:
        for sink in (p for p in find_processes(self) if isinstance(p, Sink)):
            sink.values = None
        self.board.stopped += 1


def integers(value: Any, shape: Shape, low: int, high: int) -> NDArray[np.int64]:
    """A plain int, or an int64 array of exactly this shape, within the chip's range."""
    assert type(value) is int or (value.dtype == np.int64 and value.shape == shape), value
    array = np.broadcast_to(np.asarray(value), shape)
    assert low <= array.min() and array.max() <= high, (low, high)
    return array.ravel()


class LIF(Process):
    def __init__(
        self,
        *,
        shape: Shape,
        v: Any = 0,
        du: int = 0,
        dv: int = 0,
        bias_mant: Any = 0,
        bias_exp: Any = 0,
        vth: int = 10,
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        super().__init__(name)
        assert log_config is None or type(log_config) is LogConfig
        assert all(type(x) is int for x in (du, dv, vth)), "one value for all neurons"
        self.a_in, self.s_out = self.port("a_in", shape), self.port("s_out", shape)
        self.u, self.v = Var(self, "u", shape), Var(self, "v", shape)
        self.population = Population(
            self.name,
            du,
            dv,
            vth,
            integers(bias_mant, shape, -4096, 4095),
            integers(bias_exp, shape, 0, 7),
            integers(v, shape, -(2**23), 2**23),
        )


class Synapse(Process):
    """(outputs, inputs) weights, and delays or None."""

    def keep(self, weights: Any, delays: Any, options: dict[str, Any]) -> None:
        assert set(options) == {"weight_exp", "num_weight_bits", "sign_mode"}, options
        assert type(options["sign_mode"]) is SignMode, "left to itself, Lava chooses by the data"
        assert all(type(options[name]) is int for name in ("weight_exp", "num_weight_bits"))
        self.weights, self.delays, self.options = weights, delays, options
        self.s_in, self.a_out = (
            self.port("s_in", (weights.shape[1],)),
            self.port("a_out", (weights.shape[0],)),
        )


class Dense(Synapse):
    def __init__(self, *, weights: Any, name: str | None = None, **options: Any) -> None:
        super().__init__(name)
        assert type(weights) is np.ndarray and weights.ndim == 2 and weights.dtype == np.int64
        self.keep(csr_matrix(weights), None, options)


class DelayDense(Synapse):
    def __init__(
        self, *, weights: Any, delays: Any, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(name)
        assert (
            type(delays) is np.ndarray
            and delays.shape == weights.shape
            and delays.dtype == np.int64
        )
        self.keep(csr_matrix(weights), delays[np.nonzero(weights)], options)


class Sparse(Synapse):
    def __init__(self, *, weights: Any, name: str | None = None, **options: Any) -> None:
        super().__init__(name)
        assert type(weights) is csr_matrix and weights.dtype == np.int64
        self.keep(weights, None, options)


class DelaySparse(Synapse):
    def __init__(
        self, *, weights: Any, delays: Any, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(name)
        assert (
            type(delays) is csr_matrix
            and delays.shape == weights.shape
            and delays.dtype == np.int64
        )
        assert (delays.indices == weights.indices).all() and (delays.indptr == weights.indptr).all()
        self.keep(weights, delays.data, options)


class Conv(Process):
    def __init__(
        self,
        *,
        weight: Any,
        weight_exp: int,
        input_shape: Shape,
        padding: Shape,
        stride: Shape,
        dilation: Shape,
        groups: int,
        num_weight_bits: int,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        assert (weight_exp, num_weight_bits) == (0, 8) and not (weight & 1).any()
        assert all(type(pair) is tuple and len(pair) == 2 for pair in (padding, stride, dilation))
        self.weights, self.output_shape = unrolled(
            weight, input_shape, padding, stride, dilation, groups
        )
        self.delays, self.options = (
            None,
            {"weight_exp": 0, "num_weight_bits": 8, "sign_mode": SignMode.MIXED},
        )
        self.s_in, self.a_out = (
            self.port("s_in", input_shape),
            self.port("a_out", self.output_shape),
        )


def unrolled(
    weight: Any, shape: Shape, padding: Shape, stride: Shape, dilation: Shape, groups: int
) -> Any:
    """A convolution (C_out, x, y, C_in / groups), kernel turned round, as a matrix, one entry at a
    time.
    """
    features, wide, high, taps = weight.shape
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(shape, padding, dilation, (wide, high), stride, strict=False)
    ]
    maps = (out[0], out[1], features)
    made = np.zeros((int(np.prod(maps)), int(np.prod(shape))), np.int64)
    for row, (x, y, f) in enumerate(np.ndindex(maps)):
        for i, j, c in np.ndindex(wide, high, taps):
            at_x = x * stride[0] - padding[0] + (wide - 1 - i) * dilation[0]
            at_y = y * stride[1] - padding[1] + (high - 1 - j) * dilation[1]
            if 0 <= at_x < shape[0] and 0 <= at_y < shape[1]:
                channel = f // (features // groups) * taps + c
                made[row, (at_x * shape[1] + at_y) * shape[2] + channel] += weight[f, i, j, c]
    return csr_matrix(made), maps


class Source(Process):
    side_in = side_out = "host"

    def __init__(self, *, data: Any) -> None:
        super().__init__()
        assert data.flags.c_contiguous
        self.data, self.s_out = data, self.port("s_out", data.shape[:-1])


class _Data:
    """Read while the board runs; gone afterwards."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def get(self) -> Any:
        assert self.sink.values is not None, "it did not run"
        return self.sink.values


class Sink(Process):
    side_in = side_out = "host"

    def __init__(self, *, shape: Shape, buffer: int) -> None:
        super().__init__()
        self.a_in, self.buffer, self.data, self.values = (
            self.port("a_in", shape),
            buffer,
            _Data(self),
            None,
        )


class PyToNxAdapter(Process):
    side_in = "host"

    def __init__(self, *, shape: Shape) -> None:
        super().__init__()
        self.inp, self.out = self.port("inp", shape), self.port("out", shape)


class PyToN3ConvAdapter(PyToNxAdapter):
    def __init__(self, *, shape: Shape) -> None:
        assert len(shape) == 3, "x, y, channels"
        super().__init__(shape=shape)


class NxToPyAdapter(Process):
    side_out = "host"

    def __init__(self, *, shape: Shape) -> None:
        super().__init__()
        self.inp, self.out = self.port("inp", shape), self.port("out", shape)


class StateProbe:
    """Reads a state of a process in each step; ``time_series`` is flat, neuron by neuron."""

    def __init__(self, var: Var) -> None:
        assert type(var) is Var and not var.probed, "a state can be probed once"
        var.probed = True
        self.var, self.time_series = var, None


class NcL2ModelLif:
    pass


class PyReceiveModelFixed:
    pass


@dataclass
class RunSteps:
    num_steps: int


@dataclass
class Loihi2HwCfg:
    callback_fxs: list[StateProbe]
    exception_proc_model_map: dict[type, type]


def no_simulator(**_: Any) -> None:
    raise AssertionError("the simulator's run configuration was asked for")


def find_processes(process: Any) -> list[Any]:
    found = [process]
    for one in found:
        for a, b in one.board.wires:
            for near, far in ((a.process, b.process), (b.process, a.process)):
                if near is one and far not in found:
                    found.append(far)
    return found


class _Run:
    """The network that the wires make, as tables, through the emulator."""

    def __init__(self, start: Process, steps: int, config: Loihi2HwCfg) -> None:
        self.board, self.joined = start.board, find_processes(start)
        assert config.exception_proc_model_map == {LIF: NcL2ModelLif, Sink: PyReceiveModelFixed}
        assert all(probe.var.process in self.joined for probe in config.callback_fxs)
        self.board.runs.append(config)
        neurons = {p: f"n{i}" for i, p in enumerate(self.joined) if isinstance(p, LIF)}
        sources = {p: f"s{i}" for i, p in enumerate(self.joined) if isinstance(p, Source)}
        lines, inputs = [], []
        for source, name in sources.items():
            start_line = sum(map(len, lines))
            lines.append(source.data.reshape(-1, steps))
            inputs.append(Input(name, start_line + np.arange(len(lines[-1]))))
        populations = tuple(
            Population(
                name,
                *[
                    getattr(p.population, f)
                    for f in ("du", "dv", "vth", "bias_mant", "bias_exp", "v_init")
                ],
            )
            for p, name in neurons.items()
        )
        projections = tuple(
            projection
            for i, p in enumerate(self.joined)
            if isinstance(p, Synapse | Conv)
            for projection in self.projections(p, f"p{i}", {**neurons, **sources})
        )
        raster = np.concatenate([np.zeros((0, steps), int), *lines]).T
        late = np.vstack([np.zeros((self.board.steps_in, raster.shape[1]), int), raster])[:steps]
        outputs = tuple(Output(name, np.zeros(1, np.int64)) for name in neurons.values())
        tables = Tables(raster.shape[1], tuple(inputs), populations, projections, outputs)
        self.answer = emulate(tables, late[None], record=True)
        self.deliver(neurons, steps, config)

    def projections(self, p: Any, name: str, names: dict[Any, str]) -> list[Projection]:
        """From each process that sends to each that listens, adapters looked through."""
        made = []
        weights = p.weights.tocoo()
        delays = np.zeros(weights.nnz, np.int64) if p.delays is None else p.delays
        for i, came in enumerate(port for port, to in self.board.wires if to.process is p):
            sent, cols = came.process, came.index.ravel()[weights.col]
            if isinstance(sent, PyToNxAdapter):
                assert isinstance(sent, PyToN3ConvAdapter) == isinstance(p, Conv), (
                    "another adapter before Conv"
                )
                (wire,) = [port for port, to in self.board.wires if to.process is sent]
                assert (wire.index.ravel() == np.arange(wire.index.size)).all()
                sent = wire.process
            for k, (port, to) in enumerate((a, b) for a, b in self.board.wires if a.process is p):
                back = np.empty(port.index.size, np.int64)
                back[port.index.ravel()] = np.arange(port.index.size)
                rows = back[weights.row]
                order = np.lexsort((cols, rows))
                made.append(
                    Projection(
                        f"{name} {i} {k}",
                        names[sent],
                        names[to.process],
                        "sparse",
                        weights.data[order],
                        p.options["sign_mode"].name.lower(),
                        rows[order],
                        cols[order],
                        delays[order],
                        p.options["num_weight_bits"],
                        p.options["weight_exp"],
                    )
                )
        return made

    def deliver(self, neurons: dict[Any, str], steps: int, config: Loihi2HwCfg) -> None:
        for sink in (p for p in self.joined if isinstance(p, Sink)):
            assert sink.buffer == steps
            (adapter,) = [port.process for port, to in self.board.wires if to.process is sink]
            assert isinstance(adapter, NxToPyAdapter)
            (sent,) = [port for port, to in self.board.wires if to.process is adapter]
            spikes = self.answer.spikes[neurons[sent.process]][0].T
            late = np.hstack([np.zeros((len(spikes), self.board.steps_out), int), spikes])[
                :, :steps
            ]
            sink.values = late[sent.index.ravel()].reshape(*sent.shape, steps)
        for probe in config.callback_fxs:
            name = neurons[probe.var.process]
            states = (
                self.answer.v[name] if probe.var.name == "v" else self.answer.extra[f"u/{name}"]
            )
            probe.time_series = states[0].T.ravel()


def install(monkeypatch: pytest.MonkeyPatch, *, extension: bool = True) -> Board:
    """Put the stand-in where `import lava` finds it; without ``extension`` only what lava-nc itself
    has.
    """
    board = Board()
    monkeypatch.setattr(Process, "board", board, raising=False)

    def use_slurm_host(
        *, partition: str | None, board: str | None, loihi_gen: ChipGeneration
    ) -> None:
        reach("slurm", partition=partition, board=board, generation=loihi_gen)

    def use_ethernet_host(host_address: str, *, loihi_gen: ChipGeneration) -> None:
        reach("ethernet", host=host_address, generation=loihi_gen)

    def reach(way: str, **how: Any) -> None:
        assert type(how["generation"]) is ChipGeneration
        if board.refuse is not None:
            raise board.refuse
        board.reached.append({"way": way, **how})

    members: dict[str, dict[str, Any]] = {
        "lava.magma.compiler.var_model": {},
        "lava.magma.compiler.compiler_graphs": {"find_processes": find_processes},
        "lava.magma.core.process.ports.ports": {"ReshapePort": type("ReshapePort", (), {})},
        "lava.magma.core.process.process": {"LogConfig": LogConfig},
        "lava.magma.core.run_conditions": {"RunSteps": RunSteps},
        "lava.magma.core.run_configs": {"Loihi2HwCfg": Loihi2HwCfg, "Loihi2SimCfg": no_simulator},
        "lava.proc.conv.process": {"Conv": Conv},
        "lava.proc.dense.process": {"Dense": Dense, "DelayDense": DelayDense},
        "lava.proc.sparse.process": {"Sparse": Sparse, "DelaySparse": DelaySparse},
        "lava.proc.io.sink": {"RingBuffer": Sink, "PyReceiveModelFixed": PyReceiveModelFixed},
        "lava.proc.io.source": {"RingBuffer": Source},
        "lava.proc.lif.process": {"LIF": LIF},
        "lava.proc.monitor.process": {"Monitor": no_simulator},
        "lava.utils.weightutils": {"SignMode": SignMode},
        "lava.utils.loihi": {
            "ChipGeneration": ChipGeneration,
            "use_slurm_host": use_slurm_host,
            "use_ethernet_host": use_ethernet_host,
        },
    }
    if extension:
        members["lava.proc.embedded_io.spike"] = {
            c.__name__: c for c in (PyToNxAdapter, PyToN3ConvAdapter, NxToPyAdapter)
        }
        members["lava.proc.lif.ncmodels"] = {"NcL2ModelLif": NcL2ModelLif}
        members["lava.utils.loihi2_state_probes"] = {"StateProbe": StateProbe}
    for name in [name for name in sys.modules if name == "lava" or name.startswith("lava.")]:
        monkeypatch.delitem(sys.modules, name)
    for path, values in members.items():
        parts = path.split(".")
        for i in range(1, len(parts) + 1):
            name = ".".join(parts[:i])
            if name not in sys.modules:
                module = ModuleType(name)
                module.__path__ = []  # a package, in which nothing else is found
                monkeypatch.setitem(sys.modules, name, module)
                if i > 1:
                    setattr(sys.modules[".".join(parts[: i - 1])], parts[i - 1], module)
        vars(sys.modules[path]).update(values)
    return board
