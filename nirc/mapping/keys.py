"""Routing keys: population, slice and atom in one word of 32 bits.

If 32 bits are enough, the fields have the same place in all keys (population | slice | atom). Else
each population gets an aligned block of its own size. In both cases one mask selects a slice and
one a population. Slices with neighbouring numbers differ in a small number of bits, so routing
tables can merge them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.tables.entries import Longs, Words

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
            raise ValueError(
                f"the keys of slices {order[clash[0]]} and {order[clash[0] + 1]} overlap"
            )


def allocate(
    population: npt.ArrayLike,
    atoms: npt.ArrayLike,
    *,
    place: npt.ArrayLike | None = None,
    rank: npt.ArrayLike | None = None,
) -> Keys:
    """Return keys for slices. ``population`` (slices,): 0 to n - 1. ``atoms`` (slices,): neurons.

    ``place`` (slices,): order of the slices of a population. Slices with like trees should be
    neighbours. ``rank`` (populations,): order of the populations. Populations with like targets
    should be neighbours. Both orders are free for the chip and decide how well tables merge.
    Raises ``KeysError`` if 32 bits are not enough, ``ValueError`` for a population without slices
    or a slice without atoms.
    """
    owner = np.asarray(population, np.int64).ravel()
    many = np.asarray(atoms, np.int64).ravel()
    populations = int(owner.max(initial=-1)) + 1
    slices = np.bincount(owner, minlength=populations) if owner.size else np.zeros(0, np.int64)
    if owner.shape != many.shape or (slices < 1).any() or (many < 1).any():
        raise ValueError("every population needs a slice and every slice at least one atom")
    most = np.zeros(populations, np.int64)
    np.maximum.at(most, owner, many)
    atom_bits = _bits(most)
    slice_bits = _bits(slices)

    places = np.zeros(owner.size, np.int64) if place is None else np.asarray(place, np.int64)
    ranks = np.arange(populations) if rank is None else np.asarray(rank, np.int64)
    turn = np.empty(populations, np.int64)
    turn[np.argsort(ranks, kind="stable")] = np.arange(populations)

    first, population_bits, atom_bits = _blocks(turn, slice_bits, atom_bits)
    order = np.lexsort((places, owner))
    index = np.empty(owner.size, np.int64)
    index[order] = np.arange(owner.size) - np.repeat(np.cumsum(slices) - slices, slices)
    key = first[owner] + (index << atom_bits[owner])
    return Keys(_words(key), _masks(atom_bits)[owner], many, _words(first), _masks(population_bits))


def _blocks(turn: Longs, slice_bits: Longs, atom_bits: Longs) -> tuple[Longs, Longs, Longs]:
    """Return (populations,) first key, bits below the population field, bits of the atom."""
    populations = turn.size
    number = int(_bits(np.array([max(populations, 1)]))[0])
    most_slice_bits = int(slice_bits.max(initial=0))
    most_atom_bits = int(atom_bits.max(initial=0))
    below = most_slice_bits + most_atom_bits
    if number + below <= KEY_BITS:  # the same fields in all keys
        return turn << below, np.full(populations, below), np.full(populations, most_atom_bits)
    block_bits = slice_bits + atom_bits
    most_block_bits = int(block_bits.max())
    if (
        number + most_block_bits <= KEY_BITS
    ):  # a population field, with slices and atoms of any width
        return turn << most_block_bits, np.full(populations, most_block_bits), atom_bits
    # Blocks in falling order of size are aligned without gaps.
    order = np.lexsort((turn, -block_bits))
    size = (1 << block_bits[order]).tolist()
    total = sum(size)
    if total > 1 << KEY_BITS:
        need = (total - 1).bit_length()
        raise KeysError(
            need,
            f"{populations} populations, in blocks of up to 2^{most_block_bits} keys, need {need} "
            "bits of key",
        )
    first = np.empty(populations, np.int64)
    first[order] = np.cumsum([0, *size[:-1]])
    return first, block_bits, atom_bits


def _bits(count: Longs) -> Longs:
    """Return ceil(log2(count)): the bits that number ``count`` things."""
    return np.ceil(np.log2(count)).astype(np.int64)


def _masks(bits: Longs) -> Words:
    return _words((1 << KEY_BITS) - (np.int64(1) << bits))


def _words(values: Longs) -> Words:
    return values.astype(np.uint32)
