"""What nirc raises. ``NircError`` -> ``InputError`` (exit 3), ``UsageError`` (2), ``CompileError`` (1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from nirc.diagnostics.log import Diagnostic


class NircError(Exception):
    """A refusal with its reasons: ``diagnostics`` holds every finding, not just the first."""

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"[{d.code}] {d.message}" for d in self.diagnostics if d.severity == "error"))


class CompileError(NircError):
    """The model cannot be compiled as asked."""

    exit_code = 1


class UsageError(NircError):
    """An option or argument makes no sense."""

    exit_code = 2


class InputError(NircError):
    """A file cannot be read, or means nothing."""

    exit_code = 3
