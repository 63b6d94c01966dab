"""Whatever a graph holds, compiling ends in programs or in a refusal with a code and a place: never
in a traceback.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.errors import NircError
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.populations import Source
from nirc.semantics.run import run
from tests.build import changed, graph, lowered
from tests.frontend.test_primitives import VALID

NUMBERS = [
    0.0,
    -1.0,
    1.0,
    0.5,
    3.0,
    1e308,
    -1e308,
    1e-308,
    5e-324,
    np.inf,
    -np.inf,
    np.nan,
    1 << 31,
    1 << 62,
    -(1 << 63),
]
SHAPES: list[tuple[int, ...]] = [
    (),
    (1,),
    (2,),
    (3,),
    (0,),
    (1, 1),
    (1, 3),
    (3, 1),
    (2, 3),
    (2, 1, 1),
    (1, 1, 3),
    (2, 2, 3, 3),
]
ELEMENTWISE = ["CubaLI", "CubaLIF", "Delay", "I", "IF", "LI", "LIF", "Scale", "Threshold"]
NAMES = ["a", "b", "a.b", "a.input", "a b", "\n", "\x1b[31m", "é", "名前", "a/b", "'", "input_a"]


@st.composite
def fields(draw: st.DrawFn, shapes: list[tuple[int, ...]]) -> Any:
    if draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from(["", "same", "valid", "x" * 300, "\x00"]))
    shape, number = draw(st.sampled_from(shapes)), draw(st.sampled_from(NUMBERS))
    with np.errstate(all="ignore"):
        values = np.full(shape, number).astype(
            draw(st.sampled_from(["f8", "f8", "f4", "f2", "i8", "?"]))
        )
    if values.size and draw(st.booleans()):
        values.flat[0] = 1
    return values


@st.composite
def hostile(draw: st.DrawFn) -> RawGraph:
    """A few nodes with spoilt fields, and edges between anything.

    Half of them would be fine but for the numbers.
    """
    easy = draw(st.booleans())
    kinds, shapes = (ELEMENTWISE, [(), (1,), (3,), (1, 1, 3)]) if easy else (sorted(VALID), SHAPES)
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    nodes: dict[str, RawNode] = {}
    for name in names:
        item = VALID[draw(st.sampled_from(kinds))]
        for _ in range(draw(st.integers(0, 1 if easy else 2))):
            field = draw(st.sampled_from(sorted(item.fields)))
            item = changed(item, **{field: draw(fields(shapes))})
        nodes[name] = item
    nodes |= {"in": VALID["Input"], "out": VALID["Output"]}
    ends = st.sampled_from([*nodes, *NAMES[:4]])
    way = ["in", *names, "out"] if easy or draw(st.booleans()) else ["in", names[0]]
    return graph(
        nodes, *pairwise(way), *draw(st.lists(st.tuples(ends, ends), max_size=0 if easy else 3))
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=400)
@given(hostile(), st.sampled_from([None, 1e-4, 1e-300, 1e300]))
def test_any_graph_becomes_programs_or_a_refusal(raw: RawGraph, dt: float | None) -> None:
    try:
        made = lowered(raw, dt=dt)
    except NircError as error:
        refused = [d for d in error.diagnostics if d.severity == "error"]
        assert refused and all(d.code and d.message for d in refused)
        return
    channels = sum(s.n for s in made.discrete.nodes(Source).values())
    run(made.discrete, np.ones((1, 2, channels)))
    run(made.reference, np.ones((1, 2, channels)))
