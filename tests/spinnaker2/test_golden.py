"""Recordings: every spike is the recorded one.

Three runs of a recurrent network of 400 neurons on a chip have 31,561 spikes. The vendor's tools
answered for a neuron of the NIR paper (tests/data/README.md).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest

import nirc
from nirc.backends.spinnaker2 import rule
from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import from_npz, to_npz
from nirc.native.library import SWITCH
from tests.models import DATA
from tests.spinnaker2 import field_nir
from tests.spinnaker2.field import FIELDS, INPUT, Field, N


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_chips_spikes(field: Field) -> None:
    recorded = field.recorded()
    assert recorded.sum() == field.spikes
    assert np.count_nonzero(field.kernel()) == 18_000
    run = emulate(from_npz(to_npz(field.tables())), field.raster()[None])
    assert int((run.outputs[0] != recorded).sum()) == 0


def differing(field: Field, monkeypatch: pytest.MonkeyPatch, name: str, wrong: object) -> int:
    """Entries that differ from the chip's with another rule."""
    monkeypatch.setenv(SWITCH, "0")
    monkeypatch.setattr(rule, name, wrong)
    return int((emulate(field.tables(), field.raster()[None]).outputs[0] != field.recorded()).sum())


def test_the_recordings_distinguish_equality(monkeypatch: pytest.MonkeyPatch) -> None:
    def strictly(
        v: np.ndarray, threshold: np.ndarray, v_reset: np.ndarray, reset: str
    ) -> tuple[np.ndarray, ...]:
        return v > threshold, np.where(v > threshold, v_reset, v).astype(np.float32)

    assert differing(FIELDS[0], monkeypatch, "fire", strictly) == 15_642


def test_the_recordings_distinguish_the_reset() -> None:
    tables, field = FIELDS[1].tables(), FIELDS[1]
    cells, inhibitor = tables.populations
    zero = replace(cells, reset="reset_to_v_reset", v_reset=np.zeros(1, np.float32))
    run = emulate(replace(tables, populations=(zero, inhibitor)), field.raster()[None])
    assert int((run.outputs[0] != field.recorded()).sum()) == 17_545


def test_the_recordings_distinguish_the_delay() -> None:
    field, tables = FIELDS[2], FIELDS[2].tables()
    first, *others = tables.projections
    delayed = replace(first, delay=np.ones(N, np.int64))
    run = emulate(replace(tables, projections=(delayed, *others)), field.raster()[None])
    assert run.outputs[0].any() and (run.outputs[0] != field.recorded()).any()
    assert int(first.weight[0]) == INPUT


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_chips_spikes_from_a_nir_file(field: Field, tmp_path: Path) -> None:
    """Compiled, written, read and run; the weights in the files are those that the chip had."""
    nir.write(tmp_path / "field.nir", field_nir.graph(field))
    reset = "subtract" if field.filtered else "model"
    bundle = nirc.compile(
        tmp_path / "field.nir",
        "spinnaker2",
        dt=field_nir.DT_S,
        reset=reset,
        chip={"order": "index"},  # as in the vendor's file
    )
    bundle.save(tmp_path / "bundle")
    opened = nirc.Bundle.open(tmp_path / "bundle")
    answer = opened.run(field.raster()[None]).outputs[
        0
    ]  # aligned with the inputs: a step earlier than on the chip
    recorded = field.recorded()
    assert recorded[0].sum() == 0
    assert int((answer[:-1] != recorded[1:]).sum()) == 0
    network = from_npz(opened.files["network.npz"])
    compiled, given = (
        {(p.source, p.target): p for p in t.projections} for t in (network, field.tables())
    )
    assert len(compiled) == len(given) == 3
    for ends, projection in given.items():
        for name in ("pre", "post", "weight", "delay"):
            ours = getattr(compiled[ends], name)
            np.testing.assert_array_equal(
                ours, getattr(projection, name), err_msg=f"{name} of {ends}"
            )


def test_the_neuron_spikes_at_the_vendors_steps() -> None:
    inputs, voltage, spikes = np.loadtxt(DATA / "paper/lif_spinnaker2.csv", delimiter=",").T
    bundle = nirc.compile(DATA / "paper/lif_norse.nir", "spinnaker2", dt=1e-4)
    run = bundle.run(inputs.astype(int).reshape(1, -1, 1), record=["1"])
    assert (
        np.flatnonzero(spikes).tolist()
        == np.flatnonzero(run.outputs[0, :, 0]).tolist()
        == [460, 510, 710, 760]
    )
    # The same voltages but for the unit: their weight of 102.02 became 102, ours is 1, and both are
    # float32 or better.
    ours = run.v["1"][0, :, 0]
    assert np.abs(ours / ours.max() - voltage / voltage.max()).max() < 1e-6
