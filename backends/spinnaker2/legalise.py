"""spinnaker2-legalise: outputs that come from neurons, and neurons of the stock models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.spinnaker2.findings import NegativeThreshold
from nirc.backends.spinnaker2.limits import SCRIPTS
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.legality import (
    OutputRule,
    refuse_membranes,
    refuse_outputs,
    refuse_without_neurons,
    relay,
)


@dataclass(frozen=True)
class Spinnaker2Legalise:
    """Insert relay populations at outputs that are inputs or delayed.

    Refuse populations that no stock model computes.
    """

    name: ClassVar[str] = "spinnaker2-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Return the legal program. Raises ``CompileError`` (P306, P308, P311, N906)."""
        refuse_without_neurons(program, log)
        log.raise_if_errors()
        for name, population in populations_of(program, Discrete).items():
            threshold = population.dynamics.threshold
            if threshold is not None and (threshold < 0).any():
                where = f"{population.origins[0]}/v_threshold"
                least = float(threshold.min())
                log.add(NegativeThreshold(where=where, population=name, least=least))
        refuse_membranes(program, SCRIPTS, log, by_wire=True)
        refuse_outputs(program, OutputRule(SCRIPTS, delays=True, inputs=True), log)
        log.raise_if_errors()
        return _relay_outputs(program)


def _relay_outputs(program: Program) -> Program:
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    for source, target, projection in program.edges():
        if isinstance(nodes[target], Sink) and (
            projection.lag or isinstance(nodes[source], Source)
        ):
            name = program.fresh_name(f"{target}.relay", nodes)
            nodes[name] = relay(nodes[target].n, nodes[target].origins)
            edges.append((source, name, projection))
            edges.append((name, target, replace(projection, delay_steps=0, feedback=False)))
        else:
            edges.append((source, target, projection))
    return program.rebuilt(nodes, edges)
