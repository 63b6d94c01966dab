"""The limits of toychip, declared once. A real chip has a source for each."""

from __future__ import annotations

from nirc.chip.target import Limit, Target
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program

WEIGHT = (-127, 127)
SHEET = "this chip does not exist: the numbers are made up"


def total(kind: type) -> object:
    """Return a measure: neurons or channels of all nodes of one kind."""

    def measure(program: Program) -> list[tuple[str, int]]:
        return [("the whole network", sum(p.n for p in program.nodes(kind).values()))]

    return measure


TOY = Target(
    "toychip",
    "one",
    "TOY-1",
    "a chip that does not exist",
    (
        Limit("input channels", 16, "P320", SHEET, measure=total(Source)),
        Limit("neurons", 64, "P320", SHEET, measure=total(Population)),
        Limit("output neurons", 8, "P320", SHEET, measure=total(Sink)),
    ),
)
