"""Small datasets in the layout that ``nir.write`` gives them, read from the bytes alone.

The HDF5 library takes most of the time of reading a network with thousands of small nodes. All of
their groups and datasets look alike. ``Plain`` reads these. It answers None for anything else, and
for anything odd: then the library reads it and reports faults. Nothing is trusted: each number of
the file is compared before it is used, and each value is there in full or the answer is None.

Sources (HDF5 file format specification 3.0): object headers of version 1 (IV.A.1.a), messages
(IV.A.2), symbol tables (III.A.1, III.B, III.C, III.D). Addresses and lengths have 8 bytes.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.files.bounds import MAX_NAME, RefusalError
from nirc.files.hdf5.chunks import CHECKSUM_BYTES, inflated

MOST_HEADER = 1 << 10  # bytes of an object header
MOST_BYTES = 1 << 20  # of an array, unpacked or stored
MOST_AXES = 8
MOST_NAMES = 1 << 12  # bytes of the names in a group
SPACE, KIND, FILL, LAYOUT, FILTERS, TABLE, NIL = 0x1, 0x3, 0x5, 0x8, 0xB, 0x11, 0x0
CONTIGUOUS, CHUNKED = 1, 2
FILL_VERSION, FILL_BYTES = 2, 8  # of the message, and its bytes without the value
# gzip alone, any level: version 1, one filter, the code, 8 bytes of a name, optional, one value.
GZIP_START = b"\1\1\0\0\0\0\0\0\1\0\x08\0\1\0\1\0deflate\0"
TEXT_BYTES = 16  # of a reference: length, address, index
NODE = struct.Struct("<4sBBHQQ")  # of a B-tree: signature, type, level, entries, siblings
OF_GROUPS, OF_CHUNKS = 0, 1
ENTRY = struct.Struct("<QQI20x")  # of a symbol table: place of the name, address, what is cached
SOFT = 2  # cached: a soft link
ODD = (struct.error, ValueError, IndexError, OSError, OverflowError, RefusalError)


@dataclass(frozen=True)
class _Dataset:
    """A dataset's shape, the message of its type, and where its values are."""

    shape: tuple[int, ...]
    kind: bytes
    layout: bytes
    packed: bool


