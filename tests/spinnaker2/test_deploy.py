"""The script for py-spinnaker2 runs what nirc emulates."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import MODELS, NETWORK, Tables
from nirc.files.schema import rows
from tests.deployed import signed
from tests.spinnaker2.bundles import LATE, deploy, expected, runs, written
from tests.spinnaker2.field import FIELDS, N
from tests.spinnaker2.networks import convolutional, mapping, network, one

MODEL_INPUTS = 5  # of ``network``: four channels and one that nothing listens to


def raster(
    seed: int, *, samples: int = 2, steps: int = 12, channels: int = MODEL_INPUTS
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((samples, steps, channels)) < 0.6).astype(np.int64)


def ran(directory: Path, inputs: np.ndarray, *args: object, **asked: Any) -> dict[str, np.ndarray]:
    """What deploy.py saved."""
    np.savez(directory / "in.npz", inputs=inputs)
    out = directory / "out.npz"
    done = deploy(directory, "--data", directory / "in.npz", "--out", out, *args, **asked)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(out) as saved:
        return dict(saved)


# Running


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_run_spike_for_spike_as_nirc_emulates_them(
    seed: int, tmp_path: Path
) -> None:
    tables, inputs = network(seed), raster(seed)
    saved = ran(written(tables, tmp_path), inputs, "--chip", "10.0.0.1")
    wanted = expected(tables, inputs, tmp_path)
    assert wanted.any()
    np.testing.assert_array_equal(saved["spikes"], wanted)
    np.testing.assert_array_equal(saved["output"], wanted.sum(axis=1))
    assert saved["spikes"].dtype == np.int64


@pytest.mark.parametrize("pool", [(1, 1), (2, 3)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_convolutions_of_any_sides_and_membranes_in_volts(
    pool: tuple[int, int], stride: tuple[int, int], tmp_path: Path
) -> None:
    tables = convolutional(pool=pool, stride=stride)
    inputs = raster(0, samples=1, steps=6, channels=tables.channels + 1)
    saved = ran(written(tables, tmp_path), inputs, "--chip", "10.0.0.1")
    wanted = expected(tables, inputs, tmp_path)
    assert np.unique(wanted).size > 8
    np.testing.assert_array_equal(saved["spikes"], wanted)


def test_the_field_that_a_chip_ran_gives_the_chips_spikes(tmp_path: Path) -> None:
    """The shortest of the three recordings, through script and stand-in: the sheet's rules, written
    a second time.
    """
    field = FIELDS[2]
    inputs = np.concatenate([field.raster(), np.zeros((400, 1), np.int64)], axis=1)[None, :120]
    saved = ran(written(field.tables(), tmp_path), inputs, "--chip", "10.0.0.1")
    recorded = field.recorded()
    np.testing.assert_array_equal(saved["spikes"][0, :, 0], recorded[LATE : 120 + LATE, N - 1])
    np.testing.assert_array_equal(
        saved["spikes"][0, : 120 - 1, 1:], recorded[LATE + 1 : 120 + LATE, N - 2 :: -1]
    )


def test_recordings_are_what_the_emulator_records(tmp_path: Path) -> None:
    tables, inputs = network(3), raster(3)
    saved = ran(
        written(tables, tmp_path), inputs, "--board", "10.0.0.2", "--record", "pop 1", "pop 0"
    )
    padded = np.zeros((2, 12 + LATE + 1, 4))
    padded[:, :12] = inputs[:, :, :4]
    chip = emulate(tables, padded, record=True)
    for name in (
        "pop 0",
        "pop 1",
    ):  # manifest.json numbers its neurons backwards and says: one step late
        np.testing.assert_array_equal(saved[f"spikes/{name}"], chip.spikes[name][:, 1:13, ::-1])
        np.testing.assert_array_equal(saved[f"v/{name}"], chip.v[name][:, 1:13, ::-1])
    records = {name: p["record"] for name, p in runs(tmp_path)[0]["populations"].items()}
    both = ["spikes", "v"]
    assert records == {"in": [], "other in": [], "pop 0": both, "pop 1": both, "pop 2": ["spikes"]}


def test_several_spikes_in_a_step_are_sent_with_a_warning(tmp_path: Path) -> None:
    tables, inputs = network(4), raster(4) * 3
    directory = written(tables, tmp_path)
    np.save(directory / "in.npy", inputs)
    done = deploy(
        directory, "--chip", "a", "--data", directory / "in.npy", "--out", tmp_path / "o.npz"
    )
    assert "several spikes in a step" in done.stderr
    wanted = expected(tables, inputs, directory)
    assert (wanted != expected(tables, inputs // 3, directory)).any()
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["spikes"], wanted)


def test_every_sample_gets_a_board_and_a_network_of_its_own(tmp_path: Path) -> None:
    inputs = np.repeat(raster(1, samples=1), 3, axis=0)
    saved = ran(written(network(1), tmp_path), inputs, "--chip", "10.0.0.1")
    np.testing.assert_array_equal(saved["spikes"][0], saved["spikes"][2])
    assert len(runs(tmp_path)) == 3


def test_the_vendor_gets_the_slices_of_nirc(tmp_path: Path) -> None:
    tables = network(2)
    ran(written(tables, tmp_path, tick=2.5e-3), raster(2, samples=1), "--chip", "192.168.1.25")
    (noted,) = runs(tmp_path)
    given = {name: (p["model"], p["size"], p["atoms"]) for name, p in noted["populations"].items()}
    wanted = {p.name: ("spike_list", p.n, p.atoms) for p in tables.inputs}
    assert given == wanted | {p.name: (p.model, p.n, p.atoms) for p in tables.populations}
    assert (noted["on"], noted["address"], noted["tick"]) == (
        "SpiNNaker2Chip",
        "192.168.1.25",
        2.5e-3,
    )
    assert (noted["routing"], noted["debug"], noted["steps"]) == (None, False, 12 + LATE + 1)


@pytest.mark.parametrize("routing", ["mc", "c2c"])
def test_board_tick_and_routing_are_options(routing: str, tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    args = ("--board", "192.168.1.2", "--tick", 0.01, "--routing", routing, "--debug")
    args += ("--backend", "spinnman2")
    ran(directory, raster(2, samples=1), *args)
    (noted,) = runs(directory)
    assert (noted["on"], noted["address"], noted["tick"]) == (
        "SpiNNcloud48NodeBoard",
        "192.168.1.2",
        0.01,
    )
    assert (noted["routing"], noted["debug"]) == (routing.upper(), True)
    assert noted["backend"] == "spinnman2"


def test_initial_and_reset_voltages_are_passed_only_where_they_are_not_0(tmp_path: Path) -> None:
    tables = network(0)
    first, *others = tables.populations
    quiet = replace(first, v_init=one(0), v_reset=one(0))
    ran(
        written(replace(tables, populations=(quiet, *others)), tmp_path),
        raster(0, samples=1),
        "--chip",
        "a",
    )
    given = {name: set(p["keys"]) for name, p in runs(tmp_path)[0]["populations"].items()}
    assert (
        not {"v_init", "v_reset"} & given[first.name]
        and {"v_init", "v_reset"} <= given[others[0].name]
    )


def meets_its_threshold() -> Tables:
    """One synapse of weight 20 into a neuron with threshold 20."""
    tables = network(2)
    last = replace(
        tables.populations[1], model="lif_no_delay", exc_decay=None, inh_decay=None, spikes=True
    )
    last = replace(
        last, threshold=one(20), alpha_decay=one(0), i_offset=one(0), v_init=one(0), n=1, atoms=1
    )
    wire = replace(tables.projections[1], source="other in", target=last.name)
    zero = np.zeros(1, np.int64)
    wire = replace(wire, pre=zero, post=zero, weight=zero + 20, delay=zero)
    outputs = (replace(tables.outputs[0], population=last.name, neurons=zero),)
    return replace(tables, populations=(last,), projections=(wire,), outputs=outputs)


def test_the_vendors_simulator_is_run_with_a_warning_where_it_differs(tmp_path: Path) -> None:
    directory = written(meets_its_threshold(), tmp_path)
    np.save(directory / "in.npy", np.ones((1, 8, 5)))
    args = ("--data", directory / "in.npy", "--out", directory / "out.npz")
    simulated = deploy(directory, "--brian2", *args)
    assert simulated.returncode == 0 and "meets a threshold exactly" in simulated.stderr
    assert np.load(directory / "out.npz")["output"].sum() == 0
    deploy(directory, "--chip", "a", *args)
    assert (
        np.load(directory / "out.npz")["output"].sum() == 7
    )  # the eighth comes too late for the last row
    assert [noted["on"] for noted in runs(directory)] == ["Brian2Backend", "SpiNNaker2Chip"]


def test_mapping_only_runs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    np.save(directory / "in.npy", raster(2))
    done = deploy(
        directory,
        "--chip",
        "a",
        "--dry-run",
        "--data",
        directory / "in.npy",
        "--out",
        tmp_path / "o",
    )
    assert done.returncode == 0 and "has mapped" in done.stdout and not (tmp_path / "o").exists()
    assert [noted["mapping_only"] for noted in runs(directory)] == [True]


def test_no_room_to_record_and_late_cores_are_warnings(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path, steps=3)
    tree = json.loads((directory / "mapping.json").read_text())
    tree["tick"]["late_cores"] = 2
    (directory / "mapping.json").write_text(json.dumps(tree))
    signed(directory)
    np.save(directory / "in.npy", raster(2))
    done = deploy(
        directory, "--chip", "a", "--data", directory / "in.npy", "--out", tmp_path / "o.npz"
    )
    assert done.returncode == 0
    assert "room to record 3 steps" in done.stderr and "2 PEs may not finish" in done.stderr


# Refusing


def test_the_documentation_names_every_option_field_and_model(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/spinnaker2-files.md").read_text()
    text = (written(network(0), tmp_path) / "deploy.py").read_text()
    words = set(re.findall(r"--[a-z0-9-]+", text)) - {"--help"}
    words |= {path.split(".")[-1] for path, _, _ in rows(NETWORK.root)} | set(MODELS)
    assert len(words) > 40 and [word for word in sorted(words) if word not in page] == []


def test_the_script_is_the_same_for_all_networks(tmp_path: Path) -> None:
    scripts = [
        (written(tables, tmp_path / "b") / "deploy.py").read_text()
        for tables in (network(0), convolutional())
    ]
    assert scripts[0] == scripts[1]


@pytest.mark.parametrize("args", [("--chip", "a"), ("--board", "a"), ("--brian2",)])
def test_without_the_vendors_package_the_script_names_what_is_missing(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(directory, *args, "--data", directory / "in.npy", vendor=False)
    assert (
        done.returncode == 3
        and "py-spinnaker2 is needed" in done.stderr
        and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(
    ("without", "args"),
    [("hardware", ()), ("experiment_backends/backend_settings", ("--routing", "c2c"))],
)
def test_a_version_that_lacks_a_module_is_reported(
    without: str, args: tuple[str, ...], tmp_path: Path
) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(directory, "--chip", "a", *args, "--data", directory / "in.npy", without=without)
    assert (
        done.returncode == 3
        and "cannot be imported" in done.stderr
        and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--chip", "a"),
        ("--check", "--chip", "a"),
        ("--chip", "a", "--board", "b"),
        ("--chip", "", "--data", "in.npy"),
        ("--brian2", "--data", "in.npy", "--tick", "1"),
        ("--brian2", "--data", "in.npy", "--routing", "mc"),
        ("--chip", "a", "--data", "in.npy", "--tick", "0"),
        ("--chip", "a", "--data", "in.npy", "--tick", "nan"),
        ("--chip", "a", "--data", "in.npy", "--routing", "udp"),
        ("--chip", "a", "--data", "in.npy", "--frobnicate"),
        ("--check", "stray"),
    ],
)
def test_wrong_options_are_usage_errors(args: tuple[str, ...], tmp_path: Path) -> None:
    done = deploy(written(network(0), tmp_path), *args, vendor=False)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_refusals_come_before_the_vendor_is_asked(tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    np.save(directory / "bad.npy", raster(0, channels=3))
    for args, said in (
        (("--data", directory / "bad.npy"), "--data: inputs have shape (2, 12, 3)"),
        (
            ("--data", directory / "in.npy", "--record", "nobody"),
            "no population 'nobody'; there are ['out', 'pop 0'",
        ),
    ):
        done = deploy(directory, "--chip", "a", *args)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert runs(directory) == []


def test_a_network_for_a_board_is_not_sent_to_a_chip(tmp_path: Path) -> None:
    tables = network(0)
    more = 149 - len(mapping(tables).slices)
    many = replace(tables.inputs[0], name="many", channels=np.zeros(more, np.int64), atoms=1)
    directory = written(replace(tables, inputs=(*tables.inputs, many)), tmp_path)
    np.save(directory / "in.npy", raster(0, samples=1))
    done = deploy(directory, "--chip", "a", "--data", directory / "in.npy")
    assert done.returncode == 1 and "more than a chip has; see --board" in done.stderr
    done = deploy(
        directory, "--board", "a", "--data", directory / "in.npy", "--out", tmp_path / "out.npz"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("raises", 1, "the run failed: RuntimeError"),
        ("short", 1, "values of v came back"),
        ("interrupted", 130, "interrupted; nothing was written"),
        ("terminated", 130, "interrupted; nothing was written"),
    ],
)
def test_a_run_that_breaks_off_leaves_nothing(
    fault: str, status: int, said: str, tmp_path: Path
) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    out = tmp_path / "answers" / "out.npz"
    out.parent.mkdir()
    args = ("--chip", "a", "--data", directory / "in.npy", "--out", out, "--record", "pop 0")
    done = deploy(directory, *args, fault=fault)
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


def test_debug_shows_the_vendors_traceback(tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(
        directory, "--chip", "a", "--debug", "--data", directory / "in.npy", fault="raises"
    )
    assert done.returncode == 1 and "Traceback" in done.stderr and "does not answer" in done.stderr
