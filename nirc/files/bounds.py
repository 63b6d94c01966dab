"""How much a file may ask for, declared once. Files are hostile: every size is compared before
memory is taken.

The numbers are generous for spiking networks (the largest published NIR file holds 0.3 MB) and
small enough for a laptop. They are choices of nirc, not of NIR.
"""

from __future__ import annotations

MAX_FILE_BYTES = 1 << 32  # the file itself
MAX_FIELD_BYTES = 1 << 30  # one array, uncompressed
MAX_TOTAL_BYTES = 1 << 31  # all arrays of one model, uncompressed
MAX_DATA_BYTES = 1 << 32  # one raster, uncompressed
MAX_NODES = 10_000  # with those of nested graphs
MAX_EDGES = 100_000  # with those of nested graphs
MAX_LINKS = 20_000  # names in one HDF5 group
MAX_FIELDS = 256  # of one node, known or not
MAX_DEPTH = 32  # HDF5 groups inside each other below /node; a nested graph takes two
MAX_NAME = 255  # characters of a node's name
MAX_FROM = 200  # characters of the text that says who wrote a file
MAX_TEXT = 4096  # bytes of one text
MAX_TOTAL_TEXT = 1 << 26  # bytes of all texts: each may be referred to many times
MAX_TOTAL_FIELDS = 100_000  # of all nodes: a field may have many names
MAX_CHUNKS = 1 << 17  # of all HDF5 datasets
MAX_LZF_BYTES = 1 << 26  # packed by lzf, as stored: nirc measures it byte by byte
MAX_HEAP_OBJECTS = 1 << 19  # texts that HDF5's global heap may list
MAX_REPORTED = 20  # errors, after which reading stops
MAX_PRINTED = 60  # characters of a foreign name in a message


def printable(text: str, limit: int = MAX_PRINTED) -> str:
    """``text`` as it may appear on a terminal: control characters escaped, cut to ``limit``
    characters.
    """
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut
    )


def bytes_as_text(count: int) -> str:
    """A size for a message: ``1.5 GiB``."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
