"""A chip's own options and the modes of its emulator: asked for, checked, written down, run,
compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model
from nirc.chip.backend import Backend
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.verification import activity
from nirc.verification.laws import network
from nirc.verification.verify import lost_at, verify
from tests.models import chain, lif
from tests.strangers import command, installed

INPUTS = np.random.default_rng(2).poisson(0.6, (3, 30, 3))


@pytest.fixture
def toycamera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A chip with the options `input` and `led` and the modes synchronous and one-event."""
    with installed("toycamera", tmp_path, monkeypatch) as backend:
        yield backend


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """model.nir and data.npz."""
    weight = np.random.default_rng(0).uniform(0.1, 0.5, (2, 3))
    nir.write(tmp_path / "model.nir", chain(3, nir.Linear(weight), lif(2), n_out=2))
    np.savez(tmp_path / "data.npz", inputs=INPUTS)
    return tmp_path


def compiled(**chip: str) -> nirc.Bundle:
    return nirc.compile(network(), "toycamera", reset="subtract", chip=chip)


def refusal(**chip: str) -> list[tuple[str, str, str]]:
    with pytest.raises(nirc.UsageError) as refused:
        compiled(**chip)
    return [(d.code, d.found, d.expected) for d in refused.value.diagnostics]


def test_options_reach_the_files_and_all_values_in_effect_the_manifest(toycamera: Backend) -> None:
    plain, dvs = compiled(), compiled(input="dvs")
    assert (plain.files["input.txt"], dvs.files["input.txt"]) == (b"host", b"dvs")
    assert plain.manifest["options"]["chip"] == {"input": "host", "led": "off"}
    assert dvs.manifest["options"]["chip"] == {"input": "dvs", "led": "off"}
    assert compiled() == plain, "an option outlives its compilation"


def test_every_unknown_name_and_value_is_named_beside_those_that_exist(toycamera: Backend) -> None:
    assert refusal(input="radio", lens="wide") == [
        ("U607", "radio", "host, dvs"),
        ("U607", "lens=wide", "input, led"),
    ]


def test_one_option_has_one_value(toycamera: Backend) -> None:
    twice = Options(chip=(("input", "dvs"), ("input", "host")))
    with pytest.raises(nirc.UsageError, match="U607"):
        compile_model(network(), "toycamera", twice)


def test_a_chip_without_options_says_so() -> None:
    with pytest.raises(nirc.UsageError) as refused:
        nirc.compile(network(), "xylo", reset="subtract", chip={"input": "dvs"})
    assert [(d.code, d.expected) for d in refused.value.diagnostics] == [
        ("U607", "none: xylo has no options")
    ]
    assert nirc.compile(network(), "xylo", reset="subtract").manifest["options"]["chip"] == {}


def test_modes_run_the_same_files_otherwise(toycamera: Backend) -> None:
    bundle = compiled()
    default, one_event = bundle.run(INPUTS), bundle.run(INPUTS, mode="one-event")
    np.testing.assert_array_equal(bundle.run(INPUTS, mode="synchronous").outputs, default.outputs)
    np.testing.assert_array_equal(one_event.outputs, bundle.run(np.minimum(INPUTS, 1)).outputs)
    assert one_event.outputs.sum() < default.outputs.sum()


def test_an_unknown_mode_is_refused_with_those_that_exist(toycamera: Backend) -> None:
    with pytest.raises(nirc.UsageError) as refused:
        compiled().run(INPUTS, mode="analogue")
    assert [(d.code, d.expected) for d in refused.value.diagnostics] == [
        ("U607", "synchronous, one-event")
    ]


