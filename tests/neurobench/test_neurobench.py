"""A bundle in NeuroBench's harness: its figures are those of the same network in snnTorch."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.api import Compiled, Options, compile_model
from nirc.files.bundle import signed
from nirc.files.manifest import sha256
from nirc.neurobench import chip_model
from nirc.neurobench.network import network_of
from tests.recording.networks import require, spikes

ZOO = Path(__file__).parents[1] / "data/zoo"
RULE = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
pytestmark = pytest.mark.oracle


@pytest.fixture(autouse=True)
def harness() -> Any:
    """NeuroBench's harness. Missing: the test is skipped, or fails in CI."""
    for package in ("torch", "snntorch", "neurobench"):
        require(package)


def dense(recurrent: bool = False, beta: float = 0.875) -> Any:
    """A network whose weights and thresholds the chips hold exactly, a sixth of them 0."""
    import snntorch as snn
    import torch
    from torch import nn

    torch.manual_seed(0)
    hidden = (
        snn.RLeaky(beta=beta, threshold=32.0, linear_features=20, **RULE)
        if recurrent
        else snn.Leaky(beta=beta, threshold=32.0, **RULE)
    )
    last = snn.Leaky(beta=beta, threshold=32.0, output=True, **RULE)
    network = nn.Sequential(
        nn.Linear(12, 20, bias=False), hidden, nn.Linear(20, 4, bias=False), last
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "weight" in name:
                weights = torch.randint(-20, 45, parameter.shape).float()
                weights -= 18 * ("recurrent" in name)
                weights[weights.abs() < 5] = 0
                parameter.copy_(weights)
            elif "bias" in name:
                parameter.zero_()
    return network


def measured(model: Any, inputs: Any, labels: Any) -> dict[str, Any]:
    """All figures of NeuroBench that count spikes, weights and states."""
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics import static, workload
    from neurobench.processors.postprocessors import ChooseMaxCount
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.as_tensor(inputs, dtype=torch.float32), torch.as_tensor(labels))
    loader = DataLoader(data, batch_size=5)  # the last batch is smaller
    counted = [static.Footprint, static.ConnectionSparsity, static.ParameterCount]
    run = [
        workload.ClassificationAccuracy,
        workload.ActivationSparsity,
        workload.SynapticOperations,
        workload.MembraneUpdates,
    ]
    figures: dict[str, Any] = Benchmark(model, loader, [], [ChooseMaxCount()], [counted, run]).run(
        quiet=True
    )
    return figures


def theirs(network: Any, inputs: Any) -> tuple[dict[str, Any], Any]:
    """NeuroBench's figures for a snnTorch network, and the classes that it finds."""
    import torch
    from neurobench.models import SNNTorchModel

    model = SNNTorchModel(network)
    with torch.no_grad():
        labels = model(torch.as_tensor(inputs, dtype=torch.float32)).sum(1).argmax(1).numpy()
    return measured(model, inputs, labels), labels


def compiled(network: Any, inputs: Any, target: str) -> nirc.Bundle:
    return nirc.compile(network, target, sample=inputs[:2])


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_figures_of_a_chip_are_those_of_the_same_network_in_snntorch(recurrent: bool) -> None:
    network, inputs = dense(recurrent), spikes(12, samples=13)
    wanted, labels = theirs(network, inputs)
    assert len(set(labels)) > 1 and 0 < wanted["ActivationSparsity"] < 1

    got = measured(chip_model(compiled(network, inputs, "spinnaker2")), inputs, labels)

    assert got.pop("Footprint") < wanted.pop("Footprint") / 4
    if recurrent:  # snnTorch runs such layers twice a step, and gives them biases
        once = got.pop("SynapticOperations"), wanted.pop("SynapticOperations")
        assert [each["Dense"] for each in once] == [30 * (320 + 400), 30 * (320 + 800)]
        assert got.pop("ParameterCount") < wanted.pop("ParameterCount")
        assert got.pop("ConnectionSparsity") == wanted.pop("ConnectionSparsity")
    assert got == wanted


def test_potentials_that_a_chip_rounds_change_less_often() -> None:
    network, inputs = dense(), spikes(12, samples=13)
    wanted, labels = theirs(network, inputs)
    got = measured(chip_model(compiled(network, inputs, "loihi2")), inputs, labels)
    updates = got.pop("MembraneUpdates"), wanted.pop("MembraneUpdates")
    assert 0.99 * updates[1] < updates[0] <= updates[1]
    assert got.pop("Footprint") == 320 + 24  # one byte a weight, and one a threshold
    del wanted["Footprint"]
    assert got == wanted


