"""Text in HDF5 files. Text of variable length is read here, byte by byte, and never by the HDF5
library.

Measured with HDF5 2.0.0 on 8000 NIR files with a few flipped bytes: one crashed the process and
seven hung it, all of them while the library read text of variable length. The library refused the
others with an exception. Repeated references to one long text can also ask for any amount of
memory.

Layout (HDF5 file format specification 3.0, sections III.E and IV.A.2.e): an element is the length
(4 bytes), the address of a collection, and an index (4 bytes). A collection is ``GCOL``, a version,
its size, then objects.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.file import DamagedFile, NotNumbersOrText, TooMuchAsked
from nirc.files.bounds import (
    COPY_OR_EXPORT,
    MAX_FIELD_BYTES,
    MAX_HEAP_OBJECTS,
    MAX_TEXT,
    MAX_TOTAL_TEXT,
    RefusalError,
    bytes_as_text,
    damage,
    refused,
)
from nirc.files.hdf5 import chunks
from nirc.files.hdf5.chunks import Budget
from nirc.files.hdf5.file import Hdf5, as_text, shape_of


class Texts:
    """Reads the texts of one open file."""

    def __init__(self, hdf5: Hdf5) -> None:
        self.hdf5 = hdf5
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}
        self._objects = 0
        self._bytes = 0

    def read(self, dataset: Any, most: int) -> list[str]:
        """Return the texts of a dataset (C order), at most ``most``. Raises ``RefusalError``."""
        shape = shape_of(dataset)
        if math.prod(shape) > most:
            raise refused(
                TooMuchAsked, "the field holds too many texts", f"shape {shape}", f"{most} texts"
            )
        if 0 in shape:
            return []
        raw = (
            self._variable(dataset, shape) if _is_variable(dataset) else self._fixed(dataset, shape)
        )
        return [as_text(text) for text in raw]

    def at(self, reference: tuple[int, int, int]) -> str:
        """Return the text with this length, at this address of a collection, with this index."""
        return as_text(self._one(self.hdf5.stored, *reference))

    def one(self, dataset: Any) -> str:
        """Return the only text of a dataset of shape () or (1,)."""
        if not is_text(dataset):
            raise refused(NotNumbersOrText, "the field should be text", limit="one text")
        shape = shape_of(dataset)
        if math.prod(shape) != 1:
            raise refused(
                NotNumbersOrText, "the field should be one text", f"shape {shape}", "one text"
            )
        return self.read(dataset, most=1)[0]

    def _count(self, count: int) -> None:
        """Count ``count`` bytes of text. Refuse more than a file may have."""
        self._bytes += count
        if self._bytes > MAX_TOTAL_TEXT:
            raise refused(
                TooMuchAsked, "the file holds too much text", limit=bytes_as_text(MAX_TOTAL_TEXT)
            )

    def _fixed(self, dataset: Any, shape: tuple[int, ...]) -> list[bytes]:
        with damage():
            dtype = dataset.dtype
        if dtype.itemsize > MAX_TEXT:
            raise _too_long(dtype.itemsize)
        self._count(math.prod(shape) * dtype.itemsize)
        chunks.check_storage(dataset, shape, dtype.itemsize, MAX_FIELD_BYTES, self.hdf5.budget)
        values = np.zeros(shape, np.dtype(dtype.str))
        with damage():
            dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
        return [bytes(value) for value in values.ravel()]

    def _variable(self, dataset: Any, shape: tuple[int, ...]) -> list[bytes]:
        address_bytes = self._sizes[0]
        element = np.dtype([("length", "<u4"), ("address", f"<u{address_bytes}"), ("index", "<u4")])
        references = self._references(dataset, shape, element.itemsize).view(element).ravel()
        file = self.hdf5.stored
        return [self._one(file, int(n), int(at), int(i)) for n, at, i in references.tolist()]

    @cached_property
    def _sizes(self) -> tuple[int, int, int]:
        """Bytes of an address, bytes of a length, and the place of address 0 in the file."""
        with damage():
            plist = self.hdf5.file.id.get_create_plist()
            address, length = plist.get_sizes()
            base = plist.get_userblock()
        if {address, length} - {2, 4, 8}:
            raise refused(
                DamagedFile,
                "the sizes in the superblock make no sense",
                f"{address} and {length} bytes",
            )
        return address, length, base

    def _references(self, dataset: Any, shape: tuple[int, ...], itemsize: int) -> NDArray[np.void]:
        """Return the stored elements of a dataset of variable-length text, not yet followed."""
        chunks.check_storage(dataset, shape, itemsize, MAX_FIELD_BYTES, self.hdf5.budget)
        with damage():
            layout = dataset.get_create_plist().get_layout()
            offset = dataset.get_offset()
        references = np.zeros(shape, f"V{itemsize}")
        if layout == h5py.h5d.CHUNKED:
            _fill_from_chunks(references, dataset, self.hdf5.budget)
        elif layout == h5py.h5d.COMPACT:
            help_ = "`h5repack -l CONTI old.nir new.nir` stores it otherwise"
            raise refused(
                NotNumbersOrText,
                "text of variable length is stored in an object header",
                help=help_,
            )
        elif offset is not None:
            raw = _bytes(self.hdf5.stored, offset, references.nbytes)
            references = np.frombuffer(raw, f"V{itemsize}").reshape(shape)
        return references

    def _one(self, file: BinaryIO, length: int, address: int, index: int) -> bytes:
        if length == 0:
            return b""
        if length > MAX_TEXT:
            raise _too_long(length)
        self._count(length)
        if address not in self._collections:
            self._collections[address] = self._collection(file, address)
        start, size = self._collections[address].get(index, (0, -1))
        if size < length:
            raise _damaged("a text is not where the file says")
        return _bytes(file, start, length).split(b"\0", 1)[0]

    def _collection(self, file: BinaryIO, address: int) -> dict[int, tuple[int, int]]:
        """Return place and size of each object of the global heap at ``address``, by index."""
        _, width, base = self._sizes
        header = _bytes(file, base + address, 8 + width)
        if not header.startswith(b"GCOL\1"):
            raise _damaged("a text is not where the file says")
        at = base + address + 8 + width
        end = base + address + int.from_bytes(header[8:], "little")
        objects: dict[int, tuple[int, int]] = {}
        while at + 8 + width <= end:
            entry = _bytes(file, at, 8 + width)
            index = int.from_bytes(entry[:2], "little")
            size = int.from_bytes(entry[8:], "little")
            if index == 0:  # free space up to the end
                break
            objects[index] = (at + 8 + width, size)
            at += 8 + width + -(-size // 8) * 8
            self._objects += 1
            if self._objects > MAX_HEAP_OBJECTS:
                raise refused(
                    TooMuchAsked, "the file lists too many texts", limit=f"{MAX_HEAP_OBJECTS} texts"
                )
        return objects


def is_text(dataset: Any) -> bool:
    """Return True if a dataset holds text, of fixed or variable length."""
    with damage():
        return bool(dataset.get_type().get_class() == h5py.h5t.STRING)


def _is_variable(dataset: Any) -> bool:
    with damage():
        return bool(dataset.get_type().is_variable_str())


def _fill_from_chunks(references: NDArray[np.void], dataset: Any, budget: Budget) -> None:
    with damage():
        plist = dataset.get_create_plist()
        shape = plist.get_chunk()
    size = math.prod(shape) * references.itemsize
    for chunk in chunks.chunks(dataset, chunks.filters(plist, references.itemsize), budget, size):
        data = _unpack(chunk.raw, chunk.packing, size, references.itemsize)
        block = np.frombuffer(data, references.dtype).reshape(shape)
        inside = tuple(slice(o, o + c) for o, c in zip(chunk.offset, shape, strict=True))
        part = references[inside]  # chunks at the edge stick out
        part[...] = block[tuple(slice(n) for n in part.shape)]


def _unpack(raw: bytes, active: Sequence[int], size: int, itemsize: int) -> bytes:
    """Undo gzip and shuffle, last filter first."""
    for code in reversed(active):
        if code == chunks.GZIP:
            raw = chunks.inflate(raw, size)
        elif code == chunks.SHUFFLE and len(raw) % itemsize == 0:
            raw = np.frombuffer(raw, np.uint8).reshape(itemsize, -1).T.tobytes()
        else:
            help_ = "`h5repack -f NONE old.nir new.nir` unpacks it"
            raise refused(
                NotNumbersOrText,
                "text packed in this way is not read",
                chunks.FILTERS[code],
                "gzip",
                help_,
            )
    if len(raw) != size:
        raise _damaged("a packed chunk has the wrong size")
    return raw


def _bytes(file: BinaryIO, at: int, count: int) -> bytes:
    try:
        raw = os.pread(file.fileno(), count, at)
    except (OSError, OverflowError):  # a place that no file has
        raw = b""
    if len(raw) != count:
        raise _damaged("a text lies outside the file")
    return raw


def _damaged(message: str) -> RefusalError:
    return refused(DamagedFile, message, help=COPY_OR_EXPORT)


def _too_long(length: int) -> RefusalError:
    return refused(
        TooMuchAsked, "a text is too long", bytes_as_text(length), bytes_as_text(MAX_TEXT)
    )
