"""The quick setting against PACMAN 7.4.1 (PyPI SpiNNaker_PACMAN) in one process: 10,000 cores
placed and routed.

    python benchmarks/quick.py [--version 5|248]

The graph of benchmarks/routing_tables.py: 1,000 populations on 10,000 cores, each to five random
ones, on the machine that PACMAN takes for it. All times are CPU seconds; the first
run, which loads the library, is said apart.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from routing_tables import nets_of, pacman, pacman_maps, placed, random_graph

from nirc.mapping.placement import Cells, cost
from nirc.mapping.placement.place import on_curve, place_on
from nirc.mapping.routing import walk
from nirc.mapping.routing.route import route

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float, float]:
    """The result, CPU seconds of a second run, and how much longer the first one took."""
    begin = time.process_time()
    call()
    first = time.process_time() - begin
    begin = time.process_time()
    result = call()
    again = time.process_time() - begin
    return result, again, max(first - again, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--version", type=int, default=5, choices=(5, 248), help="of PACMAN's machine"
    )
    version = parser.parse_args().version
    pacman.load()
    graph = random_graph(1000, 10, 5, 1)
    _, theirs, *_, machine = pacman_maps(graph, version)
    (router, core), place_s, place_first = timed(lambda: placed(graph, machine))
    nets, _ = nets_of(graph, router, core)
    routes, route_s, route_first = timed(lambda: route(nets, machine.links))
    walk(nets, machine.links, routes)
    other = theirs.seconds["place"] + theirs.seconds["route"]
    print(f"PACMAN  place {theirs.seconds['place']:.3f} s, route {theirs.seconds['route']:.3f} s")
    print(
        f"nirc    place {place_s:.3f} s, route {route_s:.3f} s, once "
        f"{place_first + route_first:.2f} s to compile"
    )
    print(
        f"ratio   {(place_s + route_s) / other:.2f} of PACMAN's time; {routes.hops.sum()} links "
        "in all trees"
    )
    cores()


def cores() -> None:
    """The same setting where every core is placed by itself: 10,000 cores in layers on a mesh of
    100 x 100.
    """
    from place import layered

    traffic, cells = layered(10_000, 0), Cells.mesh(100, 100)
    result, seconds, first = timed(lambda: place_on(traffic, cells, effort="quick"))
    curve = cost(traffic, cells, on_curve(traffic, cells))
    edges = traffic.weights.size // 2
    print(
        f"core by core: {traffic.nodes} cores, {edges} edges in {seconds:.2f} s (once {first:.2f} "
        "s to compile), "
        f"{result.cost / curve:.3f} of the curve's cost; "
        f"{1e6 * seconds / np.maximum(edges, 1):.1f} us an edge"
    )


if __name__ == "__main__":
    main()
