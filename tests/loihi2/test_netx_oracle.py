"""network.net read by lava-dl's netx 0.6.0 and run on Lava's fixed-point models: equal to the
emulator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.tables import Tables
from tests.loihi2.chains import FLAVOURS, random_chain
from tests.loihi2.oracle import require_netx
from tests.loihi2.test_netx import chain, resting

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def netx() -> Any:
    return require_netx()


def run_netx(
    netx: Any, file: Path, raster: NDArray[Any], **reset: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Spikes and v of the last layer, (steps, n), for ``raster`` (steps, channels)."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.monitor.process import Monitor

    net, steps = netx.hdf5.Network(net_config=str(file), **reset), len(raster)
    lines = raster.T
    if len(net.inp.shape) == 3:
        lines = lines.reshape(*net.inp.shape[::-1], steps).transpose(2, 1, 0, 3)
    source, sink, monitor = (
        Source(data=np.ascontiguousarray(lines)),
        Sink(shape=net.out.shape, buffer=steps),
        Monitor(),
    )
    source.s_out.connect(net.inp)
    net.out.connect(sink.a_in)
    neurons = net.layers[-1].neuron
    monitor.probe(neurons.v, steps)
    net.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    spikes, v = sink.data.get().T, monitor.get_data()[neurons.name]["v"]
    net.stop()
    return spikes, v


def assert_netx_says_the_same(netx: Any, tables: Tables, raster: NDArray[Any], file: Path) -> None:
    data = network_net(tables)
    assert data is not None
    file.write_bytes(data)
    spikes, v = run_netx(netx, file, raster)
    want, last = emulate(tables, raster[None], record=True), tables.outputs[0].population
    np.testing.assert_array_equal(spikes, want.spikes[last][0])
    np.testing.assert_array_equal(v, want.v[last][0])
    np.testing.assert_array_equal(spikes[:, tables.outputs[0].neurons], want.outputs[0])
    assert 0 < spikes.mean() < 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_random_chains(netx: Any, flavour: str, tmp_path: Path) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        tables = random_chain(rng, flavour)
        raster = (rng.random((30, tables.channels)) < 0.4).astype(np.int64)
        assert_netx_says_the_same(netx, tables, raster, tmp_path / f"network{seed}.net")


def test_layers_with_biases_start_at_rest_by_netxs_reset(netx: Any, tmp_path: Path) -> None:
    """From the last layer's first row on it is the same; before it nothing fires."""
    tables = chain(populations=(resting("a", 1, vth=9), resting("b", 2, vth=9)))
    data = network_net(tables)
    assert data is not None
    (tmp_path / "network.net").write_bytes(data)
    raster = (np.random.default_rng(0).random((40, 2)) < 0.5).astype(np.int64)
    spikes, v = run_netx(
        netx, tmp_path / "network.net", raster, reset_interval=1000, reset_offset=1
    )
    want = emulate(tables, raster[None], record=True)
    np.testing.assert_array_equal(spikes, want.spikes["b"][0])
    np.testing.assert_array_equal(v[2:], want.v["b"][0, 2:])
    assert 0 < spikes.mean() < 1 and (v[:2] != want.v["b"][0, :2]).any()
