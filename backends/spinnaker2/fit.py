"""Fit a network to the chip or the board: slices, places, keys, routing tables and a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Names
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nirc.analysis import rule_differences
from nirc.backends.spinnaker2.cut import Request, cut
from nirc.backends.spinnaker2.estimate import events, tick
from nirc.backends.spinnaker2.findings import (
    CutOff,
    FiresBeforeTheModel,
    RoutingKeys,
    RoutingTableTooLong,
    TooManyProcessingElements,
)
from nirc.backends.spinnaker2.joined import Places, joins
from nirc.backends.spinnaker2.limits import (
    EVENTS_PER_S,
    LINK_HOPS,
    MAX_ATOMS,
    MAX_PIXELS,
    PLANNED,
    RATE,
    ROUTER_ENTRIES,
    SHEET,
    VARIANTS,
    Prices,
)
from nirc.backends.spinnaker2.lower import latencies, neurons, outputs_of
from nirc.backends.spinnaker2.mapping import Mapping, Slice
from nirc.backends.spinnaker2.neuron import chip_rule
from nirc.backends.spinnaker2.order import Order
from nirc.backends.spinnaker2.places import chips_of, cores_of, lower_bound
from nirc.backends.spinnaker2.slices import TERMS, Split
from nirc.backends.spinnaker2.system import QUAD_MAP, Faults, System
from nirc.backends.spinnaker2.tables import READOUT, Tables
from nirc.chip.backend import Block, Mapped
from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Role, Sink, Source, populations_of
from nirc.ir.program import SMALL_POPULATION, Program
from nirc.mapping.effort import Effort
from nirc.mapping.floorplan import Core, Floorplan, Part, loaded_links, report_placed
from nirc.mapping.routing import Nets, Routes, UnreachableError
from nirc.mapping.tables import Tables as Routing
from nirc.mapping.tables.keys import Keys, KeysError, allocate

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Chip:
    """The emitted tables. ``labels``: names in the tables of inputs and populations, by name.

    ``order``: by such a name, (n,) the model's neuron at each place of the tables. A population
    that is not there is in the model's order. ``places``: of populations that are joined.
    """

    tables: Tables
    mapping: Mapping
    floorplan: Floorplan
    labels: Names[str, str]
    order: Order
    places: Places

    def part(self, name: str, n: int) -> tuple[str, tuple[int, ...]]:
        """Return the population of the tables with the ``n`` neurons of ``name``, and their places.

        Raises ``KeyError`` for a name that is not in ``labels``.
        """
        label, first = self.places.get(self.labels[name], (self.labels[name], 0))
        if label not in self.order:
            return label, tuple(range(first, first + n))
        place = np.argsort(self.order[label])
        return label, tuple(place[first : first + n].tolist())


def _report_early(program: Program, log: Log) -> None:
    """Report N914 where constants alone make neurons fire before the model begins."""
    for name, population in neurons(program).items():
        n = population.dynamics
        if population.role is Role.CLOCK or not (n.i_offset.any() or n.v_init.any()):
            continue
        early = int(n.fires_early().sum())
        if early:
            where = (population.origins or (name,))[0]
            steps = n.latency_steps
            log.add(
                FiresBeforeTheModel(
                    where=where, population=name, neurons=early, latency_steps=steps
                )
            )


def cannot_fit(
    discrete: Program, targets: Sequence[Target], faults: Faults | None, log: Log
) -> bool:
    """Report N901 for all ``targets`` if each has fewer PEs than the neurons need."""
    sizes = {name: source.n for name, source in discrete.nodes(Source).items()}
    sizes |= {name: p.n for name, p in populations_of(discrete, Discrete).items()}
    if joins(discrete, more=len(sizes)):
        small = {name: n for name, n in sizes.items() if n <= SMALL_POPULATION}
        sizes = {name: n for name, n in sizes.items() if name not in small}
        sizes |= {name: sum(small.values()) for name in [*small][:1]}
    least = {name: -(-n // MAX_PIXELS) for name, n in sizes.items()}
    systems = [System(board=target.max("chips") > 1, faults=faults) for target in targets]
    if any(sum(least.values()) <= system.count for system in systems):
        return False
    for target, system in zip(targets, systems, strict=True):
        _report_pes(least, {}, system, target, log)
    return True


def fit(
    program: Program, legal: Program, target: Target, request: Request, log: Log
) -> Mapped | None:
    """Return tables and mapping for ``target`` from the integer form of ``legal``.

    Return None with the reasons in ``log``.
    """
    slices = cut(program, request, log)
    if slices is None:
        return None
    tables, parts = slices.tables, slices.parts
    system = System(board=target.max("chips") > 1, faults=request.faults)
    if not _enough(parts, program, system, target, log):
        return None
    rule_differences.report(legal, lambda _, d: chip_rule(d.rule), SHEET, log)
    _report_early(program, log)
    time = tick(parts, request.tick_s)
    placed = assign(parts, system, time.seconds, log, request.effort, request.seed)
    if placed is None:
        return None
    mapping = Mapping(_slices(parts, placed), placed.routing, time, request.steps)
    plan = _floorplan(parts, placed, system, request.prices, time.seconds, _most(tables))
    report_placed(plan, request.effort, log)
    sliced = _with_atoms(tables, parts.atoms)
    chip = Chip(sliced, mapping, plan, slices.labels, slices.order, slices.places)
    return _mapped(program, target, chip, _utilisation(parts, placed, system, plan))


def _enough(parts: Split, program: Program, system: System, target: Target, log: Log) -> bool:
    if parts.count <= system.count:
        return True
    many = np.bincount(parts.owner, minlength=len(parts.names)).tolist()
    needed = dict(zip(parts.names, many, strict=True))
    roles = {name: p.role for name, p in program.nodes(Population).items()}
    added: Counter[str] = Counter()
    for name, pes in needed.items():
        if (role := roles.get(name, Role.MODEL)) is not Role.MODEL:
            added[role.value] += pes
    _report_pes(needed, added, system, target, log)
    return False


def _report_pes(
    needed: Names[str, int], added: Names[str, int], system: System, target: Target, log: Log
) -> None:
    """Report N901. ``needed``: the PEs of each population. ``added``: of the chip's, by role."""
    largest = dict(sorted(needed.items(), key=lambda item: -item[1])[:3])
    total = sum(needed.values())
    larger = (v.name for v in VARIANTS if v.max("processing elements") >= total)
    log.add(
        TooManyProcessingElements(
            where=next(iter(largest)),
            needed=total,
            pes=system.count,
            target=target.name,
            description=target.description,
            largest=largest,
            added=added,
            populations=len(needed),
            roomier=next(larger, ""),
        )
    )


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


