from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nirc.report.score import score, wilson


@given(st.integers(1, 500), st.data())
def test_the_interval_is_wilsons(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits, trials) == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_nothing_is_known_of_no_trials() -> None:
    assert wilson(0, 0) == [0.0, 1.0]


def test_a_stage_is_scored_by_its_counts() -> None:
    teacher = np.zeros((4, 3, 2), int)
    teacher[:, :, 1] = 1
    output = teacher.copy()
    output[0, :, 0] = 2  # the first sample changes its mind
    row = score("device", output, teacher, np.array([0, 1, 1, 0]))
    assert row["agreement"] == 0.75 and row["accuracy"] == 0.75 and row["count_error"] == 6 / 8
    low, high = row["accuracy_interval"]
    assert low < 0.75 < high
    assert score("device", output, teacher, None)["accuracy"] is None
