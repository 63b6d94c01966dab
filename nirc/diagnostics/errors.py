"""Diagnostics as they are printed, and the exceptions of nirc.

``NircError`` -> ``InputError`` (exit 3), ``UsageError`` (2), ``CompileError`` (1),
``BugError`` (70).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Diagnostic:
    """One finding: what is wrong, where, the value, the limit and what to do."""

    code: str
    severity: Severity
    message: str
    where: str = ""  # a path in the model such as "nodes/lif1/tau", "" for the file
    found: str = ""
    limit: str = ""
    source: str = ""  # of the limit or rule
    help: str = ""
    file: str = ""  # of the finding, if it is not the command's

    def as_dict(self) -> dict[str, str]:
        """Return the non-empty fields, for JSON."""
        return {k: v for k, v in self.__dict__.items() if v}


class NircError(Exception):
    """A refusal. ``diagnostics`` holds every finding, not just the first."""

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(
            "; ".join(f"[{d.code}] {d.message}" for d in self.diagnostics if d.severity == "error")
        )


class CompileError(NircError):
    """The model cannot be compiled as asked."""

    exit_code = 1


class UsageError(NircError):
    """An option or argument makes no sense."""

    exit_code = 2


class InputError(NircError):
    """A file cannot be read, or means nothing."""

    exit_code = 3


class BugError(NircError):
    """nirc itself is wrong."""

    exit_code = 70
