"""A large raster goes to the emulator in parts, and nobody can tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nirc
from nirc.chip import running
from nirc.diagnostics.errors import UsageError
from nirc.diagnostics.log import Log
from tests.models import chain, lif, linear


def test_chunks_of_samples_change_neither_answers_nor_findings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    model = chain(3, linear(rng, 20, 3), lif(20), linear(rng, 2, 20), lif(2), n_out=2)
    bundle = nirc.compile(model, "xylo:audio3", dt=1e-4, reset="subtract")
    raster = rng.integers(0, 3, (5, 30, 3))
    raster[1, 2, 0], raster[4, 0, 1] = 17, 40
    whole, parts = Log(), Log()
    expected = bundle.run(raster, record=tuple(bundle.manifest["populations"]), log=whole)
    monkeypatch.setattr(running, "CHUNK_VALUES", 1)
    done: list[int] = []
    again = bundle.run(
        raster, record=tuple(bundle.manifest["populations"]), log=parts, progress=done.append
    )
    np.testing.assert_array_equal(again.outputs, expected.outputs)
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(again.spikes[name], spikes)
    assert [d.code for d in parts.diagnostics] == [d.code for d in whole.diagnostics] == ["X514"]
    assert parts.diagnostics[0].found == whole.diagnostics[0].found == "40"
    assert done == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("record", [None, 0, (1,), b"x"])
def test_what_is_no_name_of_a_population_is_refused(record: Any) -> None:
    rng = np.random.default_rng(0)
    model = chain(3, linear(rng, 2, 3), lif(2), n_out=2)
    bundle = nirc.compile(model, "xylo:audio3", dt=1e-4, reset="subtract")
    with pytest.raises(UsageError, match="U60"):
        bundle.run(np.zeros((1, 3, 3), np.int64), record=record)
