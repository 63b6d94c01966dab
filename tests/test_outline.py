"""Networks that shapes alone rule out are refused before their weights are read."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.backends.loihi2 import fan_in
from nirc.diagnostics.errors import InputError, NircError
from nirc.diagnostics.log import Log
from nirc.frontend import raw
from nirc.frontend.hdf5 import read_raw
from tests.models import DT, chain, cuba, lif, linear

OPTIONS = Options(dt_s=DT)
SILENT = Options(dt_s=DT, allow_silent=True)


def wide(n_in: int, n: int, *, empty: bool = False) -> nir.NIRGraph:
    """A dense layer of ``n`` neurons. ``empty``: all weights but some are zero."""
    weight = np.random.default_rng(0).normal(size=(n, n_in)).astype(np.float32)
    if empty:
        weight[:, 8:] = 0
    return chain(n_in, nir.Linear(weight), cuba(n), n_out=n)


def outcome(model: object, target: str, options: Options = OPTIONS) -> object:
    """The chip's files, or the codes of the errors."""
    try:
        return compile_model(model, target, options).bundle.files
    except NircError as refusal:
        return {d.code for d in refusal.diagnostics if d.severity == "error"}


def cancelling(n_in: int, between: int, n: int) -> nir.NIRGraph:
    """Two matrices whose product's first row is zero, though neither's is."""
    first = np.zeros((between, n_in), np.float32)
    first[:2] = 1.0
    first[np.arange(2, between), np.arange(2, between)] = 0.5
    second = np.zeros((n, between), np.float32)
    second[0, :2] = 1.0, -1.0
    second[np.arange(1, n), np.arange(2, n + 1)] = 1.0
    return chain(n_in, nir.Linear(first), nir.Linear(second), cuba(n), n_out=n)


@pytest.fixture
def large_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "LARGE", 1)


@pytest.mark.parametrize(
    ("target", "n_in", "n", "codes"),
    [
        ("spinnaker2", 6000, 40, {"N903"}),
        ("speck", 1025, 400, {"S705", "S707"}),
        ("xylo", 8, 1001, {"X502", "X503"}),
    ],
)
@pytest.mark.usefixtures("large_from_the_start")
def test_a_layer_above_a_limit_is_refused_by_its_first_row(
    target: str, n_in: int, n: int, codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object) -> None:
        raise AssertionError("the weights were read")

    with monkeypatch.context() as patched:
        patched.setattr("nirc.api.read_as", unread)
        assert outcome(wide(n_in, n), target) == codes


def test_rows_of_a_product_may_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cancelling(12000, 400, 50)
    found = outcome(model, "spinnaker2", SILENT)
    assert isinstance(found, dict)
    monkeypatch.setattr(raw, "LARGE", 1)
    assert outcome(model, "spinnaker2", SILENT) == found


@pytest.mark.parametrize(("target", "n_in"), [("loihi2", 9000), ("spinnaker2", 6000)])
@pytest.mark.usefixtures("large_from_the_start")
def test_weights_of_zero_are_no_synapses(target: str, n_in: int) -> None:
    assert isinstance(outcome(wide(n_in, 40, empty=True), target), dict)


@pytest.mark.parametrize("target", ["loihi2", "loihi2:oheogulch"])
@pytest.mark.usefixtures("large_from_the_start")
def test_loihi_2_refuses_such_a_layer_before_its_weights_are_rounded(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scale for a population comes from all of its weights, so that they have to be read."""
    monkeypatch.setattr(fan_in, "LARGE", 1)
    monkeypatch.setattr("nirc.api.report_silent_outputs", lambda *_, **__: pytest.fail("rounded"))
    weight = np.random.default_rng(0).normal(size=(40, 12000))
    assert outcome(chain(12000, nir.Linear(weight), lif(40), n_out=40), target) == {"L808"}


@pytest.mark.parametrize(
    ("target", "n_in", "fits"), [("loihi2", 9000, True), ("spinnaker2", 6000, False)]
)
@pytest.mark.usefixtures("large_from_the_start")
def test_a_first_row_that_is_nothing_beside_the_others_is_judged_as_it_is_stored(
    target: str, n_in: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Loihi 2 its weights round to zero. SpiNNaker2 has a scale for each neuron."""
    weight = np.random.default_rng(0).normal(size=(40, n_in)).astype(np.float32)
    weight[1:, 8:] = 0
    weight[0] *= 1e-6
    model = chain(n_in, nir.Linear(weight), cuba(40), n_out=40)
    monkeypatch.setattr(fan_in, "LARGE", 1)
    found = outcome(model, target)
    assert isinstance(found, dict) == fits
    monkeypatch.setattr(raw, "LARGE", 1 << 22)
    monkeypatch.setattr(fan_in, "LARGE", 1 << 22)
    assert outcome(model, target) == found


@pytest.mark.parametrize("target", ["loihi2", "spinnaker2", "speck", "xylo"])
@pytest.mark.parametrize("n", [6, 20])
def test_an_outline_changes_no_answer(target: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    if target == "speck":
        model = chain(12, nir.Linear(rng.normal(size=(n, 12))), nir.IF(*np.ones((2, n))), n_out=n)
    else:
        model = chain(12, linear(rng, 30, 12), cuba(30), linear(rng, n, 30), cuba(n), n_out=n)
    as_a_whole = outcome(model, target)
    monkeypatch.setattr(raw, "LARGE", 1)
    assert outcome(model, target) == as_a_whole


def stored(path: Path, weight: np.ndarray, **layout: object) -> Path:
    """A file with one layer, whose weights have a storage layout of their own."""
    nir.write(path, wide(*weight.shape[::-1]))
    with h5py.File(path, "r+") as file:
        node = file["node/nodes/linear0"]
        del node["weight"]
        node.create_dataset("weight", data=weight, **layout)
    return path


@pytest.mark.parametrize(
    "layout", [{}, {"chunks": (4, 7)}, {"chunks": (4, 7), "compression": "gzip"}]
)
@pytest.mark.usefixtures("large_from_the_start")
def test_the_first_row_is_read_from_any_layout(tmp_path: Path, layout: dict[str, object]) -> None:
    weight = np.random.default_rng(1).normal(size=(30, 50)).astype(">f4")
    graph = read_raw(stored(tmp_path / "m.nir", weight, **layout), Log(), outline=True)
    known = graph.nodes["linear0"].fields["weight"]
    assert not isinstance(known, str) and raw.is_outline(graph)
    assert known.shape == weight.shape and (known == weight[0]).all()
    assert not isinstance(
        small := raw.with_known_rows(graph).nodes["linear0"].fields["weight"], str
    )
    assert small.shape == (1, 50)


@pytest.mark.usefixtures("large_from_the_start")
def test_a_damaged_chunk_of_the_first_row_is_refused(tmp_path: Path) -> None:
    layout = {"chunks": (4, 50), "compression": "gzip"}
    path = stored(tmp_path / "m.nir", np.ones((30, 50), np.float32), **layout)
    with h5py.File(path, "r+") as file:
        chunks = file["node/nodes/linear0/weight"].id
        places = [chunks.get_chunk_info(i) for i in range(chunks.get_num_chunks())]
    data = bytearray(path.read_bytes())
    for place in places:
        data[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
        path.write_bytes(data)
        if place.chunk_offset[0] == 0:
            with pytest.raises(InputError):
                read_raw(path, Log(), outline=True)
        data[:] = data
    with pytest.raises(InputError):
        compile_model(path, "xylo", OPTIONS)
