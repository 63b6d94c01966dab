"""Neurons on a mesh of cores: our groups and places beside Mt-KaHyPar's ``map_onto_graph``.

    python benchmarks/onto_graph.py           1,024 and 4,096 neurons
    python benchmarks/onto_graph.py 16384     256 neurons times a square number

The networks are those of regroup.py. Both answers are measured alike: each spike goes from its
neuron's core to all cores with a target, first along x, then along y. It costs the links of this
tree. Ours groups the neurons, places the groups, and then anneals single neurons. Mt-KaHyPar
(``pip install mtkahypar``, preset QUALITY, one thread) does both at once, with Steiner trees as its
measure. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from regroup import CAPACITY, KINDS, PER_CORE, in_kahypar, network
from rows import Row, show

from nirc.mapping.multicast import Trees, place_neurons
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph


def trees_of(graph: Hypergraph, side: int) -> Trees:
    """Net i holds neuron i and its targets."""
    source = np.arange(len(graph.size))
    return Trees(graph, source, side, side, np.array([0]), np.array([CAPACITY]))


def ours(graph: Hypergraph, side: int) -> Ints:
    """Return (neurons,) cells."""
    cell = place_neurons(trees_of(graph, side))
    if cell is None:
        raise SystemExit("no placement was found")
    return cell


def theirs(graph: Hypergraph, side: int) -> Ints:
    """Return (neurons,) cells."""
    library, context, made = in_kahypar(graph)
    n = len(graph.size)
    cells = np.arange(side * side)
    right, down = cells[cells % side < side - 1], cells[: -side or None]
    edges = [*zip(right, right + 1, strict=True), *zip(down, down + side, strict=True)]
    mesh = library.create_target_graph(
        context, side * side, len(edges), [(int(a), int(b)) for a, b in edges], [1] * len(edges)
    )
    context.set_mapping_parameters(side * side, CAPACITY * side * side / n - 1 - 1e-9)
    context.logging = False
    found = made.map_onto_graph(mesh, context)
    return np.array([found.block_id(i) for i in range(n)])


def measured(graph: Hypergraph, side: int, answer: Callable[[], Ints]) -> tuple[int, float]:
    """Return links and CPU seconds."""
    begin = time.process_time()
    cell = answer()
    seconds = time.process_time() - begin
    if np.bincount(cell).max() > CAPACITY:
        raise SystemExit("a core is above its capacity")
    return trees_of(graph, side).cost(cell), seconds


def rows(n: int, compared: bool) -> Iterator[Row]:
    """Yield the links of each kind of network to those of Mt-KaHyPar."""
    side = math.isqrt(n // PER_CORE)
    for kind in KINDS:
        graph = network(kind, n)
        cost, seconds = measured(graph, side, partial(ours, graph, side))
        note = f"{seconds:.1f} CPU s"
        rival = {}
        if compared:
            other, took = measured(graph, side, partial(theirs, graph, side))
            rival = {"rival": "map_onto_graph", "rival_value": other}
            note += f"; Mt-KaHyPar {took:.1f} CPU s"
        yield Row(
            f"{n} neurons, {kind}", cost, "spikes x links", 1, of_ratio=True, note=note, **rival
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("neurons", nargs="*", type=int, default=[1024, 4096])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    compared = importlib.util.find_spec("mtkahypar") is not None
    ours(network("random", 1024), 2)  # compiles
    show(chain.from_iterable(rows(n, compared) for n in given.neurons), as_json=given.json)


if __name__ == "__main__":
    main()
