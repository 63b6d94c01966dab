"""The superblock of an HDF5 file: where the file should end, and if its writer closed it.

Layout: HDF5 file format specification 3.0, section II.A. Versions 0 and 1 begin with the sizes of
addresses and lengths at byte 13, versions 2 and 3 at byte 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nirc.files.refusal import UNFINISHED, RefusalError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LONGEST = 128  # bytes that hold all that is read of any superblock
MAX_ADDRESS = 32  # bytes of an address, as the library allows
SIZES_AT = {
    0: 13,
    1: 13,
}  # by version, else 9: a byte for the size of addresses, one for that of lengths
ADDRESSES_AT = {0: 24, 1: 28}  # by version, else 12: base, something else, end of file
FLAGS_AT = 11  # of version 3; bit 0: open for writing
OPEN_FOR_WRITING = 1


@dataclass(frozen=True)
class Superblock:
    """``base``: byte where it stands; ``end``: first byte behind the file, as the writer noted it
    last.
    """

    base: int
    end: int
    address_bytes: int
    length_bytes: int
    open_for_writing: bool


def signature_offset(path: Path) -> int | None:
    """Where the HDF5 signature stands: at byte 0, or after a user block of 512, 1024, 2048, ...
    bytes.
    """
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return offset
            offset = max(512, offset * 2)
    return None


def superblock(path: Path) -> Superblock | None:
    """The superblock of an HDF5 file; None if it is cut short or makes no sense."""
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
    address, length = head[sizes_at], head[sizes_at + 1]
    base_at = ADDRESSES_AT.get(version, 12)
    end_at = base_at + 2 * address
    if address > MAX_ADDRESS or len(head) < end_at + address:
        return None
    noted_base = int.from_bytes(head[base_at : base_at + address], "little")
    noted_end = int.from_bytes(head[end_at : end_at + address], "little")
    end = noted_end - noted_base + base  # what is noted counts from the start of the file
    flagged = version == 3 and bool(head[FLAGS_AT] & OPEN_FOR_WRITING)
    return Superblock(base, end, address, length, flagged)


def check_finished(path: Path) -> None:
    """Refuse (F104) a file that ends before its own end, or that its writer has not closed.

    The HDF5 library refuses both, too, but does not say what they are.
    """
    size, block = path.stat().st_size, superblock(path)
    if block is None:
        if size < LONGEST:
            raise RefusalError(
                "F104", "the file ends inside its header", f"{size} bytes", help=UNFINISHED
            )
        return
    if size < block.end:
        found, limit = f"{size} bytes", f"{block.end} bytes, as its header says"
        help_ = f"{UNFINISHED}; or a copy broke off: copy it again"
        raise RefusalError("F104", "the file ends early", found, limit, help_)
    if block.open_for_writing:
        help_ = f"{UNFINISHED}; if it still writes, wait until it has ended"
        raise RefusalError(
            "F104", "the file was not closed by the program that writes it", help=help_
        )


def explained(refusal: RefusalError, path: Path) -> RefusalError:
    """The library's ``refusal`` to open a file, with its cause if the file went on after its last
    header.
    """
    block = superblock(path)
    if refusal.code == "F104" and block is not None and path.stat().st_size > block.end:
        message = "the file was not closed by the program that wrote it"
        return RefusalError("F104", message, refusal.found, help=UNFINISHED)
    return refusal
