"""Places of slices on a SpiNNaker2 board: ours, the snake, and rig's annealing, in one run.

    python benchmarks/spinnaker2_places.py            every network, with --effort normal
    python benchmarks/spinnaker2_places.py --effort thorough layers modules
    python benchmarks/spinnaker2_places.py --json
    python benchmarks/spinnaker2_places.py --renumbered   PEs and packets over numberings

A row is a network and an order of its neurons: the model's (index), and ours where it is another.
Costs are packets a step times hops, 8 for a link between chips. All places are routed and priced by
the same code. rig 2.4.1 places on chips with as many PEs (``pip install rig rig_c_sa``, effort 1 as
by default); within a chip its slices get the best PEs. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rig_placer import put_back_what_is_gone

from nirc.backends.spinnaker2 import fit, places
from nirc.backends.spinnaker2.limits import STEPS, Prices
from nirc.backends.spinnaker2.order import regrouped, traffic
from nirc.backends.spinnaker2.slices import Int, Memory, Split, split
from nirc.backends.spinnaker2.system import BOARD_SIDE, System, on_board
from nirc.backends.spinnaker2.tables import Input, Output, Population, Projection, Tables
from nirc.diagnostics.log import Log

Synapses = tuple[Int, Int]  # sources, targets
SECONDS = 1e-3  # of a step


def near(n: int, rng: np.random.Generator, reach: int = 3) -> Synapses:
    """Join all neurons of a sheet that are near one another."""
    side = math.isqrt(n)
    y, x = np.divmod(np.arange(n), side)
    ends = []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            inside = (y + dy >= 0) & (y + dy < n // side) & (x + dx >= 0) & (x + dx < side)
            ends.append((np.flatnonzero(inside), np.flatnonzero(inside) + dy * side + dx))
    sources, targets = zip(*ends, strict=True)
    return np.concatenate(sources), np.concatenate(targets)


def modules(n: int, rng: np.random.Generator, size: int = 1000, fan: int = 20) -> Synapses:
    """Join neurons of a module, and a module with the next."""
    source = np.repeat(np.arange(n), fan)
    module = (source // size + (rng.random(source.size) < 0.1)) % (n // size)
    return source, module * size + rng.integers(0, size, source.size)


def anywhere(n: int, rng: np.random.Generator, fan: int = 20) -> Synapses:
    return np.repeat(np.arange(n), fan), rng.integers(0, n, n * fan)


def tables_of(sizes: list[int], joins: list[tuple[int, int, Synapses]]) -> Tables:
    """Return populations of these sizes, and an input to the first."""
    one = np.ones(1, np.float32)
    neurons = [
        Population(f"p{i}", "lif_no_delay", n, 250, "reset_to_v_reset", *[one] * 5)
        for i, n in enumerate(sizes)
    ]
    projections = [
        _projection(f"p{a} -> p{b}, {k}", f"p{a}", f"p{b}", *ends)
        for k, (a, b, ends) in enumerate(joins)
    ]
    each = np.arange(sizes[0])
    projections.append(_projection("in -> p0", "in", "p0", each, each))
    outputs = (Output(neurons[-1].name, np.arange(sizes[-1])),)
    source = Input("in", each, 250)
    return Tables(sizes[0], (source,), tuple(neurons), tuple(projections), (), outputs)


def _projection(name: str, source: str, target: str, pre: Int, post: Int) -> Projection:
    key = np.unique(pre.astype(np.int64) << 32 | post)
    one, zero = np.ones(len(key), np.int16), np.zeros(len(key), np.int16)
    return Projection(name, source, target, key >> 32, key & 0xFFFFFFFF, one, zero)


def shuffled(n: int, ends: Synapses) -> Synapses:
    number = np.random.default_rng(0).permutation(n)
    return number[ends[0]], number[ends[1]]


def layers(rng: np.random.Generator) -> Tables:
    """Six layers of 12,000 neurons with random synapses."""
    n = 12_000
    return tables_of([n] * 6, [(k, k + 1, anywhere(n, rng)) for k in range(5)])


def sheet(rng: np.random.Generator) -> Tables:
    return tables_of([22_500], [(0, 0, shuffled(22_500, near(22_500, rng)))])


def modular(rng: np.random.Generator) -> Tables:
    return tables_of([40_000], [(0, 0, shuffled(40_000, modules(40_000, rng)))])


def graph(rng: np.random.Generator) -> Tables:
    """50 populations of 1,500 neurons, each with random synapses to three others."""
    joins = []
    for k in range(50):
        for other in rng.choice(50, 3, replace=False).tolist():
            joins.append((k, other, anywhere(1500, rng, 10)))
    return tables_of([1500] * 50, joins)


NETWORKS: dict[str, Callable[[np.random.Generator], Tables]] = {
    "layers": layers,
    "sheet": sheet,
    "modules": modular,
    "graph": graph,
}


def rig_chips(parts: Split, system: System) -> Int | None:
    """Return (slices,) chips by rig's annealing. None without rig."""
    try:
        put_back_what_is_gone()
        from rig.links import Links
        from rig.netlist import Net
        from rig.place_and_route import Cores, Machine
        from rig.place_and_route.place.sa import place
        from rig.place_and_route.place.sa.c_kernel import CKernel
    except ImportError:
        return None
    side = range(BOARD_SIDE)
    dead = {(x, y) for x in side for y in side if not on_board(x, y)}
    steps = {link: link.to_vector() for link in Links}
    off = {
        (x, y, link)
        for x in side
        for y in side
        for link, (dx, dy) in steps.items()
        if not on_board(x + dx, y + dy)
    }
    room = len(system.cores(system.chips[0]))
    machine = Machine(BOARD_SIDE, BOARD_SIDE, {Cores: room}, dead_chips=dead, dead_links=off)
    first = np.searchsorted(parts.pair_source, np.arange(parts.count + 1)).tolist()
    target = parts.pair_target.tolist()
    size = (parts.end - parts.begin).tolist()
    nets = [
        Net(i, target[first[i] : first[i + 1]], float(size[i]))
        for i in range(parts.count)
        if first[i + 1] > first[i]
    ]
    needs = {i: {Cores: 1} for i in range(parts.count)}
    found = place(needs, nets, machine, [], effort=1.0, random=random.Random(0), kernel=CKernel)
    return np.array([found[i][0] + BOARD_SIDE * found[i][1] for i in range(parts.count)])


