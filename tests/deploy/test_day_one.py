"""A day at the board: run, record, compare with the emulator, and find one wrong weight.

The boards are the strict stand-ins. Each runs what deploy.py gave it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.diagnostics.log import Log
from nirc.files.bundle import save_run
from tests import commands
from tests.deployed import loaded, script
from tests.loihi2 import lava_mock
from tests.models import chain, cuba, linear, raster
from tests.speck import samna_mock as speck_mock
from tests.spinnaker2 import spinnaker2_mock
from tests.xylo import samna_mock as xylo_mock

Plant = Callable[[Any], None]


def three_layers(neuron: Callable[[int], nir.NIRNode]) -> nir.NIRGraph:
    """Two hidden layers and an output layer."""
    rng = np.random.default_rng(3)
    return chain(
        3, linear(rng, 6, 3), neuron(6), linear(rng, 6, 6), neuron(6), linear(rng, 2, 6), neuron(2),
        n_out=2,
    )  # fmt: skip


def integrate_and_fire(n: int) -> nir.IF:
    return nir.IF(r=np.ones(n), v_threshold=np.ones(n))


def samna(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setitem(sys.modules, "samna", make())


def lava(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    lava_mock.install(monkeypatch)


def spinnaker2(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    spinnaker2_mock.install(directory)
    monkeypatch.syspath_prepend(directory)


def wrong_in_xylo(block: str) -> Plant:
    """The first weight that is not 0 from the first hidden layer to the second."""

    def plant(board: Any) -> None:
        part = getattr(board.chip.configuration, block)
        weights = np.array(part.weights)
        row, column = np.argwhere(weights)[0]
        weights[row, column] = -weights[row, column]
        part.weights = weights.tolist()

    return plant


def wrong_in_speck(board: Any) -> None:
    cores = [core for core in board.chip.configuration.cnn_layers if core.weights]
    second = cores[1] if len(cores[0].weights) == 6 else cores[0]
    weights = np.array(second.weights)
    place = tuple(np.argwhere(weights > 0)[0])
    weights[place] = -weights[place]
    second.weights = weights.tolist()


def wrong_in_tables(tree: str, name: str) -> Plant:
    def plant(board: Any) -> None:
        projection = getattr(board.chip, tree)["projections"][1]
        projection[name] = projection[name].copy()
        flat = projection[name].reshape(-1)
        flat[np.flatnonzero(flat > 0)[0]] *= -1

    return plant


@dataclass(frozen=True)
class Day:
    target: str
    neuron: Callable[[int], nir.NIRNode]
    install: Callable[[pytest.MonkeyPatch, Path], None]
    plant: Plant
    options: dict[str, Any] = field(default_factory=dict)
    board: str = ""
    packages: tuple[str, ...] = ()
    power: tuple[str, ...] = ()


def xylo(variant: str, block: str, board: str, *power: str) -> Day:
    def install(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        samna(lambda: xylo_mock.make(variant), monkeypatch, directory)

    plant = wrong_in_xylo(block)
    return Day(f"xylo:{variant}", cuba, install, plant, {}, board, (), power)


def speck(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    samna(lambda: speck_mock.make("2f"), monkeypatch, directory)


DAYS = [
    xylo("audio2", "reservoir", "XyloA2TestBoard", "Io", "IoAfe", "Logic", "LogicAfe"),
    xylo("audio3", "hidden", "XyloAudio3TestBoard", "AnalogLogic", "DigitalLogic", "Io"),
    xylo("imu", "hidden", "XyloImuTestBoard", "Core", "Io"),
    Day("speck:2f", integrate_and_fire, speck, wrong_in_speck, {"settle": 0.0}, "Speck2fDevKit"),
    Day(
        "loihi2",
        cuba,
        lava,
        wrong_in_tables("network", "weights"),
        {"hardware": True, "partition": "kp"},
        "Loihi 2 N3B3 at kp",
    ),
    Day(
        "spinnaker2",
        cuba,
        spinnaker2,
        wrong_in_tables("tree", "weight"),
        {"chip": "10.0.0.7"},
        "chip at 10.0.0.7",
    ),
]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("spinnaker2")]:
        del sys.modules[name]


def compared(*args: object) -> tuple[int, str]:
    done = commands.nirc("compare", *args, cwd=Path.cwd())
    return done.returncode, done.stdout


each_day = pytest.mark.parametrize("day", DAYS, ids=lambda day: day.target)


@pytest.fixture
def bundle(day: Day, tmp_path: Path) -> Path:
    reset = "zero" if day.neuron is integrate_and_fire else "subtract"
    options = {"dt": 1e-3} if day.neuron is integrate_and_fire else {}
    return nirc.compile(three_layers(day.neuron), day.target, reset=reset, **options).save(
        tmp_path / "bundle"
    )


@each_day
def test_a_wrong_weight_on_the_board_is_found_in_its_layer(
    day: Day, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of docs/how-to/compare-with-the-board.md, with all populations at once."""
    inputs = raster(np.random.default_rng(0), 1, 20, 3, rate=0.5)
    opened = nirc.Bundle.open(bundle)
    mode = "events" if "speck" in day.target else None  # one by one, as the board takes them
    emulated = opened.run(inputs, mode=mode, record=list(opened.manifest["populations"]))
    save_run(tmp_path / "emulated.npz", emulated, Log())
    module = loaded(bundle)
    first, second = sorted(opened.manifest["populations"])[:2]
    for planted in (False, True):
        day.install(monkeypatch, tmp_path / "site")  # a board after power-on
        board = module.load(**day.options)
        if planted:
            day.plant(board)
        module.save(str(tmp_path / "board.npz"), board.run(inputs, record="all"))
        files = (tmp_path / "emulated.npz", tmp_path / "board.npz", "--bundle", bundle)
        status, text = compared(*files, "--format", "json")
        found = json.loads(text)["first_difference"]
        assert (status, found is None) == ((1, False) if planted else (0, True)), found
    assert found["population"] == second != first


