"""Sinabs networks recorded: squeezed or not, with what their files leave out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recording.networks import louder, packages, refused, spikes, taken, without_note

if TYPE_CHECKING:
    import sinabs.activation as sa
    import sinabs.layers as sl
    import torch
    from torch import nn

pytestmark = pytest.mark.oracle
_packages = packages(globals(), sl="sinabs.layers", sa="sinabs.activation")


def chain(*modules: Any) -> Any:
    return louder(nn.Sequential(*modules), 3)


def dense(neurons: Any, last: Any = None) -> Any:
    """12 inputs, 20 neurons and 5. ``neurons()`` makes a layer."""
    return chain(nn.Linear(12, 20), neurons(), nn.Linear(20, 5, bias=False), (last or neurons)())


DEFAULT = "sinabs,spikes=many,reset=subtract,floor=none,norm_input=yes"


@pytest.mark.parametrize(
    ("neurons", "text"),
    [
        (lambda: sl.IAF(), DEFAULT),
        (lambda: sl.IAF(spike_fn=sa.SingleSpike), DEFAULT.replace("many", "one")),
        (lambda: sl.IAF(spike_fn=sa.MaxSpike(3)), DEFAULT.replace("many", "3")),
        (lambda: sl.IAF(reset_fn=sa.MembraneReset()), DEFAULT.replace("subtract", "zero")),
        (lambda: sl.IAF(min_v_mem=-0.25), DEFAULT.replace("none", "-0.25")),
        (lambda: sl.LIF(tau_mem=10.0, spike_threshold=torch.tensor(0.2)), DEFAULT),
        (lambda: sl.LIF(tau_mem=10.0, norm_input=False), DEFAULT.replace("yes", "no")),
        (
            lambda: sl.LIF(tau_mem=10.0, norm_input=False, train_alphas=True),
            DEFAULT.replace("yes", "no"),
        ),
    ],
)
def test_every_choice_is_read_from_what_the_functions_do(
    neurons: Any, text: str, tmp_path: Path
) -> None:
    result = taken(dense(neurons), spikes(12), tmp_path)
    assert result.recorded.text == text
    assert (
        result.recorded.equal == result.equal == 1.0
        and result.recorded.outputs.any()
        and not result.codes()
    )


@pytest.mark.parametrize(("tau", "reading"), [(8.0, "sinabs, conclusive"), (None, "nir, open")])
def test_the_file_has_the_fingerprints_of_sinabs_too(
    tau: float | None, reading: str, tmp_path: Path
) -> None:
    """A dense network of IF neurons may be Norse's as well."""
    network = dense(lambda: sl.IAF() if tau is None else sl.LIF(tau_mem=tau))
    assert without_note(taken(network, spikes(12), tmp_path).recorded.model) == reading


@pytest.mark.parametrize("made_for", [{"batch_size": 7}, {"num_timesteps": 11}])
def test_squeezed_layers_are_set_to_the_recording_and_set_back(
    made_for: Any, tmp_path: Path
) -> None:
    network = chain(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        sl.IAFSqueeze(**made_for),
        sl.SumPool2d(2),
        nn.Conv2d(6, 8, 3, padding="same", groups=2),
        sl.IAFSqueeze(spike_threshold=torch.tensor(2.0), **made_for),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
        sl.IAFSqueeze(**made_for),
    )
    result = taken(network, spikes(2, 8, 8, steps=12), tmp_path)
    assert (
        result.recorded.outputs.shape == (3, 12, 5)
        and result.recorded.outputs.any()
        and result.equal == 1.0
    )
    assert (network[1].batch_size, network[1].num_timesteps) == (
        made_for.get("batch_size", -1),
        made_for.get("num_timesteps", -1),
    )


def test_convolutions_between_layers_that_are_not_squeezed(tmp_path: Path) -> None:
    network = chain(
        sl.FlattenTime(), nn.Conv1d(2, 6, 3, padding=1), sl.UnflattenTime(batch_size=1), sl.IAF(),
        sl.Repeat(nn.Flatten()), nn.Linear(48, 5), sl.IAF(),
    )  # fmt: skip
    assert taken(network, spikes(2, 8), tmp_path).equal == 1.0


@pytest.mark.parametrize("normed", [True, False])
def test_a_last_leak_keeps_its_norm_input(normed: bool, tmp_path: Path) -> None:
    """Sinabs' file has no place for norm_input: a Scale stands for it, and a warning names it."""
    last = lambda: sl.ExpLeak(tau_mem=20.0, norm_input=normed)  # noqa: E731
    result = taken(
        dense(lambda: sl.LIF(tau_mem=10.0, norm_input=False), last), spikes(12), tmp_path
    )
    assert result.recorded.text.endswith("norm_input=no") and result.equal == 1.0
    assert result.codes() == ({"W213"} if normed else set())


def test_recurrent_layers_are_reset_and_recorded(tmp_path: Path) -> None:
    """``sinabs.reset_states`` leaves them as they are."""
    cell = sl.LIFRecurrent(
        tau_mem=10.0, norm_input=False, rec_connect=nn.Linear(20, 20, bias=False)
    )
    network = chain(nn.Linear(12, 20), cell, nn.Linear(20, 5), sl.IAF())
    network(torch.ones(1, 9, 12))
    assert taken(network, spikes(12), tmp_path).equal == 1.0


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (lambda: sl.LIF(tau_mem=10.0, tau_syn=5.0), "tau_syn"),
        (lambda: sl.IAF(reset_fn=sa.MembraneReset(0.2)), "reset_fn"),
        (lambda: sl.IAF(reset_fn=sa.MembraneSubtract(0.5)), "reset_fn"),
        (
            lambda: sl.IAFRecurrent(rec_connect=nn.Linear(20, 20)),
            "`1.rec_connect`: its bias begins in the second step",
        ),
        (
            lambda: sl.IAFRecurrent(rec_connect=nn.Sequential(nn.Linear(20, 20))),
            "rec_connect is not one layer",
        ),
    ],
)
def test_what_no_file_of_sinabs_can_say_is_refused(layer: Any, what: str, tmp_path: Path) -> None:
    finding = refused(chain(nn.Linear(12, 20), layer()), spikes(12), tmp_path)
    assert finding.code == "W212" and finding.where.startswith("1") and what in finding.message


def test_lower_bounds_that_differ_are_refused(tmp_path: Path) -> None:
    network = dense(lambda: sl.IAF(min_v_mem=-1.0), sl.IAF)
    finding = refused(network, spikes(12), tmp_path)
    assert (
        finding.code == "W211"
        and finding.found == "floor=none in `3`"
        and "floor=-1" in finding.expected
    )
