"""The walker finds what is wrong with a table, and says for which neuron and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nirc.mapping.tables.walk
from nirc.mapping.routing.links import mesh
from nirc.mapping.tables import Tables
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import DEAD_LINK, LOOP, MISSED, NO_ENTRY, STRAY, Fault, walk
from tests.mapping.tables.networks import Network, network, networks

EAST, WEST = 1 << 0, 1 << 3
CORE = 1 << 6
ROW = mesh(4, 1, triangular=True)
LINE = network(
    ROW, [(0, [(2, 0), (2, 1)]), (1, [(3, 2)])]
)  # entries: 0 E; 1 E, E; 2 cores, E; 3 core


def rerouted(tables: Tables, entry: int, bits: int) -> Tables:
    """The same tables, but one entry sends to other links and cores."""
    routes = np.concatenate([tables.routes, np.zeros((1, tables.routes.shape[1]), np.uint64)])
    routes[-1, 0] = bits
    route = tables.route.copy()
    route[entry] = len(routes) - 1
    return replace(tables, route=route, routes=routes)


def walked(made: Network, tables: Tables) -> list[Fault]:
    return walk(tables, made.nets, made.links, made.keys, made.cores)


@pytest.mark.parametrize(
    ("entry", "bits", "kind", "router", "core"),
    [
        (0, 0, MISSED, 2, 0),
        (3, CORE, MISSED, 2, 1),
        (3, CORE | 2 * CORE | 4 * CORE, STRAY, 2, 2),
        (0, EAST | CORE, STRAY, 0, 0),
        (3, CORE | 2 * CORE | WEST, LOOP, 1, -1),
        (3, CORE | 2 * CORE | EAST, NO_ENTRY, 3, -1),
        (0, EAST | WEST, DEAD_LINK, 0, 3),
    ],
)
def test_the_first_fault_of_a_net_is_named(
    entry: int, bits: int, kind: int, router: int, core: int
) -> None:
    (fault,) = walked(LINE, rerouted(LINE.tables, entry, bits))
    assert (fault.kind, fault.net, fault.atom, fault.router, fault.core) == (
        kind,
        0,
        0,
        router,
        core,
    )


def test_a_fault_without_an_entry_has_no_core_either() -> None:
    (fault,) = walked(LINE, rerouted(LINE.tables, 3, CORE | 2 * CORE | EAST))
    assert fault == Fault(NO_ENTRY, net=0, atom=0, key=0, router=3, entry=-1, core=-1)


def test_a_row_of_more_routers_than_a_route_has_bits_is_walked() -> None:
    made = network(mesh(70, 1, triangular=True), [(0, [(router, 0) for router in range(70)])])
    assert walked(made, made.tables) == []


def test_on_one_router_an_entry_for_each_net_needs_no_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chip = mesh(1, 1, triangular=True)
    made = network(chip, [(0, [(0, 0), (0, 70)]), (0, [(0, 57)])])  # the last bit of a word, too
    (fault,) = walked(made, replace(made.tables, routes=made.tables.routes[:, :1]))
    assert (fault.kind, fault.net, fault.core) == (MISSED, 0, 70)
    edge = network(chip, [(0, [(0, 58)])])  # the first bit of the second word
    (fault,) = walked(edge, replace(edge.tables, routes=edge.tables.routes[:, :1]))
    assert (fault.kind, fault.core) == (MISSED, 58)
    alone = network(chip, [(0, [(0, 57)])])
    monkeypatch.setattr(nirc.mapping.tables.walk, "_faults", lambda *_: ["walked"])
    assert walked(made, made.tables) == walked(alone, alone.tables) == []
    assert walked(made, replace(made.tables, route=made.tables.route[::-1])) == ["walked"]
    two = Tables(
        np.array([0, 3]),
        np.array([1, *made.tables.key]),
        np.array([0xFFFFFFFF, *made.tables.mask]),
        np.array([0, *made.tables.route]),
        made.tables.routes,
        6,
    )
    assert walked(made, two) == ["walked"]


def test_a_packet_that_does_not_arrive_has_a_core_and_no_entry() -> None:
    (fault,) = walked(LINE, rerouted(LINE.tables, 0, 0))
    assert fault == Fault(MISSED, net=0, atom=0, key=0, router=2, entry=-1, core=0)
    assert str(fault).endswith("does not arrive (router 2, core 0)")


def test_a_fault_is_said_in_a_line() -> None:
    (fault,) = walked(LINE, rerouted(LINE.tables, 0, EAST | WEST))
    assert str(fault) == (
        "net 0, atom 0, key 0x00000000: leaves over a link that does not work (router 0, entry 0, "
        "direction 3)"
    )


def test_an_entry_above_that_takes_some_atoms_is_found_for_these_atoms() -> None:
    tables = LINE.tables
    hijack = Tables(
        tables.first + np.array([0, 1, 1, 1, 1]),
        np.concatenate([[0x0A], tables.key]),
        np.concatenate([[0xFFFFFFFE], tables.mask]),
        np.concatenate([[len(tables.routes)], tables.route]),
        np.concatenate([tables.routes, np.zeros((1, 1), np.uint64)]),
        6,
    )
    (fault,) = walked(LINE, hijack)
    assert (fault.kind, fault.atom, fault.key) == (MISSED, 0x0A, 0x0A)


def test_faults_are_listed_up_to_a_number() -> None:
    made = network(ROW, [(0, [(1, 0)])] * 9)
    broken = replace(made.tables, routes=np.zeros_like(made.tables.routes))
    assert [fault.net for fault in walked(made, broken)] == list(range(9))
    assert len(walk(broken, made.nets, ROW, made.keys, made.cores, most=4)) == 4


def test_tables_of_other_nets_are_refused() -> None:
    other = network(mesh(2, 1, triangular=True), [(0, [(1, 0)])])
    with pytest.raises(ValueError, match="differ in number"):
        walk(other.tables, LINE.nets, ROW, LINE.keys, LINE.cores)


@given(networks(), st.data())
def test_any_bit_of_a_route_that_is_turned_is_noticed(made: Network, data: st.DataObject) -> None:
    small = minimised(made.tables)
    entry = data.draw(st.integers(0, small.key.size - 1))
    bit = data.draw(st.integers(0, 64 * small.routes.shape[1] - 1))
    routes = np.concatenate([small.routes, small.routes[small.route[entry]][None]])
    routes[-1, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    route = small.route.copy()
    route[entry] = len(routes) - 1
    # Routers and cores are numbers only: a bit beyond the cores in use is a stray core like any
    # other.
    (first, *_) = walked(made, replace(small, route=route, routes=routes))
    assert first.router == small.router_of(entry) or first.kind in (MISSED, LOOP, NO_ENTRY)


@given(networks(), st.data())
def test_an_entry_that_is_left_out_is_noticed(made: Network, data: st.DataObject) -> None:
    small = minimised(made.tables)
    assume(small.key.size)
    gone = data.draw(st.integers(0, small.key.size - 1))
    dropped = not small.routes[small.route[gone]].any()
    kept = np.arange(small.key.size) != gone
    first = small.first - (np.arange(small.first.size) > small.router_of(gone))
    left = Tables(first, small.key[kept], small.mask[kept], small.route[kept], small.routes, 6)
    assert walked(made, left) or dropped
