"""Networks of snnTorch, exported by ``snntorch.export_nir`` and recorded.

    python benchmarks/simulators/snntorch_cases.py OUTDIR [--seed N] [--kind K]...

The exporter needs beta and threshold as vectors of one entry a neuron. Input is batched, and
``ignore_dims=[0]`` takes the batch off the shapes in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import snntorch as snn
import torch
from recorded_kinds import Array, Kinds, Recording, Rng, between, counts, spikes
from snntorch.export_nir import export_to_nir
from torch import nn
from torch_chain import fill, stepped, tensor

kinds = Kinds("snntorch", torch.manual_seed)
kind = kinds.kind
Options = dict[str, Any]


def full(value: Any, *shape: int) -> torch.Tensor:
    """A parameter with an entry for each neuron."""
    return tensor(np.broadcast_to(np.asarray(value, np.float32), shape))


def leaky(*shape: int, beta: Any = 0.8, threshold: Any = 1.0, **options: Any) -> snn.Leaky:
    return snn.Leaky(
        full(beta, *shape), threshold=full(threshold, *shape), init_hidden=True, **options
    )


def synaptic(
    *shape: int, alpha: Any = 0.7, beta: Any = 0.8, threshold: Any = 1.5, **options: Any
) -> snn.Synaptic:
    return snn.Synaptic(
        full(alpha, *shape),
        full(beta, *shape),
        threshold=full(threshold, *shape),
        init_hidden=True,
        **options,
    )


def rleaky(n: int, *, beta: Any = 0.8, threshold: Any = 1.0, **options: Any) -> snn.RLeaky:
    recurrence = {} if "V" in options else {"linear_features": n}
    return snn.RLeaky(
        beta,
        threshold=threshold,
        init_hidden=True,
        all_to_all="V" not in options,
        **recurrence,
        **options,
    )


def rsynaptic(
    n: int, *, alpha: Any = 0.7, beta: Any = 0.8, threshold: Any = 1.5, **options: Any
) -> snn.RSynaptic:
    recurrence = {} if "V" in options else {"linear_features": n}
    return snn.RSynaptic(
        alpha,
        beta,
        threshold=threshold,
        init_hidden=True,
        all_to_all="V" not in options,
        **recurrence,
        **options,
    )


def forget(net: nn.Module) -> None:
    """Start with empty membranes."""
    for layer in net.modules():
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()


def recorded(
    net: nn.Module, inputs: Array, *, readout: int = 0, step: Callable[..., Any] | None = None
) -> Recording:
    """Export ``net`` and run it; ``readout`` chooses among what the last layer returns (spikes
    first).
    """
    net.eval()
    with torch.no_grad():
        forget(net)
        graph = export_to_nir(net, tensor(inputs[:1, 0]), ignore_dims=[0])
        forget(net)

    def once(x: torch.Tensor) -> torch.Tensor:
        result = (step or net)(x)
        return result[readout] if isinstance(result, tuple) else result

    return Recording(graph, inputs, stepped(once, inputs))


Layer = Callable[..., nn.Module]


def dense(
    rng: Rng, layer: Layer, *sizes: int, bias: bool = True, scale: float = 2.5, **options: Any
) -> nn.Module:
    """Linear layers with ``layer`` after each."""
    modules: list[nn.Module] = []
    for before, after in pairwise(sizes):
        modules += [nn.Linear(before, after, bias=bias), layer(after, **options)]
    return fill(nn.Sequential(*modules), rng, scale=scale)


def chain(
    layer: Layer, *sizes: int, inputs: Callable[..., Array] = spikes, **options: Any
) -> Callable[[Rng], Recording]:
    """A kind that is a chain of Linear layers and ``layer`` with ``options``."""
    return lambda rng: recorded(
        dense(rng, layer, *(sizes or (12, 10, 5)), **options), inputs(rng, (sizes or (12,))[0])
    )


# ---- Leaky: every reset, at once and one step late ----
for reset in ("subtract", "zero", "none"):
    for delay in (True, False):
        options = {"reset_mechanism": reset, "reset_delay": delay}
        name = f"leaky_{reset}" + ("" if delay else "_nodelay")
        read = f"snntorch,reset={reset}" + ("" if delay else ",reset_delay=no")
        kind(name, f"Leaky, reset {reset}, reset_delay={delay}", read)(
            chain(
                leaky,
                **options,
                scale=1.5 if reset == "none" else 2.5,
                threshold=1.0 if reset != "none" else 2.0,
            )
        )
        kind(
            f"synaptic_{reset}" + ("" if delay else "_nodelay"),
            f"Synaptic, reset {reset}, reset_delay={delay}",
            read,
        )(
            chain(
                synaptic,
                **options,
                scale=1.5 if reset == "none" else 2.5,
                threshold=1.5 if reset != "none" else 6.0,
            )
        )
        kind(
            f"rleaky_{reset}" + ("" if delay else "_nodelay"),
            f"RLeaky all to all, reset {reset}, reset_delay={delay}",
            read,
        )(
            chain(
                rleaky,
                **options,
                threshold=1.0 if reset != "none" else 3.0,
                scale=2.5 if reset != "none" else 1.5,
            )
        )
    kind(f"rsynaptic_{reset}", f"RSynaptic all to all, reset {reset}", f"snntorch,reset={reset}")(
        chain(rsynaptic, reset_mechanism=reset, threshold=1.5 if reset != "none" else 8.0)
    )

ZERO: Options = {"reset_mechanism": "zero"}
READ_ZERO = "snntorch,reset=zero"
READ = "snntorch"

kind("leaky_nobias_zero", "Linear layers without bias", READ_ZERO)(chain(leaky, bias=False, **ZERO))
kind("leaky_nobias_subtract", "Linear layers without bias", READ)(chain(leaky, bias=False))
kind("leaky_beta0_zero", "beta 0: tau = dt", READ_ZERO)(
    chain(leaky, beta=0.0, threshold=0.7, **ZERO)
)
kind("leaky_beta1", "beta 1: tau and r are inf", READ)(chain(leaky, beta=1.0, threshold=2.0))
kind("leaky_beta1_zero", "beta 1: tau and r are inf", READ_ZERO)(
    chain(leaky, beta=1.0, threshold=2.0, **ZERO)
)
kind("leaky_thr2_subtract", "threshold 2", READ)(chain(leaky, threshold=2.0))
kind("leaky_thrhalf_zero", "threshold 0.5", READ_ZERO)(chain(leaky, threshold=0.5, **ZERO))
kind("leaky_deep_subtract", "five layers", READ)(chain(leaky, 12, 16, 14, 12, 8, 5))
kind("leaky_deep_zero", "five layers", READ_ZERO)(chain(leaky, 12, 16, 14, 12, 8, 5, **ZERO))
kind("leaky_single_subtract", "one layer", READ)(chain(leaky, 12, 7))
kind("leaky_single_zero", "one layer", READ_ZERO)(chain(leaky, 12, 7, **ZERO))
kind("leaky_one_neuron", "one input, one neuron", READ)(chain(leaky, 1, 1, threshold=0.6))
kind("leaky_counts_subtract", "inputs are spike counts", READ)(
    chain(leaky, inputs=counts, threshold=2.0)
)
kind("synaptic_nobias_zero", "Synaptic without bias", READ_ZERO)(
    chain(synaptic, bias=False, **ZERO)
)
kind("synaptic_alpha0", "alpha 0: tau_syn = dt", READ)(chain(synaptic, alpha=0.0))
kind("synaptic_single_zero", "one Synaptic layer", READ_ZERO)(chain(synaptic, 12, 7, **ZERO))
kind("synaptic_deep_subtract", "four Synaptic layers", READ)(chain(synaptic, 12, 12, 10, 8, 5))
kind("rleaky_single_subtract", "one recurrent layer", READ)(chain(rleaky, 12, 8))
kind("rleaky_nobias_subtract", "Linear layers without bias; the recurrent one keeps its own", READ)(
    chain(rleaky, bias=False)
)
kind("rsynaptic_single_zero", "one recurrent layer", READ_ZERO)(chain(rsynaptic, 12, 8, **ZERO))


@kind("leaky_perneuron_subtract", "beta and threshold differ from neuron to neuron", READ)
def _(rng: Rng) -> Recording:
    return perneuron(rng, leaky)


@kind("leaky_perneuron_zero", "beta and threshold differ from neuron to neuron", READ_ZERO)
def _(rng: Rng) -> Recording:
    return perneuron(rng, leaky, **ZERO)


@kind("synaptic_perneuron_subtract", "alpha, beta and threshold differ from neuron to neuron", READ)
def _(rng: Rng) -> Recording:
    return perneuron(rng, synaptic)


def perneuron(rng: Rng, layer: Layer, **options: Any) -> Recording:
    modules: list[nn.Module] = []
    for before, after in ((12, 10), (10, 5)):
        own = {"beta": between(rng, 0.3, 0.97, after), "threshold": between(rng, 0.5, 2.0, after)}
        if layer is synaptic:
            own["alpha"] = between(rng, 0.2, 0.9, after)
        modules += [nn.Linear(before, after), layer(after, **own, **options)]
    return recorded(fill(nn.Sequential(*modules), rng), spikes(rng, 12))


@kind("leaky_learnt_subtract", "learn_beta and learn_threshold, as after training", READ)
def _(rng: Rng) -> Recording:
    net = dense(rng, leaky, 12, 10, 5, learn_beta=True, learn_threshold=True)
    for layer in net.modules():
        if isinstance(layer, snn.Leaky):
            layer.beta.data = tensor(between(rng, 0.4, 0.99, *layer.beta.shape))
            layer.threshold.data = tensor(between(rng, 0.6, 1.8, *layer.threshold.shape))
    return recorded(net, spikes(rng, 12))


@kind(
    "leaky_beta_clamped",
    "learnt betas beyond 0 and 1, which the simulator clamps at every step: tau is negative or "
    "below dt",
    READ,
)
def _(rng: Rng) -> Recording:
    net = dense(rng, leaky, 12, 10, 5, learn_beta=True, threshold=2.0)
    for layer in net.modules():
        if isinstance(layer, snn.Leaky):
            layer.beta.data = tensor(between(rng, -0.3, 1.3, *layer.beta.shape))
    return recorded(net, spikes(rng, 12))


@kind("leaky_negative_threshold_free", "weights mostly negative: membranes below zero", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 20), leaky(20), nn.Linear(20, 6), leaky(6, threshold=0.5))
    return recorded(fill(net, rng, scale=3.0, mean=-0.5), spikes(rng, 12))


@kind(
    "leaky_graded_zero",
    "graded_spikes_factor 2 in the first layer",
    READ_ZERO,
    lost="graded_spikes_factor",
)
def _(rng: Rng) -> Recording:
    return graded(rng, first=2.0, last=1.0, **ZERO)


@kind(
    "leaky_graded_subtract",
    "graded_spikes_factor 0.5 in the first layer",
    READ,
    lost="graded_spikes_factor",
)
def _(rng: Rng) -> Recording:
    return graded(rng, first=0.5, last=1.0)


@kind(
    "leaky_graded_last",
    "graded_spikes_factor 3 in the last layer: outputs of 3",
    READ,
    lost="graded_spikes_factor",
)
def _(rng: Rng) -> Recording:
    return graded(rng, first=1.0, last=3.0)


def graded(rng: Rng, first: float, last: float, **options: Any) -> Recording:
    net = nn.Sequential(
        nn.Linear(12, 10),
        leaky(10, graded_spikes_factor=first, **options),
        nn.Linear(10, 5),
        leaky(5, graded_spikes_factor=last, **options),
    )
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("leaky_inhibition", "inhibition: only the highest membrane fires", READ, lost="inhibition")
def _(rng: Rng) -> Recording:
    return recorded(dense(rng, leaky, 12, 10, 5, inhibition=True), spikes(rng, 12))


@kind(
    "leaky_mixed_resets",
    "zero in the first layer, subtract in the second",
    READ,
    lost="two resets in one file",
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), leaky(10, **ZERO), nn.Linear(10, 5), leaky(5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("leaky_last_linear_zero", "the last layer is Linear: outputs are real numbers", READ_ZERO)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), leaky(10, **ZERO), nn.Linear(10, 5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("leaky_last_linear_subtract", "the last layer is Linear: outputs are real numbers", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), leaky(10), nn.Linear(10, 5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "leaky_membrane_none",
    "the last Leaky has reset none and its membrane is recorded: a leaky integrator",
    READ,
    lost="that the membrane is the output, and its reset none",
)
def _(rng: Rng) -> Recording:
    last = leaky(5, reset_mechanism="none", output=True)
    net = nn.Sequential(nn.Linear(12, 10), leaky(10), nn.Linear(10, 5), last)
    return recorded(fill(net, rng), spikes(rng, 12), readout=1)


@kind(
    "leaky_membrane_subtract",
    "the membrane of the last Leaky is recorded, not its spikes",
    READ,
    lost="that the membrane is the output",
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), leaky(10), nn.Linear(10, 5), leaky(5, output=True))
    return recorded(fill(net, rng), spikes(rng, 12), readout=1)


@kind("leaky_class", "a class with named layers and states outside the neurons", READ)
def _(rng: Rng) -> Recording:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(12, 10), nn.Linear(10, 5)
            self.lif1 = snn.Leaky(full(0.85, 10), threshold=full(1.0, 10))
            self.lif2 = snn.Leaky(full(0.75, 5), threshold=full(1.0, 5))

        def forward(self, x: torch.Tensor, one: Any = None, two: Any = None) -> Any:
            hidden, one = self.lif1(self.fc1(x), one)
            out, two = self.lif2(self.fc2(hidden), two)
            return out, (one, two)

    net = fill(Net(), rng)
    state: tuple[Any, Any] = (None, None)

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal state
        out, state = net(x, *state)
        return out

    return recorded(net, spikes(rng, 12), step=step)


@kind("leaky_nested", "Sequential within a class: names with dots that are no subgraphs", READ_ZERO)
def _(rng: Rng) -> Recording:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(12, 10), leaky(10, **ZERO))
            self.head = nn.Sequential(nn.Linear(10, 5), leaky(5, **ZERO))

        def forward(self, x: torch.Tensor) -> Any:
            return self.head(self.body(x))

    return recorded(fill(Net(), rng), spikes(rng, 12))


@kind(
    "leaky_residual",
    "a skip by + in forward: the trace ends at the sum",
    READ,
    lost="the skip and all that comes after it (last Leaky)",
)
def _(rng: Rng) -> Recording:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(12, 10), nn.Linear(10, 10)
            self.lif1, self.lif2 = leaky(10), leaky(10)

        def forward(self, x: torch.Tensor) -> Any:
            hidden = self.lif1(self.fc1(x))
            return self.lif2(self.fc2(hidden) + hidden)

    return recorded(fill(Net(), rng), spikes(rng, 12))


# ---- recurrent cells ----
@kind("rleaky_onetoone_zero", "RLeaky with a vector V: w_rec is a diagonal Linear", READ_ZERO)
def _(rng: Rng) -> Recording:
    return one_to_one(rng, rleaky, **ZERO)


@kind("rleaky_onetoone_subtract", "RLeaky with a vector V: w_rec is a diagonal Linear", READ)
def _(rng: Rng) -> Recording:
    return one_to_one(rng, rleaky)


@kind("rsynaptic_onetoone_subtract", "RSynaptic with a vector V: w_rec is a diagonal Linear", READ)
def _(rng: Rng) -> Recording:
    return one_to_one(rng, rsynaptic)


def one_to_one(rng: Rng, layer: Layer, **options: Any) -> Recording:
    modules: list[nn.Module] = []
    for before, after in ((12, 10), (10, 5)):
        modules += [
            nn.Linear(before, after),
            layer(after, V=tensor(between(rng, -1, 1, after)), **options),
        ]
    return recorded(fill(nn.Sequential(*modules), rng), spikes(rng, 12))


@kind("rleaky_then_leaky_subtract", "a recurrent layer, then a feedforward one", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), rleaky(10), nn.Linear(10, 5), leaky(5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "rleaky_then_leaky_zero",
    "a recurrent layer (late zero), then a feedforward one (zero at once)",
    READ_ZERO,
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), rleaky(10, **ZERO), nn.Linear(10, 5), leaky(5, **ZERO))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("rleaky_last_linear", "a recurrent layer, then Linear", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), rleaky(10), nn.Linear(10, 5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("rleaky_first", "the recurrent layer comes first: the input goes into the neurons", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(rleaky(12, threshold=1.2), nn.Linear(12, 5), leaky(5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "rleaky_perneuron_subtract",
    "beta and threshold of a recurrent layer differ from neuron to neuron",
    READ,
)
def _(rng: Rng) -> Recording:
    cell = rleaky(
        10, beta=tensor(between(rng, 0.4, 0.95, 10)), threshold=tensor(between(rng, 0.6, 1.6, 10))
    )
    net = nn.Sequential(nn.Linear(12, 10), cell, nn.Linear(10, 5), leaky(5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("synaptic_then_leaky_zero", "Synaptic (late zero), then Leaky (zero at once)", READ_ZERO)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), synaptic(10, **ZERO), nn.Linear(10, 5), leaky(5, **ZERO))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("rsynaptic_then_synaptic", "RSynaptic, then Synaptic", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), rsynaptic(10), nn.Linear(10, 5), synaptic(5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "rsynaptic_subtract_nodelay",
    "RSynaptic with reset_delay=False runs with states outside only, and then resets one step "
    "late all the same",
    READ,
)
def _(rng: Rng) -> Recording:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(12, 10), nn.Linear(10, 5)
            self.cell = snn.RSynaptic(
                0.7, 0.8, linear_features=10, threshold=1.5, reset_delay=False
            )
            self.last = leaky(5)

        def forward(self, x: torch.Tensor, state: Any = None) -> Any:
            state = state or tuple(torch.zeros(len(x), 10) for _ in range(3))
            spk, syn, mem = self.cell(self.fc1(x), *state)
            return self.last(self.fc2(spk)), (spk, syn, mem)

    net, state = fill(Net(), rng), None

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal state
        out, state = net(x, state)
        return out

    return recorded(net, spikes(rng, 12), step=step)


# ---- convolutions ----
@kind("conv_avgpool_zero", "Conv2d, AvgPool2d, Flatten, Linear", READ_ZERO)
def _(rng: Rng) -> Recording:
    return convolutional(rng, **ZERO)


@kind("conv_avgpool_subtract", "Conv2d, AvgPool2d, Flatten, Linear", READ)
def _(rng: Rng) -> Recording:
    return convolutional(rng)


@kind("conv_avgpool_nodelay", "Conv2d, AvgPool2d, Flatten, Linear", "snntorch,reset_delay=no")
def _(rng: Rng) -> Recording:
    return convolutional(rng, reset_delay=False)


def convolutional(rng: Rng, **options: Any) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        leaky(4, 8, 8, threshold=0.8, **options),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3),
        leaky(4, 2, 2, threshold=0.5, **options),
        nn.Flatten(),
        nn.Linear(16, 5),
        leaky(5, threshold=0.6, **options),
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_nobias_stride_zero", "Conv2d of stride 2 without bias", READ_ZERO)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, bias=False),
        leaky(4, 3, 3, **ZERO),
        nn.Flatten(),
        nn.Linear(36, 5, bias=False),
        leaky(5, **ZERO),
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_same_dilated", "padding 'same', then a dilated kernel", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding="same"),
        leaky(3, 8, 8),
        nn.Conv2d(3, 4, 3, dilation=2, padding=(1, 0)),
        leaky(4, 6, 4),
        nn.Flatten(),
        nn.Linear(96, 5),
        leaky(5),
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_output_map", "ends in a convolution: the output is a map", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Conv2d(2, 4, 3, stride=(2, 1)), leaky(4, 3, 6, threshold=0.9))
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_groups", "groups 2: nir.read refuses its own file", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), leaky(4, 6, 6), nn.Flatten(), nn.Linear(144, 5), leaky(5)
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_perneuron", "beta and threshold of a map differ from neuron to neuron", READ)
def _(rng: Rng) -> Recording:
    shape = (3, 6, 6)
    cell = leaky(
        *shape, beta=between(rng, 0.4, 0.95, *shape), threshold=between(rng, 0.5, 1.5, *shape)
    )
    net = nn.Sequential(nn.Conv2d(2, 3, 3), cell, nn.Flatten(), nn.Linear(108, 5), leaky(5))
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_synaptic_subtract", "Synaptic behind a convolution", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), synaptic(3, 6, 6), nn.Flatten(), nn.Linear(108, 5), synaptic(5)
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("conv_rectangular", "an input map that is not square", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        leaky(3, 4, 8),
        nn.AvgPool2d((2, 4)),
        nn.Flatten(),
        nn.Linear(12, 5),
        leaky(5, threshold=0.3),
    )
    return recorded(fill(net, rng), spikes(rng, 1, 6, 10))


@kind("pool_first", "AvgPool2d before the first convolution", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(2, 4, 3, padding=1),
        leaky(4, 4, 4, threshold=0.5),
        nn.Flatten(),
        nn.Linear(64, 5),
        leaky(5),
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8))


@kind("flatten_first", "Flatten before the first Linear", READ_ZERO)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(32, 10), leaky(10, **ZERO), nn.Linear(10, 5), leaky(5, **ZERO)
    )
    return recorded(fill(net, rng), spikes(rng, 2, 4, 4))


@kind(
    "avgpool_padding",
    "AvgPool2d(3, padding=1) where the padding leaves the size as it is",
    READ,
    lost="the padding of AvgPool2d",
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        leaky(3, 9, 9),
        nn.AvgPool2d(3, padding=1),
        nn.Flatten(),
        nn.Linear(27, 5),
        leaky(5, threshold=0.4),
    )
    return recorded(fill(net, rng), spikes(rng, 1, 9, 9))


# ---- what the exporter refuses ----
def refused(
    name: str, special: str
) -> Callable[[Callable[[Rng], Recording]], Callable[[Rng], Recording]]:
    return kind(name, special, READ, refuses=True)


refused("scalar_beta", "beta=0.8, the usual way")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), snn.Leaky(0.8, init_hidden=True)), spikes(rng, 12)
    )
)
refused("scalar_threshold", "beta a vector, threshold=1.0")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), snn.Leaky(full(0.8, 10), init_hidden=True)),
        spikes(rng, 12),
    )
)
refused("alpha", "Alpha is not known to the exporter")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), snn.Alpha(full(0.9, 10), full(0.8, 10), init_hidden=True)),
        spikes(rng, 12),
    )
)
refused("lapicque", "Lapicque is not known to the exporter")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), snn.Lapicque(0.8, init_hidden=True)), spikes(rng, 12)
    )
)
refused("neurons_only", "no layer with weights: no input node is found")(
    lambda rng: recorded(nn.Sequential(leaky(12)), spikes(rng, 12))
)
refused("dropout", "Dropout is not known to the exporter")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), nn.Dropout(0.2), leaky(10)), spikes(rng, 12)
    )
)
refused("maxpool", "MaxPool2d is not known to the exporter")(
    lambda rng: recorded(
        nn.Sequential(nn.Conv2d(2, 4, 3), leaky(4, 6, 6), nn.MaxPool2d(2)), spikes(rng, 2, 8, 8)
    )
)
refused("conv1d", "Conv1d is not known to the exporter")(
    lambda rng: recorded(nn.Sequential(nn.Conv1d(2, 4, 3), leaky(4, 6)), spikes(rng, 2, 8))
)
refused("rleaky_scalar_v", "RLeaky with V=0.5")(
    lambda rng: recorded(nn.Sequential(nn.Linear(12, 10), rleaky(10, V=0.5)), spikes(rng, 12))
)
refused("rleaky_conv", "RLeaky with a recurrent convolution")(
    lambda rng: recorded(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            snn.RLeaky(0.8, conv2d_channels=4, kernel_size=3, init_hidden=True),
        ),
        spikes(rng, 2, 8, 8),
    )
)
refused("conv_rectangular_kernel", "a kernel of 2 x 3: nir 1.0.8 takes it for 2 x 2")(
    lambda rng: recorded(
        nn.Sequential(nn.Conv2d(2, 4, (2, 3)), leaky(4, 7, 6)), spikes(rng, 2, 8, 8)
    )
)
refused("rsynaptic_nodelay", "RSynaptic with reset_delay=False does not run (spk is None)")(
    chain(rsynaptic, reset_delay=False)
)
refused("batched", "without ignore_dims the batch stays in the shapes")(
    lambda rng: Recording(
        export_to_nir(dense(rng, leaky, 12, 10, 5), tensor(spikes(rng, 12)[:1, 0])),
        spikes(rng, 12),
        spikes(rng, 5),
    )
)


if __name__ == "__main__":
    kinds.command()