def _most(tables: Tables) -> int:
    """Return the neurons that a processing element takes: more if it holds a convolution."""
    return MAX_PIXELS if tables.convolutions else MAX_ATOMS


def _floorplan(
    parts: Split, placed: Assignment, system: System, prices: Prices, seconds: float, most: int
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
        "neurons": (most, "neurons"),
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
        bound=placed.bound,
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
        blocks[name] = Block(*chip.part(name, population.n), scale, neuron.latency_steps)
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
        floorplan=chip.floorplan,
    )


def _utilisation(
    parts: Split, placed: Assignment, system: System, plan: Floorplan
) -> dict[str, tuple[int, int]]:
    memory = max(int(core.usage["memory"]) for core in plan.cores)
    chips = {"chips": (len(np.unique(placed.chip)), len(system.chips))} if system.board else {}
    return {
        "processing elements": (parts.count, system.count),
        **chips,
        "neurons of a processing element": (
            int((parts.end - parts.begin).max()),
            int(plan.limits["neurons"][0]),
        ),
        "memory of a processing element": (memory, int(plan.limits["memory"][0])),
        "routing entries of a chip": (int(placed.routing.sizes.max()), ROUTER_ENTRIES),
    }


@dataclass(frozen=True, eq=False)
class Assignment:
    """Places, keys and routes of all slices.

    ``chip``, ``core`` (slices,). ``nets``: one for each slice, to its targets' routers.
    ``entries``: of all tables before and after merging. ``cost``: packets a step times hops on the
    chips' meshes, with ``LINK_HOPS`` for each link between chips. No placement costs less than
    ``bound``.
    """

    chip: Int
    core: Int
    keys: Keys
    nets: Nets
    routes: Routes
    routing: Routing
    entries: tuple[int, int]
    cost: float
    bound: float


def assign(
    parts: Split, system: System, seconds: float, log: Log, effort: Effort = "normal", seed: int = 0
) -> Assignment | None:
    """Place and route slices, with steps of ``seconds``.

    Return None with the reasons (N904, N920, N921) in ``log``.
    """
    from nirc.mapping.tables import tables_for
    from nirc.mapping.tables.minimise import minimised

    try:
        keys = allocate(parts.owner, parts.end - parts.begin)
    except KeysError as error:
        log.add(RoutingKeys(reason=str(error), bits=error.bits))
        return None
    found: list[Routed] = []
    reason = ""
    for chip in chips_of(parts, system, effort, seed):
        try:
            found.append(routed(parts, system, chip, seconds))
        except UnreachableError as error:
            reason = str(error)
            continue
        if not found[-1].routes.loads.any():  # no packet leaves its chip
            break
    if not found:
        log.add(CutOff(reason=reason))
        return None
    best = min(found, key=lambda each: each.cost)
    long = tables_for(best.nets, best.routes, system.links, keys, best.core[parts.pair_target])
    # The table of a single chip is short: it has fewer slices than a hundredth of the entries.
    routing = minimised(long) if system.board else long
    most = int(routing.sizes.max())
    if most > ROUTER_ENTRIES:
        worst = int(routing.sizes.argmax())
        log.add(RoutingTableTooLong(chip=worst, entries=most, most=ROUTER_ENTRIES))
        return None
    return Assignment(
        best.chip,
        best.core,
        keys,
        best.nets,
        best.routes,
        routing,
        (len(long.key), len(routing.key)),
        best.cost,
        lower_bound(parts, system),
    )


@dataclass(frozen=True, eq=False)
class Routed:
    """Slices on chips and PEs, with routes. ``cost``: see ``Assignment``."""

    chip: Int
    core: Int
    nets: Nets
    routes: Routes
    cost: float


def routed(parts: Split, system: System, chip: Int, seconds: float) -> Routed:
    """Return PEs and routes for slices on chips. Raises ``UnreachableError``."""
    from nirc.mapping.routing.route import route

    core, cost = cores_of(parts, system, chip)
    nets = _nets(parts, chip, seconds)
    routes = route(nets, system.links)
    if (routes.loads > system.links.capacity).any():
        routes = route(nets, system.links, congestion_aware=True)
    return Routed(chip, core, nets, routes, cost + LINK_HOPS * seconds * float(routes.loads.sum()))


def _nets(parts: Split, chip: Int, seconds: float) -> Nets:
    """Return a net for each slice, in spikes a second."""
    first = np.searchsorted(parts.pair_source, np.arange(parts.count + 1))
    weight = (RATE / seconds * (parts.end - parts.begin)).astype(np.float64)
    targets = chip[parts.pair_target].astype(np.int32)
    return Nets(chip.astype(np.int32), first, targets, weight)
