"""Pictures: from plain data, the same bytes each time, bounded, with foreign names as text."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.drawing.canvas import Canvas, color, fitted
from nirc.drawing.network import Part, Row, Wire, network, signal_order
from nirc.drawing.rasters import Layer, Panel, rasters
from nirc.drawing.weights import Rounded, weights

HOSTILE = '</text><script>alert("1")</script>&\x1b[31m\u202e'


def words(canvas: Canvas) -> list[str]:
    """Return the texts of a picture, parsed as XML."""
    tree = ElementTree.fromstring(canvas.inline())
    return [text for text in map(str.strip, tree.itertext()) if text]


def marks(canvas: Canvas, kind: str) -> int:
    return canvas.inline().count(f'class="{kind}"')


def test_a_row_follows_another_and_the_arrow_says_by_which_operator() -> None:
    drawn = network(
        [Row("in"), Row("lif", "40 neurons", ("shape 8 x 5",)), Row("out")],
        [Wire("in", "lif", "dense 12 to 40"), Wire("lif", "lif", "loop"), Wire("lif", "out")],
    )
    assert words(drawn) == [
        *("in", "lif", "40 neurons", "shape 8 x 5", "↶ from itself: loop", "dense 12 to 40", "out"),
    ]
    assert marks(drawn, "wire") == 3


def test_cores_are_parts_of_a_bar_and_say_what_is_on_them() -> None:
    parts = (
        Part("core 0, 0: neurons 0 to 29", 0.75, 1),
        Part("core 1, 0: neurons 30 to 39", 0.25, 1),
    )
    drawn = network([Row("lif", parts=parts, cut="2 cores")], [])
    assert marks(drawn, "part") == 2 and color(1) in drawn.inline()
    assert "core 1, 0: neurons 30 to 39" in words(drawn) and "2 cores" in words(drawn)


def test_a_large_network_is_drawn_in_groups() -> None:
    rows = [Row(f"lif{n}", parts=(Part("a core", 1.0),) * 50, neurons=2) for n in range(4000)]
    wires = [Wire(a.name, b.name) for a, b in pairwise(rows)]
    wires += [Wire(rows[n].name, rows[0].name) for n in range(1, 4000, 3)]
    drawn = network(rows, wires).inline()
    assert "lif0 … lif166" in drawn and "167 populations, 334 neurons" in drawn
    assert len(drawn) < 40_000


def test_foreign_names_stay_text() -> None:
    row = Row(HOSTILE, HOSTILE, (HOSTILE,), (Part(HOSTILE, 1.0),), HOSTILE)
    other = Row("out")
    spikes = np.ones((3, 2))
    for drawn in (
        network([row, other], [Wire(HOSTILE, "out", HOSTILE), Wire("out", HOSTILE, HOSTILE)]),
        rasters([[Panel(HOSTILE, (Layer("model", spikes),))]], title=HOSTILE),
        weights([Rounded(HOSTILE, HOSTILE, np.ones(3), np.ones(3))]),
    ):
        assert "<script" not in drawn.inline() and "\x1b" not in drawn.inline()
        assert any("</text><script>alert" in text for text in words(drawn))


def test_long_names_are_shortened_and_the_whole_is_at_hand() -> None:
    name = "a" * 200
    assert fitted(name, 60).endswith("…") and len(fitted(name, 60)) < 12
    assert len(fitted("界" * 50, 60)) < len(fitted(name, 60))
    assert name in words(network([Row(name)], []))


def test_the_same_data_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    marks_ = rng.random((700, 90)) < 0.1
    drawn = [rasters([[Panel("a", (Layer("chip", marks_),))]]).file() for _ in range(2)]
    assert drawn[0] == drawn[1] and drawn[0].startswith(b"<?xml")


@pytest.mark.parametrize(("steps", "neurons"), [(1, 1), (20, 7), (400, 5), (5000, 900)])
def test_rasters_of_any_size_are_bounded(steps: int, neurons: int) -> None:
    spikes = np.random.default_rng(0).random((steps, neurons)) < 0.3
    drawn = rasters([[Panel("lif", (Layer("model", spikes),))]], step=steps - 1)
    assert len(drawn.inline()) < 90_000
    assert str(steps - 1) in words(drawn)


def test_a_spike_in_a_raster_too_large_for_its_cells_is_seen_faintly() -> None:
    spikes = np.zeros((2000, 300))
    spikes[1234, 200] = 1
    drawn = rasters([[Panel("lif", (Layer("model", spikes),))]])
    assert marks(drawn, "model some") == 1 and marks(drawn, "model") == 0
    assert marks(rasters([[Panel("lif", (Layer("model", spikes[1200:1300, 190:210]),))]]), "model")


def test_weights_that_are_exact_lie_on_the_line_and_few_levels_make_steps() -> None:
    before = np.linspace(-1, 1, 100_000)
    exact = weights([Rounded("a to b", "", before, before)]).inline()
    steps = weights([Rounded("a to b", "", before, np.round(before))]).inline()
    assert steps.count("M") < exact.count("M") + 40 < 400
    assert weights([Rounded("a to b", "", np.ones(0), np.ones(0))]).inline()


NAMES = st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1)


@given(NAMES, st.data())
def test_every_name_has_one_place_and_chains_keep_their_order(
    names: list[str], data: st.DataObject
) -> None:
    ends = st.tuples(st.sampled_from(names), st.sampled_from(names))
    wires = data.draw(st.lists(ends))
    assert sorted(signal_order(names, wires)) == sorted(names)
    assert signal_order(names, pairwise(names)) == names
