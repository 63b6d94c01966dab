"""`--target all`: one table instead of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from nirc.chip import registry
from nirc.ir.linear import Conv, Dense, Diagonal, Pool
from nirc.ir.populations import Projection
from nirc.verification.costs import fan_out
from tests.commands import nirc
from tests.models import DATA, chain, lif, linear

BRAILLE = DATA / "paper/braille_noDelay_noBias_subtract.nir"
DIGITS = DATA / "zoo/digits_if_cnn.nir"


def table(*args: object, cwd: Path) -> dict[str, dict[str, object]]:
    done = nirc(*args, "--target", "all", "--format", "json", cwd=cwd)
    tree = json.loads(done.stdout)
    assert tree["exit_status"] == done.returncode
    return {row["target"]: row for row in tree["targets"]}


def test_every_variant_of_every_chip_has_a_row_and_nothing_is_written(tmp_path: Path) -> None:
    rows = table(BRAILLE, cwd=tmp_path)
    assert set(rows) == {t.name for b in registry.backends().values() for t in b.targets}
    assert not list(tmp_path.iterdir())
    assert rows["xylo:audio2"]["fits"] and not rows["speck:2f"]["fits"]
    assert {why["code"] for why in rows["speck:2f"]["why"]} == {"S712", "S714"}  # type: ignore[attr-defined]
    assert {f["name"] for f in rows["xylo:audio2"]["estimates"]} >= {"cycles per step"}  # type: ignore[attr-defined]


def test_a_step_that_lasts_longer_than_the_model_s_is_said_so(tmp_path: Path) -> None:
    """SpiNNaker2's tick of 1 ms is ten times the step of the Braille reader."""
    lines = " ".join(nirc(BRAILLE, "--target", "all", cwd=tmp_path).stdout.split())
    assert "estimated time per step 0.001 s, 10 times the model's dt of 0.0001 s" in lines
    assert lines.count("times the model's dt") == 1


def test_with_data_every_chip_that_fits_is_scored_as_verify_scores_it(tmp_path: Path) -> None:
    data = np.load(DIGITS.with_suffix(".npz"))
    np.savez(tmp_path / "few.npz", inputs=data["inputs"][:60], labels=data["labels"][:60])
    rows = table(DIGITS, "--data", "few.npz", "--reset", "subtract", cwd=tmp_path)
    options = (
        "--target",
        "speck:2f",
        "--data",
        "few.npz",
        "--reset",
        "subtract",
        "--json",
        "v.json",
        "-q",
    )
    assert nirc("verify", DIGITS, *options, cwd=tmp_path).returncode == 0
    device = next(
        s for s in json.loads((tmp_path / "v.json").read_text())["stages"] if s["name"] == "device"
    )
    assert rows["speck:2f"]["agreement"] == device["agreement"]
    assert rows["speck:2f"]["accuracy"] == device["accuracy"]
    assert "agreement" not in rows["xylo:audio2"]


def test_people_read_what_variants_have_in_common_once(tmp_path: Path) -> None:
    done = nirc(BRAILLE, "--target", "all", cwd=tmp_path)
    assert done.returncode == 0
    assert "speck:2f, speck:2e: does not fit: [S714]" in done.stdout
    assert "None of them is a measurement" in done.stdout


@pytest.mark.parametrize(
    ("args", "status"),
    [(("--out", "x"), 2), (("--set", "nonsense=1"), 2), (("--data", "none.npz"), 3)],
    ids=["out", "option", "data"],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, args: tuple[str, ...], status: int) -> None:
    done = nirc(BRAILLE, "--target", "all", *args, cwd=tmp_path)
    assert done.returncode == status and "Traceback" not in done.stderr


def test_data_without_all_points_to_verify(tmp_path: Path) -> None:
    done = nirc(BRAILLE, "--target", "xylo", "--data", "x.npz", cwd=tmp_path)
    assert done.returncode == 2 and "nirc verify" in done.stderr


def test_a_model_that_fits_nowhere_ends_with_status_1(tmp_path: Path) -> None:
    done = nirc(BRAILLE, "--target", "all", "--strict", "--reset", "model", cwd=tmp_path)
    fits = [row for row in table(BRAILLE, "--strict", cwd=tmp_path).values() if row["fits"]]
    assert done.returncode == (0 if fits else 1)


def test_a_chip_that_refuses_says_why_wherever_it_does_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nir.write(tmp_path / "m.nir", chain(4, linear(rng, 6, 4), lif(6), linear(rng, 3, 6), n_out=3))
    rows = table("m.nir", cwd=tmp_path)
    codes = {name: [why["code"] for why in row["why"]] for name, row in rows.items()}  # type: ignore[attr-defined]
    assert (
        codes["xylo:audio2"]
        == codes["xylo:imu"]
        == codes["speck:2f"]
        == codes["spinnaker2:chip"]
        == ["P308"]
    )
    assert all(row["fits"] or row["why"] for row in rows.values())
    assert (
        "xylo:audio3, xylo:imu: does not fit: [P308]"
        in nirc("m.nir", "--target", "all", cwd=tmp_path).stdout
    )


def test_fan_out_counts_the_synapses_of_a_chain_once() -> None:
    weight = np.ones((3, 4))
    weight[:, 1] = 0
    assert fan_out(Projection((Dense(weight),)), 4).tolist() == [3, 0, 3, 3]
    assert fan_out(Projection(), 2).tolist() == [1, 1]
    pool = Pool((1, 4), (1, 2), (2,), (2,), ((0, 0),))
    conv = Conv(np.ones((2, 1, 2)), (1, 2), (2, 1), (1,), ((0, 0),), (1,), 1)
    chain = Projection((Diagonal(np.ones(4)), pool, conv))
    assert fan_out(chain, 4).tolist() == [2, 2, 2, 2]  # one position of two channels
