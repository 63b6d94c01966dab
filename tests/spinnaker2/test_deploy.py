"""The script for the vendor's tools: finds every fault without them, and with them runs what nirc emulates."""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import Tables
from tests.deployed import loaded
from tests.spinnaker2.bundles import LATE, Tree, deploy, expected, put, runs, written
from tests.spinnaker2.field import FIELDS, N
from tests.spinnaker2.networks import convolutional, mapping, network, one

MODEL_INPUTS = 5  # of ``network``: four channels and one that nothing listens to


def raster(seed: int, *, samples: int = 2, steps: int = 12, channels: int = MODEL_INPUTS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((samples, steps, channels)) < 0.6).astype(np.int64)


def ran(directory: Path, inputs: np.ndarray, *args: object, **asked: Any) -> dict[str, np.ndarray]:
    """What deploy.py saved."""
    np.savez(directory / "in.npz", inputs=inputs)
    out = directory / "out.npz"
    done = deploy(directory, "--raster", directory / "in.npz", "--out", out, *args, **asked)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(out) as saved:
        return dict(saved)


# Running


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_run_spike_for_spike_as_nirc_emulates_them(seed: int, tmp_path: Path) -> None:
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
    """The shortest of the three recordings, through script and stand-in: the sheet's rules, written a second time."""
    field = FIELDS[2]
    inputs = np.concatenate([field.raster(), np.zeros((400, 1), np.int64)], axis=1)[None, :120]
    saved = ran(written(field.tables(), tmp_path), inputs, "--chip", "10.0.0.1")
    recorded = field.recorded()
    np.testing.assert_array_equal(saved["spikes"][0, :, 0], recorded[LATE : 120 + LATE, N - 1])
    np.testing.assert_array_equal(saved["spikes"][0, : 120 - 1, 1:], recorded[LATE + 1 : 120 + LATE, N - 2 :: -1])


def test_recordings_are_what_the_emulator_records(tmp_path: Path) -> None:
    tables, inputs = network(3), raster(3)
    saved = ran(written(tables, tmp_path), inputs, "--board", "10.0.0.2", "--record", "pop 1", "pop 0")
    padded = np.zeros((2, 12 + LATE + 1, 4))
    padded[:, :12] = inputs[:, :, :4]
    chip = emulate(tables, padded, record=True)
    for name in ("pop 0", "pop 1"):  # manifest.json numbers its neurons backwards and says: one step late
        np.testing.assert_array_equal(saved[f"spikes/{name}"], chip.spikes[name][:, 1:13, ::-1])
        np.testing.assert_array_equal(saved[f"v/{name}"], chip.v[name][:, 1:13, ::-1])
    records = {name: p["record"] for name, p in runs(tmp_path)[0]["populations"].items()}
    both = ["spikes", "v"]
    assert records == {"in": [], "other in": [], "pop 0": both, "pop 1": both, "pop 2": ["spikes"]}


