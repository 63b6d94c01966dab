"""HDF5 with distrust: hard links only, sizes before bytes, no plugin, nothing stored elsewhere.

Text of variable length goes through :mod:`nirc.frontend.h5text`, never through HDF5's own reader.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.frontend.bounds import MAX_CHUNKS, MAX_FIELD_BYTES, MAX_LINKS, bytes_as_text, printable
from nirc.frontend.refusal import RefusalError

GZIP, SHUFFLE, FLETCHER32, SZIP, LZF = 1, 2, 3, 4, 32000
# What h5py can write by name. NBit (5) and ScaleOffset (6) trust sizes in the file; others are plugins.
FILTERS = {GZIP: "gzip", SHUFFLE: "shuffle", FLETCHER32: "fletcher32", SZIP: "szip", LZF: "lzf"}
CHECKSUM_BYTES = 4  # what fletcher32 adds to a chunk
LZF_RATIO = 88  # 264 bytes out of 3: the longest back reference
EXPORT_AGAIN = "export the model again"


class Hdf5:
    """An open HDF5 file. Every method raises :class:`RefusalError` and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with damage():
            self.file: Any = h5py.File(path, "r", locking=False)

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with damage():
            self.file.close()

    @cached_property
    def root(self) -> Any:
        """The group ``/``."""
        with damage():
            return h5py.h5g.open(self.file.id, b"/")

    def names(self, group: Any) -> list[str]:
        """Names of all links of a group, sorted, whatever they lead to."""
        found: list[bytes] = []

        def keep(name: bytes) -> bool | None:
            found.append(name)
            return True if len(found) > MAX_LINKS else None  # anything but None stops the walk

        with damage():
            group.links.iterate(keep, order=h5py.h5.ITER_NATIVE)  # other orders build a table first
        if len(found) > MAX_LINKS:
            raise RefusalError("F106", "a group has too many members", f"more than {MAX_LINKS}", str(MAX_LINKS))
        return sorted(as_text(name) for name in found)

    def open(self, group: Any, name: str) -> Any:
        """The group or dataset that a hard link leads to."""
        key = name.encode()
        with damage():
            kind = group.links.get_info(key).type
        if kind != h5py.h5l.TYPE_HARD:
            raise RefusalError(
                "F105",
                f"`{printable(name)}` is a {'soft' if kind == h5py.h5l.TYPE_SOFT else 'external'} link",
                limit="hard links",
                help="store the data itself in its place, for instance with h5py",
            )
        with damage():
            return h5py.h5o.open(group, key)

    def address(self, item: Any) -> int:
        """Where an object lies in the file: two links to it have the same address."""
        with damage():
            return int(h5py.h5o.get_info(item).addr)

    def has_attribute(self, item: Any, name: str) -> bool:
        """Whether an object has an attribute, whatever it holds."""
        with damage():
            return bool(h5py.h5a.exists(item, name.encode()))

    def number_attribute(self, item: Any, name: str) -> float | None:
        """A scalar numeric attribute; None if it is absent or something else (text is never touched)."""
        if not self.has_attribute(item, name):
            return None
        with damage():
            attribute = h5py.h5a.open(item, name.encode())
            if attribute.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
                return None
            if attribute.shape not in ((), (1,)):
                return None
            value = np.empty(attribute.shape, attribute.dtype)
            attribute.read(value)
            return float(value.reshape(()))

    def numbers(self, dataset: Any, limit: int = MAX_FIELD_BYTES) -> NDArray[np.generic]:
        """The array of a dataset in its stored type (native byte order), at most ``limit`` bytes."""
        dtype = number_type(dataset)
        shape = shape_of(dataset)
        check_size(shape, dtype.itemsize, limit)
        check_storage(dataset, shape, dtype.itemsize, limit)
        with damage():
            array = np.empty(shape, dtype)
            if array.size:
                dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return array


def is_group(item: Any) -> bool:
    """Whether an opened object is a group."""
    return isinstance(item, h5py.h5g.GroupID)


def is_dataset(item: Any) -> bool:
    """Whether an opened object is a dataset (the third kind is a named type)."""
    return isinstance(item, h5py.h5d.DatasetID)


@contextmanager
def damage() -> Iterator[None]:
    """What HDF5 raises on bytes that make no sense, as one refusal: its classes follow no rule."""
    try:
        yield
    except MemoryError as error:
        raise RefusalError("F106", "there is not enough memory for what the file asks") from error
    except RefusalError:
        raise
    except Exception as error:
        raise RefusalError(
            "F104",
            "the HDF5 library cannot read this part of the file",
            printable(str(error), 120),
            help=f"copy the file again from its source, or {EXPORT_AGAIN}",
        ) from error