class Plain:
    """Reads from an open file whose addresses count from its start, in 8 bytes."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def members(self, at: int) -> dict[str, int] | None:
        """Return the header's address of each member of a small group at ``at``, sorted by name."""
        try:
            return self._members(at)
        except ODD:
            return None

    def array(self, at: int) -> NDArray[np.generic] | None:
        """Return the numbers of the dataset at ``at``, in native byte order."""
        try:
            return self._array(at)
        except ODD:
            return None

    def reference(self, at: int) -> tuple[int, int, int] | None:
        """Return length, address and index of the only text of the dataset at ``at``."""
        try:
            found = self._dataset(at)
            if found is None or found.kind not in _texts():
                return None
            raw = self._contiguous(found, TEXT_BYTES)
            if math.prod(found.shape) != 1 or len(raw) != TEXT_BYTES:
                return None
            length, address, index = struct.unpack("<IQI", raw)
            return length, address, index
        except ODD:
            return None

    def _bytes(self, at: int, count: int) -> bytes:
        """Return ``count`` bytes, fewer at the end of the file."""
        return os.pread(self.descriptor, count, at)

    def _messages(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the messages of an object header. Raise ``ValueError`` if they are not usual."""
        raw = self._bytes(at, MOST_HEADER)
        version, count, size = struct.unpack_from("<BxHxxxxI", raw)
        place, end = 16, 16 + size
        if version != 1 or end > len(raw):
            raise ValueError
        while place < end:
            kind, length, flags = struct.unpack_from("<HHB", raw, place)
            place += 8 + length
            count -= 1
            if place > end or flags & ~1 or count < 0:
                raise ValueError
            yield kind, raw[place - length : place]
        if count:
            raise ValueError

    def _members(self, at: int) -> dict[str, int] | None:
        messages = dict(self._messages(at))
        if messages.keys() != {TABLE}:
            return None
        tree, heap = struct.unpack("<QQ", messages[TABLE])
        raw = self._bytes(tree, NODE.size + 16)
        signature, kind, level, entries, _, _ = NODE.unpack_from(raw)
        if (signature, kind, level, entries) != (b"TREE", OF_GROUPS, 0, 1):
            return None
        table = struct.unpack_from("<Q", raw, NODE.size + 8)[0]
        signature, size, names = struct.unpack("<8sQ8xQ", self._bytes(heap, 32))
        raw = self._bytes(table, 8 + 64 * ENTRY.size)
        start, count = struct.unpack_from("<6sH", raw)
        if signature != b"HEAP\0\0\0\0" or size > MOST_NAMES or start != b"SNOD\1\0":
            return None
        rows = list(islice(ENTRY.iter_unpack(raw[8 : 8 + len(raw[8:]) // 40 * 40]), count))
        texts = self._bytes(names, size)
        found = {}
        for place, header, cached in rows:
            end = texts.find(b"\0", place)
            if cached == SOFT or end < 0 or end - place > MAX_NAME:
                return None
            found[texts[place:end].decode()] = header
        return dict(sorted(found.items())) if len(found) == count else None

    def _dataset(self, at: int) -> _Dataset | None:
        messages = [(kind, body) for kind, body in self._messages(at) if kind != NIL]
        by_kind = dict(messages)
        if len(by_kind) != len(messages) or by_kind.keys() - {FILTERS, FILL} != {
            SPACE,
            KIND,
            LAYOUT,
        }:
            return None
        space, filters = by_kind[SPACE], by_kind.get(FILTERS, b"")
        version, axes, flags = struct.unpack_from("<BBB", space)
        usual = version == 1 and axes <= MOST_AXES and flags <= 1
        if not usual or (filters and not filters.startswith(GZIP_START)):
            return None
        shape = struct.unpack_from(f"<{axes}Q", space, 8)
        most = struct.unpack_from(f"<{axes}Q", space, 8 + 8 * axes) if flags else shape
        if any(n > limit for n, limit in zip(shape, most, strict=True)):
            return None
        if FILL in by_kind and not _fills(by_kind[FILL]):
            return None
        return _Dataset(shape, by_kind[KIND], by_kind[LAYOUT], bool(filters))

    def _array(self, at: int) -> NDArray[np.generic] | None:
        found = self._dataset(at)
        dtype = None if found is None else _kinds().get(found.kind)
        if found is None or dtype is None or not 0 < math.prod(found.shape) <= MOST_BYTES:
            return None
        stored = (self._chunk if found.packed else self._contiguous)(found, dtype.itemsize)
        size = math.prod(found.shape) * dtype.itemsize
        if found.packed:
            chunk = _chunk_of(found)
            whole = np.frombuffer(stored, dtype).reshape(chunk)
            return whole[tuple(map(slice, found.shape))].astype(dtype.newbyteorder("="), order="C")
        if len(stored) != size:
            return None
        return np.frombuffer(stored, dtype).reshape(found.shape).astype(dtype.newbyteorder("="))

    def _contiguous(self, found: _Dataset, itemsize: int) -> bytes:
        """Return the values of a dataset in one piece. Raise ``ValueError`` for another one."""
        version, kind, address, size = struct.unpack_from("<BBQQ", found.layout)
        wanted = math.prod(found.shape) * itemsize
        if (version, kind, size) != (3, CONTIGUOUS, wanted) or found.packed or size > MOST_BYTES:
            raise ValueError
        return self._bytes(address, size)

    def _chunk(self, found: _Dataset, itemsize: int) -> bytes:
        """Return the only chunk of a dataset, unpacked. Raise ``ValueError`` for others."""
        axes = len(found.shape)
        version, kind, rank, address = struct.unpack_from("<BBBQ", found.layout)
        chunk = _chunk_of(found)
        size = math.prod(chunk) * itemsize
        alone = all(0 < n <= c for n, c in zip(found.shape, chunk, strict=True))
        if (version, kind, rank) != (3, CHUNKED, axes + 1) or not alone or size > MOST_BYTES:
            raise ValueError
        if struct.unpack_from("<I", found.layout, 11 + 4 * axes)[0] != itemsize:
            raise ValueError
        key = struct.Struct(f"<II{8 * rank}sQ")
        raw = self._bytes(address, NODE.size + key.size)
        signature, kind, level, entries, _, _ = NODE.unpack_from(raw)
        stored, mask, offset, place = key.unpack_from(raw, NODE.size)
        if (signature, kind, level, entries) != (b"TREE", OF_CHUNKS, 0, 1):
            raise ValueError
        if mask or any(offset) or stored > MOST_BYTES:
            raise ValueError
        packed = self._bytes(place, stored)
        data, ended = inflated(packed, size + CHECKSUM_BYTES)
        if len(packed) != stored or len(data) != size or not ended:
            raise ValueError
        return data


def _fills(message: bytes) -> bool:
    """Return True for the value that fills a dataset, as version 2 of the message has it."""
    version, defined = message[0], message[3]
    size = struct.unpack_from("<i", message, 4)[0] if defined else 0
    return version == FILL_VERSION and 0 <= size <= len(message) - FILL_BYTES


def _chunk_of(found: _Dataset) -> tuple[int, ...]:
    """Return the shape of a chunk."""
    return struct.unpack_from(f"<{len(found.shape)}I", found.layout, 11)


@cache
def _texts() -> frozenset[bytes]:
    """Return the messages that stand for a text of variable length in a header."""
    messages = []
    for charset in ("utf-8", "ascii"):
        in_memory = h5py.h5t.py_create(h5py.string_dtype(charset), logical=True).encode()[2:]
        message = in_memory[:4] + struct.pack("<I", TEXT_BYTES) + in_memory[8:]
        messages.append(message + bytes(-len(message) % 8))
    return frozenset(messages)


@cache
def _kinds() -> dict[bytes, np.dtype[Any]]:
    """Return the types of numbers by the message that stands for each in a header."""
    kinds = {}
    for order in "<>":
        for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
            dtype = np.dtype(order + name)
            message = h5py.h5t.py_create(dtype).encode()[2:]
            kinds[message + bytes(-len(message) % 8)] = dtype
    return kinds
