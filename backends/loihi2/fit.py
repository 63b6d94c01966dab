"""A network on a system: its cores and places, or everything that is in the way."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from nirc.analysis.retiming import Timing, retimed
from nirc.backends.loihi2 import differences
from nirc.backends.loihi2.cores import DEFAULT_RATE, Chip, Placed, cores_of, place, problem_of
from nirc.backends.loihi2.emulate import NEURONS, READOUT
from nirc.backends.loihi2.findings import CORE_LIMITS, NoNetxFile, PopulationSplit, TooManyCores
from nirc.backends.loihi2.limits import DELAY, VARIANTS, WRAP
from nirc.backends.loihi2.lower import Lowered, lower, wraps_after
from nirc.backends.loihi2.netx import why_no_net
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.processes import in_order, owners
from nirc.backends.loihi2.regrouped import regrouped
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Target
from nirc.diagnostics.dynamics import LoopTakesLonger
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import MembraneWraps
from nirc.ir.arrays import Float
from nirc.ir.populations import Population, Sink, populations_of
from nirc.ir.program import Program
from nirc.mapping.floorplan import report_placed
from nirc.mapping.partition import (
    Cores,
    OversizedError,
    Partition,
    Problem,
    TooManyCoresError,
    partition,
)
from nirc.mapping.partition.boxes import AXES
from nirc.mapping.partition.problem import Oversized


def cannot_fit(discrete: Program, targets: Sequence[Target], log: Log) -> bool:
    """Report L801 for all ``targets`` if each has fewer places than there are neurons."""
    neurons = sum(p.n for p in discrete.nodes(Population).values())
    needs = {t.variant: -(-neurons // t.max("neurons of a core")) for t in targets}
    if not all(needs[t.variant] > t.max("cores") for t in targets):
        return False
    for target in targets:
        reason = f"{neurons} neurons need at least so many"
        _report_cores(needs[target.variant], target, reason, log)
    return True


def report_first_neurons(program: Program, target: Target, log: Log) -> None:
    """Report L804 to L808 where the first neuron of a population needs more than a core has.

    ``program`` is the integer form of a part of a network, see ``fan_in.surely_stored``.
    """
    lowered = lower(program)
    problem, cores = _problem(program, target, lowered)
    first = np.zeros((1, AXES, 2), np.int64)
    first[..., 1] = 1
    for number, population in enumerate(problem.populations):
        if population.on_core:
            need = cores.cost(number, first)[0]
            _report_oversized(
                [
                    Oversized(population.name, 0, cores.resources[r], int(need[r]), ())
                    for r in np.flatnonzero(need > cores.capacity).tolist()
                ],
                lowered,
                target,
                log,
            )


def fit(
    program: Program,
    discrete: Program,
    target: Target,
    search: Search,
    log: Log,
    *,
    regroups: bool = True,
) -> Mapped | None:
    """Return tables and places on ``target``, or None with the reasons in ``log``.

    ``discrete`` is legalised, ``program`` integer. ``regroups``: neurons may change their places.
    """
    timing = retimed(discrete, DELAY[1])
    _report_loops(discrete, timing, log)
    cut = _cut(program, target, search, log)
    if cut is None:
        return None
    lowered, found = cut
    if regroups:
        problems = partial(_problem, program, target)
        lowered, found = regrouped(program, lowered, found, problems, search, log)
    tables = lowered.tables
    placed = place(found, target, search)
    report_placed(placed.floorplan, search.effort, log)
    differences.report(discrete, program, log)
    _report_wraps(lowered, program, log)
    if reason := why_no_net(tables):
        log.add(NoNetxFile(reason=reason))
    _report_split(lowered, program, target, log)
    latency_steps: list[int] = []
    for name, sink in program.nodes(Sink).items():
        latency_steps += [timing.latency_steps[name]] * sink.n
    return Mapped(
        target,
        Chip(tables, placed),
        tuple(range(tables.channels)),
        lowered.output_map,
        tuple(latency_steps),
        _blocks(program, lowered),
        _utilisation(placed, target),
        any(not p.spikes for p in tables.populations),
        floorplan=placed.floorplan,
    )


def _problem(program: Program, target: Target, lowered: Lowered) -> tuple[Problem, Cores]:
    shapes = {
        name: program[name].shape
        for name, pieces in lowered.pieces.items()
        if in_order(pieces) and 0 < len(program[name].shape) <= 3
    }
    problem = problem_of(lowered.tables, shapes, _rates(lowered, program))
    return problem, cores_of(problem, target)


# The last program, its search, and what was cut: a larger system is tried after a smaller one, with
# the same cores.
_last: list[tuple[weakref.ref[Program], Search, Lowered, Partition]] = []


def _cut(
    program: Program, target: Target, search: Search, log: Log
) -> tuple[Lowered, Partition] | None:
    """Return tables and their parts, or None with the reasons in ``log``."""
    try:
        lowered, found = _on_any_cores(program, target, search)
    except OversizedError as error:
        _report_oversized(error.oversized, lower(program), target, log)
        return None
    available = target.max("cores")
    if found.count > available:
        reason = str(TooManyCoresError(found.count, available, found.bound))
        _report_cores(found.count, target, reason, log)
        return None
    return lowered, replace(found, cores=replace(found.cores, count=available))


def _on_any_cores(program: Program, target: Target, search: Search) -> tuple[Lowered, Partition]:
    """Return tables and their parts, on as many cores as they take."""
    for known, asked, lowered, found in _last[:]:
        if known() is program and asked == search:
            return lowered, found
    lowered = lower(program)
    problem, cores = _problem(program, target, lowered)
    found = partition(
        problem, replace(cores, count=sys.maxsize), effort=search.effort, seed=search.seed
    )
    _last[:] = [(weakref.ref(program, lambda _: _last.clear()), search, lowered, found)]
    return lowered, found


def _report_oversized(
    oversized: Sequence[Oversized], lowered: Lowered, target: Target, log: Log
) -> None:
    limits = {limit.name: limit for limit in target.limits}
    of = owners(lowered.pieces)
    for o in oversized:
        limit = limits[o.resource.name]
        population, neuron = of.get((o.population, o.neuron), (o.population, o.neuron))
        where = f"`{population}`, neuron {neuron}"
        log.add(CORE_LIMITS[limit.code](where=where, target=target, limit=limit, need=o.need))


def _rates(lowered: Lowered, program: Program) -> dict[str, Float]:
    """Return measured spikes a step, by process and input."""
    rates: dict[str, Float] = {}
    sizes = lowered.tables.sizes()
    for name, pieces in lowered.pieces.items():
        measured = program[name].dynamics.rate
        if measured is not None:
            for piece in pieces:
                rates.setdefault(piece.name, np.full(sizes[piece.name], DEFAULT_RATE))
                rates[piece.name][piece.places] = measured[piece.index]
    return rates


def _report_cores(cores: int, target: Target, reason: str, log: Log) -> None:
    log.add(
        TooManyCores(
            where="the whole network",
            target=target,
            limit=next(limit for limit in target.limits if limit.name == "cores"),
            cores=cores,
            reason=reason,
            roomier=next((t for t in VARIANTS if t.max("cores") >= cores), None),
        )
    )


def _report_loops(discrete: Program, timing: Timing, log: Log) -> None:
    loops = []
    for (s, t, p), steps in zip(discrete.edges(), timing.slow, strict=True):
        if steps:
            where = "/".join(p.origins[:1]) or discrete[t].origins[0]
            rule = "one step for every synapse"
            slow = LoopTakesLonger(source=s, target=t, steps=steps, rule=rule, delay_helps=True)
            loops.append(slow.placed(where))
    log.add_all(LoopTakesLonger.some(loops))


def _report_wraps(lowered: Lowered, program: Program, log: Log) -> None:
    """Report D424 for membranes in u that may wrap around under full input."""
    after = wraps_after(lowered.tables)
    for name, pieces in lowered.pieces.items():
        if steps := [after[piece.name] for piece in pieces if piece.name in after]:
            where = program[name].origins[0]
            log.add(MembraneWraps(where=where, population=name, steps=min(steps), largest=WRAP - 1))


def _report_split(lowered: Lowered, program: Program, target: Target, log: Log) -> None:
    most = target.max("neuron groups of a core")
    for name, pieces in lowered.pieces.items():
        if len(pieces) > 1:
            where = program[name].origins[0]
            log.add(PopulationSplit(where=where, population=name, groups=len(pieces), most=most))


def _blocks(program: Program, lowered: Lowered) -> dict[str, Block]:
    """Return the place of each population: among all neurons, or among the outputs' columns."""
    start, first = {}, 0
    for process in lowered.tables.populations:
        start[process.name] = first
        first += process.n
    columns, at = {}, 0
    for name, sink in program.nodes(Sink).items():
        ((source, _),) = program.into(name)
        columns[source] = lowered.output_map[at : at + sink.n]
        at += sink.n
    blocks = {}
    for name, population in populations_of(program, LoihiNeuron).items():
        neuron = population.dynamics
        if neuron.spikes:
            index = np.zeros(population.n, np.int64)
            for piece in lowered.pieces[name]:
                index[piece.index] = start[piece.name] + piece.places
            part, places = NEURONS, tuple(index.tolist())
        else:
            part, places = READOUT, tuple(columns[name])
        scale = tuple(neuron.scale.tolist())
        blocks[name] = Block(part, places, scale, neuron.latency_steps)
    return blocks


def _utilisation(placed: Placed, target: Target) -> dict[str, tuple[int, int]]:
    used = {"cores": (placed.partition.count, target.max("cores"))}
    chips = len({core.chip for core in placed.floorplan.cores})
    used["chips"] = (chips, target.max("chips"))
    most = placed.partition.usage.max(axis=0, initial=0).tolist()
    for resource, n in zip(placed.partition.cores.resources, most, strict=True):
        used[resource.name] = (int(n), resource.capacity)
    return used
