"""The checker of bundles: a good bundle passes, and it is one short file of its own."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import nir
import numpy as np
import pytest

from nirc.certificate import certificate, checking
from nirc.certificate.certificate import CHECKED, checker_text, reader_of
from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, check, start
from nirc.checker.values import Finding
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.library import compile
from nirc.nirfile import operators
from tests.commands import nirc
from tests.corrupt import NETWORKS, UNREAD, bundles, caught, of_each_kind, sealed
from tests.deployed import script, signed
from tests.models import chain, graph, looped

ROOT = Path(__file__).parents[2]
# Fields that no chip reads, which the seal of the certificate alone holds.
CLAIMS = re.compile(
    r"network\.net:|certificate\.json: \('seal',|"
    r"mapping\.json: \('slices', 0, 1\)|"  # the PE of an input, to which no packet goes
    r"\('(projections|convolutions)', \d+, 'name'"
)
PARTS = 4  # of the corruptions of a file: the quick tests judge each mutant of the checker
ALL = ("manifest.json", "certificate.json", "network.nir")
OWN = {
    "loihi2": ("network.npz", "mapping.json", "network.net"),
    "spinnaker2": ("network.npz", "mapping.json"),
    "xylo": ("config.json", "specification.npz"),
    "speck": ("config.json", "weights.npz"),
}
PASSED = "passed: the chip gets the network in network.nir"
MOST_LINES = {"loihi2": 730, "spinnaker2": 752, "speck": 700, "xylo": 700}
# What inputs may do to the good bundles' states.
SATURATES = "v saturates if all inhibitory synapses act for"
NOT_PROVED = (
    "config.json: isyn, isyn2, v: {} states are not proved to stay in 16 bits, {} if inputs fire "
    "once a step at most, found {} leave in {} runs, {} of neuron {}"
)
EVENTS = (
    "config.json: cnn_layers[{}]: a membrane saturates at 32767, found {} events that meet the "
    "weight (out, in, y, x) {}"
)
OVERFLOWS = {
    "digits_if_cnn on loihi2": [
        f"network.npz: 1[392]: {SATURATES} 241 steps",
        f"network.npz: 4[5]: {SATURATES} 11 steps",
        f"network.npz: 8[4]: {SATURATES} 12 steps",
    ],
    "delays on loihi2:kapohopoint": [
        f"network.npz: first[18]: {SATURATES} 3 steps",
        f"network.npz: last[6]: {SATURATES} 7 steps",
    ],
    "basicmotions_lif_ff on speck": [
        EVENTS.format(0, 5452, (12, 11, 0, 0)),
        EVENTS.format(2, 1260, (28, 13, 0, 0)),
    ],
    "receptors on loihi2": [f"network.npz: n[2]: {SATURATES} 6 steps"],
    "braille on xylo:audio2": [NOT_PROVED.format("94 of 141", 93, 68, 94, "isyn", 46)],
    "braille on xylo:imu": [NOT_PROVED.format("94 of 141", 93, 68, 94, "isyn", 46)],
    "japanesevowels_rsnn on xylo:audio3": [NOT_PROVED.format("176 of 264", 176, 166, 176, "v", 50)],
    "basicmotions_lif_ff on xylo:audio2": [
        NOT_PROVED.format("200 of 300", 52, 200, 200, "isyn", 16)
    ],
    "relays on xylo:audio3": [NOT_PROVED.format("330 of 855", 90, 292, 46, "isyn", 3)],
    "receptors on xylo:audio2": [NOT_PROVED.format("25 of 36", 9, 25, 24, "isyn", 2)],
    "receptors on xylo:audio3": [NOT_PROVED.format("25 of 36", 9, 25, 24, "isyn", 2)],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = compile(ROOT / "examples/braille.nir", "xylo", writer="snntorch,reset=zero")
    return made.save(tmp_path_factory.mktemp("xylo") / "bundle")


def run(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """check.py in a Python that finds no nirc."""
    command = [sys.executable, "-I", "check.py", *arguments]
    return subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False)


def test_a_good_bundle_passes(bundle: Path) -> None:
    done = run(bundle)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith(f"{PASSED}\n")


def test_help_teaches_and_two_directories_are_no_use(bundle: Path) -> None:
    asked, odd = run(bundle, "--help"), run(bundle, "a", "b")
    assert (asked.returncode, asked.stderr) == (0, "") and "Exit status: 0" in asked.stdout
    assert (odd.returncode, odd.stdout) == (2, "") and "usage: check.py" in odd.stderr


def test_nirc_check_prints_what_check_py_prints(bundle: Path) -> None:
    done = nirc("check", str(bundle), cwd=bundle.parent)
    assert done.returncode == 0 and PASSED in done.stdout.splitlines()
    assert "note[C905]" in done.stderr
    for text in (done.stderr, run(bundle).stdout):
        assert "of 141 states are not proved to stay in 16 bits" in text
        assert "leave in 94 runs" in text and "15 spikes on [0" in text


def test_files_are_compared_with_their_digests(bundle: Path, tmp_path: Path) -> None:
    """The report says nothing about the chip's network, and the manifest's model neither."""
    lines = {
        "report.html": "report.html: the file: this is not the file that nirc wrote, found",
        "manifest.json": "certificate.json: seal: a file is not as it was certified",
    }
    for name, line in lines.items():
        altered = shutil.copytree(bundle, tmp_path / name)
        text = (altered / name).read_text().replace("braille", "letters")
        (altered / name).write_text(text)
        done = run(altered)
        assert done.returncode == 1 and line in done.stdout


def test_the_program_has_a_line_for_each_finding_and_a_status(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def started(*words: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["check.py", *words])
        with pytest.raises(SystemExit) as end:
            start(reader_of("xylo"))
        return int(str(end.value.code)), capsys.readouterr().out.splitlines()

    status, lines = started(str(bundle))
    assert status == 0 and lines[-1] == PASSED and len(lines) == 2  # and what inputs may do
    altered = shutil.copytree(bundle, tmp_path / "altered")
    config = json.loads((altered / "config.json").read_text())
    config["input"]["weights"][0][0] += 1
    (altered / "config.json").write_text(json.dumps(config))
    status, lines = started(str(signed(altered, "config.json")))
    assert status == 1 and PASSED not in lines and len(lines) > 2
    assert started(str(tmp_path / "nowhere"))[0] == 1
    assert started("-h")[1] and started("--help")[0] == 0
    assert started("a", "b") == started("-x") == (2, [])


@pytest.mark.parametrize("chip", CHECKED)
def test_the_checker_is_one_file_that_needs_numpy_only(chip: str) -> None:
    text = checker_text(chip).decode()
    tree = ast.parse(text, feature_version=(3, 9))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert names - set(sys.stdlib_module_names) == {"numpy"}
    lines = text.splitlines()
    assert text.isascii() and len(lines) < MOST_LINES[chip] and max(map(len, lines)) <= 100


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("chip", "file"), [(c, f) for c in CHECKED for f in (*ALL, *OWN[c])])
def test_corruptions_of_single_fields_are_noticed(chip: str, file: str, part: int) -> None:
    """``python -m tests.corrupt --chip CHIP --count 1000`` does the same at length.

    Their meaning gives them away. The seal of the certificate alone holds what no chip reads.
    """
    tried = islice(of_each_kind(chip, file, seed=1), part, None, PARTS)
    missed = [c for c in tried if not caught(chip, sealed(c.files), file)]
    assert [c.text for c in missed if not caught(chip, c.files, file)] == []
    assert [c.text for c in missed if not CLAIMS.search(c.text)] == []


@pytest.mark.parametrize(
    ("chip", "title"),
    [(c, f"{name} on {target}") for c in CHECKED for name, target, _ in NETWORKS[c]],
)
def test_good_bundles_pass(chip: str, title: str) -> None:
    """One test a bundle: the quick ones judge each mutant of the checker."""
    (files,) = [files for name, files in bundles(chip) if name == title]
    assert set(files) - UNREAD <= {*ALL, *OWN[chip]}
    found = check(files.__getitem__, reader_of(chip))
    wanted = OVERFLOWS.get(title, [])
    assert len(found) == len(wanted)
    assert all(str(a).startswith(b) for a, b in zip(found, wanted, strict=True))


def test_nirc_check_makes_the_file_for_lava_dl_anew(tmp_path: Path) -> None:
    """check.py, which knows no HDF5, has the seal alone for it."""
    for i, corruption in enumerate(of_each_kind("loihi2", "network.net", seed=3)):
        directory = tmp_path / str(i)
        directory.mkdir()
        for name, data in sealed(corruption.files).items():
            (directory / name).write_bytes(data)
        log = Log()
        checking.check_directory(directory, log)
        assert [d.code for d in log.errors] == ["C901"], corruption.text
        assert "it differs from the chip's file" in log.errors[0].message
        assert "network.net" in str(log.errors[0].where)


@pytest.mark.parametrize(("chip", "name"), [("loihi2", "digits_if_cnn"), ("spinnaker2", "wide")])
def test_nirc_check_compares_the_floorplan_with_the_cores_of_the_chip(
    chip: str, name: str, tmp_path: Path
) -> None:
    """check.py leaves out the file, since no chip reads it."""
    (files,) = [files for title, files in bundles(chip) if title.startswith(f"{name} on ")]
    plan = json.loads(files["floorplan.json"])
    plan["floorplan"]["cores"][0]["parts"][0]["box"][0][1] += 1
    other = {**files, "floorplan.json": json.dumps(plan).encode()}
    for title, made in (("good", files), ("other", sealed(other))):
        directory = tmp_path / title
        directory.mkdir()
        for file, data in made.items():
            (directory / file).write_bytes(data)
    good, wrong = Log(), Log()
    checking.check_directory(tmp_path / "good", good)
    checking.check_directory(tmp_path / "other", wrong)
    assert not good.errors
    (said,) = wrong.errors
    assert (said.code, said.where) == ("C901", "floorplan.json: floorplan.cores")
    assert said.message == "neurons are on other cores than in mapping.json"


def test_deploy_py_refuses_a_bundle_whose_weights_were_changed_with_all_digests(
    bundle: Path, tmp_path: Path
) -> None:
    altered = shutil.copytree(bundle, tmp_path / "altered")
    config = json.loads((altered / "config.json").read_text())
    config["input"]["weights"][0][0] += 1
    (altered / "config.json").write_text(json.dumps(config))
    done = script(signed(altered, "config.json"), "--check", bare=False)
    assert done.returncode == 1
    assert "specification.npz: weights_in: it differs from config.json" in done.stdout
    assert "input[0] to lif1.lif[0]: receptor 0, delay 0: the weight on the chip" in done.stdout


def test_deploy_py_says_when_the_checker_cannot_run(bundle: Path) -> None:
    done = script(bundle, "--check", bare=True)
    assert done.returncode == 0 and "check.py was not run: numpy is not installed" in done.stderr


def test_outputs_come_by_their_names_and_not_by_those_of_their_neurons() -> None:
    """Names whose order differs from that of their paths in a file, too."""
    one = np.ones(1)
    nodes = {"in": nir.Input(one.astype(int)), "z": nir.Threshold(one), "y": nir.Threshold(one)}
    nodes |= {name: nir.Output(one.astype(int)) for name in ("a", "a-b", "b")}
    edges = [("in", "z"), ("z", "y"), ("z", "a"), ("y", "a-b"), ("z", "b")]
    compile(graph(nodes, edges), "xylo", dt=1e-3)  # refuses what the checker refuses


def test_projections_that_the_chip_delivers_later_or_earlier_are_listed() -> None:
    """A loop of two populations takes a step more on Xylo, and a short path comes too early."""
    made = compile(looped(), "xylo")
    rows = json.loads(made.files["certificate.json"])["retimed"]
    assert rows == [["a", "o", -1], ["b", "a", 1]]


def test_a_network_that_no_nir_file_holds_has_no_certificate_and_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operators, "MOST_ENTRIES", 0)
    made = compile(looped(), "xylo")
    assert "network.nir" not in made.files and "check.py" not in made.files
    assert [each.severity for each in made.diagnostics if each.code == "C906"] == ["note"]


@pytest.mark.parametrize(
    ("limit", "model"), [("MOST_SYNAPSES", "dense"), ("MOST_OF_KERNELS", "cnn")]
)
def test_too_many_synapses_for_a_check_are_a_note(
    limit: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle has its certificate. A network of few kernels may have many other synapses."""
    path = {"dense": "japanesevowels_rsnn", "cnn": "digits_if_cnn"}[model]
    monkeypatch.setattr(certificate, limit, 5000 if model == "dense" else 10_000)
    for name, said in ((path, ["note"]), ("basicmotions_lif_ff", [])):
        made = compile(ROOT / f"tests/data/zoo/{name}.nir", "loihi2")
        assert "certificate.json" in made.files
        assert [d.severity for d in made.diagnostics if d.code == "C906"] == said


