"""Hostile files in, plain values or a refusal with code and place out."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirc.files import bounds
from tests.frontend.files import CHAIN, SMALL, TEXT, found, refusal, small, write_graph

Change = Callable[[Any], None]


def changed(path: Path, change: Change) -> Path:
    """The small model after ``change`` of its group ``node``."""
    with h5py.File(small(path), "r+") as file:
        change(file["node"])
    return path


def replace(group: Any, name: str, **dataset: Any) -> None:
    del group[name]
    group.create_dataset(name, **dataset)


def test_names_types_fields_and_edges_come_as_stored(tmp_path: Path) -> None:
    graph, said = found(small(tmp_path / "m.nir"))
    assert graph is not None and not said
    assert (
        list(graph.nodes) == sorted(SMALL)
        and list(graph.edges) == CHAIN
        and graph.version == "1.0.8"
    )
    weight = graph.nodes["fc"].fields["weight"]
    assert (
        isinstance(weight, np.ndarray)
        and weight.dtype == np.float32
        and weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    )
    assert graph.nodes["lif"].path == "nodes/lif"


@pytest.mark.parametrize(
    "value",
    [
        np.bool_(True), np.array([1, 2], np.int8),
        np.uint64(7), np.array([0.5], np.float16), np.array([[1.5]], ">f8"), np.zeros((0, 2)),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_keep_value_shape_and_kind(tmp_path: Path, value: np.ndarray[Any, Any]) -> None:
    path = changed(
        tmp_path / "m.nir", lambda node: node["nodes/fc"].create_dataset("x", data=value)
    )
    graph, _ = found(path)
    assert graph is not None
    read = graph.nodes["fc"].fields["x"]
    assert isinstance(read, np.ndarray)
    assert (
        read.dtype == value.dtype.newbyteorder("=")
        and np.array_equal(read, value)
        and read.shape == value.shape
    )


@pytest.mark.parametrize(
    "dataset",
    [
        {"data": "same", "dtype": TEXT},
        {"data": ["same"], "dtype": TEXT},
        {"data": np.bytes_("same")},
        {"data": np.array([b"same"], "S9")},
        {"data": "same", "dtype": h5py.string_dtype("ascii", 4)},
    ],
    ids=["variable", "variable-1", "fixed", "padded", "ascii"],
)
def test_text_of_any_storage_is_read(tmp_path: Path, dataset: dict[str, Any]) -> None:
    graph, _ = found(
        changed(tmp_path / "m.nir", lambda node: node.create_dataset("nodes/fc/padding", **dataset))
    )
    assert graph is not None and graph.nodes["fc"].fields["padding"] == "same"


@pytest.mark.parametrize(
    "dataset",
    [
        {"data": np.array(CHAIN, dtype="S")},
        {"data": CHAIN, "dtype": h5py.string_dtype("ascii")},
        {"data": CHAIN, "dtype": TEXT, "chunks": (2, 1)},
        {"data": CHAIN, "dtype": TEXT, "chunks": (2, 2), "compression": "gzip", "shuffle": True},
        {"data": np.array(CHAIN, dtype="S"), "chunks": (2, 2), "compression": "lzf"},
    ],
    ids=["fixed", "ascii", "chunks", "packed", "fixed-lzf"],
)
def test_edges_of_any_storage_are_read(tmp_path: Path, dataset: dict[str, Any]) -> None:
    graph, _ = found(changed(tmp_path / "m.nir", lambda node: replace(node, "edges", **dataset)))
    assert graph is not None and list(graph.edges) == CHAIN


@pytest.mark.parametrize(
    "empty", [np.zeros(0), np.zeros((0, 2)), h5py.Empty("f8")], ids=["0", "0,2", "null"]
)
def test_an_empty_list_of_edges_is_none_whatever_its_type(tmp_path: Path, empty: Any) -> None:
    graph, said = found(
        changed(tmp_path / "m.nir", lambda node: replace(node, "edges", data=empty))
    )
    assert graph is not None and graph.edges == () and not said


def test_text_is_found_behind_a_user_block(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.nir", "w", userblock_size=1024, libver="latest") as file:
        write_graph(file.create_group("node"), SMALL, CHAIN)
    graph, _ = found(tmp_path / "m.nir")
    assert graph is not None and list(graph.edges) == CHAIN


def test_nested_graphs_metadata_and_recorded_types(tmp_path: Path) -> None:
    def nest(node: Any) -> None:
        write_graph(node["nodes"].create_group("inner"), SMALL, CHAIN)
        node["nodes/fc/metadata/note"] = "mine"
        node["nodes/fc/input_type"] = [3]

    graph, said = found(changed(tmp_path / "m.nir", nest))
    assert graph is not None and not said
    inner = graph.nodes["inner"].graph
    assert (
        inner is not None
        and inner.nodes["lif"].path == "nodes/inner/nodes/lif"
        and list(inner.edges) == CHAIN
    )
    assert sorted(graph.nodes["fc"].fields) == ["input_type", "weight"]


def test_names_with_a_slash_are_read_with_a_warning(tmp_path: Path) -> None:
    def slash(node: Any) -> None:
        node["nodes/block/0/type"] = "Threshold"
        node["nodes/lif/more/type"] = "Threshold"

    graph, said = found(changed(tmp_path / "m.nir", slash))
    assert graph is not None and {"block/0", "lif/more"} < set(graph.nodes)
    assert [d.code for d in said] == ["F112"] and "lif/more" in said[0].message


def test_every_fault_is_reported_at_its_place(tmp_path: Path) -> None:
    def spoil(node: Any) -> None:
        del node["nodes/lif/type"]
        node["nodes/fc/bias"] = h5py.SoftLink("/node/nodes/lif/r")
        node["nodes/fc/x"] = np.array([1j])

    _, said = found(changed(tmp_path / "m.nir", spoil))
    assert [(d.code, d.where) for d in said] == [
        ("F105", "nodes/fc/bias"), ("F107", "nodes/fc/x"), ("F108", "nodes/lif"),
    ]  # fmt: skip


# -- F101: not a file; F102 is in test_foreign.py --------------------------------------------------


def test_what_cannot_be_opened_is_said_and_never_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "absent.nir", Path("/dev/null"), Path("a\0b")):
        assert refusal(path).code == "F101"
    assert "\\x1b" in refusal(tmp_path / "\x1b[31m.nir").found


# -- F103: HDF5, but no graph ----------------------------------------------------------------------


def top(**names: Any) -> Change:
    def change(file: Any) -> None:
        for name, value in names.items():
            file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (top(), "no group `node`"),
        (top(**{"model_weights/dense": [1.0]}), "Keras"),
        (top(**{"layer/0/type": "input"}), "Lava DL"),
        (top(node=[1.0]), "`node` is not a group"),
        (top(**{"node/type": "LIF", "node/tau": [1.0]}), "not a NIR graph"),
        (top(**{"node/x": [1.0]}), "not a NIR graph"),
    ],
)
def test_hdf5_without_a_graph_is_named(tmp_path: Path, change: Change, says: str) -> None:
    with h5py.File(tmp_path / "m.nir", "w") as file:
        change(file)
    assert (
        refusal(tmp_path / "m.nir").code == "F103" and says in refusal(tmp_path / "m.nir").message
    )


def test_a_graph_without_type_is_read_with_a_warning(tmp_path: Path) -> None:
    graph, said = found(changed(tmp_path / "m.nir", lambda node: node.__delitem__("type")))
    assert graph is not None and [(d.code, d.severity) for d in said] == [("F108", "warning")]


# -- F104: damage ----------------------------------------------------------------------------------


def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    whole = small(tmp_path / "m.nir").read_bytes()
    for length in (10, 100, 2000, len(whole) - 1):
        (tmp_path / "cut.nir").write_bytes(whole[:length])
        assert refusal(tmp_path / "cut.nir").code == "F104"


def test_text_that_points_nowhere_is_damage_and_not_a_hang(tmp_path: Path) -> None:
    """HDF5 2.0.0 itself hangs on the first and may crash on others: nirc reads such text on its
    own.
    """
    whole = small(tmp_path / "m.nir").read_bytes()
    with h5py.File(tmp_path / "m.nir") as file:
        at = file["node/edges"].id.get_offset()
    length, address, index = struct.unpack_from("<IQI", whole, at)
    for element in (
        (length, address, 77),
        (length, address + 8, index),
        (length, 1 << 50, index),
        (99, address, index),
    ):
        (tmp_path / "bad.nir").write_bytes(
            whole[:at] + struct.pack("<IQI", *element) + whole[at + 16 :]
        )
        assert refusal(tmp_path / "bad.nir").code == "F104"


def test_free_blocks_that_lead_round_in_a_heap_are_damage_and_not_a_hang(tmp_path: Path) -> None:
    """HDF5 2.0.0 itself takes memory until there is none."""
    whole = bytearray(small(tmp_path / "m.nir").read_bytes())
    heap = whole.index(b"HEAP\0")
    _, free, data = struct.unpack_from("<QQQ", whole, heap + 8)
    struct.pack_into("<Q", whole, data + free, free)
    (tmp_path / "m.nir").write_bytes(whole)
    said = refusal(tmp_path / "m.nir")
    assert said.code == "F104" and "no end" in said.message


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_flipped_bytes_give_a_graph_or_a_refusal(tmp_path: Path, libver: str) -> None:
    with h5py.File(tmp_path / "m.nir", "w", libver=libver) as file:
        write_graph(file.create_group("node"), SMALL, CHAIN)
        file["node/nodes/fc"].create_dataset(
            "packed", data=np.zeros((9, 9)), chunks=(4, 4), compression="gzip"
        )
    whole = (tmp_path / "m.nir").read_bytes()
    results = set()
    for seed in range(300):
        dice = random.Random(seed)
        data = bytearray(whole[: dice.randrange(len(whole))] if seed % 10 == 0 else whole)
        for _ in range(dice.choice([1, 2, 8])):
            data[dice.randrange(len(data))] = dice.choice([0, 255, dice.randrange(256)])
        (tmp_path / "bad.nir").write_bytes(data)
        graph, _ = found(tmp_path / "bad.nir")  # any other exception fails the test
        results.add(graph is None)
    assert results == {True, False}


# -- F105: stored elsewhere ------------------------------------------------------------------------


def external_storage(node: Any) -> None:
    del node["nodes/fc/weight"]
    node["nodes/fc"].create_dataset("weight", (2, 3), "f4", external=[("/etc/passwd", 0, 24)])


def virtual(node: Any) -> None:
    del node["nodes/fc/weight"]
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 3))
    node["nodes/fc"].create_virtual_dataset("weight", layout)


def link(name: str, to: Any) -> Change:
    def change(node: Any) -> None:
        if name in node:
            del node[name]
        node[name] = to

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (external_storage, "nodes/fc/weight"),
        (virtual, "nodes/fc/weight"),
        (link("nodes/fc/weight", h5py.SoftLink("/node/nodes/lif/r")), "nodes/fc/weight"),
        (link("nodes/fc/weight", h5py.ExternalLink("/etc/passwd", "/x")), "nodes/fc/weight"),
        (link("nodes/lif", h5py.ExternalLink("other.nir", "/node/nodes/lif")), "nodes/lif"),
        (link("edges", h5py.SoftLink("/nowhere")), "edges"),
    ],
)
def test_links_and_foreign_storage_are_never_followed(
    tmp_path: Path, change: Change, where: str
) -> None:
    said = refusal(changed(tmp_path / "m.nir", change))
    assert (said.code, said.where) == ("F105", where)


def test_a_group_inside_itself_is_refused(tmp_path: Path) -> None:
    def cycle(node: Any) -> None:
        node["nodes/again"] = node
        node["nodes/block/0"] = node["nodes"]

    _, said = found(changed(tmp_path / "m.nir", cycle))
    assert {(d.code, d.where) for d in said if d.severity == "error"} == {
        ("F105", "nodes/again"), ("F105", "nodes/block/0"),
    }  # fmt: skip


# -- F106: too much --------------------------------------------------------------------------------


def huge(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", (1 << 20, 1 << 20), "f8", chunks=(1 << 10, 1 << 10))


def huge_chunk(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", (1,), "f8", chunks=(1 << 28,), maxshape=(None,))


def many_chunks(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", (bounds.MAX_CHUNKS + 1,), "i1", chunks=(1,))


def long_text(node: Any) -> None:
    node["nodes/fc/x"] = "x" * 5000


def long_name(node: Any) -> None:
    node[f"nodes/{'n' * 300}/type"] = "Threshold"


def many_fields(node: Any) -> None:
    for i in range(bounds.MAX_FIELDS):
        node[f"nodes/fc/x{i}"] = 0


def many_edges(node: Any) -> None:
    replace(node, "edges", shape=(bounds.MAX_EDGES + 1, 2), dtype=TEXT)


def deep(node: Any) -> None:
    for _ in range(20):
        node = node["nodes"].create_group("g")
        write_graph(node, {}, [])


@pytest.mark.parametrize(
    "change", [huge, huge_chunk, many_chunks, long_text, long_name, many_fields, many_edges, deep]
)
def test_what_asks_for_too_much_is_refused_before_it_gets_it(
    tmp_path: Path, change: Change
) -> None:
    assert refusal(changed(tmp_path / "m.nir", change)).code == "F106"


def test_the_sum_of_all_fields_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nirc.frontend.hdf5.MAX_TOTAL_BYTES", 60)
    _, said = found(small(tmp_path / "m.nir"))
    assert said and {d.code for d in said} == {"F106"}


def test_many_nodes_stop_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nirc.frontend.hdf5.MAX_NODES", 3)
    assert refusal(small(tmp_path / "m.nir")).code == "F106"


def test_one_text_or_field_under_many_names_counts_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(node: Any) -> None:
        node["nodes/fc/text"] = "x" * 1000
        for i in range(9):
            node[f"nodes/copy{i}"] = node["nodes/fc"]

    path = changed(tmp_path / "m.nir", share)
    assert found(path)[0] is not None
    for limit, value in (
        ("files.hdf5.text.MAX_TOTAL_TEXT", 5000),
        ("frontend.hdf5.MAX_TOTAL_FIELDS", 20),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"nirc.{limit}", value)
            assert {d.code for d in found(path)[1]} == {"F106"}


# -- F107: not numbers or text ---------------------------------------------------------------------


def compound(node: Any) -> None:
    node["nodes/fc/x"] = np.zeros(2, [("a", "i4"), ("b", "f4")])


def references(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", (1,), h5py.ref_dtype)


def ragged(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", (1,), h5py.vlen_dtype("f4"))


def opaque(node: Any) -> None:
    node["nodes/fc/x"] = np.void(b"pickle")


def null(node: Any) -> None:
    node["nodes/fc/x"] = h5py.Empty("f4")


def named_type(node: Any) -> None:
    node["nodes/fc/x"] = np.dtype("f4")


def two_texts(node: Any) -> None:
    node["nodes/fc/x"] = ["a", "b"]


def group(node: Any) -> None:
    node["nodes/fc/x/y"] = [1.0]


def lossy(node: Any) -> None:
    node["nodes/fc"].create_dataset("x", data=np.arange(4), chunks=(4,), scaleoffset=2)


def numeric_type(node: Any) -> None:
    node["nodes/x/type"] = 3


@pytest.mark.parametrize(
    "change",
    [compound, references, ragged, opaque, null, named_type, two_texts, group, lossy, numeric_type],
)
def test_what_is_neither_numbers_nor_text_is_refused(tmp_path: Path, change: Change) -> None:
    said = refusal(changed(tmp_path / "m.nir", change))
    assert said.code == "F107" and said.where.startswith("nodes/")


def test_a_filter_that_needs_a_plugin_is_never_run(tmp_path: Path) -> None:
    def shuffled(node: Any) -> None:
        node["nodes/fc"].create_dataset("x", data=np.zeros(64), chunks=(64,), shuffle=True)

    path = changed(tmp_path / "m.nir", shuffled)
    whole = path.read_bytes()
    at = whole.index(struct.pack("<HHHH", h5py.h5z.FILTER_SHUFFLE, 8, 1, 1) + b"shuffle")
    path.write_bytes(whole[:at] + struct.pack("<H", 32015) + whole[at + 2 :])  # Zstandard, a plugin
    said = refusal(path)
    assert (said.code, said.where, said.found) == ("F107", "nodes/fc/x", "HDF5 filter 32015")


# -- F108 and F113 ---------------------------------------------------------------------------------


def test_a_node_without_a_type_is_refused(tmp_path: Path) -> None:
    for change in (
        lambda node: node.create_group("nodes/x"),
        lambda node: node.create_dataset("nodes/x", data=1),
    ):
        said = refusal(changed(tmp_path / "m.nir", change))
        assert (said.code, said.where) == ("F108", "nodes/x")


def bad_utf8(node: Any) -> None:
    replace(node, "edges", data=np.array([[b"\xff\xfe", b"fc"]]))


def numbers_for_edges(node: Any) -> None:
    replace(node, "edges", data=[[0, 1]])


def triples(node: Any) -> None:
    replace(node, "edges", data=[["a", "b", "c"]], dtype=TEXT)


def no_edges(node: Any) -> None:
    del node["edges"]


def name_not_utf8(node: Any) -> None:
    h5py.h5g.create(node["nodes"].id, b"\xff\xfe")


@pytest.mark.parametrize("change", [bad_utf8, numbers_for_edges, triples, no_edges, name_not_utf8])
def test_names_and_edges_that_cannot_be_read_are_refused(tmp_path: Path, change: Change) -> None:
    assert refusal(changed(tmp_path / "m.nir", change)).code == "F113"
