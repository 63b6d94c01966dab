"""`deploy.py --check` on every chip: a good bundle passes, and no corruption does."""

from __future__ import annotations

import ast
import copy
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.board import DeployError
from nirc.files.bundle import save_run
from nirc.files.description import File
from nirc.files.faults import Faults
from nirc.files.manifest import MANIFEST
from nirc.files.running import check_places
from nirc.files.schema import json_schema
from nirc.semantics.raster import Run
from tests.deploy.changes import Change, spoiled
from tests.deploy.chips import CHIPS, Chip
from tests.deploy.corruptions import CORRUPTIONS, MANIFESTS, RANGE
from tests.deployed import (
    checked,
    digests,
    faults,
    loaded,
    manifest_text,
    packed,
    script,
    structure,
)

each_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


@pytest.fixture
def bundle(chip: Chip, tmp_path: Path) -> Path:
    return chip.write(tmp_path / "bundle")


def tree_of(file: File, files: Mapping[str, bytes]) -> Any:
    return file.parse(files[file.name], Faults())


def changed(file: File, files: Mapping[str, bytes], change: Change) -> dict[str, bytes]:
    """The files with one that is changed, and a digest that fits."""
    tree = copy.deepcopy(tree_of(file, files))  # arrays that can be changed
    change(tree)
    if file is MANIFEST:
        kept = isinstance(tree, dict) and tree.get("sha256") == tree_of(file, files)["sha256"]
        return {**files, file.name: manifest_text(tree) if kept else packed(tree)}
    made = {**files, file.name: packed(tree)}
    manifest = tree_of(MANIFEST, files)
    manifest["files"] |= digests({file.name: made[file.name]})
    return {**made, MANIFEST.name: manifest_text(manifest)}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def said(found: str) -> str:
    """A place with numbers of any size: faults of a list may be told of another entry of it."""
    return re.sub(r"\[\d+\]", "[]", found)


@each_chip
def test_a_good_bundle_passes_without_any_package(bundle: Path, chip: Chip) -> None:
    """None but numpy, where arrays are in the chip's file."""
    done = script(bundle, "--check", bare=chip.bare)
    assert (done.returncode, done.stderr) == (0, "") and "good" in done.stdout, done.stdout


@each_chip
def test_the_script_is_python_3_9_and_runs_nothing_that_it_reads(bundle: Path, chip: Chip) -> None:
    text = (bundle / "deploy.py").read_text()
    tree = ast.parse(text, feature_version=(3, 9))
    assert text.isascii() and max(map(len, text.splitlines())) <= 120
    assert not any(
        word in text for word in ("eval(", "exec(", "pickle=True", "import pickle", "import nirc")
    )
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"numpy"}
    assert others <= {chip.vendor, "lava", "scipy"}


