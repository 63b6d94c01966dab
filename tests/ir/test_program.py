"""A program is a graph of payloads, and nothing keeps it once nobody holds it."""

from __future__ import annotations

import gc
import weakref

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
