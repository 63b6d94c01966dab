"""Packages that a bundle's deploy.py needs beside Python: the vendor's own. Never imported here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

SYNSENSE = "https://gitlab.com/api/v4/projects/27423070/packages/pypi/simple"


@dataclass(frozen=True)
class Package:
    """A package by its distribution. ``needed``: for which work. ``install``: the command.

    ``mark``: bytes in the source of a stub that only looks like the package.
    """

    name: str
    module: str
    needed: str
    install: str
    mark: bytes = b""

    def version(self) -> str | None:
        """Return the installed version, None without one."""
        try:
            return distribution(self.name).version
        except PackageNotFoundError:
            return "unknown" if self._origin() else None

    def is_stub(self) -> bool:
        """Return True for a stub, which may start a download when it is imported."""
        origin = self._origin()
        if not (self.mark and origin):
            return False
        try:
            with open(origin, "rb") as file:  # noqa: PTH123 - a text of importlib
                return self.mark in file.read(1 << 20)
        except OSError:
            return False

    def _origin(self) -> str | None:
        spec = find_spec(self.module)
        return None if spec is None else spec.origin


SAMNA_STUB = b"PYPI_SAMNA"
