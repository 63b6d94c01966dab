"""Slices: consecutive neurons of a population, on a processing element (PE) of their own.

The slices of a population are equally large. The vendor's tools cut a population so, given its
number of atoms. The largest number of atoms that fits gives the fewest PEs. Among numbers that give
as few PEs, the smallest leaves the busiest PE the least work. Memory estimates are on the safe side
(targets sheet, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.emulate import Connections, connections
from nirc.backends.spinnaker2.findings import SynapseMemory, TooManyAtoms
from nirc.backends.spinnaker2.limits import INPUT_RATE, Prices
from nirc.backends.spinnaker2.tables import DELAYED, FILTERED, Input, Population, Tables, most_atoms
from nirc.diagnostics.log import Log

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
# Terms of the memory of a PE. ``table``: the master population table, an entry for each slice that
# sends here. ``rows``: the synapses of each source neuron with targets here. ``ring``: ring
# buffers. ``state``: membranes and currents. Parameters have a place of their own. ``recording``:
# of outputs, over all steps. ``kernel``: all of a convolution's kernel, and a pointer a neuron.
# ``spikes``: those that an input plays.
TERMS = ("table", "rows", "ring", "state", "recording", "kernel", "spikes")


@dataclass(frozen=True)
class Incoming:
    """Synapses into a population, sorted by source neuron, then target neuron.

    ``rows``: stored one by one.
    """

    source: str
    pre: Int32
    post: Int32
    rows: bool

    @staticmethod
    def of(c: Connections, *, rows: bool) -> Incoming:
        """Return the synapses of ``c`` in order."""
        pre, post = c.pre.astype(np.int32, copy=False), c.post.astype(np.int32, copy=False)
        step = np.diff(pre)
        if not ((step > 0) | ((step == 0) & (np.diff(post) >= 0))).all():
            order = np.lexsort((post, pre))
            pre, post = pre[order], post[order]
        return Incoming(c.source, pre, post, rows)

    def reached(self, atoms: int) -> tuple[Int, Int, Int]:
        """Return source neurons and the target slices that they reach, with numbers of synapses."""
        to = self.post // atoms
        new = np.ones(len(to), np.bool_)
        new[1:] = (self.pre[1:] != self.pre[:-1]) | (to[1:] != to[:-1])
        start = np.flatnonzero(new)
        count = np.diff(np.append(start, len(to)))
        return self.pre[start].astype(np.int64), to[start].astype(np.int64), count


class Memory:
    """Memory of the slices of ``tables``, for any numbers of atoms.

    Outputs record ``steps`` steps.
    """

    def __init__(self, tables: Tables, prices: Prices, steps: int) -> None:
        self.prices = prices
        self.steps = steps
        blocks: tuple[Input | Population, ...] = (*tables.inputs, *tables.populations)
        self.blocks = {block.name: block for block in blocks}
        self.incoming: dict[str, list[Incoming]] = {name: [] for name in self.blocks}
        self.kernels = {c.target: c.weight.size for c in tables.convolutions}
        convolved = {(c.source, c.target) for c in tables.convolutions}
        for c in connections(tables):
            rows = (c.source, c.target) not in convolved
            self.incoming[c.target].append(Incoming.of(c, rows=rows))
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
            pre, to, synapses = into.reached(atoms)
            if into.rows:
                size = -(-(prices.row_header + prices.synapse_bytes * synapses) // 4) * 4
                rows = np.bincount(to, size, minlength=len(n)).astype(np.int64)
                terms["rows"] = terms["rows"] + rows
            each = source_atoms[into.source]
            sends = np.zeros((self.count(into.source, each), len(n)), np.bool_)
            sends[pre // each, to] = True
            entries = sends.sum(axis=0) * prices.mpt_words * 4 * prices.mpt_factor
            terms["table"] = terms["table"] + entries
        return terms

    def total(self, name: str, atoms: int, source_atoms: Mapping[str, int]) -> Int:
        """Return (slices,) bytes."""
        total: Int = np.sum(list(self.terms(name, atoms, source_atoms).values()), axis=0)
        return total

    def fits(self, name: str, atoms: int, source_atoms: Mapping[str, int]) -> bool:
        """Return True if each slice fits its PE."""
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
    return SynapseMemory(
        where=name,
        population=name,
        atoms=atoms,
        neuron=worst,
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
    for name, targets in zip(names, counts, strict=True):
        for into in memory.incoming[name]:
            pre, to, count = into.reached(atoms[name])
            sources = memory.count(into.source, atoms[into.source])
            pair = pre // atoms[into.source] * targets + to
            joined = np.bincount(pair, count, minlength=sources * targets)
            pairs = np.flatnonzero(joined)
            source, target = np.divmod(pairs, targets)
            keys.append((first[into.source] + source) * total + first[name] + target)
            weights.append(joined[pairs].astype(np.int64))
    key, of = np.unique(np.concatenate(keys), return_inverse=True)
    synapses = np.bincount(of.ravel(), np.concatenate(weights), minlength=len(key)).astype(np.int64)
    terms = [memory.terms(name, atoms[name], atoms) for name in names]
    usage = {term: np.concatenate([part[term] for part in terms]) for term in TERMS}
    end = begin + np.concatenate(sizes)
    return Split(names, dict(atoms), owner, begin, end, key // total, key % total, synapses, usage)
