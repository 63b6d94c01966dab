"""Lates and delays that keep all paths in time; a loop that is too short is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nirc.analysis.retiming import Edge, retime

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
