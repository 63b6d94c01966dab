"""A name that does not exist, and the nearest that does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

MOST_FILES = 10_000  # of a folder that is searched for a similar name
LIKELY = 0.6  # likeness of two words from which one may be the other, mistyped
LONGEST_NAME = 200  # of a hostile file, to compare with


def did_you_mean(
    name: str, known: Iterable[str], otherwise: str = "", *, cutoff: float = LIKELY
) -> str:
    """Return ``did you mean `NAME`?`` with the nearest of ``known``, else ``otherwise``."""
    close = nearest(name, known, cutoff=cutoff)
    return f"did you mean `{close[0]}`?" if close else otherwise


def nearest(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = LIKELY) -> list[str]:
    """Return up to ``most`` of ``known`` that are spelt like ``name``, in any case of letters."""
    from difflib import get_close_matches

    names = {each.lower(): each for each in known}
    close = get_close_matches(name[:LONGEST_NAME].lower(), names, n=most, cutoff=cutoff)
    return [names[each] for each in close]


def similar_file(path: Path, otherwise: str) -> str:
    """Return ``did you mean `PATH`?`` with the nearest name in the same folder."""
    with contextlib.suppress(OSError, ValueError), os.scandir(path.parent) as entries:
        names = sorted(each.name for each in islice(entries, MOST_FILES) if each.name.isprintable())
        known = [str(path.with_name(name)) for name in names if name != path.name]
        return did_you_mean(str(path), known, otherwise, cutoff=0.75)
    return otherwise
