"""The vendor's simulator xylosim v2 behind the emulator's names."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nirc.backends.xylo.config import Specification


def require_xylosim() -> ModuleType:
    """The module ``xylosim.v2``.

    Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1.
    """
    try:
        import xylosim.v2
    except ImportError as error:
        reason = (
            f"the vendor's simulator is missing ({error}); install it: pip install xylosim==0.1.3"
        )
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    module: ModuleType = xylosim.v2
    return module


class Oracle:
    """One network in xylosim.

    It keeps the synapse lists: the layer holds raw pointers into them.
    """

    def __init__(self, v2: ModuleType, spec: Specification, *, has_bias: bool = True) -> None:
        self.hidden, self.outputs = spec.weights_out.shape
        self.synapses = [
            _synapses(v2, spec.weights_in),
            _synapses(v2, spec.weights_rec),
            _synapses(v2, spec.weights_out[..., None]),
        ]
        self.layer = v2.XyloLayer(
            *self.synapses,
            [[target] if target >= 0 else [] for target in spec.aliases.tolist()],
            spec.threshold.tolist(),
            spec.threshold_out.tolist(),
            has_bias,
            spec.bias_hidden.tolist(),
            spec.bias_out.tolist(),
            spec.weight_shift_in,
            spec.weight_shift_rec,
            spec.weight_shift_out,
            spec.dash_mem.tolist(),
            spec.dash_mem_out.tolist(),
            np.stack([spec.dash_syn, spec.dash_syn_2], axis=1).tolist(),
            spec.dash_syn_out[:, None].tolist(),
            "oracle",
        )

    def run_sample(self, raster: list[list[int]]) -> Any:
        """Output spikes (steps x outputs, lists) from zero states; records are left in
        ``layer``.
        """
        self.layer.reset_all()
        return self.layer.evolve(raster)

    def trace(self, raster: np.ndarray) -> dict[str, np.ndarray]:
        """``raster`` (samples, steps, inputs). Each state as (samples, steps, neurons)."""
        samples = [self._trace_sample(sample) for sample in raster.tolist()]
        return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}

    def _trace_sample(self, raster: list[list[int]]) -> dict[str, np.ndarray]:
        output = self.run_sample(raster)
        layer = self.layer
        return {
            "hidden": np.array(layer.rec_recurrent_spikes),
            "readout": np.array(output),
            "v/hidden": np.array(layer.rec_v_mem).T,
            "v/readout": np.array(layer.rec_v_mem_out).T,
            "isyn/hidden": np.array(layer.rec_i_syn).T,
            "isyn2/hidden": np.array(layer.rec_i_syn2).T,
            "isyn/readout": np.array(layer.rec_i_syn_out).T,
        }


def _synapses(v2: ModuleType, weights: np.ndarray) -> list[list[Any]]:
    """xylosim's list for each source of ``weights`` (sources, targets, synapses); zeros are left
    out.
    """
    return [
        [v2.XyloSynapse(int(j), int(k), int(row[j, k])) for j, k in np.argwhere(row)]
        for row in weights
    ]
