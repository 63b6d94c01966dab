"""Packed values: what h5py writes is read; what a file lies about never reaches the HDF5
library.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirc.diagnostics.errors import Diagnostic
from nirc.files.hdf5.chunks import Budget
from tests.frontend.files import found, refusal, small

PACKINGS: dict[str, dict[str, Any]] = {
    "chunks": {},
    "gzip": {"compression": "gzip"},
    "all filters": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "szip": {"compression": "szip", "fletcher32": True},
    "fletcher32": {"fletcher32": True},
}
SIZE = 800  # bytes of the chunk below


def with_field(
    path: Path, change: Callable[[Any], None] = lambda field: None, **packing: Any
) -> Path:
    """The small model with 100 zeros in one chunk, packed so, then changed."""
    with h5py.File(small(path), "r+") as file:
        change(file["node/nodes/fc"].create_dataset("x", (100,), "f8", chunks=(100,), **packing))
    return path


def refused(path: Path) -> Diagnostic:
    said = refusal(path)
    assert said.where == "nodes/fc/x"
    return said


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("dtype", ["i1", "f2", "f4", "f8"])
@pytest.mark.parametrize("content", ["noise", "steps", "zeros"])
def test_what_h5py_packs_is_read(tmp_path: Path, packing: str, dtype: str, content: str) -> None:
    noise = np.random.default_rng(0).integers(0, 100, (70, 30)) / 7
    values = {"noise": noise, "steps": np.arange(2100).reshape(70, 30) // 300, "zeros": 0 * noise}[
        content
    ]
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        file["node/nodes/fc"].create_dataset(
            "x", data=values.astype(dtype), chunks=(32, 16), **PACKINGS[packing]
        )
    graph, _ = found(tmp_path / "m.nir")
    assert graph is not None
    np.testing.assert_array_equal(graph.nodes["fc"].fields["x"], values.astype(dtype), strict=True)


def test_a_packed_chunk_that_was_never_written_reads_as_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        options: dict[str, Any] = {"chunks": (40,), "compression": "gzip", "fillvalue": 7.0}
        field = file["node/nodes/fc"].create_dataset("x", (100,), "f8", **options)
        field[40:80] = np.arange(40)
    graph, _ = found(tmp_path / "m.nir")
    assert graph is not None
    expected = np.concatenate([np.full(40, 7.0), np.arange(40), np.full(20, 7.0)])
    np.testing.assert_array_equal(graph.nodes["fc"].fields["x"], expected)


@pytest.mark.parametrize(
    ("packing", "raw"),
    [
        ({"compression": "gzip"}, zlib.compress(bytes(SIZE - 8))),
        ({"compression": "gzip"}, zlib.compress(bytes(SIZE))[:-9]),
        ({"compression": "gzip"}, zlib.compress(bytes(SIZE))[:-4]),
        ({"compression": "gzip"}, b"not gzip"),
        ({"compression": "lzf"}, b"\x00a" * (SIZE - 8)),
        ({"compression": "lzf"}, b"\x1fshort"),
        ({"compression": "lzf"}, b"\x00a\xe0"),
        ({"compression": "szip"}, (SIZE - 8).to_bytes(4, "little") + b"stream"),
        ({"fletcher32": True}, b"abc"),
    ],
    ids=[
        "gzip",
        "cut",
        "no checksum",
        "garbage",
        "lzf",
        "lzf cut",
        "lzf repeat cut",
        "szip",
        "checksum only",
    ],
)
def test_a_chunk_that_yields_too_little_is_damage_and_never_read_past_its_end(
    tmp_path: Path, packing: dict[str, Any], raw: bytes
) -> None:
    """HDF5 2.0.0 reads on behind the buffer: whatever is in memory, or a crash."""
    path = with_field(
        tmp_path / "m.nir", lambda field: field.id.write_direct_chunk((0,), raw), **packing
    )
    assert refused(path).code == "F104"


def test_a_mask_that_leaves_filters_out_is_counted(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(SIZE))
    for raw, good in ((bytes(SIZE), True), (packed, False)):
        path = with_field(tmp_path / "m.nir", compression="gzip")
        with h5py.File(path, "r+") as file:
            file["node/nodes/fc/x"].id.write_direct_chunk((0,), raw, filter_mask=1)
        assert (found(path)[0] is not None) is good


@pytest.mark.parametrize(
    ("packing", "raw"),
    [
        ("gzip", zlib.compress(bytes(10_000_000))),
        ("lzf", b"\x00a" + b"\xe0\xff\x00" * 400),
    ],
)
def test_a_chunk_that_yields_too_much_is_refused(tmp_path: Path, packing: str, raw: bytes) -> None:
    path = with_field(
        tmp_path / "m.nir", lambda f: f.id.write_direct_chunk((0,), raw), compression=packing
    )
    assert refused(path).code == "F106" and "unpacks" in refused(path).message


def test_bombs_inside_bombs_are_refused(tmp_path: Path) -> None:
    """Only the outer packing can be measured without undoing it: two of them need not be
    understood.
    """
    with h5py.File(small(tmp_path / "m.nir"), "r+") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((100,))
        plist.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL, (4, 261, 100))
        plist.set_deflate(6)
        space = h5py.h5s.create_simple((100,))
        h5py.h5d.create(file["node/nodes/fc"].id, b"x", h5py.h5t.NATIVE_DOUBLE, space, plist)
    assert refused(tmp_path / "m.nir").code == "F107"


@pytest.mark.parametrize("at", [1, 2, 3])
def test_szip_parameters_of_zero_are_damage_and_no_division(tmp_path: Path, at: int) -> None:
    path = with_field(
        tmp_path / "m.nir", lambda field: field.write_direct(np.arange(100.0)), compression="szip"
    )
    whole = path.read_bytes()
    values = [169, 8, 64, 100]
    stored = struct.pack("<4I", *values)
    assert whole.count(stored) == 1
    values[at] = 0
    path.write_bytes(whole.replace(stored, struct.pack("<4I", *values)))
    assert refused(path).code == "F104"


@pytest.mark.parametrize("stored", [0, 8, SIZE + 8, 1 << 16])
def test_a_plain_chunk_of_another_stored_size_is_damage(tmp_path: Path, stored: int) -> None:
    """HDF5 2.0.0 writes a chunk that lists more than the shape needs past the end of its buffer."""
    path = with_field(tmp_path / "m.nir", lambda field: field.write_direct(np.arange(100.0)))
    whole = path.read_bytes()
    key = struct.pack(
        "<IIQQ", SIZE, 0, 0, 0
    )  # of the B-tree: stored size, mask, offset, element offset
    at = whole.index(key, whole.index(b"TREE\1"))
    path.write_bytes(whole[:at] + struct.pack("<I", stored) + whole[at + 4 :])
    assert refused(path).code == "F104"


def test_chunks_are_counted_over_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nirc.files.hdf5.file.Budget", lambda: Budget(chunks=2))
    path = with_field(tmp_path / "m.nir", lambda field: field.write_direct(np.ones(100)))
    assert found(path)[0] is not None
    with h5py.File(path, "r+") as file:
        for name in ("y", "z"):
            file[f"node/nodes/fc/{name}"] = file["node/nodes/fc/x"]
    assert refusal(path).code == "F106"
