"""Every simulator's own way to load a NIR file and to run it on spikes (samples, steps, ...).

Nengo and Lava-DL read no NIR files. The converters here follow the published ones, of the paper on
NIR (paper/02_cnn/nengo_import.py) and of NIR's documentation
(docs/source/examples/lava/nir_to_lava.py), for the nodes that nirc writes for them.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blank_modules import install

Array = np.ndarray
Values = Mapping[str, str]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the packages' prints and warnings off the screen."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def tensor(values: Any) -> Any:
    """A float32 tensor."""
    import torch

    torch.set_num_threads(1)
    return torch.tensor(np.asarray(values, np.float32))


def read(path: Path) -> Any:
    """The graph, with nir's type checks on."""
    import nir

    return nir.read(path)


def stepwise(network: Any, inputs: Array) -> Array:
    """Outputs of a network that takes a step and its state."""
    import torch

    state, outputs = None, []
    with torch.no_grad():
        for step in range(inputs.shape[1]):
            output, state = network(tensor(inputs[:, step]), state)
            outputs.append(output.numpy())
    return np.stack(outputs, 1)


def load_snntorch(path: Path, values: Values, samples: int) -> Any:
    import snntorch
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(read(path))
    if values:
        reset, delay = values.get("reset", "zero"), values.get("reset_delay", "no")
        function = {"zero": "_base_zero", "subtract": "_base_sub", "none": "_base_int"}[reset]
        for m in net.modules():
            if isinstance(m, snntorch.Leaky | snntorch.Synaptic):
                m.reset_mechanism, m.reset_delay = reset, delay == "yes"
                m.state_function = getattr(m, function)
    return net


def load_norse(path: Path, values: Values, samples: int) -> Any:
    import norse.torch
    from norse.torch.functional import reset

    how = {"reset_method": reset.reset_subtract} if values.get("reset") == "subtract" else {}
    return norse.torch.from_nir(read(path), **how)


def load_sinabs(path: Path, values: Values, samples: int) -> Any:
    install("samna")
    from sinabs.nir import from_nir

    return from_nir(read(path), batch_size=samples)


def run_sinabs(network: Any, inputs: Array) -> Array:
    import torch

    with torch.no_grad():
        output, _ = network(tensor(inputs.reshape(-1, *inputs.shape[2:])))
    return output.numpy().reshape(*inputs.shape[:2], *output.shape[1:])


def load_rockpool(path: Path, values: Values, samples: int) -> Any:
    from rockpool.nn.modules import from_nir

    return from_nir(read(path))


def run_rockpool(network: Any, inputs: Array) -> Array:
    import torch

    with torch.no_grad():
        output = network(tensor(inputs))
    return (output[0] if isinstance(output, tuple) else output).detach().numpy()


def load_spyx(path: Path, values: Values, samples: int) -> Any:
    return read(path)


def run_spyx(network: Any, inputs: Array) -> Array:
    import jax.numpy as jnp
    from spyx.nir import from_nir

    maps = inputs.ndim == 5
    given = np.asarray(np.moveaxis(inputs, 2, -1) if maps else inputs, np.float32)
    _, output = from_nir(network, jnp.array(np.swapaxes(given, 0, 1)))
    output = np.swapaxes(np.asarray(output), 0, 1)
    return np.moveaxis(output, -1, 2) if output.ndim == 5 else output


def load_nengo(path: Path, values: Values, samples: int) -> Any:
    """Nodes for matrices, and an integrate-and-fire type of its own, as the published converter has
    it.
    """
    import nengo
    import nir

    class Fires(nengo.SpikingRectifiedLinear):
        def step(self, dt: float, J: Array, output: Array, voltage: Array) -> None:  # noqa: N803 - Nengo's name
            voltage += J * dt
            output[:] = (self.amplitude / dt) * np.where(voltage > 1, 1, 0)
            voltage[output > 0] = 0

    graph, dt, ends = read(path), 1e-3, {}
    with nengo.Network() as model:
        for name, node in graph.nodes.items():
            if isinstance(node, nir.Affine):

                def affine(t: float, x: Array, node: Any = node) -> Array:
                    return node.weight @ x + node.bias

                ends[name] = nengo.Node(
                    affine, size_in=node.weight.shape[1], size_out=node.weight.shape[0]
                )
            elif isinstance(node, nir.IF):
                assert (node.r == 1).all()
                n = node.r.size
                kind = Fires(initial_state={"voltage": nengo.dists.Choice([0])}, amplitude=dt)
                gain = np.ones(n) / node.v_threshold / dt
                ensemble = nengo.Ensemble(n, 1, neuron_type=kind, gain=gain, bias=np.zeros(n))
                ends[name] = ensemble.neurons
            else:
                assert isinstance(node, nir.Input | nir.Output)
                ends[name] = nengo.Node(None, size_in=int(np.prod(node.input_type["input"])))
        for source, target in graph.edges:
            nengo.Connection(ends[source], ends[target], synapse=None)
        given: list[Array] = []
        entry = nengo.Node(
            lambda t: given[0][min(round(t / dt) - 1, len(given[0]) - 1)],
            size_out=ends["input"].size_in,
        )
        nengo.Connection(entry, ends["input"], synapse=None)
        probe = nengo.Probe(ends["output"], synapse=None)
    return model, given, probe


