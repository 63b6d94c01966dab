"""Compiled models: the bundle's own deploy.py and network.net through Intel's software, equal to
`nirc run`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import nir
import numpy as np
import pytest

import nirc
from nirc.api import Bundle
from nirc.backends.loihi2.emit import MAPPING
from nirc.backends.loihi2.netx import why_no_net
from nirc.backends.loihi2.tables import from_npz
from nirc.files.schema import json_schema
from tests.loihi2.bundles import save, script
from tests.loihi2.oracle import require_lava
from tests.loihi2.test_netx_oracle import netx, run_netx
from tests.models import DATA, DT, chain, lif, linear, raster

__all__ = ["netx"]  # a fixture
pytestmark = pytest.mark.oracle

LETTER: dict[str, Any] = {"writer": "nir"}
MODELS: dict[str, tuple[str, dict[str, Any], int]] = {  # file, options, steps
    "lif": ("paper/lif_norse.nir", LETTER | {"dt": 1e-4}, 60),
    "braille": ("paper/braille_noDelay_bias_zero.nir", LETTER | {"reset": "zero"}, 40),
    "digits": ("zoo/digits_lif_mlp.nir", LETTER, 25),
    "cnn": ("paper/cnn_sinabs.nir", LETTER, 8),
    "integrators": ("zoo/digits_if_cnn.nir", LETTER | {"reset": "subtract"}, 12),
    "taps": ("paper/braille_noDelay_noBias_subtract.nir", LETTER | {"reset": "subtract"}, 20),
    "vowels": ("zoo/japanesevowels_rsnn.nir", LETTER, 25),
}


@pytest.fixture(scope="module", autouse=True)
def lava() -> None:
    require_lava()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Bundle, Path]]:
    made = {}
    for name, (file, options, _) in MODELS.items():
        bundle = nirc.compile(DATA / file, "loihi2:oheogulch", **options)
        made[name] = (bundle, bundle.save(tmp_path_factory.mktemp("bundles") / name))
    return made


def inputs_for(name: str, bundle: Bundle) -> np.ndarray:
    """(1, steps, channels), 0 and 1; dense enough that outputs fire."""
    density = {
        "lif": 0.7,
        "braille": 0.3,
        "digits": 0.4,
        "cnn": 0.3,
        "integrators": 0.3,
        "taps": 0.5,
        "vowels": 0.5,
    }[name]
    shape = (1, MODELS[name][2], len(bundle.manifest["input_map"]))
    return (np.random.default_rng(0).random(shape) < density).astype(np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_the_bundles_script_says_what_nirc_run_says(
    name: str, bundles: dict[str, tuple[Bundle, Path]], tmp_path: Path
) -> None:
    bundle, directory = bundles[name]
    inputs = inputs_for(name, bundle)
    recorded = (
        sorted(bundle.manifest["populations"])
        if name in ("lif", "braille", "integrators", "taps", "vowels")
        else []
    )
    out = tmp_path / "out.npz"
    extra = ["--record", *recorded] if recorded else []
    done = script(directory, "--data", save(tmp_path / "in.npz", inputs), "--out", out, *extra)
    assert done.returncode == 0, done.stdout + done.stderr
    want = bundle.run(inputs, record=recorded)
    with np.load(out) as got:
        np.testing.assert_array_equal(got["spikes"], want.outputs)
        for population in recorded:
            np.testing.assert_array_equal(got[f"spikes/{population}"], want.spikes[population])
            np.testing.assert_array_equal(got[f"v/{population}"], want.v[population])
    assert want.outputs.any()


@pytest.mark.parametrize("name", MODELS)
def test_netx_says_what_nirc_run_says(
    name: str, bundles: dict[str, tuple[Bundle, Path]], netx: Any
) -> None:
    bundle, directory = bundles[name]
    tables = from_npz(bundle.files["network.npz"])
    if "network.net" not in bundle.files:
        assert why_no_net(tables)
        return
    inputs = inputs_for(name, bundle)[0]
    latency = bundle.manifest["latency_steps"]
    late = np.vstack([inputs, np.zeros((latency, inputs.shape[1]), inputs.dtype)])
    channels = np.array(bundle.manifest["input_map"])
    with h5py.File(directory / "network.net") as file:
        reset = (
            {"reset_interval": len(late) + 1, "reset_offset": 1}
            if "reset" in file.attrs["load"]
            else {}
        )
    spikes, _ = run_netx(netx, directory / "network.net", late[:, np.argsort(channels)], **reset)
    columns = tables.outputs[0].neurons[bundle.manifest["output_map"]]
    want = bundle.run(inputs[None]).outputs[0]
    np.testing.assert_array_equal(spikes[latency:, columns], want)


def test_which_models_get_a_file_for_netx(bundles: dict[str, tuple[Bundle, Path]]) -> None:
    """All but one whose constant inputs pass through synapses, from a neuron that always fires, and
    two that subtract thresholds, by maps that inhibit themselves and by filters that are made of
    delays."""
    found = {name for name, (bundle, _) in bundles.items() if "network.net" in bundle.files}
    assert found == set(MODELS) - {"braille", "integrators", "taps"}


def test_without_the_wish_for_netx_constants_are_finer() -> None:
    file, options, _ = MODELS["lif"]
    fine = nirc.compile(DATA / file, "loihi2", chip={"netx": "never"}, **options)
    assert "network.net" not in fine.files
    assert from_npz(fine.files["network.npz"]).populations[0].vth > 10_000


@pytest.mark.parametrize("name", ["braille", "digits"])
def test_the_split_that_the_bundle_has_changes_nothing(
    name: str, bundles: dict[str, tuple[Bundle, Path]], tmp_path: Path
) -> None:
    bundle, directory = bundles[name]
    inputs = inputs_for(name, bundle)[:, :15]
    out = tmp_path / "out.npz"
    raster = save(tmp_path / "in.npz", inputs)
    done = script(directory, "--data", raster, "--out", out, "--one-process-per-core")
    assert done.returncode == 0, done.stdout + done.stderr
    np.testing.assert_array_equal(np.load(out)["spikes"], bundle.run(inputs).outputs)


@pytest.mark.parametrize("name", MODELS)
def test_where_it_is_obeys_the_schema(name: str, bundles: dict[str, tuple[Bundle, Path]]) -> None:
    jsonschema.validate(json.loads(bundles[name][0].files["mapping.json"]), json_schema(MAPPING))


def test_membranes_of_a_readout_are_volts_of_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one = np.ones(3)
    readout = nir.LI(tau=one * 6 * DT, r=one * 6, v_leak=one * 0)
    model = chain(4, linear(rng, 5, 4), lif(5), linear(rng, 3, 5), readout, n_out=3)
    bundle = nirc.compile(model, "loihi2")
    directory = bundle.save(tmp_path / "bundle")
    inputs = raster(rng, 2, 20, 4) > 0
    recorded = sorted(bundle.manifest["populations"])
    out = tmp_path / "out.npz"
    done = script(
        directory, "--data", save(tmp_path / "in.npz", inputs), "--out", out, "--record", *recorded
    )
    assert done.returncode == 0, done.stdout + done.stderr
    want = bundle.run(inputs, record=recorded)
    with np.load(out) as got:
        np.testing.assert_array_equal(got["spikes"], want.outputs)
        for population in recorded:
            np.testing.assert_array_equal(got[f"v/{population}"], want.v[population])
    assert bundle.manifest["output_kind"] == "membrane" and np.abs(want.outputs).max() > 0.1
