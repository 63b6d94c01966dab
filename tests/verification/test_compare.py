"""Two recordings of one network: where they differ first, and what to record next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.diagnostics.log import Log
from nirc.files.bundle import in_order, save_run
from tests.commands import Done, nirc
from tests.models import chain, linear, raster

SHAPE = (3, 12, 5)  # samples, steps, neurons


def spikes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, SHAPE)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{name.replace("__", "/"): values for name, values in arrays.items()})
    return path


def compared(first: Path, second: Path, *options: object) -> tuple[Done, dict[str, Any]]:
    done = nirc("compare", first, second, "--format", "json", *options, cwd=first.parent)
    return done, json.loads(done.stdout)


def test_equal_recordings_end_with_status_0(tmp_path: Path) -> None:
    a, b = (save(tmp_path / name, spikes=spikes()) for name in ("a.npz", "b.npz"))
    done, result = compared(a, b)
    assert done.returncode == 0 and result["equal"] and result["first_difference"] is None


def test_the_first_difference_is_the_earliest_step_and_there_the_population_nearest_to_the_inputs(
    tmp_path: Path,
) -> None:
    a = save(tmp_path / "a.npz", spikes__deep=spikes(1), spikes__first=spikes(2), spikes=spikes(3))
    changed = {seed: spikes(seed) for seed in (1, 2, 3)}
    changed[1][2, 7, 4] ^= 1
    changed[2][0, 7, 3] ^= 1
    changed[3][0, 9, 0] ^= 1
    b = save(
        tmp_path / "b.npz", spikes=changed[3], spikes__first=changed[2], spikes__deep=changed[1]
    )
    done, result = compared(a, b)
    assert done.returncode == 1
    found = result["first_difference"]
    places = {key: found[key] for key in ("sample", "step", "population", "neuron")}
    assert places == {"sample": 2, "step": 7, "population": "deep", "neuron": 4}
    rows = {row["name"]: row["neurons_that_differ"] for row in result["populations"]}
    assert rows == {"deep": 1, "first": 1, "output": 1}


def test_a_tolerance_is_about_counts_of_a_neuron_in_a_sample(tmp_path: Path) -> None:
    early, late, many = np.zeros(SHAPE, int), np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    early[0, 2, 1] = late[0, 5, 1] = 1
    many[0, :3, 1] = 1
    a, b, c = (
        save(tmp_path / f"{name}.npz", spikes=each)
        for name, each in (("early", early), ("late", late), ("many", many))
    )
    assert compared(a, b)[0].returncode == 1
    assert compared(a, b, "--tolerance", 0.5)[0].returncode == 0
    assert compared(a, c, "--tolerance", 1)[1]["first_difference"]["step"] == 0
    assert compared(a, c, "--tolerance", 2)[0].returncode == 0


def test_membranes_are_compared_where_both_are_in_the_chips_units(tmp_path: Path) -> None:
    v, volts = spikes(4) * 7, spikes(4) * 0.3
    other = v.copy()
    other[1, 3, 2] += 1
    a = save(tmp_path / "a.npz", spikes__p=spikes(), v__p=v)
    b = save(tmp_path / "b.npz", spikes__p=spikes(), v__p=other)
    simulator = save(tmp_path / "s.npz", spikes__p=spikes(), v__p=volts)
    found = compared(a, b)[1]["first_difference"]
    assert (found["kind"], found["step"], found["neuron"]) == ("membrane", 3, 2)
    assert compared(a, simulator)[0].returncode == 0


def test_a_simulators_outputs_and_a_boards_counts_can_be_compared(tmp_path: Path) -> None:
    a = save(tmp_path / "a.npz", spikes=spikes())
    assert compared(a, save(tmp_path / "s.npz", inputs=spikes(), outputs=spikes()))[1]["equal"]
    counts = spikes().sum(axis=1)
    one, two = (save(tmp_path / f"{name}.npz", output=counts + k) for k, name in enumerate("xy"))
    assert compared(one, one)[1]["equal"] and not compared(one, two)[1]["equal"]


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"inputs": spikes()}, "U603"),
        ({"spikes": spikes()[:2]}, "U619"),
        ({"spikes/other": spikes()}, "U619"),
        ({"spikes": spikes()[0]}, "U603"),
        ({"spikes": np.full(SHAPE, np.nan)}, "U603"),
        ({"spikes": np.array([object()])}, "U603"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, arrays: dict[str, Any], code: str
) -> None:
    a = save(tmp_path / "a.npz", spikes=spikes())
    b = save(tmp_path / "b.npz", **{k.replace("/", "__"): v for k, v in arrays.items()})
    done, result = compared(a, b)
    assert done.returncode == 3 and [d["code"] for d in result["diagnostics"]] == [code]


def test_the_bundle_must_be_the_one_that_was_run(tmp_path: Path) -> None:
    model = chain(2, nir.Linear(np.eye(2)), nir.IF(r=np.ones(2), v_threshold=np.ones(2)), n_out=2)
    compile_model(model, "loihi2", Options()).bundle.save(tmp_path / "bundle")
    other = save(tmp_path / "a.npz", spikes__other=spikes())
    outputs = save(tmp_path / "b.npz", spikes=spikes())
    done, result = compared(other, other, "--bundle", tmp_path / "bundle")
    assert done.returncode == 3 and [d["code"] for d in result["diagnostics"]] == ["U619"]
    assert compared(outputs, outputs, "--bundle", tmp_path / "bundle")[1]["equal"]


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 5, 0)])
def test_recordings_of_nothing_are_equal(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nothing = save(tmp_path / "a.npz", spikes=np.zeros(shape, int))
    assert compared(nothing, nothing)[1]["equal"]


def test_a_picture_shows_the_sample_that_differs(tmp_path: Path) -> None:
    other = spikes()
    other[2, 4, 1] ^= 1
    a, b = save(tmp_path / "a.npz", spikes=spikes()), save(tmp_path / "b.npz", spikes=other)
    done = nirc("compare", a, b, "--plot", "p.svg", cwd=tmp_path)
    assert "Different. First at step 4, sample 2: neuron 1 of `output`" in done.stdout
    drawn = (tmp_path / "p.svg").read_text()
    assert "sample 2: first difference in output, step 4" in drawn
    assert drawn.count("more in the first") == 1


@pytest.mark.parametrize("chip", ["loihi2", "spinnaker2", "speck", "xylo"])
def test_a_planted_wrong_weight_in_a_hidden_layer_is_found(tmp_path: Path, chip: str) -> None:
    """What runs on the board has one other weight. Populations are recorded one by one."""
    rng = np.random.default_rng(5)
    neurons = [nir.IF(r=np.ones(6), v_threshold=np.ones(6)) for _ in range(3)]
    weights = [linear(rng, 6, 6), nir.Linear(np.eye(6) * 1.5), nir.Linear(np.eye(6) * 1.5)]
    inputs = raster(rng, 4, 30, 6)

    def run(name: str) -> list[str]:
        layers = [layer for pair in zip(weights, neurons, strict=True) for layer in pair]
        bundle = compile_model(chain(6, *layers, n_out=6), chip, Options()).bundle
        order = in_order(bundle.manifest)
        save_run(tmp_path / name, bundle.run(inputs, record=order), Log())
        bundle.save(tmp_path / "bundle", force=True)
        return order

    order = run("emulator.npz")
    wrong = weights[1].weight.copy()
    wrong[2] *= -1
    weights[1] = nir.Linear(wrong)
    run("board.npz")
    everything = compared(tmp_path / "emulator.npz", tmp_path / "board.npz")[1]
    assert everything["first_difference"]["population"] == "if3"
    assert everything["first_difference"]["neuron"] == 2

    recorded = {"output"}
    while True:
        names = [name if name == "output" else f"spikes/{name}" for name in sorted(recorded)]
        files = []
        for name in ("emulator", "board"):
            with np.load(tmp_path / f"{name}.npz") as full:
                kept = {
                    ("spikes" if n == "output" else n): full[n if n != "output" else "spikes"]
                    for n in names
                }
            np.savez(tmp_path / f"{name}-some.npz", **kept)
            files.append(tmp_path / f"{name}-some.npz")
        result = compared(*files, "--bundle", tmp_path / "bundle")[1]
        if result["record_next"] is None:
            break
        assert result["record_next"] in order and result["record_next"] not in recorded
        recorded.add(result["record_next"])
    assert result["first_difference"]["population"] == "if3"
