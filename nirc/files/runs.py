"""Long lists in runs: ``[first, count, step]`` stands for ``count`` values, ``step`` apart.

The first of them is ``first``. A step of 0 repeats any value. Other entries of such a list stand
for themselves. deploy.py holds this module's text. It needs the standard library of Python 3.9
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nirc.files.faults import Faults, join
from nirc.files.kinds import Kind, Map, Object

MOST_VALUES = 1 << 23  # of all lists of a file
FREE_NAMES = Map  # in a deploy.py the checks of a chip may use the name Map for something else


@dataclass(frozen=True)
class Runs(Kind):
    """A list that a file holds in runs. ``kind`` is that of the list in full.

    nirc writes lists of up to ``full`` values in full: scripts of others read them.
    """

    kind: Kind
    full: int = 0

    def check(self, value: Any, path: str, faults: Faults) -> None:
        """The list has been unpacked."""
        self.kind.check(value, path, faults)


class Unpacking:
    """Puts lists in full in the place of runs. Small files cannot ask for much memory."""

    def __init__(self, faults: Faults) -> None:
        self.left = MOST_VALUES
        self.faults = faults

    def tree(self, kind: Kind, value: Any, path: str) -> Any:
        """Return ``value`` with all lists in full. What is no list is left to the check."""
        if isinstance(kind, Runs) and type(value) is list:
            return self.values(value, path)
        if isinstance(kind, Object) and isinstance(value, dict):
            inner: Any = {name: kind.fields[name] for name in value if name in kind.fields}
        elif isinstance(kind, FREE_NAMES) and isinstance(value, dict):
            inner = dict.fromkeys(value, kind.item)
        else:
            return value
        return {
            name: self.tree(inner[name], each, join(path, name)) if name in inner else each
            for name, each in value.items()
        }

    def values(self, entries: list[Any], path: str) -> list[Any]:
        """Return the list in full, or as it is with a fault."""
        result: list[Any] = []
        for i, entry in enumerate(entries):
            if type(entry) is not list:
                result.append(entry)
                continue
            if not _is_run(entry):
                message = "an entry is no run of values"
                self.faults.damaged(f"{path}[{i}]", message, entry, "[first, count, step]")
                return entries
            first, count, step = entry
            if count > self.left:
                message = "the lists of the file are too long"
                self.faults.damaged(f"{path}[{i}]", message, count, f"{MOST_VALUES} values in all")
                return entries
            self.left -= count
            result += range(first, first + count * step, step) if step else [first] * count
        return result


def _is_run(entry: list[Any]) -> bool:
    if len(entry) != 3 or type(entry[1]) is not int or type(entry[2]) is not int or entry[1] < 1:
        return False
    first, _, step = entry
    return type(first) is int or (not step and (first is None or type(first) is float))
