"""Published costs of a verification: from the run that is compared anyway."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.api import Options
from nirc.diagnostics.log import Log
from nirc.files.data import data_of
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from nirc.semantics.run import run
from nirc.verification import costs
from nirc.verification.verify import compile_and_verify
from tests.models import DATA

DIGITS = DATA / "zoo/digits_if_cnn"


def digits(samples: int) -> dict[str, NDArray[Any]]:
    with np.load(DIGITS.with_suffix(".npz")) as data:
        return {"inputs": data["inputs"][:samples]}


@pytest.mark.parametrize("most", [costs.MOST_VALUES, 1 << 16])
def test_the_activity_is_that_of_the_verified_run(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network ran a second time on all samples, for its activity only.

    Here the discrete stage is the float stage, and runs once for both.
    """
    monkeypatch.setattr(costs, "MOST_VALUES", most)
    samples: Counter[int] = Counter()

    def counting(program: Program, raster: NDArray[Any], **how: Any) -> Run:
        samples[id(program)] += len(raster)
        return run(program, raster, **how)

    for room in ("verify", "costs"):
        monkeypatch.setattr(f"nirc.verification.{room}.run", counting)
    data = data_of(digits(20), Log())
    options = Options(writer="nir")
    compiled, result = compile_and_verify(
        DIGITS.with_suffix(".nir"), "loihi2", data, options, log=Log(), estimates=True
    )
    discrete = compiled.stages.discrete
    assert samples[id(discrete)] == 20
    alone = costs.activity(discrete, data.inputs.reshape(20, -1, 64))
    dt_s = discrete.dt_s
    expected = compiled.backend.estimate(compiled.mapped, alone, dt_s)
    assert result["estimates"] == [vars(figure) for figure in expected]
    assert f"measured on {20 if most > 1 << 16 else 6} sample(s)" in alone.how
    plain = compile_and_verify(DIGITS.with_suffix(".nir"), "loihi2", data, options, log=Log())[1]
    assert plain["estimates"] is None and plain["stages"] == result["stages"]
