"""Cut synthetic networks for cores of Loihi 2: cores against the lower bound, traffic, and time.

    python benchmarks/partition.py           a table of small networks
    python benchmarks/partition.py --scale   convolutional networks on 1 k, 10 k and 140 k cores
    python benchmarks/partition.py --effort quick  without the search beyond the first good answer

Seconds are of the processor (user and system), without the imports of the first call.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from nirc.backends.loihi2.cores import cores_of
from nirc.backends.loihi2.limits import HALA_POINT
from nirc.mapping.effort import EFFORTS, Effort
from nirc.mapping.partition import (
    Partition,
    Population,
    Problem,
    Projection,
    Reach,
    dense,
    partition,
    sparse,
    window,
)

RATE = 0.1
SCALES = {"1 k": 1_000, "10 k": 10_000, "140 k": 140_000}
LAYERS = 32


def chain(
    shapes: list[tuple[int, ...]], reach: Callable[[tuple[int, ...], tuple[int, ...]], Reach]
) -> Problem:
    populations = [Population(f"layer {i}", s, RATE, on_core=i > 0) for i, s in enumerate(shapes)]
    steps = [Projection(i, i + 1, reach(a, b)) for i, (a, b) in enumerate(pairwise(shapes))]
    return Problem(tuple(populations), tuple(steps))


def same(source: tuple[int, ...], target: tuple[int, ...]) -> Reach:
    """A 3 x 3 convolution with padding, with stride 2 where the map shrinks; dense where the target
    is flat.
    """
    if len(target) == 1:
        return dense(source, target)
    stride = source[1] // target[1]
    return window(source, target, (3, 3), stride=(stride, stride), padding=(1, 1))


def conv() -> Problem:
    shapes = [(2, 128, 128), (16, 64, 64), (32, 64, 64), (64, 32, 32), (128, 16, 16), (128, 8, 8)]
    return chain([*shapes, (512,), (11,)], same)


def recurrent(seed: int = 0) -> Problem:
    """Excitatory and inhibitory neurons, each neuron with 100 random sources."""
    rng = np.random.default_rng(seed)
    sizes = {"in": 200, "e": 4000, "i": 1000}
    populations = tuple(
        Population(name, (n,), RATE, on_core=name != "in") for name, n in sizes.items()
    )
    projections = []
    for s, t in ((0, 1), (1, 1), (1, 2), (2, 1), (2, 2)):
        n_in, n_out = populations[s].neurons, populations[t].neurons
        pairs = np.unique(rng.integers(0, n_in, (n_out, 50)) * n_out + np.arange(n_out)[:, None])
        projections.append(
            Projection(s, t, sparse((n_in,), (n_out,), pairs // n_out, pairs % n_out))
        )
    return Problem(populations, tuple(projections))


def many(count: int = 300, seed: int = 0) -> Problem:
    """Populations of 20 to 400 neurons, each densely to three random others: many share a core."""
    rng = np.random.default_rng(seed)
    populations = tuple(
        Population(f"p{i}", (int(n),), RATE) for i, n in enumerate(rng.integers(20, 400, count))
    )
    ends = [(i, int(j)) for i in range(count) for j in rng.choice(count, 3, replace=False)]
    return Problem(
        populations,
        tuple(Projection(i, j, dense(populations[i].shape, populations[j].shape)) for i, j in ends),
    )


def networks() -> Iterator[tuple[str, Problem]]:
    yield "dense 784-512-512-10", chain([(784,), (512,), (512,), (10,)], dense)
    yield "dense 2000-1000-1000-100", chain([(2000,), (1000,), (1000,), (100,)], dense)
    yield "conv, dense at the end", conv()
    yield "recurrent, sparse", recurrent()
    yield "300 small populations", many()


def layered(cores: int) -> Problem:
    """``LAYERS`` maps of one shape, 3 x 3 convolutions between them, filling about so many
    cores.
    """
    side = 2 * max(round((cores * 4096 * 0.97 / LAYERS / 64) ** 0.5 / 2), 4)
    return chain([(64, side, side)] * (LAYERS + 1), same)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def row(name: str, problem: Problem, effort: Effort, seed: int) -> None:
    cores = cores_of(problem, HALA_POINT)
    begin, wall = cpu(), time.perf_counter()
    found = partition(problem, cores, effort=effort, seed=seed)
    cut = cpu() - begin
    begin = cpu()
    traffic = found.between_cores()
    edges = cpu() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{name:26} {len(found.boxes):7} {found.count:7} {found.bound:7} {_ratio(found):>7} "
        f"{found.traffic:12.1f} "
        f"{traffic.weights.size // 2:9} {cut:8.2f} {edges:8.2f} {time.perf_counter() - wall:8.2f} "
        f"{memory:6}",
        flush=True,
    )


def _ratio(found: Partition) -> str:
    return "proven" if found.proven else f"{found.count / max(found.bound, 1):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--effort", choices=EFFORTS, default="normal")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    row_of = [
        f"{'':26} {'parts':>7} {'cores':>7} {'bound':>7} {'ratio':>7} {'traffic':>12} {'edges':>9}"
    ]
    print(*row_of, f"{'cut s':>8} {'edges s':>8} {'wall s':>8} {'MB':>6}")
    every = (
        ((f"{name} cores", layered(n)) for name, n in SCALES.items()) if given.scale else networks()
    )
    for name, problem in every:
        row(name, problem, given.effort, given.seed)


if __name__ == "__main__":
    main()
