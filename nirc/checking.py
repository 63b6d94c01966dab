"""`nirc check`: the independent checker over a bundle."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip


def reader_of(chip: str) -> Callable[[Bundle], Chip]:
    """Return the checker's reader of a chip's files."""
    reader: Callable[[Bundle], Chip] = getattr(import_module(f"nirc.checker.{chip}"), chip)
    return reader