def run_nengo(network: Any, inputs: Array) -> Array:
    import nengo

    model, given, probe = network
    outputs = []
    for sample in inputs.reshape(*inputs.shape[:2], -1).astype(float):
        given[:] = [sample]
        with nengo.Simulator(model, dt=1e-3, progress_bar=False) as simulator:
            simulator.run_steps(len(sample))
        outputs.append(simulator.data[probe])
    return np.stack(outputs)


def load_lava(path: Path, values: Values, samples: int) -> Any:
    """Slayer's blocks in the order of the edges, with the published converter's parameters."""
    install("cv2", "torchvision")
    import nir
    import torch
    from lava.lib.dl import slayer

    graph, dt, blocks, name = read(path), 1e-4, [], "input"
    while name != "output":
        (name,) = (t for s, t in graph.edges if s == name)
        node = graph.nodes[name]
        if isinstance(node, nir.Affine):
            dense = slayer.synapse.Dense(node.weight.shape[1], node.weight.shape[0], 1, False, None)
            dense.weight = torch.nn.Parameter(
                torch.from_numpy(node.weight.reshape(dense.weight.shape))
            )
            dense.bias = torch.nn.Parameter(torch.from_numpy(node.bias))
            blocks.append(dense)
        elif isinstance(node, nir.CubaLIF):
            blocks.append(slayer_block(slayer, node, dt))
        elif name != "output":
            raise ValueError(f"{name}: {type(node).__name__}")
    return torch.nn.Sequential(*blocks)


def slayer_block(slayer: Any, node: Any, dt: float) -> Any:
    """A CUBA block behind an identity, without a delay."""
    import torch

    assert np.allclose(node.v_leak, 0)
    assert np.allclose(node.r, node.tau_mem / dt)
    assert np.allclose(node.w_in, node.tau_syn / dt)
    values = [np.unique(v) for v in (node.v_threshold, dt / node.tau_syn, dt / node.tau_mem)]
    assert all(v.size == 1 for v in values)
    n = int(node.input_type["input"][0])
    names = ("threshold", "current_decay", "voltage_decay")
    parameters = {name: v[0] for name, v in zip(names, values, strict=True)} | {
        "shared_param": True,
        "scale": 64,
    }
    block = slayer.block.cuba.Dense(
        parameters, n, n, weight_scale=1, weight_norm=False, pre_hook_fx=None, delay_shift=False
    )
    block.synapse.weight = torch.nn.Parameter(torch.eye(n).reshape(block.synapse.weight.shape))
    return block


def run_lava(network: Any, inputs: Array) -> Array:
    import torch

    flat = inputs.reshape(*inputs.shape[:2], -1)
    with torch.no_grad():
        return np.moveaxis(network(tensor(np.moveaxis(flat, 1, -1))).numpy(), -1, 1)


@dataclass(frozen=True)
class Loader:
    """``load`` (file, choices, samples) -> network; ``run`` (network, inputs) -> outputs (samples,
    steps, ...).
    """

    load: Callable[[Path, Values, int], Any]
    run: Callable[[Any, Array], Array]


LOADERS = {
    "snntorch": Loader(load_snntorch, stepwise),
    "norse": Loader(load_norse, stepwise),
    "sinabs": Loader(load_sinabs, run_sinabs),
    "rockpool": Loader(load_rockpool, run_rockpool),
    "spyx": Loader(load_spyx, run_spyx),
    "nengo": Loader(load_nengo, run_nengo),
    "lava": Loader(load_lava, run_lava),
}