@each_day
def test_a_run_leaves_a_record_that_compare_prints(
    day: Day, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day.install(monkeypatch, tmp_path / "site")
    inputs = raster(np.random.default_rng(0), 1, 12, 3, rate=0.5)
    np.savez(tmp_path / "in.npz", inputs=inputs)
    given = [f"--{name}={value}" for name, value in day.options.items() if value is not True]
    given += [f"--{name}" for name, value in day.options.items() if value is True]
    out = bundle / "out.npz"
    loaded(bundle).SCRIPT.main([*given, "--data", str(tmp_path / "in.npz"), "--out", str(out)])
    record = json.loads((bundle / "out.json").read_text())
    assert record["board"] == day.board and not record["simulated"]
    assert record["bundle"] == json.loads((bundle / "manifest.json").read_text())["sha256"]
    assert (record["samples"], record["steps"], record["recorded"]) == (1, 12, [])
    assert set(record["packages"]) >= {"python", "numpy", *day.packages}
    assert tuple(sorted(record["power_watts"])) == day.power
    assert set(record["options"]) == {*day.options, "data", "out"}
    assert script(bundle, "--check", bare=False).stdout.startswith("the bundle is good")
    status, text = compared(out, out)
    assert status == 0 and text.count(f"{day.board}") == 2 and record["started"] in text
    if day.power:
        assert (record["serial"], record["firmware"]) == ("A17", "3")
        assert record["power_watts"]["Io"] == pytest.approx(2e-4) and "Io 0.2 mW" in text
    np.savez(out, **{**np.load(out), "more": np.ones(1)})  # the record is of another answer
    assert day.board not in compared(out, out)[1]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"format": 3}', b"[" * 100_000, b"\xff{"])
def test_a_file_beside_an_answer_that_is_no_record_is_left_alone(
    text: bytes, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", spikes=np.ones((1, 2, 3)))
    (tmp_path / "a.json").write_bytes(text)
    status, said = compared(tmp_path / "a.npz", tmp_path / "a.npz")
    assert status == 0 and "bundle" not in said
