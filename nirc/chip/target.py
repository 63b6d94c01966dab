"""A chip is data: its limits, each declared once with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nirc.diagnostics.finding import Finding

Measure = Callable[[Any], Iterable[tuple[str, int]]]  # network -> (where, value) pairs


@dataclass(frozen=True)
class Limit:
    """The largest value of one resource.

    ``code``: of the diagnostic of a network above the limit. ``certainty``: S read in the source, M
    measured, R reported by a survey, I inferred, ? chosen.
    """

    name: str
    max: int
    code: str
    source: str
    certainty: str = "S"
    unit: str = ""
    measure: Measure | None = None

    @property
    def finding(self) -> type[Finding]:
        """The class of the diagnostic, once the chip's findings have been imported."""
        return Finding.by_code[self.code]


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
        """Return the value of the limit called ``name``.

        Raises ``KeyError`` if the chip declares no such limit.
        """
        for limit in self.limits:
            if limit.name == name:
                return limit.max
        raise KeyError(f"{self.name} declares no limit {name!r}")


@dataclass(frozen=True)
class Excess:
    """The worst place at which a network exceeds one limit."""

    target: Target
    limit: Limit
    where: str
    found: int
    others: int = 0  # further places above the same limit


def excesses(network: object, target: Target) -> list[Excess]:
    """Return the excess of ``network`` over each limit of ``target`` that it exceeds."""
    result = []
    for limit in target.limits:
        if limit.measure is None:
            continue
        above = [(n, where) for where, n in limit.measure(network) if n > limit.max]
        if above:
            found, where = max(above, key=lambda pair: pair[0])
            result.append(Excess(target, limit, where, found, others=len(above) - 1))
    return result
