"""The emitted script: finds every fault without Lava, and builds for the chip what the tables say."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.deploy import deploy_py
from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables, from_npz, to_npz
from nirc.diagnostics.errors import NircError
from tests.deployed import loaded
from tests.loihi2 import lava_mock
from tests.loihi2.bundles import call, cut, save, script, write
from tests.loihi2.reference import FLAVOURS, random_convolutions, random_raster, random_tables
from tests.loihi2.test_emulate import CONTRADICTIONS, OUTSIDE, members, packed, restructured

ZERO = np.zeros(1, np.int64)


def network(seed: int, flavour: str) -> Tables:
    rng = np.random.default_rng(seed)
    return random_convolutions(rng) if flavour == "convolutional" else random_tables(rng, flavour)


def lines_and_neurons(n: int = 4, readout: bool = False, **fields: Any) -> Tables:
    """n channels, n neurons that pass on what they get, and perhaps a readout whose v counts."""
    zeros = np.zeros(n, np.int64)
    cells = (Population("relay", 4095, 4096, 10, zeros, zeros, zeros),)
    ways = (Projection("in", "raster", "relay", "dense", np.eye(n, dtype=np.int64) * 20, "excitatory"),)
    outputs = (Output("relay", np.arange(n)),)
    if readout:
        cells += (Population("sum", 4095, 0, 131071, ZERO, ZERO, ZERO, spikes=False),)
        ways += (Projection("up", "relay", "sum", "dense", np.full((1, n), 2), "excitatory"),)
        outputs = (Output("sum", ZERO),)
    return replace(Tables(n, (Input("raster", np.arange(n)),), cells, ways, outputs), **fields)


# Checking


@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
def test_good_networks_pass(flavour: str) -> None:
    check = importable().check_network
    for seed in range(5):
        assert check(to_npz(network(seed, flavour)))[1] == []


def importable() -> Any:
    """The script as a module."""
    namespace: dict[str, Any] = {"__name__": "deploy_under_test", "__file__": __file__}
    exec(compile(deploy_py(), "deploy.py", "exec"), namespace)
    return type("Module", (), {k: staticmethod(v) if callable(v) else v for k, v in namespace.items()})


CHECK = importable().check_network


def test_the_script_is_python_3_10_without_nirc_and_without_code_from_files() -> None:
    text = deploy_py().decode()
    tree = ast.parse(text, feature_version=(3, 10))
    imported = {
        name for node in ast.walk(tree) for name in
        ([a.name for a in node.names] if isinstance(node, ast.Import) else
         [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip
    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"numpy", "lava", "scipy"}
    assert not any(word in text for word in ("eval(", "exec(", "allow_pickle=True", "import pickle", "nirc."))
    assert deploy_py() == deploy_py()


def unchecked(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> bytes:
    """A file that nirc itself would not write."""
    from nirc.backends.loihi2 import tables as module

    with monkeypatch.context() as patch:
        patch.setattr(module._Format, "check", lambda self, tables: None)
        return to_npz(tables)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_found(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHECK(unchecked(monkeypatch, CONTRADICTIONS[case]))[1]


@pytest.mark.parametrize("case", OUTSIDE)
def test_values_outside_their_range_are_found_with_place_value_and_range(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, limit = OUTSIDE[case]
    faults = CHECK(unchecked(monkeypatch, tables))[1]
    field = case.split(maxsplit=1)[0]
    low, high = limit.split("..")
    assert any(f".{field}: " in fault and low in fault and high in fault for fault in faults), faults


Tree = dict[str, Any]
STRUCTURES: dict[str, Callable[[Tree], Any]] = {
    "another format": lambda t: t.update(format="nirc-loihi2-9"),
    "a field too many": lambda t: t.update(extra=1),
    "a field too few": lambda t: t["projections"][0].pop("kind"),
    "no list": lambda t: t.update(populations={}),
    "a block that is none": lambda t: t["outputs"].append(3),
    "a number as text": lambda t: t["populations"][0].update(du="4095"),
    "true for a number": lambda t: t["populations"][0].update(du=True),
    "NaN": lambda t: t["populations"][0].update(vth=float("nan")),
    "an unknown kind": lambda t: t["projections"][0].update(kind="lava.proc.conv"),
    "a list for a word": lambda t: t["projections"][0].update(sign_mode=["mixed"]),
    "a name with a control character": lambda t: t["inputs"][0].update(name="a\x1b[2J"),
    "a number for a flag": lambda t: t["populations"][0].update(spikes=1),
    "an array that is not there": lambda t: t["projections"][0]["arrays"].append("delays"),
    "an array that is not named": lambda t: t["inputs"][0].update(arrays=[]),
    "arrays of no kind": lambda t: t["inputs"][0].update(arrays=7),
    "a projection from nowhere": lambda t: t["projections"][0].update(source="nobody"),
    "an output of nobody": lambda t: t["outputs"][0].update(population="nobody"),
    "more channels": lambda t: t.update(channels=-1),
    "a geometry": lambda t: t["projections"][0].update(geometry={"groups": 1}),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_faults_of_the_structure_are_found(case: str) -> None:
    data = restructured(lines_and_neurons(), STRUCTURES[case])
    with pytest.raises(NircError):
        from_npz(data)
    (fault,) = CHECK(data)[1]
    assert fault.isascii() and len(fault) < 250


GEOMETRIES: dict[str, Callable[[Tree], Any]] = {
    "another output": lambda g: g["shape_out"].__setitem__(1, g["shape_out"][1] + 1),
    "another input": lambda g: g["shape_in"].__setitem__(0, g["shape_in"][0] + 1),
    "no stride": lambda g: g.update(stride=[0, 1]),
    "a stride of one axis": lambda g: g.update(stride=[1]),
    "half a step": lambda g: g.update(dilation=[1, 1.5]),
    "negative padding": lambda g: g.update(padding=[-1, 0]),
    "groups that do not divide": lambda g: g.update(groups=7),
    "groups without end": lambda g: g.update(groups=10**30),
    "a map that is too large": lambda g: g.update(shape_in=[1, 1, 10**9]),
}


@pytest.mark.parametrize("case", GEOMETRIES)
def test_faults_of_a_convolution_are_found(case: str) -> None:
    data = restructured(network(0, "convolutional"), lambda t: GEOMETRIES[case](t["projections"][0]["geometry"]))
    with pytest.raises(NircError):
        from_npz(data)
    assert CHECK(data)[1]


def test_odd_weights_of_a_convolution_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = network(0, "convolutional")
    first = tables.projections[0]
    odd = replace(tables, projections=(replace(first, weights=first.weights + 1), *tables.projections[1:]))
    assert any("odd" in fault for fault in CHECK(unchecked(monkeypatch, odd))[1])


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(to_npz(network(1, "delayed"))) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_passes_that_nirc_would_refuse(at: int, byte: int) -> None:
    data = bytearray(to_npz(network(1, "delayed")))
    data[at] = byte
    network_, faults = CHECK(bytes(data))
    try:
        from_npz(bytes(data))
    except NircError:
        assert faults
    else:
        assert not faults and network_ is not None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(0, len(to_npz(lines_and_neurons())) - 1))
def test_a_file_that_is_cut_off_is_refused(end: int) -> None:
    assert CHECK(to_npz(lines_and_neurons())[:end])[1]


def test_pickles_compressed_members_and_huge_shapes_are_not_opened() -> None:
    parts = members(to_npz(lines_and_neurons()))
    name = "projections/0/weights.npy"
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n"
    huge = header.replace(b"'|O'", b"'<i2'").replace(b"(1,)", b"(99999999999, 9)").ljust(127)[:127] + b"\n"
    for member in (header, huge, b"", b"\x93NUMPY\x03\x00"):
        assert CHECK(packed({**parts, name: member}))[1]
    assert CHECK(packed({k: v for k, v in parts.items() if k != name}))[1] == ["projections/0/weights is missing"]
    assert CHECK(packed({**parts, "x.npy": b""}))[1] == ["an unknown member 'x.npy'"]


# Calling it


def test_check_needs_numpy_and_no_lava(tmp_path: Path) -> None:
    write(tmp_path, lines_and_neurons())
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "lava.py").write_text("raise ImportError('this is no Lava')")
    good = script(tmp_path, "--check", python=(), PYTHONPATH=str(broken))
    assert (good.returncode, good.stderr) == (0, "") and "4 neurons" in good.stdout
    inputs = save(tmp_path / "in.npz", np.ones((1, 3, 4)))
    run = script(tmp_path, "--raster", inputs, python=(), PYTHONPATH=str(broken))
    assert run.returncode == 3 and "this is no Lava" in run.stderr and "lava-nc" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_numpy_it_says_so_and_still_helps(tmp_path: Path) -> None:
    write(tmp_path, lines_and_neurons())
    bare = script(tmp_path, "--check", python=("-I", "-S"))
    assert bare.returncode == 3 and "numpy" in bare.stderr and "Traceback" not in bare.stderr
    help_ = script(tmp_path, "--help", python=("-I", "-S"))
    assert help_.returncode == 0 and "--one-process-per-core" in help_.stdout
    assert script(tmp_path).returncode == 2
    assert script(tmp_path, "--check", "--adapter-steps", "-1", "0").returncode == 2


def test_a_damaged_file_is_told_with_every_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, lines_and_neurons())
    cells = lines_and_neurons().populations[0]
    wrong = lines_and_neurons(populations=(replace(cells, du=5000, vth=10**6),))
    (tmp_path / "network.npz").write_bytes(unchecked(monkeypatch, wrong))
    told = script(tmp_path, "--check")
    assert told.returncode == 1 and told.stdout.count("network.npz: populations[0].") == 2 and not told.stderr
    (tmp_path / "network.npz").unlink()
    assert "cannot be read" in script(tmp_path, "--check").stderr


RASTERS: dict[str, tuple[Any, str]] = {
    "too few channels": (np.ones((1, 3, 3)), "4 channels"),
    "two axes": (np.ones((3, 4)), "4 channels"),
    "no steps": (np.ones((1, 0, 4)), "4 channels"),
    "fractions": (np.full((1, 3, 4), 0.5), "whole"),
    "negative": (np.full((1, 3, 4), -1), "whole"),
    "not a number": (np.full((1, 3, 4), np.nan), "whole"),
    "text": (np.full((1, 3, 4), "a"), "whole"),
    "objects": (np.full((1, 3, 4), None), "cannot be read"),
}


@pytest.mark.parametrize("case", RASTERS)
def test_rasters_that_do_not_fit_are_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lava_mock.install(monkeypatch)
    write(tmp_path, lines_and_neurons())
    inputs, said = RASTERS[case]
    with pytest.raises(SystemExit, match=said):
        call(tmp_path, monkeypatch, "--raster", save(tmp_path / "in.npz", inputs), "--hardware")


MANIFESTS: dict[str, Tree] = {
    "input_map": {"input_map": [0, 1, 2, 4]},
    "output_map": {"output_map": [0, 1, 2, 9]},
    "output_latency_steps": {"output_latency_steps": [0]},
    "scale": {
        "output_kind": "membrane",
        "populations": {"a": {"part": "readout", "index": [0], "scale": [float("nan")]}},
    },
    "index": {"output_kind": "membrane", "populations": {"a": {"part": "readout", "index": [4], "scale": [1]}}},
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_of_another_network_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, lines_and_neurons(), **MANIFESTS[case])
    with pytest.raises(SystemExit, match=r"manifest\.json"):
        call(tmp_path, monkeypatch, "--check")


def test_files_of_different_bundles_are_noticed(tmp_path: Path) -> None:
    digest = hashlib.sha256(to_npz(lines_and_neurons())).hexdigest()
    write(tmp_path, lines_and_neurons(), files={"network.npz": digest})
    assert script(tmp_path, "--check").stderr == ""
    first = lines_and_neurons().projections[0]
    other = lines_and_neurons(projections=(replace(first, weights=first.weights + 1),))
    (tmp_path / "network.npz").write_bytes(to_npz(other))
    done = script(tmp_path, "--check")
    assert done.returncode == 0 and "network.npz is not the file" in done.stderr


PLANS: dict[str, Any] = {
    "none": {},
    "of another network": {"floorplan": {"cores": []}},
    "that leaves neurons out": {"floorplan": {"cores": [{"parts": [{"population": "relay", "box": [[0, 3]]}]}]}},
    "that overlaps": {"floorplan": {"cores": [
        {"parts": [{"population": "relay", "box": [[0, 3]]}, {"population": "relay", "box": [[2, 4]]}]}]}},
    "with fractions": {"floorplan": {"cores": [{"parts": [{"population": "relay", "box": [[0, "x"]]}]}]}},
    "beyond all bounds": {"floorplan": {"cores": [{"parts": [{"population": "relay", "box": [[0, 10**20]]}]}]}},
}  # fmt: skip


@pytest.mark.parametrize("case", PLANS)
def test_a_floorplan_of_another_network_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, lines_and_neurons())
    (tmp_path / "mapping.json").write_text(json.dumps(PLANS[case]))
    with pytest.raises(SystemExit, match=r"mapping\.json"):
        call(tmp_path, monkeypatch, "--check", "--one-process-per-core")


# On the chip


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> lava_mock.Board:
    return lava_mock.install(monkeypatch)


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, inputs: np.ndarray, *args: object) -> dict[str, np.ndarray]:
    out = directory / "out.npz"
    call(directory, monkeypatch, "--raster", save(directory / "in.npz", inputs), "--out", out, "--hardware", *args)
    with np.load(out) as made:
        return dict(made)


@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
@pytest.mark.parametrize("cut_up", [False, True])
def test_the_chip_gets_the_network_of_the_tables(
    flavour: str, cut_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tables = network(seed, flavour)
        names = [p.name for p in tables.populations]
        inputs = random_raster(rng, 2, 25, tables.channels)
        write(tmp_path, tables)
        cut(rng, tables, tmp_path)
        arguments = ["--one-process-per-core"] if cut_up else []
        got = run(tmp_path, monkeypatch, inputs, "--record", *names, *arguments)
        want = emulate(tables, inputs, record=True)
        np.testing.assert_array_equal(got["spikes"], want.output)
        np.testing.assert_array_equal(got["output"], want.output.sum(axis=1))
        for name in names:
            np.testing.assert_array_equal(got[f"spikes/{name}"], want.spikes[name])
            np.testing.assert_array_equal(got[f"v/{name}"], want.v[name])
            np.testing.assert_array_equal(got[f"u/{name}"], want.extra[f"u/{name}"])
        assert board.stopped == len(board.runs) >= 2


def test_a_population_becomes_a_process_a_core_unless_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sums that a negative exponent rounds must stay whole; Lava cannot concatenate ports."""
    exact = lines_and_neurons(readout=True)
    plan = {"floorplan": {"cores": [
        {"parts": [{"population": "relay", "box": [[2, 4]]}]},
        {"parts": [{"population": "relay", "box": [[0, 2]]}, {"population": "sum", "box": [[0, 1]]}]},
    ]}}  # fmt: skip
    rounded = replace(exact, projections=(exact.projections[0], replace(exact.projections[1], weight_exp=-2)))
    for tables, processes in ((exact, ["relay_0", "relay_1", "sum"]), (rounded, ["relay", "sum"])):
        board.wires.clear()
        write(tmp_path, tables, output_kind="membrane",
              populations={"o": {"part": "readout", "index": [0], "scale": [1.0]}})  # fmt: skip
        (tmp_path / "mapping.json").write_text(json.dumps(plan))
        got = run(tmp_path, monkeypatch, np.ones((1, 5, 4)), "--one-process-per-core")
        assert got["spikes"][0, :, 0].tolist() == emulate(tables, np.ones((1, 5, 4))).output[0, :, 0].tolist()
        cells = {p.name for wire in board.wires for p in (wire[0].process, wire[1].process)}
        assert sorted(name for name in cells if not name.startswith(("Process", "in", "up"))) == processes
    assert "'relay' stays one process" in capsys.readouterr().out


