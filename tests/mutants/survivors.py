"""The survivors that are argued: each is no fault, or no test can tell it from the code."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Argument:
    """Changes of one statement that need no test. ``changes``: empty for all of them.

    Of equal changes of a statement the second is "1 -> 2 #1".
    """

    file: str
    line: str
    why: str
    where: str = ""
    changes: tuple[str, ...] = ()

    def covers(self, mutant: Mutant) -> bool:
        """Return True for a mutant that the argument is about."""
        place = (mutant.file, mutant.where, mutant.line) == (self.file, self.where, self.line)
        return place and (not self.changes or mutant.numbered_change in self.changes)

    def lacks(self, mutants: Iterable[Mutant]) -> list[str]:
        """Return what the code does not have any more: the line, or changes of it."""
        found = {mutant.numbered_change for mutant in mutants if self.covers(mutant)}
        gone = set(self.changes) - found if found else {"this line"}
        return [f"{self.file}::{self.where}: {self.line} | {each}" for each in sorted(gone)]


def arguments() -> list[Argument]:
    """Return the listed arguments."""
    listed = tomllib.loads(FILE.read_text(encoding="utf-8"))["survivor"]
    return [Argument(**{**entry, "changes": tuple(entry.get("changes", ()))}) for entry in listed]
