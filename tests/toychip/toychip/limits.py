"""The limits of toychip, declared once."""

from __future__ import annotations

from nirc.chip.target import Limit, Target
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program

WEIGHT = (-127, 127)
MADE_UP = "made up for this test"


def total(kind: type) -> object:
    """A measure: neurons or channels of all nodes of one kind."""

    def measure(program: Program) -> list[tuple[str, int]]:
        return [("the whole network", sum(p.n for p in program.nodes(kind).values()))]

    return measure


TOY = Target(
    "toychip",
    "one",
    "TOY-1",
    "a chip that does not exist",
    (
        Limit("input channels", 8, "X501", MADE_UP, measure=total(Source)),
        Limit("neurons", 64, "X502", MADE_UP, measure=total(Population)),
        Limit("output neurons", 4, "X503", MADE_UP, measure=total(Sink)),
    ),
)
