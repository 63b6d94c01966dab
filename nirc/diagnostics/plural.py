"""A number with its noun."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``1 step``, ``1,770 steps``. The plural of ``noun`` ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
