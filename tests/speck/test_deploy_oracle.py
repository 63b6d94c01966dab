"""The emitted deploy.py with sinabs' layers as the chip: equal to the emulator, layer by layer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import nirc
from tests.deployed import loaded
from tests.speck import samna_mock
from tests.speck.oracle import require_sinabs

pytestmark = pytest.mark.oracle
STEP_US, LEAD_US, STEPS, SAMPLES = 1000, 100_000, 12, 3


class SinabsBoard(samna_mock.Board):
    """Run what deploy.py has set in the vendor's object on sinabs' layers, step by step.

    A step sums its events up and counts spikes, without biases. A spike carries its step's start.
    """

    def apply_configuration(self, made: Any) -> None:
        super().apply_configuration(made)
        self.cores = {
            i: core for i, core in enumerate(samna_mock.tree(made)["cnn_layers"]) if core["weights"]
        }
        self.layers = {i: layer_of(core) for i, core in self.cores.items()}

    def write(self, events: list[Any]) -> None:
        steps = max(((e.timestamp - LEAD_US) // STEP_US for e in events), default=-1) + 1
        arriving = {
            i: np.zeros((steps, *map_of(core, "input_shape"))) for i, core in self.cores.items()
        }
        for e in events:
            arriving[e.layer][(e.timestamp - LEAD_US) // STEP_US, e.feature, e.y, e.x] += 1
        for i, core in self.cores.items():  # in the order in which the chip passes them here
            torch = require_sinabs().torch
            with torch.no_grad():
                own, *pooled = self.layers[i](torch.tensor(arriving[i]))
            for d, sent in zip(enabled(core), pooled, strict=True):
                assert d["layer"] > i and d["feature_shift"] == 0
                arriving[d["layer"]] += sent.numpy()
            if core["monitor_enable"]:
                self.answers += self.spikes(i, own.numpy().astype(int))

    def spikes(self, core: int, counts: NDArray[Any]) -> list[Any]:
        """Events of ``counts`` (steps, channels, y, x)."""
        return [
            self.module.event.Spike(
                layer=core, feature=f, y=y, x=x, timestamp=LEAD_US + step * STEP_US
            )
            for step, f, y, x in np.argwhere(counts).tolist()
            for _ in range(counts[step, f, y, x])
        ]


def map_of(core: dict[str, Any], side: str) -> tuple[int, int, int]:
    shape = core["dimensions"][side]
    return shape["feature_count"], shape["size"]["y"], shape["size"]["x"]


def enabled(core: dict[str, Any]) -> list[dict[str, Any]]:
    return [d for d in core["destinations"] if d["enable"]]


def layer_of(core: dict[str, Any]) -> Any:
    """sinabs' layer of a core's settings. Its first output is not pooled, the others are sent."""
    s, sizes = require_sinabs(), core["dimensions"]
    assert not core["leak_enable"]
    weights = s.torch.tensor(core["weights"]).double().transpose(2, 3)  # samna has x before y
    conv = s.nn.Conv2d(
        weights.shape[1], weights.shape[0], sizes["kernel_size"], bias=False,
        stride=(sizes["stride"]["y"], sizes["stride"]["x"]),
        padding=(sizes["padding"]["y"], sizes["padding"]["x"]),
    )  # fmt: skip
    conv.weight.data = weights
    reset = s.activation.MembraneReset if core["return_to_zero"] else s.activation.MembraneSubtract
    neurons = s.layers.IAFSqueeze(
        batch_size=1,
        spike_threshold=float(core["threshold_high"]),
        min_v_mem=float(core["threshold_low"]),
        reset_fn=reset(),
        spike_fn=s.activation.MultiSpike,
    )
    neurons.v_mem = s.torch.tensor(core["neurons_initial_value"]).double().transpose(1, 2)[None]
    pools = [(1, 1), *((d["pooling"], d["pooling"]) for d in enabled(core))]
    made = s.DynapcnnLayer(
        conv, neurons, in_shape=map_of(core, "input_shape"), pool=pools, discretize=False
    ).double()
    assert made.get_neuron_shape() == map_of(core, "output_shape")
    return lambda x: result if isinstance(result := made(x), tuple) else (result,)


@pytest.mark.parametrize(("reset", "chunk"), [("subtract", 5), ("zero", STEPS)])
def test_a_trained_network_runs_on_sinabs_as_in_the_emulator(
    data: Path, reset: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hidden layers, too: their spikes come back because --record watches their cores."""
    require_sinabs()
    with np.load(data / "zoo/digits_if_cnn.npz") as file:
        inputs = file["inputs"][:SAMPLES].reshape(SAMPLES, STEPS, -1)
    bundle = nirc.compile(data / "zoo/digits_if_cnn.nir", "speck", reset=reset, writer="nir").save(
        tmp_path / "bundle"
    )
    opened = nirc.Bundle.open(bundle)
    names = list(opened.manifest["populations"])
    want = opened.run(inputs, mode="synchronous", record=names)
    samna = samna_mock.make(opened.manifest["target"].removeprefix("speck:"), kind=SinabsBoard)
    monkeypatch.setitem(sys.modules, "samna", samna)
    board = loaded(bundle).load(settle=0.0, step_us=STEP_US, chunk=chunk)
    got = board.run(inputs, record="all")
    assert len(names) == 3 and want.outputs.sum() > 20
    np.testing.assert_array_equal(got["spikes"], want.outputs)
    for name in names:
        assert want.spikes[name].any()
        np.testing.assert_array_equal(got[f"spikes/{name}"], want.spikes[name], err_msg=name)
