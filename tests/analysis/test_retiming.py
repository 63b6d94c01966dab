"""Latencies and delays that keep all paths in time, and the edges that close a cycle."""

from __future__ import annotations

import random
from itertools import pairwise

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from nirc.analysis.retiming import Edge, feedback_edges, retime

NAMES = [f"n{i}" for i in range(6)]


def test_the_shorter_way_waits() -> None:
    timing = retime(["in", "a", "b"], [Edge("in", "a", 0), Edge("a", "b", 0), Edge("in", "b", 0)])
    assert timing.latency_steps == {"in": 0, "a": 1, "b": 2}
    assert (timing.delays, timing.slow) == ((0, 0, 1), (0, 0, 0))


def test_a_delay_pays_for_synapses() -> None:
    assert retime(["in", "a"], [Edge("in", "a", 3)]).delays == (2,)


def test_a_loop_of_one_is_free_and_a_loop_of_two_is_slow() -> None:
    assert retime(["a"], [Edge("a", "a", 1)]).slow == (0,)
    assert retime(["a", "b"], [Edge("a", "b", 0), Edge("b", "a", 1)]).slow == (0, 1)
    assert retime(["a", "b"], [Edge("a", "b", 0), Edge("b", "a", 2)]).slow == (0, 0)


def test_each_edge_back_of_all_to_all_is_slow() -> None:
    every = [Edge(a, b, int(a >= b)) for a in NAMES for b in NAMES]
    timing = retime(NAMES, every)
    back = [NAMES.index(e.source) - NAMES.index(e.target) for e in every]
    assert timing.slow == tuple(max(0, steps) for steps in back)
    assert list(timing.latency_steps.values()) == [0, 1, 2, 3, 4, 5]


def test_the_order_of_a_chain_does_not_matter() -> None:
    names = [f"n{i}" for i in range(300)]
    chain = [Edge(a, b, 0) for a, b in pairwise(names)]
    latency_steps = retime(names, chain[::-1]).latency_steps
    assert list(latency_steps.values()) == list(range(300))


edges = st.builds(
    lambda a, b, lag: Edge(NAMES[a], NAMES[b], max(lag, int(b <= a))),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 4),
)


@given(st.lists(edges, max_size=14))
def test_every_edge_takes_its_lag_or_is_told_to_be_slow(wires: list[Edge]) -> None:
    timing = retime(NAMES, wires)
    for edge, extra, slow in zip(wires, timing.delays, timing.slow, strict=True):
        takes = (
            edge.hop
            + extra
            - (timing.latency_steps[edge.target] - timing.latency_steps[edge.source])
        )
        assert takes == edge.lag + slow
        assert min(extra, slow) == 0 and edge.lag + slow >= 0
    assert min(timing.latency_steps.values()) == 0
    if not any(timing.slow):
        assert max(timing.latency_steps.values()) <= len(NAMES)


# -- edges that close a cycle ----------------------------------------------------------------------

Edges = list[tuple[str, str]]


def back(edges: Edges, inputs: str = "i") -> set[tuple[str, str]]:
    nodes = sorted({n for edge in edges for n in edge})
    keyed = [(s, t, (s, t)) for s, t in edges]
    return feedback_edges(nodes, [n for n in nodes if n in inputs], keyed)


def test_a_chain_has_none() -> None:
    assert back([("i", "b"), ("b", "a"), ("a", "o")]) == set()


def test_a_population_that_feeds_itself() -> None:
    assert back([("i", "a"), ("a", "a"), ("a", "o")]) == {("a", "a")}


def test_of_two_populations_the_one_nearer_the_input_leads() -> None:
    """Whatever their names: the edge back to it is the late one."""
    assert back([("i", "a"), ("a", "b"), ("b", "a")]) == {("b", "a")}
    assert back([("i", "b"), ("a", "b"), ("b", "a")]) == {("a", "b")}


def test_a_skip_connection_is_no_cycle() -> None:
    assert back([("i", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("i", "c")]) == set()


def test_a_larger_loop_is_late_once() -> None:
    assert back([("i", "a"), ("a", "b"), ("b", "c"), ("c", "a")]) == {("c", "a")}


def test_a_loop_that_no_input_reaches_is_cut_too() -> None:
    assert back([("i", "o"), ("y", "x"), ("x", "y")]) == {("y", "x")}


def test_each_of_two_parallel_edges_back_is_late() -> None:
    edges = [("i", "a", 0), ("a", "b", 1), ("b", "a", 2), ("b", "a", 3)]
    assert feedback_edges(["i", "a", "b"], ["i"], edges) == {2, 3}


def test_a_chain_of_fifty_thousand_does_not_exhaust_the_stack() -> None:
    edges = [(f"n{i:05}", f"n{i + 1:05}", i) for i in range(50_000)]
    nodes = sorted({n for s, t, _ in edges for n in (s, t)})
    assert feedback_edges(nodes, ["n00000"], [*edges, ("n50000", "n00000", -1)]) == {-1}


graphs = st.lists(
    st.tuples(st.sampled_from("iabcdef"), st.sampled_from("abcdefo")), max_size=20, unique=True
)


@given(graphs, st.integers(0, 1000))
def test_without_them_no_cycle_is_left_and_order_means_nothing(edges: Edges, seed: int) -> None:
    late = back(edges)
    assert nx.is_directed_acyclic_graph(nx.DiGraph([e for e in edges if e not in late]))
    for s, t in late:  # each closes a cycle
        assert s == t or nx.has_path(nx.DiGraph(edges), t, s)
    shuffled = random.Random(seed).sample(edges, len(edges))
    assert back(shuffled) == late
