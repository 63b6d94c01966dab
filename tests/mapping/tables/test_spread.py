"""Wide population fields: other keys, the same network, shorter tables."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from nirc.mapping.keys import allocate
from nirc.mapping.links import mesh
from nirc.mapping.tables.build import tables_for
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.spread import spread
from nirc.mapping.tables.walk import walk
from tests.mapping.tables.networks import Network, network, networks


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
