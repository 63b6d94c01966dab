"""spinnaker2-legalise: outputs that come from neurons, and neurons that the stock models can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Role, Sink, Source
from nirc.ir.program import Program
from nirc.passes.add_readout import ADVICE


@dataclass(frozen=True)
class Spinnaker2Legalise:
    """Insert relay populations where an output is an input, or late; refuse what no stock model does."""

    name: ClassVar[str] = "spinnaker2-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P308, P311, N906)."""
        if not program.nodes(Population):
            log.error("P311", "the network has no neurons", where="nodes", help="put a neuron between Input and Output")
            log.raise_if_errors()
        for name, population in program.nodes(Population).items():
            _check_neuron(name, population, log)
            _check_analog(name, population, program, log)
        _check_outputs(program, log)
        log.raise_if_errors()
        return _relay_outputs(program)


def relay(n: int, origins: tuple[str, ...]) -> Population:
    """Neurons that repeat in each step what comes in."""
    zeros, ones = frozen(np.zeros(n)), frozen(np.ones(n))
    repeats = Discrete(zeros, ones, zeros, threshold=frozen(ones / 2), v_reset=zeros)
    return Population((n,), repeats, origins, Role.RELAY)


def _check_neuron(name: str, population: Population, log: Log) -> None:
    d = population.dynamics
    assert isinstance(d, Discrete)
    if d.threshold is not None and (d.threshold < 0).any():
        log.error(
            "N906",
            f"`{name}` has thresholds below 0",
            where=f"{population.origins[0]}/v_threshold",
            found=f"{d.threshold.min():g}",
            limit="0 or more: others fire before anything comes in",
            help="shift the membrane: add the same amount to threshold, reset and leak",
        )


def _check_analog(name: str, population: Population, program: Program, log: Log) -> None:
    d = population.dynamics
    assert isinstance(d, Discrete)
    if not d.fires and any(not isinstance(program[t], Sink) or p.ops or p.lag for t, p in program.out_of(name)):
        log.error(
            "P306",
            f"`{name}` sends its membrane potential, not spikes, to other populations",
            where=population.origins[0],
            limit="spikes between populations",
            help="use a spiking neuron there, or make it an output",
        )


def _check_outputs(program: Program, log: Log) -> None:
    for sink in program.nodes(Sink):
        into = program.into(sink)
        if len(into) != 1 or any(p.ops or p.biases for _, p in into):
            log.error(
                "P308",
                f"output `{sink}` is a sum of {len(into)} signals"
                if len(into) != 1
                else f"output `{sink}` is weighted",
                where=program[sink].origins[0],
                limit="outputs come directly from neurons",
                help=ADVICE,
            )


def _relay_outputs(program: Program) -> Program:
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    for source, target, projection in program.edges():
        if isinstance(nodes[target], Sink) and (projection.lag or isinstance(nodes[source], Source)):
            name = program.fresh_name(f"{target}.relay", nodes)
            nodes[name] = relay(nodes[target].n, nodes[target].origins)
            edges += [(source, name, projection), (name, target, replace(projection, delay_steps=0, feedback=False))]
        else:
            edges.append((source, target, projection))
    return program.rebuilt(nodes, edges)
