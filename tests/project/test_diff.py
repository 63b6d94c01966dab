"""`nirc diff`: what changed between two models, two bundles, and on a chip."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from tests.commands import nirc
from tests.models import chain, lif, linear


@pytest.fixture
def models(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    first = chain(4, linear(rng, 3, 4), lif(3), n_out=3)
    nir.write(tmp_path / "a.nir", first)
    nir.write(tmp_path / "same.nir", first)
    weight = first.nodes["linear0"].weight
    weight[1, 2] += 0.5
    nir.write(tmp_path / "b.nir", first)
    wider = chain(4, linear(rng, 3, 4), lif(3), linear(rng, 3, 3), lif(3), n_out=3)
    nir.write(tmp_path / "c.nir", wider)
    return tmp_path


LETTER = ("--from", "nir", "--dt", "1e-4", "--format", "json")


def changes(folder: Path, *args: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = nirc("diff", *args, *LETTER, cwd=folder)
    tree = json.loads(done.stdout)
    assert tree["equal"] == (done.returncode == 0), done.stderr
    return done.returncode, {change["what"]: change for change in tree["changes"]}


def test_equal_models_are_equal(models: Path) -> None:
    assert changes(models, "a.nir", "same.nir") == (0, {})


def test_a_weight_is_named_by_its_place(models: Path) -> None:
    status, found = changes(models, "a.nir", "b.nir")
    change = found.pop("linear0/weight")
    assert status == 1 and not found
    assert change["at"] == [1, 2] and change["entries"] == 1 and change["of"] == 12
    assert change["largest"] == pytest.approx(0.5)


def test_nodes_and_edges_come_and_go(models: Path) -> None:
    _, found = changes(models, "a.nir", "c.nir")
    assert found["node lif3"]["after"] == "LIF" and found["node lif3"]["before"] is None
    assert "edge" in found


def test_with_a_target_the_chip_s_numbers_are_compared(models: Path) -> None:
    _, found = changes(models, "a.nir", "b.nir", "--target", "loihi2")
    on_chip = [what for what in found if what.startswith("on the chip")]
    assert any("weight" in what for what in on_chip) and "linear0/weight" in found
    assert not [what for what in found if what.startswith("population")]


def test_bundles_for_two_chips_differ_in_target_and_use(models: Path) -> None:
    for chip in ("xylo", "loihi2"):
        nirc("a.nir", "--target", chip, *LETTER[:4], "-o", chip, cwd=models)
    _, found = changes(models, "xylo", "loihi2")
    assert found["target"]["after"] == "loihi2:oheogulch"
    assert found["use hidden neurons"]["after"] is None
    assert changes(models, "xylo", "xylo") == (0, {})


def test_a_folder_that_is_no_bundle_is_refused(models: Path) -> None:
    done = nirc("diff", ".", "a.nir", cwd=models)
    assert done.returncode == 3 and "U605" in done.stderr


def test_a_damaged_bundle_is_named_where_it_is_the_second(models: Path) -> None:
    for name in ("good", "bad"):
        nirc("a.nir", "--target", "xylo", *LETTER[:4], "-o", name, cwd=models)
    config = models / "bad/config.json"
    config.write_text(config.read_text().replace("1", "2", 1))
    done = nirc("diff", "good", "bad", cwd=models)
    assert done.returncode == 3 and "U605" in done.stderr
    assert "--> bad" in done.stderr and "--> good" not in done.stderr
