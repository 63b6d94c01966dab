"""Networks run with one thread of numpy's BLAS, and the number of the process comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from nirc.semantics import threads
from nirc.semantics.threads import one_thread, with_one_thread


class Blas:
    """A library with a number of threads."""

    def __init__(self) -> None:
        self.number = 8

    def get(self) -> int:
        return self.number

    def set(self, number: int) -> None:
        self.number = number


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blas]:
    library = Blas()
    monkeypatch.setattr(threads, "_loaded", lambda: (library,))
    yield library
    assert library.number == 8


def test_calls_within_calls(blas: Blas) -> None:
    with one_thread():
        with one_thread():
            assert blas.number == 1
        assert blas.number == 1


def test_the_number_comes_back_after_an_error(blas: Blas) -> None:
    @with_one_thread
    def fails() -> None:
        assert blas.number == 1
        raise KeyError

    with pytest.raises(KeyError):
        fails()


def test_calls_in_threads_that_overlap(blas: Blas) -> None:
    """The first to enter is not the last to leave."""
    both_in, first_out = Barrier(2), Barrier(2)

    def call(first: bool) -> int:
        with one_thread():
            both_in.wait(10)
            if not first:
                first_out.wait(10)
                return blas.number
        first_out.wait(10)
        return 1

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, (True, False))) == [1, 1]


@pytest.mark.skipif(not threads._loaded(), reason="numpy has another BLAS")
def test_of_numpy_itself() -> None:
    (blas,) = threads._loaded()[:1]
    assert len(threads._loaded.__wrapped__()) == len(threads._loaded())
    before = blas.get()
    try:
        blas.set(2)
        with one_thread():
            assert blas.get() == 1
            assert (np.ones((300, 300)) @ np.ones((300, 300)) == 300).all()
        assert blas.get() == 2
    finally:
        blas.set(before)
