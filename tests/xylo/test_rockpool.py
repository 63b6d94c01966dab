"""What docs and scripts say of Rockpool, and bundles in Rockpool itself."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.emit import emit
from nirc.backends.xylo.emulate import emulate
from nirc.backends.xylo.limits import AUDIO2, AUDIO3, IMU, VARIANTS
from nirc.chip.target import Target
from tests.deployed import bundle, loaded
from tests.xylo.oracle import require_xylosim
from tests.xylo.rockpool_oracle import rockpool
from tests.xylo.test_emit import specification

pytestmark = pytest.mark.oracle
each_target = pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)


DEBUG = {"audio3": {}, "imu": {"always_update_omp_stat": True}}


def spec_of(target: Target, *, aliases: bool) -> Specification:
    spec = specification(two=target is not IMU)
    spec.bias_hidden[:] = [3, -2, 0, 5, 1]
    if not aliases:
        spec.aliases[:] = -1
    return spec


def written(spec: Specification, target: Target, directory: Path) -> Path:
    return bundle(directory, emit(spec, target, dt_s=1e-3, clock_hz=50_000_000), 3, 2)


def configured(module: Any, arguments: dict[str, Any]) -> Any:
    """The object that Rockpool makes. samna is a stand-in that takes everything."""
    name = f"{module.__name__}.xylo_samna"
    made, ok, _ = importlib.import_module(name).config_from_specification(**arguments)
    assert ok
    return made


def assert_same_network(made: Any, config: Any, block: str, target: Target) -> None:
    inner = getattr(made, block)
    for part, values in ((made.input, config["input"]), (inner, config[block])):
        for field in ("weights", "syn2_weights")[: 1 if target is IMU else 2]:
            np.testing.assert_array_equal(getattr(part, field), values[field])
    np.testing.assert_array_equal(made.readout.weights, config["readout"]["weights"])
    for neuron, values in zip(inner.neurons, config[block]["neurons"], strict=True):
        wanted = {k: v for k, v in values.items() if v is not None}
        assert {field: vars(neuron)[field] for field in wanted} == wanted
        assert ("alias_target" in vars(neuron)) == (values.get("alias_target") is not None)
    assert inner.aliasing is config[block]["aliasing"]


@each_target
@pytest.mark.parametrize("aliases", [True, False])
def test_rockpool_makes_the_same_network_of_the_specification(
    target: Target, aliases: bool, tmp_path: Path
) -> None:
    directory = written(spec_of(target, aliases=aliases), target, tmp_path)
    config = json.loads((directory / "config.json").read_text())
    block = "reservoir" if target is AUDIO2 else "hidden"
    with rockpool(target.variant) as module, np.load(directory / "specification.npz") as file:
        made = configured(module, loaded(directory).specification())
        assert_same_network(made, config, block, target)
        if aliases:
            with pytest.raises(TypeError):  # and not a network without aliases
                configured(module, file)
        else:
            assert_same_network(configured(module, file), config, block, target)


@pytest.mark.parametrize("target", [AUDIO2, IMU], ids=lambda t: t.variant)
def test_rockpools_simulator_runs_the_specification_as_the_emulator(
    target: Target, tmp_path: Path
) -> None:
    require_xylosim()
    spec = spec_of(target, aliases=True)
    spec.threshold_out[:] = 20
    directory = written(spec, target, tmp_path)
    inputs = np.random.default_rng(0).integers(0, 4, (1, 30, 3))
    with rockpool(target.variant) as module:
        arguments = loaded(directory).specification(simulator=True)
        simulator = module.XyloSim.from_specification(**arguments)
        output, _, record = simulator(inputs[0], record=True)
    want = emulate(spec, inputs, record=True)
    assert want.outputs.any()
    np.testing.assert_array_equal(np.asarray(output).reshape(30, -1), want.outputs[0])
    np.testing.assert_array_equal(np.asarray(record["Vmem"]).reshape(30, -1), want.v["hidden"][0])


def test_from_config_drops_the_second_synapse_and_an_alias_to_neuron_0(tmp_path: Path) -> None:
    require_xylosim()
    directory = written(spec_of(AUDIO3, aliases=True), AUDIO3, tmp_path)
    with rockpool("audio3") as module:
        made = configured(module, loaded(directory).specification())
        assert np.any(made.input.syn2_weights)
        assert [vars(n).get("alias_target") for n in made.hidden.neurons].count(0) == 1
        for neuron in made.hidden.neurons:  # as samna's object has it, without an alias
            neuron.__dict__.setdefault("alias_target", None)
        parameters = module.XyloSim.from_config(made)._xylo_sim_params
    synapses = [s for row in parameters.synapses_in + parameters.synapses_rec for s in row]
    assert synapses and {s.target_synapse_id for s in synapses} == {0}
    assert [0] not in parameters.aliases


@each_target
def test_a_bias_by_the_mappers_name_vanishes(target: Target, tmp_path: Path) -> None:
    directory = written(spec_of(target, aliases=False), target, tmp_path)
    with rockpool(target.variant) as module:
        arguments = loaded(directory).specification()
        arguments["bias"] = arguments.pop("bias_hidden")
        made = configured(module, arguments)
    neurons = (made.reservoir if target is AUDIO2 else made.hidden).neurons
    assert not any("v_mem_bias" in vars(neuron) for neuron in neurons)


@pytest.mark.parametrize("target", [AUDIO3, IMU], ids=lambda t: t.variant)
def test_clocks_and_power_are_set_where_the_page_says_so(target: Target, tmp_path: Path) -> None:
    directory = written(spec_of(target, aliases=False), target, tmp_path)
    with rockpool(target.variant) as module:
        made = configured(module, loaded(directory).specification())
    debug = vars(vars(made).get("debug", SimpleNamespace()))
    assert debug == DEBUG[target.variant]


def test_a_weight_of_128_becomes_minus_128(tmp_path: Path) -> None:
    directory = written(spec_of(AUDIO3, aliases=False), AUDIO3, tmp_path)
    with rockpool("audio3") as module:
        arguments = loaded(directory).specification()
        arguments["weights_out"][0, 0] = 128
        made = configured(module, arguments)
    assert made.readout.weights[0][0] == -128


def test_the_mapper_calls_the_hidden_bias_by_another_name() -> None:
    """Its result has ``bias``; ``config_from_specification`` has ``bias_hidden``."""
    with rockpool("audio3") as module:
        mapper = importlib.import_module(f"{module.__name__}.xylo_mapper")
        text = Path(str(mapper.__file__)).read_text()
        function = SimpleNamespace(**vars(importlib.import_module(f"{module.__name__}.xylo_samna")))
    assert '"bias": bias,' in text and "bias_hidden" not in text
    assert "bias_hidden" in function.config_from_specification.__code__.co_varnames
