"""Refusals and added neurons that the legalisers of several chips share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import AnalogSignal, NothingToCompile, OutputNotFromNeurons
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, Source, populations_of
from nirc.ir.program import Program


@dataclass(frozen=True)
class OutputRule:
    """The outputs that a chip allows. ``source``: the reference of the rule.

    By default an output is an unchanged population. ``sums``: several populations may be added.
    ``delays``: the signal may be late. ``inputs``: the output may be an input of the network.
    """

    source: str
    sums: bool = False
    delays: bool = False
    inputs: bool = False
    help: str = OutputNotFromNeurons.advice


def refuse_without_neurons(program: Program, log: Log) -> None:
    """Report (P311) a program without neurons."""
    if not program.nodes(Population):
        log.add(NothingToCompile(where="nodes"))


def refuse_membranes(program: Program, source: str, log: Log, *, by_wire: bool = False) -> None:
    """Report (P306) populations that send membrane potentials, not spikes, to other neurons.

    ``by_wire``: an output takes membranes only of a single, unchanged population.
    """
    for name, population in populations_of(program, Discrete).items():
        if population.dynamics.fires:
            continue
        for target, p in program.out_of(name):
            shown = isinstance(program[target], Sink)
            if shown and not (by_wire and not (p.is_wire and len(program.into(target)) == 1)):
                continue
            where = population.origins[0]
            log.add(AnalogSignal(where=where, population=name, target=target, source=source))


def refuse_outputs(program: Program, rule: OutputRule, log: Log) -> None:
    """Report (P308) outputs that the chip does not allow, each with the first reason."""
    for name, sink in program.nodes(Sink).items():
        into = program.into(name)
        reason = _reason(program, into, rule)
        if reason:
            log.add(
                OutputNotFromNeurons(
                    where=sink.origins[0],
                    output=name,
                    problem=reason,
                    nodes=tuple(source for source, _ in into),
                    source=rule.source,
                    advice=rule.help,
                )
            )


def _reason(program: Program, into: list[tuple[str, Projection]], rule: OutputRule) -> str:
    if len(into) != 1 and not rule.sums:
        return f"is a sum of {len(into)} signals"
    if any(p.ops or p.biases for _, p in into):
        return "has linear layers behind its neurons"
    if any(p.lag for _, p in into) and not rule.delays:
        return "is delayed behind its neurons"
    if any(isinstance(program[source], Source) for source, _ in into) and not rule.inputs:
        return "is an input of the network"
    return ""


def relay(n: int, origins: tuple[str, ...], threshold: float = 0.5) -> Population[Discrete]:
    """Return neurons that repeat their input in each step."""
    zeros, ones = frozen(np.zeros(n)), frozen(np.ones(n))
    repeats = Discrete(zeros, ones, zeros, threshold=frozen(ones * threshold), v_reset=zeros)
    return Population((n,), repeats, origins, Role.RELAY)
