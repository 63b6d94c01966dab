"""A name that does not exist, and the nearest that does."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 200  # of a hostile file, to compare with


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``did you mean `NAME`?`` with the nearest of ``known``, else ``otherwise``."""
    from difflib import get_close_matches

    names = {each.lower(): each for each in known}
    close = get_close_matches(name[:LONGEST_NAME].lower(), names, n=1)
    return f"did you mean `{names[close[0]]}`?" if close else otherwise
