"""The library in a notebook: warnings, representations, and arguments of the wrong type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.diagnostics.errors import ChipWarning
from tests.models import DATA

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


@pytest.fixture(scope="module")
def bundle() -> nirc.Bundle:
    with pytest.warns(ChipWarning, match="D401"):
        return nirc.compile(VOWELS, "xylo", writer="snntorch,reset=zero")


def test_a_network_that_loses_accuracy_is_not_compiled_without_a_word(bundle: nirc.Bundle) -> None:
    assert "D401" in {d.code for d in bundle.diagnostics}  # the fixture saw the warning


def test_a_bundle_from_disk_has_its_findings(bundle: nirc.Bundle, tmp_path: Path) -> None:
    opened = nirc.Bundle.open(bundle.save(tmp_path / "b"))
    assert [(d.code, d.message) for d in opened.diagnostics] == [
        (d.code, d.message) for d in bundle.diagnostics
    ]


def test_a_report_without_findings_is_a_damaged_bundle(bundle: nirc.Bundle, tmp_path: Path) -> None:
    files = bundle.files | {"report.json": b"[]"}
    digests = bundle.manifest["files"] | {"report.json": nirc.api.sha256(b"[]")}
    saved = nirc.Bundle(bundle.manifest | {"files": digests}, files).save(tmp_path / "b")
    with pytest.raises(nirc.InputError, match="U605"):
        nirc.Bundle.open(saved)


def test_representations_are_one_short_line(bundle: nirc.Bundle) -> None:
    run = bundle.run(np.ones((2, 5, 12), np.int64))
    for each in (bundle, run, nirc.load(VOWELS)):
        text = repr(each)
        assert "\n" not in text and len(text) < 120
    assert "xylo:audio3" in repr(bundle) and "warning(s)" in repr(bundle)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dt": "1e-4"},
        {"dt": True},
        {"reset": 3},
        {"reset": None},
        {"writer": b"norse"},
        {"readout": 8},
        {"strict": "yes"},
        {"seed": 1.5},
        {"time_limit": "10"},
        {"effort": 3},
        {"chip": "input=dvs"},
        {"chip": {"steps": 5}},
        {"calibrate": "samples.npz"},
        {"calibrate": [[1, 2], [3]]},
        {"target": None},
        {"model": 5},
        {"model": None},
    ],
)
def test_a_value_of_another_type_is_a_usage_error(wrong: dict[str, Any]) -> None:
    given = {"model": VOWELS, "target": "xylo"} | wrong
    with pytest.raises(nirc.UsageError, match="cannot be of type"):
        nirc.compile(**given)


def test_inputs_that_are_no_numbers_are_a_usage_error(bundle: nirc.Bundle) -> None:
    with pytest.raises(nirc.UsageError, match="inputs"):
        bundle.run("spikes.npz")


def test_seeds_and_steps_of_numpy_are_numbers() -> None:
    made = nirc.compile(VOWELS, "xylo", seed=np.int64(0), strict=np.bool_(False))  # type: ignore[arg-type]
    assert made.manifest["seed"] == 0
