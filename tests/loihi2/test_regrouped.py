"""A network's traffic does not depend on how its neurons are numbered."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2.lower import Piece, _ordered, lower
from tests.loihi2 import lava_mock
from tests.loihi2.bundles import call, save
from tests.models import DT, cuba, graph

SIDE = 32
N = SIDE * SIDE
NUMBER = np.random.default_rng(0).permutation(N)  # in the shuffled network, of each neuron
IN_ORDER = np.arange(N)


def sheet(number: np.ndarray) -> nir.NIRGraph:
    """A sheet of neurons with synapses to their neighbours, each neuron an output."""
    rng = np.random.default_rng(1)
    y, x = np.divmod(np.arange(N), SIDE)
    near = (abs(y[:, None] - y) <= 4) & (abs(x[:, None] - x) <= 4)
    forward, back = rng.normal(0, 2, (N, 4)), np.where(near, rng.normal(0, 0.4, (N, N)), 0)
    old = np.argsort(number)
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": nir.Linear(weight=forward[old]),
        "pop": cuba(N),
        "rec": nir.Linear(weight=back[np.ix_(old, old)]),
        "out": nir.Output(np.array([N])),
    }
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    return graph(nodes, edges)


@cache
def compiled(shuffled: bool, order: str = "regrouped") -> Compiled:
    options = Options(dt_s=DT, chip=(("order", order),))
    return compile_model(sheet(NUMBER if shuffled else IN_ORDER), "loihi2", options)


def mapping(made: Compiled) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(made.bundle.files["mapping.json"])
    return tree


def traffic(made: Compiled) -> float:
    return float(mapping(made)["routing"]["spikes_a_step_between_cores"])


def test_a_shuffled_sheet_costs_what_the_sheet_does() -> None:
    costs = [traffic(compiled(shuffled)) for shuffled in (False, True)]
    assert max(costs) <= 1.02 * min(costs)
    assert max(costs) < 0.5 * traffic(compiled(True, "index"))
    assert mapping(compiled(True))["cores"]["used"] == mapping(compiled(False))["cores"]["used"]


def test_a_note_says_which_neurons_have_other_places_and_what_it_brings() -> None:
    (note,) = (d for d in compiled(True).bundle.diagnostics if d.code == "P323")
    assert note.severity == "note" and "`pop`" in note.message
    assert float(note.found.split()[0]) == pytest.approx(traffic(compiled(True)), rel=0.01)
    codes = {d.code for d in compiled(True, "index").bundle.diagnostics}
    assert "P323" not in codes


def test_outputs_and_records_are_in_the_order_of_the_model() -> None:
    inputs = np.random.default_rng(2).random((2, 25, 4)) < 0.3
    plain, shuffled = (
        compiled(*case).bundle.run(inputs, record=["pop"]) for case in ((False, "index"), (True,))
    )
    assert plain.outputs.any()
    np.testing.assert_array_equal(shuffled.outputs[:, :, NUMBER], plain.outputs)
    np.testing.assert_array_equal(shuffled.spikes["pop"][:, :, NUMBER], plain.spikes["pop"])
    np.testing.assert_array_equal(shuffled.v["pop"][:, :, NUMBER], plain.v["pop"])


def test_deploy_py_runs_a_regrouped_network_in_the_order_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lava_mock.install(monkeypatch)
    bundle = compiled(True).bundle
    bundle.save(tmp_path / "chip")
    inputs = (np.random.default_rng(2).random((1, 8, 4)) < 0.5).astype(np.int64)
    given = ["--data", save(tmp_path / "in.npz", inputs), "--out", tmp_path / "out.npz"]
    call(tmp_path / "chip", monkeypatch, *given, "--hardware", "--record", "pop")
    want = bundle.run(inputs, record=["pop"])
    with np.load(tmp_path / "out.npz") as got:
        assert want.outputs.any()
        np.testing.assert_array_equal(got["spikes"], want.outputs)
        np.testing.assert_array_equal(got["spikes/pop"], want.spikes["pop"])


def test_no_core_is_above_a_limit_and_every_neuron_is_on_one() -> None:
    plan = mapping(compiled(True))["floorplan"]
    boxes = sorted(part["box"][0] for core in plan["cores"] for part in core["parts"])
    assert [begin for begin, _ in boxes] == [0, *(end for _, end in boxes[:-1])]
    assert boxes[-1][1] == N
    for core in plan["cores"]:
        for name, used in core["usage"].items():
            assert used <= plan["limits"][name]["max"]


@pytest.mark.parametrize("order", ["regrouped", "index"])
def test_a_network_of_one_core_keeps_its_order(order: str) -> None:
    nodes = {"in": nir.Input(np.array([5])), "w": nir.Linear(weight=np.eye(5)), "pop": cuba(5)}
    model = graph(
        {**nodes, "out": nir.Output(np.array([5]))}, [("in", "w"), ("w", "pop"), ("pop", "out")]
    )
    made = compile_model(model, "loihi2", Options(dt_s=DT, chip=(("order", order),)))
    assert made.mapped.blocks["pop"].index == tuple(range(5))
    assert lower(made.integer).tables.populations[0].n == 5


def test_neurons_of_a_process_take_the_order_that_is_asked_for() -> None:
    piece = Piece("a", np.array([5, 6, 7]))
    order = {"a": np.array([2, 0, 1])}
    assert _ordered(piece, order).index.tolist() == [7, 5, 6]
    assert _ordered(replace(piece, name="b"), order).index.tolist() == [5, 6, 7]
