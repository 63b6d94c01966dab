"""The checker reads the files of a bundle with suspicion, and names what it finds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.certificate.certificate import reader_of
from nirc.checker import bundle as room
from nirc.checker.bundle import Bundle, files_of
from nirc.checker.compare import check
from nirc.checker.values import Finding
from tests.corrupt import Files, bundles, sealed, signed

CHIP, NAME = "xylo", "relays on xylo:audio3"


def good() -> Files:
    """Return a good bundle: three populations, two of them behind relays."""
    (files,) = [files for title, files in bundles(CHIP) if title == NAME]
    return files


def edited(name: str, change: Callable[[Any], object], signs: Any = sealed) -> list[str]:
    """Return what the checker finds in a bundle with a changed file and true digests."""
    files = good()
    tree = json.loads(files[name])
    change(tree)
    return found({**files, name: json.dumps(tree).encode()}, signs)


def found(files: Files, signs: Any = sealed) -> list[str]:
    """Return what the checker finds, without what inputs may do."""
    findings = check(signs(files).__getitem__, reader_of(CHIP))
    return [str(each) for each in findings if each.kind != "overflow"]


def test_regular_files_are_read_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/b").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    read = files_of(tmp_path)
    assert read("a") == b"12"
    for name in ("link", "folder", "folder/b", "missing", "a\0", ""):
        with pytest.raises(Finding, match="it is missing, or no regular file"):
            read(name)
    monkeypatch.setattr(room, "MOST_BYTES", 2)
    assert read("a") == b"12"
    monkeypatch.setattr(room, "MOST_BYTES", 1)
    with pytest.raises(Finding, match="too large"):
        read("a")


def test_files_are_compared_with_their_digests_and_the_manifest_with_its_seal() -> None:
    files = good()
    assert found(files, dict) == []
    for name in ("report.html", "deploy.py", "config.json"):
        (line, *_) = found({**files, name: files[name] + b" "}, dict)
        assert line.startswith(f"{name}: the file: this is not the file that nirc wrote, found ")
    other = files["manifest.json"].replace(b'"seed": 0', b'"seed": 1')
    assert other != files["manifest.json"]
    sealed_off = ["certificate.json: seal: a file is not as it was certified"]
    assert found({**files, "manifest.json": other}, dict) == sealed_off
    assert found({**files, "manifest.json": other}, signed) == sealed_off
    assert found({**files, "report.html": b"other"}, signed) == []


def archive(arrays: list[tuple[str, Any]]) -> bytes:
    """Return an archive that may have an array twice."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as members:
        for name, array in arrays:
            member = io.BytesIO()
            np.save(member, array)
            members.writestr(f"{name}.npy", member.getvalue())
    return made.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_has_each_array_once_and_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    one = archive([("a", np.arange(3)), ("b", np.arange(2))])
    odd = [archive([("a", np.arange(3)), ("a", np.arange(3))]), b"", one[:-30]]
    odd.append(archive([("a", np.array([None], object))]))

    def arrays(data: bytes) -> dict[str, Any]:
        reader = Bundle.__new__(Bundle)
        reader.read = lambda name: data
        return reader.npz("x.npz")

    assert {name: array.tolist() for name, array in arrays(one).items()} == {
        "a": [0, 1, 2],
        "b": [0, 1],
    }
    for data in odd:
        with pytest.raises((Finding, ValueError, EOFError, zipfile.BadZipFile)):
            arrays(data)
    size = sum(info.file_size for info in zipfile.ZipFile(io.BytesIO(one)).infolist())
    monkeypatch.setattr(room, "MOST_BYTES", size)
    assert set(arrays(one)) == {"a", "b"}
    monkeypatch.setattr(room, "MOST_BYTES", size - 1)
    with pytest.raises(Finding, match="it is too large, or has an array twice"):
        arrays(one)


ROWS: list[tuple[str, Callable[[list[Any]], object]]] = [
    ("HDF5 has no such dataset at this place", lambda row: row.__setitem__(1, row[1] + 1)),
    ("HDF5 has no such dataset at this place", lambda row: row.__setitem__(1, 1 << 29)),
    ("HDF5 has no such dataset at this place", lambda row: row.__setitem__(2, "<f4")),
    ("HDF5 has no such dataset at this place", lambda row: row.__setitem__(2, "|O8")),
    ("HDF5 has no such dataset at this place", lambda row: row.__setitem__(2, "float")),
    ("HDF5 has no such dataset at this place", lambda row: row[3].__setitem__(0, row[3][0] + 1)),
    ("the fields are others", lambda row: row.__setitem__(0, row[0] + "_")),
]


