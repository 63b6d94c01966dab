"""mapping.json: written and read back the same, by its schema, and nothing damaged is believed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace

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
        made.slices,
        replace(made.tick, reason=""),  # which stands in floorplan.json
        1000,
    )
    np.testing.assert_array_equal(back.tables.key, made.tables.key)
    assert [back.tables.links_and_cores(r) for r in back.tables.route] == [
        made.tables.links_and_cores(r) for r in made.tables.route
    ]


@pytest.mark.parametrize(("chip", "chips"), [(0, 1), (9, 64)])
def test_each_chip_of_the_system_has_a_table(chip: int, chips: int) -> None:
    """A network that is on chip 0 alone needs no board."""
    changed = tree()
    for row in (*changed["slices"], *changed["entries"]):
        row[0] = chip
    back = from_json(json.dumps(changed).encode(), TABLES)
    wanted = [0] * chips
    wanted[chip] = len(MAPPING.tables.key)
    assert back.tables.routers == chips and back.tables.sizes.tolist() == wanted
    del changed["entries"][:]
    assert from_json(json.dumps(changed).encode(), TABLES).tables.routers == chips


CHIP, CORE, KEY, MASK = range(4)
DAMAGE = [
    put("format", value="nirc-spinnaker2-mapping/1"),
    put("more", value=1),
    lambda t: t.pop("slices"),
    put("slices", value={}),
    put("slices", value=[]),
    put("slices", 0, value=[]),
    put("slices", 0, value=[0, 1, 0]),
    put("slices", 0, CHIP, value=64),
    put("slices", 0, CORE, value=0),
    put("slices", 0, CORE, value=153),
    put("slices", 0, CORE, value=2),
    put("slices", 1, CORE, value=True),
    put("slices", 0, KEY, value=1),
    put("slices", 0, KEY, value=-1),
    put("slices", 1, KEY, value=0),
    put("slices", 0, MASK, value=0xFFFFFFFF),
    put("slices", 0, MASK, value=0xFFFF00FF),
    lambda t: t["slices"].pop(),
    lambda t: t["slices"].append(t["slices"][-1]),
    put("entries", 0, CHIP, value=1),
    put("entries", -1, CHIP, value=64),
    put("entries", 0, CHIP, value=-1),
    put("entries", value=[[0, 0, 0, 0]] * (ROUTER_ENTRIES + 1)),
    put("entries", 0, value=[0, 0, 0]),
    put("entries", 0, 1, value=1 << 32),
    put("entries", 0, value=[0, 1, 0, 0]),
    put("entries", 0, 3, value=99),
    put("entries", 0, 3, value=1 << 31),
    put("routes", 0, "links", value=[6]),
    put("routes", 0, "cores", value=[0]),
    put("routes", 0, "cores", value=["1"]),
    put("tick", "seconds", value=0),
    put("tick", "seconds", value="1"),
    put("tick", "late_cores", value=-1),
    put("steps", value=0.5),
    put("steps", value=-1),
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
