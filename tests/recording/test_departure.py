"""Recordings that their file does not give: the first departure, and a proof of rounding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import nirc
from nirc.diagnostics.errors import Diagnostic
from tests.recording.networks import packages, spikes, taken

if TYPE_CHECKING:
    import snntorch as snn
    import torch
    from torch import nn

pytestmark = pytest.mark.oracle
_packages = packages(globals(), snn="snntorch")


def tied(forward: Any = None) -> Any:
    """Weights of tenths: membranes hit thresholds, and float32 decides to which side they fall."""
    torch.manual_seed(0)
    kind = {"forward": forward} if forward is not None else {}
    network = type("Net", (nn.Sequential,), kind)(
        nn.Linear(12, 20, bias=False),
        snn.Leaky(beta=1.0, threshold=0.5, init_hidden=True),
        nn.Linear(20, 5, bias=False),
        snn.Leaky(beta=1.0, threshold=0.7, init_hidden=True),
    )
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.weight.copy_(torch.round(torch.randn_like(layer.weight) * 3) / 10)
    return network


def told(recorded: nirc.Recorded) -> Diagnostic:
    (finding,) = [d for d in recorded.diagnostics if d.code == "W204"]
    return finding


def test_rounding_is_proved_by_a_run_in_float64(tmp_path: Path) -> None:
    network, inputs = tied(), spikes(12)
    network[0].weight.grad = torch.ones_like(network[0].weight)
    finding = told(taken(network, inputs, tmp_path).recorded)
    assert (
        "is the first to depart" in finding.help
        and "rounding to float32 is the cause" in finding.help
    )
    assert (
        all(p.dtype == torch.float32 for p in network.parameters())
        and torch.get_default_dtype() == torch.float32
    )
    assert (
        all(b.dtype != torch.float64 for b in network.buffers())
        and network[0].weight.grad.dtype == torch.float32
    )


def test_the_first_neuron_that_departs_is_named(tmp_path: Path) -> None:
    """It is in the first layer, and the output departs later."""
    network, inputs = tied(), spikes(12)
    finding = told(taken(network, inputs, tmp_path).recorded)
    with torch.no_grad():
        current = network[0](torch.tensor(inputs[:, 0], dtype=torch.float32))
        exact = torch.nn.functional.linear(
            torch.tensor(inputs[:, 0], dtype=torch.float64), network[0].weight.double()
        )
    sample, neuron = (int(k) for k in ((current > 0.5) != (exact > 0.5)).nonzero()[0])
    assert finding.help.startswith(
        f"`1`, neuron {neuron}, is the first to depart, at sample {sample}, step 0: "
    )


def test_another_cause_is_no_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says another reset than the network has."""
    from nirc.recording import snntorch

    monkeypatch.setitem(snntorch.RESETS, "_base_sub", "none")
    monkeypatch.setattr(snn.Leaky, "reset_mechanism", "none")
    network = tied()
    with torch.no_grad():
        network[0].weight.add_(0.0123)
    finding = told(taken(network, spikes(12), tmp_path).recorded)
    assert (
        "so that rounding is not all: report it" in finding.help and "`1`, neuron" in finding.help
    )


def test_a_network_that_takes_float32_only_is_said_to(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return nn.Sequential.forward(self, x)

    finding = told(taken(tied(forward), spikes(12), tmp_path).recorded)
    assert "does not run in float64" in finding.help and "is the first to depart" in finding.help


def test_layers_in_a_loop_are_compared_too(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.stack([nn.Sequential.forward(self, now) for now in x])

    finding = told(taken(tied(forward), spikes(12), tmp_path, layout="steps first").recorded)
    assert (
        finding.help.startswith("`1`, neuron ")
        and "rounding to float32 is the cause" in finding.help
    )


def test_numbers_behind_the_last_neurons_are_compared_within_what_float32_leaves(
    tmp_path: Path,
) -> None:
    network = tied()
    network[3] = nn.Identity()
    recorded = taken(network, np.zeros((1, 5, 12)), tmp_path).recorded
    assert recorded.equal == 1.0
