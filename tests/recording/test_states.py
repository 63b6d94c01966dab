"""States between steps: handed on as the network returns them, and proved on every step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.recording.networks import louder, packages, refused, spikes, taken

if TYPE_CHECKING:
    import snntorch as snn
    import torch
    from torch import nn

pytestmark = pytest.mark.oracle
_packages = packages(globals(), snn="snntorch")


def net(forward: Any, **options: Any) -> Any:
    """Two layers of Leaky with this ``forward``. The same weights every time."""
    torch.manual_seed(0)
    made = type("Net", (nn.Module,), {"forward": forward})()
    made.fc1, made.lif1 = nn.Linear(12, 20), snn.Leaky(beta=0.9, **options)
    made.fc2, made.lif2 = nn.Linear(20, 5), snn.Leaky(beta=0.8, **options)
    return louder(made, 3)


def core(self: Any, x: Any, mem1: Any, mem2: Any) -> Any:
    spk1, mem1 = self.lif1(self.fc1(x), mem1)
    spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
    return spk2, mem1, mem2


def nested(self: Any, x: Any, st: Any = None) -> Any:
    mem1, mem2 = st if st is not None else (self.lif1.init_leaky(), self.lif2.init_leaky())
    spk2, mem1, mem2 = core(self, x, mem1, mem2)
    return spk2, (mem1, mem2)


def nested_in_none(self: Any, x: Any, state: Any = None) -> Any:
    mem1, mem2 = (None, None) if state is None else state
    spk2, mem1, mem2 = core(self, x, mem1, mem2)
    return spk2, [mem1, mem2]


def flat(self: Any, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
    if mem1 is None:
        mem1, mem2 = torch.zeros(len(x), 20), torch.zeros(len(x), 5)
    return core(self, x, mem1, mem2)


def output_last(self: Any, x: Any, mem1: Any, mem2: Any) -> Any:
    spk2, mem1, mem2 = core(self, x, mem1, mem2)
    return mem1, mem2, spk2


def flat_for_nested(self: Any, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
    spk2, mem1, mem2 = core(self, x, mem1, mem2)
    return spk2, (mem1, mem2)


def nested_for_flat(self: Any, x: Any, state: Any = None) -> Any:
    return core(self, x, *(state or (None, None)))


def with_more(self: Any, x: Any, state: Any = None, scale: float = 1.0) -> Any:
    """Something for the loss is returned beside the states."""
    spk2, state = nested_in_none(self, x, state)
    return spk2, state[1].mean(), state


def dictionary(self: Any, x: Any, *, state: Any = None) -> Any:
    state = state or {"one": self.lif1.init_leaky(), "two": self.lif2.init_leaky()}
    spk2, one, two = core(self, x, state["one"], state["two"])
    return spk2, {"one": one, "two": two}


def detached(self: Any, x: Any, state: Any = None) -> Any:
    mem1, mem2 = (None, None) if state is None else [m.detach() for m in state]
    spk2, mem1, mem2 = core(self, x, mem1, mem2)
    return spk2, (mem1, mem2)


def in_attributes(self: Any, x: Any) -> Any:
    spk2, self.mem1, self.mem2 = core(
        self, x, getattr(self, "mem1", None), getattr(self, "mem2", None)
    )
    return spk2


def in_neurons(self: Any, x: Any) -> Any:
    return core(self, x, None, None)


FORWARDS = [
    *(
        nested,
        nested_in_none,
        flat,
        output_last,
        flat_for_nested,
        nested_for_flat,
        with_more,
        dictionary,
        detached,
    ),
    *(in_attributes, in_neurons),
]


def truth(inputs: Any, **options: Any) -> Any:
    """The network's spikes, by a loop that hands the membranes on."""
    network, found = net(core, **options), []
    mem1, mem2 = torch.zeros(len(inputs), 20), torch.zeros(len(inputs), 5)
    with torch.no_grad():
        for x in torch.tensor(inputs, dtype=torch.float32).unbind(1):
            spk2, mem1, mem2 = core(network, x, mem1, mem2)
            found.append(spk2)
    return torch.stack(found, 1).numpy()


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("forward", FORWARDS)
def test_states_go_from_step_to_step_however_they_are_returned(
    forward: Any, samples: int, tmp_path: Path
) -> None:
    """Two samples are as many as the trace runs: nothing of it is left in the network."""
    inputs = spikes(12, samples=samples)
    result = taken(net(forward), inputs, tmp_path)
    np.testing.assert_array_equal(result.recorded.outputs, truth(inputs))
    assert result.equal == 1.0 and result.recorded.outputs.any() and not result.codes()


