"""Files whose exporter ended early: each is refused in one sentence that says so, and what to
do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.file import UNFINISHED
from nirc.diagnostics.log import Log
from nirc.frontend.hdf5 import read_raw
from nirc.frontend.load import to_layers
from tests.frontend.files import CHAIN, SMALL, found, refusal, small, write_graph

# nir.write, ended by force or by an exception before the dataset number N is made.
CRASH = """
import os, sys
import h5py, nir, numpy as np
name, ends, number, libver = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
left, create = [number], h5py.Group.create_dataset
def counted(group, *args, **kwargs):
    left[0] -= 1
    if left[0] == 0:
        if ends == "raises":
            raise RuntimeError("the exporter fails here")
        if ends == "is killed after a flush":
            group.file.flush()
        os._exit(0)
    return create(group, *args, **kwargs)
h5py.Group.create_dataset = counted
opened = h5py.File
h5py.File = lambda *args, **kwargs: opened(*args, libver=libver, **kwargs)
graph = nir.NIRGraph.from_list(nir.Affine(np.ones((4, 3)), np.ones(4)), nir.Threshold(np.ones(4)))
try:
    nir.write(name, graph)
except RuntimeError:
    pass
"""
LAST = 12  # version; weight, bias, type; threshold, type; type, shape twice; edges; type


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("ends", ["raises", "is killed", "is killed after a flush"])
@pytest.mark.parametrize("number", [1, 4, LAST - 1])
def test_nir_write_that_ends_early_leaves_a_file_that_is_refused_as_such(
    tmp_path: Path, ends: str, number: int, libver: str
) -> None:
    path = tmp_path / "m.nir"
    subprocess.run([sys.executable, "-c", CRASH, path, ends, str(number), libver], check=True)
    said = refusal(path)
    assert said.code in ("F103", "F104") and said.help.startswith(UNFINISHED)


def test_a_graph_that_lacks_its_type_only_is_complete(tmp_path: Path) -> None:
    """nir.write writes the type of the outermost graph last: all else is there."""
    path = tmp_path / "m.nir"
    subprocess.run([sys.executable, "-c", CRASH, path, "raises", str(LAST), "earliest"], check=True)
    graph, said = found(path)
    assert graph is not None and len(graph.edges) == 3
    assert [(d.code, d.severity, d.where) for d in said] == [
        ("F108", "warning", "type")
    ] and "error" in said[0].help


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "an empty file"),
        (bytes(4096), "a file that begins with zeros"),
        (b"\x89HDF", "the first bytes of an HDF5"),
    ],
)
def test_bytes_that_were_never_written(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / "m.nir").write_bytes(data)
    said = refusal(tmp_path / "m.nir")
    assert said.code == "F102" and name in said.message and said.help == UNFINISHED


@pytest.mark.parametrize("userblock", [0, 1024])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_that_ends_early_is_reported_with_both_sizes(
    tmp_path: Path, libver: str, userblock: int
) -> None:
    with h5py.File(tmp_path / "m.nir", "w", libver=libver, userblock_size=userblock) as file:
        write_graph(file.create_group("node"), SMALL, CHAIN)
    assert found(tmp_path / "m.nir")[0] is not None
    whole = (tmp_path / "m.nir").read_bytes()
    for length in (userblock + 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.nir").write_bytes(whole[:length])
        said = refusal(tmp_path / "cut.nir")
        assert (
            said.code == "F104"
            and said.message == "the file ends early"
            and UNFINISHED in said.help
        )
        assert said.found == f"{length} bytes" and said.expected.startswith(f"{len(whole)} bytes")


def test_a_header_that_is_cut_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "m.nir").write_bytes(small(tmp_path / "whole.nir").read_bytes()[:12])
    said = refusal(tmp_path / "m.nir")
    assert said.code == "F104" and said.found == "12 bytes" and said.help == UNFINISHED


@pytest.mark.parametrize(
    ("missing", "code", "where"),
    [
        (("edges",), "F113", "edges"),
        (("nodes",), "F103", ""),
        (("edges", "type"), "F103", ""),
        (("nodes", "edges", "type"), "F103", ""),
    ],
)
def test_a_graph_that_lacks_a_part_is_one_error(
    tmp_path: Path, missing: tuple[str, ...], code: str, where: str
) -> None:
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        for name in missing:
            del file["node"][name]
    said = refusal(tmp_path / "m.nir")
    assert (said.code, said.where, said.help) == (code, where, UNFINISHED)
    assert all(f"`{name}`" in said.message for name in missing)


def test_a_node_without_a_type_or_without_any_member(tmp_path: Path) -> None:
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        del file["node/nodes/fc/type"], file["node/nodes/lif"]
        file["node/nodes"].create_group("lif")
    _, said = found(tmp_path / "m.nir")
    assert [(d.code, d.where, d.help) for d in said] == [
        ("F108", "nodes/fc", UNFINISHED), ("F108", "nodes/lif", UNFINISHED),
    ]  # fmt: skip


def test_a_node_with_a_type_and_nothing_else_is_one_error(tmp_path: Path) -> None:
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        for field in ("r", "v_threshold", "v_reset"):
            del file["node/nodes/lif"][field]
    log = Log()
    with pytest.raises(InputError) as refused:
        to_layers(read_raw(tmp_path / "m.nir", log), log)
    (error,) = [d for d in refused.value.diagnostics if d.severity == "error"]
    assert (error.code, error.where, error.expected, error.help) == (
        "F109",
        "nodes/lif",
        "r, v_threshold",
        UNFINISHED,
    )
    assert refused.value.exit_code == 3


def test_a_nested_graph_without_a_type_is_read_with_a_warning(tmp_path: Path) -> None:
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        inner = file["node/nodes"].create_group("inner")
        write_graph(inner, SMALL, CHAIN)
        del inner["type"]
    graph, said = found(tmp_path / "m.nir")
    assert graph is not None and graph.nodes["inner"].graph is not None
    assert [(d.code, d.severity, d.where) for d in said] == [
        ("F108", "warning", "nodes/inner/type")
    ]


def test_a_file_that_another_program_still_writes_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "m.nir"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = np.ones(3)
        file.flush()
        said = refusal(path)
    assert said.code == "F104" and "not closed" in said.message and "wait" in said.help


def test_a_wrong_spelling_of_the_graph_s_type_gets_a_suggestion(tmp_path: Path) -> None:
    def spelt(group: Any) -> None:
        del group["type"]
        group["type"] = "NirGraph"

    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        spelt(file["node"])
    said = refusal(tmp_path / "m.nir")
    assert said.code == "F103" and said.help == "did you mean NIRGraph?"


def test_a_whole_file_with_bytes_behind_its_end_is_read(tmp_path: Path) -> None:
    path = small(tmp_path / "m.nir")
    with path.open("ab") as file:
        file.write(bytes(100))
    assert found(path)[0] is not None
