"""A layered network that fills Hala Point, from populations to routes: partition, place, route,
check.

    python benchmarks/hala.py [--scale "1 k"] [--effort quick|normal] [--seed N]

32 feature maps with 3 x 3 convolutions between them, cut for the memory of Loihi 2's cores, on 976,
9,760 and 140,544 cores; the cost of the placement beside that of a space-filling curve. Times are
CPU seconds (user and system) of all threads and ``wall`` seconds; the memory is the most that was
ever in use.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent))
from partition import layered
from place import HALA, hala_cells

from nirc.backends.loihi2.cores import cores_of
from nirc.backends.loihi2.limits import HALA_POINT
from nirc.mapping.effort import EFFORTS, Effort
from nirc.mapping.partition import Partition, partition
from nirc.mapping.placement import cost
from nirc.mapping.placement.place import on_curve, place_on
from nirc.mapping.routing import Nets
from nirc.mapping.routing.deadlock import check
from nirc.mapping.routing.links import mesh
from nirc.mapping.routing.route import route

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def filling(cores: int, effort: Effort, seed: int) -> tuple[Partition, float]:
    """The partition of a network that just fits on so many cores, and how long the last one
    took.
    """
    share = 1.0
    while True:
        problem = layered(int(share * cores))
        begin = time.process_time()
        found = partition(problem, cores_of(problem, HALA_POINT), effort=effort, seed=seed)
        if found.count <= cores:
            return found, time.process_time() - begin
        share *= 0.98


def row(scale: str, effort: Effort, seed: int) -> None:
    begin = time.perf_counter()
    cells = hala_cells(HALA[scale])
    found, cut = filling(cells.count, effort, seed)
    traffic, joined = timed(found.between_cores)
    placed, place = timed(lambda: place_on(traffic, cells, effort=effort, seed=seed))
    between = found.nets()
    nets = Nets(
        placed.cell_of_node[between.source],
        between.first,
        placed.cell_of_node[between.target],
        between.weight,
    )
    links = mesh(*cells.shape)
    routes, route_s = timed(lambda: route(nets, links, seed=seed))
    answer = check(links, routes)
    curve = cost(traffic, cells, on_curve(traffic, cells))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = cut + joined + place + route_s
    print(
        f"{scale:>6} {traffic.nodes:7} {traffic.weights.size // 2:8} {cut + joined:8.1f} "
        f"{place:8.1f} {route_s:8.1f} "
        f"{time.perf_counter() - begin:8.1f} {1e3 * seconds / traffic.nodes:8.2f} "
        f"{placed.cost / curve:9.3f} "
        f"{memory:6.2f} {'no deadlock' if answer.free else answer.text}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=list(HALA))
    parser.add_argument("--effort", choices=EFFORTS, default="normal")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(
        f"{'':6} {'cores':>7} {'edges':>8} {'cut s':>8} {'place s':>8} {'route s':>8} "
        f"{'wall s':>8}",
        end=" ",
    )
    print(f"{'ms/core':>8} {'to curve':>9} {'GB':>6}")
    for scale in [given.scale] if given.scale else HALA:
        row(scale, given.effort, given.seed)


if __name__ == "__main__":
    main()
