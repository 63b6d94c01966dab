"""HDF5 with distrust: hard links only, sizes before bytes, no plugin, nothing stored elsewhere.

Text of variable length goes through :mod:`nirc.files.hdf5.text`, never through HDF5's own reader.
Before the library opens a file, two parts are read here.

The superblock (HDF5 file format specification 3.0, section II.A) notes where the file should end,
and if its writer closed it. Versions 0 and 1 begin with the sizes of addresses and lengths at byte
13, versions 2 and 3 at byte 9.

A local heap (section III.D) is ``HEAP``, version 0, three bytes, the size of the data, the offset
of the first free block, the address of the data. A free block begins with the offset of the next,
1 for none. HDF5 2.0.0 follows a list of free blocks without an end until the memory is full. One
changed number makes such a list. Each group of a file of nir.write has such a heap.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.file import (
    EXPORT_AGAIN,
    UNFINISHED,
    DamagedFile,
    NotNumbersOrText,
    StoredElsewhere,
    TooMuchAsked,
    UnreadableNames,
)
from nirc.files.bounds import (
    COPY_OR_EXPORT,
    MAX_FIELD_BYTES,
    MAX_HEAP_OBJECTS,
    MAX_LINKS,
    MAX_NAME,
    RefusalError,
    cause,
    damage,
    printable,
    refused,
)
from nirc.files.foreign import signature_offset
from nirc.files.hdf5.chunks import Budget, check_size, check_storage
from nirc.files.hdf5.plain import Plain

MAX_NAME_BYTES = 4 * MAX_NAME  # UTF-8
LONGEST = 128  # bytes that hold all that is read of any superblock
MAX_ADDRESS = 32  # bytes of an address, as the library allows
# By version, else 9: a byte for the size of addresses, one for the size of lengths.
SIZES_AT = {0: 13, 1: 13}
ADDRESSES_AT = {0: 24, 1: 28}  # by version, else 12: base, something else, end of file
FLAGS_AT = 11  # of version 3, bit 0: open for writing
OPEN_FOR_WRITING = 1
HEAP = b"HEAP\0"
LAST = 1  # "no further free block"


class Hdf5:
    """An open HDF5 file. Every method raises :class:`RefusalError` and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.budget = Budget()
        try:
            with damage():
                _check_finished(path)
                _check_local_heaps(path)
                self.file: Any = h5py.File(path, "r", locking=False)
        except RefusalError as refusal:
            raise _explained(refusal, path) from refusal
        self.stored: BinaryIO = path.open("rb")  # the bytes, for texts
        block = _superblock(path)
        usual = block is not None and (block.base, block.address_bytes, block.length_bytes)
        # Reads most of a file that nir.write has written.
        self.plain = Plain(self.stored.fileno()) if usual == (0, 8, 8) else None

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with damage(), self.stored:
            self.file.close()

    @cached_property
    def root(self) -> Any:
        """The group ``/``."""
        with damage():
            return h5py.h5g.open(self.file.id, b"/")

    def names(self, group: Any) -> list[str]:
        """Return the names of all links of a group, sorted, of any kind."""
        links: list[bytes] = []

        def keep(name: bytes) -> bool | None:
            links.append(name)  # many links may share one long name
            full = len(links) > MAX_LINKS or len(name) > MAX_NAME_BYTES
            return True if full else None  # None goes on

        with damage():
            group.links.iterate(keep, order=h5py.h5.ITER_NATIVE)  # other orders build a table first
        if len(links) > MAX_LINKS:
            problem = "a group has too many members"
            raise refused(TooMuchAsked, problem, f"more than {MAX_LINKS}", str(MAX_LINKS))
        if max(map(len, links), default=0) > MAX_NAME_BYTES:
            raise refused(TooMuchAsked, "a name is too long", limit=f"{MAX_NAME} characters")
        return sorted(as_text(name) for name in links)

    def open(self, group: Any, name: str) -> Any:
        """Return the group or dataset that a hard link leads to."""
        key = name.encode()
        with damage():
            kind = group.links.get_info(key).type
        if kind != h5py.h5l.TYPE_HARD:
            link = "soft" if kind == h5py.h5l.TYPE_SOFT else "external"
            help_ = "store the data itself in its place, for instance with h5py"
            problem = f"`{printable(name)}` is a {link} link"
            raise refused(StoredElsewhere, problem, limit="hard links", help=help_)
        with damage():
            return h5py.h5o.open(group, key)

    def plain_members(self, group: Any, name: str) -> dict[str, int] | None:
        """Return the members of a group of the usual layout, see :mod:`nirc.files.hdf5.plain`."""
        if self.plain is None:
            return None
        with damage():
            link = group.links.get_info(name.encode())
            return self.plain.members(link.u) if link.type == h5py.h5l.TYPE_HARD else None

    @staticmethod
    def is_group(item: Any) -> bool:
        """Return True for a group."""
        return isinstance(item, h5py.h5g.GroupID)

    @staticmethod
    def is_dataset(item: Any) -> bool:
        """Return True for a dataset. The third kind of object is a named type."""
        return isinstance(item, h5py.h5d.DatasetID)

    def address(self, item: Any) -> int:
        """Return the address of an object. Two links to the object have the same address."""
        with damage():
            return int(h5py.h5o.get_info(item).addr)

    def has_attribute(self, item: Any, name: str) -> bool:
        """Return True if an object has an attribute, of any contents."""
        with damage():
            return bool(h5py.h5a.exists(item, name.encode()))

    def number_attribute(self, item: Any, name: str) -> float | None:
        """Return a scalar numeric attribute, None for an absent or other one.

        The text of an attribute is never read.
        """
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
        """Return the array of a dataset, in native byte order. It has at most ``limit`` bytes."""
        dtype = _number_type(dataset)
        shape = shape_of(dataset)
        check_size(shape, dtype.itemsize, limit)
        with damage():
            array = np.empty(shape, dtype)
            as_stored = dataset.get_type() == h5py.h5t.py_create(dtype)
        room = array if as_stored else None
        if check_storage(dataset, shape, dtype.itemsize, limit, self.budget, array=room):
            return array
        with damage():
            if array.size:
                dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return array

    def first_row(self, dataset: Any, limit: int = MAX_FIELD_BYTES) -> NDArray[np.generic]:
        """Return the first row (columns,) of a matrix of at most ``limit`` bytes.

        No other row is read.
        """
        dtype = _number_type(dataset)
        shape = shape_of(dataset)
        check_size(shape, dtype.itemsize, limit)
        check_storage(dataset, shape, dtype.itemsize, limit, self.budget, first_row=True)
        with damage():
            row = np.empty(shape[1:], dtype)
            place = dataset.get_space()
            place.select_hyperslab((0, 0), (1, shape[1]))
            dataset.read(h5py.h5s.create_simple(shape[1:]), place, row)
        return row


