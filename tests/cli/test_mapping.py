"""`nirc mapping`: what a bundle says about its cores, as a table, as data and as a picture."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

import nirc
from nirc.api import Bundle
from nirc.files.bundle import to_json
from nirc.files.manifest import sha256
from nirc.mapping.floorplan import Core, Floorplan, Link, Part
from nirc.report.floorplan import floorplan
from nirc.report.mapping import _titles
from tests.cli.test_cli import BRAILLE
from tests.commands import nirc as command


def plan(width: int = 3, height: int = 2, depth: int = 1, cores: int = 5) -> Floorplan:
    """Chips of one size on a grid of cells that is used from its origin on, the last cell
    faulty.
    """
    places = [(x, y, z) for z in range(depth) for y in range(height) for x in range(width)]
    used = [
        Core(
            0,
            at,
            (Part(f"layer {i % 4}", ((i, i + 8),)), Part("relay", ((0, 2), (1, 3)))),
            {"neurons": 10 * i, "synapse memory": 500},
        )
        for i, at in enumerate(places[:cores])
    ]
    links = [Link(a.at, b.at, 3.0 + i, 50) for i, (a, b) in enumerate(pairwise(used))]
    limits = {"neurons": (64, "neurons"), "synapse memory": (2048, "bytes")}
    faulty = tuple(places[-1:]) if cores < len(places) else ()
    return Floorplan(
        (width, height, depth),
        (width, height, 1),
        limits,
        tuple(used),
        tuple(links),
        faulty,
        cost=12,
    )


@pytest.fixture(scope="module")
def compiled() -> Bundle:
    return nirc.compile(BRAILLE, target="xylo", reset="subtract")


@pytest.fixture
def bundle(compiled: Bundle, tmp_path: Path) -> Path:
    """A bundle with a floorplan.json; whose chip it is does not matter here."""
    return save(compiled, tmp_path, to_json({"floorplan": plan().to_tree(), "anything": "else"}))


def save(compiled: Bundle, directory: Path, mapping: bytes) -> Path:
    files = {**compiled.files, "floorplan.json": mapping}
    manifest = {**compiled.manifest, "files": {name: sha256(data) for name, data in files.items()}}
    return Bundle(manifest, files).save(directory / "net.chip")


def test_the_table_has_the_fullest_core_first_with_what_is_on_it(bundle: Path) -> None:
    done = command("mapping", bundle.name, "--rows", "2", cwd=bundle.parent)
    assert done.returncode == 0, done.stderr
    title, cost, _, names, limits, first, second, left, total, *links = done.stdout.splitlines()
    assert title.endswith("5 of 5 cores, 1 chip") and "traffic x distance 12" in cost
    assert names.split() == ["chip", "core", "neurons", "synapse", "memory", "populations"]
    assert limits.split() == ["of", "64", "neurons", "of", "2048", "bytes"]
    assert first.split()[:8] == ["0", "(1,", "1)", "40", "62%", "500", "24%", "layer"]
    assert first.endswith("layer 0[4:12], relay[0:2, 1:3]") and "(0, 1)" in second
    assert "3 cores" in left
    assert total.split() == ["sum", "5", "cores", "100", "31%", "2500", "24%", "(mean)"]
    assert links[1].startswith("busiest links (of 4 in use, load 18 in all)")
    assert links[2].split() == ["(0,", "1)", "->", "(1,", "1)", "6", "of", "50", "12%"]


def test_words_that_all_resources_end_with_are_left_out() -> None:
    assert _titles(["axons of a core", "synapse memory of a core"]) == ["axons", "synapse memory"]
    assert _titles(["axons", "neurons"]) == ["axons", "neurons"] and _titles(
        ["neurons of a core"]
    ) == ["neurons of a core"]


def test_the_data_has_every_core(bundle: Path) -> None:
    result = json.loads(
        command("mapping", bundle.name, "--format", "json", cwd=bundle.parent).stdout
    )
    mapping = result["mapping"]
    assert result["exit_status"] == 0 and len(mapping["cores"]) == 5 and mapping["cores_used"] == 5
    assert mapping["resources"]["neurons"] == {
        "max": 64,
        "mean": 100 / 320,
        "sum": 100,
        "unit": "neurons",
    }
    assert mapping["links"][0] == {"from": [0, 1, 0], "to": [1, 1, 0], "load": 6, "capacity": 50}


def test_the_picture_is_drawn_twice_alike(bundle: Path) -> None:
    written, name = [], "net.SVG"
    for _ in range(2):
        done = command(
            "mapping", bundle.name, "--plot", name, "--by", "use", "-q", cwd=bundle.parent
        )
        assert done.returncode == 0 and done.stderr == ""
        written.append((bundle.parent / name).read_bytes())
    assert written[0] == written[1]
    assert written[0].startswith(b"<?xml")


@pytest.mark.parametrize("by", ["population", "use"])
@pytest.mark.parametrize(
    "size", [(1, 1, 1, 1), (8, 16, 1, 100), (8, 4, 3, 90), (64, 64, 1, 4000), (3, 3, 1, 0)]
)
def test_any_size_can_be_drawn_and_names_what_is_on_it(
    size: tuple[int, int, int, int], by: str
) -> None:
    drawn = floorplan(plan(*size), by=by).file()
    words = " ".join(ElementTree.fromstring(drawn).itertext())
    assert f"{size[3]:,} core" in words and "free" in words
    if by == "population":
        assert ("layer 0" in words) == (size[3] > 0)
    assert ("scarcest" in words) == (by == "use")
    assert ("faulty" in words) == (size[3] < size[0] * size[1] * size[2])


def test_a_network_on_a_corner_of_a_large_machine_is_drawn_large_and_where_it_is() -> None:
    cores = (
        Core(5, (17, 9, 0), (Part("a", ((0, 1),)),), {}),
        Core(5, (18, 9, 0), (Part("b", ((0, 1),)),), {}),
    )
    links = (Link((17, 9, 0), (18, 9, 0), 1.0),)
    drawn = floorplan(Floorplan((64, 64, 1), (8, 8, 1), {}, cores, links, ((0, 0, 0),))).file()
    words = " ".join(ElementTree.fromstring(drawn).itertext())
    assert "grid 64 x 64 x 1, chips in use shown" in words and "faulty" not in words
    assert (
        all(str(k) in words.split() for k in (*range(16, 24), *range(8, 16)))
        and "31" not in words.split()
    )


def test_chips_without_a_choice_of_cores_are_refused_with_a_hint(
    compiled: Bundle, tmp_path: Path
) -> None:
    compiled.save(tmp_path / "braille.xylo")
    done = command("mapping", "braille.xylo", "--plot", "b.svg", cwd=tmp_path)
    assert done.returncode == 2 and "U610" in done.stderr and "report.json" in done.stderr
    assert not (tmp_path / "b.svg").exists()


@pytest.mark.parametrize(
    ("mapping", "where"),
    [
        (b"{}", "floorplan"),
        (b"[" * 10**6, "JSON"),
        (b'{"floorplan": {"format": 3}}', "floorplan.format"),
    ],
)
def test_a_damaged_mapping_is_refused(
    mapping: bytes, where: str, compiled: Bundle, tmp_path: Path
) -> None:
    done = command("mapping", save(compiled, tmp_path, mapping).name, cwd=tmp_path)
    assert (
        done.returncode == 3
        and "U605" in done.stderr
        and where in done.stderr
        and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize("name", ["net.png", "net", "svg"])
def test_other_pictures_are_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    done = command("mapping", "nosuch", "--plot", name, cwd=tmp_path)
    assert done.returncode == 2 and "U607" in done.stderr and "FILE.svg" in done.stderr
