"""A network's traffic does not depend on how its neurons are numbered."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import fit
from nirc.backends.loihi2.cores import cores_of
from nirc.backends.loihi2.lower import lower
from nirc.backends.loihi2.processes import Piece, _ordered
from nirc.chip.target import Target
from nirc.mapping.partition import Cores, Problem
from tests.loihi2 import lava_mock
from tests.loihi2.bundles import call, save
from tests.models import DT, cuba, graph

SIDE = 32
N = SIDE * SIDE
NUMBER = np.random.default_rng(0).permutation(N)  # in the shuffled network, of each neuron
IN_ORDER = np.arange(N)


def sheet(number: np.ndarray, louder: int | None = None) -> nir.NIRGraph:
    """A sheet of neurons with synapses to their neighbours, each neuron an output.

    ``louder``: a neuron in the sheet with the largest weights.
    """
    rng = np.random.default_rng(1)
    n = len(number)
    y, x = np.divmod(np.arange(n), math.isqrt(n))
    near = (abs(y[:, None] - y) <= 4) & (abs(x[:, None] - x) <= 4)
    forward, back = rng.normal(0, 2, (n, 4)), np.where(near, rng.normal(0, 0.4, (n, n)), 0)
    if louder is not None:
        forward[louder] = np.abs(forward).max()
    old = np.argsort(number)
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": nir.Linear(weight=forward[old]),
        "pop": cuba(n),
        "rec": nir.Linear(weight=back[np.ix_(old, old)]),
        "out": nir.Output(np.array([n])),
    }
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    return graph(nodes, edges)


@cache
def compiled(shuffled: bool, order: str = "regrouped") -> Compiled:
    options = Options(dt_s=DT, chip=(("order", order),))
    return compile_model(sheet(NUMBER if shuffled else IN_ORDER), "loihi2", options)


def mapping(made: Compiled) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(made.bundle.files["floorplan.json"])
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


def test_a_difference_is_named_by_the_models_number_of_the_neuron(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board runs regrouped neurons. One of them gets another input in the model."""
    louder = 300
    lava_mock.install(monkeypatch)
    bundle = compiled(True).bundle
    bundle.save(tmp_path / "chip")
    inputs = (np.random.default_rng(2).random((1, 8, 4)) < 0.5).astype(np.int64)
    given = ["--data", save(tmp_path / "in.npz", inputs), "--out", tmp_path / "board.npz"]
    call(tmp_path / "chip", monkeypatch, *given, "--hardware", "--record", "pop")
    model = compile_model(sheet(NUMBER, louder), "loihi2", Options(dt_s=DT)).bundle
    run = model.run(inputs, record=["pop"])
    np.savez(tmp_path / "model.npz", **{"spikes": run.outputs, "spikes/pop": run.spikes["pop"]})
    paths = tmp_path / "model.npz", tmp_path / "board.npz"
    found = nirc.compare(*paths, bundle=tmp_path / "chip")
    assert found["first_difference"]["population"] == "pop"
    assert found["first_difference"]["neuron"] == NUMBER[louder]
    assert f"neuron {NUMBER[louder]}" in str(found)


def small_cores(monkeypatch: pytest.MonkeyPatch, resource: str, capacity: int) -> None:
    """Let cores have less of a resource, so that a small network needs several."""

    def small(problem: Problem, target: Target) -> Cores:
        cores = cores_of(problem, target)
        known = [
            replace(r, capacity=capacity) if r.name == resource else r for r in cores.resources
        ]
        return replace(cores, resources=tuple(known))

    monkeypatch.setattr(fit, "cores_of", small)


def test_a_shuffled_sheet_takes_as_few_cores_as_the_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of a core holds a row for each input of its neurons: neighbours share rows."""
    small_cores(monkeypatch, "synapse memory of a core", 1200)
    number = np.random.default_rng(0).permutation(24 * 24)
    index = Options(dt_s=DT, chip=(("order", "index"),))
    in_order, shuffled = (
        compile_model(sheet(numbers), "loihi2", index) for numbers in (np.arange(24 * 24), number)
    )
    regrouped = compile_model(sheet(number), "loihi2", Options(dt_s=DT))
    used = [mapping(made)["cores"]["used"] for made in (in_order, regrouped, shuffled)]
    assert used[0] >= used[1] < used[2]
    assert mapping(regrouped)["cores"]["bound"] <= used[1]
    (note,) = (d for d in regrouped.bundle.diagnostics if d.code == "P323")
    assert f"on {used[1]} cores" in note.found
    assert f"on {used[2]} cores" in note.limit
    inputs = np.random.default_rng(2).random((1, 20, 4)) < 0.3
    answers = [made.bundle.run(inputs).outputs for made in (regrouped, shuffled)]
    assert answers[0].any()
    np.testing.assert_array_equal(*answers)


@pytest.mark.usefixtures("small_calibration")
def test_a_calibration_is_of_the_models_neurons_whatever_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cores that take 40 neurons divide a small sheet."""

    small_cores(monkeypatch, "neurons of a core", 40)
    n = 144
    number = np.random.default_rng(0).permutation(n)
    inputs = np.random.default_rng(2).random((4, 12, 4)) < 0.3
    options = Options(dt_s=DT, chip=(("synapses", "one"),))
    made = [
        compile_model(sheet(numbers), "loihi2", options, calibration=inputs)
        for numbers in (np.arange(n), number)
    ]
    assert made[1].mapped.blocks["pop"].index != tuple(range(n))
    plain, shuffled = (one.bundle.run(inputs, record=["pop"]) for one in made)
    assert plain.outputs.any()
    np.testing.assert_array_equal(shuffled.outputs[:, :, number], plain.outputs)
    np.testing.assert_array_equal(shuffled.spikes["pop"][:, :, number], plain.spikes["pop"])


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
