"""The emitted deploy.py through Lava itself, as its user runs it: equal to the emulator in every
spike and state.
"""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.tables import Tables
from tests.commands import HEARS_CTRL_C
from tests.loihi2 import lava_mock
from tests.loihi2.bundles import cut, save, script, write
from tests.loihi2.oracle import require_lava
from tests.loihi2.reference import random_convolutions, random_raster, random_tables
from tests.loihi2.test_deploy import lines_and_neurons

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module", autouse=True)
def lava() -> None:
    require_lava()


def assert_lava_says_the_same(
    directory: Path, tables: Tables, inputs: np.ndarray, *args: str
) -> None:
    """deploy.py's answer and its recordings of every population."""
    names = [p.name for p in tables.populations]
    out = directory / "out.npz"
    done = script(
        directory,
        "--data",
        save(directory / "in.npz", inputs),
        "--out",
        out,
        "--record",
        *names,
        *args,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    want = emulate(tables, inputs, record=True)
    with np.load(out) as got:
        np.testing.assert_array_equal(got["spikes"], want.outputs)
        for name in names:
            np.testing.assert_array_equal(got[f"spikes/{name}"], want.spikes[name], err_msg=name)
            np.testing.assert_array_equal(got[f"v/{name}"], want.v[name], err_msg=name)
            np.testing.assert_array_equal(got[f"u/{name}"], want.extra[f"u/{name}"], err_msg=name)


@pytest.mark.parametrize("flavour", ["recurrent", "delayed", "convolutional"])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_networks(flavour: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    tables = random_convolutions(rng) if flavour == "convolutional" else random_tables(rng, flavour)
    write(tmp_path, tables)
    assert_lava_says_the_same(tmp_path, tables, random_raster(rng, 1 + seed, 30, tables.channels))


@pytest.mark.parametrize("flavour", ["recurrent", "delayed", "convolutional"])
def test_one_process_per_core_changes_nothing(flavour: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    tables = random_convolutions(rng) if flavour == "convolutional" else random_tables(rng, flavour)
    cores = cut(rng, tables)
    assert len(cores) > len(tables.populations)
    write(tmp_path, tables, cores)
    inputs = random_raster(rng, 1, 30, tables.channels)
    assert_lava_says_the_same(tmp_path, tables, inputs, "--one-process-per-core")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_file_and_no_process(
    how: signal.Signals, tmp_path: Path
) -> None:
    write(tmp_path, lines_and_neurons())
    inputs = save(tmp_path / "in.npz", np.ones((1, 200_000, 4), np.uint8))
    command = [
        *HEARS_CTRL_C,
        sys.executable,
        "-I",
        tmp_path / "deploy.py",
        "--data",
        inputs,
        "--out",
        tmp_path / "out.npz",
    ]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        group, end = run.pid, time.monotonic() + 60
        while (
            len(processes_of(group)) < 5 and time.monotonic() < end
        ):  # source, synapses, neurons, sink and more
            time.sleep(0.1)
        time.sleep(0.5)
        run.send_signal(how)
        said = run.communicate(timeout=600)[1]
    assert run.returncode == 130 and "interrupted" in said and "Traceback" not in said
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"deploy.py", "in.npz", "manifest.json", "mapping.json", "network.npz"}
    end = time.monotonic() + 20
    while processes_of(group) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes_of(group)


def processes_of(group: int) -> list[int]:
    """The processes, zombies left out, of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, member_of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(member_of) == group and state != "Z":
                found.append(int(entry.name))
    return found


def test_the_stand_in_takes_no_argument_that_lava_does_not() -> None:
    from lava.magma.core.process.process import LogConfig
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2HwCfg
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.lif.process import LIF
    from lava.proc.sparse.process import DelaySparse, Sparse
    from lava.utils import loihi

    free = {"options"}  # of Dense and the like: checked in the stand-in, any in Lava
    real = (LogConfig, RunSteps, Loihi2HwCfg, Conv, DelayDense, Dense, LIF, DelaySparse, Sparse)
    pairs = [(getattr(lava_mock, c.__name__), c) for c in real] + [
        (lava_mock.Sink, Sink),
        (lava_mock.Source, Source),
    ]
    for mine, theirs in pairs:
        assert arguments(mine) - free <= arguments(theirs), mine
    assert {g.name for g in lava_mock.ChipGeneration} == {g.name for g in loihi.ChipGeneration}
    assert {"partition", "board", "loihi_gen"} <= arguments(loihi.use_slurm_host)
    assert {"host_address", "loihi_gen"} <= arguments(loihi.use_ethernet_host)


def arguments(callable_: Any) -> set[str]:
    """By name; of a class those of its ``__init__``, since Lava's have a metaclass that takes
    anything.
    """
    return set(
        inspect.signature(
            callable_.__init__ if isinstance(callable_, type) else callable_
        ).parameters
    )