def test_recurrent_states_are_handed_on(tmp_path: Path) -> None:
    def forward(self: Any, x: Any, st: Any = None) -> Any:
        (spk, mem), mem2 = (
            st if st is not None else (self.lif1.init_rleaky(), self.lif2.init_leaky())
        )
        spk, mem = self.lif1(self.fc1(x), spk, mem)
        out, mem2 = self.lif2(self.fc2(spk), mem2)
        return out, ((spk, mem), mem2)

    network = net(forward)
    network.lif1 = snn.RLeaky(beta=0.9, linear_features=20)
    result = taken(network, spikes(12), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


def test_a_lone_neuron_keeps_its_states(tmp_path: Path) -> None:
    lone = snn.Leaky(beta=0.9, init_hidden=True, threshold=3.0)
    assert taken(lone, spikes(12, rate=0.6), tmp_path).equal == 1.0


def test_the_network_is_left_as_it_was(tmp_path: Path) -> None:
    network = net(in_attributes)
    before = set(vars(network))
    taken(network, spikes(12), tmp_path)
    assert set(vars(network)) == before and network.lif1.mem.numel() == 0


def forgets(self: Any, x: Any) -> Any:
    return core(self, x, self.lif1.init_leaky(), self.lif2.init_leaky())[0]


def forgets_one(self: Any, x: Any) -> Any:
    return core(self, x, None, torch.zeros(len(x), 5))[0]


def halves(self: Any, x: Any, state: Any = None) -> Any:
    mem1, mem2 = state or (None, None)
    return nested(self, x, None if state is None else (mem1 * 0.5, mem2))


def swaps(self: Any, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
    return core(self, x, *((None, None) if mem1 is None else (mem1.flip(0), mem2)))


@pytest.mark.parametrize("forward", [forgets, forgets_one, halves, swaps])
def test_states_that_do_not_go_on_are_refused(forward: Any, tmp_path: Path) -> None:
    finding = refused(net(forward), spikes(12), tmp_path)
    assert finding.code == "W215" and "does not begin call 2 with the states" in finding.message
    assert "step=" in finding.help


def test_a_step_of_your_own_that_forgets_is_refused(tmp_path: Path) -> None:
    network = net(nested)
    finding = refused(network, spikes(12), tmp_path, step=lambda x, state: (network(x)[0], None))
    assert finding.code == "W215" and "`lif1` does not begin call 2" in finding.message


def test_a_loop_inside_that_forgets_is_refused(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.stack([forgets(self, now) for now in x])

    assert refused(net(forward), spikes(12), tmp_path, layout="steps first").code == "W215"


def test_a_loop_inside_is_pointed_to_its_layout(tmp_path: Path) -> None:
    """Called once a step, the network takes samples for steps."""

    def forward(self: Any, x: Any) -> Any:
        mem1, mem2, found = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for now in x:
            spk2, mem1, mem2 = core(self, now, mem1, mem2)
            found.append(spk2)
        return torch.stack(found)

    finding = refused(net(forward), spikes(12), tmp_path)
    assert finding.code == "W215" and "layout=" in finding.help
    assert taken(net(forward), spikes(12), tmp_path, layout="steps first").equal == 1.0


@pytest.mark.parametrize("samples", [2, 3])
def test_states_of_an_earlier_run_are_refused(samples: int, tmp_path: Path) -> None:
    network, inputs = net(in_attributes), spikes(12, samples=samples)
    with torch.no_grad():
        network(torch.tensor(inputs[:, 0], dtype=torch.float32))
    finding = refused(network, inputs, tmp_path)
    assert (
        finding.code == "W215" and "`lif1` does not begin with its start states" in finding.message
    )
    assert "reset=" in finding.help
    result = taken(
        network, inputs, tmp_path, reset=lambda: vars(network).update(mem1=None, mem2=None)
    )
    np.testing.assert_array_equal(result.recorded.outputs, truth(inputs))


def last_spikes(self: Any, x: Any, last: Any = None) -> Any:
    """A layer of its own feeds the spikes back, which the caller hands on.

    Membranes are kept by the neurons.
    """
    current = self.fc1(x) if last is None else self.fc1(x) + last @ torch.ones(5, 20)
    return self.lif2(self.fc2(self.lif1(current)[0]))[0]


def last_of_several(self: Any, x: Any, last: Any = None) -> Any:
    """Returned beside the spikes is something for the loss, and it would fit in their place."""
    spk2 = last_spikes(self, x, last)
    return spk2, self.lif2.mem


def too_few(
    self: Any, x: Any, mem1: Any = None, mem2: Any = None, spk1: Any = None, spk2: Any = None
) -> Any:
    return core(self, x, mem1, mem2)


def anything(self: Any, *arguments: Any) -> Any:
    return nested(self, *arguments)


@pytest.mark.parametrize(
    ("forward", "what"),
    [
        (last_spikes, "`last` is no state of its neurons alone"),
        (last_of_several, "`last` is no state of its neurons alone"),
        (too_few, "what the network takes as `mem1`, `mem2`, `spk1`, `spk2`"),
        (anything, "which arguments the network takes"),
    ],
)
def test_what_is_not_clear_is_refused(forward: Any, what: str, tmp_path: Path) -> None:
    finding = refused(net(forward), spikes(12), tmp_path)
    assert finding.code == "W215" and what in finding.message and "step=" in finding.help
