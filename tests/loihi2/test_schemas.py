"""The JSON schemas say what the readers accept."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from nirc.backends.loihi2 import limits, tables
from nirc.files.bounds import MAX_NAME
from tests.loihi2.reference import FLAVOURS
from tests.loihi2.test_deploy import GEOMETRIES, STRUCTURES, lines_and_neurons, network
from tests.loihi2.test_emulate import members

Tree = dict[str, Any]
# Faults that a schema cannot see: what refers to nothing, characters that cannot be printed, sizes that do not fit.
REFERENCES = (
    "a projection from nowhere",
    "an output of nobody",
    "an array that is not there",
    "a name with a control character",
)
SIZES = ("another output", "another input", "groups that do not divide")


def schema(name: str) -> Tree:
    loaded: Tree = json.loads((files("nirc.backends.loihi2") / name).read_text())
    return loaded


def structure(made: tables.Tables) -> Tree:
    member = members(tables.to_npz(made))["network.npy"]
    tree: Tree = json.loads(member[member.index(b"\n") + 1 :])
    return tree


@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
def test_networks_obey_their_schema(flavour: str) -> None:
    for seed in range(5):
        jsonschema.validate(structure(network(seed, flavour)), schema("network.schema.json"))


@pytest.mark.parametrize("case", [case for case in STRUCTURES if case not in REFERENCES])
def test_the_schema_refuses_what_the_reader_refuses(case: str) -> None:
    tree = structure(lines_and_neurons())
    STRUCTURES[case](tree)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, schema("network.schema.json"))


@pytest.mark.parametrize("case", [case for case in GEOMETRIES if case not in SIZES])
def test_the_schema_refuses_a_geometry_that_the_reader_refuses(case: str) -> None:
    tree = structure(network(0, "convolutional"))
    GEOMETRIES[case](tree["projections"][0]["geometry"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, schema("network.schema.json"))


def test_the_schema_has_the_ranges_of_the_limits() -> None:
    found = schema("network.schema.json")
    for kind, described in tables.KINDS.items():
        fields = found["properties"][kind]["items"]["properties"]
        for name, (span, _) in described.numbers.items():
            assert (fields[name]["minimum"], fields[name]["maximum"]) == span, name
    steps, shape = found["$defs"]["step"], found["$defs"]["map"]["prefixItems"]
    padding = found["$defs"]["geometry"]["properties"]["padding"]["items"]
    assert (steps["minimum"], steps["maximum"]) == limits.CONV_STEP
    assert (padding["minimum"], padding["maximum"]) == limits.CONV_PADDING
    assert {(axis["minimum"], axis["maximum"]) for axis in shape[1:]} == {limits.CONV_MAP}
    assert found["$defs"]["name"]["maxLength"] == MAX_NAME
