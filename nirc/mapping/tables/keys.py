"""Routing keys: population, slice and atom in one word of 32 bits.

If 32 bits are enough, the fields have the same place in all keys (population | slice | atom). Else
each population gets an aligned block of its own size. In both cases one mask selects a slice and
one a population. Slices with neighbouring numbers differ in a small number of bits, so routing
tables can merge them.

``spread`` gives all spare bits to the population field, so that routing tables get short. Two
packets share an entry if no foreign key lies between theirs. With populations numbered 0, 1, 2, ...
there is nearly always a foreign key between two keys. So each bit of the wide field cuts the
populations into two halves, and keeps populations with the same route at some router together. The
bit then is fixed in their common entry, and excludes half of the others. The weight of such a group
is the number of foreign populations that earlier bits have left in its entry. A cut is a local
search on the hypergraph of the groups (after Fiduccia and Mattheyses, "A linear-time heuristic for
improving network partitions", DAC 1982). It starts from a random cut, so cuts differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nirc.mapping.chance import following_linear
from nirc.mapping.tables import Floats, Longs, Tables, Words
from nirc.native.loops import in_c

KEY_BITS = 32


class KeysError(ValueError):
    """The slices need more keys than 32 bits have. ``bits``: the number of bits needed."""

    def __init__(self, bits: int, message: str) -> None:
        self.bits = bits
        super().__init__(message)


@dataclass(frozen=True, eq=False)
class Keys:
    """Atom a of slice i sends key ``key[i] + a``. ``mask[i]`` selects the slice.

    ``population_key`` and ``population_mask``, (populations,): the common bits of all slices of a
    population. All arrays are read-only.
    Raises ``ValueError`` for blocks that overlap, are not aligned, or hold fewer keys than
    ``atoms``.
    """

    key: Words  # (slices,)
    mask: Words  # (slices,) ones, then zeros
    atoms: Longs  # (slices,) at least 1
    population_key: Words
    population_mask: Words

    def __post_init__(self) -> None:
        kinds = {"key": np.uint32, "mask": np.uint32, "atoms": np.int64}
        kinds |= {"population_key": np.uint32, "population_mask": np.uint32}
        for name, kind in kinds.items():
            array = np.ascontiguousarray(getattr(self, name), kind)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        room = (~self.mask).astype(np.int64) + 1
        if not self.key.shape == self.mask.shape == self.atoms.shape == (self.key.size,):
            raise ValueError("key, mask and atoms must have one axis of the same length")
        if (room & (room - 1)).any() or (self.key & ~self.mask).any():
            raise ValueError("a slice has the keys of an aligned block of 2^n")
        if (self.atoms < 1).any() or (self.atoms > room).any():
            raise ValueError("a slice has at least 1 atom and at most the keys of its block")
        order = np.argsort(self.key, kind="stable")
        begin = self.key[order].astype(np.int64)
        clash = np.flatnonzero(begin[:-1] + room[order][:-1] > begin[1:])
        if clash.size:
            a, b = order[clash[0]], order[clash[0] + 1]
            raise ValueError(f"the keys of slices {a} and {b} overlap")


def allocate(population: npt.ArrayLike, atoms: npt.ArrayLike) -> Keys:
    """Return keys for slices. ``population`` (slices,): 0 to n - 1. ``atoms`` (slices,): neurons.

    Raises ``KeysError`` if 32 bits are not enough, ``ValueError`` for a population without slices
    or a slice without atoms.
    """
    owner = np.asarray(population, np.int64).ravel()
    neurons = np.asarray(atoms, np.int64).ravel()
    populations = int(owner.max(initial=-1)) + 1
    slices = np.bincount(owner, minlength=populations) if owner.size else np.zeros(0, np.int64)
    if owner.shape != neurons.shape or (slices < 1).any() or (neurons < 1).any():
        raise ValueError("every population needs a slice and every slice at least one atom")
    most = np.zeros(populations, np.int64)
    np.maximum.at(most, owner, neurons)

    first, population_bits, atom_bits = _blocks(_bits(slices), _bits(most))
    order = np.argsort(owner, kind="stable")
    index = np.empty(owner.size, np.int64)
    index[order] = np.arange(owner.size) - np.repeat(np.cumsum(slices) - slices, slices)
    key = (first[owner] + (index << atom_bits[owner])).astype(np.uint32)
    population_key = first.astype(np.uint32)
    return Keys(key, _masks(atom_bits)[owner], neurons, population_key, _masks(population_bits))


def _blocks(slice_bits: Longs, atom_bits: Longs) -> tuple[Longs, Longs, Longs]:
    """Return (populations,) first key, bits below the population field, bits of the atom."""
    populations = slice_bits.size
    number = np.arange(populations)
    population_bits = _bits_for(populations)
    most_atom_bits = int(atom_bits.max(initial=0))
    below = int(slice_bits.max(initial=0)) + most_atom_bits
    if population_bits + below <= KEY_BITS:  # the same fields in all keys
        return number << below, np.full(populations, below), np.full(populations, most_atom_bits)
    block_bits = slice_bits + atom_bits
    most_block_bits = int(block_bits.max())
    if population_bits + most_block_bits <= KEY_BITS:  # the same population field in all keys
        return number << most_block_bits, np.full(populations, most_block_bits), atom_bits
    # Blocks in falling order of size are aligned without gaps.
    order = np.argsort(-block_bits, kind="stable")
    size = (1 << block_bits[order]).tolist()
    total = sum(size)
    if total > 1 << KEY_BITS:
        need = _bits_for(total)
        blocks = f"{populations} populations, in blocks of up to 2^{most_block_bits} keys"
        raise KeysError(need, f"{blocks}, need {need} bits of key")
    first = np.empty(populations, np.int64)
    first[order] = np.cumsum([0, *size[:-1]])
    return first, block_bits, atom_bits


def _bits(count: Longs) -> Longs:
    """Return ceil(log2(count)): the bits that number ``count`` things."""
    return np.ceil(np.log2(count)).astype(np.int64)


def _bits_for(count: int) -> int:
    """Return ceil(log2(count)) for one number of things, 0 for none."""
    return max(count - 1, 0).bit_length()


def _masks(bits: Longs) -> Words:
    return ((1 << KEY_BITS) - (np.int64(1) << bits)).astype(np.uint32)


SWEEPS = 10
SLACK = 0.04  # of the populations: how far from the middle a cut may be


def spread(keys: Keys, population: npt.ArrayLike, tables: Tables, *, seed: int = 0) -> Keys:
    """Return the same slices and atoms under other population fields.

    Rebuild the tables after this. ``population`` (slices,): as given to ``allocate``. ``tables``:
    built with ``keys``, not minimised. All slices of a population keep one mask. The keys stay if
    the populations have blocks of different sizes, or if no bit is spare.
    """
    owner = np.asarray(population, np.int64)
    populations = keys.population_key.size
    if populations < 3 or np.ptp(keys.population_mask.astype(np.int64)):
        return keys
    below = int(~keys.population_mask[0]).bit_length()
    code, width = _codes(_groups(keys, owner, tables), populations, KEY_BITS - below, seed)
    if width <= _bits_for(populations):
        return keys
    first = (code << below).astype(np.uint32)
    inside = keys.key - keys.population_key[owner]
    return Keys(first[owner] + inside, keys.mask, keys.atoms, first, keys.population_mask)


class _Groups(NamedTuple):
    """Populations with the same route at a router, as compressed rows in both directions."""

    first: Longs  # (groups + 1,)
    member: Longs  # (pins,) population
    others: Floats  # (groups,) populations of the router that are not in the group
    of_first: Longs  # (populations + 1,)
    of: Longs  # (pins,) group


def _groups(keys: Keys, owner: Longs, tables: Tables) -> _Groups:
    order = np.argsort(keys.key, kind="stable")
    member = owner[order][np.searchsorted(keys.key[order], tables.key)]
    router = np.repeat(np.arange(tables.routers), tables.sizes)
    populations = keys.population_key.size
    pins = np.unique((router * len(tables.routes) + tables.route) * populations + member)
    label, member = np.divmod(pins, populations)
    label, group, sizes = np.unique(label, return_inverse=True, return_counts=True)
    at = label // max(len(tables.routes), 1)
    passing = np.bincount(at, sizes, minlength=tables.routers)
    back = np.argsort(member, kind="stable")
    return _Groups(
        np.concatenate([[0], np.cumsum(sizes)]),
        member,
        passing[at] - sizes,
        np.concatenate([[0], np.cumsum(np.bincount(member, minlength=populations))]),
        group[back],
    )


def _codes(groups: _Groups, populations: int, room: int, seed: int) -> tuple[Longs, int]:
    """Return (populations,) different codes of at most ``room`` bits, and their number of bits.

    Each cut gives a bit. The lowest bits number the populations that no cut separates.
    """
    best = np.arange(populations)
    width = _bits_for(populations)
    code = np.zeros(populations, np.int64)
    fixed = np.zeros(groups.first.size - 1, np.int64)
    state = np.full(1, seed, np.uint64)
    for cuts in range(1, room):
        side = np.empty(populations, np.int64)
        _cut(groups, fixed, state, side)
        code = code << 1 | side
        order = np.argsort(code, kind="stable")
        same = np.concatenate([[0], np.cumsum(np.diff(code[order]) != 0)])
        number = np.arange(populations) - np.searchsorted(same, same)
        low = _bits_for(int(number.max()) + 1)
        if cuts + low > room:
            break
        if cuts + low >= width:
            width = cuts + low
            best = np.empty(populations, np.int64)
            best[order] = code[order] << low | number
    return best, width


@in_c("cut", "qqdqqq*Q*q*")
def _cut(groups: _Groups, fixed: Longs, state: npt.NDArray[np.uint64], side: Longs) -> None:
    """Write (populations,) 0 or 1.

    ``fixed`` (groups,), updated: the number of cuts that do not divide a group.
    """
    first, member, others, of_first, of = groups
    populations = of_first.size - 1
    count = first.size - 1
    for p in range(populations):
        state[0] = following_linear(state[0])
        side[p] = np.int64(state[0] >> np.uint64(63))
    ones = np.zeros(count, np.int64)
    weight = np.zeros(count)
    most = 1
    for g in range(count):
        size = first[g + 1] - first[g]
        most = max(most, size)
        for i in range(first[g], first[g + 1]):
            ones[g] += side[member[i]]
        if size > 1:
            weight[g] = others[g] * 0.5 ** fixed[g] / size
    cost = np.sqrt(np.arange(most + 1))  # of n members on the smaller side
    total = side.sum()
    for _ in range(SWEEPS):
        moved = False
        for p in range(populations):
            step = 1 - 2 * side[p]
            skew = abs(2 * (total + step) - populations)
            if skew > 2 * SLACK * populations + 1 and skew > abs(2 * total - populations):
                continue
            gain = 0.0
            for i in range(of_first[p], of_first[p + 1]):
                g = of[i]
                size = first[g + 1] - first[g]
                after = ones[g] + step
                before = cost[min(ones[g], size - ones[g])]
                gain += weight[g] * (before - cost[min(after, size - after)])
            if gain > 1e-9:
                moved = True
                side[p] += step
                total += step
                for i in range(of_first[p], of_first[p + 1]):
                    ones[of[i]] += step
        if not moved:
            break
    for g in range(count):
        fixed[g] += ones[g] == 0 or ones[g] == first[g + 1] - first[g]