def priced(parts: Split, system: System, chips: Callable[[], Int | None]) -> dict[str, float]:
    begin = time.process_time()
    chip = chips()
    took = time.process_time() - begin
    if chip is None:
        return {}
    made = fit.routed(parts, system, chip, SECONDS)
    links = float(made.routes.loads.sum()) * SECONDS
    return {"cost": made.cost, "links": links, "seconds": took, "chips": len(np.unique(chip))}


def chips(parts: Split, system: System, effort: Any) -> Int:
    """Return the cheapest places that are found."""
    found = [
        fit.routed(parts, system, chip, SECONDS)
        for chip in places.chips_of(parts, system, effort, 0)
    ]
    return min(found, key=lambda each: each.cost).chip


def rows(name: str, effort: Any) -> list[dict[str, Any]]:
    tables = NETWORKS[name](np.random.default_rng(1))
    memory = Memory(tables, Prices(), STEPS)
    index = split(memory, {}, Log())
    if index is None:
        raise SystemExit(f"{name} does not fit")
    begin = time.process_time()
    _, ours, order = regrouped(memory, index, {}, effort, 0)
    took = time.process_time() - begin
    system = System(board=True)
    result = []
    for kind, parts in (("index", index), ("ours", ours)):
        if kind == "ours" and not order:
            continue
        row = {
            "network": name,
            "order": kind,
            "order_seconds": took if kind == "ours" else 0.0,
            "slices": parts.count,
            "traffic": traffic(parts),
            "bound": places.lower_bound(parts, system),
            "snake": priced(parts, system, partial(chips, parts, system, "quick")),
            "nirc": priced(parts, system, partial(chips, parts, system, effort)),
            "rig": priced(parts, system, partial(rig_chips, parts, system)),
        }
        result.append(row)
    return result


def text(row: dict[str, Any]) -> str:
    head = f"{row['network']:8} {row['order']:6} {row['slices']:5} slices"
    head += f", traffic {row['traffic']:9.0f}"
    columns = []
    for who in ("snake", "nirc", "rig"):
        if cell := row[who]:
            columns.append(
                f"{who} {cell['cost']:9.0f} (links {cell['links']:8.0f}, {cell['seconds']:5.1f} s)"
            )
    return f"{head}; {'; '.join(columns)}; bound {row['bound']:.0f}"


def renumbered(effort: Any) -> None:
    """Print PEs and packets a step times the other PEs, in order and for four numberings."""
    rng = np.random.default_rng(1)
    cases: dict[str, tuple[int, Synapses, dict[str, int]]] = {
        "sheet of 256, PEs of 32": (256, near(256, rng, 1), {"p0": 32, "in": 32}),
        "sheet of 1,024, PEs of 64": (1024, near(1024, rng), {"p0": 64, "in": 64}),
        "sheet of 4,096": (4096, near(4096, rng), {}),
        "16 modules of 250": (4000, modules(4000, rng, 250), {}),
    }
    for name, (n, ends, asked) in cases.items():
        found = []
        for number in (np.arange(n), *(np.random.default_rng(k).permutation(n) for k in range(4))):
            tables = tables_of([n], [(0, 0, (number[ends[0]], number[ends[1]]))])
            memory = Memory(tables, Prices(), STEPS)
            index = split(memory, asked, Log())
            if index is None:
                raise SystemExit(f"{name} does not fit")
            _, parts, _ = regrouped(memory, index, asked, effort, 0)
            found.append(f"{parts.count} PEs {traffic(parts):.0f}")
        print(f"{name}: {found[0]} in order; {', '.join(found[1:])} shuffled", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=[*NETWORKS], metavar="NETWORK")
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--renumbered", action="store_true")
    asked = parser.parse_args()
    if asked.renumbered:
        renumbered(asked.effort)
        return
    found = []
    for name in asked.networks:
        for row in rows(name, asked.effort):
            found.append(row)
            if not asked.json:
                print(text(row), flush=True)
    if asked.json:
        json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
