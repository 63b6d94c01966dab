"""A value or file that is refused, on its way from the place that notices to the place that reports."""

from __future__ import annotations

from dataclasses import dataclass

from nirc.diagnostics.log import Log


@dataclass
class RefusalError(Exception):
    """One finding without its place; who catches it knows the node and field, and calls :meth:`report`."""

    code: str
    message: str
    found: str = ""
    limit: str = ""
    help: str = ""

    def report(self, log: Log, where: str, *, code: str | None = None) -> None:
        """Say it in ``log``; ``code`` replaces the code (a data file is always U603)."""
        log.error(code or self.code, self.message, where=where, found=self.found, limit=self.limit, help=self.help)
