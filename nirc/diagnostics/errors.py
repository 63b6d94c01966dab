"""Diagnostics as they are printed, and the exceptions and warnings of nirc.

``NircError`` -> ``InputError`` (exit 3), ``UsageError`` (2), ``CompileError`` (1),
``BugError`` (70). ``NircWarning`` -> ``ChipWarning``, ``ReadingWarning``, ``UsageWarning``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from nirc.diagnostics.escape import in_line
from nirc.diagnostics.python import in_python

LONGEST_TEXT = 1000  # characters of one field: names in a hostile file may be megabytes long
MOST_IN_TEXT = 10  # diagnostics in the text of an exception

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
    expected: str = ""  # where no limit is exceeded
    source: str = ""  # of the limit or rule
    help: str = ""
    file: str = ""  # of the finding, if it is not the command's
    others: int = 0  # findings of this code that are counted only

    def as_dict(self) -> dict[str, str]:
        """Return the non-empty texts, for JSON."""
        return {k: v for k, v in self.__dict__.items() if v and k != "others"}

    def facts(self) -> str:
        """Return the value, and the limit or the value that is expected, in one line."""
        pairs = (("found", self.found), ("limit", self.limit), ("expected", self.expected))
        return ", ".join(f"{name} {value}" for name, value in pairs if value)

    def sentence(self) -> str:
        """Return the finding in one line, in the words of the library instead of the command."""
        place = f"at {self.where}" if self.where else ""
        facts = ", ".join(text for text in (place, self.facts()) if text)
        text = f"[{self.code}] {self.message}" + (f" ({facts})" if facts else "")
        text += f". Help: {self.help}" if self.help else ""
        return in_python(safe(" ".join(text.split())))


def safe(text: str) -> str:
    """Return a printable line of bounded length. Escape sequences and line ends are escaped."""
    left_out = len(text) - LONGEST_TEXT
    if left_out > 0:
        text = text[:LONGEST_TEXT]
    shown = in_line(text)
    if left_out <= 0:
        return shown
    return f"{shown}... ({left_out} {'character' if left_out == 1 else 'characters'} more)"


class NircError(Exception):
    """A refusal. ``diagnostics`` holds every finding, not just the first.

    It can be copied and pickled, so that it crosses processes. Its text has a line for each error.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(self._lines()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.diagnostics,), self.__dict__

    def __repr__(self) -> str:
        first, *more = [*self._lines(), ""]
        others = len([line for line in more if line])
        return f"<{type(self).__name__} {first}{f' and {others} more' if others else ''}>"

    def _lines(self) -> list[str]:
        errors = [d for d in self.diagnostics if d.severity == "error"]
        lines = [d.sentence() for d in errors[:MOST_IN_TEXT]]
        left_out = len(errors) - len(lines)
        return [*lines, f"and {left_out} more in `diagnostics`"] if left_out else lines


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


class NircWarning(UserWarning):
    """A finding that does not stop. ``diagnostics`` holds all findings of its code.

    It is made from its ``args``, as all that copies or sends a warning expects.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        more = len(self.diagnostics) - 1
        tail = f". And {more} more of this code" if more else ""
        return self.diagnostics[0].sentence() + tail


class ChipWarning(NircWarning):
    """The chip does not compute what the model does."""


class ReadingWarning(NircWarning):
    """The file was repaired, or does not say something that was assumed."""


class UsageWarning(NircWarning):
    """The data or the installation may not be what was meant."""


# By the code or its letter. All others are codes of chips.
CATEGORIES: dict[str, type[NircWarning]] = {
    **dict.fromkeys("FGPW", ReadingWarning),
    "U": UsageWarning,
    # Codes of passes that judge the chip's answers.
    **dict.fromkeys(("P312", "P313", "P325", "P326"), ChipWarning),
}


def warn(diagnostics: Iterable[Diagnostic], *, depth: int = 1) -> None:
    """Report the warnings among ``diagnostics`` through Python's ``warnings``, each code once.

    ``depth``: calls between this function and the user's own line.
    """
    by_code: dict[str, list[Diagnostic]] = {}
    for each in diagnostics:
        if each.severity == "warning":
            by_code.setdefault(each.code, []).append(each)
    for code, found in by_code.items():
        category = CATEGORIES.get(code) or CATEGORIES.get(code[0], ChipWarning)
        warnings.warn(category(found), stacklevel=depth + 2)
