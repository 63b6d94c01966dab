"""remove-dead: what no output depends on goes, Inputs stay."""

from __future__ import annotations

import numpy as np

from tests.build import (
    affine,
    findings,
    graph,
    if_,
    inp,
    layers,
    lif,
    linear,
    lowered,
    out,
    scale,
    steps,
)


def test_a_branch_that_ends_nowhere_goes_with_a_word() -> None:
    raw = graph(
        {"in": inp(1), "pop": if_(), "side": if_(), "out": out(1)}, "in pop out", "pop side"
    )
    assert findings(raw) == [("G213", "nodes/side")]
    assert set(layers(raw).graph) == {"in", "pop", "out"}


def test_a_wire_that_no_signal_enters_goes() -> None:
    raw = graph(
        {"in": inp(1), "w": linear([[1.0]]), "pop": if_(), "out": out(1)}, "in pop out", "w pop"
    )
    assert findings(raw) == [("G213", "nodes/w")]


def test_an_unused_input_stays_so_that_data_still_fits() -> None:
    raw = graph({"in": inp(1), "more": inp(2), "pop": if_(), "out": out(1)}, "in pop out")
    assert findings(raw) == []
    assert lowered(raw).outputs(steps([1.0, 5, 5])).tolist() == [
        [[1]]
    ]  # channels in the order of the names


def test_neurons_without_input_stay_since_a_leak_may_make_them_fire() -> None:
    raw = graph(
        {"in": inp(1), "bias": lif(1, v_leak=[4.0]), "pop": if_(), "out": out(1)},
        "in pop out",
        "bias pop",
    )
    assert findings(raw) == []
    assert lowered(raw).outputs(np.zeros((1, 5, 1))).ravel().tolist() == [0, 0, 1, 0, 0]


def test_nothing_left_is_refused() -> None:
    raw = graph(
        {"in": inp(1), "pop": if_(), "s": scale([1.0, 2.0]), "out": out(2)}, "in pop", "s out"
    )
    assert ("G254", "edges") in findings(raw)


def test_an_affine_without_input_has_no_signal() -> None:
    raw = graph(
        {"a": affine([[1.0]], [1.0]), "in": inp(1), "pop": if_(), "out": out(1)},
        "in pop out",
        "a pop",
    )
    assert findings(raw) == [("G213", "nodes/a")]
