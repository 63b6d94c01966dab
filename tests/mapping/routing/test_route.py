"""Links, routes and deadlocks: stories on small grids, and what holds on any of them, faulty or
not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.mapping.routing import Nets, Routes, UnreachableError, walk
from nirc.mapping.routing.deadlock import check, dependencies
from nirc.mapping.routing.links import LinkGraph, mesh
from nirc.mapping.routing.route import route

KINDS: dict[str, dict[str, Any]] = {
    "mesh": {},
    "torus": {"wraps": True},
    "triangular mesh": {"triangular": True},
    "triangular torus": {"triangular": True, "wraps": True},
    "3-D mesh": {"depth": 3},
    "3-D torus": {"depth": 3, "wraps": True},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def links_of(kind: str, width: int, height: int, **more: Any) -> LinkGraph:
    return mesh(width, height, **KINDS[kind], **more)


def nets_of(*nets: tuple[int, list[int]], weight: float = 1.0) -> Nets:
    first = np.cumsum([0, *(len(targets) for _, targets in nets)])
    target = [t for _, targets in nets for t in targets]
    return Nets(np.array([s for s, _ in nets]), first, np.array(target), np.full(len(nets), weight))


def names(links: LinkGraph, routes: Routes, net: int = 0) -> str:
    used = routes.link[routes.first[net] : routes.first[net + 1]]
    return " ".join(links.direction_names[d] for d in links.direction[used])


def graph(links: LinkGraph) -> nx.DiGraph:
    """The slow definition of what is linked with what."""
    made = nx.DiGraph()
    made.add_nodes_from(range(links.routers))
    made.add_edges_from(zip(links.source.tolist(), links.target.tolist(), strict=True))
    return made


def slow_loads(nets: Nets, links: LinkGraph, routes: Routes) -> list[float]:
    loads = [0.0] * len(links.source)
    for net, weight in enumerate(nets.weight.tolist()):
        for link in set(routes.link[routes.first[net] : routes.first[net + 1]].tolist()):
            loads[link] += weight
    return loads


@st.composite
def problems(draw: st.DrawFn, faults: bool = True) -> tuple[Nets, LinkGraph]:
    """Nets on any kind of grid; with faults some routers and links are missing, targets may be cut
    off.
    """
    kind, width, height = (
        draw(st.sampled_from(list(KINDS))),
        draw(st.integers(1, 6)),
        draw(st.integers(1, 6)),
    )
    whole = links_of(kind, width, height)
    links = whole
    if faults and whole.source.size:
        broken = draw(
            st.lists(st.integers(0, whole.source.size - 1), max_size=whole.source.size // 4)
        )
        routers = draw(st.lists(st.integers(0, whole.routers - 1), max_size=whole.routers // 8))
        cut = np.stack([whole.source[broken], whole.direction[broken]], axis=1)
        links = links_of(kind, width, height, faulty_links=cut, faulty_routers=routers)
    router = st.sampled_from(np.flatnonzero(links.works).tolist())
    found = draw(st.lists(st.tuples(router, st.lists(router, max_size=6)), max_size=8))
    weights = draw(
        st.lists(st.sampled_from([0.0, 0.1, 1.0, 3.0]), min_size=len(found), max_size=len(found))
    )
    return replace(nets_of(*found), weight=np.array(weights)), links


# Links


@kinds
def test_opposite_directions_undo_each_other(kind: str) -> None:
    links = links_of(kind, 4, 3)
    half = len(links.steps)
    back = links.outgoing[links.target, (links.direction + half) % (2 * half)]
    assert (links.target[back] == links.source).all()
    assert (links.incoming[links.target, links.direction] == np.arange(links.source.size)).all()


def test_spinnaker_numbers_its_links_from_east_round_to_south() -> None:
    links = mesh(8, 8, triangular=True, wraps=True)
    assert links.direction_names == ("E", "NE", "N", "W", "SW", "S")
    ends = [links.coordinates[links.target[links.outgoing[0, d]], :2].tolist() for d in range(6)]
    assert ends == [[1, 0], [1, 1], [0, 1], [7, 0], [7, 7], [0, 7]]


def test_a_faulty_router_has_no_links_and_a_faulty_link_still_has_its_opposite() -> None:
    links = mesh(3, 3, faulty_routers=[4], faulty_links=[(0, 0)])
    assert not (links.source == 4).any() and not (links.target == 4).any()
    assert not graph(links).has_edge(0, 1) and graph(links).has_edge(1, 0)
    assert links.source.size == 24 - 8 - 1


def test_links_between_chips_cost_more_also_where_a_torus_wraps() -> None:
    links = mesh(4, 2, wraps=True, cost=(1.0, 2.0)).with_borders(
        (2, 2), cost=(10.0, 20.0), capacity=5.0
    )
    at = {
        (int(s), links.direction_names[d]): i
        for i, (s, d) in enumerate(zip(links.source, links.direction, strict=True))
    }
    costs = [
        links.cost[at[0, "E"]],
        links.cost[at[1, "E"]],
        links.cost[at[3, "E"]],
        links.cost[at[0, "N"]],
    ]
    assert costs == [1.0, 10.0, 10.0, 2.0]
    assert links.cost[at[4, "N"]] == 20.0
    assert (np.isfinite(links.capacity) == (links.cost >= 10)).all()


def test_a_ring_of_one_has_no_links() -> None:
    assert mesh(1, 1, wraps=True).source.size == 0
    assert {int(d) for d in mesh(3, 1, wraps=True).direction} == {0, 2}


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"triangular": True, "depth": 2},
        {"faulty_routers": [9]},
        {"faulty_links": [(0, 4)]},
        {"faulty_routers": [-1]},
        {"cost": (1.0, 2.0, 3.0)},
        {"cost": 0.0},
        {"capacity": -1.0},
    ],
)
def test_links_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        mesh(**{"width": 3, "height": 3, **wrong})


@given(st.sampled_from(list(KINDS)), st.integers(1, 6), st.integers(1, 6))
def test_hops_are_distances(kind: str, width: int, height: int) -> None:
    links = links_of(kind, width, height)
    ids = np.arange(links.routers)
    found = links.hops(ids[:, None], ids[None])
    for source, distances in nx.all_pairs_shortest_path_length(graph(links)):
        assert all(found[source, target] == hops for target, hops in distances.items())


# Routes


def test_x_goes_before_y_before_z() -> None:
    links = mesh(3, 3, 2)
    assert names(links, route(Nets.unicast([0], [17]), links)) == "E E N N U"


def test_a_torus_goes_the_short_way_round_and_forward_if_both_are_equal() -> None:
    links = mesh(5, 4, wraps=True)
    assert names(links, route(Nets.unicast([0], [4 + 2 * 5]), links)) == "W N N"


def test_triangles_take_the_longest_axis_first() -> None:
    links = mesh(8, 8, triangular=True)
    assert names(links, route(Nets.unicast([0], [5 + 3 * 8]), links)) == "NE NE NE E E"
    assert names(links, route(Nets.unicast([0], [5 + 1 * 8]), links)) == "E E E E NE"
    assert names(links, route(Nets.unicast([0], [4 + 2 * 8]), links)) == "E E NE NE"
    ring = mesh(4, 4, triangular=True, wraps=True)
    assert names(ring, route(Nets.unicast([0], [2]), ring)) == "E E"


def test_routes_that_begin_alike_share_their_links() -> None:
    links = mesh(4, 4)
    nets = nets_of((0, [3, 2 + 4, 2 + 8, 0, 3]))
    routes = route(nets, links)
    assert routes.hops.tolist() == [5]
    assert walk(nets, links, routes).tolist() == [3, 3, 4, 0, 3]
    assert routes.cost(links) == 5


def test_a_fault_is_passed_beside_it() -> None:
    links = mesh(4, 3, faulty_links=[(1, 0)])
    assert names(links, route(Nets.unicast([0], [3]), links)) == "E N E S E"


def test_routes_through_a_maze_are_shortest() -> None:
    rng = np.random.default_rng(4)
    links = mesh(30, 30, faulty_routers=rng.choice(900, 270, replace=False))
    inside = max(nx.strongly_connected_components(graph(links)), key=len)
    source, target = rng.choice(sorted(inside), (2, 200))
    hops = walk(nets := Nets.unicast(source, target), links, route(nets, links))
    known = graph(links)
    assert hops.tolist() == [
        nx.shortest_path_length(known, s, t) for s, t in zip(source, target, strict=True)
    ]
    assert hops.sum() > 1.1 * links.hops(source, target).sum()


def test_what_is_cut_off_is_named() -> None:
    links = mesh(4, 1, faulty_links=[(1, 0)], faulty_routers=[3])
    nets = nets_of((0, [1]), (0, [1, 2, 3]), (2, [0]), (3, [3]))
    with pytest.raises(
        UnreachableError, match=r"net 1: router 0 \(0, 0, 0\) -> 2 .*router 3 is faulty"
    ) as caught:
        route(nets, links)
    assert caught.value.nets.tolist() == [1, 1, 3]
    assert caught.value.targets.tolist() == [2, 3, 3]


def test_many_cut_off_targets_are_counted_not_listed() -> None:
    links = mesh(10, 2, faulty_links=[(x, 1) for x in range(10)])
    with pytest.raises(UnreachableError, match=r"^10 targets of 1 nets.*and 5 more$"):
        route(nets_of((0, list(range(10, 20)))), links)


@pytest.mark.parametrize("pair", [(0, 9), (-1, 0)])
def test_an_unknown_router_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="there are 0 to 8"):
        route(Nets.unicast([pair[0]], [pair[1]]), mesh(3, 3))


def test_arrays_that_do_not_fit_are_refused() -> None:
    for wrong in (
        {"first": [0, 2]},
        {"weight": [-1.0]},
        {"weight": [np.nan]},
        {"source": [0, 1]},
        {"first": [1, 1]},
    ):
        with pytest.raises(ValueError):
            Nets(**{"source": [0], "first": [0, 1], "target": [1], "weight": [1.0], **wrong})  # type: ignore[arg-type]


@given(problems(faults=False))
def test_without_faults_every_target_is_at_its_distance(problem: tuple[Nets, LinkGraph]) -> None:
    nets, links = problem
    routes = route(nets, links)
    assert (
        walk(nets, links, routes).tolist()
        == links.hops(np.repeat(nets.source, np.diff(nets.first)), nets.target).tolist()
    )


@given(problems())
def test_trees_reach_their_targets_around_faults_or_name_them(
    problem: tuple[Nets, LinkGraph],
) -> None:
    nets, links = problem
    known = graph(links)
    pairs = [
        (n, int(t))
        for n in range(nets.source.size)
        for t in nets.target[nets.first[n] : nets.first[n + 1]]
    ]
    lost = [(n, t) for n, t in pairs if not nx.has_path(known, int(nets.source[n]), t)]
    if lost:
        with pytest.raises(UnreachableError) as caught:
            route(nets, links)
        assert (
            list(zip(caught.value.nets.tolist(), caught.value.targets.tolist(), strict=True))
            == lost
        )
        return
    for congestion_aware in (False, True):
        routes = route(nets, links, congestion_aware=congestion_aware)
        walk(nets, links, routes)
        assert routes.loads.tolist() == slow_loads(nets, links, routes)
    routes = route(nets, links)
    for n, source in enumerate(nets.source.tolist()):
        hops = [nx.shortest_path_length(known, source, t) for m, t in pairs if m == n]
        assert max(hops, default=0) <= routes.hops[n] <= sum(hops)


@given(problems(), st.integers(0, 2**70))
def test_spreading_never_raises_the_largest_load_and_repeats_itself(
    problem: tuple[Nets, LinkGraph], seed: int
) -> None:
    nets, links = problem
    try:
        plain = route(nets, links)
    except UnreachableError:
        return
    first, again = (route(nets, links, congestion_aware=True, seed=seed) for _ in range(2))
    assert first.max_load <= plain.max_load
    assert (first.link.tolist(), first.first.tolist()) == (
        again.link.tolist(),
        again.first.tolist(),
    )


def hot_row() -> tuple[Nets, LinkGraph]:
    """Eight messages from the bottom row to the right column: x first, all pass the lower right
    corner's link.
    """
    return Nets.unicast(np.arange(8), 8 * np.arange(1, 9) + 7), mesh(8, 9)


def test_a_hot_spot_cools_and_no_target_is_lost() -> None:
    nets, links = hot_row()
    plain, spread = route(nets, links), route(nets, links, congestion_aware=True)
    assert plain.max_load == 8
    assert spread.max_load == 1
    assert walk(nets, links, spread).size == 8


def test_spreading_stops_where_every_link_bears_its_load() -> None:
    nets, links = hot_row()
    enough = replace(links, capacity=np.full(links.source.size, 8.0))
    assert (
        route(nets, enough, congestion_aware=True).link.tolist()
        == route(nets, enough).link.tolist()
    )
    tight = replace(links, capacity=np.where(links.direction == 1, 3.0, np.inf))
    spread = route(nets, tight, congestion_aware=True)
    assert 1 < (spread.loads / tight.capacity * 3).max() <= 3


def test_the_seed_changes_the_order_in_which_nets_move() -> None:
    rng = np.random.default_rng(0)
    nets, links = Nets.unicast(*rng.integers(0, 64, (2, 300))), mesh(8, 8)
    some, other = (route(nets, links, congestion_aware=True, seed=seed) for seed in (0, 1))
    assert some.link.tolist() != other.link.tolist()
    assert max(some.max_load, other.max_load) < route(nets, links).max_load


def test_no_work_means_no_spreading() -> None:
    nets, links = hot_row()
    assert route(nets, links, congestion_aware=True, rounds=0).max_load == 8
    assert route(nets, links, congestion_aware=True, work=0).max_load == 8


def test_a_dear_border_is_not_crossed_to_save_a_hop_around_a_fault() -> None:
    links = mesh(4, 3, faulty_links=[(4, 0)]).with_borders((4, 2), cost=100.0)
    assert names(links, route(Nets.unicast([4], [7]), links)).count("N") == 1
    assert route(Nets.unicast([4], [7]), links).cost(links) == 5


def test_no_nets_and_a_single_router() -> None:
    routes = route(nets_of(), mesh(3, 3), congestion_aware=True)
    assert (routes.link.size, routes.max_load, routes.hops.size) == (0, 0, 0)
    alone = route(Nets.unicast([0], [0]), mesh(1, 1), congestion_aware=True)
    assert (alone.hops.tolist(), alone.max_load) == ([0], 0)


@pytest.mark.parametrize(
    ("used", "fault"),
    [([3], "nothing leads to"), ([0, 0], "twice"), ([0], "misses"), ([0, 2, 1], "twice")],
)
def test_the_walker_finds_wrong_trees(used: list[int], fault: str) -> None:
    links = mesh(4, 1)  # links: 0 E, 1 E, 1 W, 2 E, 2 W, 3 W
    wrong = Routes(np.array([0, len(used)]), np.array(used, np.int32), np.zeros(6))
    with pytest.raises(ValueError, match=fault):
        walk(Nets.unicast([0], [2]), links, wrong)


# Deadlocks


def all_to_all(links: LinkGraph) -> Routes:
    everyone = list(range(links.routers))
    return route(nets_of(*((source, everyone) for source in everyone)), links)


@pytest.mark.parametrize("depth", [1, 3])
def test_dimension_order_on_a_mesh_cannot_deadlock(depth: int) -> None:
    links = mesh(4, 3, depth)
    assert check(links, all_to_all(links)).free


@pytest.mark.parametrize("kind", ["torus", "3-D torus", "triangular mesh", "triangular torus"])
def test_rings_and_triangles_can(kind: str) -> None:
    links = links_of(kind, 5, 5)
    assert_cycle(links, all_to_all(links))


def test_four_turns_make_a_circle_and_three_do_not() -> None:
    links = mesh(2, 2)
    east, north, west, south = 0, 2, 6, 5
    circle = Routes(np.array([0, 4]), np.array([east, north, west, south]), np.zeros(8))
    assert names(links, circle) == "E N W S"
    turns = [(east, north), (north, west), (west, south), (south, east)]
    assert check(links, crafted(links, turns[:3])).free
    assert sorted(assert_cycle(links, crafted(links, turns))) == sorted([east, north, west, south])


def test_one_call_says_whether_routes_can_deadlock_and_shows_the_circle() -> None:
    safe = mesh(4, 3)
    answer = check(safe, all_to_all(safe))
    assert (
        answer.free
        and answer.cycle == ()
        and answer.text == f"no cycle among {answer.dependencies} channel dependencies"
    )
    assert answer.dependencies == np.count_nonzero(dependencies(safe, all_to_all(safe))) > 0
    links = mesh(2, 2)
    routes = crafted(links, [(0, 2), (2, 6), (6, 5), (5, 0)])
    answer = check(links, routes)
    assert not answer.free and sorted(answer.cycle) == [0, 2, 5, 6] and answer.dependencies == 4
    for step in ("(0, 0) E", "(1, 0) N", "(1, 1) W", "(0, 1) S"):
        assert step in answer.text
    ring = mesh(20, 1, 2, wraps=True)
    assert "8 more" in check(ring, all_to_all(ring)).text


def crafted(links: LinkGraph, turns: list[tuple[int, int]]) -> Routes:
    link = np.array(turns, np.int32).ravel()
    return Routes(
        np.arange(0, link.size + 1, 2),
        link,
        np.bincount(link, minlength=links.source.size).astype(float),
    )


def assert_cycle(links: LinkGraph, routes: Routes) -> list[int]:
    cycle = np.array(check(links, routes).cycle, np.int32)
    assert cycle.size
    follows = dependencies(links, routes)
    for link, following in zip(cycle, np.roll(cycle, -1), strict=True):
        assert links.target[link] == links.source[following]
        assert follows[link, links.direction[following]]
    return [int(link) for link in cycle]


@given(problems())
def test_a_cycle_is_found_where_networkx_finds_one(problem: tuple[Nets, LinkGraph]) -> None:
    nets, links = problem
    try:
        routes = route(nets, links, congestion_aware=True)
    except UnreachableError:
        return
    channels: nx.DiGraph = nx.DiGraph()
    for n in range(nets.source.size):
        tree = routes.link[routes.first[n] : routes.first[n + 1]].tolist()
        channels.add_edges_from(
            (a, b) for a in tree for b in tree if links.target[a] == links.source[b]
        )
    if nx.is_directed_acyclic_graph(channels):
        assert check(links, routes).free
    else:
        assert_cycle(links, routes)
