"""Rockpool networks recorded.

Rockpool is not installed in CI: where it is missing, these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recording.networks import louder, packages, refused, spikes, taken, without_note

if TYPE_CHECKING:
    import rockpool.nn.combinators as rc
    import rockpool.nn.modules as rm
    import torch
_packages = packages(globals(), rm="rockpool.nn.modules", rc="rockpool.nn.combinators")


def dense(neurons: Any, last: Any = None, **options: Any) -> Any:
    """12 inputs, 20 neurons and 5. ``neurons(n)`` makes a layer."""
    return louder(
        rc.Sequential(
            rm.LinearTorch((12, 20)),
            neurons(20),
            rm.LinearTorch((20, 5), has_bias=True),
            (last or neurons)(5),
        ),
        0.6,
    )


@pytest.mark.parametrize(
    ("neurons", "last", "text"),
    [
        (lambda n: rm.LIFTorch(n), None, "rockpool,spikes=many"),
        (lambda n: rm.LIFTorch(n, max_spikes_per_dt=1), None, "rockpool,spikes=1"),
        (
            lambda n: rm.LIFTorch(n, dt=2e-3, tau_mem=torch.rand(n) * 0.02 + 0.01),
            None,
            "rockpool,spikes=many",
        ),
        (lambda n: rm.LIFTorch(n, threshold=torch.rand(n) + 0.5), None, "rockpool,spikes=many"),
        (
            lambda n: rm.LIFTorch(n, leak_mode="decays", threshold=0.05),
            None,
            "rockpool,spikes=many",
        ),
        (lambda n: rm.LIFNeuronTorch(n), None, "rockpool,spikes=many"),
        (lambda n: rm.LIFTorch(n), lambda n: rm.ExpSynTorch(n), "rockpool,spikes=many"),
    ],
)
def test_neurons_and_their_choices(neurons: Any, last: Any, text: str, tmp_path: Path) -> None:
    result = taken(dense(neurons, last), spikes(12, rate=0.2), tmp_path)
    assert result.recorded.text == text
    assert (
        result.recorded.equal == result.equal == 1.0
        and result.recorded.outputs.any()
        and not result.codes()
    )


@pytest.mark.parametrize(
    "neurons",
    [
        lambda n: rm.LIFTorch(n, bias=torch.rand(n) * 0.05),
        lambda n: rm.LIFNeuronTorch(n, bias=0.03),
        lambda n: rm.LIFTorch(n, has_rec=True, w_rec=torch.randn(n, n) * 0.02),
    ],
)
def test_biases_and_recurrent_weights_are_in_the_file(neurons: Any, tmp_path: Path) -> None:
    """Rockpool's exporter leaves both out. A warning names them."""
    result = taken(dense(neurons), spikes(12, rate=0.1), tmp_path)
    assert result.equal == 1.0 and result.codes() == {"W213"} and result.recorded.outputs.any()


@pytest.mark.parametrize(
    ("bound", "weight", "text"), [(2**16, 5e3, "65536"), (2**16, 1, "many"), (1e6, 5e3, "many")]
)
def test_a_large_bound_is_written_if_it_is_reached(
    bound: float, weight: float, text: str, tmp_path: Path
) -> None:
    """Rockpool's default is 65536 spikes in a step, which a network that runs away reaches."""
    network = rc.Sequential(
        rm.LinearTorch((12, 5)), rm.LIFTorch(5, max_spikes_per_dt=bound, tau_mem=0.02)
    )
    with torch.no_grad():
        network[0].weight.fill_(weight)
    result = taken(network, spikes(12), tmp_path)
    assert result.recorded.text == f"rockpool,spikes={text}"
    assert (result.equal == 1.0) == (bound == 2**16)  # float32 rounds where more spikes are counted
    assert (result.recorded.outputs.max() >= 2**16) == (weight > 1)


def test_rounding_is_proved_by_a_run_in_float64(tmp_path: Path) -> None:
    """Weights of tenths hit the threshold. Spikes of Rockpool are in float32, and feed a cell."""
    cell = rm.LIFTorch(5, has_rec=True, w_rec=torch.zeros(5, 5))
    neurons = rm.LIFNeuronTorch(20, tau_mem=1e6, threshold=0.5)
    network = rc.Sequential(rm.LinearTorch((12, 20)), neurons, rm.LinearTorch((20, 5)), cell)
    with torch.no_grad():
        network[0].weight.copy_(torch.round(torch.randn_like(network[0].weight) * 3) / 10)
    recorded = taken(network, spikes(12), tmp_path).recorded
    (finding,) = [d for d in recorded.diagnostics if d.code == "W204"]
    assert finding.help.startswith("`1_LIFNeuronTorch`, neuron ")
    assert "rounding to float32 is the cause" in finding.help


def test_layers_may_have_different_large_bounds_that_none_reaches(tmp_path: Path) -> None:
    network = dense(lambda n: rm.LIFTorch(n), lambda n: rm.LIFTorch(n, max_spikes_per_dt=1e6))
    assert taken(network, spikes(12), tmp_path).recorded.text == "rockpool,spikes=many"


def test_the_file_has_the_fingerprints_of_rockpool_too(tmp_path: Path) -> None:
    model = taken(dense(lambda n: rm.LIFTorch(n)), spikes(12), tmp_path).recorded.model
    assert without_note(model) == "rockpool, conclusive"


def test_a_residual_and_the_torch_interface(tmp_path: Path) -> None:
    inner = rc.Residual(rm.LIFTorch(20), rm.LinearTorch((20, 20)), rm.LIFTorch(20))
    network = louder(
        rc.Sequential(rm.LinearTorch((12, 20)), inner, rm.LinearTorch((20, 5)), rm.LIFTorch(5)), 0.3
    )
    result = taken(network.to_torch(), spikes(12, rate=0.1), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


@pytest.mark.parametrize(
    ("make", "code", "what"),
    [
        (lambda: dense(lambda n: rm.LIFTorch(n, noise_std=0.1)), "W212", "noise"),
        (
            lambda: rc.Sequential(rm.LinearTorch((12, 40)), rm.LIFTorch((40, 20))),
            "W212",
            "several synapses",
        ),
        (
            lambda: dense(lambda n: rm.LIFTorch(n), lambda n: rm.LIFTorch(n, dt=2e-3)),
            "W211",
            "differ in `dt`",
        ),
        (
            lambda: dense(lambda n: rm.LIFTorch(n), lambda n: rm.LIFTorch(n, max_spikes_per_dt=2)),
            "W211",
            "`spikes`",
        ),
        (lambda: dense(lambda n: rm.RateTorch(n)), "W210", "RateTorch"),
    ],
)
def test_what_no_file_of_rockpool_can_say_is_refused(
    make: Any, code: str, what: str, tmp_path: Path
) -> None:
    finding = refused(make(), spikes(12), tmp_path)
    assert finding.code == code and what in finding.message
