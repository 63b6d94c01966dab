"""spinnaker2-legalise: outputs that come from neurons, and neurons that the stock models can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.spinnaker2.limits import SCRIPTS
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Sink, Source, populations_of
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
    """Insert relay populations where an output is an input, or late; refuse what no stock model
    does.
    """

    name: ClassVar[str] = "spinnaker2-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P308, P311, N906)."""
        refuse_without_neurons(program, log)
        log.raise_if_errors()
        for name, population in populations_of(program, Discrete).items():
            _check_neuron(name, population, log)
        refuse_membranes(program, SCRIPTS, log, by_wire=True)
        refuse_outputs(program, OutputRule(SCRIPTS, delays=True, inputs=True), log)
        log.raise_if_errors()
        return _relay_outputs(program)


def _check_neuron(name: str, population: Population[Discrete], log: Log) -> None:
    d = population.dynamics
    if d.threshold is not None and (d.threshold < 0).any():
        log.error(
            "N906",
            f"`{name}` has thresholds below 0",
            where=f"{population.origins[0]}/v_threshold",
            found=f"{d.threshold.min():g}",
            limit="0 or more: others fire before anything comes in",
            help="shift the membrane: add the same amount to threshold, reset and leak",
        )


def _relay_outputs(program: Program) -> Program:
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    for source, target, projection in program.edges():
        if isinstance(nodes[target], Sink) and (
            projection.lag or isinstance(nodes[source], Source)
        ):
            name = program.fresh_name(f"{target}.relay", nodes)
            nodes[name] = relay(nodes[target].n, nodes[target].origins)
            edges += [
                (source, name, projection),
                (name, target, replace(projection, delay_steps=0, feedback=False)),
            ]
        else:
            edges.append((source, target, projection))
    return program.rebuilt(nodes, edges)
