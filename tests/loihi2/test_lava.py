"""What docs and scripts say of Lava and lava-dl, sentence by sentence."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from contextlib import nullcontext
from importlib.metadata import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from nirc.backends.loihi2.netx import network_net
from tests.loihi2.oracle import require_lava, require_netx
from tests.loihi2.test_netx import chain, way

pytestmark = pytest.mark.oracle
FILES = Path(__file__).parents[2] / "docs/reference/loihi2-files.md"
READY = SimpleNamespace(state="idle", partition="kp")


@pytest.fixture(autouse=True)
def lava() -> SimpleNamespace:
    return require_lava()


@pytest.fixture(scope="module")
def netx() -> Any:
    return require_netx()


def module_of(name: str) -> Any:
    return importlib.import_module(f"lava.{name}")


def test_lava_is_declared_for_python_3_10_and_for_what_the_page_installs() -> None:
    about = metadata("lava-nc")
    assert about["Version"] == "0.10.0" and about["Requires-Python"] == ">=3.10,<3.11"
    found = re.search(r"^pip install ('asteval.*)$", FILES.read_text(), re.MULTILINE)
    assert found is not None
    wanted = {line.split()[0] for line in about.get_all("Requires-Dist") or ()}
    assert wanted <= {re.split("[<>=]", word.strip("'"))[0] for word in found[1].split()}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes the module")
def test_one_module_has_a_default_value_that_python_3_11_refuses() -> None:
    code = "import lava.magma.compiler.var_model"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "ValueError: mutable default" in done.stderr


def test_two_methods_use_the_word_that_numpy_dropped() -> None:
    """Read from the file, since the tests mend the methods as deploy.py does."""
    ports = module_of("magma.core.process.ports.ports")
    assert Path(ports.__file__).read_text().count("np.reshape, newshape=") == 2


def test_lava_cannot_concatenate_ports() -> None:
    ports = module_of("magma.core.process.ports.ports")
    joined = ports.ConcatPort([ports.OutPort((2,)), ports.OutPort((3,))], axis=0)
    for function in (joined.get_transform_func_fwd, joined.get_transform_func_bwd):
        with pytest.raises(NotImplementedError):
            function()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What Lava's modules for boards set, as if Intel's extension and SLURM were there."""
    loihi, slurm = module_of("utils.loihi"), module_of("utils.slurm")
    made: dict[str, str] = {}
    for module in (loihi, slurm):
        monkeypatch.setattr(module, "os", SimpleNamespace(environ=made))
    monkeypatch.setattr(loihi, "host", None)
    monkeypatch.setattr(loihi, "is_installed", lambda: True)
    monkeypatch.setattr(slurm, "try_run_command", lambda command: True)
    for name in ("get_board_info", "get_partition_info"):
        monkeypatch.setattr(slurm, name, lambda name: READY)
    return made


def test_what_lava_sets_to_find_a_board(environment: dict[str, str]) -> None:
    """All of it is on the page. N3B3 is the usual chip."""
    loihi, page = module_of("utils.loihi"), FILES.read_text()
    loihi.use_slurm_host(partition="kp", board="kp-1")
    assert environment == {"SLURM": "1", "LOIHI_GEN": "N3B3", "PARTITION": "kp", "BOARD": "kp-1"}
    environment.clear()
    loihi.use_ethernet_host("10.1.2.3")
    binary = {"HOST_BINARY": "nxcore/bin/nx_driver_server"}
    assert environment == {"NOSLURM": "1", "LOIHI_GEN": "N3B3", "NXSDKHOST": "10.1.2.3"} | binary
    assert all(f"`{name}`" in page for name in (*environment, "SLURM", "PARTITION", "BOARD"))


def test_without_intels_extension_there_is_no_board() -> None:
    with pytest.raises(ImportError):
        module_of("utils.loihi").use_slurm_host()


def test_a_process_has_one_pair_of_decays_and_one_threshold() -> None:
    model = module_of("proc.lif.models").PyLifModelBitAcc
    assert {name: getattr(model, name).cls for name in ("du", "dv", "vth")} == dict.fromkeys(
        ("du", "dv", "vth"), int
    )


def test_mixed_weights_are_stored_even_and_odd_ones_rounded_down(lava: SimpleNamespace) -> None:
    truncate = module_of("utils.weightutils").truncate_weights
    stored = truncate(np.array([3, -3, 4]), lava.SignMode.MIXED, 8)
    np.testing.assert_array_equal(stored, [2, -4, 4])