@pytest.mark.parametrize(("problem", "change"), ROWS)
def test_an_untrue_line_of_the_certificate_is_found(
    problem: str, change: Callable[[list[Any]], object]
) -> None:
    def untrue(tree: Any) -> None:
        (row,) = [row for row in tree["datasets"] if row[0].endswith("/pop/v_threshold")]
        change(row)

    (line,) = edited("certificate.json", untrue)
    assert problem in line


def test_the_certificate_has_each_dataset_once_in_the_order_of_paths() -> None:
    """Not even the seal holds the order, since it stands in the same file."""
    odd = [
        lambda tree: tree["datasets"].reverse(),
        lambda tree: tree["datasets"].insert(0, tree["datasets"][0]),
    ]
    for change in odd:
        (line,) = edited("certificate.json", change)
        assert line == ("certificate.json: datasets: paths do not rise")


def test_numbers_that_are_not_finite_are_refused() -> None:
    files = good()
    rows = json.loads(files["certificate.json"])["datasets"]
    (row, *_) = [row for row in rows if row[2] == "<f8"]
    data = bytearray(files["network.nir"])
    data[row[1] : row[1] + 8] = np.array([np.inf]).tobytes()
    (line,) = found({**files, "network.nir": bytes(data)})
    assert line == f"network.nir: {row[0]}: a number is not finite"


CHANGES: list[tuple[str, Callable[[Any], object]]] = [
    (
        "manifest.json: output_map: a column is of another neuron",
        lambda m: m.update(output_map=[1, 0, 2, 3, 4]),
    ),
    ("manifest.json: dt: it is no time, found 0.0", lambda m: m.update(dt=0.0)),
    ("manifest.json: dt: it is no time", lambda m: m.update(dt=-0.001)),
    ("manifest.json: dt: it is no time, found 1", lambda m: m.update(dt=1)),
    ("manifest.json: latency_steps: a value", lambda m: m.update(latency_steps=65537)),
    ("manifest.json: schema: a value", lambda m: m.update(schema="nirc-bundle/3")),
    ("the names or places are not those", lambda m: m["populations"].pop("pop")),
    ("the names or places are not those", lambda m: m["populations"]["pop"].update(place=7)),
    (
        "manifest.json: populations.pop: another scale or size",
        lambda m: other_scale(m["populations"]),
    ),
    ("populations.pop.index: a number points to nothing", lambda m: move(m["populations"], 9999)),
    ("manifest.json: populations: neurons on a place, found ", lambda m: twice(m["populations"])),
    ("input_map: there is no channel for each input", lambda m: m["input_map"].pop()),
    (
        "manifest.json: populations.pop.part: a value",
        lambda m: m["populations"]["pop"].update(part="x"),
    ),
]


def other_scale(populations: Any) -> None:
    """Scale a population otherwise."""
    populations["pop"]["scale"] = [[1.5, 160, 0]]


def move(populations: Any, first: int) -> None:
    """Put a population's neurons elsewhere."""
    populations["pop"]["index"] = [[first, 160, 1]]


def twice(populations: Any) -> None:
    """Put two neurons on one place."""
    populations["pop"]["index"] = [[0, 159, 1], 0]


@pytest.mark.parametrize(("line", "change"), CHANGES)
def test_a_manifest_that_does_not_fit_the_network_is_found(
    line: str, change: Callable[[Any], object]
) -> None:
    assert any(line in each for each in edited("manifest.json", change))


def test_a_file_that_makes_no_sense_is_no_traceback() -> None:
    def confused(bundle: Bundle) -> Any:
        raise ZeroDivisionError("never")

    (last,) = check(good().__getitem__, confused)
    assert str(last).startswith("network.nir: the file: it makes no sense, found ZeroDivision")

    def exhausted(bundle: Bundle) -> Any:
        raise MemoryError

    with pytest.raises(MemoryError):
        check(good().__getitem__, exhausted)


def test_the_seal_is_of_all_files_but_those_that_come_after_it() -> None:
    manifest = json.loads(good()["manifest.json"])
    sealed_as = json.loads(good()["certificate.json"])["seal"]
    assert room.seal(manifest) == sealed_as
    assert room.seal(dict(reversed(manifest.items()))) == sealed_as
    late = {"certificate.json": "0", "report.html": "1"}
    assert (
        room.seal({**manifest, "sha256": "", "files": {**manifest["files"], **late}}) == sealed_as
    )
    for name in sorted(set(manifest["files"]) - set(late)):
        other = {**manifest["files"], name: "0"}
        assert room.seal({**manifest, "files": other}) != sealed_as
    assert room.seal({**manifest, "part": "another"}) != sealed_as