@each_chip
def test_no_call_needs_a_later_python(bundle: Path, chip: Chip) -> None:
    """What Python 3.9 would refuse only when it runs: strict zips, unions of types that are no
    annotations.
    """
    tree = ast.parse((bundle / "deploy.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "zip" or not node.keywords
            assert node.func.id != "isinstance" or not isinstance(node.args[1], ast.BinOp)
            assert node.func.id != "dataclass" or {k.arg for k in node.keywords} <= {"frozen"}


# Files, digests, strangers.


@each_chip
def test_a_file_that_was_changed_is_found(bundle: Path, chip: Chip) -> None:
    for name in json.loads((bundle / "manifest.json").read_text())["files"]:
        good = (bundle / name).read_bytes()
        (bundle / name).write_bytes(good + b"\n")
        done = checked(bundle)
        assert (
            done.returncode == 1 and f"{name}: this is not the file that nirc wrote" in done.stdout
        )
        (bundle / name).write_bytes(good)
    assert checked(bundle).returncode == 0


@each_chip
def test_a_manifest_that_was_changed_is_found(bundle: Path, chip: Chip) -> None:
    """Also where each field is one that the chip would take."""
    manifest = bundle / "manifest.json"
    good = manifest.read_bytes()
    for before, after in ((b'"dt": 0.001', b'"dt": 0.002'), (b"{", b" {")):
        assert good.count(before)
        manifest.write_bytes(good.replace(before, after, 1))
        done = checked(bundle)
        assert done.returncode == 1
        assert "manifest.json: this is not the file that nirc wrote" in done.stdout


@each_chip
def test_no_file_escapes_its_digest_by_a_manifest_that_lists_none(spoiler: Spoiler) -> None:
    files = changed(MANIFEST, spoiler.good, lambda tree: tree.update(files={}))
    lines = faults(files, spoiler.module)
    for file in spoiler.chip.files:
        assert f"{file.name}: this is not the file that nirc wrote" in lines


@each_chip
def test_numbers_that_are_too_large_together_are_found(spoiler: Spoiler) -> None:
    """Each alone is allowed, but the empty steps after a sample would fill the memory."""
    module = spoiler.module
    module.MAX_EMPTY = 100
    files = changed(MANIFEST, spoiler.good, lambda tree: tree.update(latency_steps=101))
    lines = faults(files, module)
    assert any(line.startswith("manifest.json: latency_steps: an answer") for line in lines), lines


@each_chip
def test_a_file_that_is_missing_or_a_link_is_found(bundle: Path, chip: Chip) -> None:
    for name in ["manifest.json", *json.loads((bundle / "manifest.json").read_text())["files"]]:
        if name != "deploy.py":
            away = bundle.parent / name
            (bundle / name).rename(away)
            done = checked(bundle)
            assert done.returncode == 1 and f"{name}: the file cannot be read" in done.stdout
            (bundle / name).symlink_to(away)
            assert f"{name}: the file cannot be read" in checked(bundle).stdout
            (bundle / name).unlink()
            away.rename(bundle / name)


@each_chip
def test_a_file_that_is_not_listed_is_found(bundle: Path, chip: Chip) -> None:
    (bundle / "__pycache__").mkdir()
    assert checked(bundle).returncode == 0
    (bundle / "config.json.orig\u0430").write_text("")
    done = script(bundle, "--check", bare=chip.bare)  # whose streams take ASCII only
    assert (done.returncode, done.stderr) == (
        1,
        "",
    ) and "the manifest does not list this file" in done.stdout


@each_chip
def test_answers_in_a_bundle_are_no_strangers(bundle: Path, chip: Chip, tmp_path: Path) -> None:
    """Those of `nirc run` and of deploy.py, whose names are free. Other archives are."""
    save_run(bundle / "emulated", Run(outputs=np.zeros((1, 2, 3))), Log())
    loaded(bundle).save(str(bundle / "out.npz"), {"output": np.zeros(3), "spikes": np.ones(3)})
    (bundle / "__pycache__").mkdir(exist_ok=True)
    assert checked(bundle).returncode == 0
    np.savez(bundle / "in.npz", inputs=np.zeros(3))
    (bundle / "out2.npz").write_bytes((bundle / "out.npz").read_bytes()[:-20])
    found = checked(bundle).stdout.splitlines()
    assert [line.partition(":")[0] for line in found] == ["'in.npz'", "'out2.npz'"]


@each_chip
def test_a_chip_file_that_the_manifest_does_not_list_is_found(bundle: Path, chip: Chip) -> None:
    for file in chip.files:
        files = changed(
            MANIFEST, contents(bundle), lambda tree, name=file.name: tree["files"].pop(name)
        )
        lines = faults(files, loaded(bundle))
        assert any(line.startswith(f"{file.name}: ") for line in lines), lines


# Corruptions.


class Spoiler:
    """A bundle in which files are changed, one change at a time."""

    def __init__(self, chip: Chip, directory: Path) -> None:
        self.chip, self.directory = chip, chip.write(directory)
        self.module = loaded(directory)
        self.good = contents(directory)

    def faults(self, **files: bytes) -> list[str]:
        return faults({**self.good, **files}, self.module)

    def survives(self, file: File, place: str, words: str, change: Change) -> str:
        """Why the change is not found at its place, by deploy.py and by nirc's reader; nothing if
        it is.
        """
        files = changed(file, self.good, change)
        lines = faults(files, self.module)
        wanted = said(f"{file.name}: {place}")
        if not any(said(line).startswith(wanted) and words in line for line in lines):
            return f"{wanted} {words} is not in {lines}"
        if not all(line.isascii() and len(line) < 500 for line in lines):
            return f"{place}: a line cannot be printed"
        if file is not MANIFEST and not self.refused(file, files):
            return f"{wanted}: nirc reads it"
        return ""

    def refused(self, file: File, files: dict[str, bytes]) -> bool:
        try:
            self.chip.read(files)
        except NircError as error:
            return {d.code for d in error.diagnostics} <= {"U605", file.finding.code}
        return False

    def survivors(self, file: File, changes: Iterable[tuple[str, str, Change]]) -> list[str]:
        return [
            why
            for place, words, change in changes
            if (why := self.survives(file, place, words, change))
        ]


@pytest.fixture
def spoiler(chip: Chip, tmp_path: Path) -> Spoiler:
    return Spoiler(chip, tmp_path)


@each_chip
def test_each_known_corruption_is_found_at_its_place(spoiler: Spoiler, chip: Chip) -> None:
    for file in chip.files:
        rows = CORRUPTIONS[chip.name][file.name]
        assert len(rows) > 5 and spoiler.survivors(file, rows) == []
    assert spoiler.survivors(MANIFEST, MANIFESTS) == []


@each_chip
def test_a_change_of_any_field_is_found(spoiler: Spoiler, chip: Chip) -> None:
    """All kinds of values that the description forbids, for every field that it has.

    Seeded: at most 120 a file.
    """
    for file in (*chip.files, MANIFEST):
        changes = list(spoiled(file.root, tree_of(file, spoiler.good)))
        order = np.random.default_rng(0).permutation(len(changes))[:120]
        rows = [(changes[i][0], "", changes[i][1]) for i in order]
        assert len(rows) > 20 and spoiler.survivors(file, rows) == []


@each_chip
def test_what_is_no_such_file_is_refused_without_a_traceback(spoiler: Spoiler, chip: Chip) -> None:
    texts = [
        b"",
        b"{",
        b"[]",
        b"3",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b"1" * 10_000,
        b"\xff",
        b'{"a": NaN}',
    ]
    for name in [MANIFEST.name, *(file.name for file in chip.files)]:
        good = spoiler.good[name]
        for text in [*texts, good[: len(good) // 2], good[:-2]]:
            lines = spoiler.faults(**{name: text})
            assert any(line.startswith(f"{name}: ") for line in lines) and all(
                map(str.isascii, lines)
            )
        (spoiler.directory / name).write_bytes(b"[" * 100_000)
        done = checked(spoiler.directory)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        (spoiler.directory / name).write_bytes(good)


@each_chip
def test_no_damage_of_a_few_bytes_makes_a_traceback(spoiler: Spoiler, chip: Chip) -> None:
    """Bytes changed, cut out or put in: all are found, by their digest."""
    rng = np.random.default_rng(0)
    for name in [MANIFEST.name, *(file.name for file in chip.files)]:
        for _ in range(100):
            data = bytearray(spoiler.good[name])
            for _ in range(rng.integers(1, 4)):
                at = int(rng.integers(len(data)))
                data[at : at + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
            lines = spoiler.faults(**{name: bytes(data)})
            assert all(line.isascii() and len(line) < 500 for line in lines)
            assert lines or bytes(data) == spoiler.good[name]


@pytest.mark.parametrize(
    "chip", [chip for chip in CHIPS if " with" not in chip.name], ids=lambda chip: chip.name
)
def test_all_faults_are_reported_at_once(spoiler: Spoiler, chip: Chip) -> None:
    file, files = chip.files[0], spoiler.good
    ranges = [row for row in CORRUPTIONS[chip.name][file.name] if row[1] == RANGE][:4]
    for _, _, change in ranges:
        files = changed(file, files, change)
    for name, data in files.items():
        (spoiler.directory / name).write_bytes(data)
    done = checked(spoiler.directory)
    places = {said(line).split(": ")[1] for line in done.stdout.splitlines()}
    assert (
        done.returncode == 1
        and {said(place) for place, _, _ in ranges} <= places
        and len(places) > 1
    )


@each_chip
def test_the_json_schema_refuses_what_the_reader_refuses(chip: Chip, bundle: Path) -> None:
    for file in (*chip.files, MANIFEST):
        validator = jsonschema.Draft202012Validator(json_schema(file))
        good = tree_of(file, contents(bundle))
        assert validator.is_valid(structure(good))
        for place, change in spoiled(file.root, good):
            tree, found = copy.deepcopy(good), Faults()
            change(tree)
            file.root.check(tree, "", found)
            if structure(tree) != structure(good):  # a schema does not see arrays
                assert not validator.is_valid(structure(tree)) or not found, place


@each_chip
def test_the_help_ends_with_what_a_newcomer_needs(bundle: Path, chip: Chip) -> None:
    text = script(bundle, "--help").stdout
    last = text.strip().split("\n\n")[-1]
    assert last.startswith("First day") and "pip install" in last
    assert sum(line.startswith("  python deploy.py") for line in last.splitlines()) >= 1


@pytest.mark.parametrize("out", ["manifest.npz", "report.npz", "deploy.py", "s.npz", ".", "n.npz"])
def test_an_answer_replaces_no_file_but_an_answer(tmp_path: Path, out: str) -> None:
    """``manifest.npz`` has its record in manifest.json."""
    bundle, notes, data = tmp_path / "b", tmp_path / "n.json", tmp_path / "s.npz"
    bundle.mkdir()
    notes.write_text('{"mine": 1}')
    data.write_bytes(b"spikes")
    folder = tmp_path if out in ("s.npz", "n.npz") else bundle
    listed = {"report.json": "", "deploy.py": ""}
    with pytest.raises(DeployError, match="--out"):
        check_places(str(folder / out), str(data), bundle, listed)
    check_places(str(tmp_path / "good.npz"), str(data), bundle, listed)
