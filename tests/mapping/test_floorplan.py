"""A floorplan survives its file, equal plans give equal bytes, and a file that lies is refused with
its path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.errors import InputError
from nirc.files.bundle import to_json
from nirc.mapping.floorplan import Core, Floorplan, Link, Part, floorplan_in, loaded_links

LIMITS = {"neurons": (8192, "neurons"), "synapse memory": (131072.0, "bytes")}
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
amounts = st.one_of(st.integers(0, 10**9), st.floats(0, 1e9))


def read(tree: Any) -> Floorplan:
    return floorplan_in(to_json({"floorplan": tree, "format": "some chip's"}))


def small() -> Floorplan:
    """Two chips of 2 x 2 cells side by side: one core in use, one faulty, one that does not exist,
    one link.
    """
    conv = Part("conv", ((0, 4), (2, 4), (0, 8)))
    return Floorplan(
        size=(4, 2, 1),
        chip=(2, 2, 1),
        limits=LIMITS,
        cores=(Core(1, (2, 1, 0), (conv, Part("out", ((3, 10),))), {"neurons": 71}),),
        links=(Link((2, 1, 0), (1, 1, 0), 2.5, 8), Link((1, 1, 0), (2, 1, 0), 3)),
        faulty=((0, 0, 0),),
        absent=((1, 0, 0),),
        cost=12,
    )


@st.composite
def plans(draw: st.DrawFn) -> Floorplan:
    chip = tuple(draw(st.integers(1, 3)) for _ in range(3))
    size = tuple(draw(st.integers(1, 2)) * n for n in chip)
    places = draw(
        st.permutations(
            [(x, y, z) for z in range(size[2]) for y in range(size[1]) for x in range(size[0])]
        )
    )
    used, broken = draw(st.integers(0, len(places))), draw(st.integers(0, 3))
    spans = st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda s: (s[0], s[0] + s[1]))
    part = st.builds(Part, names, st.lists(spans, min_size=1, max_size=4).map(tuple))
    limits = draw(
        st.dictionaries(names, st.tuples(amounts, st.sampled_from(["", "bytes"])), max_size=3)
    )
    usage = st.dictionaries(st.sampled_from(sorted(limits)), amounts) if limits else st.just({})
    cores = [
        Core(draw(st.integers(0, 9)), at, tuple(draw(st.lists(part, max_size=2))), draw(usage))
        for at in places[:used]
    ]
    joined = st.builds(
        Link, st.sampled_from(places), st.sampled_from(places), amounts, st.none() | amounts
    )
    links = tuple(draw(st.lists(joined, max_size=3)))
    rest = places[used:]
    return Floorplan(
        size,
        chip,
        limits,
        tuple(cores),
        links,
        tuple(rest[:broken]),
        tuple(rest[broken : broken + 2]),
    )


@given(plans(), st.randoms())
@settings(max_examples=40)
def test_a_plan_comes_back_from_its_bytes_and_order_does_not_matter(
    plan: Floorplan, random: Any
) -> None:
    text = to_json(plan.to_tree())
    back = read(json.loads(text))
    assert to_json(back.to_tree()) == text
    for name in ("cores", "links", "faulty", "absent"):
        written, found = getattr(plan, name), getattr(back, name)
        assert len(written) == len(found) and all(x in written for x in found)
    assert (back.size, back.chip, back.limits) == (plan.size, plan.chip, plan.limits)
    mixed = replace(
        plan, cores=tuple(random.sample(plan.cores, len(plan.cores))), links=plan.links[::-1]
    )
    assert sorted(mixed.links, key=str) != sorted(plan.links, key=str) or len(
        mixed.to_tree()["links"]
    ) == len(plan.links)
    assert mixed.to_tree()["cores"] == plan.to_tree()["cores"]


def test_numbers_of_numpy_are_plain_in_the_file() -> None:
    cores = (Core(np.int64(0), (np.int64(0), 0, 0), (), {"neurons": np.float64(3)}),)  # type: ignore[arg-type]
    tree = Floorplan((1, 1, 1), (1, 1, 1), {"neurons": (np.int64(5), "")}, cores).to_tree()  # type: ignore[dict-item]
    assert json.loads(json.dumps(tree))["cores"][0]["usage"] == {"neurons": 3}


def test_a_part_counts_its_neurons() -> None:
    assert [part.neurons for part in small().cores[0].parts] == [64, 7]


@pytest.mark.parametrize(
    ("where", "value", "path"),
    [
        ((), [], "floorplan"),
        (("format",), "nirc-floorplan/2", "floorplan.format"),
        (("size",), [4, 2], "floorplan.size"),
        (("size",), [4, 0, 1], "floorplan.size[1]"),
        (("size",), [1 << 24, 1 << 24, 1], "floorplan"),
        (("chip",), [3, 2, 1], "floorplan"),
        (("cores", 0, "at"), [4, 1, 0], "floorplan"),
        (("cores", 0, "at"), [0, 0, 0], "floorplan"),  # faulty
        (("cores", 0, "at"), [2, True, 0], "floorplan.cores[0].at[1]"),
        (("cores", 0, "at"), {}, "floorplan.cores[0].at"),
        (("cores", 0, "chip"), -1, "floorplan.cores[0].chip"),
        (("cores", 0, "usage", "neurons"), "many", "floorplan.cores[0].usage.neurons"),
        (("cores", 0, "usage", "neurons"), -0.5, "floorplan.cores[0].usage.neurons"),
        (("cores", 0, "usage", "gold"), 1, "floorplan"),
        (("cores", 0, "parts", 0, "box"), [[4, 0]], "floorplan.cores[0].parts[0].box"),
        (("cores", 0, "parts", 0, "box"), [], "floorplan.cores[0].parts[0].box"),
        (
            ("cores", 0, "parts", 1, "population"),
            "\x1b[2J",
            "floorplan.cores[0].parts[1].population",
        ),
        (("cores", 0, "parts", 1, "population"), 3, "floorplan.cores[0].parts[1].population"),
        (("cores", 0, "more"), 3, "floorplan.cores[0].more"),
        (("cores", 0), 3, "floorplan.cores[0]"),
        (("links", 0, "load"), -1, "floorplan.links[0].load"),
        (("links", 1, "to"), [9, 0, 0], "floorplan"),
        (("limits", "neurons"), 3, "floorplan.limits.neurons"),
        (("faulty",), [[0, 0, 0, 0]], "floorplan.faulty[0]"),
        (("absent",), [[0, 0, 0]], "floorplan"),
        (("cost",), True, "floorplan.cost"),
    ],
)
def test_a_file_that_lies_is_refused_where_it_lies(
    where: tuple[Any, ...], value: Any, path: str
) -> None:
    tree = json.loads(to_json(small().to_tree()))
    if where:
        inner = tree
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = value
    else:
        tree = value
    with pytest.raises(InputError) as refusal:
        read(tree)
    assert [(d.code, d.where) for d in refusal.value.diagnostics if d.severity == "error"] == [
        ("U605", path)
    ]


def test_floorplans_cost_no_solver() -> None:
    check = "import sys, nirc.mapping.floorplan; print([m for m in sys.modules if 'ortools' in m])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_links_of_routes_are_those_that_carry_something() -> None:
    from nirc.mapping.routing import Nets
    from nirc.mapping.routing.links import mesh
    from nirc.mapping.routing.route import route

    graph = mesh(3, 1, capacity=9.0)
    links = loaded_links(graph, route(Nets.unicast([0, 1], [2, 2], [1.0, 0.5]), graph))
    assert links == (Link((0, 0, 0), (1, 0, 0), 1.0, 9.0), Link((1, 0, 0), (2, 0, 0), 1.5, 9.0))
