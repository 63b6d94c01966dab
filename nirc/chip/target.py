"""A chip is data: its limits, each declared once with its source.

Legality is asked of them, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limit:
    """The largest value of one resource. ``certainty``: S read in the source, M measured, R
    reported by a survey, I inferred, ? chosen."""

    name: str
    max: int
    code: str
    source: str
    certainty: str = "S"
    unit: str = ""
    measure: Callable[[Any], Iterable[tuple[str, int]]] | None = (
        None  # network -> (where, value) pairs
    )


@dataclass(frozen=True)
class Target:
    """One variant of a chip: ``xylo:audio2``."""

    chip: str
    variant: str
    part: str  # the vendor's part number
    description: str
    limits: tuple[Limit, ...]

    @property
    def name(self) -> str:
        """``chip:variant``, as on the command line."""
        return f"{self.chip}:{self.variant}"

    def max(self, name: str) -> int:
        """The value of the limit called ``name``.

        Raises ``KeyError`` if the chip declares no such limit.
        """
        for limit in self.limits:
            if limit.name == name:
                return limit.max
        raise KeyError(f"{self.name} declares no limit {name!r}")


@dataclass(frozen=True)
class Finding:
    """One limit that a network exceeds."""

    target: Target
    limit: Limit
    where: str
    found: int
    others: int = 0  # further places above the same limit


def findings(network: object, target: Target) -> list[Finding]:
    """Everything in ``network`` that is above a limit of ``target``: the worst place of each
    limit.
    """
    result = []
    for limit in target.limits:
        if limit.measure is None:
            continue
        above = [(n, where) for where, n in limit.measure(network) if n > limit.max]
        if above:
            found, where = max(above, key=lambda pair: pair[0])
            result.append(Finding(target, limit, where, found, others=len(above) - 1))
    return result
