"""Fit a network to the chip or the board: slices, places, keys, routing tables and a tick."""

from __future__ import annotations

from collections.abc import Mapping as Names
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from nirc.analysis import rule_differences
from nirc.backends.spinnaker2.assign import Assignment, assign
from nirc.backends.spinnaker2.estimate import events, tick
from nirc.backends.spinnaker2.findings import TooManyProcessingElements, UnknownPopulation
from nirc.backends.spinnaker2.limits import (
    EVENTS_PER_S,
    MAX_PIXELS,
    PLANNED,
    ROUTER_ENTRIES,
    SHEET,
    SURVEY,
    Prices,
)
from nirc.backends.spinnaker2.lower import labelled, latencies, lower, neurons, outputs_of
from nirc.backends.spinnaker2.mapping import Mapping, Slice
from nirc.backends.spinnaker2.neuron import chip_rule
from nirc.backends.spinnaker2.options import Request
from nirc.backends.spinnaker2.slices import TERMS, Memory, Split, split
from nirc.backends.spinnaker2.system import QUAD_MAP, System
from nirc.backends.spinnaker2.tables import READOUT, Tables
from nirc.chip.backend import Block, Mapped
from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program
from nirc.mapping.floorplan import Core, Floorplan, Part, loaded_links


@dataclass(frozen=True)
class Chip:
    """The emitted tables. ``labels``: names in the tables of inputs and populations, by name."""

    tables: Tables
    mapping: Mapping
    labels: Names[str, str]


def fit(
    program: Program, legal: Program, target: Target, request: Request, log: Log
) -> Mapped | None:
    """Return tables and mapping for ``target`` from the integer form of ``legal``.

    Return None with the reasons in ``log``.
    """
    labels = labelled(program)
    tables = lower(program, labels)
    for name in request.atoms:
        if name not in labels:
            log.add(UnknownPopulation(population=name, known=labels))
    if log.errors:
        return None
    memory = Memory(tables, request.prices, request.steps)
    parts = split(memory, {labels[name]: atoms for name, atoms in request.atoms.items()}, log)
    system = System(board=target.max("chips") > 1, faults=request.faults)
    if parts is None or not _enough(parts, system, target, log):
        return None
    rule_differences.report(legal, lambda _, d: chip_rule(d.rule), SHEET, log)
    time = tick(parts, request.tick_s)
    placed = assign(parts, system, time.seconds, log)
    if placed is None:
        return None
    mapping = Mapping(
        _floorplan(parts, placed, system, request.prices, time.seconds),
        _slices(parts, placed),
        placed.routing,
        time,
        request.steps,
    )
    chip = Chip(_with_atoms(tables, parts.atoms), mapping, labels)
    return _mapped(program, target, chip, _utilisation(parts, placed, system, mapping))


def _enough(parts: Split, system: System, target: Target, log: Log) -> bool:
    if parts.count <= system.count:
        return True
    many = np.bincount(parts.owner, minlength=len(parts.names))
    largest = {parts.names[i]: int(many[i]) for i in np.argsort(-many, kind="stable")[:3]}
    log.add(
        TooManyProcessingElements(
            where=parts.names[int(many.argmax())],
            needed=parts.count,
            pes=system.count,
            target=target.name,
            description=target.description,
            largest=largest,
            populations=len(many),
            source=SURVEY,
        )
    )
    return False


def _with_atoms(tables: Tables, atoms: Names[str, int]) -> Tables:
    return replace(
        tables,
        inputs=tuple(replace(source, atoms=atoms[source.name]) for source in tables.inputs),
        populations=tuple(replace(p, atoms=atoms[p.name]) for p in tables.populations),
    )


def _slices(parts: Split, placed: Assignment) -> tuple[Slice, ...]:
    columns = (
        parts.owner,
        parts.begin,
        parts.end,
        placed.chip,
        placed.core,
        placed.keys.key,
        placed.keys.mask,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Slice(parts.names[owner], *row) for owner, *row in rows)


def _floorplan(
    parts: Split, placed: Assignment, system: System, prices: Prices, seconds: float
) -> Floorplan:
    used = {term: parts.usage[term].tolist() for term in TERMS}
    total = np.sum([parts.usage[term] for term in TERMS], axis=0).tolist()
    busy = events(parts).tolist()
    cores = tuple(
        Core(
            int(placed.chip[i]),
            system.at(int(placed.chip[i]), int(placed.core[i])),
            (Part(parts.names[parts.owner[i]], ((int(parts.begin[i]), int(parts.end[i])),)),),
            {
                "neurons": int(parts.end[i] - parts.begin[i]),
                "memory": total[i],
                "events": round(busy[i], 3),
                **{term: used[term][i] for term in TERMS if used[term][i]},
            },
        )
        for i in range(parts.count)
    )
    limits: dict[str, tuple[float, str]] = {
        "neurons": (MAX_PIXELS, "neurons"),
        "memory": (prices.dyn_bytes, "bytes"),
        "events": (EVENTS_PER_S * PLANNED * seconds, "a tick, expected"),
    }
    return Floorplan(
        size=system.size,
        chip=QUAD_MAP,
        router=QUAD_MAP,
        limits=limits | dict.fromkeys(TERMS, (prices.dyn_bytes, "bytes")),
        cores=cores,
        links=loaded_links(system.links, placed.routes),
        faulty=system.faulty(),
        absent=system.absent(),
        cost=placed.cost,
    )


def _mapped(
    program: Program, target: Target, chip: Chip, utilisation: dict[str, tuple[int, int]]
) -> Mapped:
    latency_steps = latencies(program)
    sources = {sink: program.into(sink)[0][0] for sink in program.nodes(Sink)}
    silent = any(not program[source].dynamics.fires for source in sources.values())
    blocks = {}
    for name, population in neurons(program).items():
        neuron = population.dynamics
        scale = tuple(neuron.scale.tolist())
        index = tuple(range(population.n))
        blocks[name] = Block(chip.labels[name], index, scale, neuron.latency_steps)
    columns: dict[str, range] = {}
    first = 0
    for source in outputs_of(program):
        columns[source] = range(first, first + program[source].n)
        first += program[source].n
        if silent and not program[source].dynamics.fires:  # its membranes are columns of the output
            blocks[source] = replace(blocks[source], part=READOUT, index=tuple(columns[source]))
    latency = [[latency_steps[sink]] * program[sink].n for sink in sources]
    return Mapped(
        target,
        chip,
        tuple(range(sum(s.n for s in program.nodes(Source).values()))),
        tuple(chain.from_iterable(columns[source] for source in sources.values())),
        tuple(chain.from_iterable(latency)),
        blocks,
        utilisation,
        silent,
    )


def _utilisation(
    parts: Split, placed: Assignment, system: System, mapping: Mapping
) -> dict[str, tuple[int, int]]:
    plan = mapping.floorplan
    memory = max(int(core.usage["memory"]) for core in plan.cores)
    chips = {"chips": (len(np.unique(placed.chip)), len(system.chips))} if system.board else {}
    return {
        "processing elements": (parts.count, system.count),
        **chips,
        "neurons of a processing element": (int((parts.end - parts.begin).max()), MAX_PIXELS),
        "memory of a processing element": (memory, int(plan.limits["memory"][0])),
        "routing entries of a chip": (int(placed.routing.sizes.max(initial=0)), ROUTER_ENTRIES),
    }
