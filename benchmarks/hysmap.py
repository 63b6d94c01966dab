"""HySMap's networks on a mesh of cores: the multicast hops of our groups and places.

    python benchmarks/hysmap.py net_potjans_80.json [--side 4] [--slack 0.15]

The file is of ``examples/`` in github.com/amineux/HySMap (MIT): neurons with their activity, and
``hyperedges`` from a neuron to others. A spike goes from its core to all cores with a target, first
along x, then along y, and costs the links of this tree, as in their ``src/cost.cpp``. A core takes
(1 + slack) times its fair share of the neurons, rounded up, as in theirs. The second row also keeps
their lower bound of the share, (1 - slack) times, rounded down. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

from nirc.mapping.multicast import Trees, place_neurons
from nirc.mapping.partition.hypergraph import Hypergraph, hypergraph

UNITS = 1000  # of an activity, as an integer
GOAL = 2700


def read(path: Path) -> Hypergraph:
    tree = json.loads(path.read_text())
    activity = np.array([neuron["activity"] for neuron in tree["neurons"]])
    edges = [(edge["source"], edge["destinations"]) for edge in tree["hyperedges"]]
    source = np.repeat([one for one, _ in edges], [len(many) for _, many in edges])
    target = np.concatenate([many for _, many in edges])
    rate = np.round(activity * UNITS).astype(np.int64)
    lonely = np.setdiff1d(np.arange(len(rate)), source)  # gets a target, for no spikes
    rate[lonely] = 0
    source, target = np.append(source, lonely), np.append(target, (lonely + 1) % len(rate))
    return hypergraph(source, target, rate, np.ones((len(rate), 1), np.int64))


def rows(path: Path, side: int, slack: float, seed: int) -> Iterator[Row]:
    """Yield the hops without and with a least share of the neurons for each core."""
    graph = read(path)
    share = len(graph.size) / side**2
    capacity = math.ceil((1 + slack) * share)
    source = np.arange(len(graph.size))
    for least in (0, math.floor((1 - slack) * share)):
        trees = Trees(graph, source, side, side, np.array([least]), np.array([capacity]))
        begin = time.process_time()
        cell = place_neurons(trees, seed=seed)
        seconds = time.process_time() - begin
        if cell is None:
            raise SystemExit("no placement was found")
        note = f"{least} to {capacity} neurons each, {seconds:.1f} CPU s"
        what = f"{path.stem} on {side} x {side} cores"
        yield Row(what, trees.cost(cell) / UNITS, "hops", GOAL, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--side", type=int, default=4)
    parser.add_argument("--slack", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show(rows(options.file, options.side, options.slack, options.seed), as_json=options.json)


if __name__ == "__main__":
    main()
