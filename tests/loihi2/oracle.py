"""Intel's own fixed-point models, as lava-nc ships them, behind the emulator's names.

Lava's runtime, its ports and its models are unchanged. Three things are ours. Models are named
instead of searched for on disk (1 s a network). The neuron's model writes u, v and spikes to a file
after each step, where Lava's way is three monitor processes for each population. And every process
is a thread here, where Lava starts an operating-system process: that costs more than all the steps
of a small network.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.backends.loihi2.tables import Geometry, Input, Population, Projection, Tables

Trace = dict[str, NDArray[np.int32]]
INSTALL = (
    "pip install 'asteval>=0.9.31,<0.10' scipy; pip install --no-deps "
    "--ignore-requires-python lava-nc==0.10.0"
)
INSTALL_NETX = (
    "pip install torch matplotlib; pip install --no-deps --ignore-requires-python lava-dl==0.6.0"
)


def require_lava() -> SimpleNamespace:
    """What the tests use of Lava.

    Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1.
    """
    try:
        return _lava()
    except ImportError as error:
        _missing(error, INSTALL)


def require_netx() -> Any:
    """lava-dl's netx, without its object detection, which wants OpenCV and torchvision.

    Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1.
    """
    require_lava()
    sys.modules.setdefault("lava.lib.dl.slayer.object_detection", ModuleType("object_detection"))
    try:
        from lava.lib.dl import netx
    except ImportError as error:
        _missing(error, INSTALL_NETX)
    return netx


def _missing(error: ImportError, install: str) -> NoReturn:
    reason = f"the vendor's software is missing ({error}); install it: {install}"
    if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@functools.cache
def _lava() -> SimpleNamespace:
    with mock.patch(
        "multiprocessing.set_start_method"
    ):  # Lava asks for fork, the default, and only once may one ask
        import lava.magma.runtime.message_infrastructure.multiprocessing  # noqa: F401
    _import_var_model()
    from lava.magma.core.process.ports.ports import ReshapePort

    # numpy 2.4 knows the argument `newshape` of Lava's own method no more.
    ReshapePort.get_transform_func_fwd = lambda port: functools.partial(
        np.reshape, shape=port.shape
    )
    from lava.magma.compiler.compiler_graphs import find_processes
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.magma.runtime import runtime
    from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
    from lava.proc.conv.models import PyConvModelFixed
    from lava.proc.conv.process import Conv
    from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.io.source import PySendModelFixed, RingBuffer
    from lava.proc.lif.models import PyLifModelBitAcc
    from lava.proc.lif.process import LIF
    from lava.proc.monitor.process import Monitor
    from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
    from lava.proc.sparse.process import DelaySparse, Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    class RecordedLif(PyLifModelBitAcc):  # type: ignore[misc]
        """Lava's neuron, and a file with its states (3, steps, n) after each step."""

        def __init__(self, proc_params: Any) -> None:
            super().__init__(proc_params)
            self.tape = np.memmap(
                proc_params["tape"], np.int32, "r+", shape=proc_params["tape_shape"]
            )

        def run_spk(self) -> None:
            super().run_spk()
            self.tape[:, self.time_step - 1] = self.u, self.v, self.s_out_buff

    class Threads(MultiProcessing):  # type: ignore[misc]
        """Lava's messages between threads of this process."""

        def start(self) -> None:
            self._smm = SimpleNamespace(
                create_shared_memory=lambda size: SimpleNamespace(buf=memoryview(bytearray(size)))
            )

        def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> _Actor:
            self._actors.append(_Actor(lambda: target_fn(builder=builder, exception_q=exception_q)))
            self._actors[-1].start()
            return self._actors[-1]

        def stop(self) -> None:
            for actor in self._actors:
                actor.join()

    return SimpleNamespace(
        in_threads=lambda: mock.patch.object(
            runtime.MessageInfrastructureFactory, "create", lambda _: Threads()
        ),
        find_processes=find_processes,
        RunSteps=RunSteps,
        Loihi2SimCfg=Loihi2SimCfg,
        RingBuffer=RingBuffer,
        LIF=LIF,
        Monitor=Monitor,
        Conv=Conv,
        SignMode=SignMode,
        csr_matrix=csr_matrix,
        synapses={
            ("dense", False): Dense,
            ("dense", True): DelayDense,
            ("sparse", False): Sparse,
            ("sparse", True): DelaySparse,
        },
        models={  # what the tag fixed_pt means for each
            RingBuffer: PySendModelFixed,
            LIF: RecordedLif,
            Conv: PyConvModelFixed,
            Dense: PyDenseModelBitAcc,
            DelayDense: PyDelayDenseModelBitAcc,
            Sparse: PySparseModelBitAcc,
            DelaySparse: PyDelaySparseModelBitAcc,
        },
    )


