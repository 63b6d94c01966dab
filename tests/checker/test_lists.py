"""Synapses that stand as one list in network.nir are compared, and counted, as those of nodes."""

from __future__ import annotations

import json
from itertools import pairwise

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.certificate.certificate import reader_of
from nirc.checker import compare
from nirc.files.bundle import contents
from nirc.ir import program
from nirc.neurobench.network import network_of
from tests.models import DT, graph, looped


def wrong_with(made: Compiled) -> list[str]:
    """Return what the checker finds, without what inputs may do."""
    files = contents(made.bundle.manifest, made.bundle.files)
    chip = str(made.bundle.manifest["target"]).partition(":")[0]
    findings = compare.check(files.__getitem__, reader_of(chip))
    return [str(each) for each in findings if each.kind != "overflow"]


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
    assert b"synapses_lag" in listed.bundle.files["network.nir"]
    assert wrong_with(listed) == []


def test_no_list_has_weights_of_speck(listed: Compiled) -> None:
    """Its checker reads none, since all its weights are kernels."""
    one = np.ones(3)
    cells = nir.IF(one / DT, one)
    nodes = {"in": nir.Input(np.array([3])), "a": cells, "w": nir.Linear(np.eye(3)), "b": cells}
    nodes["out"] = nir.Output(np.array([3]))
    made = compile_model(graph(nodes, [*pairwise(nodes)]), "speck", Options(dt_s=DT))
    assert b"synapses_lag" not in made.bundle.files["network.nir"]
    assert wrong_with(made) == []


def test_neurobench_sees_lists_with_the_steps_of_the_chip(listed: Compiled) -> None:
    certificate = json.loads(listed.bundle.files["certificate.json"])
    assert certificate["retimed"] == [["a", "o", -1], ["b", "a", 1]]
    assert lags(listed) == lags(ALONE)
