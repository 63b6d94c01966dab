"""Limits of a file's sizes, and the refusal of a file.

Every size is compared before memory is taken.
The numbers are generous for spiking networks (the largest published NIR file holds 0.3 MB) and
small enough for a laptop. They are choices of nirc, not of NIR.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from nirc.diagnostics.escape import in_line
from nirc.diagnostics.file import EXPORT_AGAIN, DamagedFile, TooMuchAsked
from nirc.diagnostics.finding import Finding, Stated

MAX_FILE_BYTES = 1 << 32  # the file itself
MAX_FIELD_BYTES = 1 << 30  # one array, uncompressed
MAX_TOTAL_BYTES = 1 << 31  # all arrays of one model, uncompressed
MAX_DATA_BYTES = 1 << 32  # one raster, uncompressed
MAX_NODES = 10_000  # with those of nested graphs
MAX_EDGES = 100_000  # with those of nested graphs
MAX_LINKS = 20_000  # names in one HDF5 group
MAX_FIELDS = 256  # of one node, known or not
MAX_DEPTH = 32  # HDF5 groups inside each other below /node, two for a nested graph
MAX_NAME = 255  # characters of a node's name
MAX_FROM = 200  # characters of the text that names the writer of a file
MAX_TEXT = 4096  # bytes of one text
MAX_TOTAL_TEXT = 1 << 26  # bytes of all texts: each may be referred to many times
MAX_TOTAL_FIELDS = 100_000  # of all nodes: a field may have many names
MAX_CHUNKS = 1 << 17  # of all HDF5 datasets
MAX_LZF_BYTES = 1 << 26  # packed by lzf, as stored: nirc measures it byte by byte
MAX_HEAP_OBJECTS = 1 << 19  # texts that HDF5's global heap may list
MAX_REPORTED = 20  # errors, after which reading stops
MAX_PRINTED = 60  # characters of a foreign name in a message
MAX_CAUSE = 120  # characters of the text of another library's exception

COPY_AGAIN = "copy the file again from its source"
COPY_OR_EXPORT = f"{COPY_AGAIN}, or {EXPORT_AGAIN}"


class RefusalError(Exception):
    """Carries a finding from the place that notices it to the place that reports it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


def refused(
    kind: type[Stated], problem: str, found: str = "", limit: str = "", help: str = ""
) -> RefusalError:
    """Return the refusal of ``kind`` in these words."""
    return RefusalError(kind(problem=problem, found=found, limit=limit, help=help))


@contextmanager
def at(where: str) -> Iterator[None]:
    """Give ``where`` to each refusal inside that has no place yet."""
    try:
        yield
    except RefusalError as refusal:
        refusal.finding = refusal.finding.placed(where)
        raise


class damage:  # noqa: N801 - used as a function. A generator would take ten times as long.
    """Refuse bytes that make no sense to HDF5. Its exceptions follow no rule."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, MemoryError):
            problem = "there is not enough memory for what the file asks"
            raise refused(TooMuchAsked, problem) from error
        if isinstance(error, Exception) and not isinstance(error, RefusalError):
            problem = "the HDF5 library cannot read this part of the file"
            raise refused(DamagedFile, problem, cause(error), help=COPY_OR_EXPORT) from error


def cause(error: BaseException) -> str:
    """Return the printable beginning of an exception's text."""
    return printable(str(error), MAX_CAUSE)


def printable(text: str, limit: int = MAX_PRINTED) -> str:
    """Return at most ``limit`` characters of ``text``, with control characters escaped."""
    return in_line(text if len(text) <= limit else text[: limit - 3] + "...")


def bytes_as_text(count: int) -> str:
    """Return a size for a message: ``1.5 GiB``."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
