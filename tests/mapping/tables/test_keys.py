"""Keys: a block for each slice and population. Spread keys: the same network, shorter tables."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.mapping.routing.links import mesh
from nirc.mapping.tables import tables_for
from nirc.mapping.tables.keys import KeysError, _codes, _cut, _Groups, _groups, allocate, spread
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import walk
from tests.mapping.tables.networks import Network, network, networks


def test_population_slice_and_atom_have_fields_of_their_own() -> None:
    keys = allocate([0, 0, 0, 1], [100, 100, 20, 3])
    assert [hex(k) for k in keys.key] == ["0x0", "0x80", "0x100", "0x200"]
    assert [hex(m) for m in keys.mask] == ["0xffffff80"] * 4
    assert [hex(k) for k in keys.population_key] == ["0x0", "0x200"]
    assert [hex(m) for m in keys.population_mask] == ["0xfffffe00"] * 2


def test_one_large_population_leaves_the_others_narrow_fields() -> None:
    # 2^16 slices of one neuron, and 4 slices of 2^20: common fields would need 1 + 16 + 20 bits.
    keys = allocate(np.repeat([0, 1], [1 << 16, 4]), np.repeat([1, 1 << 20], [1 << 16, 4]))
    assert keys.key[(1 << 16) - 1] == (1 << 16) - 1
    assert keys.key[-4:].tolist() == [(1 << 22) + (i << 20) for i in range(4)]


def test_blocks_of_all_sizes_fill_the_last_bit_and_no_more() -> None:
    atoms = [1 << 31, *(1 << b for b in range(30, -1, -1)), 1]
    keys = allocate(np.arange(33), atoms)
    assert (~keys.mask.astype(np.uint32)).astype(np.int64).sum() + 33 == 1 << 32
    with pytest.raises(KeysError, match="need 33 bits") as refusal:
        allocate(np.arange(34), [*atoms, 1])
    assert refusal.value.bits == 33


def test_a_population_of_2_to_the_32_neurons_has_all_keys() -> None:
    keys = allocate([0], [1 << 32])
    assert (keys.key.tolist(), keys.mask.tolist()) == ([0], [0])
    with pytest.raises(KeysError):
        allocate([0], [(1 << 32) + 1])


def test_no_slices_need_no_keys() -> None:
    assert allocate([], []).key.size == 0


@pytest.mark.parametrize(("population", "atoms"), [([0, 2], [1, 1]), ([0], [0]), ([0, 1], [1])])
def test_empty_populations_and_slices_are_refused(population: list[int], atoms: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one atom"):
        allocate(population, atoms)


def test_blocks_that_overlap_are_refused() -> None:
    keys = allocate([0, 1], [4, 4])
    with pytest.raises(ValueError, match="slices 0 and 1 overlap"):
        replace(keys, key=np.array([0, 0]))
    with pytest.raises(ValueError, match="aligned"):
        replace(keys, key=np.array([0, 2]))
    with pytest.raises(ValueError, match="at most the keys"):
        replace(keys, atoms=np.array([4, 5]))


@given(st.lists(st.lists(st.integers(1, 1 << 20), min_size=1, max_size=20), max_size=40))
def test_every_neuron_has_a_key_and_every_population_a_mask(sizes: list[list[int]]) -> None:
    population = np.repeat(np.arange(len(sizes)), [len(s) for s in sizes]).astype(np.int64)
    atoms = np.array([a for s in sizes for a in s], np.int64)
    keys = allocate(population, atoms)  # checks itself that blocks do not overlap
    last = keys.key.astype(np.int64) + atoms - 1
    for end in (keys.key.astype(np.int64), last):
        assert ((end & keys.mask) == keys.key).all()
        # of all populations exactly its own
        owners = (end[:, None] & keys.population_mask[None]) == keys.population_key[None]
        assert (owners.sum(axis=1) == 1).all() and owners[np.arange(atoms.size), population].all()


def respread(made: Network, population: np.ndarray) -> tuple[Network, int]:
    keys = spread(made.keys, population, made.tables)
    tables = tables_for(made.nets, made.routes, made.links, keys, made.cores)
    return made._replace(keys=keys, tables=tables), minimised(tables).key.size


def random_row(populations: int, seed: int) -> Network:
    """Populations of two slices along a row of chips, each to three others."""
    rng = np.random.default_rng(seed)
    at = rng.permutation(populations) % 8
    nets = []
    for p in range(populations):
        to = [(int(at[t]), int(t)) for t in rng.choice(populations, 3, replace=False)]
        nets += [(int(at[p]), to)] * 2
    links = mesh(8, 1, triangular=True)
    return network(
        links,
        nets,
        population=np.repeat(np.arange(populations), 2),
        atoms=np.full(2 * populations, 30),
    )


def test_spread_keys_save_entries() -> None:
    made = random_row(80, 0)
    population = np.repeat(np.arange(80), 2)
    before = minimised(made.tables).key.size
    after, size = respread(made, population)
    assert size < 0.85 * before
    assert walk(minimised(after.tables), made.nets, made.links, after.keys, made.cores) == []


def test_slices_and_atoms_keep_their_fields_and_populations_a_mask() -> None:
    made = random_row(80, 1)
    population = np.repeat(np.arange(80), 2)
    keys = respread(made, population)[0].keys
    assert (keys.mask == made.keys.mask).all() and (keys.atoms == made.keys.atoms).all()
    low = ~keys.population_mask[population]
    assert ((keys.key & low) == (made.keys.key & low)).all()
    assert ((keys.key & ~low) == keys.population_key[population]).all()
    assert np.unique(keys.population_key).size == 80


def test_the_same_seed_gives_the_same_keys() -> None:
    made = random_row(40, 2)
    population = np.repeat(np.arange(40), 2)
    one, two = (spread(made.keys, population, made.tables, seed=3).key for _ in range(2))
    assert (one == two).all()
    assert (one != spread(made.keys, population, made.tables, seed=4).key).any()


@pytest.mark.parametrize(
    ("populations", "digest"), [(9, "728064550719db5d"), (40, "437b869af947db98")]
)
def test_the_keys_are_the_same_everywhere(populations: int, digest: str) -> None:
    made = random_row(populations, 5)
    keys = spread(made.keys, np.repeat(np.arange(populations), 2), made.tables, seed=7)
    below = int(~keys.population_mask[0]).bit_length()
    codes = (keys.population_key >> below).astype("<u4")
    assert hashlib.sha256(codes.tobytes()).hexdigest()[:16] == digest


def test_keys_without_spare_bits_stay() -> None:
    made = random_row(40, 3)
    population = np.repeat(np.arange(40), 2)
    full = allocate(population, np.full(80, 1 << 25))
    assert spread(full, population, made.tables) is full
    uneven = allocate(
        np.repeat([0, 1, 2], [1 << 16, 1, 1]), np.repeat([1, 1 << 31, 1], [1 << 16, 1, 1])
    )
    assert spread(uneven, np.repeat([0, 1, 2], [1 << 16, 1, 1]), made.tables) is uneven


@given(networks())
def test_spread_keys_still_take_every_packet_to_its_targets(made: Network) -> None:
    field = made.keys.population_key.tolist()
    population = np.array(
        [field.index(k) for k in (made.keys.key & made.keys.population_mask[0]).tolist()]
    )
    after, _ = respread(made, population)
    assert walk(after.tables, made.nets, made.links, after.keys, made.cores) == []
    assert walk(minimised(after.tables), made.nets, made.links, after.keys, made.cores) == []


@pytest.mark.parametrize("populations", [5, 9, 40])
def test_codes_differ_and_take_the_bits_that_are_named(populations: int) -> None:
    made = random_row(populations, 6)
    owner = np.repeat(np.arange(populations), 2)
    for room in (6, 10, 25):
        code, width = _codes(_groups(made.keys, owner, made.tables), populations, room, 1)
        assert np.unique(code).size == populations
        assert width <= room and code.min() >= 0 and int(code.max()).bit_length() <= width


def half(group: list[int], populations: int, seed: int) -> np.ndarray:
    """The sides of the populations after a cut that would rather not divide a group."""
    of = np.isin(np.arange(populations), group)
    groups = _Groups(
        np.array([0, len(group)]),
        np.array(group),
        np.array([float(populations - len(group))]),
        np.concatenate([[0], np.cumsum(of)]),
        np.zeros(len(group), np.int64),
    )
    side = np.empty(populations, np.int64)
    _cut(groups, np.zeros(1, np.int64), np.array([seed], np.uint64), side)
    return side


def test_a_cut_keeps_groups_together_as_long_as_the_halves_are_nearly_equal() -> None:
    """Of 100 populations a side has 46 to 54: 4 % of them more or less, and a half of one.

    The first cut begins with 40 and 60, and gets no worse.
    """
    skews = [abs(2 * int(half(list(range(60)), 100, seed).sum()) - 100) for seed in range(5)]
    assert skews == [20, 8, 8, 8, 8]


@pytest.mark.parametrize(
    ("populations", "room", "width", "digest"),
    [
        (9, 5, 5, "b27c6a01"),
        (9, 12, 11, "aebf54e6"),
        (20, 8, 8, "b22267a2"),
        (20, 16, 15, "7b3f11bb"),
        (40, 6, 6, "ebc326ba"),
        (40, 20, 19, "00eb72ad"),
    ],
)
def test_codes_are_those_of_the_last_cut_that_has_room(
    populations: int, room: int, width: int, digest: str
) -> None:
    made = random_row(populations, 11)
    groups = _groups(made.keys, np.repeat(np.arange(populations), 2), made.tables)
    code, found = _codes(groups, populations, room, 2)
    text = hashlib.sha256(code.astype("<i8").tobytes()).hexdigest()[:8]
    assert (found, text) == (width, digest)


def test_keys_and_tables_cannot_be_changed() -> None:
    made = random_row(4, 0)
    names = {"key", "mask", "atoms", "population_key", "population_mask"}
    arrays = [getattr(made.keys, name) for name in names]
    arrays += [getattr(made.tables, name) for name in ("first", "key", "mask", "route", "routes")]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
