"""add-readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ReadoutAdded, ReadoutNotNeeded
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink
from nirc.ir.program import Program, Training
from nirc.ir.rules import MEMBRANE, plain

KINDS = ("li", "if")
STEPS = 8.0  # of `li` without a number
THRESHOLD = 1.0  # of `if` without a number


@dataclass(frozen=True)
class Readout:
    """Neurons behind a weighted output: ``li`` (time constant in steps) or ``if`` (threshold)."""

    kind: str
    value: float

    @staticmethod
    def parse(text: str) -> Readout | None:
        """Parse ``li``, ``li:8``, ``if``, ``if:0.5``. Return None for anything else."""
        kind, _, number = text.partition(":")
        try:
            value = float(number) if number else {"li": STEPS, "if": THRESHOLD}.get(kind, 0.0)
        except ValueError:
            return None
        least = 1.0 if kind == "li" else 0.0
        is_valid = kind in KINDS and least <= value < np.inf and value > 0
        return Readout(kind, value) if is_valid else None

    @property
    def text(self) -> str:
        """The text that ``parse`` reads, such as ``li:8``."""
        return f"{self.kind}:{self.value:g}"

    def neurons(self, n: int) -> Discrete:
        """Return ``n`` leaky integrators or subtracting integrate-and-fire neurons."""
        one, zero = frozen(np.ones(n)), frozen(np.zeros(n))
        if self.kind == "li":
            return Discrete(frozen(one * (1.0 - 1.0 / self.value)), one, zero, rule=MEMBRANE)
        rule = plain("subtract", synapse=False)
        return Discrete(one, one, zero, threshold=frozen(one * self.value), v_reset=zero, rule=rule)


@dataclass(frozen=True)
class AddReadout:
    """Put readout neurons in front of each output that is not a population (--readout)."""

    readout: Readout | None = None
    name: ClassVar[str] = "add-readout"

    def run(self, program: Program, log: Log) -> Program:
        """Add the neurons. Notes P318 for each output with neurons, warns P321 for the others."""
        if self.readout is None:
            return program
        nodes = dict(program.graph.nodes(data="payload"))
        edges = list(program.edges())
        training = dict(program.training)
        for name, sink in program.nodes(Sink).items():
            into = program.into(name)
            where = sink.origins[0]
            text = self.readout.text
            if _is_read_directly(program, into):
                population = into[0][0]
                log.add(
                    ReadoutNotNeeded(where=where, output=name, population=population, readout=text)
                )
                continue
            readout = program.fresh_name(f"{name}.readout", nodes)
            training[readout] = Training(added=True)
            nodes[readout] = Population(sink.shape, self.readout.neurons(sink.n), sink.origins)
            edges = [(s, readout if t == name else t, p) for s, t, p in edges]
            edges.append((readout, name, Projection(origins=sink.origins)))
            log.add(ReadoutAdded(where=where, output=name, neurons=sink.n, readout=text))
        return program.rebuilt(nodes, edges, training=training)


def _is_read_directly(program: Program, into: list[tuple[str, Projection]]) -> bool:
    """Return True if an output shows one unchanged population."""
    return len(into) == 1 and isinstance(program[into[0][0]], Population) and into[0][1].is_wire
