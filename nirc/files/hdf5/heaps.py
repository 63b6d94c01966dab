"""Local heaps of an HDF5 file, looked at before the library is: it follows a list of free blocks
round and round.

Measured with HDF5 2.0.0: one changed number in the heap of a group, and listing the group takes
memory until there is none. Each group of a file as nir.write makes it has such a heap.

Layout (HDF5 file format specification 3.0, section III.D): ``HEAP``, version 0, three bytes, the
size of the data, the offset of the first free block, the address of the data; a free block begins
with the offset of the next, 1 for none.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from nirc.files.bounds import MAX_HEAP_OBJECTS
from nirc.files.hdf5.superblock import superblock
from nirc.files.refusal import EXPORT_AGAIN, RefusalError

HEAP = b"HEAP\0"
LAST = 1  # "no further free block"


def check_local_heaps(path: Path) -> None:
    """Refuse a file in which a list of free blocks has no end (F104).

    Costs one search through the file.
    """
    block = superblock(path)
    if block is None:
        return  # the library refuses it
    base, address, length = block.base, block.address_bytes, block.length_bytes
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        left = MAX_HEAP_OBJECTS
        found = data.find(HEAP)
        while found >= 0:
            left -= 1 + _free_blocks(data, base, found, address, length, left)
            found = data.find(HEAP, found + len(HEAP))


def _free_blocks(
    data: mmap.mmap, base: int, heap: int, address: int, length: int, most: int
) -> int:
    """How many free blocks the heap at ``heap`` lists, up to the first that makes no sense."""

    def number(at: int, width: int) -> int:
        return int.from_bytes(data[at : at + width], "little")

    size, block = number(heap + 8, length), number(heap + 8 + length, length)
    start = base + number(heap + 8 + 2 * length, address)
    seen: set[int] = set()
    while block != LAST and block < size and start + block < len(data):
        if block in seen or len(seen) >= most:
            help_ = f"copy the file again from its source, or {EXPORT_AGAIN}"
            raise RefusalError(
                "F104", "a list of free blocks in a local heap has no end", help=help_
            )
        seen.add(block)
        block = number(start + block, length)
    return len(seen)
