"""A model in other units of voltage is the same network: every chip gives the same spikes."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import nirc

DT_S = 1e-3


def neurons(kind: str, n: int, volt: float) -> Any:
    zero, threshold = np.zeros(n), np.full(n, volt)
    if kind == "IF":
        return nir.IF(r=np.full(n, 1 / DT_S), v_threshold=threshold, v_reset=zero)
    leak: dict[str, Any] = {
        "r": np.full(n, 8.0),
        "v_leak": zero,
        "v_threshold": threshold,
        "v_reset": zero,
    }
    if kind == "LIF":
        return nir.LIF(tau=np.full(n, 8 * DT_S), **leak)
    synapse = {"tau_syn": np.full(n, 4 * DT_S), "w_in": np.full(n, 4.0)}
    return nir.CubaLIF(tau_mem=np.full(n, 8 * DT_S), **synapse, **leak)


def network(kind: str, volt: float) -> nir.NIRGraph:
    """Two layers whose weights, biases and thresholds are multiples of ``volt``."""
    rng = np.random.default_rng(1)
    nodes = {
        "in": nir.Input(np.array([8])),
        "w1": nir.Affine(volt * rng.normal(0.1, 0.5, (10, 8)), volt * rng.normal(0, 0.05, 10)),
        "a": neurons(kind, 10, volt),
        "w2": nir.Linear(volt * rng.normal(0.1, 0.5, (4, 10))),
        "b": neurons(kind, 4, volt),
        "out": nir.Output(np.array([4])),
    }
    return nir.NIRGraph(nodes, [("in", "w1"), ("w1", "a"), ("a", "w2"), ("w2", "b"), ("b", "out")])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize(
    ("chip", "kind"),
    [(c, k) for c in ("xylo", "loihi2", "spinnaker2") for k in ("IF", "LIF", "CubaLIF")]
    + [("speck", "IF"), ("speck", "LIF")],
)
def test_the_unit_of_voltage_changes_no_spike(chip: str, kind: str, reset: str) -> None:
    inputs = np.random.default_rng(0).poisson(0.4, (2, 40, 8))

    def spikes(volt: float) -> np.ndarray:
        bundle = nirc.compile(network(kind, volt), chip, reset=reset, writer="nir", dt=DT_S)
        return bundle.run(inputs).outputs

    plain = spikes(1.0)
    assert plain.any()
    for exponent in (-40, -14, 24):
        np.testing.assert_array_equal(
            spikes(2.0**exponent), plain, err_msg=f"a volt is 2**{exponent}"
        )
