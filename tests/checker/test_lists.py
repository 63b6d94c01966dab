"""Synapses that stand as one list in network.nir are compared, and counted, as those of nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.certificate.certificate import reader_of
from nirc.checker import compare
from nirc.files.bundle import contents
from nirc.ir import program
from nirc.neurobench.network import network_of
from tests.models import DT, looped


def compiled() -> Compiled:
    return compile_model(looped(), "xylo", Options(dt_s=DT))


ALONE = compiled()  # in a loop, synapses act later on Xylo than in the model


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """The same network with all synapses in a list."""
    monkeypatch.setattr(program, "MANY_EDGES", 1)
    return compiled()


def lags(made: Compiled) -> dict[tuple[str, str], tuple[int, float]]:
    """Return the steps of each projection that NeuroBench sees, and the sum of its weights."""
    found = {}
    for p in network_of(made.bundle).projections:
        (op,) = p.operators
        found[p.source, p.target] = p.lag, float(np.sum(op.fields["weight"]))
    return found


def test_the_checker_of_xylo_reads_lists(listed: Compiled) -> None:
    files = contents(listed.bundle.manifest, listed.bundle.files)
    assert b"synapses_lag" in files["network.nir"]
    findings = compare.check(files.__getitem__, reader_of("xylo"))
    assert [str(each) for each in findings if each.kind != "overflow"] == []


def test_neurobench_sees_lists_with_the_steps_of_the_chip(listed: Compiled) -> None:
    certificate = json.loads(listed.bundle.files["certificate.json"])
    assert certificate["retimed"] == [["a", "o", -1], ["b", "a", 1]]
    assert lags(listed) == lags(ALONE)
