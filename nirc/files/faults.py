"""Faults of a file, collected with their places. deploy.py holds this module's text.

It needs the standard library of Python 3.9 only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


def shown(value: object) -> str:
    """Return some ASCII characters of a value that may be huge."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def join(path: str, key: object) -> str:
    """Return the path of a field."""
    name = key if isinstance(key, str) and key.isidentifier() and key.isascii() else ascii(key)
    return f"{path}.{name}"[:200] if path else str(name)[:200]


@dataclass
class Fault:
    """Something that is wrong in a file.

    ``damaged`` means that the structure is broken. Otherwise the chip does not take the value.
    ``others`` counts further places with the same fault.
    """

    path: str
    message: str
    found: str
    allowed: str
    damaged: bool
    source: str = ""
    others: int = 0

    @property
    def text(self) -> str:
        """The message, with the number of further places."""
        more = f"; so are {self.others} more values of this field" if self.others else ""
        return self.message + more

    def __str__(self) -> str:
        return f"{self.path or 'the file'}: {self.text}: found {self.found}, allowed {self.allowed}"


class Faults:
    """Collects all faults of a file. The same fault in many places is kept once.

    ``exact`` is false before a file is written: arrays may have wider types than the file will
    have.
    """

    def __init__(self, exact: bool = True) -> None:
        self.exact = exact
        self.by_place: dict[tuple[str, str], Fault] = {}

    def __len__(self) -> int:
        return len(self.by_place)

    @property
    def all(self) -> list[Fault]:
        """The faults, in the order in which they were found."""
        return list(self.by_place.values())

    def damaged(self, path: str, message: str, found: object, allowed: object) -> None:
        """Note that the structure is broken."""
        self._add(Fault(path, message, shown(found), str(allowed), damaged=True))

    def outside(
        self,
        path: str,
        found: object,
        allowed: object,
        message: str = "",
        source: str = "",
        others: int = 0,
    ) -> None:
        """Note a value that the chip does not take.

        ``allowed`` is (least, most), a list of values or a text.
        """
        if isinstance(allowed, tuple):
            allowed = f"{allowed[0]}..{allowed[1]}"
        elif isinstance(allowed, list):
            allowed = ", ".join(map(str, allowed))
        text = found if isinstance(found, str) else shown(found)
        message = message or "a value is outside the chip's range"
        fault = Fault(path, message, text, str(allowed), damaged=False, source=source)
        fault.others = others
        self._add(fault)

    def _add(self, fault: Fault) -> None:
        place = (re.sub(r"\[\d+\]", "[]", fault.path), fault.message)
        if place in self.by_place:
            self.by_place[place].others += 1
        else:
            self.by_place[place] = fault
