"""xylo-legalise: give every population its part on the chip and every output a readout neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from nirc.diagnostics.dynamics import OutputByRelay
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.legality import (
    OutputRule,
    refuse_membranes,
    refuse_outputs,
    refuse_without_neurons,
    relay,
)

RULES = "Xylo design rules"

# Just below one half: a relay's weight w arrives as w / 2 and must fire, a remainder of w / 4 must
# not.
RELAY_THRESHOLD = 0.499


@dataclass(frozen=True)
class XyloLegalise:
    """Insert relay populations so that outputs come from readout neurons, which no input
    reaches.
    """

    name: ClassVar[str] = "xylo-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P308, P311)."""
        refuse_without_neurons(program, log)
        refuse_outputs(program, OutputRule(RULES, sums=True), log)
        refuse_membranes(program, RULES, log)
        _refuse_shared_membranes(program, log)
        log.raise_if_errors()
        program = _relay_inputs(program, log)
        return _relay_outputs(program, log)


def readouts(program: Program) -> dict[str, str]:
    """Populations that can be readout neurons, each with its Sink: fed by hidden neurons only,
    leading nowhere else.
    """
    found = {}
    for name in program.nodes(Population):
        targets, sources = program.out_of(name), program.into(name)
        alone = (
            len(targets) == 1
            and isinstance(program[targets[0][0]], Sink)
            and len(program.into(targets[0][0])) == 1
        )
        fed_by_neurons = all(
            isinstance(program[s], Population) and not p.synapse for s, p in sources
        )
        if alone and targets[0][1].is_wire and fed_by_neurons:
            found[name] = targets[0][0]
    # A readout neuron has no path back, so what feeds a readout must itself be hidden.
    return {n: sink for n, sink in found.items() if not any(s in found for s, _ in program.into(n))}


def _refuse_shared_membranes(program: Program, log: Log) -> None:
    for name, population in populations_of(program, Discrete).items():
        analog = not population.dynamics.fires
        shown = all(isinstance(program[t], Sink) for t, _ in program.out_of(name))
        if analog and shown and not _can_read(program, name):
            log.error(
                "P306",
                f"`{name}` has no spikes and can be read as one output only",
                where=population.origins[0],
                limit="one Output of its own",
                help="give it one Output node of its own",
            )


def _can_read(program: Program, name: str) -> bool:
    targets = program.out_of(name)
    return (
        len(targets) == 1
        and len(program.into(targets[0][0])) == 1
        and not any(s == name for s, _ in program.into(name))
    )


def _relay_inputs(program: Program, log: Log) -> Program:
    """A non-spiking output fed by an input needs hidden neurons in between: inputs reach hidden
    neurons only.
    """
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    relays: dict[str, str] = {}
    for source, target, projection in program.edges():
        payload = nodes[target]
        analog = isinstance(payload, Population) and not payload.dynamics.fires
        if analog and isinstance(nodes[source], Source):
            if source not in relays:
                relays[source] = name = program.fresh_name(f"{source}.relay", nodes)
                nodes[name] = relay(nodes[source].n, nodes[source].origins, RELAY_THRESHOLD)
                edges.append((source, name, Projection(origins=nodes[source].origins)))
                _report(source, nodes[source], "input", log)
            edges.append((relays[source], target, projection))
        else:
            edges.append((source, target, projection))
    return program.rebuilt(nodes, edges)


def _relay_outputs(program: Program, log: Log) -> Program:
    nodes = dict(program.graph.nodes(data="payload"))
    direct = set(readouts(program).values())
    edges = []
    relays: dict[str, str] = {}
    for source, target, projection in program.edges():
        if not isinstance(nodes[target], Sink) or target in direct:
            edges.append((source, target, projection))
            continue
        if target not in relays:
            relays[target] = name = program.fresh_name(f"{target}.relay", nodes)
            nodes[name] = relay(nodes[target].n, nodes[target].origins, RELAY_THRESHOLD)
            edges.append((name, target, Projection(origins=nodes[target].origins)))
            _report(target, nodes[target], "output", log)
        edges.append((source, relays[target], projection))
    return program.rebuilt(nodes, edges)


def _report(name: str, port: Source | Sink, kind: Literal["input", "output"], log: Log) -> None:
    log.add(OutputByRelay(where=port.origins[0], port=name, kind=kind, relays=port.n))
