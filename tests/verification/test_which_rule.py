"""Which rule gives recorded outputs: the ranking, numbers that no file holds, and layers that a
file lacks.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.report.verify import as_text as report
from nirc.semantics.run import run
from nirc.verification.inspection import as_text, inspection
from nirc.verification.recorded import Recording
from nirc.verification.verify import verify
from nirc.verification.which_rule import Comparison, _advice, compare
from tests.commands import nirc
from tests.writers.cases import DATA

ZERO = DATA / "snntorch" / "leaky_zero.nir"
LINEAR = DATA / "snntorch" / "leaky_last_linear_subtract.nir"
FLOOR = DATA / "sinabs" / "iaf_minv.nir"
BOUNDED = DATA / "rockpool" / "lif_default.nir"
NORSE = DATA / "norse" / "lifbox.nir"


def recorded(model: Path) -> Path:
    return model.with_suffix(".npz")


def inputs_of(model: Path) -> Any:
    with np.load(recorded(model)) as data:
        return data["inputs"]


def written(file: Path, inputs: Any, outputs: Any, **more: Any) -> Path:
    np.savez(file, inputs=inputs, outputs=outputs, **more)
    return file


def as_read(model: Path, rule: str) -> Any:
    """What a rule gives for the recorded inputs of a model."""
    inputs = inputs_of(model)
    program = lower(model, Options(writer=rule), log=Log()).reference
    return run(program, inputs.reshape(*inputs.shape[:2], -1)).outputs


def compared(model: Path, data: Path) -> Comparison:
    return compare(model, Options(), read_data(data, Log()), Log())


def test_the_rule_that_gives_the_recorded_outputs_comes_first() -> None:
    rows = compare(ZERO, Options(), read_data(recorded(ZERO), Log()), Log()).rows
    assert rows[0]["from"] == "snntorch,reset=zero" and rows[0]["equal"] == 1
    (usual,) = [row for row in rows if row.get("default")]
    assert usual["from"] == "snntorch" and usual["equal"] < 1
    assert usual["first_difference"]["found"] != usual["first_difference"]["recorded"]
    assert [row["active"] for row in rows] == sorted((row["active"] for row in rows), reverse=True)


def test_a_rule_that_never_fires_comes_last_however_sparse_the_outputs_are(tmp_path: Path) -> None:
    """Most entries of a sparse recording are 0, and silence gives those."""
    with np.load(recorded(ZERO)) as data:
        inputs, outputs = data["inputs"], data["outputs"] * 0
    outputs[0, 20, 0] = 1  # one spike, which no rule gives
    np.savez(tmp_path / "sparse.npz", inputs=inputs[:1], outputs=outputs[:1])
    model = tmp_path / "quiet.nir"
    model.write_bytes(ZERO.read_bytes())
    with h5py.File(model, "a") as file:
        weight = file["node/nodes/0/weight"]
        weight[...] = weight[...] * 0.45
    rows = compared(model, tmp_path / "sparse.npz").rows
    silent = [row["silent"] for row in rows]
    assert True in silent and False in silent and silent == sorted(silent)
    assert rows[-1]["equal"] > rows[0]["equal"] and rows[-1]["active"] == 0
    found = inspection(model, Options(), Log(), read_data(tmp_path / "sparse.npz", Log()))
    assert "(silent)" in as_text(found, verbose=True)


def test_a_silent_recording_says_nothing(tmp_path: Path) -> None:
    with np.load(recorded(ZERO)) as data:
        np.savez(
            tmp_path / "silent.npz", inputs=data["inputs"][:1] * 0, outputs=data["outputs"][:1] * 0
        )
    found = inspection(ZERO, Options(), Log(), read_data(tmp_path / "silent.npz", Log()))
    assert "cannot tell the rules apart" in as_text(found, verbose=False)


def test_with_from_only_that_rule_is_tried() -> None:
    (row,) = compare(ZERO, Options(writer="sinabs"), read_data(recorded(ZERO), Log()), Log()).rows
    assert row["from"] == "sinabs" and "default" not in row


def test_real_valued_outputs_are_compared_within_what_float32_leaves() -> None:
    rows = compare(LINEAR, Options(), read_data(recorded(LINEAR), Log()), Log()).rows
    assert rows[0]["from"] == "snntorch" and rows[0]["equal"] == 1 and rows[0]["default"]
    kept = Recording(np.array([[[1000.0, 0.0]]]), analog=True)
    assert kept.share(np.array([[[1000.09, 0.11]]])) == 0.5


def test_inspect_tells_the_option_in_a_sentence() -> None:
    found = inspection(ZERO, Options(), Log(), read_data(recorded(ZERO), Log()))
    assert "--from snntorch,reset=zero gives every recorded entry" in as_text(found, verbose=False)


def test_the_command_line_has_the_contract_s_fields(tmp_path: Path) -> None:
    done = nirc("inspect", ZERO, "--data", recorded(ZERO), "--format", "json", cwd=tmp_path)
    tree = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"name", "confidence", "evidence", "assumed"} <= tree["writer"].keys()
    assert tree["recorded"][0]["equal"] == 1.0
    np.savez(tmp_path / "d.npz", inputs=inputs_of(ZERO))
    missing = nirc("inspect", ZERO, "--data", "d.npz", cwd=tmp_path)
    assert missing.returncode == 3 and "no recorded outputs" in missing.stderr


# Numbers that no file holds.


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (FLOOR, "sinabs,floor=-0.5"),
        (FLOOR, "sinabs,floor=-0.37"),
        (FLOOR, "sinabs,floor=-3.3"),
        (FLOOR, "sinabs,spikes=2"),
        (FLOOR, "sinabs,spikes=2,reset=zero,floor=-0.25"),
        (BOUNDED, "rockpool,spikes=2"),
        (BOUNDED, "rockpool,spikes=4"),
        (NORSE, "norse,dt=2e-3"),
    ],
)
def test_numbers_that_a_file_does_not_hold_are_found(
    model: Path, rule: str, tmp_path: Path
) -> None:
    outputs = as_read(model, rule)
    assert (outputs != as_read(model, rule.partition(",")[0])).any()
    found = compared(model, written(tmp_path / "r.npz", inputs_of(model), outputs))
    text = found.rows[0]["from"]
    np.testing.assert_array_equal(as_read(model, text), outputs)
    assert found.rows[0]["equal"] == 1 and found.advice[0].startswith(
        f"--from {text} gives every recorded entry"
    )
    wanted = dict(pair.split("=") for pair in rule.split(",")[1:])
    given = dict(pair.split("=") for pair in text.split(",")[1:])
    assert given.keys() == wanted.keys()
    assert all(
        given[k] == v or abs(float(given[k]) / float(v) - 1) < 0.2 for k, v in wanted.items()
    )
    assert ("other numbers near floor=" in found.advice[-1]) == ("floor" in wanted)


def test_the_time_step_of_the_recording_is_a_clue(tmp_path: Path) -> None:
    """0.0007 s is on no list."""
    outputs = as_read(NORSE, "norse,dt=7e-4")
    found = compared(NORSE, written(tmp_path / "r.npz", inputs_of(NORSE), outputs, dt=7e-4))
    assert found.rows[0]["from"] == "norse,dt=0.0007" and found.rows[0]["equal"] == 1


def test_numbers_that_were_not_tried_are_named(tmp_path: Path) -> None:
    outputs = np.random.default_rng(0).random(as_read(FLOOR, "sinabs").shape) < 0.3
    found = compared(FLOOR, written(tmp_path / "r.npz", inputs_of(FLOOR), outputs))
    assert found.rows[0]["equal"] < 1
    assert found.advice[0].startswith("no rule gives every recorded entry")
    assert (
        "not every number was tried: --from sinabs,spikes=N,floor=VOLTS takes others"
        in found.advice
    )


def test_of_nengo_near_is_the_best_there_is() -> None:
    model = DATA / "nengo" / "lif_two.nir"
    found = compared(model, recorded(model))
    assert found.rows[0]["from"] == "nengo"
    assert found.advice == (
        "--from nengo comes nearest: Nengo's spikes fall between steps, so that near is the best "
        "there is",
    )


def test_near_is_said_where_another_rule_computes_the_same() -> None:
    rows = [
        {"from": name, "active": 0.3, "equal": 0.9, "silent": False}
        for name in ("nir", "nengo", "norse")
    ]
    trials: Any = SimpleNamespace(lost="")
    (advice,) = _advice(rows, trials, [])
    assert advice.startswith("--from nengo comes nearest")


# Layers that a file lacks.


def integrated(signal: Any, decay: Any, gain: float = 1.0) -> Any:
    """Leaky integrators behind a signal (samples, steps, n)."""
    found, v = [], 0.0
    for now in np.moveaxis(signal, 1, 0):
        v = decay * v + gain * now
        found.append(v)
    return np.stack(found, 1)


def test_leaky_integrators_that_the_file_lacks_are_proved_and_added(tmp_path: Path) -> None:
    """As in files of Spyx: the outputs are real numbers, and the file ends in its last weights."""
    outputs = integrated(as_read(LINEAR, "snntorch"), 0.8).astype(np.float32)
    data = written(tmp_path / "r.npz", inputs_of(LINEAR), outputs)
    (advice,) = compared(LINEAR, data).advice
    assert "leaky integrators behind the last layer, which the file lacks" in advice
    assert "--readout li:5 adds them" in advice
    for readout, equal in (("li:5", True), ("li:7", False)):
        log = Log()
        told = verify(LINEAR, "spinnaker2", read_data(data, log), Options(readout=readout), log=log)
        assert ("W204" not in {d.code for d in log.diagnostics}) == equal
        assert (told["recorded"]["equal"]["float"] == 1) == equal


def test_integrators_that_differ_are_told_one_by_one(tmp_path: Path) -> None:
    signal = as_read(LINEAR, "snntorch")
    decay = np.linspace(0.5, 0.9, signal.shape[2])
    data = written(tmp_path / "r.npz", inputs_of(LINEAR), integrated(signal, decay, 0.25))
    (advice,) = compared(LINEAR, data).advice
    assert (
        "they keep 0.5, " in advice
        and "multiply their input by 0.25" in advice
        and "nir.LI(" in advice
    )


def test_spikes_behind_a_last_linear_layer_are_named(tmp_path: Path) -> None:
    outputs = np.random.default_rng(0).random(as_read(LINEAR, "snntorch").shape) < 0.3
    (advice,) = compared(LINEAR, written(tmp_path / "r.npz", inputs_of(LINEAR), outputs)).advice
    assert (
        "the file ends in a linear layer: it lacks the last neurons" in advice
        and "--readout if:" in advice
    )


def test_membranes_of_neurons_that_fire_are_no_recording(tmp_path: Path) -> None:
    outputs = np.random.default_rng(0).random(as_read(ZERO, "snntorch").shape)
    (advice,) = compared(ZERO, written(tmp_path / "r.npz", inputs_of(ZERO), outputs)).advice
    assert "no spike counts" in advice


@pytest.mark.parametrize("target", ["spinnaker2", "loihi2"])
def test_a_readout_is_not_compared_with_what_comes_before_it(target: str) -> None:
    log = Log()
    told = verify(
        LINEAR, target, read_data(recorded(LINEAR), log), Options(readout="if:1"), log=log
    )
    assert "W204" not in {d.code for d in log.diagnostics}
    assert told["recorded"] == {
        "equal": {"float": 1.0},
        "first_difference": {"float": None},
        "before_readout": True,
    }
    assert told["stages"][0]["name"] == "recorded" and told["stages"][0]["count_error"] < 1e-4
    assert "The recording is that of the network before its readout" in report(told)


def test_a_wrong_rule_is_said_before_the_readout(tmp_path: Path) -> None:
    log = Log()
    rule = Options(readout="if:1", writer="snntorch,reset=zero")
    verify(LINEAR, "spinnaker2", read_data(recorded(LINEAR), log), rule, log=log)
    (told,) = [d for d in log.diagnostics if d.code == "W204"]
    assert "of the recorded outputs before the readout" in told.message


@pytest.mark.parametrize("last", ["layer_3", "layer_2"])
def test_a_lost_layer_of_spyx_is_asked_about_only_where_weights_come_last(
    last: str, tmp_path: Path
) -> None:
    graph = nir.read(DATA / "spyx" / "lif_dt1e-3.nir")
    nodes = {name: node for name, node in graph.nodes.items() if name <= last or name == "output"}
    edges = [(s, t) for s, t in graph.edges if s in nodes and t in nodes and t != "output"]
    nir.write(tmp_path / "m.nir", nir.NIRGraph(nodes, [*edges, (last, "output")]))
    log = Log()
    reading = lower(tmp_path / "m.nir", Options(), log=log).reading
    assert reading.writer.name == "spyx" and reading.confidence == "conclusive"
    asked = [d for d in log.diagnostics if d.code == "W202"]
    assert len(asked) == (last == "layer_2")
    assert all("--readout li:STEPS adds it" in d.help for d in asked)
