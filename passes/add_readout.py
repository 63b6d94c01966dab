"""add-readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink
from nirc.ir.program import Program
from nirc.ir.rules import MEMBRANE, plain
from nirc.ir.training import Training

KINDS = ("li", "if")
ADVICE = (
    "--readout li:8 adds leaky integrators that are read, --readout if:1 spiking neurons; "
    "or end with a LIF or LI"
)
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
        return (
            Readout(kind, value)
            if kind in KINDS and least <= value < np.inf and value > 0
            else None
        )

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
    """Put readout neurons in front of each output that is not a population (only with
    --readout).
    """

    readout: Readout | None = None
    name: ClassVar[str] = "add-readout"

    def run(self, program: Program, log: Log) -> Program:
        """Add the neurons. Notes P318 for each output with neurons, warns P321 for the others."""
        if self.readout is None:
            return program
        nodes, edges = dict(program.graph.nodes(data="payload")), list(program.edges())
        training = dict(program.training)
        for name, sink in program.nodes(Sink).items():
            into = program.into(name)
            if (
                len(into) == 1
                and isinstance(program[into[0][0]], Population)
                and into[0][1].is_wire
            ):
                log.warning(
                    "P321",
                    f"output `{name}` is read from the neurons `{into[0][0]}`: --readout adds none",
                    where=sink.origins[0],
                    found=self.readout.text,
                    limit="outputs that are linear layers",
                    help="leave --readout away, or end the network with a linear layer",
                )
                continue
            readout = program.fresh_name(f"{name}.readout", nodes)
            training[readout] = Training(added=True)
            nodes[readout] = Population(sink.shape, self.readout.neurons(sink.n), sink.origins)
            edges = [(s, readout if t == name else t, p) for s, t, p in edges]
            edges.append((readout, name, Projection(origins=sink.origins)))
            log.note(
                "P318",
                f"output `{name}` is read from {sink.n} neurons that were added",
                where=sink.origins[0],
                found=self.readout.text,
            )
        return program.rebuilt(nodes, edges, training=training)