def as_text(raw: bytes) -> str:
    """Return UTF-8 text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        found = printable(raw.decode(errors="backslashreplace"))
        help_ = f"{EXPORT_AGAIN} with UTF-8 names"
        raise refused(UnreadableNames, "a name or text is not UTF-8", found, help=help_) from error


def shape_of(dataset: Any) -> tuple[int, ...]:
    """Return the shape of a dataset. Refuse a dataset without any value."""
    with damage():
        shape = dataset.shape
    if shape is None:
        found = "an empty HDF5 dataspace"
        raise refused(NotNumbersOrText, "the field has no value at all", found, "numbers or text")
    return tuple(int(n) for n in shape)


def _number_type(dataset: Any) -> np.dtype[Any]:
    """Return the numpy type of numbers: bool, integers, floats of 2, 4 or 8 bytes."""
    try:
        dtype = dataset.dtype
        stored = dataset.get_type().get_size()
    except TypeError as error:
        problem = "the field's type is unknown"
        raise refused(NotNumbersOrText, problem, cause(error), "numbers or text") from error
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        problem = "the field's type cannot be read"
        raise refused(DamagedFile, problem, cause(error)) from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or stored != dtype.itemsize:
        problem = "the field holds something that is not numbers or text"
        limit = "bool, integers, floats of 16, 32 or 64 bits; text"
        help_ = f"{EXPORT_AGAIN} with real numbers"
        raise refused(NotNumbersOrText, problem, printable(str(dtype)), limit, help_)
    # By its name, because an enumeration is its integers.
    native: np.dtype[Any] = np.dtype(dtype.str).newbyteorder("=")
    return native


@dataclass(frozen=True)
class Superblock:
    """``base``: its place in the file. ``end``: the first byte behind the file, as noted last."""

    base: int
    end: int
    address_bytes: int
    length_bytes: int
    open_for_writing: bool


def _superblock(path: Path) -> Superblock | None:
    """Return the superblock of an HDF5 file, None if it is cut short or makes no sense."""
    base = signature_offset(path)
    if base is None:
        return None
    with path.open("rb") as file:
        file.seek(base)
        head = file.read(LONGEST)
    if len(head) < 16:
        return None
    version = head[8]
    sizes_at = SIZES_AT.get(version, 9)
    address = head[sizes_at]
    length = head[sizes_at + 1]
    base_at = ADDRESSES_AT.get(version, 12)
    end_at = base_at + 2 * address
    if address > MAX_ADDRESS or len(head) < end_at + address:
        return None
    noted_base = int.from_bytes(head[base_at : base_at + address], "little")
    noted_end = int.from_bytes(head[end_at : end_at + address], "little")
    end = noted_end - noted_base + base  # the noted end counts from the start of the file
    flagged = version == 3 and bool(head[FLAGS_AT] & OPEN_FOR_WRITING)
    return Superblock(base, end, address, length, flagged)


def _check_finished(path: Path) -> None:
    """Refuse (F104) a file that ends before its noted end, or that its writer has not closed.

    The HDF5 library refuses both, too, but without the reason.
    """
    size = path.stat().st_size
    block = _superblock(path)
    if block is None:
        if size < LONGEST:
            problem = "the file ends inside its header"
            raise refused(DamagedFile, problem, f"{size} bytes", help=UNFINISHED)
        return
    if size < block.end:
        limit = f"{block.end} bytes, as its header says"
        help_ = f"{UNFINISHED}; or a copy broke off: copy it again"
        raise refused(DamagedFile, "the file ends early", f"{size} bytes", limit, help_)
    if block.open_for_writing:
        problem = "the file was not closed by the program that writes it"
        help_ = f"{UNFINISHED}; if it still writes, wait until it has ended"
        raise refused(DamagedFile, problem, help=help_)


def _explained(refusal: RefusalError, path: Path) -> RefusalError:
    """Return a refusal to open a file, with its cause if the file goes on after its noted end."""
    block = _superblock(path)
    damaged = isinstance(refusal.finding, DamagedFile)
    if not damaged or block is None or path.stat().st_size <= block.end:
        return refusal
    found = str(refusal.finding.words().found)
    problem = "the file was not closed by the program that wrote it"
    return refused(DamagedFile, problem, found, help=UNFINISHED)


def _check_local_heaps(path: Path) -> None:
    """Refuse a file in which a list of free blocks has no end (F104).

    Costs one search through the file.
    """
    block = _superblock(path)
    if block is None:
        return  # the library refuses it
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        left = MAX_HEAP_OBJECTS
        found = data.find(HEAP)
        while found >= 0:
            left -= 1 + _free_blocks(data, block, found, left)
            found = data.find(HEAP, found + len(HEAP))


def _free_blocks(data: mmap.mmap, superblock: Superblock, heap: int, most: int) -> int:
    """Return the number of free blocks of the heap at ``heap``, up to the first senseless one."""

    def number(at: int, width: int) -> int:
        return int.from_bytes(data[at : at + width], "little")

    length = superblock.length_bytes
    size = number(heap + 8, length)
    block = number(heap + 8 + length, length)
    start = superblock.base + number(heap + 8 + 2 * length, superblock.address_bytes)
    seen: set[int] = set()
    while block != LAST and block < size and start + block < len(data):
        if block in seen or len(seen) >= most:
            problem = "a list of free blocks in a local heap has no end"
            raise refused(DamagedFile, problem, help=COPY_OR_EXPORT)
        seen.add(block)
        block = number(start + block, length)
    return len(seen)
