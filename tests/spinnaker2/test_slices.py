"""Slices of hand-made and random networks: places, keys, routes, and their limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nirc.backends.spinnaker2 import fit as module
from nirc.backends.spinnaker2.emulate import unrolled
from nirc.backends.spinnaker2.fit import Assignment, assign
from nirc.backends.spinnaker2.limits import Prices
from nirc.backends.spinnaker2.slices import IncomingKernel, Memory, Split, split
from nirc.backends.spinnaker2.system import Faults, System
from nirc.backends.spinnaker2.tables import Convolution, Input, Output, Projection, Tables
from nirc.diagnostics.log import Log
from nirc.mapping.tables.walk import walk
from tests.spinnaker2.networks import population


@pytest.mark.parametrize("board", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_packet_of_random_graphs_arrives(seed: int, board: bool) -> None:
    """Populations of random sizes, connected at random, in slices as small as memory is made."""
    tables = random_graph(seed, populations=12 if board else 4)
    log = Log()
    parts = split(Memory(tables, Prices(dyn_bytes=4000 if board else 9000), 16), {}, log)
    assert parts is not None, log.errors
    system = System(board=board, faults=Faults(cores=((0, 5),)))
    placed = assign(parts, system, 1e-3, log)
    assert placed is not None
    assert len(set(zip(placed.chip.tolist(), placed.core.tolist(), strict=True))) == parts.count
    cores = placed.core[parts.pair_target]
    assert walk(placed.routing, placed.nets, system.links, placed.keys, cores) == []
    assert placed.entries[1] <= placed.entries[0]
    assert pairs(parts) == pairs_one_by_one(tables, parts)


def test_a_board_is_filled_along_the_network_whatever_the_names_are() -> None:
    """A chain through 40 populations of 10 PEs each, without a search: every packet stays on its
    chip or goes to the next.
    """
    hops = []
    for turn in (1, 7):
        rng = np.random.default_rng(0)
        names = [f"p{i * turn % 40}" for i in range(40)]
        made = {name: population(rng, name, "lif_no_delay", 500) for name in sorted(names)}
        every, zeros = np.arange(500), np.zeros(500, int)
        wires = [Projection("in", "in", names[0], zeros[:1], zeros[:1], zeros[:1] + 1, zeros[:1])]
        wires += [
            Projection(f"{a} {b}", a, b, every, every, zeros + 1, zeros) for a, b in pairwise(names)
        ]
        outputs = (Output(names[-1], every),)
        tables = Tables(
            1, (Input("in", zeros[:1], 1),), tuple(made.values()), tuple(wires), (), outputs
        )
        parts = split(Memory(tables, Prices(), 16), dict.fromkeys(names, 50), Log())
        assert parts is not None
        placed = assign(parts, System(board=True, faults=Faults()), 1e-3, Log(), "quick")
        assert placed is not None
        hops.append(int(placed.routes.hops.sum()))
    assert hops[0] == hops[1] <= 20, "two borders between three chips, ten slices cross each"


@pytest.mark.parametrize("seed", range(20))
def test_synapses_of_a_kernel_are_those_that_the_emulator_unrolls(seed: int) -> None:
    """Strides, paddings, poolings that leave a rest, and zeros in the kernel."""
    rng = np.random.default_rng(seed)
    stride, pool = (int(side) for side in rng.integers(1, 3, 2))
    height, width = (int(side) for side in rng.integers(7, 15, 2))
    pads = rng.integers(0, 3, 4).tolist()
    weight = rng.integers(-2, 3, (*rng.integers(1, 4, 2), 3, 2))
    kernel = Convolution(
        "c", "a", "b", height, width, stride, stride, pool, pool, *pads, weight=weight
    )
    every = unrolled(kernel)
    for atoms, source_atoms in ((1, 1), (7, 5), (64, 250)):
        count = -(-int(np.prod(kernel.shape_out)) // atoms)
        one_by_one = every.pre // source_atoms * count + every.post // atoms
        pairs, synapses = np.unique(one_by_one, return_counts=True)
        source, target, counted = IncomingKernel(kernel).slices(atoms, source_atoms)
        assert (source * count + target).tolist() == pairs.tolist()
        assert counted.tolist() == synapses.tolist()


def random_graph(seed: int, populations: int) -> Tables:
    rng = np.random.default_rng(seed)
    models = rng.choice(["lif", "lif_no_delay", "lif_curr_exp"], populations)
    made = [
        population(rng, f"p{i}", str(m), int(rng.integers(20, 700))) for i, m in enumerate(models)
    ]
    wires = []
    for i, target in enumerate(made):
        source = made[int(rng.integers(populations))]
        key = np.unique(rng.integers(0, source.n * target.n, int(rng.integers(1, 4000))))
        zeros = np.zeros(len(key), np.int64)
        wires.append(
            Projection(
                f"w{i}", source.name, target.name, key // target.n, key % target.n, zeros + 1, zeros
            )
        )
    first = made[0]
    wires.append(
        Projection(
            "in", "in", "p0", np.zeros(1, int), np.zeros(1, int), np.ones(1, int), np.zeros(1, int)
        )
    )
    outputs = (Output(first.name, np.arange(first.n)),)
    return Tables(1, (Input("in", np.zeros(1, int), 1),), tuple(made), tuple(wires), (), outputs)


def pairs(parts: Split) -> set[tuple[int, int]]:
    return set(zip(parts.pair_source.tolist(), parts.pair_target.tolist(), strict=True))


def pairs_one_by_one(tables: Tables, parts: Split) -> set[tuple[int, int]]:
    """The same from every synapse."""
    first = {name: int(np.flatnonzero(parts.owner == i)[0]) for i, name in enumerate(parts.names)}
    found = set()
    for p in tables.projections:
        for pre, post in zip(p.pre.tolist(), p.post.tolist(), strict=True):
            source, target = (
                first[n] + k // parts.atoms[n] for n, k in ((p.source, pre), (p.target, post))
            )
            found.add((source, target))
    return found


@pytest.mark.parametrize("n", [1, 32, 33, 64, 65, 250])
@pytest.mark.parametrize("spikes", [True, False])
def test_a_recording_has_a_bit_for_each_spike_and_a_word_for_each_membrane(
    n: int, spikes: bool
) -> None:
    cells = population(np.random.default_rng(0), "p", "lif", n, spikes=spikes)
    tables = Tables(0, (), (cells,), (), (), (Output("p", np.arange(n)),))
    bits = n if spikes else 32 * n
    assert Memory(tables, Prices(), 16).terms("p", n, {})["recording"] == -(-bits // 32) * 4 * 16


# One above a limit is refused, the limit is accepted.


def slices(atoms: list[int], pairs: list[tuple[int, int]]) -> Split:
    """A population of one slice for each number of atoms; pairs (source, target) that send."""
    source, target = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    names = tuple(f"p{i}" for i in range(len(atoms)))
    size = np.array(atoms, np.int64)
    return Split(
        names,
        dict(zip(names, atoms, strict=True)),
        np.arange(len(atoms)),
        np.zeros_like(size),
        size,
        source,
        target,
        np.ones_like(source),
        {},
    )


def assigned(parts: Split, system: System | None = None) -> tuple[Assignment | None, list[str]]:
    log = Log()
    made = assign(parts, system or System(board=False, faults=Faults()), 1e-3, log, "quick")
    return made, [d.code for d in log.errors]


def test_a_table_may_be_as_long_as_the_router_has_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = slices(
        [10] * 20, [(i, (7 * i + 1) % 20) for i in range(20)]
    )  # each to another: no two share a route
    monkeypatch.setattr(module, "ROUTER_ENTRIES", 20)
    made, codes = assigned(parts)
    assert made is not None and made.routing.sizes.tolist() == [20] and not codes
    monkeypatch.setattr(module, "ROUTER_ENTRIES", 19)
    assert assigned(parts) == (None, ["N904"])


def test_keys_may_be_used_up() -> None:
    assert assigned(slices([1 << 31, 1 << 31], [(0, 1)]))[1] == []
    assert assigned(slices([1 << 31, 1 << 31, 1], [(0, 1)])) == (None, ["N920"])


def test_a_chip_that_faults_cut_off_is_named() -> None:
    parts = slices(
        [10] * 149, [(0, i) for i in range(1, 149)]
    )  # more than a chip takes, whatever the order
    working = System(board=True, faults=Faults())
    assert assigned(parts, working)[1] == []
    first = int(working.chips[0])
    cut = Faults(links=tuple((first, direction) for direction in range(6)))
    assert assigned(parts, System(board=True, faults=cut)) == (None, ["N921"])


@pytest.mark.parametrize("seed", range(8))
def test_slices_are_as_few_as_fit_and_even(seed: int) -> None:
    """Not one more neuron in a slice would save a slice. None has more than an even share."""
    tables = random_graph(seed, 4)
    memory = Memory(tables, Prices(dyn_bytes=9000 + 1500 * seed), 16)
    log = Log()
    parts = split(memory, {}, log)
    assert parts is not None, log.errors
    for name, atoms in parts.atoms.items():
        n, count = memory.blocks[name].n, memory.count(name, atoms)
        even = -(-n // count)
        assert atoms == even or not memory.fits(name, even, parts.atoms)
        most = min(n, 250)
        fewer = [a for a in range(atoms + 1, most + 1) if memory.count(name, a) < count]
        assert not any(memory.fits(name, a, parts.atoms) for a in fewer)
    assert parts.synapses.sum() == sum(p.pre.size for p in tables.projections)
    used = sum(parts.usage.values())
    assert max(used) <= memory.prices.dyn_bytes


def test_a_slice_that_was_asked_for_is_no_smaller() -> None:
    tables = random_graph(0, 2)
    memory = Memory(tables, Prices(), 16)
    parts = split(memory, {"p0": 7}, Log())
    assert parts is not None and parts.atoms["p0"] == 7
    log = Log()
    assert split(memory, {"p0": 251}, log) is None
    assert [(d.code, d.found, d.limit) for d in log.errors] == [("N902", "251", "250")]
    tight = Memory(tables, Prices(dyn_bytes=2000), 16)
    log = Log()
    assert split(tight, {"p0": 250}, log) is None
    assert {d.code for d in log.errors} == {"N903"}