def test_rows_are_shifted_by_the_latency_and_by_what_the_adapters_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    board.steps_in, board.steps_out = 2, 3
    write(tmp_path, lines_and_neurons(), output_latency_steps=[1] * 4,
          populations={"relay": {"part": "neurons", "index": [0, 1, 2, 3], "latency_steps": 1}})  # fmt: skip
    inputs = random_raster(np.random.default_rng(0), 3, 12, 4) > 0
    got = run(tmp_path, monkeypatch, inputs, "--adapter-steps", "2", "3", "--record", "relay")
    assert (got["spikes"] == inputs).all() and (got["spikes/relay"] == inputs).all() and inputs.any()
    assert (got["u/relay"] == inputs * 20 * 64).all()


def test_populations_of_the_model_are_recorded_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    """A population may be split over several of the chip's, and a readout is known by its outputs."""
    blocks = {
        "both": {"part": "neurons", "index": [4, 2, 0], "latency_steps": 1},
        "up": {"part": "readout", "index": [0], "latency_steps": 2, "scale": [1.0]},
    }
    tables = lines_and_neurons(readout=True)
    write(tmp_path, tables, populations=blocks)
    inputs = random_raster(np.random.default_rng(0), 2, 12, 4)
    got = run(tmp_path, monkeypatch, inputs, "--record", "both", "up", "sum")
    late = np.concatenate([inputs, np.zeros((2, 2, 4), int)], axis=1)
    want = emulate(tables, late, record=True)
    np.testing.assert_array_equal(got["v/both"][:, :, 0], want.v["sum"][:, 1:-1, 0])
    np.testing.assert_array_equal(got["spikes/both"][:, :, 1:], want.spikes["relay"][:, 1:-1, [2, 0]])
    np.testing.assert_array_equal(got["v/up"], want.v["sum"][:, 2:])
    np.testing.assert_array_equal(got["v/sum"], want.v["sum"][:, :-2])
    with pytest.raises(SystemExit, match="no population 'other'"):
        run(tmp_path, monkeypatch, inputs, "--record", "other")