def test_kernels_count_as_in_snntorch() -> None:
    import snntorch as snn
    import torch
    from torch import nn

    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False),
        snn.Leaky(beta=0.875, threshold=32.0, **RULE),
        nn.Flatten(),
        nn.Linear(64, 3, bias=False),
        snn.Leaky(beta=0.875, threshold=32.0, output=True, **RULE),
    )
    with torch.no_grad():
        for layer in (network[0], network[3]):
            layer.weight.copy_(torch.randint(-20, 40, layer.weight.shape).float())
    inputs = spikes(1, 8, 8, samples=7)
    wanted, labels = theirs(network, inputs)
    got = measured(chip_model(compiled(network, inputs, "spinnaker2")), inputs, labels)
    assert got["SynapticOperations"] == wanted["SynapticOperations"]
    assert got["ConnectionSparsity"] == wanted["ConnectionSparsity"]
    assert got["ActivationSparsity"] == wanted["ActivationSparsity"]


def operations(made: Compiled, inputs: Any) -> float:
    """Synapses that spikes reach, counted from the integer program: of each sample."""
    names = list(made.bundle.manifest["populations"])
    run = made.bundle.run(inputs, record=names)
    total = 0
    for source, target, projection in made.integer.edges():
        if target not in names:
            continue
        sent = run.spikes[source] if source in names else inputs
        late = projection.delay_steps + projection.feedback
        arriving = (sent[:, : inputs.shape[1] - late] > 0).sum(axis=(0, 1))
        (op,) = projection.ops
        _, frm, weight = op.coo()
        total += int(arriving[frm[weight != 0]].sum())
    return total / len(inputs)


@pytest.mark.parametrize(
    ("model", "target", "writer"),
    [
        ("japanesevowels_rsnn", "xylo", "snntorch,reset=zero"),
        ("digits_lif_mlp", "loihi2", "snntorch,reset_delay=no"),
        ("basicmotions_lif_ff", "spinnaker2", "snntorch,reset=zero"),
    ],
)
def test_operations_are_the_synapses_that_spikes_reach(
    model: str, target: str, writer: str
) -> None:
    recorded = np.load(ZOO / f"{model}.npz")
    inputs, labels = recorded["inputs"][:6].astype(np.int64), recorded["labels"][:6]
    made = compile_model(ZOO / f"{model}.nir", target, Options(writer=writer))
    got = measured(chip_model(made.bundle), inputs, labels)

    counted = got["SynapticOperations"]
    total = counted["Effective_ACs"] + counted["Effective_MACs"]
    assert total == pytest.approx(operations(made, inputs)) and 0 < total < counted["Dense"]
    run = made.bundle.run(inputs, record=list(made.bundle.manifest["populations"]))
    right = run.outputs.sum(axis=1).argmax(axis=1) == labels
    assert got["ClassificationAccuracy"] == pytest.approx(right.mean())
    silent = [each == 0 for each in run.spikes.values()]
    share = sum(int(each.sum()) for each in silent) / sum(each.size for each in silent)
    assert got["ActivationSparsity"] == pytest.approx(share, abs=0.01)  # their mean of batches


def test_a_bundle_that_holds_another_network_than_it_names_is_refused(tmp_path: Path) -> None:
    made = compiled(dense(), spikes(12), "xylo")
    tree = json.loads(made.files["config.json"])
    tree["reservoir"]["neurons"][0]["threshold"] += 1
    files = {**made.files, "config.json": json.dumps(tree).encode()}
    manifest = {**made.manifest, "files": {n: sha256(data) for n, data in sorted(files.items())}}
    with pytest.raises(nirc.InputError, match="the checker refuses"):
        chip_model(replace(made, files=files, manifest=signed(manifest)))


def test_a_bundle_without_its_network_is_refused() -> None:
    made = compiled(dense(), spikes(12), "xylo")
    files = {name: data for name, data in made.files.items() if name != "network.nir"}
    manifest = {**made.manifest, "files": {n: sha256(data) for n, data in sorted(files.items())}}
    with pytest.raises(nirc.InputError, match=r"no `network\.nir`"):
        network_of(replace(made, files=files, manifest=signed(manifest)))


def test_wrong_arguments_are_usage_errors(tmp_path: Path) -> None:
    made = compiled(dense(), spikes(12), "xylo")
    with pytest.raises(nirc.UsageError, match="mode"):
        chip_model(made, mode="quick")
    with pytest.raises(nirc.NircError, match="bundle"):
        chip_model(tmp_path)


def test_without_neurobench_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled(dense(), spikes(12), "xylo")
    for name in [name for name in sys.modules if name.startswith("nirc.neurobench.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "neurobench.models", None)
    with pytest.raises(nirc.UsageError, match="neurobench") as caught:
        chip_model(made)
    assert caught.value.diagnostics[0].code == "U614"
