"""Trained networks, compiled, through deploy.py and the stand-in: the same numbers as `nirc run`,
to the bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import nir
import numpy as np
import pytest

import nirc
from nirc.backends.spinnaker2.mapping import MAPPING
from nirc.files.schema import json_schema
from tests.models import DT, chain, graph, lif, linear
from tests.spinnaker2.bundles import deploy, runs

DATA = Path(__file__).parents[1] / "data"
# name, options, samples and steps (of random inputs where no data came with the model)
MODELS: list[tuple[str, dict[str, Any], int, int]] = [
    ("paper/braille_noDelay_noBias_subtract", {"reset": "subtract"}, 2, 60),
    ("paper/braille_noDelay_bias_zero", {"reset": "zero"}, 2, 60),
    ("paper/lif_norse", {"dt": 1e-4}, 1, 200),
    ("paper/cnn_sinabs", {}, 1, 5),
    ("zoo/basicmotions_lif_ff", {}, 2, 40),
    ("zoo/digits_if_cnn", {}, 1, 12),
    ("zoo/digits_lif_mlp", {}, 2, 12),
    ("zoo/japanesevowels_rsnn", {}, 2, 20),
]


def inputs_for(path: Path, shape: list[int], samples: int, steps: int) -> np.ndarray:
    """The data that came with the model, else random spikes."""
    if path.exists():
        with np.load(path) as data:
            return np.asarray(data["inputs"][:samples, :steps])
    rng = np.random.default_rng(0)
    return (rng.random((samples, steps, *shape)) < 0.3).astype(np.int64)


@pytest.mark.parametrize(
    ("name", "options", "samples", "steps"), MODELS, ids=[m[0].split("/")[1] for m in MODELS]
)
def test_a_trained_network_gives_what_nirc_run_gives(
    name: str, options: dict[str, Any], samples: int, steps: int, tmp_path: Path
) -> None:
    bundle = nirc.compile(DATA / f"{name}.nir", "spinnaker2", **options)
    inputs = inputs_for(DATA / f"{name}.npz", bundle.manifest["input_shape"][0], samples, steps)
    assert_deploys(bundle, inputs, tmp_path)


def test_an_output_of_membranes_beside_one_of_spikes(tmp_path: Path) -> None:
    rng, one = np.random.default_rng(0), np.ones(2)
    nodes = {"in": nir.Input(np.array([3])), "w": linear(rng, 4, 3), "pop": lif(4)}
    nodes |= {"v": linear(rng, 2, 4), "read": nir.LI(tau=5 * DT * one, r=5 * one, v_leak=0 * one)}
    nodes |= {"a": nir.Output(np.array([2])), "b": nir.Output(np.array([4]))}
    edges = [("in", "w"), ("w", "pop"), ("pop", "v"), ("v", "read"), ("read", "a"), ("pop", "b")]
    bundle = nirc.compile(graph(nodes, edges), "spinnaker2", dt=DT)
    assert_deploys(bundle, (rng.random((2, 20, 3)) < 0.5).astype(np.int64), tmp_path)


def assert_deploys(bundle: nirc.Bundle, inputs: np.ndarray, tmp_path: Path) -> None:
    """deploy.py gives what ``nirc run`` gives."""
    directory = bundle.save(tmp_path / "b")
    np.savez(tmp_path / "in.npz", inputs=inputs)
    every = sorted(bundle.manifest["populations"])
    done = deploy(
        directory,
        "--chip",
        "a",
        "--data",
        tmp_path / "in.npz",
        "--out",
        tmp_path / "o",
        "--record",
        *every,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = bundle.run(inputs, record=every)
    assert wanted.outputs.any()
    with np.load(tmp_path / "o") as saved:
        np.testing.assert_array_equal(saved["spikes"], wanted.outputs)
        for population in every:
            np.testing.assert_array_equal(saved[f"spikes/{population}"], wanted.spikes[population])
            np.testing.assert_array_equal(saved[f"v/{population}"], wanted.v[population])
    mapping = json.loads(bundle.files["mapping.json"])
    jsonschema.validate(mapping, json_schema(MAPPING))
    assert runs(directory)[0]["tick"] == mapping["tick"]["seconds"]


def test_a_network_over_several_chips_is_for_the_board_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = chain(2, linear(rng, 40_000, 2), lif(40_000), n_out=40_000)
    bundle = nirc.compile(model, "spinnaker2:board", reset="subtract", dt=DT)
    assert len({chip for chip, *_ in json.loads(bundle.files["mapping.json"])["slices"]}) > 1
    directory = bundle.save(tmp_path / "b")
    assert deploy(directory, "--check", vendor=False).returncode == 0
    np.save(tmp_path / "in.npy", (rng.random((1, 4, 2)) < 0.5).astype(int))
    args = ("--data", tmp_path / "in.npy", "--out", tmp_path / "o")
    refused = deploy(directory, "--chip", "a", *args)
    assert refused.returncode == 1 and "see --board" in refused.stderr
    done = deploy(directory, "--board", "a", *args)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "o") as saved:
        np.testing.assert_array_equal(
            saved["spikes"], bundle.run(np.load(tmp_path / "in.npy")).outputs
        )
