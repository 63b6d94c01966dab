"""The stored values of a dataset, checked byte by byte before the HDF5 library may read them.

HDF5 2.0.0 trusts the file about a chunk. A stored size, a mask or a packed stream may
yield fewer bytes than the chunk declares: HDF5 reads past the end of its buffer (garbage, or a
crash). One that yields more is followed without a bound. szip divides by a number in the file. So
nirc measures what each chunk unpacks to. Only a chunk of exactly the declared size reaches the
library.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.file import DamagedFile, NotNumbersOrText, StoredElsewhere, TooMuchAsked
from nirc.files.bounds import (
    COPY_OR_EXPORT,
    MAX_CHUNKS,
    MAX_LZF_BYTES,
    RefusalError,
    bytes_as_text,
    damage,
    refused,
)

GZIP, SHUFFLE, FLETCHER32, SZIP, LZF = 1, 2, 3, 4, 32000
# Filters that h5py can write by name. NBit (5) and ScaleOffset (6) trust sizes in the file. Others
# are plugins.
FILTERS = {GZIP: "gzip", SHUFFLE: "shuffle", FLETCHER32: "fletcher32", SZIP: "szip", LZF: "lzf"}
PACKERS = {GZIP, SZIP, LZF}
CHECKSUM_BYTES = 4  # what fletcher32 adds to a chunk
SMALL_CHUNK = 1 << 16  # bytes that packing may make larger
SZIP_SIZE_BYTES = 4  # the unpacked size, before the stream
SZIP_BLOCK = 32  # most pixels of a block (HDF5 User Guide, szip)
SZIP_LINE = 4096  # most pixels of a scan line


@dataclass(frozen=True)
class Chunk:
    """One chunk: its first element, its bytes as stored, and the filters applied to it."""

    offset: tuple[int, ...]
    raw: bytes
    packing: tuple[int, ...]


@dataclass
class Budget:
    """The rest that one file may ask for. Any number of datasets can list the same chunks."""

    chunks: int = MAX_CHUNKS
    lzf_bytes: int = MAX_LZF_BYTES


def check_size(shape: Sequence[int], itemsize: int, limit: int) -> None:
    """Refuse an array above ``limit`` bytes (F106)."""
    size = math.prod(shape) * itemsize
    if size > limit:
        found = f"shape {tuple(shape)}, {bytes_as_text(size)}"
        raise refused(TooMuchAsked, "the field is too large", found, bytes_as_text(limit))


def check_storage(
    dataset: Any,
    shape: Sequence[int],
    itemsize: int,
    limit: int,
    budget: Budget,
    *,
    first_row: bool = False,
    array: NDArray[np.generic] | None = None,
) -> bool:
    """Refuse values in other files, unknown filters, and bytes that do not match the shape.

    ``first_row``: look at the chunks of the first row only, since no others are read.
    ``array``: room for the values in the stored type. Return True if the values are in it now.
    This spares the library to unpack them again.
    """
    with damage():
        plist = dataset.get_create_plist()
        layout = plist.get_layout()
        elsewhere = plist.get_external_count() > 0
    if elsewhere or layout == h5py.h5d.VIRTUAL:
        virtual = "other datasets (a virtual dataset)"
        kind = "other files (external storage)" if elsewhere else virtual
        problem = f"the field's values lie in {kind}"
        help_ = "store the values in this file, for instance with h5py"
        raise refused(
            StoredElsewhere,
            problem,
            limit="values in this file",
            help=help_,
        )
    if layout == h5py.h5d.CHUNKED:
        with damage():
            chunk = plist.get_chunk()
        _check_grid(shape, chunk, itemsize, limit)
        packing = filters(plist, itemsize)
        size = math.prod(chunk) * itemsize
        every = chunks(dataset, packing, budget, size, first_row=first_row)
        if array is not None and packing == (GZIP,):
            return _filled(array, chunk, every, size, budget)
        for one in every:
            _check_length(unpacked_length(one, size, budget), size)
        return False
    with damage():
        stored = int(dataset.get_storage_size())
    if stored not in (0, math.prod(shape) * itemsize):  # 0: never written, reads as zeros
        raise _wrong_size(stored, math.prod(shape) * itemsize)
    return False


def _check_grid(shape: Sequence[int], chunk: tuple[int, ...], itemsize: int, limit: int) -> None:
    """Refuse chunks that are too large or too many."""
    check_size(chunk, itemsize, limit)
    if math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True)) > MAX_CHUNKS:
        found = f"chunks of {chunk}"
        raise refused(
            TooMuchAsked, "the field is cut into too many chunks", found, f"{MAX_CHUNKS} chunks"
        )


def _check_length(length: int, size: int) -> None:
    if length != size:
        raise _wrong_size(length, size)


def _filled(
    array: NDArray[np.generic],
    shape: tuple[int, ...],
    every: Iterator[Chunk],
    size: int,
    budget: Budget,
) -> bool:
    """Unpack chunks of ``shape`` into ``array``. Return False if the library is to read it.

    That is so if a chunk was never written, skips the filter or has no end.
    """
    missing = set(product(*(range(0, n, c) for n, c in zip(array.shape, shape, strict=True))))
    for one in every:
        if one.packing != (GZIP,):
            _check_length(unpacked_length(one, size, budget), size)
            continue
        data, ended = inflated(one.raw, size + CHECKSUM_BYTES)
        _check_length(len(data), size)
        if ended and one.offset in missing:
            missing.remove(one.offset)
            part = array[tuple(slice(o, o + c) for o, c in zip(one.offset, shape, strict=True))]
            block = np.frombuffer(data, array.dtype).reshape(shape)
            part[...] = block[tuple(map(slice, part.shape))]  # chunks at the edge stick out
    return not missing


def filters(plist: Any, itemsize: int) -> tuple[int, ...]:
    """Return the filters of a dataset in the order of writing.

    Refuse unknown filters, a filter that is there twice, and a second filter that packs.
    """
    with damage():
        stored = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    codes = tuple(int(one[0]) for one in stored)
    for code in codes:
        twice = codes.count(code) > 1 or (code in PACKERS and len(PACKERS & set(codes)) > 1)
        if code not in FILTERS or twice:
            raise refused(
                NotNumbersOrText,
                "the field is packed by a filter that nirc does not run",
                f"HDF5 filter {code}" + (", packed twice" if code in FILTERS else ""),
                ", ".join(FILTERS.values()),
                "`h5repack -f GZIP=6 old.nir new.nir` packs the file anew",
            )
    for code, _, values, _ in stored:
        if code == SZIP:
            _check_szip(values, itemsize)
    return codes


def _check_szip(values: Sequence[int], itemsize: int) -> None:
    """Refuse senseless parameters: mask, pixels a block, bits a pixel, pixels a line.

    HDF5 divides by the pixels of a block.
    """
    good = len(values) == 4 and values[2] == 8 * itemsize and values[1] % 2 == 0
    if not good or not 2 <= values[1] <= SZIP_BLOCK or not values[1] <= values[3] <= SZIP_LINE:
        raise refused(DamagedFile, "the parameters of szip make no sense", str(tuple(values))[:60])


def chunks(
    dataset: Any,
    packing: tuple[int, ...],
    budget: Budget,
    size: int,
    *,
    first_row: bool = False,
) -> Iterator[Chunk]:
    """Yield each chunk as stored, or those of the first row, of ``size`` bytes unpacked.

    The stored size is compared first. HDF5 2.0.0 writes past its buffer when it reads an unpacked
    chunk with a larger size. The size is looked up as the library does it, since a damaged index
    may list a place twice.
    """
    offsets: list[tuple[int, ...]] = []

    def keep(info: Any) -> bool | None:
        offsets.append(info.chunk_offset)
        return True if len(offsets) > budget.chunks else None  # anything but None stops the walk

    with damage():
        dataset.chunk_iter(keep)
    budget.chunks -= len(offsets)
    if budget.chunks < 0:
        raise refused(
            TooMuchAsked, "the file is cut into too many chunks", limit=f"{MAX_CHUNKS} chunks"
        )
    for offset in [each for each in offsets if not (first_row and each[0])]:
        with damage():
            stored = int(dataset.get_chunk_info_by_coord(offset).size)
        if stored > 2 * size + SMALL_CHUNK or (not packing and stored != size):
            raise _wrong_size(stored, size)
        with damage():
            mask, raw = dataset.read_direct_chunk(offset)
        yield Chunk(offset, raw, tuple(code for i, code in enumerate(packing) if not mask >> i & 1))


def unpacked_length(chunk: Chunk, size: int, budget: Budget) -> int:
    """Return the unpacked bytes of ``chunk``, counted up to ``size``. Refuses with F104, F106."""
    raw = chunk.raw
    length = len(raw)
    most = size + CHECKSUM_BYTES
    for code in reversed(chunk.packing):
        if code == FLETCHER32:
            raw = raw[:-CHECKSUM_BYTES]
            length -= CHECKSUM_BYTES
        elif code == GZIP:
            length = len(inflate(raw, most))
        elif code == SZIP:
            length = int.from_bytes(raw[:SZIP_SIZE_BYTES], "little")
        elif code == LZF:
            budget.lzf_bytes -= len(raw)
            if budget.lzf_bytes < 0:
                limit = bytes_as_text(MAX_LZF_BYTES)
                raise refused(
                    TooMuchAsked,
                    "the file holds too much packed by lzf",
                    limit=limit,
                    help="use gzip",
                )
            length = _lzf_length(raw, most)
    return length


def inflate(raw: bytes, most: int) -> bytes:
    """Unpack gzip data of HDF5, at most ``most`` bytes."""
    return inflated(raw, most)[0]


def inflated(raw: bytes, most: int) -> tuple[bytes, bool]:
    """Return the unpacked data, and False if its end or its checksum is cut off."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(raw, most + 1)
    except zlib.error as error:
        raise refused(DamagedFile, "a packed chunk is damaged", str(error)) from error
    if len(data) > most:
        raise _too_much(most)
    return data, stream.eof


def _lzf_length(raw: bytes, most: int) -> int:
    """Return the unpacked length of an lzf stream.

    A control byte below 32 is followed by text. Other control bytes repeat what was before.
    """
    at = 0
    length = 0
    try:
        while at < len(raw):
            control = raw[at]
            if control < 32:
                at += control + 2
                length += control + 1
            else:
                long = control >> 5 == 7
                length += (control >> 5) + 2 + (raw[at + 1] if long else 0)
                at += 3 if long else 2
            if length > most:
                raise _too_much(most)
    except IndexError:
        at = len(raw) + 1
    if at != len(raw):
        raise refused(
            DamagedFile, "a packed chunk is damaged", "an lzf stream that stops in the middle"
        )
    return length


def _too_much(most: int) -> RefusalError:
    problem = "a packed chunk unpacks to more than it declares"
    limit = bytes_as_text(most)
    return refused(TooMuchAsked, problem, f"more than {limit}", limit)


def _wrong_size(found: int, wanted: int) -> RefusalError:
    problem = "the stored values have the wrong size"
    return refused(DamagedFile, problem, f"{found} bytes", f"{wanted} bytes", COPY_OR_EXPORT)
