"""snnTorch networks recorded: the file alone gives the simulator's outputs, or there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import nirc
from nirc.api import Options
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.verification.which_rule import compare
from tests.recording.networks import louder, packages, refused, spikes, taken, without_note

if TYPE_CHECKING:
    import snntorch as snn
    import torch
    from torch import nn

pytestmark = pytest.mark.oracle
_packages = packages(globals(), snn="snntorch")


def chain(*modules: Any) -> Any:
    return louder(nn.Sequential(*modules), 3)


def cells(kind: str, n: int, **options: Any) -> Any:
    """Neurons of one kind with the states inside."""
    return {
        "leaky": lambda: snn.Leaky(beta=0.9, init_hidden=True, **options),
        "synaptic": lambda: snn.Synaptic(
            alpha=0.7, beta=torch.rand(n), init_hidden=True, **options
        ),
        "rleaky": lambda: snn.RLeaky(beta=0.9, linear_features=n, init_hidden=True, **options),
        "one-to-one": lambda: snn.RLeaky(
            beta=0.9, all_to_all=False, V=0.4, init_hidden=True, **options
        ),
        "rsynaptic": lambda: snn.RSynaptic(
            alpha=0.8, beta=0.9, linear_features=n, init_hidden=True, **options
        ),
    }[kind]()


def net(forward: Any, **layers: Any) -> Any:
    """A module with these layers and this ``forward``."""
    made = type("Net", (nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        setattr(made, name, layer)
    return louder(made, 3)


def two_layers(forward: Any, **options: Any) -> Any:
    return net(
        forward,
        fc1=nn.Linear(12, 20),
        lif1=snn.Leaky(beta=0.9),
        fc2=nn.Linear(20, 5),
        output=snn.Leaky(beta=0.8),
    )


@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("kind", ["leaky", "synaptic", "rleaky"])
def test_every_reset_of_every_neuron_is_in_the_file(
    kind: str, reset: str, delay: bool, tmp_path: Path
) -> None:
    choices = {"reset_mechanism": reset, "reset_delay": delay}
    network = chain(
        nn.Linear(12, 20),
        cells(kind, 20, **choices),
        nn.Linear(20, 5),
        cells("leaky", 5, output=True, **choices),
    )
    result = taken(network, spikes(12), tmp_path)
    assert result.recorded.text == f"snntorch,reset={reset},reset_delay={'yes' if delay else 'no'}"
    assert result.recorded.outputs.shape == (3, 30, 5) and result.recorded.outputs.any()
    assert result.recorded.equal == result.equal == 1.0 and not result.codes()


@pytest.mark.parametrize("kind", ["rsynaptic", "one-to-one"])
def test_other_recurrent_cells(kind: str, tmp_path: Path) -> None:
    network = chain(nn.Linear(12, 20), cells(kind, 20, output=True, reset_mechanism="zero"))
    assert taken(network, spikes(12), tmp_path).equal == 1.0


def test_a_scalar_beta_whose_exporter_raises_is_written_for_every_neuron(tmp_path: Path) -> None:
    from snntorch.export_nir import export_to_nir

    network = chain(nn.Linear(12, 20), cells("leaky", 20, output=True))
    for sample, ignored in (
        (torch.zeros(1, 12), []),
        (torch.zeros(12), []),
        (torch.zeros(1, 12), [0]),
    ):
        with pytest.raises(ValueError, match="type mismatch"):
            export_to_nir(network, sample, ignore_dims=ignored)
    assert taken(network, spikes(12), tmp_path).equal == 1.0


def test_convolutions_pools_and_a_flatten(tmp_path: Path) -> None:
    """Groups and oblong kernels are written so that nir.read opens them."""
    network = chain(
        nn.Conv2d(2, 6, 3, padding="same", bias=False),
        cells("leaky", 6),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 8, (3, 1), padding=(1, 0), groups=2),
        cells("leaky", 8),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(128, 5),
        cells("leaky", 5, output=True),
    )
    result = taken(network, spikes(2, 8, 8), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


def test_a_map_that_feeds_itself_through_a_convolution(tmp_path: Path) -> None:
    cell = snn.RLeaky(beta=0.9, conv2d_channels=4, kernel_size=3, init_hidden=True)
    network = chain(
        nn.Conv2d(2, 4, 3, padding=1), cell, nn.Flatten(), nn.Linear(144, 5), cells("leaky", 5)
    )
    assert taken(network, spikes(2, 6, 6), tmp_path).equal == 1.0


def test_a_last_layer_without_neurons_is_recorded_as_numbers(tmp_path: Path) -> None:
    result = taken(
        chain(nn.Linear(12, 20), cells("leaky", 20), nn.Linear(20, 5)), spikes(12), tmp_path
    )
    assert result.equal == 1.0 and (result.recorded.outputs % 1 != 0).any()


def test_a_beta_of_1_and_of_0_and_graded_spikes(tmp_path: Path) -> None:
    """graded_spikes_factor is in the file. The exporter leaves it out, and a warning names it."""
    first = snn.Leaky(beta=0.0, init_hidden=True, graded_spikes_factor=2.0)
    network = chain(
        nn.Linear(12, 20), first, nn.Linear(20, 5), snn.Leaky(beta=1.0, init_hidden=True)
    )
    result = taken(network, spikes(12), tmp_path)
    assert result.equal == 1.0 and result.codes() == {"W213"}
    assert any(
        "`1`" in w and "graded_spikes_factor" in w and "[W213]" in w for w in result.warnings
    )


def test_graded_spikes_come_back_graded(tmp_path: Path) -> None:
    cell = cells("rleaky", 20)
    cell.graded_spikes_factor = torch.tensor(0.5)
    result = taken(
        chain(nn.Linear(12, 20), cell, nn.Linear(20, 5), cells("leaky", 5)), spikes(12), tmp_path
    )
    assert result.equal == 1.0 and result.recorded.outputs.any()


def by_steps(self: Any, x: Any) -> Any:
    """Make one step. The neurons keep their states."""
    spk1, _ = self.lif1(self.fc1(x))
    return self.output(self.fc2(spk1))


def test_named_attributes_keep_their_names_beside_the_ports(tmp_path: Path) -> None:
    import nir

    result = taken(two_layers(by_steps), spikes(12), tmp_path)
    assert result.equal == 1.0
    graph = nir.read(result.recorded.model)
    assert set(graph.nodes) == {"input", "fc1", "lif1", "fc2", "output_", "output"}
    assert ("output_", "output") in graph.edges


def looped(self: Any, x: Any) -> Any:
    """All steps of (steps, samples, channels), as in the tutorials of snnTorch."""
    mem1, mem2, spikes_, membranes = self.lif1.init_leaky(), self.output.init_leaky(), [], []
    for step in range(x.size(0)):
        spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
        spk2, mem2 = self.output(self.fc2(spk1), mem2)
        spikes_.append(spk2)
        membranes.append(mem2)
    return torch.stack(spikes_), torch.stack(membranes)


def test_a_loop_over_steps_inside_of_the_network(tmp_path: Path) -> None:
    result = taken(two_layers(looped), spikes(12), tmp_path, layout="steps first")
    assert result.equal == 1.0 and result.recorded.outputs.shape == (3, 30, 5)


def into_a_tensor(self: Any, x: Any) -> Any:
    """All steps of (samples, steps, channels), written into a tensor."""
    out = torch.zeros(x.shape[0], x.shape[1], 5)
    for step, now in enumerate(x.transpose(0, 1)):
        spk1, _ = self.lif1(self.fc1(now))
        out[:, step] = self.output(self.fc2(spk1))[0]
    return out


def test_outputs_that_are_written_into_a_tensor(tmp_path: Path) -> None:
    assert (
        taken(two_layers(into_a_tensor), spikes(12), tmp_path, layout="samples first").equal == 1.0
    )


def test_a_step_of_your_own(tmp_path: Path) -> None:
    def forward(self: Any, x: Any, mem1: Any, mem2: Any) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.output(self.fc2(spk1), mem2)
        return mem1, mem2, spk2

    network = two_layers(forward)

    def step(x: Any, state: Any) -> Any:
        mem1, mem2, spk2 = network(x, *(state or (None, None)))
        return spk2, (mem1, mem2)

    assert taken(network, spikes(12), tmp_path, step=step).equal == 1.0


@pytest.mark.parametrize(("reset", "delay"), [("subtract", "yes"), ("zero", "no")])
def test_recurrence_by_a_layer_of_your_own(reset: str, delay: str, tmp_path: Path) -> None:
    """Leaky resets to zero at once. nirc takes a neuron that feeds itself for a cell: later."""

    def forward(self: Any, x: Any) -> Any:
        current = self.fc1(x)
        if self.last is not None:
            current = current + self.rec(self.last)
        self.last, _ = self.lif1(current)
        return self.last

    lif = snn.Leaky(beta=0.9, reset_mechanism=reset)
    network = net(
        forward, fc1=nn.Linear(12, 20), rec=nn.Linear(20, 20, bias=False), lif1=lif, last=None
    )
    result = taken(network, spikes(12), tmp_path, reset=lambda: setattr(network, "last", None))
    assert result.recorded.text == f"snntorch,reset={reset},reset_delay={delay}"
    assert result.equal == 1.0 and result.recorded.outputs.any()


def test_sums_and_layers_that_are_used_twice(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        one = self.lif1(self.pool(self.conv1(x)))
        two = self.lif2(self.pool(self.conv2(x)))
        return self.lif3(self.fc(torch.flatten(one + two, 1)))

    network = net(
        forward,
        pool=nn.AvgPool2d(2),
        conv1=nn.Conv2d(2, 3, 3, padding=1),
        conv2=nn.Conv2d(2, 3, 1),
        fc=nn.Linear(27, 4),
        **{f"lif{i}": snn.Leaky(beta=0.9, init_hidden=True, threshold=0.5) for i in (1, 2, 3)},
    )
    result = taken(network, spikes(2, 6, 6), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


def test_the_data_file_is_complete(tmp_path: Path) -> None:
    """Inputs, outputs, labels, the step and the text are there, and nirc reads them as data."""
    network, inputs = chain(nn.Linear(12, 5), cells("leaky", 5)), spikes(12)
    result = taken(network, inputs, tmp_path, labels=np.array([0, 4, 2]))
    with np.load(result.recorded.data) as file:
        assert str(file["from"]) == "snntorch,reset=subtract,reset_delay=yes"
        np.testing.assert_array_equal(file["inputs"], inputs)
        np.testing.assert_array_equal(file["outputs"], result.recorded.outputs)
    data = read_data(result.recorded.data, Log())
    assert (
        data.labels is not None
        and data.labels.tolist() == [0, 4, 2]
        and data.dt_s == pytest.approx(1e-4)
    )


def test_inspect_finds_the_rule_that_is_recorded(tmp_path: Path) -> None:
    network = chain(
        nn.Linear(12, 20), cells("leaky", 20), nn.Linear(20, 5), cells("leaky", 5, reset_delay=True)
    )
    recorded = taken(network, spikes(12), tmp_path).recorded
    rows = compare(str(recorded.model), Options(), read_data(recorded.data, Log()), Log()).rows
    assert rows[0]["default"] and rows[0]["from"] == "snntorch" and rows[0]["equal"] == 1.0
    assert all(row["equal"] < 1.0 for row in rows[1:])


def test_the_file_has_the_fingerprints_of_snntorch_too(tmp_path: Path) -> None:
    network = chain(nn.Linear(12, 20), cells("rleaky", 20), nn.Linear(20, 5), cells("leaky", 5))
    assert (
        without_note(taken(network, spikes(12), tmp_path).recorded.model) == "snntorch, conclusive"
    )


def test_training_mode_weights_and_gradients_are_as_before(tmp_path: Path) -> None:
    network = chain(nn.Linear(12, 5), nn.Dropout(0.9), cells("leaky", 5)).train()
    network[0].eval()
    before = network[0].weight.detach().clone()
    taken(network, spikes(12), tmp_path)
    assert [m.training for m in network] == [False, True, True]
    assert torch.equal(network[0].weight, before) and network[0].weight.grad is None
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    )


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    network, files = chain(nn.Linear(12, 5), cells("leaky", 5)), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        recorded = nirc.record(
            network, spikes(12), tmp_path / name / "m.nir", tmp_path / name / "r.npz"
        )
        files.append(recorded.model.read_bytes())
    assert files[0] == files[1]


def test_silence_is_said(tmp_path: Path) -> None:
    result = taken(chain(nn.Linear(12, 5), cells("leaky", 5, threshold=1e6)), spikes(12), tmp_path)
    assert result.equal == 1.0 and result.codes() == {"P316"}


# What cannot be said is refused, with the module's name.


def test_layers_that_reset_in_two_ways_are_refused(tmp_path: Path) -> None:
    network = chain(
        nn.Linear(12, 20),
        cells("leaky", 20, reset_mechanism="zero"),
        nn.Linear(20, 5),
        cells("leaky", 5),
    )
    finding = refused(network, spikes(12), tmp_path)
    assert (finding.code, finding.where) == ("W211", "3")
    assert (
        "`1` and `3` differ in `reset`" in finding.message
        and finding.found == "reset=subtract in `3`"
    )


def test_a_delay_that_does_not_matter_may_differ(tmp_path: Path) -> None:
    """Reset to zero acts at once in Leaky, with and without reset_delay."""
    options = {"reset_mechanism": "zero"}
    network = chain(
        nn.Linear(12, 20),
        cells("rleaky", 20, reset_delay=True, **options),
        nn.Linear(20, 5),
        cells("leaky", 5, reset_delay=False, **options),
    )
    result = taken(network, spikes(12), tmp_path)
    assert result.recorded.text == "snntorch,reset=zero,reset_delay=yes" and result.equal == 1.0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"inhibition": True}, "inhibition"),
        ({"state_quant": lambda mem: mem}, "state_quant"),
        ({"spike_grad": lambda shift: shift.sigmoid()}, "spike_grad"),
        ({"spike_grad": lambda shift: (shift >= 0).float()}, "spike_grad"),
    ],
)
@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
def test_neurons_that_do_more_than_the_rule_are_refused(
    options: Any, what: str, tmp_path: Path
) -> None:
    finding = refused(chain(nn.Linear(12, 5), cells("leaky", 5, **options)), spikes(12), tmp_path)
    assert (finding.code, finding.where) == ("W212", "1") and what in finding.message


def test_a_reset_that_was_changed_after_the_layer_was_made_is_refused(tmp_path: Path) -> None:
    """snnTorch then uses the old one in the next step and the new one at once."""
    lif = cells("leaky", 5, reset_mechanism="subtract", reset_delay=False)
    lif.reset_mechanism = "zero"
    finding = refused(chain(nn.Linear(12, 5), lif), spikes(12), tmp_path)
    assert finding.code == "W212" and "acts in two ways" in finding.message


def test_a_map_for_a_linear_layer_is_refused(tmp_path: Path) -> None:
    finding = refused(chain(nn.Linear(6, 5), cells("leaky", 5)), spikes(4, 6), tmp_path)
    assert (finding.code, finding.where) == (
        "W212",
        "0",
    ) and finding.found == "an input of shape (4, 6)"


def membrane(self: Any, x: Any) -> Any:
    return by_steps(self, x)[1]


def pipeline(self: Any, x: Any) -> Any:
    """The second layer gets what the first one sent in the step before."""
    last = getattr(self, "last", torch.zeros(len(x), 20))
    self.last, _ = self.lif1(self.fc1(x))
    return self.output(self.fc2(last))


def doubled(self: Any, x: Any) -> Any:
    spk1, _ = self.lif1(self.fc1(x))
    return self.output(self.fc2(spk1 + spk1))


def scaled_sum(self: Any, x: Any) -> Any:
    spk1, _ = self.lif1(self.fc1(x))
    return self.output(torch.add(self.fc2(spk1), torch.ones(5), alpha=2))


def through(function: Any) -> Any:
    def forward(self: Any, x: Any) -> Any:
        spk1, _ = self.lif1(function(self.fc1(x)))
        return self.output(self.fc2(spk1))

    return forward


@pytest.mark.parametrize(
    ("forward", "what"),
    [
        (membrane, "the membrane of `output`, which a spike would reset"),
        (pipeline, "`fc2` gets from `lif1`, a step late and in no loop"),
        (doubled, "added to itself"),
        (scaled_sum, "torch.add"),
        (through(lambda x: x.relu()), "torch.Tensor.relu"),
        (through(lambda x: x * 2), "mul"),
        (through(lambda x: x[:, torch.arange(19, -1, -1)]), "an index that picks values"),
        (through(lambda x: torch.cat([x[:, :10], x[:, 10:]], dim=1)), "picks values"),
        (through(lambda x: x.reshape(-1, 4, 5).transpose(1, 2).reshape(-1, 20)), "function"),
        (through(lambda x: torch.zeros_like(x) + 0), "which no module gave"),
        (lambda self, x: (by_steps(self, x)[0], self.lif1(self.fc1(x))[0]), "several outputs"),
    ],
)
def test_what_is_no_module_on_the_way_to_the_output_is_refused(
    forward: Any, what: str, tmp_path: Path
) -> None:
    finding = refused(two_layers(forward), spikes(12), tmp_path)
    assert finding.code == "W210" and what in finding.message, finding


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (lambda: nn.ReLU(inplace=True), "`1`, a module of the type ReLU"),
        (lambda: nn.BatchNorm1d(20), "BatchNorm1d"),
        (lambda: snn.Lapicque(beta=0.9, init_hidden=True), "Lapicque"),
    ],
)
def test_modules_of_other_types_are_refused(module: Any, what: str, tmp_path: Path) -> None:
    finding = refused(chain(nn.Linear(12, 20), module(), cells("leaky", 20)), spikes(12), tmp_path)
    assert finding.code == "W210" and what in finding.message


def test_everything_on_the_way_to_the_output_is_named_at_once(tmp_path: Path) -> None:
    """The message does not name parts that do not lead to the output."""
    aside = nn.BatchNorm1d(20)

    def forward(self: Any, x: Any) -> Any:
        aside(self.fc1(x))
        spk1, _ = self.lif1(self.norm(self.fc1(x)).relu())
        return self.output(self.act(self.fc2(spk1)))

    network = two_layers(forward)
    network.norm, network.act, network.aside = nn.BatchNorm1d(20), nn.ReLU(), aside
    finding = refused(network, spikes(12), tmp_path)
    assert finding.code == "W210" and "aside" not in finding.message
    named = [
        "`norm`, a module of the type BatchNorm1d",
        "torch.Tensor.relu",
        "`act`, a module of the type ReLU",
    ]
    assert [finding.message.find(each) > 0 for each in named] == [True] * 3
    assert finding.message.count("nor for") == 2


# Membranes as outputs.


@pytest.mark.parametrize("kind", ["leaky", "synaptic"])
@pytest.mark.parametrize("hidden", [True, False])
def test_the_membrane_of_a_last_layer_without_a_reset_is_a_leaky_integrator(
    kind: str, hidden: bool, tmp_path: Path
) -> None:
    """The other layers reset as they like: a layer that is read has no choice."""
    import nir

    def forward(self: Any, x: Any, mem1: Any = None, state: Any = None) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        given = () if hidden or state is None else state
        _, *state = self.last(self.fc2(spk1), *given)
        return state[-1], mem1, None if hidden else state

    options = {"init_hidden": hidden, "output": hidden, "reset_mechanism": "none"}
    beta = torch.rand(5)
    last = (
        snn.Leaky(beta=beta, **options)
        if kind == "leaky"
        else snn.Synaptic(alpha=0.6, beta=beta, **options)
    )
    network = net(
        forward, fc1=nn.Linear(12, 20), lif1=snn.Leaky(beta=0.9), fc2=nn.Linear(20, 5), last=last
    )
    result = taken(network, spikes(12), tmp_path)
    assert result.recorded.text == "snntorch,reset=subtract,reset_delay=yes"
    assert result.recorded.equal == result.equal == 1.0 and (result.recorded.outputs % 1 != 0).any()
    node = nir.read(result.recorded.model).nodes["last.mem"]
    assert type(node).__name__ == {"leaky": "LI", "synaptic": "CubaLI"}[kind]


def test_spikes_are_recorded_where_membranes_stand_beside_them(tmp_path: Path) -> None:
    chained = [nn.Linear(12, 20), cells("leaky", 20), nn.Linear(20, 5)]
    network = chain(*chained, cells("leaky", 5, output=True, reset_mechanism="none"))
    network[1] = cells("leaky", 20, reset_mechanism="none")
    spiking = taken(network, spikes(12), tmp_path).recorded.outputs
    assert set(np.unique(spiking)) == {0, 1}
    membranes = taken(network, spikes(12), tmp_path, output=1)
    np.testing.assert_array_equal(membranes.recorded.outputs > 1, spiking == 1)
    assert membranes.equal == 1.0


def test_a_membrane_between_layers_and_its_spikes_are_two_nodes(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x))
        return self.output(self.fc2(spk1) + self.fc3(mem1))

    lif1 = snn.Leaky(beta=0.9, reset_mechanism="none")
    output = snn.Leaky(beta=0.8, reset_mechanism="none")
    layers = {"fc2": nn.Linear(20, 5), "fc3": nn.Linear(20, 5), "output": output}
    result = taken(net(forward, fc1=nn.Linear(12, 20), lif1=lif1, **layers), spikes(12), tmp_path)
    assert result.equal == 1.0 and result.recorded.outputs.any()


def read(last: Any, place: int) -> Any:
    """A network that returns one of the values of its last neurons."""

    def forward(self: Any, x: Any) -> Any:
        return self.last(self.fc2(self.lif1(self.fc1(x))[0]))[place]

    return net(
        forward, fc1=nn.Linear(12, 20), lif1=snn.Leaky(beta=0.9), fc2=nn.Linear(20, 5), last=last
    )


def test_a_synaptic_current_is_no_output(tmp_path: Path) -> None:
    last = snn.Synaptic(alpha=0.5, beta=0.9, reset_mechanism="none")
    assert "a state of `last`" in refused(read(last, 1), spikes(12), tmp_path).message


@pytest.mark.parametrize(
    ("last", "what", "help_"),
    [
        (lambda: snn.Leaky(beta=0.9), "a spike would reset", "reset_mechanism='none'"),
        (
            lambda: snn.Leaky(beta=0.9, threshold=1e9),
            "a spike would reset",
            "the same numbers where it never fires",
        ),
        (
            lambda: snn.Synaptic(alpha=0.5, beta=0.9, reset_mechanism="zero"),
            "a spike would reset",
            "'none'",
        ),
        (
            lambda: snn.RLeaky(beta=0.9, linear_features=5),
            "its spikes come back",
            "Leaky behind it",
        ),
    ],
)
def test_membranes_that_spikes_change_are_refused(
    last: Any, what: str, help_: str, tmp_path: Path
) -> None:
    finding = refused(read(last(), -1), spikes(12), tmp_path)
    assert finding.code == "W210" and "the membrane of `last`, " in finding.message
    assert what in finding.message and help_ in finding.help


def test_one_neuron_module_in_two_places_is_refused(tmp_path: Path) -> None:
    lif = cells("leaky", 12)
    finding = refused(chain(nn.Linear(12, 12), lif, nn.Linear(12, 12), lif), spikes(12), tmp_path)
    assert (
        finding.code == "W210" and "`1`, whose one state is used in two places" in finding.message
    )


def test_a_network_that_raises_is_a_finding(tmp_path: Path) -> None:
    """RSynaptic of snntorch 1.0.0 raises without a delay."""
    network = chain(nn.Linear(12, 5), cells("rsynaptic", 5, reset_delay=False))
    finding = refused(network, spikes(12), tmp_path)
    assert finding.code == "W214" and "TypeError" in finding.message


def test_a_layout_that_the_neurons_do_not_take_is_refused(tmp_path: Path) -> None:
    """A network for one step, called with all steps, would take steps for samples."""
    finding = refused(two_layers(by_steps), spikes(12), tmp_path, layout="steps first")
    assert finding.code == "W210" and "other axes" in finding.message


def test_a_network_that_returns_its_last_step_only_is_refused(tmp_path: Path) -> None:
    finding = refused(
        two_layers(lambda self, x: looped(self, x)[0][-1]),
        spikes(12),
        tmp_path,
        layout="steps first",
    )
    assert finding.code == "W214" and finding.found == "shape (5, 3) with layout 'steps first'"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"layout": "batch first"}, "U607"),
        ({"simulator": "brian"}, "U613"),
        ({"output": 2}, "U607"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: Any, code: str, tmp_path: Path) -> None:
    assert refused(two_layers(by_steps), spikes(12), tmp_path, **options).code == code


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        (np.full((2, 3, 12), 0.5), "0.5"),
        (-spikes(12).astype(int), "-1"),
        (np.zeros((0, 3, 12)), "0"),
    ],
)
def test_inputs_that_are_no_spike_counts_are_refused(
    inputs: Any, what: str, tmp_path: Path
) -> None:
    finding = refused(two_layers(by_steps), inputs, tmp_path)
    assert (finding.code, finding.where) == ("U603", "inputs") and what in finding.found


def test_a_network_of_no_simulator_is_refused(tmp_path: Path) -> None:
    finding = refused(nn.Sequential(nn.Linear(12, 5)), spikes(12), tmp_path)
    assert finding.code == "U613" and "snntorch, norse, sinabs, rockpool" in finding.expected


def test_a_file_that_cannot_be_written_is_a_finding(tmp_path: Path) -> None:
    from nirc.diagnostics.errors import UsageError

    with pytest.raises(UsageError, match="U608"):
        nirc.record(two_layers(by_steps), spikes(12), tmp_path / "no" / "m.nir", tmp_path / "r.npz")