def test_several_spikes_in_a_step_are_sent_with_a_warning(tmp_path: Path) -> None:
    tables, inputs = network(4), raster(4) * 3
    directory = written(tables, tmp_path)
    np.save(directory / "in.npy", inputs)
    done = deploy(directory, "--chip", "a", "--raster", directory / "in.npy", "--out", tmp_path / "o.npz")
    assert "several spikes in a step" in done.stderr
    wanted = expected(tables, inputs, directory)
    assert (wanted != expected(tables, inputs // 3, directory)).any()
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["spikes"], wanted)


def test_every_sample_gets_a_board_and_a_network_of_its_own(tmp_path: Path) -> None:
    inputs = np.repeat(raster(1, samples=1), 3, axis=0)
    saved = ran(written(network(1), tmp_path), inputs, "--chip", "10.0.0.1")
    np.testing.assert_array_equal(saved["spikes"][0], saved["spikes"][2])
    assert len(runs(tmp_path)) == 3


def test_the_vendor_is_told_what_nirc_partitioned(tmp_path: Path) -> None:
    tables = network(2)
    ran(written(tables, tmp_path, tick=2.5e-3), raster(2, samples=1), "--chip", "192.168.1.25")
    (noted,) = runs(tmp_path)
    told = {name: (p["model"], p["size"], p["atoms"]) for name, p in noted["populations"].items()}
    wanted = {p.name: ("spike_list", p.n, p.atoms) for p in tables.inputs}
    assert told == wanted | {p.name: (p.model, p.n, p.atoms) for p in tables.populations}
    assert (noted["on"], noted["address"], noted["tick"]) == ("SpiNNaker2Chip", "192.168.1.25", 2.5e-3)
    assert (noted["routing"], noted["debug"], noted["steps"]) == (None, False, 12 + LATE + 1)


@pytest.mark.parametrize("routing", ["mc", "c2c"])
def test_board_tick_and_routing_are_options(routing: str, tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    args = ("--board", "192.168.1.2", "--tick", 0.01, "--routing", routing, "--debug")
    ran(directory, raster(2, samples=1), *args)
    (noted,) = runs(directory)
    assert (noted["on"], noted["address"], noted["tick"]) == ("SpiNNcloud48NodeBoard", "192.168.1.2", 0.01)
    assert (noted["routing"], noted["debug"]) == (routing.upper(), True)


def test_initial_and_reset_voltages_are_told_only_where_they_are_not_0(tmp_path: Path) -> None:
    tables = network(0)
    first, *others = tables.populations
    quiet = replace(first, v_init=one(0), v_reset=one(0))
    ran(written(replace(tables, populations=(quiet, *others)), tmp_path), raster(0, samples=1), "--chip", "a")
    told = {name: set(p["keys"]) for name, p in runs(tmp_path)[0]["populations"].items()}
    assert not {"v_init", "v_reset"} & told[first.name] and {"v_init", "v_reset"} <= told[others[0].name]


def meets_its_threshold() -> Tables:
    """One synapse of weight 20 into a neuron with threshold 20."""
    tables = network(2)
    last = replace(tables.populations[1], model="lif_no_delay", exc_decay=None, inh_decay=None, spikes=True)
    last = replace(last, threshold=one(20), alpha_decay=one(0), i_offset=one(0), v_init=one(0), n=1, atoms=1)
    wire = replace(tables.projections[1], source="other in", target=last.name)
    zero = np.zeros(1, np.int64)
    wire = replace(wire, pre=zero, post=zero, weight=zero + 20, delay=zero)
    outputs = (replace(tables.outputs[0], population=last.name, neurons=zero),)
    return replace(tables, populations=(last,), projections=(wire,), outputs=outputs)


def test_the_vendors_simulator_is_run_with_a_warning_where_it_differs(tmp_path: Path) -> None:
    directory = written(meets_its_threshold(), tmp_path)
    np.save(directory / "in.npy", np.ones((1, 8, 5)))
    args = ("--raster", directory / "in.npy", "--out", directory / "out.npz")
    simulated = deploy(directory, "--brian2", *args)
    assert simulated.returncode == 0 and "meets a threshold exactly" in simulated.stderr
    assert np.load(directory / "out.npz")["output"].sum() == 0
    deploy(directory, "--chip", "a", *args)
    assert np.load(directory / "out.npz")["output"].sum() == 7  # the eighth comes too late for the last row
    assert [noted["on"] for noted in runs(directory)] == ["Brian2Backend", "SpiNNaker2Chip"]


def test_mapping_only_runs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    np.save(directory / "in.npy", raster(2))
    done = deploy(directory, "--chip", "a", "--mapping-only", "--raster", directory / "in.npy", "--out", tmp_path / "o")
    assert done.returncode == 0 and "has mapped" in done.stdout and not (tmp_path / "o").exists()
    assert [noted["mapping_only"] for noted in runs(directory)] == [True]


def test_no_room_to_record_and_late_cores_are_warnings(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path, steps=3)
    tree = json.loads((directory / "mapping.json").read_text())
    tree["tick"]["late_cores"] = 2
    rewrite(directory, "mapping.json", json.dumps(tree).encode())
    np.save(directory / "in.npy", raster(2))
    done = deploy(directory, "--chip", "a", "--raster", directory / "in.npy", "--out", tmp_path / "o.npz")
    assert done.returncode == 0
    assert "room to record 3 steps" in done.stderr and "2 PEs may not finish" in done.stderr


# Refusing


def test_the_documentation_tells_every_option_field_and_model(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/spinnaker2-files.md").read_text()
    module = loaded(written(network(0), tmp_path))
    words = set(re.findall(r"--[a-z0-9-]+", (tmp_path / "deploy.py").read_text())) - {"--help"}
    words |= {name for kind in module.FIELDS.values() for name in kind}
    words |= {name for kind in module.ARRAYS.values() for name in kind} | set(module.FIELDS["populations"]["model"])
    assert len(words) > 40 and [word for word in sorted(words) if word not in page] == []


def test_the_script_is_python_3_9_the_same_for_all_and_runs_nothing_that_it_reads(tmp_path: Path) -> None:
    text = (written(network(0), tmp_path) / "deploy.py").read_text()
    ast.parse(text, feature_version=(3, 9))
    assert text.isascii() and max(map(len, text.splitlines())) <= 120
    assert "eval(" not in text and "exec(" not in text and "pickle=True" not in text and "nirc." not in text
    assert text == (written(convolutional(), tmp_path / "b") / "deploy.py").read_text()


def test_check_needs_no_vendor_package_and_help_not_even_numpy(tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    done = deploy(directory, "--check", vendor=False)
    assert done.returncode == 0 and "the files are good: 3 populations" in done.stdout and not done.stderr
    bare = ("-I", "-S")
    shown = deploy(directory, "--help", vendor=False, python=bare)
    assert shown.returncode == 0 and "--brian2" in shown.stdout
    done = deploy(directory, "--check", vendor=False, python=bare)
    assert done.returncode == 3 and "numpy" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [("--chip", "a"), ("--board", "a"), ("--brian2",)])
def test_without_the_vendors_package_the_script_says_what_is_missing(args: tuple[str, ...], tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(directory, *args, "--raster", directory / "in.npy", vendor=False)
    assert done.returncode == 3 and "py-spinnaker2 is needed" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("without", "args"), [("hardware", ()), ("experiment_backends/backend_settings", ("--routing", "c2c"))]
)
def test_a_version_that_lacks_a_module_is_told(without: str, args: tuple[str, ...], tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(directory, "--chip", "a", *args, "--raster", directory / "in.npy", without=without)
    assert done.returncode == 3 and "cannot be imported" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--chip", "a"),
        ("--check", "--chip", "a"),
        ("--chip", "a", "--board", "b"),
        ("--chip", "", "--raster", "in.npy"),
        ("--brian2", "--raster", "in.npy", "--tick", "1"),
        ("--brian2", "--raster", "in.npy", "--routing", "mc"),
        ("--chip", "a", "--raster", "in.npy", "--tick", "0"),
        ("--chip", "a", "--raster", "in.npy", "--tick", "nan"),
        ("--chip", "a", "--raster", "in.npy", "--routing", "udp"),
        ("--chip", "a", "--raster", "in.npy", "--frobnicate"),
        ("--check", "stray"),
    ],
)
def test_wrong_options_are_usage_errors(args: tuple[str, ...], tmp_path: Path) -> None:
    done = deploy(written(network(0), tmp_path), *args, vendor=False)
    assert done.returncode == 2 and "usage:" in done.stderr


BAD_RASTERS: list[np.ndarray] = [
    np.zeros((1, 5, 4)),
    np.zeros((1, 0, MODEL_INPUTS)),
    np.zeros((5, MODEL_INPUTS)),
    np.full((1, 5, MODEL_INPUTS), -1),
    np.full((1, 5, MODEL_INPUTS), 0.5),
    np.full((1, 5, MODEL_INPUTS), np.nan),
    np.full((1, 5, MODEL_INPUTS), np.inf),
    np.full((1, 5, MODEL_INPUTS), "1"),
    np.full((1, 5, MODEL_INPUTS), 1j),
    np.full((1, 5, MODEL_INPUTS), None),
]


def test_a_raster_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    module = loaded(written(network(0), tmp_path))
    for inputs in BAD_RASTERS:
        np.savez(tmp_path / "in.npz", inputs=inputs)
        with pytest.raises(SystemExit, match="--raster"):
            module.load_raster(tmp_path / "in.npz", MODEL_INPUTS)
    for data in (b"", b"PK\x03\x04", b"\x93NUMPY", b"no array"):
        (tmp_path / "in.npz").write_bytes(data)
        with pytest.raises(SystemExit, match="cannot be read"):
            module.load_raster(tmp_path / "in.npz", MODEL_INPUTS)
    good = raster(0).reshape(2, 12, 1, MODEL_INPUTS).astype(float)
    np.savez(tmp_path / "in.npz", inputs=good)
    np.testing.assert_array_equal(module.load_raster(tmp_path / "in.npz", MODEL_INPUTS), good[:, :, 0])


def test_refusals_come_before_the_vendor_is_asked(tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    np.save(directory / "bad.npy", raster(0, channels=3))
    for args, said in (
        (("--raster", directory / "bad.npy"), "--raster: inputs have shape (2, 12, 3)"),
        (("--raster", directory / "none.npy"), "--raster: cannot be read"),
        (
            ("--raster", directory / "in.npy", "--record", "nobody"),
            "no population 'nobody'; there are ['pop 0'",
        ),
        (("--raster", directory / "in.npy", "--out", tmp_path / "no" / "out.npz"), "there is no such folder"),
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
    done = deploy(directory, "--chip", "a", "--raster", directory / "in.npy")
    assert done.returncode == 1 and "more than a chip has; see --board" in done.stderr
    done = deploy(directory, "--board", "a", "--raster", directory / "in.npy", "--out", tmp_path / "out.npz")
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
def test_a_run_that_breaks_off_leaves_nothing(fault: str, status: int, said: str, tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    out = tmp_path / "answers" / "out.npz"
    out.parent.mkdir()
    args = ("--chip", "a", "--raster", directory / "in.npy", "--out", out, "--record", "pop 0")
    done = deploy(directory, *args, fault=fault)
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


def test_debug_shows_the_vendors_traceback(tmp_path: Path) -> None:
    directory = written(network(0), tmp_path)
    np.save(directory / "in.npy", raster(0))
    done = deploy(directory, "--chip", "a", "--debug", "--raster", directory / "in.npy", fault="raises")
    assert done.returncode == 1 and "Traceback" in done.stderr and "does not answer" in done.stderr


# Damage


def rewrite(directory: Path, name: str, data: bytes) -> None:
    """Another file, and a manifest that agrees."""
    import hashlib

    (directory / name).write_bytes(data)
    tree = json.loads((directory / "manifest.json").read_text())
    tree["files"][name] = hashlib.sha256(data).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(tree))


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def npy(array: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array(made, array, version=(1, 0))
    return made.getvalue()


def array(member: str, *place: int, value: float) -> Callable[[dict[str, bytes]], None]:
    """Set a value of an array."""

    def change(files: dict[str, bytes]) -> None:
        held = np.load(io.BytesIO(files[f"{member}.npy"])).copy()
        held[place] = value
        files[f"{member}.npy"] = npy(held)

    return change


def structure(change: Callable[[Tree], object]) -> Callable[[dict[str, bytes]], None]:
    """Change the structure."""

    def changed(files: dict[str, bytes]) -> None:
        tree = json.loads(np.load(io.BytesIO(files["network.npy"])).tobytes())
        change(tree)
        files["network.npy"] = npy(np.frombuffer(json.dumps(tree).encode(), np.uint8))

    return changed


def block(kind: str, i: int, **fields: object) -> Callable[[dict[str, bytes]], None]:
    return structure(lambda tree: tree[kind][i].update(fields))


def member(name: str, value: np.ndarray) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({f"{name}.npy": npy(value)})


NETWORK_FAULTS: list[tuple[str, Callable[[dict[str, bytes]], object]]] = [
    ("populations[0].alpha_decay: 1.5 is outside 0.0..1.0", array("populations/0/alpha_decay", 0, value=1.5)),
    ("populations[0].i_offset: nan is outside", array("populations/0/i_offset", 0, value=np.nan)),
    ("populations[2].threshold: inf is outside", array("populations/2/threshold", 0, value=np.inf)),
    ("projections[0].weight: 128 is outside -127..127", array("projections/0/weight", 0, value=128)),
    ("projections[0].delay: 8 is outside 0..7", array("projections/0/delay", 0, value=8)),
    ("projections[0].delay: -1 is outside", array("projections/0/delay", 0, value=-1)),
    ("projections[1].post: 99 is outside", array("projections/1/post", 0, value=99)),
    ("projections[1].pre: 99 is outside", array("projections/1/pre", 0, value=99)),
    ("projections[0]: synapses are not in the order", array("projections/0/pre", 0, value=1)),
    ("inputs[0].channels: 4 is outside 0..3", array("inputs/0/channels", 0, value=4)),
    ("outputs[0].neurons: 9 is outside", array("outputs/0/neurons", 0, value=9)),
    ("projections[0].weight: shape", member("projections/0/weight", np.zeros(3, "<i2"))),
    ("populations/0/v_init holds '<f8', not <f4", member("populations/0/v_init", np.zeros(1))),
    ("projections/0/weight holds '|O'", member("projections/0/weight", np.array([None]))),
    ("populations[0].v_reset: shape (99,)", member("populations/0/v_reset", np.zeros(99, "<f4"))),
    ("inputs[1].channels: shape (0,), needs (1,)", member("inputs/1/channels", np.zeros(0, "<i4"))),
    ("an unknown member 'more.npy'", member("more", np.zeros(1))),
    ("populations/1/threshold is missing", lambda files: files.pop("populations/1/threshold.npy")),
    ("populations[0].model: 'izhikevich' is not", block("populations", 0, model="izhikevich")),
    ("populations[0].model: None is not", block("populations", 0, model=None)),
    ("populations[0].atoms: 257 is not (1, 256)", block("populations", 0, atoms=257)),
    ("populations[0].atoms: True is not", block("populations", 0, atoms=True)),
    ("populations[0].n: 2.0 is not", block("populations", 0, n=2.0)),
    ("populations[0].reset: 'no' is not", block("populations", 0, reset="no")),
    ("populations[0].spikes: 1 is not 'flag'", block("populations", 0, spikes=1)),
    ("populations[0].name: ['a'] is not 'name'", block("populations", 0, name=["a"])),
    ("populations[0].name: '\\x1b' is not", block("populations", 0, name="\x1b")),
    ("inputs and populations: 'in' is given twice", block("populations", 0, name="in")),
    ("projections[0]: nothing leads from 'x' to", block("projections", 0, source="x")),
    ("projections[0]: nothing leads from 'in' to 'in'", block("projections", 0, target="in")),
    ("projections[3]: nothing leads from 'pop 0'", block("populations", 0, spikes=False)),
    ("populations[1]: lif_conv2d takes one convolution, not 0", block("populations", 1, model="lif_conv2d")),
    ("populations[0].arrays: [] are not the arrays", block("populations", 0, arrays=[])),
    ("populations[0]: fields are missing or unknown: ['more']", block("populations", 0, more=1)),
    ("network: fields are missing or unknown: ['inputs']", structure(lambda tree: tree.pop("inputs"))),
    ("inputs: 3 is not a list", structure(lambda tree: tree.update(inputs=3))),
    ("format: 'nirc-spinnaker2-9' is not", structure(lambda tree: tree.update(format="nirc-spinnaker2-9"))),
    ("channels: 'four' is not", structure(lambda tree: tree.update(channels="four"))),
    ("outputs: there are none", structure(lambda tree: tree.update(outputs=[]))),
]


def test_each_fault_of_the_network_is_found_at_its_place(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    good = (directory / "network.npz").read_bytes()
    module = loaded(directory)
    assert module.check_files(directory)[1] == []
    for said, change in NETWORK_FAULTS:
        files = members(good)
        change(files)
        if said == "outputs: there are none":
            files = {name: data for name, data in files.items() if not name.startswith("outputs/")}
        (directory / "network.npz").write_bytes(packed(files))
        faults = module.check_files(directory)[1]
        assert any(f.startswith(f"network.npz: {said}") for f in faults), (said, faults)
        assert all(f.isascii() and len(f) < 200 for f in faults)


CONVOLUTION_FAULTS: list[tuple[str, Callable[[dict[str, bytes]], object]]] = [
    ("convolutions[0].weight: -128 is outside -127..127", array("convolutions/0/weight", 0, 0, 0, 0, value=-128)),
    ("convolutions[0].source: 2 x 7 x 8 are not 96 neurons", block("convolutions", 0, in_height=7)),
    ("convolutions[0].target: 3 x 4 x 9 are not", block("convolutions", 0, pad_top=0, pad_bottom=0)),
    ("convolutions[0].stride_x: 0 is not (1, 4096)", block("convolutions", 0, stride_x=0)),
    ("convolutions[0].pad_left: -1 is not", block("convolutions", 0, pad_left=-1)),
    ("convolutions[0].weight: shape (3,)", member("convolutions/0/weight", np.zeros(3, "|i1"))),
    ("populations[0]: lif_conv2d takes one", block("convolutions", 0, target="last")),
    ("convolutions[0]: lif_no_delay takes no convolution", block("convolutions", 0, target="last")),
    ("projections[0]: lif_conv2d takes no list", block("projections", 0, target="map")),
]


def test_each_fault_of_a_convolution_is_found(tmp_path: Path) -> None:
    directory = written(convolutional(), tmp_path)
    good, module = (directory / "network.npz").read_bytes(), loaded(directory)
    assert module.check_files(directory)[1] == []
    for said, change in CONVOLUTION_FAULTS:
        files = members(good)
        change(files)
        (directory / "network.npz").write_bytes(packed(files))
        faults = module.check_files(directory)[1]
        assert any(f.startswith(f"network.npz: {said}") for f in faults), (said, faults)


MAPPING_FAULTS: list[tuple[str, Callable[[Tree], object]]] = [
    ("format: None is not", put("format", value=None)),
    ("the file: fields are missing or unknown: ['more']", put("more", value=1)),
    ("slices: {} is not a list", put("slices", value={})),
    ("slices[0]: fields are missing or unknown", lambda t: t["slices"][0].pop("key")),
    ("slices[0].population: 'nobody' is not in network.npz", put("slices", 0, "population", value="nobody")),
    ("slices[0].population: [] is not in network.npz", put("slices", 0, "population", value=[])),
    ("slices: those of 'in' are not its neurons, 3 by 3", put("slices", 0, "to", value=2)),
    ("slices: those of 'in' are not", lambda t: t["slices"].pop(0)),
    ("slices[0]: from, to, chip[1]: 1e+30 is not", put("slices", 0, "to", value=1e30)),
    ("slices[0].core[0]: 0 is not a whole number in 1..152", put("slices", 0, "core", value=0)),
    ("slices[0].core[0]: True is not", put("slices", 0, "core", value=True)),
    ("slices: two are on one core", put("slices", 0, "core", value=2)),
    ("floorplan: is not one that nirc writes", put("floorplan", value=[])),
    ("floorplan: is not one", put("floorplan", "cores", 0, "parts", 0, "box", value=None)),
    ("floorplan: has other slices", put("floorplan", "cores", 0, "chip", value=1)),
    ("floorplan: has other slices", lambda t: t["floorplan"]["cores"].pop()),
    ("slices[0]: key 0x1 and mask", put("slices", 0, "key", value=1)),
    ("slices[1]: key 0x0 and mask", put("slices", 1, "key", value=0)),
    ("slices[0]: key 0x0 and mask 0xffff00ff", put("slices", 0, "mask", value=0xFFFF00FF)),
    ("routers[0].chip[0]: -1 is not", put("routers", 0, "chip", value=-1)),
    ("routers[0].entries: [] are not 1..16384 entries", put("routers", 0, "entries", value=[])),
    ("routers[0].entries[0]: [1, 0, 0] is not key, mask, route", put("routers", 0, "entries", 0, value=[1, 0, 0])),
    ("routers[0].entries[0]: [0, 0, 99] is not", put("routers", 0, "entries", 0, value=[0, 0, 99])),
    ("routers[0].entries[0]: [] is not key", put("routers", 0, "entries", 0, value=[])),
    ("routers[0].entries[0]: 7 is not a list", put("routers", 0, "entries", 0, value=7)),
    ("routes[0].links[0]: 6 is not a whole number in 0..5", put("routes", 0, "links", value=[6])),
    ("routes[0].cores[0]: 153 is not", put("routes", 0, "cores", value=[153])),
    ("tick.seconds: 0 is not", put("tick", "seconds", value=0)),
    ("tick.seconds: 'NaN' is not", put("tick", "seconds", value=float("nan"))),
    ("tick.late_cores[0]: None is not", put("tick", "late_cores", value=None)),
    ("steps[0]: -1 is not", put("steps", value=-1)),
]


def test_each_fault_of_the_mapping_is_found(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    good, module = json.loads((directory / "mapping.json").read_text()), loaded(directory)
    for said, change in MAPPING_FAULTS:
        tree = json.loads(json.dumps(good))
        change(tree)
        (directory / "mapping.json").write_text(json.dumps(tree))
        assert [f[: len(said)] for f in module.check_files(directory)[1]] == [f"mapping.json: {said}"[: len(said)]]
        assert module.check_files(directory)[1][0].startswith(f"mapping.json: {said}"), said


MANIFEST_FAULTS: list[tuple[str, Callable[[Tree], object]]] = [
    ("files: is missing", lambda t: t.pop("files")),
    ("files: network.npz is not the file that nirc wrote", put("files", "network.npz", value="0")),
    ("files: mapping.json is not the file", put("files", "mapping.json", value=None)),
    ("input_map: None is not a list", lambda t: t.pop("input_map")),
    ("input_map[0]: 4 is not a whole number in 0..3", put("input_map", 0, value=4)),
    ("output_map[0]: -1 is not", put("output_map", 0, value=-1)),
    ("output_map[0]: None is not", put("output_map", 0, value=None)),
    ("output_latency_steps[0]: True is not", put("output_latency_steps", 0, value=True)),
    ("1 output_latency_steps for", put("output_latency_steps", value=[1])),
    ("output_kind: 'volts' is not", put("output_kind", value="volts")),
    ("output_kind: membrane is not what the outputs", put("output_kind", value="membrane")),
    ("populations: is missing", put("populations", value=[])),
    ("populations['pop 0']: has no part", put("populations", "pop 0", value=3)),
    ("populations['pop 0'].index[0]: 99 is not", put("populations", "pop 0", "index", 0, value=99)),
    ("populations['pop 0'].index[0]: 0 is not a whole number in 0..-1", put("populations", "pop 0", "part", value="x")),
    ("populations['pop 0'].latency_steps[0]: None", put("populations", "pop 0", "latency_steps", value=None)),
    ("populations['pop 0'].scale: is not a number", put("populations", "pop 0", "scale", value=[1.0])),
    ("populations['pop 0'].scale: ['1'", lambda t: t["populations"]["pop 0"].update(scale=["1"] * 99, index=[0] * 99)),
]


def test_each_fault_of_the_manifest_is_found(tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    good, module = json.loads((directory / "manifest.json").read_text()), loaded(directory)
    for said, change in MANIFEST_FAULTS:
        tree = json.loads(json.dumps(good))
        if "index[0]: 0 is not" in said:
            tree["populations"]["pop 0"]["index"][0] = 0
        change(tree)
        (directory / "manifest.json").write_text(json.dumps(tree))
        (fault,) = module.check_files(directory)[1]
        assert fault.startswith(f"manifest.json: {said}"), (said, fault)


def test_outputs_that_are_membranes_need_a_scale(tmp_path: Path) -> None:
    directory = written(convolutional(), tmp_path)
    tree, module = json.loads((directory / "manifest.json").read_text()), loaded(directory)
    for scale in ([1, 1, 1, 0], [1, 1, 1, "1"], [1, 1, 1, float("nan")], [1, 1, 1]):
        tree["populations"]["outputs"]["scale"] = scale
        (directory / "manifest.json").write_text(json.dumps(tree))
        assert "scale" in module.check_files(directory)[1][0]
    del tree["populations"]["outputs"]
    (directory / "manifest.json").write_text(json.dumps(tree))
    assert module.check_files(directory)[1] == ["manifest.json: populations: an output has no scale"]


@pytest.mark.parametrize("name", ["network.npz", "mapping.json", "manifest.json"])
def test_what_is_no_such_file_is_refused_without_a_traceback(name: str, tmp_path: Path) -> None:
    directory = written(network(2), tmp_path)
    module, good = loaded(directory), (directory / name).read_bytes()
    bombs = [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 100_000, b"1" * 10_000, b"\xff\x00", good[: len(good) // 2]]
    if name.endswith(".npz"):
        files = members(good)
        twice = io.BytesIO()
        with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
            for _ in range(2):
                archive.writestr("network.npy", files["network.npy"])
        bombs += [packed(files, zipfile.ZIP_DEFLATED), packed({}), twice.getvalue(), packed({"network.npy": b"PK"})]
    for data in bombs:
        (directory / name).write_bytes(data)
        made, faults = module.check_files(directory)
        assert made is None and len(faults) == 1 and faults[0].startswith(name) and faults[0].isascii()
    (directory / name).unlink()
    done = deploy(directory, "--check", vendor=False)
    assert done.returncode == 1 and name in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["network.npz", "mapping.json", "manifest.json"])
def test_no_damage_of_a_few_bytes_makes_a_traceback(name: str, tmp_path: Path) -> None:
    """300 files with bytes changed, cut out or put in: all but those of the manifest are found, by their digest."""
    directory = written(network(2), tmp_path)
    module, good = loaded(directory), (directory / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(data)))
            data[at : at + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
        (directory / name).write_bytes(data)
        made, faults = module.check_files(directory)
        assert (made is None) == bool(faults) and all(f.isascii() and len(f) < 500 for f in faults)
        assert faults or name == "manifest.json" or bytes(data) == good
