"""Group the neurons of five kinds of networks onto cores: ours, Mt-KaHyPar's, and index order.

    python benchmarks/regroup.py                 1,024 and 4,096 neurons
    python benchmarks/regroup.py 16384           another number of neurons, a multiple of 256
    python benchmarks/regroup.py --renumbered 4096  ten random numberings of one sheet
    python benchmarks/regroup.py FILE.npz -o OUT.npz  solve one problem

A core takes 264 neurons, and there is one for every 256. The cost is spikes a step times the other
cores that they reach. Mt-KaHyPar (``pip install mtkahypar``) runs with its preset QUALITY on one
thread. Seconds are of the processor, in this process.

FILE.npz: ``neurons`` (one number), ``src`` and ``dst`` (synapses,), ``rate`` (neurons,) spikes a
step, ``capacity`` neurons of a core, ``cores``. OUT.npz: ``core`` (neurons,), the core of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, hypergraph
from nirc.mapping.partition.regroup import regroup

PER_CORE, CAPACITY = 256, 264
KEYS = ("neurons", "src", "dst", "rate", "capacity", "cores")
MOST_NEURONS = 1 << 24
MOST_UNITS = 10_000  # of the largest rate, as an integer
Synapses = tuple[Ints, Ints]  # sources, targets


def random(n: int, rng: np.random.Generator) -> Synapses:
    return np.repeat(np.arange(n), 40), rng.integers(0, n, 40 * n)


def sheet(n: int, _: np.random.Generator) -> Synapses:
    """Synapses to all neurons within 3 rows and columns."""
    side = math.isqrt(n)
    y, x = np.divmod(np.arange(side * side), side)
    sources, targets = [], []
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            inside = (y + dy >= 0) & (y + dy < side) & (x + dx >= 0) & (x + dx < side)
            sources.append(np.flatnonzero(inside))
            targets.append(sources[-1] + dy * side + dx)
    return np.concatenate(sources), np.concatenate(targets)


def modules(n: int, rng: np.random.Generator) -> Synapses:
    """16 modules, with nine of ten synapses inside."""
    source = np.repeat(np.arange(n), 40)
    size = n // 16
    inside = source // size * size + rng.integers(0, size, source.size)
    return source, np.where(rng.random(source.size) < 0.9, inside, rng.integers(0, n, source.size))


def small_world(n: int, rng: np.random.Generator) -> Synapses:
    """A ring, with one of ten synapses anywhere."""
    source = np.repeat(np.arange(n), 20)
    near = (source + np.tile(np.arange(-9, 11), n)) % n
    return source, np.where(rng.random(source.size) < 0.1, rng.integers(0, n, source.size), near)


KINDS: dict[str, tuple[Callable[[int, np.random.Generator], Synapses], bool]] = {
    "random": (random, False),
    "sheet": (sheet, False),
    "sheet, shuffled": (sheet, True),
    "modules, shuffled": (modules, True),
    "small world, shuffled": (small_world, True),
}


def network(kind: str, n: int, numbering: int = 0) -> Hypergraph:
    make, shuffled = KINDS[kind]
    rng = np.random.default_rng(1)
    source, target = make(n, rng)
    rate = np.round(1000 * rng.uniform(0.01, 0.2, n)).astype(np.int64)
    if shuffled:
        number = np.random.default_rng(numbering).permutation(n)
        rate[number] = rate.copy()
        source, target = number[source], number[target]
    return hypergraph(source, target, rate, np.ones((n, 1), np.int64))


def in_kahypar(graph: Hypergraph) -> tuple[Any, Any, Any]:
    """Return Mt-KaHyPar's library, its context and its hypergraph."""
    import mtkahypar

    library = mtkahypar.initialize(1)
    mtkahypar.set_seed(0)
    context = library.context_from_preset(mtkahypar.PresetType.QUALITY)
    nets = [net.tolist() for net in np.split(graph.pin, graph.begin[1:-1])]
    n = len(graph.size)
    made = library.create_hypergraph(context, n, len(nets), nets, [1] * n, graph.weight.tolist())
    return library, context, made


def kahypar(graph: Hypergraph, blocks: int) -> Ints:
    import mtkahypar

    _, context, made = in_kahypar(graph)
    n = len(graph.size)
    slack = CAPACITY * blocks / n - 1 - 1e-9
    context.set_partitioning_parameters(blocks, slack, mtkahypar.Objective.KM1)
    context.logging = False
    found = made.partition(context)
    return np.array([found.block_id(i) for i in range(n)])


def measured(graph: Hypergraph, group: Callable[[], Ints | None]) -> tuple[int, float]:
    """Return the cost and the CPU seconds."""
    begin = time.process_time()
    block = group()
    if block is None:
        raise SystemExit("no grouping was found")
    return graph.cost(block), time.process_time() - begin


