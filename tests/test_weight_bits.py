"""`--weight-bits N`: how a network does with fewer bits than its chip has, on every chip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model
from nirc.chip import registry
from nirc.diagnostics.errors import UsageError
from nirc.diagnostics.log import Log
from nirc.ir.linear import Weighted, weights_of
from nirc.ir.program import Program
from nirc.rounding.rule import narrowed
from nirc.semantics.run import run
from tests.commands import nirc as command
from tests.models import DATA, chain, cuba, linear

BRAILLE = DATA.parent.parent / "examples/braille.nir"
IMAGES = DATA / "zoo/digits_if_cnn.nir"
CHIPS = ("loihi2", "speck", "spinnaker2", "xylo")


def most_values(integer: Program) -> int:
    """Return the largest number of different weights from one population to another."""
    sizes = [
        np.unique(weights_of(op)[weights_of(op) != 0]).size
        for _, _, projection in integer.edges()
        for op in projection.ops
        if isinstance(op, Weighted)
    ]
    return max(sizes)


@pytest.mark.filterwarnings("ignore::nirc.diagnostics.errors.NircWarning")
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("bits", [2, 4, 7])
def test_weights_have_at_most_so_many_bits(chip: str, bits: int) -> None:
    model = IMAGES if chip == "speck" else BRAILLE
    done = compile_model(model, chip, Options(weight_bits=bits, allow_silent=True), log=Log())
    shifts = 2 if chip == "xylo" else 1  # of weights from inputs, and from hidden neurons
    assert 1 <= most_values(done.integer) <= shifts * (2**bits - 1)
    assert done.bundle.manifest["options"]["weight_bits"] == bits
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (2, 12, *done.bundle.manifest["input_shape"][0]))
    raster = inputs.reshape(2, 12, -1)
    emulated = done.bundle.run(inputs).outputs
    assert np.array_equal(emulated, run(done.integer, raster).outputs)


@pytest.mark.filterwarnings("ignore::nirc.diagnostics.errors.NircWarning")
@pytest.mark.parametrize("chip", CHIPS)
def test_eight_bits_are_what_every_chip_has(chip: str) -> None:
    model = IMAGES if chip == "speck" else BRAILLE
    every, eight = (nirc.compile(model, chip, weight_bits=bits) for bits in (None, 8))
    differing = {name for name in every.files if every.files[name] != eight.files[name]}
    assert differing <= {"certificate.json", "report.html"}  # they name the options


@pytest.mark.parametrize("bits", ["1", "9", "0", "-4"])
def test_a_number_of_bits_that_no_chip_has_is_refused(bits: str, tmp_path: Path) -> None:
    done = command(BRAILLE, "--target", "xylo", "--weight-bits", bits, cwd=tmp_path)
    assert done.returncode == 2 and "U607" in done.stderr and "2 to 8" in done.stderr


def test_a_chip_without_the_switch_says_so() -> None:
    backend, _ = registry.resolve("xylo")
    stranger = type("Stranger", (type(backend),), {"has_weight_bits": False, "name": "stranger"})()
    with pytest.raises(UsageError, match="stranger cannot be asked for a number of weight bits"):
        stranger.with_weight_bits(4, Log())
    assert stranger.with_weight_bits(None, Log()) is stranger


def test_weights_that_vanish_are_counted_with_their_bits() -> None:
    rng = np.random.default_rng(1)
    model = chain(8, linear(rng, 6, 8), cuba(6), n_out=6)
    log = Log()
    compile_model(model, "xylo", Options(dt_s=1e-4, weight_bits=2), log=log)
    (vanished,) = [d for d in log.diagnostics if d.code == "D410"]
    assert vanished.limit == "2 bits, one scale a neuron"


def test_fewer_bits_are_further_from_the_model() -> None:
    inputs = (np.random.default_rng(2).random((12, 60, 12)) < 0.2).astype(np.int64)

    def error(bits: int) -> float:
        figures = nirc.verify(BRAILLE, "spinnaker2", {"inputs": inputs}, weight_bits=bits)
        return float(figures["stages"][-1]["count_error"])

    assert error(8) < error(4) < error(2)


def test_a_project_and_a_sweep_have_the_option(tmp_path: Path) -> None:
    vary = ("--vary", "weight-bits=4,8", "--jobs", "1")
    done = command("sweep", BRAILLE, "--target", "spinnaker2", *vary, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "sweep/sweep.json").read_text())["rows"]
    assert [row["varied"] for row in rows] == [{"weight-bits": 4}, {"weight-bits": 8}]


@pytest.mark.parametrize(
    ("own", "bits", "narrow"),
    [
        ((-127, 127), 8, (-127, 127)),
        ((-127, 127), 4, (-7, 7)),
        ((-128, 127), 4, (-8, 7)),
        ((-15, 15), 8, (-15, 15)),
        ((-127, 127), 2, (-1, 1)),
    ],
)
def test_a_range_is_cut_to_its_bits(
    own: tuple[int, int], bits: int, narrow: tuple[int, int]
) -> None:
    assert narrowed(own, bits) == narrow
