"""The loader script: finds every fault without the vendor's package, and tells the chip everything with it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from tests.models import chain, cuba, linear, raster, recurrent
from tests.xylo import samna_mock

VARIANTS = ("audio2", "audio3", "imu")
Change = Callable[[dict[str, Any]], object]


def bundle_for(variant: str, directory: Path) -> Path:
    return nirc.compile(recurrent(np.random.default_rng(0), 3, 6, 2), f"xylo:{variant}", reset="subtract").save(
        directory
    )


def script(directory: Path, *args: object, isolated: bool = True) -> subprocess.CompletedProcess[str]:
    flags = ["-I", "-S"] if isolated else []
    command = [sys.executable, *flags, str(directory / "deploy.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def loaded(directory: Path) -> Any:
    spec = importlib.util.spec_from_file_location("deploy_under_test", directory / "deploy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_good_configuration_passes_without_any_package(variant: str, tmp_path: Path) -> None:
    done = script(bundle_for(variant, tmp_path / "b"), "--check")
    assert done.returncode == 0 and variant in done.stdout, done.stdout + done.stderr


def neuron(config: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = config["reservoir"]["neurons"][0]
    return first


FAULTS: list[tuple[str, Change]] = [
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, 128)),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, -129)),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, True)),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, 1.0)),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, float("nan"))),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, 10**100)),
    ("input.weights[0][0]", lambda c: c["input"]["weights"][0].__setitem__(0, "__import__('os')")),
    ("input.weights[1]", lambda c: c["input"]["weights"][1].append(0)),
    ("input.weights", lambda c: c["input"].__setitem__("weights", [[0]] * 17)),
    ("input.weight_bit_shift", lambda c: c["input"].__setitem__("weight_bit_shift", 8)),
    ("input.weight_bit_shift", lambda c: c["input"].pop("weight_bit_shift")),
    ("reservoir.weights", lambda c: c["reservoir"]["weights"].pop()),
    ("reservoir.syn2_weights", lambda c: c["reservoir"].pop("syn2_weights")),
    ("reservoir.neurons[0].threshold", lambda c: neuron(c).__setitem__("threshold", 0)),
    ("reservoir.neurons[0].threshold", lambda c: neuron(c).__setitem__("threshold", 32768)),
    ("reservoir.neurons[0].v_mem_decay", lambda c: neuron(c).__setitem__("v_mem_decay", 16)),
    ("reservoir.neurons[0].v_mem_bias", lambda c: neuron(c).__setitem__("v_mem_bias", 128)),
    ("reservoir.neurons[0].i_syn2_decay", lambda c: neuron(c).pop("i_syn2_decay")),
    ("reservoir.neurons[0].alias_target", lambda c: neuron(c).__setitem__("alias_target", 0)),
    ("reservoir.neurons[0].alias_target", lambda c: neuron(c).__setitem__("alias_target", 6)),
    ("reservoir.neurons[0].alias_target", lambda c: neuron(c).__setitem__("alias_target", 2)),  # aliasing is off
    ("reservoir.neurons[0]", lambda c: c["reservoir"]["neurons"].__setitem__(0, 7)),
    ("reservoir.neurons", lambda c: c["reservoir"].__setitem__("neurons", {})),
    ("readout.weights", lambda c: c["readout"]["weights"].append([0, 0])),
    ("readout.neurons", lambda c: c["readout"].__setitem__("neurons", [c["readout"]["neurons"][0]] * 9)),
    ("bias_enable", lambda c: c.__setitem__("bias_enable", 1)),
    ("variant", lambda c: c.__setitem__("variant", "imu")),
]


@pytest.mark.parametrize(("path", "change"), FAULTS)
def test_each_fault_is_found_at_its_place(path: str, change: Change, tmp_path: Path) -> None:
    directory = bundle_for("audio2", tmp_path / "b")
    config = json.loads((directory / "config.json").read_text())
    change(config)
    (directory / "config.json").write_text(json.dumps(config))
    module = loaded(directory)
    assert any(path in fault for fault in module.check_config(module.read_config())), path


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_no_configuration_is_refused_without_a_traceback(text: str, tmp_path: Path) -> None:
    directory = bundle_for("audio2", tmp_path / "b")
    (directory / "config.json").write_text(text)
    done = script(directory, "--check")
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stdout + done.stderr


def test_fan_out_and_entries_are_counted_over_both_synapses(tmp_path: Path) -> None:
    directory = bundle_for("audio2", tmp_path / "b")
    module = loaded(directory)
    module.LIMITS = module.LIMITS | {"fan-out of one neuron": 5, "recurrent entries": 30}
    faults = module.check_config(module.read_config())
    assert any("fan-out" in f for f in faults) and any("recurrent entries" in f for f in faults)


def test_the_vendors_object_gets_every_field_and_accepts_it(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "samna", samna_mock.make(variant))
    module = loaded(bundle_for(variant, tmp_path / "b"))
    config = module.read_config()
    made = module.validated(module.vendor()[1], config)
    inner = getattr(made, module.BLOCK)
    assert inner.weights == config[module.BLOCK]["weights"] and len(inner.neurons) == 6
    assert [n.threshold for n in inner.neurons] == [n["threshold"] for n in config[module.BLOCK]["neurons"]]


def test_a_run_on_the_board_is_what_nirc_run_gives(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samna = samna_mock.make(variant)
    monkeypatch.setitem(sys.modules, "samna", samna)
    directory = bundle_for(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    np.savez(tmp_path / "in.npz", inputs=inputs)
    monkeypatch.setattr(
        sys, "argv", ["deploy.py", "--raster", str(tmp_path / "in.npz"), "--out", str(tmp_path / "o.npz")]
    )
    loaded(directory).main()
    expected = nirc.Bundle.open(directory).run(inputs).output
    assert expected.sum() > 0
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["spikes"], expected)


def test_hidden_biases_and_an_alias_arrive_which_the_vendors_path_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "samna", samna_mock.make("audio2"))
    rng = np.random.default_rng(0)
    affine = nir.Affine(weight=rng.normal(0, 1, (5, 3)), bias=np.full(5, 0.3))
    model = chain(3, affine, cuba(5), linear(rng, 2, 5), cuba(2), n_out=2)
    module = loaded(nirc.compile(model, "xylo:audio2", reset="subtract").save(tmp_path / "b"))
    config = module.read_config()
    config["reservoir"]["neurons"][3]["alias_target"] = 0
    config["reservoir"]["aliasing"] = True
    made = module.build(module.vendor()[1], config)
    assert made.bias_enable is True and all(n.v_mem_bias > 0 for n in made.reservoir.neurons)
    assert made.reservoir.neurons[3].alias_target == 0 and made.debug.bias_clock_enable is True


def test_a_refusal_by_the_vendor_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samna = samna_mock.make("audio2")
    samna.xyloCore2.validate_configuration = lambda config: (False, "the moon is full")
    monkeypatch.setitem(sys.modules, "samna", samna)
    module = loaded(bundle_for("audio2", tmp_path / "b"))
    with pytest.raises(SystemExit, match="the moon is full"):
        module.validated(samna.xyloCore2, module.read_config())


def test_without_the_vendors_package_the_script_says_what_is_missing(tmp_path: Path) -> None:
    done = script(bundle_for("audio2", tmp_path / "b"), "--dry-run")
    assert done.returncode == 3 and "samna" in done.stderr and "Traceback" not in done.stderr
