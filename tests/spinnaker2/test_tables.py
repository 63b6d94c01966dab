"""network.npz: written and read back the same; whatever else is in such a file is refused with a
code.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import Output, Tables, from_npz, to_npz
from nirc.diagnostics.errors import NircError
from tests.spinnaker2.networks import convolutional, network, one

TABLES = network(0)
DATA = to_npz(TABLES)


@pytest.mark.parametrize("tables", [*map(network, range(4)), convolutional(pool=(2, 2))])
def test_what_is_written_reads_back(tables: Tables) -> None:
    data = to_npz(tables)
    again = from_npz(data)
    assert to_npz(again) == data
    raster = (np.random.default_rng(0).random((2, 20, tables.channels)) < 0.4).astype(int)
    np.testing.assert_array_equal(emulate(again, raster).outputs, emulate(tables, raster).outputs)


def test_numpy_reads_it_without_nirc() -> None:
    with np.load(io.BytesIO(DATA), allow_pickle=False) as archive:
        assert archive["populations/0/threshold"].dtype == np.float32
        assert b'"lif' in archive["network"].tobytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_means_something(data: st.DataObject) -> None:
    damaged = bytearray(DATA)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(DATA) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(DATA)))
    for text in (bytes(damaged), bytes(damaged[:cut])):
        try:
            to_npz(from_npz(text))
        except NircError as refusal:
            assert {d.code for d in refusal.diagnostics} <= {"U605", "N910"}


Change = Callable[[Tables], Tables]


def first(kind: str, **fields: Any) -> Change:
    """The first block of a kind with other fields."""

    def change(tables: Tables) -> Tables:
        blocks = getattr(tables, kind)
        return replace(tables, **{kind: (replace(blocks[0], **fields), *blocks[1:])})

    return change


def small(n: int, value: float) -> np.ndarray:
    return np.full(n, value, np.float32)


N = TABLES.populations[0].n
FIRST = TABLES.projections[0]


@pytest.mark.parametrize(
    ("code", "where", "change"),
    [
        ("N910", "populations[0].threshold", first("populations", threshold=one(np.inf))),
        ("N910", "populations[0].i_offset", first("populations", i_offset=small(N, np.nan))),
        ("N910", "populations[0].alpha_decay", first("populations", alpha_decay=one(1.5))),
        ("N910", "populations[0].atoms", first("populations", atoms=0)),
        ("N910", "inputs[0].atoms", first("inputs", atoms=251)),
        ("N910", "projections[0].weight", first("projections", weight=FIRST.weight * 0 + 128)),
        ("N910", "projections[0].delay", first("projections", delay=FIRST.delay * 0 + 8)),
        ("U605", "populations[0].v_init", first("populations", v_init=small(N + 1, 0))),
        (
            "U605",
            "populations[0].exc_decay",
            first("populations", model="lif_curr_exp", exc_decay=None),
        ),
        ("U605", "inputs[0].channels", first("inputs", channels=np.array([4]))),
        ("U605", "projections[0].source", first("projections", source="nobody")),
        ("U605", "projections[0].target", first("projections", target="in")),
        ("U605", "projections[0].pre", first("projections", pre=FIRST.pre + 4)),
        ("U605", "projections[0].post", first("projections", post=FIRST.post[:-1])),
        ("U605", "projections[0]", first("projections", pre=FIRST.pre[::-1])),
        ("U605", "", first("populations", name="in")),
        ("U605", "", first("projections", name=TABLES.projections[1].name)),
        ("U605", "outputs", lambda tables: replace(tables, outputs=())),
        ("U605", "outputs[0].neurons", first("outputs", neurons=np.array([99]))),
        (
            "U605",
            "outputs[0].population",
            lambda tables: replace(tables, outputs=(Output("in", np.zeros(1, int)),)),
        ),
    ],
)
def test_what_contradicts_itself_or_the_chip_is_refused(
    code: str, where: str, change: Change
) -> None:
    with pytest.raises(NircError) as refusal:
        to_npz(change(TABLES))
    found = [d for d in refusal.value.diagnostics if d.code == code]
    assert found and found[0].where == where, refusal.value.diagnostics


@pytest.mark.parametrize(("model", "weight"), [("lif_no_delay", 128), ("lif", 16)])
def test_a_range_is_said_once_with_the_number_of_values_outside(model: str, weight: int) -> None:
    """Of all models, and of those with delays, which have fewer bits."""
    wrong = FIRST.weight * 0 + weight
    tables = first("projections", weight=wrong, delay=FIRST.delay * 0)(TABLES)
    with pytest.raises(NircError) as refusal:
        to_npz(first("populations", model=model, exc_decay=None, inh_decay=None)(tables))
    found = [d for d in refusal.value.diagnostics if d.where == "projections[0].weight"]
    assert f"so are {wrong.size - 1} more" in found[0].message


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("convolutions[0].source", first("convolutions", in_height=7)),
        ("convolutions[0].target", first("convolutions", pad_top=2)),
        ("populations[0]", lambda tables: replace(tables, convolutions=())),
        ("convolutions[0].target", first("populations", model="lif_no_delay")),
    ],
)
def test_convolutions_fit_their_populations(where: str, change: Change) -> None:
    with pytest.raises(NircError) as refusal:
        to_npz(change(convolutional()))
    assert refusal.value.diagnostics[0].where == where


def test_a_pickle_is_never_read() -> None:
    packed = io.BytesIO()
    np.savez(packed, network=np.array([{"format": 1}], dtype=object))
    with pytest.raises(NircError) as refusal:
        from_npz(packed.getvalue())
    assert refusal.value.diagnostics[0].code == "U605"


def test_a_bomb_is_never_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("network.npy", bytes(1 << 24))
    with pytest.raises(NircError) as refusal:
        from_npz(packed.getvalue())
    assert refusal.value.diagnostics[0].code == "U605"
