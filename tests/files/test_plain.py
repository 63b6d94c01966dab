"""Small datasets of the usual layout are read without the HDF5 library, to the same numbers."""

from __future__ import annotations

import struct
from itertools import chain as joined
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.log import Log
from nirc.files.hdf5.file import Hdf5
from nirc.frontend.hdf5 import read_raw
from nirc.frontend.raw import RawGraph
from tests.models import chain, cuba, linear

Contents = dict[str, object]


def written(path: Path) -> Path:
    rng = np.random.default_rng(0)
    nir.write(path, chain(5, linear(rng, 4, 5), cuba(4), n_out=4))
    return path


def contents(graph: RawGraph) -> Contents:
    """Return types and values by place."""
    found: Contents = {}
    for name, node in graph.nodes.items():
        found[name] = node.type
        for key, value in node.fields.items():
            array = np.asarray(value)
            found[f"{name}/{key}"] = (array.dtype.str, array.shape, array.tobytes())
    return found


def by_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> Contents:
    with monkeypatch.context() as patched:
        patched.setattr(Hdf5, "plain_members", lambda *_: None)
        return contents(read_raw(path, Log()))


def test_a_file_of_nir_write_is_read_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "m.nir")
    wanted = by_library(path, monkeypatch)
    monkeypatch.setattr(Hdf5, "numbers", lambda *_: pytest.fail("the library was asked"))
    assert contents(read_raw(path, Log())) == wanted


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", ">i2", "<i8", "|u1", "|i1", "bool"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"chunks": (3, 4)},
        {"chunks": (2, 3), "compression": "gzip"},
        {"chunks": (8, 8), "maxshape": (None, 9), "compression": "gzip"},
        {"chunks": (3, 4), "compression": "gzip", "shuffle": True},
        {"chunks": (3, 4), "compression": "gzip", "fletcher32": True},
        {"fillvalue": 7, "chunks": (3, 4), "compression": "lzf"},
    ],
)
def test_numbers_of_any_layout_are_those_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, layout: dict[str, object]
) -> None:
    path = written(tmp_path / "m.nir")
    with h5py.File(path, "r+") as file:
        del file["node/nodes/linear0/weight"]
        values = np.arange(12).reshape(3, 4).astype(kind)
        file["node/nodes/linear0"].create_dataset("weight", data=values, **layout)
    assert contents(read_raw(path, Log())) == by_library(path, monkeypatch)


@pytest.mark.parametrize("written_part", [None, slice(0, 1)])
def test_values_that_were_never_written_are_those_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_part: slice | None
) -> None:
    path = written(tmp_path / "m.nir")
    with h5py.File(path, "r+") as file:
        del file["node/nodes/linear0/weight"]
        made = file["node/nodes/linear0"].create_dataset(
            "weight", (2, 2), "f4", fillvalue=3, chunks=(1, 2), compression="gzip"
        )
        if written_part is not None:
            made[written_part] = 1
    assert contents(read_raw(path, Log())) == by_library(path, monkeypatch)


def test_a_flipped_byte_changes_no_number_without_the_library_seeing_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the headers of weights and of a text, and in a chunk. The library refuses the rest."""
    path = written(tmp_path / "m.nir")
    with h5py.File(path) as file:
        group = file["node/nodes/linear0"].id
        headers = [group.links.get_info(name).u for name in (b"weight", b"type")]
        chunk = h5py.h5d.open(group, b"weight").get_chunk_info(0)
    data = path.read_bytes()
    places = [*joined.from_iterable(range(header, header + 160) for header in headers)]
    places += range(chunk.byte_offset, chunk.byte_offset + chunk.size)
    for place in places:
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << place % 8
        path.write_bytes(spoilt)
        try:
            found = contents(read_raw(path, Log()))
        except InputError:
            continue
        assert found == by_library(path, monkeypatch), place


def test_a_type_of_one_byte_is_refused_by_the_library(tmp_path: Path) -> None:
    """The header is sound for its length, and the text's type is cut off."""
    path = written(tmp_path / "m.nir")
    with h5py.File(path) as file:
        group = file["node/nodes/linear0"].id
        header = group.links.get_info(b"type").u
    data = bytearray(path.read_bytes())
    bodies = {1: bytes([1, *[0] * 7]), 3: b"\x19", 8: bytes([3, 1, *[0] * 22])}
    messages = b"".join(struct.pack("<HH4x", k, len(body)) + body for k, body in bodies.items())
    messages += struct.pack("<HH4x", 0, 256 - len(messages) - 8)
    data[header : header + 16 + len(messages)] = struct.pack("<BxHII4x", 1, 4, 1, 256) + messages
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_raw(path, Log())
