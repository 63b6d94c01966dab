"""`nirc sweep`: all combinations of targets and values, as rows."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from tests.commands import nirc
from tests.models import chain, lif, linear


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    nir.write(tmp_path / "m.nir", chain(4, linear(rng, 3, 4), lif(3), n_out=3))
    np.savez(tmp_path / "d.npz", inputs=(rng.random((4, 10, 4)) < 0.5).astype(np.int64))
    return tmp_path


BASE = ("sweep", "m.nir", "--from", "nir", "--dt", "1e-4", "--jobs", "1")


def test_each_combination_is_a_row(model: Path) -> None:
    two = ("--target", "xylo", "--target", "loihi2", "--vary", "seed=0,1", "--vary", "order=index")
    done = nirc(*BASE, *two, "--data", "d.npz", cwd=model)
    assert done.returncode == 0, done.stderr
    rows = json.loads((model / "sweep/sweep.json").read_text())["rows"]
    assert [(row["target"], row["varied"]) for row in rows] == [
        ("xylo", {"seed": 0}),  # it has no option `order`
        ("xylo", {"seed": 1}),
        ("loihi2", {"seed": 0, "order": "index"}),
        ("loihi2", {"seed": 1, "order": "index"}),
    ]
    assert all(0 <= row["figures"]["agreement"] <= 1 for row in rows)
    assert "order" in done.stdout and "4 of 4" in (model / "sweep/sweep.html").read_text()


def test_a_value_may_decide_if_the_model_fits(model: Path) -> None:
    done = nirc(*BASE, "--target", "xylo", "--vary", "strict=true,false", cwd=model)
    rows = json.loads((model / "sweep/sweep.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["failed", "built"] and done.returncode == 0
    done = nirc(*BASE, "--target", "xylo", "--vary", "strict=true", cwd=model)
    assert done.returncode == 1 and "no: D408" in done.stdout


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("sed=1", "did you mean `seed`?"),
        ("seed=one", "`seed` cannot be `one`"),
        ("seed=", "not of the form"),
        ("seed=-1", "--seed is out of range"),
        ("effort=much", "unknown effort"),
    ],
)
def test_an_option_or_value_that_makes_no_sense_is_refused(
    model: Path, vary: str, said: str
) -> None:
    done = nirc(*BASE, "--target", "xylo", "--vary", vary, cwd=model)
    assert done.returncode == 2 and "U607" in done.stderr and said in done.stderr
    assert not (model / "sweep").exists()


def test_an_option_that_no_target_has_and_one_that_is_varied_twice_are_refused(
    model: Path,
) -> None:
    for more in (("--set", "foo=1"), ("--vary", "seed=0", "--vary", "seed=1")):
        done = nirc(*BASE, "--target", "xylo", *more, cwd=model)
        assert done.returncode == 2 and "U607" in done.stderr
