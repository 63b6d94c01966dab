"""Norse networks recorded.

Norse is not installed in CI: where it is missing, these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
from tests.recording.networks import louder, packages, refused, spikes, taken

if TYPE_CHECKING:
    import norse.torch as norse
    import torch
    from torch import nn
_packages = packages(globals(), norse="norse.torch")


def chain(*modules: Any, factor: float = 40) -> Any:
    return louder(norse.SequentialState(*modules), factor)


def dense(neurons: Any, last: Any = None, factor: float = 40) -> Any:
    return chain(
        nn.Linear(12, 20),
        neurons(),
        nn.Linear(20, 5, bias=False),
        (last or neurons)(),
        factor=factor,
    )


def box(**parameters: Any) -> Any:
    return norse.LIFBoxCell(norse.LIFBoxParameters(**parameters))


def subtracting() -> Any:
    from norse.torch.functional.reset import reset_subtract

    return box(reset_method=reset_subtract)


def iaf(**parameters: Any) -> Any:
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.module.iaf import IAFCell

    return IAFCell(IAFParameters(**parameters))


def readout() -> Any:
    from norse.torch.module.leaky_integrator_box import LIBoxCell

    return LIBoxCell()


@pytest.mark.parametrize(
    ("neurons", "last", "text"),
    [
        (lambda: box(), None, "norse,dt=1e-3,reset=zero"),
        (lambda: norse.LIFBoxCell(dt=2e-4), None, "norse,dt=0.0002,reset=zero"),
        (subtracting, None, "norse,dt=1e-3,reset=subtract"),
        (lambda: norse.LIFCell(), None, "norse,dt=1e-3,reset=zero"),
        (lambda: iaf(), None, "norse,dt=1e-3,reset=zero"),
        (lambda: box(), readout, "norse,dt=1e-3,reset=zero"),
        (lambda: norse.LIFCell(), lambda: norse.LICell(), "norse,dt=1e-3,reset=zero"),
    ],
)
def test_cells_and_their_choices(neurons: Any, last: Any, text: str, tmp_path: Path) -> None:
    result = taken(dense(neurons, last, factor=150), spikes(12), tmp_path)
    assert result.recorded.text == text
    assert (
        result.recorded.equal == result.equal == 1.0
        and result.recorded.outputs.any()
        and not result.codes()
    )


@pytest.mark.parametrize(
    "neurons",
    [
        lambda: box(v_leak=torch.tensor(0.2), v_reset=torch.tensor(-0.3)),
        lambda: norse.LIFCell(
            norse.LIFParameters(v_leak=torch.tensor(0.3), v_reset=torch.tensor(-0.2))
        ),
        lambda: iaf(v_reset=torch.tensor(0.2)),
    ],
)
def test_reset_voltages_and_what_neurons_start_from(neurons: Any, tmp_path: Path) -> None:
    result = taken(dense(neurons), spikes(12), tmp_path)
    assert result.equal == 1.0 and result.codes() == {"W213"} and result.recorded.outputs.any()


def test_recurrent_cells_have_weights_of_their_own(tmp_path: Path) -> None:
    network = chain(norse.LIFRecurrentCell(12, 20), nn.Linear(20, 5), norse.LIFCell(), factor=8)
    result = taken(network, spikes(12), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain(
            norse.Lift(nn.Linear(12, 20)), norse.LIF(), norse.Lift(nn.Linear(20, 5)), norse.LIF()
        ),
        lambda: norse.Lift(dense(box)),
        lambda: chain(norse.LIFRecurrent(12, 20), nn.Linear(20, 5), norse.LIF(), factor=8),
    ],
)
def test_layers_with_time_take_all_steps_first(make: Any, tmp_path: Path) -> None:
    result = taken(make(), spikes(12), tmp_path)
    assert (
        result.equal == 1.0
        and result.recorded.outputs.shape == (3, 30, 5)
        and result.recorded.outputs.any()
    )


def test_a_network_that_hands_its_states_on(tmp_path: Path) -> None:
    def forward(self: Any, x: Any, state: Any = None) -> Any:
        first, second = state or (None, None)
        spikes_, first = self.one(self.a(x), first)
        spikes_, second = self.two(self.b(spikes_), second)
        return spikes_, (first, second)

    network = type("Net", (nn.Module,), {"forward": forward})()
    network.a, network.one, network.b, network.two = (
        nn.Linear(12, 20),
        box(),
        nn.Linear(20, 5),
        box(),
    )
    result = taken(louder(network, 40), spikes(12), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


def test_a_network_that_forgets_its_states_is_refused(tmp_path: Path) -> None:
    """A cell of Norse has no states of its own: without any it begins anew."""

    def forward(self: Any, x: Any, state: Any = None) -> Any:
        spikes_, first = self.one(self.a(x), state)
        return self.two(self.b(spikes_))[0], first

    network = type("Net", (nn.Module,), {"forward": forward})()
    network.a, network.one, network.b, network.two = (
        nn.Linear(12, 20),
        box(),
        nn.Linear(20, 5),
        box(),
    )
    finding = refused(louder(network, 40), spikes(12), tmp_path)
    assert finding.code == "W215" and "`two` does not begin call 2" in finding.message


def test_parameters_are_in_float64_where_rounding_is_looked_for(tmp_path: Path) -> None:
    """Norse keeps them in tuples, outside of torch's parameters."""
    network = dense(lambda: box(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.5)))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.weight.copy_(torch.round(torch.randn_like(layer.weight) * 3))
    from nirc.recording.norse import SIMULATOR
    from nirc.recording.running import Runner

    inputs = spikes(12)
    result = taken(network, inputs, tmp_path)
    runner = Runner(network, SIMULATOR, "step", step=None, reset=None, output=None)
    runner.trace(inputs, Log())
    exact = runner.run_in_float64(inputs, (5,), Log())
    stages = lower(str(result.recorded.model), Options(), log=Log())
    np.testing.assert_array_equal(exact, run(stages.reference, inputs).outputs)
    assert exact.any() and network[1].p.v_th.dtype == torch.float32


def test_convolutions_and_a_flatten(tmp_path: Path) -> None:
    network = chain(nn.Conv2d(2, 4, 3, padding=1), box(), nn.Flatten(), nn.Linear(256, 5), box())
    result = taken(network, spikes(2, 8, 8), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


@pytest.mark.parametrize(
    ("make", "code", "what"),
    [
        (lambda: dense(box, lambda: norse.LIFBoxCell(dt=1e-4)), "W211", "differ in `dt`"),
        (lambda: dense(subtracting, lambda: norse.LIFCell()), "W211", "differ in `reset`"),
        (lambda: dense(lambda: norse.LIFBoxCell(dt=1.0)), "W212", "time step"),
        (lambda: chain(nn.Linear(12, 20), norse.LSNNCell()), "W210", "LSNNCell"),
    ],
)
def test_what_no_file_of_norse_can_say_is_refused(
    make: Any, code: str, what: str, tmp_path: Path
) -> None:
    finding = refused(make(), spikes(12), tmp_path)
    assert finding.code == code and what in finding.message