class _Actor(threading.Thread):
    """A process of Lava's.

    ``exception``: what stopped it and the traceback, as its runtime asks.
    """

    exception: tuple[Exception, str] | None = None

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.work = work

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.exception = error, traceback.format_exc()


def _import_var_model() -> None:
    """Import the one module that Python 3.11 refuses: it has a dataclass without hash as a default
    value.
    """
    original = dataclasses.dataclass

    def hashable(cls: Any = None, /, **options: Any) -> Any:
        return original(cls, **{"unsafe_hash": True, **options})

    dataclasses.dataclass = hashable
    try:
        import lava.magma.compiler.var_model  # noqa: F401
    finally:
        dataclasses.dataclass = original


class Network:
    """Lava's processes for ``tables``, connected; ``raster`` (steps, channels)."""

    def __init__(self, tables: Tables, raster: NDArray[Any], folder: Path | None = None) -> None:
        self.lava, self.tables, self.folder = require_lava(), tables, folder
        self.steps = len(raster)
        self.neurons = {p.name: self._neurons(p, i) for i, p in enumerate(tables.populations)}
        self.inputs = {i.name: self._source(i, raster) for i in tables.inputs}
        self.synapses = [self._synapses(projection) for projection in tables.projections]

    def _source(self, source: Input, raster: NDArray[Any]) -> Any:
        return self.lava.RingBuffer(data=np.ascontiguousarray(raster[:, source.channels].T))

    def _neurons(self, p: Population, number: int) -> Any:
        options: dict[str, Any] = {}
        if self.folder is not None:
            tape, shape = self.folder / f"{number}", (3, self.steps, p.n)
            np.memmap(tape, np.int32, "w+", shape=shape)
            options = {"tape": tape, "tape_shape": shape}
        return self.lava.LIF(
            shape=(p.n,),
            du=p.du,
            dv=p.dv,
            vth=p.vth,
            bias_mant=p.bias_mant,
            bias_exp=p.bias_exp,
            v=p.v_init,
            **options,
        )

    def _synapses(self, p: Projection) -> Any:
        if p.geometry is not None:
            return self._convolution(p, p.geometry)
        sizes = self.tables.sizes()
        options: dict[str, Any] = {}
        if p.delays is not None:
            options["delays"] = self._matrix(p, p.delays, sizes)
        made = self.lava.synapses[p.kind, p.delays is not None](
            weights=self._matrix(p, p.weights, sizes),
            weight_exp=p.weight_exp,
            num_weight_bits=p.num_weight_bits,
            sign_mode=self.lava.SignMode[p.sign_mode.upper()],
            **options,
        )
        ({**self.inputs, **self.neurons}[p.source]).s_out.connect(made.s_in)
        made.a_out.connect(self.neurons[p.target].a_in)
        return made

    def _convolution(self, p: Projection, g: Geometry) -> Any:
        """Lava has x before y, channels last, and turns the kernel round."""
        made = self.lava.Conv(
            weight=np.ascontiguousarray(p.weights[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)),
            input_shape=g.shape_in[::-1],
            padding=g.padding[::-1],
            stride=g.stride[::-1],
            dilation=g.dilation[::-1],
            groups=g.groups,
        )
        source, target = {**self.inputs, **self.neurons}[p.source], self.neurons[p.target]
        source.s_out.reshape(g.shape_in).transpose((2, 1, 0)).connect(made.s_in)
        made.a_out.transpose((2, 1, 0)).reshape((g.n_out,)).connect(target.a_in)
        return made

    def _matrix(self, p: Projection, values: NDArray[Any], sizes: dict[str, int]) -> Any:
        if p.kind == "dense":
            return values.astype(np.int64)
        shape = (sizes[p.target], sizes[p.source])
        return self.lava.csr_matrix((values.astype(np.int64), (p.rows, p.cols)), shape)


def run_lava(tables: Tables, raster: NDArray[Any]) -> dict[str, Trace]:
    """One sample, ``raster`` (steps, channels): "u", "v" and "spikes" by population, each (steps,
    n).

    Row r is what Lava's monitors record at time step r + 1. Parts that nothing connects are run one
    by one.
    """
    lava = require_lava()
    with tempfile.TemporaryDirectory() as folder:
        network = Network(tables, raster, Path(folder))
        seen: set[Any] = set()
        for neurons in network.neurons.values():
            if neurons not in seen:
                part = set(lava.find_processes(neurons))
                seen |= part
                models = {process: lava.models[type(process)] for process in part}
                config = lava.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
                with lava.in_threads():
                    neurons.run(condition=lava.RunSteps(num_steps=network.steps), run_cfg=config)
                neurons.stop()
        tapes = {
            p.name: np.fromfile(Path(folder) / f"{i}", np.int32).reshape(3, network.steps, p.n)
            for i, p in enumerate(tables.populations)
        }
    return {
        name: dict(zip(("u", "v", "spikes"), tape, strict=True)) for name, tape in tapes.items()
    }