def test_membranes_come_in_volts_and_model_inputs_may_share_a_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    write(tmp_path, lines_and_neurons(readout=True), input_map=[0, 0, None, 3, 1], output_latency_steps=[2],
          output_kind="membrane", populations={"o": {"part": "readout", "index": [0], "scale": [64.0]}})  # fmt: skip
    inputs = np.zeros((1, 4, 5))
    inputs[0, 0] = [3, 1, 1, 0, 0]  # one spike on channel 0
    inputs[0, 2] = [0, 0, 0, 1, 1]
    assert run(tmp_path, monkeypatch, inputs)["spikes"][0, :, 0].tolist() == [2.0, 2.0, 6.0, 6.0]


def test_spikes_and_membranes_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    """Spikes come late from the adapter, v does not."""
    board.steps_out = 2
    tables = lines_and_neurons(readout=True, outputs=(Output("sum", ZERO), Output("relay", ZERO)))
    write(tmp_path, tables, output_kind="membrane", populations={"o": {"part": "readout", "index": [0], "scale": [64]}})
    inputs = np.ones((1, 6, 4))
    got = run(tmp_path, monkeypatch, inputs, "--adapter-steps", "0", "2")
    np.testing.assert_array_equal(got["spikes"], emulate(tables, inputs).output / [64, 1])


