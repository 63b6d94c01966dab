"""Placements by a plain annealer with ten times our processor time, beside ours.

    python benchmarks/plain_annealer.py [FILE.npz | FOLDER ...] [--times 10] [--effort normal]

Without files: networks of three kinds with 36, 100 and 400 nodes, which this script makes. FILE.npz
as in place.py. The annealer starts from random places. It exchanges the contents of two random
cells, counts the edges of both nodes, and cools by equal ratios from a temperature that accepts
nearly all moves to one that accepts none. It is compiled with ``cc -O3``. It runs as often and as
long as ``--times`` our seconds allow: one long run, or ten runs of a tenth. The better one counts.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from place import read, solve
from rows import Row, show

from nirc.mapping.effort import EFFORTS, Effort
from nirc.mapping.placement import Cells, Traffic, cost

ANNEALER = """
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t state;

static uint64_t draw(void) {
    state ^= state << 13, state ^= state >> 7;
    return state ^= state << 17;
}

static long edges(const long *begin, const int *to, const long *weight, const int *x, const int *y,
                  long node, int at_x, int at_y, long except) {
    long total = 0;
    for (long j = begin[node]; j < begin[node + 1]; j++)
        if (to[j] != except)
            total += weight[j] * (abs(at_x - x[to[j]]) + abs(at_y - y[to[j]]));
    return total;
}

/* node_at (side * side): a node or -1. x, y (nodes): its place. */
void anneal(long side, const long *begin, const int *to, const long *weight, long *node_at, int *x,
            int *y, double hot, double cold, long moves, uint64_t seed) {
    double ratio = pow(cold / hot, 1000.0 / (double)moves), temperature = hot;
    uint64_t cells = (uint64_t)(side * side);
    state = seed * 2654435761u + 88172645463325252u;
    for (long move = 0; move < moves; move++) {
        if (move % 1000 == 999) temperature *= ratio;
        long p = (long)(draw() % cells), q = (long)(draw() % cells);
        long a = node_at[p], b = node_at[q], change = 0;
        if (a == b) continue;
        int px = (int)(p % side), py = (int)(p / side), qx = (int)(q % side), qy = (int)(q / side);
        if (a >= 0)
            change += edges(begin, to, weight, x, y, a, qx, qy, b) -
                      edges(begin, to, weight, x, y, a, px, py, b);
        if (b >= 0)
            change += edges(begin, to, weight, x, y, b, px, py, a) -
                      edges(begin, to, weight, x, y, b, qx, qy, a);
        if (change > 0 && exp(-(double)change / temperature) < (double)(draw() >> 11) * 0x1p-53)
            continue;
        node_at[p] = b, node_at[q] = a;
        if (a >= 0) x[a] = qx, y[a] = qy;
        if (b >= 0) x[b] = px, y[b] = py;
    }
}
"""
RUNS = (1, 10)  # that share the time
TRIED = 100_000  # moves that tell the time of a move, and the temperatures
COLD = 0.2  # an edge of weight 1 that gets longer by one cell is hardly ever accepted


def annealer() -> Any:
    """Return the loop, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "anneal.c", Path(folder) / "anneal.so"
        source.write_text(ANNEALER)
        subprocess.run(
            ["cc", "-O3", "-shared", "-fPIC", "-o", str(binary), str(source), "-lm"], check=True
        )
        loop = ctypes.CDLL(str(binary)).anneal
    loop.restype = None
    return loop


def annealed(
    loop: Any, traffic: Traffic, cells: Cells, hot: float, moves: int, seed: int
) -> tuple[int, float]:
    """Return the cost of one run and its seconds."""
    side = cells.shape[0]
    at = np.random.default_rng(seed).permutation(side * side)[: traffic.nodes]
    node_at = np.full(side * side, -1)
    node_at[at] = np.arange(traffic.nodes)
    y, x = (part.astype(np.int32) for part in np.divmod(at, side))
    arrays = (traffic.indptr, traffic.neighbours, traffic.weights, node_at, x, y)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in arrays)
    numbers = (ctypes.c_double(hot), ctypes.c_double(COLD), ctypes.c_long(moves))
    begin = time.process_time()
    loop(ctypes.c_long(side), *pointers, *numbers, ctypes.c_uint64(seed))
    seconds = time.process_time() - begin
    return cost(traffic, cells, x + side * y.astype(np.int64)), seconds


def plain(loop: Any, traffic: Traffic, cells: Cells, seconds: float) -> tuple[int, float]:
    """Return the least cost of all runs, and the seconds of one share of runs."""
    hot = float(traffic.weights.mean()) * traffic.neighbours.size / traffic.nodes
    _, tried = annealed(loop, traffic, cells, hot, TRIED, 0)
    moves = seconds / tried * TRIED
    found = [
        [annealed(loop, traffic, cells, hot, int(moves / runs), seed) for seed in range(runs)]
        for runs in RUNS
    ]
    took = max(sum(second for _, second in runs) for runs in found)
    return min(min(runs)[0] for runs in found), took


def anywhere(nodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(nodes), 6), rng.integers(0, nodes, 6 * nodes)


def in_layers(nodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Join each node with five of the next of six layers."""
    width = nodes // 6
    source = np.repeat(np.arange(nodes - width), 5)
    target = (source // width + 1) * width + rng.integers(0, width, source.size)
    return source, np.minimum(target, nodes - 1)


def on_a_ring(nodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Join each node with the four before it, one of ten edges goes anywhere."""
    source = np.repeat(np.arange(nodes), 4)
    near = (source + np.tile(np.arange(1, 5), nodes)) % nodes
    return source, np.where(
        rng.random(source.size) < 0.1, rng.integers(0, nodes, source.size), near
    )


KINDS: dict[str, Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {
    "random": anywhere,
    "layers": in_layers,
    "ring": on_a_ring,
}


def generated() -> Iterator[tuple[str, Traffic, Cells]]:
    for side in (6, 10, 20):
        for kind, ends in KINDS.items():
            rng = np.random.default_rng(side)
            source, target = ends(side * side, rng)
            weight = rng.integers(1, 100, source.size)
            traffic = Traffic.from_edges(side * side, source, target, weight)
            yield f"{kind}, {side * side} nodes", traffic, Cells.mesh(side, side)


def rows(
    problems: Iterator[tuple[str, Traffic, Cells]], effort: Effort, times: float
) -> Iterator[Row]:
    loop = annealer()
    for name, traffic, cells in problems:
        found, _, cpu = solve(traffic, cells, effort, 0)
        other, took = plain(loop, traffic, cells, times * cpu)
        yield Row(
            name,
            float(found.cost),
            "weight x hops",
            goal=1.0,
            rival=f"a plain annealer, {took / cpu:.1f} times our time",
            rival_value=float(other),
            of_ratio=True,
            note=f"{cpu:.1f} CPU s{', optimal' if found.proven else ''}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problems", nargs="*", type=Path, metavar="FILE.npz")
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--effort", choices=EFFORTS, default="normal")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    paths = [
        file
        for path in given.problems
        for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])
    ]
    problems = ((path.stem, *read(path)) for path in paths) if paths else generated()
    show(rows(problems, given.effort, given.times), as_json=given.json)


if __name__ == "__main__":
    main()
