"""Distinct numbers and their sums are those of numpy, for few and for many possible values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nirc.mapping.distinct import distinct, summed


@given(st.lists(st.integers(0, 20), max_size=40), st.sampled_from([21, 10_000]))
def test_both_ways_find_what_numpy_finds(numbers: list[int], end: int) -> None:
    array = np.array(numbers, np.int64)
    weights = np.linspace(0.1, 7.3, array.size)
    values, of = np.unique(array, return_inverse=True)
    assert distinct(array, end).tolist() == values.tolist()
    found, sums = summed(array, end, weights)
    assert found.tolist() == values.tolist()
    assert sums.tolist() == np.bincount(of, weights, minlength=values.size).tolist()