def test_each_way_to_a_board_is_asked_for_as_lava_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    for variable in ("SLURM", "NOSLURM"):
        monkeypatch.delenv(variable, raising=False)
    write(tmp_path, lines_and_neurons())
    inputs = np.ones((1, 2, 4))
    run(tmp_path, monkeypatch, inputs)
    run(tmp_path, monkeypatch, inputs, "--partition", "kp", "--generation", "N3C1")
    run(tmp_path, monkeypatch, inputs, "--host", "10.1.2.3")
    monkeypatch.setenv("NOSLURM", "1")
    run(tmp_path, monkeypatch, inputs)  # the user has set the environment
    default, newer = lava_mock.ChipGeneration.N3B3, lava_mock.ChipGeneration.N3C1
    assert board.reached == [
        {"way": "slurm", "partition": None, "board": None, "generation": default},
        {"way": "slurm", "partition": "kp", "board": None, "generation": newer},
        {"way": "ethernet", "host": "10.1.2.3", "generation": default},
    ]


def test_a_board_that_cannot_be_reached_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, lines_and_neurons())
    board.refuse = ValueError("partition zz is not found")
    with pytest.raises(SystemExit, match="partition zz"):
        run(tmp_path, monkeypatch, np.ones((1, 2, 4)), "--partition", "zz")
    board.refuse = ImportError("Lava-Loihi is not installed")
    with pytest.raises(SystemExit, match="3"):
        run(tmp_path, monkeypatch, np.ones((1, 2, 4)), "--partition", "zz")
    assert "Lava-Loihi" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_without_intels_extension_the_simulator_is_pointed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lava_mock.install(monkeypatch, extension=False)
    write(tmp_path, lines_and_neurons())
    with pytest.raises(SystemExit, match="3"):
        run(tmp_path, monkeypatch, np.ones((1, 2, 4)))
    said = capsys.readouterr().err
    assert "embedded_io" in said and "members" in said and "simulator" in said


