"""Routing tables against PACMAN 7.4.1 (PyPI SpiNNaker_PACMAN), in CPU seconds of one process.

    python benchmarks/routing_tables.py [--repeats N]  the same trees and keys, on a board
    python benchmarks/routing_tables.py --graph [--version V]
                                                       a graph of 1 M neurons, from splitting on
    python benchmarks/routing_tables.py --board        a board filled to 90 %

--graph: 1,000 populations of 1,000 neurons, 100 on a core, each to five random ones, on the machine
that PACMAN wants for it; ``--version`` 5 is SpiNNaker1, 248 SpiNNaker2. Ours is timed after a first
run, which loads the library; that run is said apart. Every table of ours is
walked, every one of PACMAN's compared with what went in.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nirc.backends.spinnaker2.system import board_links
from nirc.mapping.placement import Cells, Traffic
from nirc.mapping.placement.place import place_on
from nirc.mapping.routing import Nets, Routes
from nirc.mapping.routing.links import LinkGraph, mesh
from nirc.mapping.routing.route import route
from nirc.mapping.tables import Tables, tables_for
from nirc.mapping.tables.keys import Keys, allocate, spread
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import differences, walk

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.mapping.tables import pacman

Array = np.ndarray[Any, Any]
BOARD_PES = 148  # of a chip
FILL = 0.9


class Graph(NamedTuple):
    """Populations that send to populations, in slices."""

    slices: Array  # (populations,)
    source: Array  # (projections,) population
    target: Array

    @property
    def population(self) -> Array:
        """(slices,) whose it is."""
        return np.repeat(np.arange(self.slices.size), self.slices)


def random_graph(populations: int, slices: int | tuple[int, int], fan_out: int, seed: int) -> Graph:
    """Each population to ``fan_out`` others, at random."""
    rng = np.random.default_rng(seed)
    sizes = (
        np.full(populations, slices)
        if isinstance(slices, int)
        else rng.integers(*slices, populations)
    )
    target = np.concatenate(
        [rng.choice(populations, fan_out, replace=False) for _ in range(populations)]
    )
    return Graph(sizes, np.repeat(np.arange(populations), fan_out), target)


def layered_graph(layers: int, width: int, slices: int, seed: int) -> Graph:
    """Layers of populations, each to three of the next layer near it, and itself."""
    rng = np.random.default_rng(seed)
    source, target = [], []
    for layer in range(layers - 1):
        for i in range(width):
            near = (i + rng.integers(-2, 3, 3)) % width + (layer + 1) * width
            to = np.unique(np.append(near, layer * width + i))
            source += [layer * width + i] * to.size
            target += to.tolist()
    return Graph(np.full(layers * width, slices), np.array(source), np.array(target))


class Machine(NamedTuple):
    """Chips, their links and their cores."""

    links: LinkGraph
    cores: list[list[int]]  # usable ones of each router


def placed(graph: Graph, machine: Machine) -> tuple[Array, Array]:
    """(slices,) router and core: populations placed on a square, quickly; along a curve over it
    they fill the chips.
    """
    populations = graph.slices.size
    side = int(np.ceil(np.sqrt(populations)))
    square = Cells.mesh(side, side)
    traffic = Traffic.from_edges(populations, graph.source, graph.target)
    cell = place_on(traffic, square, effort="quick").cell_of_node
    turn = np.empty(side * side, np.int64)
    turn[square.curve()] = np.arange(side * side)
    width, height, _ = machine.links.size
    chips = Cells.mesh(width, height, excluded=np.flatnonzero(~machine.links.works)).curve()
    chip = np.concatenate([np.full(len(machine.cores[c]), c) for c in chips])
    core = np.concatenate([machine.cores[c] for c in chips])
    order = np.argsort(turn[cell][graph.population], kind="stable")
    router, local = np.empty(order.size, np.int64), np.empty(order.size, np.int64)
    router[order], local[order] = chip[: order.size], core[: order.size]
    return router, local


def nets_of(graph: Graph, router: Array, core: Array) -> tuple[Nets, Array]:
    """A net for each slice, to all slices of the targets; and the core of each target."""
    first = np.concatenate([[0], np.cumsum(graph.slices)])
    order = np.argsort(graph.source, kind="stable")
    slices_of: list[Array] = []
    at = 0
    many = np.bincount(graph.source, minlength=graph.slices.size)
    for population, count in enumerate(many):
        to = graph.target[order[at : at + count]]
        at += count
        each = [np.arange(first[t], first[t + 1]) for t in to]
        slices_of += [np.concatenate(each) if each else np.zeros(0, np.int64)] * int(
            graph.slices[population]
        )
    target = np.concatenate(slices_of)
    ends = np.concatenate([[0], np.cumsum([s.size for s in slices_of])])
    return Nets(
        router.astype(np.int32), ends, router[target].astype(np.int32), np.ones(router.size)
    ), core[target]


class Stages:
    """CPU seconds by name, as they come."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        """The call's result; its time is added to the name's."""
        begin = time.process_time()
        result = call()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begin
        return result

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        return f"{parts}: {sum(self.seconds.values()):.2f} s"


class Mapped(NamedTuple):
    """A graph on a machine."""

    nets: Nets
    cores: Array
    routes: Routes
    keys: Keys
    tables: Tables
    small: Tables


def mapped(graph: Graph, machine: Machine, atoms: int, stage: Stages) -> Mapped:
    """Everything from populations to small tables."""
    router, core = stage("place", lambda: placed(graph, machine))
    nets, cores = stage("split", lambda: nets_of(graph, router, core))
    routes = stage("route", lambda: route(nets, machine.links))
    keys = stage("keys", lambda: allocate(graph.population, np.full(router.size, atoms)))
    tables = stage("tables", lambda: tables_for(nets, routes, machine.links, keys, cores))
    keys = stage("keys", lambda: spread(keys, graph.population, tables))
    tables = stage("tables", lambda: tables_for(nets, routes, machine.links, keys, cores))
    small = stage("minimise", lambda: minimised(tables))
    return Mapped(nets, cores, routes, keys, tables, small)


def board() -> Machine:
    links = board_links()
    return Machine(links, [list(range(1, 1 + BOARD_PES)) if w else [] for w in links.works])


def same_trees(repeats: int) -> None:
    machine = board()
    graphs = {
        "300 populations of 1 to 5 slices": random_graph(300, (1, 6), 5, 0),
        "600 populations of 10 slices": random_graph(600, 10, 5, 1),
        "60 populations of 100 slices": random_graph(60, 100, 5, 2),
        "1500 populations of 1 slice": random_graph(1500, 1, 3, 3),
        "8 layers of 40 x 20 slices": layered_graph(8, 40, 20, 4),
    }
    print(
        f"{'entries on a board':34}{'before':>8}{'routes':>8}{'ours':>8}{'pair':>8}"
        f"{'ordered':>9}{'longest table':>16}"
    )
    for name, graph in graphs.items():
        made = mapped(graph, machine, 100, Stages())
        if walk(made.small, made.nets, machine.links, made.keys, made.cores):
            raise SystemExit("the walker found a fault")
        writer = pacman.start(pacman.BOARD, 8, 8)
        ours, theirs = [], {"pair": [], "ordered covering": []}
        for _ in range(repeats):  # in turn, so that both see the same machine
            ours.append(pacman.timed(lambda made=made: minimised(made.tables))[1])
            for method, runs in theirs.items():
                # theirs begins with its own merge of neighbours, as its tool chain does
                merged, first = pacman.compress(made.tables, 8, "range", writer)
                table, second = pacman.compress(merged, 8, method, writer)
                runs.append((table, first + second))
        result = {method: runs[0][0] for method, runs in theirs.items()}
        for table in result.values():
            if differences(table, made.tables):
                raise SystemExit("PACMAN's table differs")
        best = np.minimum(*(t.sizes for t in result.values()))
        print(
            f"{name:34}{made.tables.key.size:8}{made.tables.fewest.sum():8}{made.small.key.size:8}"
            f"{result['pair'].key.size:8}{result['ordered covering'].key.size:9}"
            f"{made.small.sizes.max():7} of {made.tables.sizes.max()}"
        )
        times = {m: min(seconds for _, seconds in runs) for m, runs in theirs.items()}
        print(
            f"{'':4}ours {min(ours):.3f} s, pair {times['pair']:.3f} s "
            f"({times['pair'] / min(ours):.0f} x), ordered "
            f"covering {times['ordered covering']:.3f} s "
            f"({times['ordered covering'] / min(ours):.0f} x); "
            f"tables where the better of the two has fewer: {int((made.small.sizes > best).sum())}",
            flush=True,
        )


def graph(version: int) -> None:
    pacman.load()
    graph = random_graph(1000, 10, 5, 1)
    theirs, stage, tables, small, machine = pacman_maps(graph, version)
    print(f"PACMAN: {machine.links.works.sum()} chips; {stage}")
    print(
        f"    entries {tables.key.size} -> {small.key.size} (pair), longest table "
        f"{small.sizes.max()}"
    )
    first = Stages()
    mapped(graph, machine, 100, first)
    print(f"ours, first run in this process: {sum(first.seconds.values()):.2f} s")
    stage = Stages()
    made = mapped(graph, machine, 100, stage)
    faults, seconds = pacman.timed(
        lambda: walk(made.small, made.nets, machine.links, made.keys, made.cores)
    )
    print(f"ours:   {stage}; walk {seconds:.2f} s, {len(faults)} faults")
    joined = pacman.compress(made.tables, machine.links.size[0], "range", theirs)[0]
    print(
        f"    entries {made.tables.key.size} by slice, {joined.key.size} joined -> "
        f"{made.small.key.size}, "
        f"longest table {made.small.sizes.max()}, different routes {made.tables.fewest.sum()}"
    )
    again, seconds = pacman.timed(lambda: minimised(tables))
    print(
        f"ours on PACMAN's trees and keys: {tables.key.size} -> {again.key.size} in {seconds:.2f} s"
    )
    other, seconds = pacman.compress(joined, machine.links.size[0], "pair", theirs)
    print(
        f"PACMAN (pair) on our trees and keys: {joined.key.size} -> {other.key.size} in "
        f"{seconds:.2f} s"
    )


def pacman_maps(graph: Graph, version: int) -> tuple[Any, Stages, Tables, Tables, Machine]:
    """PACMAN's whole way, on the machine that it takes for as many cores."""
    from pacman.data import PacmanDataView
    from pacman.model.graphs.application import ApplicationEdge
    from pacman.model.partitioner_splitters import SplitterFixedLegacy
    from pacman.model.placements import Placements
    from pacman.operations.partition_algorithms import splitter_partitioner
    from pacman.operations.placer_algorithms.application_placer import place_application_graph
    from pacman.operations.router_algorithms.application_router import route_application_graph
    from pacman.operations.router_compressors.pair_compressor import pair_compressor
    from pacman.operations.routing_info_allocator_algorithms.zoned_routing_info_allocator import (
        global_allocate,
    )
    from pacman.operations.routing_table_generators import merged_routing_table_generator
    from pacman_test_objects import SimpleTestVertex

    writer = pacman.start(version, 8, 8)
    width, height = PacmanDataView.get_machine_version().size_from_n_cores(
        int(graph.slices.sum() * 1.02)
    )
    writer = pacman.start(version, width, height)
    chips = list(PacmanDataView.get_machine().chips)
    cores: list[list[int]] = [[] for _ in range(width * height)]
    for chip in chips:
        cores[chip.x + width * chip.y] = list(chip.placable_processors_ids)
    absent = [r for r in range(width * height) if not cores[r]]
    machine = Machine(mesh(width, height, triangular=True, faulty_routers=absent), cores)
    vertices = [
        SimpleTestVertex(100 * int(n), f"p{i}", max_atoms_per_core=100)
        for i, n in enumerate(graph.slices)
    ]
    for vertex in vertices:
        vertex.splitter = SplitterFixedLegacy()
        writer.add_vertex(vertex)
    for a, b in zip(graph.source, graph.target, strict=True):
        writer.add_edge(ApplicationEdge(vertices[a], vertices[b]), "spikes")
    stage = Stages()

    def run(name: str, call: Callable[[], Any]) -> Any:
        result, seconds = pacman.timed(call)
        stage.seconds[name] = seconds
        return result

    run("split", splitter_partitioner)
    writer.set_placements(run("place", lambda: place_application_graph(Placements())))
    writer.set_routing_table_by_partition(run("route", route_application_graph))
    writer.set_routing_infos(run("keys", lambda: global_allocate([])))
    merged = run("tables", merged_routing_table_generator)
    writer.set_uncompressed(merged)
    writer.set_precompressed(merged)
    small = run("minimise", pair_compressor)
    routers = width * height
    return (
        writer,
        stage,
        pacman.tables_of(merged, width, routers),
        pacman.tables_of(small, width, routers),
        machine,
    )


def full_board() -> None:
    machine = board()
    slices = int(FILL * BOARD_PES * 48)
    for name, graph in {
        "320 populations of 20 slices": random_graph(slices // 20, 20, 5, 0),
        f"{slices} populations of 1 slice": random_graph(slices, 1, 10, 1),
        "16 populations of 400 slices": random_graph(16, 400, 3, 2),
    }.items():
        stage = Stages()
        made = mapped(graph, machine, 250, stage)
        faults = stage(
            "walk",
            lambda made=made: walk(made.small, made.nets, machine.links, made.keys, made.cores),
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name}: {stage}\n    {made.nets.target.size} pairs, entries {made.tables.key.size} "
            "-> "
            f"{made.small.key.size}, "
            f"longest table {made.small.sizes.max()}, {len(faults)} faults, {memory:.2f} GB in all",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--board", action="store_true")
    parser.add_argument("--version", type=int, default=5, choices=(5, 248))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.graph:
        graph(options.version)
    elif options.board:
        full_board()
    else:
        same_trees(options.repeats)


if __name__ == "__main__":
    main()
