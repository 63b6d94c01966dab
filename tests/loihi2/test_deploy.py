"""The emitted script builds for the chip what the tables say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.emit import deploy_py
from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.tables import Output, Tables
from tests.deployed import faults, loaded
from tests.loihi2 import lava_mock
from tests.loihi2.bundles import ZERO, call, cut, lines_and_neurons, save, script, write
from tests.loihi2.reference import FLAVOURS, random_convolutions, random_raster, random_tables


def network(seed: int, flavour: str) -> Tables:
    rng = np.random.default_rng(seed)
    return random_convolutions(rng) if flavour == "convolutional" else random_tables(rng, flavour)


# Checking: what is special about Loihi 2. All else is in tests/deploy.


@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
def test_good_networks_pass(flavour: str, tmp_path: Path) -> None:
    module = loaded(write(tmp_path, lines_and_neurons()))
    for seed in range(5):
        rng, tables = np.random.default_rng(seed), network(seed, flavour)
        directory = write(tmp_path / str(seed), tables, cut(rng, tables))
        assert faults({path.name: path.read_bytes() for path in directory.iterdir()}, module) == []


def test_the_script_is_the_same_for_all_networks() -> None:
    assert deploy_py() == deploy_py()


# Calling it


def test_check_needs_numpy_and_no_lava(tmp_path: Path) -> None:
    directory = write(tmp_path / "b", lines_and_neurons())
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "lava.py").write_text("raise ImportError('this is no Lava')")
    good = script(directory, "--check", python=(), PYTHONPATH=str(broken))
    assert (good.returncode, good.stderr) == (0, "") and "4 neurons" in good.stdout
    inputs = save(tmp_path / "in.npz", np.ones((1, 3, 4)))
    run = script(directory, "--data", inputs, python=(), PYTHONPATH=str(broken))
    assert run.returncode == 3 and "this is no Lava" in run.stderr and "lava-nc" in run.stderr
    assert "Traceback" not in run.stderr


def test_wrong_options_are_usage_errors(tmp_path: Path) -> None:
    directory = write(tmp_path, lines_and_neurons())
    assert script(directory).returncode == 2
    assert script(directory, "--check", "--adapter-steps", "-1", "0").returncode == 2


def test_a_dry_run_makes_the_processes_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = lava_mock.install(monkeypatch)
    directory = write(tmp_path / "b", lines_and_neurons())
    inputs = save(tmp_path / "in.npz", np.ones((1, 3, 4)))
    call(
        directory, monkeypatch, "--data", inputs, "--hardware", "--dry-run", "--out", tmp_path / "o"
    )
    assert board.wires and not board.runs and not (tmp_path / "o").exists()


PLANS: dict[str, Any] = {
    "of another network": [("nobody", [[0, 4]])],
    "that leaves neurons out": [("relay", [[0, 3]])],
    "that overlaps": [("relay", [[0, 3]]), ("relay", [[2, 4]])],
    "of too many axes": [("relay", [[0, 4]]), ("relay", [[0, 2], [0, 2]])],
    "beyond all bounds": [("relay", [[0, 10**9]])],
}


@pytest.mark.parametrize("case", PLANS)
def test_a_floorplan_of_another_network_is_refused(case: str, tmp_path: Path) -> None:
    directory = write(tmp_path, lines_and_neurons(), PLANS[case])
    found = faults(
        {path.name: path.read_bytes() for path in directory.iterdir()}, loaded(directory)
    )
    assert found and all(line.startswith("mapping.json: parts") for line in found)


# On the chip


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> lava_mock.Board:
    return lava_mock.install(monkeypatch)


def run(
    directory: Path, monkeypatch: pytest.MonkeyPatch, inputs: np.ndarray, *args: object
) -> dict[str, np.ndarray]:
    out = directory / "out.npz"
    call(
        directory,
        monkeypatch,
        "--data",
        save(directory / "in.npz", inputs),
        "--out",
        out,
        "--hardware",
        *args,
    )
    with np.load(out) as made:
        return dict(made)


@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
@pytest.mark.parametrize("cut_up", [False, True])
def test_the_chip_gets_the_network_of_the_tables(
    flavour: str,
    cut_up: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    board: lava_mock.Board,
) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tables = network(seed, flavour)
        names = [p.name for p in tables.populations]
        inputs = random_raster(rng, 2, 25, tables.channels)
        write(tmp_path, tables, cut(rng, tables))
        arguments = ["--one-process-per-core"] if cut_up else []
        got = run(tmp_path, monkeypatch, inputs, "--record", *names, *arguments)
        want = emulate(tables, inputs, record=True)
        np.testing.assert_array_equal(got["spikes"], want.outputs)
        np.testing.assert_array_equal(got["output"], want.outputs.sum(axis=1))
        for name in names:
            np.testing.assert_array_equal(got[f"spikes/{name}"], want.spikes[name])
            np.testing.assert_array_equal(got[f"v/{name}"], want.v[name])
            np.testing.assert_array_equal(got[f"u/{name}"], want.extra[f"u/{name}"])
        assert board.stopped == len(board.runs) >= 2


@pytest.mark.parametrize(("calls", "fits"), [(4_000, True), (12_000, False)])
def test_lavas_compiler_may_call_itself_for_each_process(
    calls: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own limit is in force again after the run. What is larger still is refused."""
    find = lava_mock.find_processes

    def one_inside_another(process: Any, left: int = calls) -> list[Any]:
        return one_inside_another(process, left - 1) if left else find(process)

    monkeypatch.setattr(lava_mock, "find_processes", one_inside_another)
    lava_mock.install(monkeypatch)
    tables, before = lines_and_neurons(), sys.getrecursionlimit()
    write(tmp_path, tables)
    inputs = np.ones((1, 3, 4), np.int64)
    if fits:
        got = run(tmp_path, monkeypatch, inputs)
        np.testing.assert_array_equal(got["spikes"], emulate(tables, inputs).outputs)
    else:
        with pytest.raises(SystemExit, match="Lava's compiler takes no network of this size"):
            run(tmp_path, monkeypatch, inputs)
    assert sys.getrecursionlimit() == before


