"""Slices: each population is cut into consecutive neurons, equally many for each processing element
(PE).

So the vendor's tools cut it, who are told a number of atoms for each population. The largest number
that fits gives the fewest PEs; among those that give as few, the smallest has the least work for
the busiest PE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.limits import GENERATED
from nirc.backends.spinnaker2.memory import TERMS, Memory
from nirc.backends.spinnaker2.tables import most_atoms
from nirc.diagnostics.log import Log

Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """All slices: ``owner`` (slices,) number of the block in ``names``, ``begin`` and ``end`` of
    its neurons.

    ``pair_source``, ``pair_target`` (pairs,): slices that send to each other, in order;
    ``synapses`` between them; ``usage``: bytes by term, (slices,) each.
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
        """Slices, and so PEs."""
        return len(self.owner)


def split(memory: Memory, asked: Mapping[str, int], log: Log) -> Split | None:
    """Slices of all populations, of ``asked`` atoms where given; None with the reasons (N902, N903)
    in ``log``.
    """
    most = {
        name: most_atoms(getattr(block, "model", "spike_list"))
        for name, block in memory.blocks.items()
    }
    atoms = {name: min(most[name], block.n) for name, block in memory.blocks.items()}
    for name, wanted in asked.items():
        if wanted > most[name]:
            log.error(
                "N902",
                f"{wanted} neurons of `{name}` on a processing element were asked for",
                found=wanted,
                limit=most[name],
                source=GENERATED,
            )
        atoms[name] = min(wanted, most[name], memory.blocks[name].n)
    # The population tables grow with the slices that send: smaller slices there may call for
    # smaller ones here.
    while not log.errors:
        before = dict(atoms)
        for name in memory.blocks:
            found = _fitting(memory, name, atoms, fixed=name in asked, log=log)
            atoms[name] = found or atoms[name]
        if atoms == before:
            break
    if log.errors:
        return None
    balanced = {name: _balanced(memory, name, atoms) for name in memory.blocks if name not in asked}
    return _slices(memory, atoms | balanced)


def _fitting(
    memory: Memory, name: str, atoms: dict[str, int], *, fixed: bool, log: Log
) -> int | None:
    """The largest number of atoms, up to the one in ``atoms``, with which every slice fits."""
    most = memory.prices.dyn_bytes
    high = atoms[name]
    if memory.total(name, high, atoms).max() <= most:
        return high
    if fixed or memory.total(name, 1, atoms).max() > most:
        _refuse(memory, name, high if fixed else 1, atoms, log)
        return None
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if memory.total(name, middle, atoms).max() <= most else (low, middle)
        )
    return low


def _balanced(memory: Memory, name: str, atoms: dict[str, int]) -> int:
    """The fewest atoms that need no more slices."""
    n = memory.blocks[name].n
    fewest = -(-n // -(-n // atoms[name]))
    fits = memory.total(name, fewest, atoms).max() <= memory.prices.dyn_bytes
    return fewest if fits else atoms[name]


def _refuse(memory: Memory, name: str, atoms: int, source_atoms: dict[str, int], log: Log) -> None:
    terms = memory.terms(name, atoms, source_atoms)
    worst = int(np.argmax(np.sum(list(terms.values()), axis=0)))
    parts = ", ".join(f"{term} {int(terms[term][worst]):,}" for term in TERMS if terms[term][worst])
    used = sum(int(terms[term][worst]) for term in TERMS)
    what = f"{atoms} neurons" if atoms > 1 else f"neuron {worst} alone"
    log.error(
        "N903",
        f"{what} of `{name}` do not fit the memory of a processing element"
        if atoms > 1
        else f"{what} of `{name}` does not fit the memory of a processing element",
        where=name,
        found=f"{used:,} bytes: {parts}",
        limit=f"{memory.prices.dyn_bytes:,} bytes",
        source=GENERATED,
        help="prune or pool what comes in, record fewer steps (--set steps=N), or --set "
        "memory=BYTES",
    )


def _slices(memory: Memory, atoms: Mapping[str, int]) -> Split:
    names = tuple(memory.blocks)
    sizes = [memory.neurons(name, atoms[name]) for name in names]
    owner = np.repeat(np.arange(len(names)), [len(s) for s in sizes])
    begin = np.concatenate(
        [np.arange(len(s)) * atoms[name] for name, s in zip(names, sizes, strict=True)]
    )
    first = dict(zip(names, np.cumsum([0, *(len(s) for s in sizes)]).tolist(), strict=False))
    total = len(owner)
    keys, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name in names:
        for into in memory.incoming[name]:
            pre, to, count = into.slices(atoms[name])
            here, there = (
                -(-memory.blocks[into.source].n // atoms[into.source]),
                len(sizes[names.index(name)]),
            )
            joined = np.bincount(
                pre // atoms[into.source] * there + to, count, minlength=here * there
            )
            pairs = np.flatnonzero(joined)
            keys.append((first[into.source] + pairs // there) * total + first[name] + pairs % there)
            weights.append(joined[pairs].astype(np.int64))
    key, of = np.unique(np.concatenate(keys), return_inverse=True)
    synapses = np.bincount(of.ravel(), np.concatenate(weights), minlength=len(key)).astype(np.int64)
    terms = [memory.terms(name, atoms[name], dict(atoms)) for name in names]
    usage = {term: np.concatenate([part[term] for part in terms]) for term in TERMS}
    end = begin + np.concatenate(sizes)
    return Split(names, dict(atoms), owner, begin, end, key // total, key % total, synapses, usage)
