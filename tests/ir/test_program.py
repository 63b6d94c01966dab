"""A program is a graph of payloads, and nothing keeps it once nobody holds it."""

from __future__ import annotations

import gc
import weakref

import networkx as nx
import numpy as np
import pytest

from nirc.ir import program as module
from nirc.ir.arrays import unrepeated
from nirc.ir.program import Form, Program
from tests.build import affine, graph, inp, lif, linear, lowered, out

NET = graph(
    {
        "in": inp(2),
        "w": affine([[0.5, 0], [0, 1]], [0.0, 1.0]),
        "pop": lif(2),
        "rec": linear([[0.0, 1.0], [1.0, 0.0]]),
        "out": out(2),
    },
    "in w pop out",
    "pop rec pop",
)


def test_edges_are_the_same_from_both_ends() -> None:
    program = lowered(NET).discrete
    edges = list(program.edges())
    assert [(s, t) for s, t, _ in edges] == [("in", "pop"), ("pop", "out"), ("pop", "pop")]
    for name in program.graph:
        assert program.into(name) == [(s, p) for s, t, p in edges if t == name]
        assert program.out_of(name) == [(t, p) for s, t, p in edges if s == name]


def test_large_matrices_are_freed_with_their_program() -> None:
    """Without a search for cycles, which Python makes only now and then."""
    program = lowered(NET).discrete
    program = program.rebuilt(program.nodes(object), program.edges())
    assert [program.into("pop"), program.out_of("pop"), [*program.edges()]]
    freed = weakref.ref(program.graph)
    gc.disable()
    try:
        del program
        assert freed() is None
    finally:
        gc.enable()


def test_a_program_with_other_payloads_shares_the_edges() -> None:
    before = Program.of(Form.LAYERS, {"a": 1, "b": 2}, [("a", "b", "x"), ("b", "a", "y")])
    after = before.mapped({"b": 3}, dt_s=0.5)
    assert (after["a"], after["b"], after.dt_s) == (1, 3, 0.5)
    assert (before["b"], before.dt_s) == (2, None)
    assert [*after.edges()] == [*before.edges()] == [("a", "b", "x"), ("b", "a", "y")]
    assert after.into("a") == [("b", "y")] and after.out_of("a") == [("b", "x")]
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        after.graph.add_edge("a", "b")


def test_a_program_has_many_edges_above_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY_EDGES", 2)
    pair = [("a", "b"), ("b", "a")]
    two = Program.of(Form.LAYERS, {"a": 1, "b": 2}, pair)
    three = Program.of(Form.LAYERS, {"a": 1, "b": 2}, [*pair, ("a", "b")])
    assert not two.has_many_edges() and two.has_many_edges(1)
    assert three.has_many_edges() and not three.has_many_edges(but_into={"b"})


def test_entries_that_stand_twice_go_to_parts_of_their_own() -> None:
    row, column = np.array([1, 0, 1, 1, 0]), np.array([2, 5, 2, 0, 5])
    parts = [part.tolist() for part in unrepeated(row, column)]
    assert parts == [[1, 3, 0], [4, 2]]
    assert [*unrepeated(row[:0], column[:0])] == []