def test_a_bundle_that_its_checker_cannot_read_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is known about its network."""

    def reader(bundle: Bundle) -> Chip:
        raise Finding("unreadable", "config.json", "format", "it is another one")

    monkeypatch.setattr(checking, "reader_of", lambda chip: reader)
    with pytest.raises(CompileError) as refused:
        compile(ROOT / "examples/braille.nir", "xylo", writer="nir")
    (said,) = [d for d in refused.value.diagnostics if d.severity == "error"]
    assert (said.code, said.where) == ("C902", "config.json: format")
    assert said.message == "it is another one"


def test_a_bundle_of_another_version_is_said_to_be_one(bundle: Path, tmp_path: Path) -> None:
    """Its own checker is another one. Without that its files are odd, and nobody knows why."""
    found = {}
    for name, texts in {"odd": ["config.json"], "older": ["config.json", "check.py"]}.items():
        altered = shutil.copytree(bundle, tmp_path / name)
        for text in texts:
            path = altered / text
            path.write_text(path.read_text().replace("nirc-xylo-config/1", "nirc-xylo-config/0"))
        log = Log()
        checking.check_directory(signed(altered, *texts), log)
        found[name] = [(d.code, d.where, d.message) for d in log.errors]
    assert ("C902", "config.json: format", "a value is odd") in found["odd"]
    problem = "another version of nirc wrote this bundle: compile again, or run its own check.py"
    assert found["older"] == [("C902", "manifest.json: nirc_version", problem)]


@pytest.mark.parametrize("chip", CHECKED)
def test_a_network_without_any_synapse_is_checked_too(chip: str) -> None:
    silent = nir.Linear(np.zeros((2, 3))), nir.IF(r=np.ones(2), v_threshold=np.ones(2))
    made = compile(chain(3, *silent, n_out=2), chip, allow_silent=True, dt=1e-3)
    assert {d.code for d in made.diagnostics if d.code.startswith("C")} == set()


@pytest.mark.parametrize("chip", CHECKED)
def test_names_with_slashes_are_those_of_the_manifest(chip: str, tmp_path: Path) -> None:
    nodes = {
        "in": nir.Input(np.array([2])),
        "w": nir.Linear(np.eye(2)),
        "a/b.c": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
        "out": nir.Output(np.array([2])),
    }
    edges = [("in", "w"), ("w", "a/b.c"), ("a/b.c", "out")]
    made = compile(graph(nodes, edges), chip, dt=1e-3)
    assert {d.code for d in made.diagnostics if d.code.startswith("C")} == set()
    log = Log()
    checking.check_directory(made.save(tmp_path / "bundle"), log)
    assert not log.errors


def convolved(size: int, kernel: int, padding: int | str) -> nir.NIRGraph:
    """A convolution of a square map into integrators that keep its size."""
    weight = np.full((1, 1, kernel, kernel), 0.5)
    ones = np.ones((1, size, size))
    conv = nir.Conv2d((size, size), weight, 1, padding, 1, 1, np.zeros(1))
    nodes = {"in": nir.Input(np.array(ones.shape)), "conv": conv}
    nodes |= {"n": nir.IF(r=ones, v_threshold=ones), "out": nir.Output(np.array(ones.shape))}
    return graph(nodes, [("in", "conv"), ("conv", "n"), ("n", "out")])


@pytest.mark.parametrize("chip", CHECKED)
@pytest.mark.parametrize(("size", "kernel", "padding"), [(4, 2, "same"), (2, 3, 1)])
def test_padding_is_no_alarm(chip: str, size: int, kernel: int, padding: int | str) -> None:
    """Padding on one side makes a map of Speck larger than what arrives.

    No window of the map of 2 x 2 pixels is without padding, so all taps never meet a spike at once.
    """
    made = compile(convolved(size, kernel, padding), chip, dt=1e-3)
    assert [d.code for d in made.diagnostics if d.code in ("C901", "C902", "C906")] == []