def table(n: int, theirs: bool) -> Iterator[Row]:
    """Yield the cost of each kind of network to Mt-KaHyPar's."""
    blocks = n // PER_CORE
    for kind in KINDS:
        graph = network(kind, n)
        cost, seconds = measured(graph, partial(regroup, graph, blocks, np.array([CAPACITY])))
        index_order = graph.cost(np.arange(len(graph.size)) * blocks // len(graph.size))
        note = f"{seconds:.1f} CPU s, {cost / index_order:.3f} of index order"
        other, took = measured(graph, partial(kahypar, graph, blocks)) if theirs else (None, 0.0)
        if other is not None:
            note += f"; Mt-KaHyPar {took:.1f} CPU s"
        what = f"{n} neurons, {kind}"
        rival = {"rival": "Mt-KaHyPar QUALITY", "rival_value": other} if theirs else {}
        yield Row(what, cost, "spikes x cores", 1.02, of_ratio=True, note=note, **rival)


def renumbered(n: int) -> Iterator[Row]:
    """Yield the largest to the least cost of ten numberings."""
    costs = []
    for numbering in range(10):
        graph = network("sheet, shuffled", n, numbering)
        ours = partial(regroup, graph, n // PER_CORE, np.array([CAPACITY]))
        costs.append(measured(graph, ours)[0])
    what = f"{n} neurons, ten numberings of one sheet: the largest cost to the least"
    yield Row(what, max(costs) / min(costs), "", 1.02)


def read(path: Path) -> tuple[Hypergraph, int, int]:
    """Return synapses, capacity and cores. Raises ``ValueError`` that says what is wrong."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in KEYS if key in file.files}
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"is no .npz file: {error}") from None
    if missing := [key for key in KEYS if key not in found]:
        raise ValueError(f"lacks {', '.join(missing)}")
    neurons, capacity, cores = (
        _scalar(found[key], key) for key in ("neurons", "capacity", "cores")
    )
    source, target = (found[key] for key in ("src", "dst"))
    for key in ("src", "dst"):
        numbers = found[key]
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) != len(source):
            raise ValueError(
                f"{key} is {numbers.dtype} {numbers.shape}, wanted one row of integers"
            )
        if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < neurons:
            raise ValueError(f"{key} names neurons outside 0 to {neurons - 1}")
    rate = np.asarray(found["rate"], float)
    if rate.shape != (neurons,) or not (np.isfinite(rate) & (rate >= 0)).all():
        raise ValueError(f"rate is {rate.shape}, wanted ({neurons},) numbers of at least 0")
    if neurons > capacity * cores:
        raise ValueError(f"{neurons} neurons on {cores} cores of {capacity}")
    units = np.round(rate * (MOST_UNITS / max(float(rate.max(initial=0)), 1e-300))).astype(np.int64)
    size = np.ones((neurons, 1), np.int64)
    graph = hypergraph(source.astype(np.int64), target.astype(np.int64), units, size)
    return graph, capacity, cores


def _scalar(value: NDArray[Any], key: str) -> int:
    if value.shape != () or value.dtype.kind not in "iu" or not 0 < int(value) <= MOST_NEURONS:
        raise ValueError(f"{key} is {value!r}, wanted one number from 1 to {MOST_NEURONS}")
    return int(value)


def solve(path: Path, out: Path) -> None:
    graph, capacity, cores = read(path)
    few = -(-len(graph.size) // capacity)
    best: tuple[int, Ints] | None = None
    for blocks in sorted({few, min(few + 1, cores), cores}):
        block = np.zeros(len(graph.size), np.int64)
        found = block if blocks == 1 else regroup(graph, blocks, np.array([capacity]))
        if found is not None and (best is None or graph.cost(found) < best[0]):
            best = graph.cost(found), found
    if best is None:
        raise SystemExit(f"{path}: no grouping was found")
    np.savez(out, core=best[1])
    print(f"{path}: {best[1].max() + 1} cores")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["1024", "4096"], metavar="NEURONS|FILE.npz")
    parser.add_argument("--renumbered", action="store_true")
    parser.add_argument("--json", action="store_true", help="rows for docs/performance.md")
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    if arguments.out is not None:
        try:
            (path,) = map(Path, arguments.what)
            return solve(path, arguments.out)
        except ValueError as error:
            sys.exit(f"{' '.join(arguments.what)}: {error}")
    if not all(word.isdecimal() for word in arguments.what):
        parser.error("with a FILE.npz also say -o OUT.npz")
    theirs = importlib.util.find_spec("mtkahypar") is not None
    if not theirs:
        print("mtkahypar is not installed: no comparison with it", file=sys.stderr)
    regroup(network("random", 512), 2, np.array([CAPACITY]))  # compiles
    sizes = [int(word) for word in arguments.what]
    parts = [renumbered(n) if arguments.renumbered else table(n, theirs) for n in sizes]
    show(chain.from_iterable(parts), as_json=arguments.json)


if __name__ == "__main__":
    main()
