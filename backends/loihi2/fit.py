"""Does a network fit a system, on how many cores, where? Everything that is in the way is
reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nirc.analysis.retiming import retimed
from nirc.backends.loihi2 import differences
from nirc.backends.loihi2.bundle import NEURONS, READOUT
from nirc.backends.loihi2.chip import Chip
from nirc.backends.loihi2.cores import Placed, place
from nirc.backends.loihi2.findings import (
    CORE_LIMITS,
    NoNetxFile,
    PopulationSplit,
    TooManyCores,
)
from nirc.backends.loihi2.limits import VARIANTS, WRAP
from nirc.backends.loihi2.lower import Lowered, lower
from nirc.backends.loihi2.netx import why_no_net
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.ranges import goes_round_after
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Target
from nirc.diagnostics.dynamics import LoopTakesLonger, MembraneWraps
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.mapping.partition import OversizedError, TooManyCoresError

MANY = 8  # groups of a population from which on splitting is a warning: as many as a core holds


def cannot_fit(discrete: Program, targets: Sequence[Target], log: Log) -> bool:
    """Report L801 for all ``targets`` if each has fewer places than there are neurons."""
    neurons = sum(p.n for p in discrete.nodes(Population).values())
    needs = {t.variant: -(-neurons // t.max("neurons of a core")) for t in targets}
    if not all(needs[t.variant] > t.max("cores") for t in targets):
        return False
    for target in targets:
        _too_many(needs[target.variant], target, f"{neurons} neurons need at least so many", log)
    return True


def fit(
    program: Program, discrete: Program, target: Target, search: Search, log: Log
) -> Mapped | None:
    """Tables and places on ``target``, or None with the reasons in ``log``.

    ``discrete`` is legalised, ``program`` integer.
    """
    timing = retimed(discrete)
    for (s, t, p), steps in zip(discrete.edges(), timing.slow, strict=True):
        if steps:
            where = "/".join(p.origins[:1]) or discrete[t].origins[0]
            rule = "one step for every synapse"
            slow = LoopTakesLonger(source=s, target=t, steps=steps, rule=rule, delay_helps=True)
            log.add(slow.placed(where))
    lowered = lower(program)
    placed = _placed(lowered, program, target, search, log)
    if placed is None:
        return None
    differences.report(discrete, program, log)
    _say_room(lowered, program, log)
    if reason := why_no_net(lowered.tables):
        log.add(NoNetxFile(reason=reason))
    _say_split(lowered, program, log)
    chip = Chip(lowered.tables, placed, dict(timing.latency_steps))
    return Mapped(
        target,
        chip,
        tuple(range(lowered.tables.channels)),
        lowered.output_map,
        tuple(
            timing.latency_steps[sink]
            for sink in program.nodes(Sink)
            for _ in range(program[sink].n)
        ),
        _blocks(program, lowered),
        _utilisation(placed, target),
        any(not p.spikes for p in lowered.tables.populations),
    )


def _placed(
    lowered: Lowered, program: Program, target: Target, search: Search, log: Log
) -> Placed | None:
    shapes = {
        name: program[name].shape
        for name, pieces in lowered.pieces.items()
        if len(pieces) == 1 and 0 < len(program[name].shape) <= 3
    }
    try:
        return place(
            lowered.tables,
            shapes,
            _rates(lowered, program),
            target,
            seed=search.seed,
            quick=search.seconds is None,
        )
    except TooManyCoresError as error:
        _too_many(error.needed, target, str(error), log)
    except OversizedError as error:
        limits = {limit.name: limit for limit in target.limits}
        for o in error.oversized:
            limit = limits[o.resource.name]
            where = f"`{o.population}`, neuron {o.neuron}"
            log.add(CORE_LIMITS[limit.code](where=where, target=target, limit=limit, need=o.need))
    return None


def _rates(lowered: Lowered, program: Program) -> dict[str, Float]:
    """Measured spikes a step, by process and input."""
    rates: dict[str, Float] = {}
    for name, pieces in lowered.pieces.items():
        measured = program[name].dynamics.rate
        if measured is not None:
            rates |= {piece.name: measured[piece.index] for piece in pieces}
    return rates


def _too_many(cores: int, target: Target, why: str, log: Log) -> None:
    limit = next(limit for limit in target.limits if limit.name == "cores")
    roomier = next((t for t in VARIANTS if t.max("cores") >= cores), None)
    log.add(
        TooManyCores(
            where="the whole network",
            target=target,
            limit=limit,
            cores=cores,
            reason=why,
            roomier=roomier,
        )
    )


def _say_room(lowered: Lowered, program: Program, log: Log) -> None:
    """D424: a membrane in u that goes round under full input."""
    after = goes_round_after(lowered.tables)
    for name, pieces in lowered.pieces.items():
        if steps := [after[piece.name] for piece in pieces if piece.name in after]:
            log.add(
                MembraneWraps(
                    where=program[name].origins[0],
                    population=name,
                    steps=min(steps),
                    largest=WRAP - 1,
                )
            )


def _say_split(lowered: Lowered, program: Program, log: Log) -> None:
    for name, pieces in lowered.pieces.items():
        if len(pieces) > 1:
            where = program[name].origins[0]
            log.add(PopulationSplit(where=where, population=name, groups=len(pieces), most=MANY))


def _blocks(program: Program, lowered: Lowered) -> dict[str, Block]:
    """Where each population's neurons are among all neurons side by side; readouts among the
    outputs' columns.
    """
    start, first = {}, 0
    for process in lowered.tables.populations:
        start[process.name] = first
        first += process.n
    columns = {}
    at = 0
    for sink in program.nodes(Sink):
        ((source, _),) = program.into(sink)
        n = program[sink].n
        columns[source] = lowered.output_map[at : at + n]
        at += n
    blocks = {}
    for name, population in program.nodes(Population).items():
        neuron = population.dynamics
        if not isinstance(neuron, LoihiNeuron):
            continue
        scale = tuple(neuron.scale.tolist())
        if not neuron.spikes:
            blocks[name] = Block(READOUT, tuple(columns[name]), scale, neuron.late)
            continue
        index = np.zeros(population.n, np.int64)
        for piece in lowered.pieces[name]:
            index[piece.index] = start[piece.name] + np.arange(piece.index.size)
        blocks[name] = Block(NEURONS, tuple(index.tolist()), scale, neuron.late)
    return blocks


def _utilisation(placed: Placed, target: Target) -> dict[str, tuple[int, int]]:
    used = {"cores": (placed.partition.count, target.max("cores"))}
    chips = len({core.chip for core in placed.floorplan.cores})
    used["chips"] = (chips, target.max("chips"))
    most = placed.partition.usage.max(axis=0, initial=0).tolist()
    for resource, n in zip(placed.partition.cores.resources, most, strict=True):
        used[resource.name] = (int(n), resource.capacity)
    return used