def test_an_answer_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    write(tmp_path, lines_and_neurons())
    inputs = save(tmp_path / "in.npz", np.ones((1, 2, 4)))
    with pytest.raises(SystemExit, match="no folder"):
        call(tmp_path, monkeypatch, "--raster", inputs, "--out", tmp_path / "none" / "out.npz", "--hardware")
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(OSError, match=r"out\.npz"):
        call(tmp_path, monkeypatch, "--raster", inputs, "--out", tmp_path / "out.npz", "--hardware")
    assert not list(tmp_path.glob(".*"))


def test_a_link_and_a_device_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    write(tmp_path, lines_and_neurons())
    (tmp_path / "out.npz").symlink_to("kept.npz")
    assert "spikes" in run(tmp_path, monkeypatch, np.ones((1, 2, 4)))
    assert (tmp_path / "out.npz").is_symlink() and (tmp_path / "kept.npz").is_file()
    call(tmp_path, monkeypatch, "--raster", tmp_path / "in.npz", "--out", "/dev/null", "--hardware")
    assert Path("/dev/null").is_char_device()


def test_the_stored_weights_are_the_rules() -> None:
    stored = importable().stored
    weights = np.arange(-256, 256)
    for mode in rule.SIGN_MODES:
        for bits in range(1, 9):
            fields = {"weights": weights, "sign_mode": mode, "num_weight_bits": bits}
            assert stored(fields).tolist() == rule.effective_weights(weights, mode, bits).tolist()


def test_loading_the_script_runs_nothing(tmp_path: Path) -> None:
    assert loaded(write(tmp_path, lines_and_neurons())).FORMAT == "nirc-loihi2-1"
