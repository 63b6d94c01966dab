"""Slices: consecutive neurons of a population, on a processing element (PE) of their own.

The slices of a population are equally large. The vendor's tools cut a population so, given its
number of atoms. The largest number of atoms that fits gives the fewest PEs. Among numbers that give
as few PEs, the smallest leaves the busiest PE the least work. Memory estimates are on the safe side
(targets sheet, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.findings import SynapseMemory, TooManyAtoms
from nirc.backends.spinnaker2.joined import Places, owner
from nirc.backends.spinnaker2.limits import INPUT_RATE, Prices
from nirc.backends.spinnaker2.tables import (
    DELAYED,
    FILTERED,
    Convolution,
    Input,
    Population,
    Projection,
    Tables,
    most_atoms,
)
from nirc.diagnostics.log import Log

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
MOST_TOGETHER = 1 << 18  # synapses of a convolution that are counted together
# Terms of the memory of a PE. ``table``: the master population table, an entry for each slice that
# sends here. ``rows``: the synapses of each source neuron with targets here. ``ring``: ring
# buffers. ``state``: membranes and currents. Parameters have a place of their own. ``recording``:
# of outputs, over all steps. ``kernel``: all of a convolution's kernel, and a pointer a neuron.
# ``spikes``: those that an input plays.
TERMS = ("table", "rows", "ring", "state", "recording", "kernel", "spikes")


class Incoming:
    """Synapses into a population, one by one, sorted by source neuron, then target neuron."""

    def __init__(self, p: Projection, targets: int) -> None:
        self.source = p.source
        self.pre: Int32 = np.asarray(p.pre, np.int32)
        self.post: Int32 = np.asarray(p.post, np.int32)
        self.fan_in: Int = np.bincount(self.post, minlength=targets)
        self._counted: dict[tuple[int, int], tuple[Int, Int, Int]] = {}
        self._row_bytes: dict[int, Int] = {}

    def row_bytes(self, atoms: int, prices: Prices) -> Int:
        """Return (slices,) bytes of rows, one for each source neuron that reaches the slice."""
        if atoms not in self._row_bytes:
            _, to, synapses = self._reached(atoms)
            size = -(-(prices.row_header + prices.synapse_bytes * synapses) // 4) * 4
            slices = -(-len(self.fan_in) // atoms)
            self._row_bytes[atoms] = np.bincount(to, size, minlength=slices).astype(np.int64)
        return self._row_bytes[atoms]

    def least_bytes(self, atoms: int, prices: Prices) -> Int:
        """Return (slices,) bytes of the rows without their headers."""
        starts = np.arange(0, len(self.fan_in), atoms)
        return np.add.reduceat(self.fan_in, starts) * prices.synapse_bytes

    def _reached(self, atoms: int) -> tuple[Int32, Int32, Int]:
        to = self.post // atoms
        new = np.ones(len(to), np.bool_)
        new[1:] = (self.pre[1:] != self.pre[:-1]) | (to[1:] != to[:-1])
        start = np.flatnonzero(new)
        return self.pre[start], to[start], np.diff(start, append=len(to))

    def slices(self, atoms: int, source_atoms: int) -> tuple[Int, Int, Int]:
        """Return slices of the source, the target slices that each reaches, and synapses.

        Each pair of slices is there once, in order.
        """
        key = atoms, source_atoms
        if key not in self._counted:
            targets = -(-len(self.fan_in) // atoms)
            pre, to, count = self._reached(atoms)
            pair = (pre // source_atoms).astype(np.int64) * targets + to
            total = np.bincount(pair, count)
            pairs = np.flatnonzero(total)
            synapses = total[pairs].astype(np.int64)
            self._counted[key] = pairs // targets, pairs % targets, synapses
        return self._counted[key]


class IncomingKernel:
    """Synapses of a convolution, which are counted from its geometry."""

    def __init__(self, c: Convolution) -> None:
        self.source = c.source
        self.convolution = c
        self.pooled = c.in_height // c.pool_y, c.in_width // c.pool_x
        self._counted: dict[tuple[int, int], tuple[Int, Int, Int]] = {}

    def slices(self, atoms: int, source_atoms: int) -> tuple[Int, Int, Int]:
        """Return slices of the source, the target slices that each reaches, and synapses.

        Each pair of slices is there once, in order.
        """
        key = atoms, source_atoms
        if key not in self._counted:
            self._counted[key] = self._count(atoms, source_atoms)
        return self._counted[key]

    def _count(self, atoms: int, source_atoms: int) -> tuple[Int, Int, Int]:
        c = self.convolution
        n_in, n_out = math.prod(c.shape_in), math.prod(c.shape_out)
        sources, targets = -(-n_in // source_atoms), -(-n_out // atoms)
        of_source = (np.arange(n_in) // source_atoms * targets).reshape(len(c.weight), -1)
        of_target = (np.arange(n_out) // atoms).reshape(c.weight.shape[1], -1)
        total = np.zeros(sources * targets, np.int64)
        for y, x in np.ndindex(*c.weight.shape[2:]):
            come, go = np.nonzero(c.weight[:, :, y, x])
            for source, target in self._taps(y, x):
                together = max(1, MOST_TOGETHER // max(1, source.size))
                for i in range(0, come.size, together):
                    pair = of_source[come[i : i + together]][:, source]
                    pair += of_target[go[i : i + together]][:, target]
                    _add_runs(total, pair.ravel())
        pairs = np.flatnonzero(total)
        return pairs // targets, pairs % targets, total[pairs]

    def _taps(self, y: int, x: int) -> Iterator[tuple[Int, Int]]:
        """Yield places of the source's map and of the target's map that a tap connects.

        There is one pair of lists for each place in a window of the pooling.
        """
        c = self.convolution
        rows = np.arange(c.shape_out[1]) * c.stride_y - c.pad_top + y
        cols = np.arange(c.shape_out[2]) * c.stride_x - c.pad_left + x
        row = np.flatnonzero((rows >= 0) & (rows < self.pooled[0]))
        col = np.flatnonzero((cols >= 0) & (cols < self.pooled[1]))
        target = (row[:, None] * c.shape_out[2] + col).ravel()
        for dy, dx in np.ndindex(c.pool_y, c.pool_x):
            above = rows[row] * c.pool_y + dy
            yield (above[:, None] * c.in_width + cols[col] * c.pool_x + dx).ravel(), target


def _add_runs(total: Int, pair: Int) -> None:
    """Count each number of ``pair``, in which equal numbers mostly stand side by side."""
    if not pair.size:
        return
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    np.add.at(total, pair[start], np.diff(start, append=pair.size))


class Memory:
    """Memory of the slices of ``tables``, for any numbers of atoms.

    Outputs record ``steps`` steps. ``places``: of joined populations, for messages.
    """

    def __init__(
        self, tables: Tables, prices: Prices, steps: int, places: Places | None = None
    ) -> None:
        self.tables = tables
        self.places = places or {}
        self.prices = prices
        self.steps = steps
        blocks: tuple[Input | Population, ...] = (*tables.inputs, *tables.populations)
        self.blocks = {block.name: block for block in blocks}
        self.incoming: dict[str, list[Incoming | IncomingKernel]] = {n: [] for n in self.blocks}
        self.kernels = {c.target: c.weight.size for c in tables.convolutions}
        for p in tables.projections:
            self.incoming[p.target].append(Incoming(p, self.blocks[p.target].n))
        for c in tables.convolutions:
            self.incoming[c.target].append(IncomingKernel(c))
        self.recorded = {output.population for output in tables.outputs}

    def count(self, name: str, atoms: int) -> int:
        """Return the number of slices."""
        return -(-self.blocks[name].n // atoms)

    def neurons(self, name: str, atoms: int) -> Int:
        """Return (slices,) neurons of each slice."""
        n = self.blocks[name].n
        return np.minimum(atoms, n - atoms * np.arange(self.count(name, atoms)))

    def terms(self, name: str, atoms: int, source_atoms: Mapping[str, int]) -> dict[str, Int]:
        """Return (slices,) bytes by term, of a population in slices of ``atoms``.

        Its sources have slices of ``source_atoms``.
        """
        block = self.blocks[name]
        prices = self.prices
        n = self.neurons(name, atoms)
        terms = dict.fromkeys(TERMS, np.zeros(len(n), np.int64))
        if isinstance(block, Input):
            spikes = np.ceil(n * self.steps * INPUT_RATE).astype(np.int64)
            terms["spikes"] = spikes * prices.spike_bytes
            return terms
        slots = prices.slots if block.model in DELAYED else 1
        words = prices.state_words_exp if block.model in FILTERED else prices.state_words
        terms["ring"] = n * slots * prices.signs * prices.slot_bytes
        terms["state"] = n * words * 4
        if name in self.recorded:
            a_step = -(-n // 32) * 4 if block.spikes else n * 4
            terms["recording"] = a_step * self.steps
        if name in self.kernels:
            terms["kernel"] = self.kernels[name] + n
        for into in self.incoming[name]:
            if isinstance(into, Incoming):
                terms["rows"] = terms["rows"] + into.row_bytes(atoms, prices)
            each = source_atoms[into.source]
            come, to, _ = into.slices(atoms, each)
            sends = np.zeros((self.count(into.source, each), len(n)), np.bool_)
            sends[come, to] = True
            entries = sends.sum(axis=0) * prices.mpt_words * 4 * prices.mpt_factor
            terms["table"] = terms["table"] + entries
        return terms

    def total(self, name: str, atoms: int, source_atoms: Mapping[str, int]) -> Int:
        """Return (slices,) bytes."""
        total: Int = np.sum(list(self.terms(name, atoms, source_atoms).values()), axis=0)
        return total

    def fits(self, name: str, atoms: int, source_atoms: Mapping[str, int]) -> bool:
        """Return True if each slice fits its PE."""
        for into in self.incoming[name]:
            if isinstance(into, Incoming):
                least = into.least_bytes(atoms, self.prices)
                if least.max() > self.prices.dyn_bytes:
                    return False
        return bool(self.total(name, atoms, source_atoms).max() <= self.prices.dyn_bytes)


@dataclass(frozen=True, eq=False)
class Split:
    """All slices of a network.

    ``owner`` (slices,): number of the population in ``names``. ``begin`` and ``end``: of its
    neurons. ``pair_source``, ``pair_target`` (pairs,): slices that send to each other, in order,
    with ``synapses`` between them. ``usage``: bytes by term, (slices,) each.
    """

    names: tuple[str, ...]
    atoms: Mapping[str, int]
    owner: Int
    begin: Int
    end: Int
    pair_source: Int
    pair_target: Int
    synapses: Int
    usage: Mapping[str, Int]

    @property
    def count(self) -> int:
        """The number of slices, and so of PEs."""
        return len(self.owner)


def split(memory: Memory, asked: Mapping[str, int], log: Log) -> Split | None:
    """Return slices of all populations, of ``asked`` atoms where given.

    Return None with the reasons (N902, N903) in ``log``.
    """
    most = {
        name: most_atoms(getattr(block, "model", "spike_list"))
        for name, block in memory.blocks.items()
    }
    atoms = {name: min(most[name], block.n) for name, block in memory.blocks.items()}
    for name, wanted in asked.items():
        if wanted > most[name]:
            log.add(TooManyAtoms(population=name, wanted=wanted, most=most[name]))
        atoms[name] = min(wanted, most[name], memory.blocks[name].n)
    # The population tables grow with the slices that send. Smaller slices of a source may ask for
    # smaller slices of its targets.
    while not log.errors:
        before = dict(atoms)
        for name in memory.blocks:
            fitting = _fitting(memory, name, atoms, fixed=name in asked, log=log)
            atoms[name] = fitting or atoms[name]
        if atoms == before:
            break
    if log.errors:
        return None
    balanced = {name: _balanced(memory, name, atoms) for name in memory.blocks if name not in asked}
    return _split(memory, atoms | balanced)


def _fitting(
    memory: Memory, name: str, atoms: dict[str, int], *, fixed: bool, log: Log
) -> int | None:
    """Return the most atoms, up to those in ``atoms``, with which each slice fits."""
    high = atoms[name]
    if memory.fits(name, high, atoms):
        return high
    if fixed or not memory.fits(name, 1, atoms):
        log.add(_too_large(memory, name, high if fixed else 1, atoms))
        return None
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        if memory.fits(name, middle, atoms):
            low = middle
        else:
            high = middle
    return low


def _balanced(memory: Memory, name: str, atoms: dict[str, int]) -> int:
    """Return the fewest atoms that need no more slices."""
    fewest = -(-memory.blocks[name].n // memory.count(name, atoms[name]))
    return fewest if memory.fits(name, fewest, atoms) else atoms[name]


def _too_large(
    memory: Memory, name: str, atoms: int, source_atoms: dict[str, int]
) -> SynapseMemory:
    terms = memory.terms(name, atoms, source_atoms)
    worst = int(np.argmax(np.sum(list(terms.values()), axis=0)))
    population, neuron = owner(memory.places, name, worst * atoms)
    return SynapseMemory(
        where=population,
        population=population,
        atoms=atoms,
        neuron=neuron,
        terms={term: int(terms[term][worst]) for term in TERMS},
        most=memory.prices.dyn_bytes,
    )


def _split(memory: Memory, atoms: Mapping[str, int]) -> Split:
    names = tuple(memory.blocks)
    sizes = [memory.neurons(name, atoms[name]) for name in names]
    counts = [len(size) for size in sizes]
    owner = np.repeat(np.arange(len(names)), counts)
    begins = [np.arange(len(s)) * atoms[name] for name, s in zip(names, sizes, strict=True)]
    begin = np.concatenate(begins)
    first = dict(zip(names, np.cumsum([0, *counts]).tolist(), strict=False))
    total = len(owner)
    keys, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name in names:
        for into in memory.incoming[name]:
            source, target, count = into.slices(atoms[name], atoms[into.source])
            keys.append((first[into.source] + source) * total + first[name] + target)
            weights.append(count)
    key, of = np.unique(np.concatenate(keys), return_inverse=True)
    synapses = np.bincount(of.ravel(), np.concatenate(weights)).astype(np.int64)
    terms = [memory.terms(name, atoms[name], atoms) for name in names]
    usage = {term: np.concatenate([part[term] for part in terms]) for term in TERMS}
    end = begin + np.concatenate(sizes)
    return Split(names, dict(atoms), owner, begin, end, key // total, key % total, synapses, usage)
