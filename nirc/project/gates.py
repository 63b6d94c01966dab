"""Gates: bounds of a compiled model's figures, of the project file and of a stored baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nirc.diagnostics.project import GateNotMet

SLACK = "slack"  # how much worse than the baseline a figure may be
ROUNDING = 1e-12  # of sums in another order, relative


@dataclass(frozen=True)
class Gate:
    """A figure that can be bounded. ``least``: from below. ``needs``: what it takes to know it."""

    name: str
    least: bool
    needs: str


GATES = (
    Gate("accuracy", True, "it needs `data` with labels"),
    Gate("accuracy_drop", False, "it needs `data` with labels"),
    Gate("agreement", True, "it needs `data`"),
    Gate("utilisation", False, "the chip counts no resource"),
    Gate("latency", False, "the chip has none"),
    Gate("energy", False, "this chip has no estimate of energy"),
)

# Gates that are shares, with the least value.
SHARES = {"accuracy": 0.0, "agreement": 0.0, "utilisation": 0.0, "accuracy_drop": -1.0}
Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A gate that was looked at. ``limit``: what the figure ``value`` must keep."""

    gate: Gate
    value: float | None
    limit: float
    of_baseline: bool

    @property
    def passed(self) -> bool:
        """True if the figure is known and keeps its limit."""
        if self.value is None:
            return False
        room = ROUNDING * abs(self.limit)
        if self.gate.least:
            return self.value >= self.limit - room
        return self.value <= self.limit + room

    def finding(self) -> GateNotMet:
        """Return the finding of a gate that is not met."""
        return GateNotMet(
            gate=self.gate.name,
            value=self.value,
            limit=self.limit,
            least=self.gate.least,
            of_baseline=self.of_baseline,
            cause=self.gate.needs,
        )

    def as_tree(self) -> dict[str, Any]:
        """Return plain data for the summary."""
        return {"value": self.value, "limit": self.limit, "passed": self.passed}


def outcomes(
    figures: Figures, limits: Mapping[str, float], baseline: Figures | None
) -> Iterator[Outcome]:
    """Yield each gate of ``limits``, and each figure of ``baseline``, with its value.

    A figure of the baseline is a share, steps or joules. ``slack`` is added to a share, and is a
    share of the others.
    """
    for gate in GATES:
        if gate.name in limits:
            yield Outcome(gate, figures.get(gate.name), limits[gate.name], of_baseline=False)
    slack = limits.get(SLACK, 0.0)
    for gate in GATES:
        stored = None if baseline is None else baseline.get(gate.name)
        if stored is None or gate.name == "accuracy_drop":  # accuracy stands beside it
            continue
        room = slack * (stored if gate.name in ("latency", "energy") else 1.0)
        limit = stored - room if gate.least else stored + room
        yield Outcome(gate, figures.get(gate.name), limit, of_baseline=True)