def as_text(raw: bytes) -> str:
    """UTF-8 text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        shown = printable(raw.decode(errors="backslashreplace"))
        raise RefusalError(
            "F113", "a name or text is not UTF-8", shown, help=f"{EXPORT_AGAIN} with UTF-8 names"
        ) from error


def shape_of(dataset: Any) -> tuple[int, ...]:
    """The shape of a dataset; a dataset without any value is refused."""
    with damage():
        shape = dataset.shape
    if shape is None:
        raise RefusalError("F107", "the field has no value at all", "an empty HDF5 dataspace", "numbers or text")
    return tuple(int(n) for n in shape)


def number_type(dataset: Any) -> np.dtype[Any]:
    """The numpy type of a dataset of numbers: bool, integers, floats of 2, 4 or 8 bytes."""
    try:
        dtype = dataset.dtype
    except TypeError as error:
        raise RefusalError(
            "F107", "the field's type is unknown", printable(str(error), 120), "numbers or text"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise RefusalError("F104", "the field's type cannot be read", printable(str(error), 120)) from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise RefusalError(
            "F107",
            "the field holds something that is not numbers or text",
            printable(str(dtype)),
            "bool, integers, floats of 16, 32 or 64 bits; text",
            f"{EXPORT_AGAIN} with real numbers",
        )
    native: np.dtype[Any] = np.dtype(dtype.str).newbyteorder("=")  # by its name: an enumeration is its integers
    return native


def check_size(shape: Sequence[int], itemsize: int, limit: int) -> None:
    """Refuse an array above ``limit`` bytes."""
    size = math.prod(shape) * itemsize
    if size > limit:
        found = f"shape {tuple(shape)}, {bytes_as_text(size)}"
        raise RefusalError("F106", "the field is too large", found, bytes_as_text(limit))


def check_storage(dataset: Any, shape: Sequence[int], itemsize: int, limit: int) -> None:
    """Refuse data in other files, unknown filters, and chunks that unpack to more than they declare."""
    with damage():
        plist = dataset.get_create_plist()
        layout, elsewhere = plist.get_layout(), plist.get_external_count() > 0
    if elsewhere or layout == h5py.h5d.VIRTUAL:
        kind = "other files (external storage)" if elsewhere else "other datasets (a virtual dataset)"
        help_ = "store the values in this file, for instance with h5py"
        raise RefusalError("F105", f"the field's values lie in {kind}", limit="values in this file", help=help_)
    if layout != h5py.h5d.CHUNKED:
        return
    with damage():
        chunk = plist.get_chunk()
    check_size(chunk, itemsize, limit)
    if math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True)) > MAX_CHUNKS:
        raise RefusalError(
            "F106", "the field is cut into too many chunks", f"chunks of {chunk}", f"{MAX_CHUNKS} chunks"
        )
    packing = filters(dataset)
    if set(packing) & {GZIP, SZIP, LZF}:
        for _, raw, mask in chunks(dataset):
            _check_packed(raw, packing, mask, math.prod(chunk) * itemsize)


def filters(dataset: Any) -> tuple[int, ...]:
    """The filters of a dataset in the order of writing, each known and there once."""
    with damage():
        plist = dataset.get_create_plist()
        codes = tuple(int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters()))
    for code in codes:
        if code not in FILTERS or codes.count(code) > 1:
            raise RefusalError(
                "F107",
                "the field is packed by a filter that nirc does not run",
                f"HDF5 filter {code}" + (", twice" if code in FILTERS else ""),
                ", ".join(FILTERS.values()),
                "`h5repack -f GZIP=6 old.nir new.nir` packs the file anew",
            )
    return codes


def chunks(dataset: Any) -> Iterator[tuple[tuple[int, ...], bytes, int]]:
    """Each chunk as stored: where it starts, its bytes, the mask of filters that were left out for it."""
    found: list[tuple[int, ...]] = []

    def keep(info: Any) -> bool | None:
        found.append(info.chunk_offset)
        return True if len(found) > MAX_CHUNKS else None

    with damage():
        dataset.chunk_iter(keep)
    if len(found) > MAX_CHUNKS:
        raise RefusalError("F106", "the field is cut into too many chunks", f"more than {MAX_CHUNKS}", str(MAX_CHUNKS))
    for offset in found:
        with damage():
            mask, raw = dataset.read_direct_chunk(offset)
        yield offset, raw, mask


def _check_packed(raw: bytes, packing: Sequence[int], mask: int, size: int) -> None:
    """Refuse a stored chunk that unpacks to more than its ``size`` bytes: HDF5 would follow it without a bound."""
    most = size + CHECKSUM_BYTES
    active = [code for i, code in enumerate(packing) if not mask >> i & 1]
    if GZIP in active:
        inflate(raw, most)
    elif LZF in active and len(raw) * LZF_RATIO > max(most, MAX_FIELD_BYTES):
        raise RefusalError(
            "F106", "a packed chunk may unpack without end", bytes_as_text(len(raw)), bytes_as_text(most)
        )
    elif SZIP in active and int.from_bytes(raw[:4], "little") > most:
        raise RefusalError("F106", "a packed chunk unpacks to more than it declares", limit=bytes_as_text(most))


def inflate(raw: bytes, most: int) -> bytes:
    """Unpack gzip data of HDF5, at most ``most`` bytes."""
    try:
        data = zlib.decompressobj().decompress(raw, most + 1)
    except zlib.error as error:
        raise RefusalError("F104", "a packed chunk is damaged", str(error)) from error
    if len(data) > most:
        found, limit = f"more than {bytes_as_text(most)}", bytes_as_text(most)
        raise RefusalError("F106", "a packed chunk unpacks to more than it declares", found, limit)
    return data
