"""mapping.json: written and read back the same, by its schema, and nothing damaged is believed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import jsonschema
import numpy as np
import pytest

from nirc.backends.spinnaker2.limits import ROUTER_ENTRIES
from nirc.backends.spinnaker2.mapping import MAPPING as MAPPING_FILE
from nirc.backends.spinnaker2.mapping import from_json
from nirc.diagnostics.errors import NircError
from nirc.files.schema import json_schema
from tests.spinnaker2.bundles import Tree, put
from tests.spinnaker2.networks import mapping, network

TABLES = network(0)
MAPPING = mapping(TABLES)


def tree() -> Tree:
    loaded: Tree = json.loads(MAPPING.to_json())
    return loaded


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_obeys_the_schema_and_reads_back(seed: int) -> None:
    made = mapping(network(seed))
    data = made.to_json()
    jsonschema.validate(json.loads(data), json_schema(MAPPING_FILE))
    back = from_json(data, network(seed))
    assert back.to_json() == data
    assert (back.slices, back.tick, back.steps) == (
        tuple(sorted(made.slices, key=lambda s: s.key)),
        made.tick,
        1000,
    )
    np.testing.assert_array_equal(back.tables.key, made.tables.key)
    assert [back.tables.links_and_cores(r) for r in back.tables.route] == [
        made.tables.links_and_cores(r) for r in made.tables.route
    ]


@pytest.mark.parametrize(("size", "chips"), [((8, 7, 4), 1), ((64, 56, 4), 64)])
def test_each_chip_of_the_system_has_a_table(size: tuple[int, int, int], chips: int) -> None:
    changed = tree()
    changed["floorplan"]["size"] = list(size)
    back = from_json(json.dumps(changed).encode(), TABLES)
    entries = len(MAPPING.tables.key)
    assert back.tables.routers == chips and back.tables.sizes.tolist()[:1] == [entries]


DAMAGE = [
    put("format", value="nirc-spinnaker2-mapping/2"),
    put("more", value=1),
    lambda t: t.pop("slices"),
    put("slices", value={}),
    put("slices", value=[]),
    put("slices", 0, value=[]),
    put("slices", 0, "population", value="nobody"),
    put("slices", 0, "population", value=["in"]),
    put("slices", 0, "from", value=1),
    put("slices", 0, "to", value=True),
    put("slices", 0, "to", value=10**30),
    put("slices", 0, "chip", value=64),
    put("slices", 0, "core", value=0),
    put("slices", 0, "core", value=153),
    put("slices", 0, "core", value=2),
    put("slices", 0, "key", value=1),
    put("slices", 0, "key", value=-1),
    put("slices", 1, "key", value=0),
    put("slices", 0, "mask", value=0xFFFFFFFF),
    put("slices", 0, "mask", value=0xFFFF00FF),
    lambda t: t["slices"].pop(),
    lambda t: t["slices"].reverse(),
    lambda t: t["slices"].append(t["slices"][-1]),
    put("routers", 0, "chip", value=1),
    put("routers", 0, "chip", value=-1),
    put("routers", 0, "entries", value=[]),
    put("routers", 0, "entries", value=[[0, 0, 0]] * (ROUTER_ENTRIES + 1)),
    put("routers", 0, "entries", 0, value=[0, 0]),
    put("routers", 0, "entries", 0, value=[1 << 32, 0, 0]),
    put("routers", 0, "entries", 0, value=[1, 0, 0]),
    put("routers", 0, "entries", 0, value=[0, 0, 99]),
    put("routers", 0, "entries", 0, value=[0, 0, 1 << 31]),
    lambda t: t["routers"].append(t["routers"][0]),
    put("routes", 0, "links", value=[6]),
    put("routes", 0, "cores", value=[0]),
    put("routes", 0, "cores", value=["1"]),
    put("tick", "seconds", value=0),
    put("tick", "seconds", value="1"),
    put("tick", "reason", value=""),
    put("tick", "late_cores", value=-1),
    put("steps", value=0.5),
    put("steps", value=-1),
    put("floorplan", "size", value=[0, 0, 0]),
    put("floorplan", "cores", 0, "chip", value=1),
    put("floorplan", "cores", 0, "parts", 0, "box", value=[[0, 1], [0, 1]]),
    lambda t: t["floorplan"]["cores"].pop(),
]


@pytest.mark.parametrize("change", DAMAGE)
def test_damage_is_found(change: Callable[[Tree], None]) -> None:
    damaged = tree()
    change(damaged)
    assert damaged != tree()
    with pytest.raises(NircError) as refusal:
        from_json(json.dumps(damaged).encode(), TABLES)
    assert {d.code for d in refusal.value.diagnostics} <= {"U605", "N904"}


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_what_is_no_mapping_is_refused(data: bytes) -> None:
    with pytest.raises(NircError):
        from_json(data, TABLES)


def test_the_good_one_is_good() -> None:
    assert from_json(json.dumps(copy.deepcopy(tree())).encode(), TABLES).steps == MAPPING.steps