def test_convolutions_know_no_exponent() -> None:
    models = module_of("proc.conv.models")
    text = inspect.getsource(models)
    assert text.count("weight_exp") == 1 == text.count("num_weight_bits")  # declared, never used


def test_delays_end_at_63(lava: SimpleNamespace) -> None:
    make = module_of("proc.dense.models").PyDelayDenseModelBitAcc
    ports = SimpleNamespace(recv=lambda: np.zeros(1, bool), send=lambda sums: None)
    for delay, ends in ((63, nullcontext()), (64, pytest.raises(ValueError, match="0 and 63"))):
        model = make({"sign_mode": lava.SignMode.MIXED})
        model.s_in = model.a_out = ports
        model.weights, model.delays = np.array([[2]]), np.array([[delay]])
        model.num_message_bits, model.a_buff = np.array([0]), np.zeros((1, delay + 1), np.int64)
        with ends:
            model.run_spk()


def test_lavas_compiler_hands_out_120_of_128_cores() -> None:
    constants = module_of("magma.compiler.subcompilers.constants")
    assert (constants.NUM_VIRTUAL_CORES_L3, constants.NUM_VIRTUAL_CORES_L2) == (120, 128)


def test_lava_dl_wants_torchvision_and_opencv_when_it_is_imported(netx: Any) -> None:
    slayer = Path(netx.__file__).parents[1] / "slayer"
    assert "from . import object_detection" in (slayer / "__init__.py").read_text()
    text = (slayer / "object_detection/boundingbox/utils.py").read_text()
    assert "import cv2" in text and "from torchvision import" in text


def written(tmp_path: Path, tables: Any) -> Path:
    data = network_net(tables)
    assert data is not None
    (tmp_path / "network.net").write_bytes(data)
    return tmp_path / "network.net"


def test_netx_clips_delays_of_63(netx: Any, tmp_path: Path) -> None:
    delayed = way("a", "b", delays=np.array([[0, 1], [62, 3]]))
    file = written(tmp_path, chain(way("in", "a"), delayed))
    with h5py.File(file, "r+") as tree:
        tree["layer/2/delay"][1, 0] = 63
    with pytest.warns(UserWarning, match="Found max delay of 63"):
        made = netx.hdf5.Network(net_config=str(file))
    assert made.layers[-1].synapse.delays.init.max() == 62


def test_netx_drops_the_exponent_of_a_recurrent_layer_with_delays(netx: Any) -> None:
    process = importlib.import_module("lava.lib.dl.netx.blocks.process")

    def layer(**options: Any) -> Any:
        return process.RecurrentDense(
            shape=(1,),
            neuron_params={"neuron_proc": module_of("proc.lif.process").LIF, "vth": 9},
            weight=np.array([[4]]),
            weight_rec=np.array([[2]]),
            weight_exponent=3,
            **options,
        )

    exponents = [
        [s.proc_params.get("weight_exp", 0) for s in (made.synapse, made.synapse_rec)]
        for made in (layer(), layer(delay=np.array([[1]])))
    ]
    assert exponents == [[3, 3], [0, 0]]


def test_netx_has_no_pooling(netx: Any, tmp_path: Path) -> None:
    file = written(tmp_path, chain(way("in", "a"), way("a", "b")))
    with h5py.File(file, "r+") as tree:
        del tree["layer/2/type"]
        tree["layer/2/type"] = np.array([b"pool"])
    with pytest.raises(NotImplementedError, match="pool"):
        netx.hdf5.Network(net_config=str(file))


def test_netx_shifts_small_weights_and_takes_it_back(netx: Any, tmp_path: Path) -> None:
    file = written(tmp_path, chain(way("in", "a"), way("a", "b", [[2, 4], [-6, 8]])))
    synapse = netx.hdf5.Network(net_config=str(file)).layers[-1].synapse
    exponent = synapse.proc_params["weight_exp"]
    assert exponent < 0
    np.testing.assert_array_equal(synapse.weights.init * 2.0**exponent, [[2, 4], [-6, 8]])


def test_netx_resets_each_layer_a_step_later(netx: Any, tmp_path: Path) -> None:
    file = written(tmp_path, chain(way("in", "a"), way("a", "b")))
    made = netx.hdf5.Network(net_config=str(file), reset_interval=16, reset_offset=1)
    params = [layer.neuron.proc_params for layer in made.layers]
    assert [p["reset_interval"] for p in params] == [16, 16]
    assert params[1]["reset_offset"] == params[0]["reset_offset"] + 1