def test_a_population_becomes_a_process_a_core_unless_it_cannot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    board: lava_mock.Board,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sums that a negative exponent rounds must stay whole; Lava cannot concatenate ports."""
    exact = lines_and_neurons(readout=True)
    plan = [("relay", [[2, 4]]), ("relay", [[0, 2]]), ("sum", [[0, 1]])]
    rounded = replace(
        exact, projections=(exact.projections[0], replace(exact.projections[1], weight_exp=-2))
    )
    for tables, processes in ((exact, ["relay_0", "relay_1", "sum"]), (rounded, ["relay", "sum"])):
        board.wires.clear()
        write(tmp_path, tables, plan)
        got = run(tmp_path, monkeypatch, np.ones((1, 5, 4)), "--one-process-per-core")
        assert (
            got["spikes"][0, :, 0].tolist()
            == emulate(tables, np.ones((1, 5, 4))).outputs[0, :, 0].tolist()
        )
        cells = {p.name for wire in board.wires for p in (wire[0].process, wire[1].process)}
        assert (
            sorted(name for name in cells if not name.startswith(("Process", "in", "up")))
            == processes
        )
    assert "'relay' stays one process" in capsys.readouterr().out


def test_rows_are_shifted_by_the_latency_and_by_what_the_adapters_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    board.steps_in, board.steps_out = 2, 3
    write(
        tmp_path,
        lines_and_neurons(),
        output_latency_steps=[1] * 4,
        populations={
            "relay": {
                "part": "neurons",
                "index": [0, 1, 2, 3],
                "latency_steps": 1,
                "scale": [1] * 4,
            }
        },
    )
    inputs = random_raster(np.random.default_rng(0), 3, 12, 4) > 0
    got = run(tmp_path, monkeypatch, inputs, "--adapter-steps", "2", "3", "--record", "relay")
    assert (
        (got["spikes"] == inputs).all() and (got["spikes/relay"] == inputs).all() and inputs.any()
    )
    assert (got["u/relay"] == inputs * 20 * 64).all()


def test_populations_of_the_model_are_recorded_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    """A population may be split over several of the chip's, and a readout is known by its
    outputs.
    """
    blocks = {
        "both": {"part": "neurons", "index": [4, 2, 0], "latency_steps": 1, "scale": [1, 1, 1]},
        "up": {"part": "readout", "index": [0], "latency_steps": 2, "scale": [1.0]},
    }
    tables = lines_and_neurons(readout=True)
    write(tmp_path, tables, populations=blocks)
    inputs = random_raster(np.random.default_rng(0), 2, 12, 4)
    got = run(tmp_path, monkeypatch, inputs, "--record", "both", "up", "sum")
    late = np.concatenate([inputs, np.zeros((2, 2, 4), int)], axis=1)
    want = emulate(tables, late, record=True)
    np.testing.assert_array_equal(got["v/both"][:, :, 0], want.v["sum"][:, 1:-1, 0])
    np.testing.assert_array_equal(
        got["spikes/both"][:, :, 1:], want.spikes["relay"][:, 1:-1, [2, 0]]
    )
    np.testing.assert_array_equal(got["v/up"], want.v["sum"][:, 2:])
    np.testing.assert_array_equal(got["v/sum"], want.v["sum"][:, :-2])
    with pytest.raises(SystemExit, match="no population 'other'"):
        run(tmp_path, monkeypatch, inputs, "--record", "other")


def test_membranes_come_in_volts_and_model_inputs_may_share_a_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: lava_mock.Board
) -> None:
    write(
        tmp_path,
        lines_and_neurons(readout=True),
        input_map=[0, 0, None, 3, 1],
        output_latency_steps=[2],
        populations={"o": {"part": "readout", "index": [0], "scale": [64.0], "latency_steps": 2}},
    )
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
    block = {"part": "readout", "index": [0], "scale": [64], "latency_steps": 0}
    write(tmp_path, tables, populations={"o": block})
    inputs = np.ones((1, 6, 4))
    got = run(tmp_path, monkeypatch, inputs, "--adapter-steps", "0", "2")
    np.testing.assert_array_equal(got["spikes"], emulate(tables, inputs).outputs / [64, 1])


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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    board: lava_mock.Board,
    capsys: pytest.CaptureFixture[str],
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


def test_the_stored_weights_are_the_rules(tmp_path: Path) -> None:
    stored = loaded(write(tmp_path, lines_and_neurons())).stored
    weights = np.arange(-256, 256)
    for mode in rule.SIGN_MODES:
        for bits in range(1, 9):
            fields = {"weights": weights, "sign_mode": mode, "num_weight_bits": bits}
            assert stored(fields).tolist() == rule.effective_weights(weights, mode, bits).tolist()
