"""xylo-legalise: give every population its part on the chip and every output a readout neuron."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from nirc.backends.xylo.findings import SharedMembrane
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

# Below one half: a relay's weight w arrives as w / 2 and must fire, a remainder of w / 4 must not.
RELAY_THRESHOLD = 0.499


@dataclass(frozen=True)
class XyloLegalise:
    """Insert relay populations, so that outputs come from readout neurons without inputs."""

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
    """Return the populations that can be readout neurons, each with its Sink.

    Hidden neurons alone feed them, and they feed nothing but one output.
    """
    possible = {}
    for name in program.nodes(Population):
        targets = program.out_of(name)
        sources = program.into(name)
        fed_by_neurons = all(
            isinstance(program[s], Population) and not p.synapse for s, p in sources
        )
        if _shows_alone(program, name) and targets[0][1].is_wire and fed_by_neurons:
            possible[name] = targets[0][0]
    # A readout neuron has no path back, so the sources of a readout must be hidden.
    return {
        name: sink
        for name, sink in possible.items()
        if not any(source in possible for source, _ in program.into(name))
    }


def _shows_alone(program: Program, name: str) -> bool:
    """Return True if ``name`` feeds one output and nothing else feeds this output."""
    targets = [target for target, _ in program.out_of(name)]
    return (
        len(targets) == 1
        and isinstance(program[targets[0]], Sink)
        and len(program.into(targets[0])) == 1
    )


def _refuse_shared_membranes(program: Program, log: Log) -> None:
    for name, population in populations_of(program, Discrete).items():
        if population.dynamics.fires:
            continue
        is_shown = all(isinstance(program[t], Sink) for t, _ in program.out_of(name))
        if is_shown and not _shows_alone(program, name):
            log.add(SharedMembrane(where=population.origins[0], population=name))


def _relay_inputs(program: Program, log: Log) -> Program:
    """Put relays between inputs and non-spiking outputs: inputs reach hidden neurons only."""
    analog = {n for n, p in populations_of(program, Discrete).items() if not p.dynamics.fires}

    def needs_relay(source: str, target: str) -> bool:
        return target in analog and isinstance(program[source], Source)

    return _relayed(program, "input", needs_relay, log)


def _relay_outputs(program: Program, log: Log) -> Program:
    direct = set(readouts(program).values())

    def needs_relay(source: str, target: str) -> bool:
        return isinstance(program[target], Sink) and target not in direct

    return _relayed(program, "output", needs_relay, log)


def _relayed(
    program: Program,
    kind: Literal["input", "output"],
    needs_relay: Callable[[str, str], bool],
    log: Log,
) -> Program:
    """Put a relay at the input or output end of each edge that needs one, a relay for each port."""
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    relays: dict[str, str] = {}
    for source, target, projection in program.edges():
        if not needs_relay(source, target):
            edges.append((source, target, projection))
            continue
        name = source if kind == "input" else target
        if name not in relays:
            port = nodes[name]
            relays[name] = program.fresh_name(f"{name}.relay", nodes)
            nodes[relays[name]] = relay(port.n, port.origins, RELAY_THRESHOLD)
            ends = (name, relays[name]) if kind == "input" else (relays[name], name)
            edges.append((*ends, Projection(origins=port.origins)))
            log.add(OutputByRelay(where=port.origins[0], port=name, kind=kind, relays=port.n))
        ends = (relays[name], target) if kind == "input" else (source, relays[name])
        edges.append((*ends, projection))
    return program.rebuilt(nodes, edges)