@pytest.mark.parametrize(
    "how", [("--set", "input=dvs"), ("--input", "dvs"), ("--input", "dvs", "--set", "input=dvs")]
)
def test_the_command_line_sets_options(
    toycamera: Backend, files: Path, how: tuple[str, ...]
) -> None:
    done = command(
        files, "model.nir", "--target", "toycamera", "-o", "out", *how, "--set", "led=on"
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((files / "out/manifest.json").read_text())
    assert manifest["options"]["chip"] == {"input": "dvs", "led": "on"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--set", "input"), "NAME=VALUE"),
        (("--set", "=dvs"), "NAME=VALUE"),
        (("--set", "input="), "NAME=VALUE"),
        (("--input", "radio"), "host, dvs"),
        (("--set", "input=host", "--input", "dvs"), "several values"),
        (("--set", "lens=wide"), "input, led"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    toycamera: Backend, files: Path, args: tuple[str, ...], said: str
) -> None:
    done = command(files, "model.nir", "--target", "toycamera", "-o", "out", *args)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (files / "out").exists()


def test_run_takes_a_mode(toycamera: Backend, files: Path) -> None:
    assert command(files, "model.nir", "--target", "toycamera", "-o", "out").returncode == 0
    run = ("run", "out", "--data", "data.npz", "--out")
    assert command(files, *run, "a.npz").returncode == 0
    assert command(files, *run, "b.npz", "--mode", "one-event").returncode == 0
    assert np.load(files / "a.npz")["output"].sum() > np.load(files / "b.npz")["output"].sum()
    refused = command(files, *run, "c.npz", "--mode", "analogue")
    assert (
        refused.returncode == 2
        and "synchronous, one-event" in refused.stderr
        and not (files / "c.npz").exists()
    )


def test_verify_has_a_stage_for_every_mode(toycamera: Backend, files: Path) -> None:
    asked = ("--target", "toycamera", "--data", "data.npz", "--reset", "subtract", "--input", "dvs")
    done = command(files, "verify", "model.nir", *asked, "--json", "v.json")
    assert done.returncode == 0, done.stderr
    stages = {s["name"]: s for s in json.loads((files / "v.json").read_text())["stages"]}
    assert list(stages) == ["float", "discrete", "integer", "device", "device:one-event"]
    assert (
        stages["device"]["spikes"]
        == stages["integer"]["spikes"]
        > stages["device:one-event"]["spikes"]
    )
    assert "device:one-event" in done.stdout


def test_every_mode_is_compared_with_the_device_to_say_where_agreement_is_lost() -> None:
    shares = {
        "float": 1.0,
        "discrete": 1.0,
        "integer": 0.9,
        "device": 0.9,
        "device:a": 0.5,
        "device:b": 0.4,
    }
    stages = [{"name": name, "agreement": share} for name, share in shares.items()]
    assert lost_at(stages) == "device:b"
    assert lost_at(stages[:4]) == "integer"


@pytest.mark.parametrize(
    ("values", "samples"), [(1 << 26, 5), (2 * 30 * 10 * 3 + 1, 3), (2 * 30 * 10 * 3, 2), (1, 1)]
)
def test_verify_records_no_more_samples_than_fit(
    toycamera: Backend, monkeypatch: pytest.MonkeyPatch, values: int, samples: int
) -> None:
    """10 neurons of 30 steps: the samples whose spikes are compared, of 5."""
    recorded: list[int] = []
    whole = nirc.Bundle.run

    def run(self: nirc.Bundle, inputs: Any, **options: Any) -> nirc.Run:
        if options.get("record"):
            recorded.append(len(inputs))
        return whole(self, inputs, **options)

    monkeypatch.setattr(nirc.Bundle, "run", run)
    monkeypatch.setattr(activity, "MOST_SAMPLES", 5)
    monkeypatch.setattr(activity, "MOST_VALUES", values)
    data = Data(np.zeros((6, 30, 3), int), None, None)
    verify(network(), "toycamera", data, Options(reset="subtract"), log=Log())
    assert set(recorded) == {samples}


def test_targets_lists_options_with_their_values(toycamera: Backend, files: Path) -> None:
    shown = command(files, "targets", "toycamera").stdout
    assert "--set input=host|dvs" in shown and "where events come from" in shown
    listed = json.loads(command(files, "targets", "toycamera", "--format", "json").stdout)[
        "targets"
    ]
    assert [o["name"] for o in listed[0]["options"]] == ["input", "led"] and listed[0]["options"][
        0
    ]["values"][0] == "host"
    assert "--set" not in command(files, "targets", "xylo").stdout


def test_inputs_that_share_a_channel_are_added(toycamera: Backend) -> None:
    bundle = compiled()
    pooled = replace(bundle, manifest=bundle.manifest | {"input_map": [1, 0, 1, None, 2]})
    wide = np.random.default_rng(3).poisson(0.3, (3, 30, 5))
    narrow = np.stack([wide[:, :, 1], wide[:, :, 0] + wide[:, :, 2], wide[:, :, 4]], axis=2)
    assert bundle.run(narrow).outputs.any()
    np.testing.assert_array_equal(pooled.run(wide).outputs, bundle.run(narrow).outputs)
