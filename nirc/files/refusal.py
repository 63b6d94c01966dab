"""A value or file that is refused, on its way from the place that notices to the place that
reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nirc.diagnostics.log import Log
from nirc.files.bounds import printable

EXPORT_AGAIN = "export the model again"
UNFINISHED = (
    "the exporter ended before it had written the file: export again, and see that it "
    "ends without an error"
)


@dataclass
class RefusalError(Exception):
    """One finding; ``where`` is filled in by who knows the node and field (see :func:`at`)."""

    code: str
    message: str
    found: str = ""
    limit: str = ""
    help: str = ""
    where: str = ""

    def report(self, log: Log, *, code: str | None = None) -> None:
        """Say it in ``log``; ``code`` replaces the code (a data file is always U603)."""
        log.error(
            code or self.code,
            self.message,
            where=self.where,
            found=self.found,
            limit=self.limit,
            help=self.help,
        )


@contextmanager
def at(where: str) -> Iterator[None]:
    """A refusal inside is about ``where``, unless it says so more precisely itself."""
    try:
        yield
    except RefusalError as refusal:
        refusal.where = refusal.where or where
        raise


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
