"""A PE for every slice, keys, and the routing tables of all chips.

On a chip every packet passes the event router in the middle. So the busiest slices get the nearest
PEs. Chips of a board are filled one after the other along a snake, with populations in the order of
the network. So slices that send to each other are on one chip or on neighbours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.findings import CutOff, RoutingKeys, RoutingTableTooLong
from nirc.backends.spinnaker2.limits import RATE, ROUTER_ENTRIES
from nirc.backends.spinnaker2.slices import Split
from nirc.backends.spinnaker2.system import System, hops_to_router
from nirc.diagnostics.log import Log
from nirc.mapping.keys import Keys, KeysError, allocate
from nirc.mapping.nets import Nets, Routes, UnreachableError
from nirc.mapping.tables.entries import Tables as Routing

Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Places, keys and routes of all slices.

    ``chip``, ``core`` (slices,). ``nets``: one for each slice, to the routers of its targets, with
    PEs ``local_cores``. ``entries``: of all tables before and after merging. ``cost``: packets
    times hops on the chips' meshes, a step.
    """

    chip: Int
    core: Int
    keys: Keys
    nets: Nets
    local_cores: Int
    routes: Routes
    routing: Routing
    entries: tuple[int, int]
    cost: float


def assign(parts: Split, system: System, seconds: float, log: Log) -> Assignment | None:
    """Place and route slices, with steps of ``seconds``.

    Return None with the reasons (N904, N920, N921) in ``log``.
    """
    from nirc.mapping.route import route
    from nirc.mapping.tables.build import tables_for
    from nirc.mapping.tables.minimise import minimised

    chip, core, cost = _places(parts, system)
    try:
        keys = allocate(parts.owner, parts.end - parts.begin)
        nets, cores = _nets(parts, chip, core, seconds)
        routes = route(nets, system.links)
        if (routes.loads > system.links.capacity).any():
            routes = route(nets, system.links, congestion_aware=True)
    except KeysError as error:
        log.add(RoutingKeys(reason=str(error), bits=error.bits))
        return None
    except UnreachableError as error:
        log.add(CutOff(reason=str(error)))
        return None
    long = tables_for(nets, routes, system.links, keys, cores)
    # The table of a single chip is short: it has fewer slices than a hundredth of the entries.
    routing = minimised(long) if system.board else long
    most = int(routing.sizes.max(initial=0))
    if most > ROUTER_ENTRIES:
        worst = int(routing.sizes.argmax())
        log.add(RoutingTableTooLong(chip=worst, entries=most, most=ROUTER_ENTRIES))
        return None
    entries = (len(long.key), len(routing.key))
    return Assignment(chip, core, keys, nets, cores, routes, routing, entries, cost)


def _places(parts: Split, system: System) -> tuple[Int, Int, float]:
    """Return (slices,) chip and core, and packets times hops."""
    size = parts.end - parts.begin
    packets = RATE * size.astype(np.float64)  # sent
    np.add.at(packets, parts.pair_target, RATE * size[parts.pair_source])  # and received
    chip, core = np.zeros(parts.count, np.int64), np.zeros(parts.count, np.int64)
    order = np.lexsort((parts.begin, _along_the_network(parts)[parts.owner]))
    done = 0
    cost = 0.0
    for number in system.chips:
        cores = system.cores(number)
        here = order[done : done + len(cores)]
        busiest = here[np.argsort(-packets[here], kind="stable")]
        chip[here] = number
        core[busiest] = cores[: len(here)]
        if len(here):
            cost += float((packets[busiest] * hops_to_router(cores[: len(here)])).sum())
        done += len(here)
    assert done == parts.count, "more slices than PEs"
    return chip, core, cost


def _along_the_network(parts: Split) -> Int:
    """Return (populations,) ranks, breadth first. Populations without inputs come first."""
    count = len(parts.names)
    ends = np.unique(parts.owner[parts.pair_source] * count + parts.owner[parts.pair_target])
    source, target = ends // count, ends % count
    fed = np.isin(np.arange(count), target[source != target])
    rank = np.full(count, -1, np.int64)
    reached = 0
    for root in [*np.flatnonzero(~fed).tolist(), *range(count)]:
        waiting = deque([root] if rank[root] < 0 else [])
        while waiting:
            here = waiting.popleft()
            if rank[here] < 0:
                rank[here], reached = reached, reached + 1
                waiting.extend(target[source == here].tolist())
    return rank


def _nets(parts: Split, chip: Int, core: Int, seconds: float) -> tuple[Nets, Int]:
    """Return a net for each slice, in spikes a second, and the core of each of its targets."""
    first = np.searchsorted(parts.pair_source, np.arange(parts.count + 1))
    weight = (RATE / seconds * (parts.end - parts.begin)).astype(np.float64)
    targets = chip[parts.pair_target].astype(np.int32)
    return Nets(chip.astype(np.int32), first, targets, weight), core[parts.pair_target]
