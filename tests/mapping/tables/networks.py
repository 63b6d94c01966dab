"""Random networks for the tests of routing tables: nets with their trees, keys and cores on a grid
with faults.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from nirc.mapping.routing import Nets, Routes, UnreachableError
from nirc.mapping.routing.links import LinkGraph, mesh
from nirc.mapping.routing.route import route
from nirc.mapping.tables import Tables, tables_for
from nirc.mapping.tables.keys import Keys, allocate


class Network(NamedTuple):
    nets: Nets
    links: LinkGraph
    routes: Routes
    keys: Keys
    cores: Any  # (pairs,) local core of each target
    tables: Tables


def network(
    links: LinkGraph, nets: list[tuple[int, list[tuple[int, int]]]], **fields: Any
) -> Network:
    """``nets``: (router of the source, [(router, core) of each target]); ``fields``: population and
    atoms of each.
    """
    first = np.cumsum([0, *(len(targets) for _, targets in nets)])
    pairs = np.array([pair for _, targets in nets for pair in targets], np.int64).reshape(-1, 2)
    built = Nets(np.array([s for s, _ in nets], np.int32), first, pairs[:, 0], np.ones(len(nets)))
    routes = route(built, links)
    population = fields.get("population", np.arange(len(nets)))
    keys = allocate(population, fields.get("atoms", np.full(len(nets), 16)))
    tables = tables_for(built, routes, links, keys, pairs[:, 1])
    return Network(built, links, routes, keys, pairs[:, 1], tables)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Populations of a few slices on a triangular grid with faults; like ones have the same targets
    now and then.
    """
    width, height, wraps = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.booleans())
    whole = mesh(width, height, triangular=True, wraps=wraps)
    broken = draw(
        st.lists(st.integers(0, max(whole.source.size - 1, 0)), max_size=whole.source.size // 4)
    )
    cut = np.stack([whole.source[broken], whole.direction[broken]], axis=1) if broken else ()
    links = mesh(width, height, triangular=True, wraps=wraps, faulty_links=cut)
    router = st.integers(0, links.routers - 1)
    place = st.tuples(router, st.integers(0, 152))
    choices = draw(st.lists(st.lists(place, max_size=5), min_size=1, max_size=3))
    nets: list[tuple[int, list[tuple[int, int]]]] = []
    population: list[int] = []
    atoms: list[int] = []
    for p in range(draw(st.integers(1, 8))):
        for _ in range(draw(st.integers(1, 4))):
            nets.append((draw(router), draw(st.sampled_from(choices))))
            population.append(p)
            atoms.append(draw(st.integers(1, 40)))
    try:
        return network(links, nets, population=population, atoms=atoms)
    except UnreachableError:
        return network(whole, nets, population=population, atoms=atoms)
