"""Networks of Sinabs, exported by ``sinabs.nir`` and recorded.

    python benchmarks/simulators/sinabs_cases.py OUTDIR [--seed N] [--kind K]...

LIF and ExpLeak need tau and threshold as vectors of one entry a neuron. A convolution has no input
shape until ``graph.infer_types()`` is called, without which ``nir.write`` raises.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from blank_modules import install
from recorded_kinds import Array, Kinds, Recording, Rng, between, counts, spikes
from torch import nn
from torch_chain import fill, tensor

install("samna")

import sinabs.layers as sl  # noqa: E402
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, SingleSpike  # noqa: E402
from sinabs.from_torch import from_model  # noqa: E402
from sinabs.nir import to_nir  # noqa: E402

kinds = Kinds("sinabs", torch.manual_seed)
kind = kinds.kind
READ = "sinabs"
ONE = {"spike_fn": SingleSpike}
ZERO = {"reset_fn": MembraneReset()}


def iaf(*shape: int, threshold: Any = 1.0, **options: Any) -> sl.IAFSqueeze:
    return sl.IAFSqueeze(batch_size=1, spike_threshold=tensor(threshold), **options)


def lif(*shape: int, tau: Any = 8.0, threshold: Any = 1.0, **options: Any) -> sl.LIFSqueeze:
    return sl.LIFSqueeze(
        batch_size=1,
        tau_mem=tensor(tau).expand(shape).clone(),
        spike_threshold=tensor(threshold).expand(shape).clone(),
        **options,
    )


def leak(*shape: int, tau: Any = 8.0, **options: Any) -> sl.ExpLeakSqueeze:
    return sl.ExpLeakSqueeze(batch_size=1, tau_mem=tensor(tau).expand(shape).clone(), **options)


def forget(net: nn.Module) -> None:
    """Start with empty membranes."""
    for layer in net.modules():
        if isinstance(layer, sl.StatefulLayer):
            layer.reset_states()


def recorded(net: nn.Module, inputs: Array, *, infer: bool = False) -> Recording:
    """Export ``net`` and run it, sample by sample: the batch of a Squeeze layer is samples times
    steps.
    """
    net.eval()
    with torch.no_grad():
        forget(net)
        graph = to_nir(net, tensor(inputs[:1, 0]))
        if infer:
            graph.infer_types()
        outputs = []
        for sample in inputs:
            forget(net)
            outputs.append(net(tensor(sample)))
    return Recording(graph, inputs, torch.stack(outputs).float().numpy())


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


LIF_SCALE = {"scale": 12.0}  # norm_input multiplies the input with 1 - exp(-1/8)

kind("iaf_default", "IAF: several spikes a step, subtract", READ)(chain(iaf))
kind("iaf_single", "IAF, SingleSpike", f"{READ},spikes=one")(chain(iaf, **ONE))
kind("iaf_zero", "IAF, several spikes, reset to zero", f"{READ},reset=zero")(chain(iaf, **ZERO))
kind("iaf_single_zero", "IAF, SingleSpike, reset to zero", f"{READ},spikes=one,reset=zero")(
    chain(iaf, **ONE, **ZERO)
)
kind("iaf_minv", "IAF, min_v_mem=-1", f"{READ},floor=-1")(chain(iaf, min_v_mem=-1.0, scale=4.0))
kind("iaf_minv0", "IAF, min_v_mem=0", f"{READ},floor=0")(chain(iaf, min_v_mem=0.0, scale=4.0))
kind("iaf_single_minv", "IAF, SingleSpike, min_v_mem=-1", f"{READ},spikes=one,floor=-1")(
    chain(iaf, min_v_mem=-1.0, scale=4.0, **ONE)
)
kind(
    "iaf_single_zero_minv",
    "IAF, SingleSpike, zero, min_v_mem=-0.5",
    f"{READ},spikes=one,reset=zero,floor=-0.5",
)(chain(iaf, min_v_mem=-0.5, scale=4.0, **ONE, **ZERO))
kind("iaf_thr2", "threshold 2", READ)(chain(iaf, threshold=2.0))
kind("iaf_thrhalf_single", "threshold 0.5, SingleSpike", f"{READ},spikes=one")(
    chain(iaf, threshold=0.5, scale=1.5, **ONE)
)
kind("iaf_nobias", "no bias: an Affine of zeros", READ)(chain(iaf, bias=False))
kind("iaf_deep", "five layers", READ)(chain(iaf, 12, 16, 14, 12, 8, 5))
kind("iaf_one_layer", "one layer", READ)(chain(iaf, 12, 7))
kind("iaf_counts", "inputs are spike counts", READ)(chain(iaf, inputs=counts, threshold=2.0))
kind(
    "iaf_max2",
    "MaxSpike(2): at most two spikes a step",
    f"{READ},spikes=2",
    lost="the 2; --from has one and many only",
)(chain(iaf, spike_fn=MaxSpike(2), scale=5.0))
kind(
    "iaf_subtract_value",
    "MembraneSubtract(0.8): takes less than the threshold",
    READ,
    lost="subtract_value",
)(chain(iaf, reset_fn=MembraneSubtract(0.8)))
kind(
    "iaf_reset_value",
    "MembraneReset(0.2): sinabs adds 0.2 to every membrane at every step",
    READ,
    lost="reset_value",
)(chain(iaf, reset_fn=MembraneReset(0.2), **ONE))
kind("iaf_tausyn", "IAF with tau_syn", READ, lost="tau_syn, i = alpha (i + x)")(
    chain(iaf, tau_syn=4.0, scale=1.0)
)
kind("lif_default", "LIF, norm_input", READ)(chain(lif, **LIF_SCALE))
kind("lif_nonorm", "LIF, norm_input=False", f"{READ},norm_input=no")(chain(lif, norm_input=False))
kind("lif_single", "LIF, SingleSpike", f"{READ},spikes=one")(chain(lif, **ONE, **LIF_SCALE))
kind("lif_single_zero", "LIF, SingleSpike, zero", f"{READ},spikes=one,reset=zero")(
    chain(lif, **ONE, **ZERO, **LIF_SCALE)
)
kind("lif_zero", "LIF, several spikes, zero", f"{READ},reset=zero")(chain(lif, **ZERO, **LIF_SCALE))
kind("lif_nonorm_single", "LIF, norm_input=False, SingleSpike", f"{READ},spikes=one,norm_input=no")(
    chain(lif, norm_input=False, **ONE)
)
kind("lif_nonorm_minv", "LIF, norm_input=False, min_v_mem=-1", f"{READ},floor=-1,norm_input=no")(
    chain(lif, norm_input=False, min_v_mem=-1.0, scale=4.0)
)
kind("lif_minv", "LIF, min_v_mem=-0.3", f"{READ},floor=-0.3")(
    chain(lif, min_v_mem=-0.3, **LIF_SCALE)
)
kind("lif_tausyn", "LIF with tau_syn", READ, lost="tau_syn, i = alpha (i + x)")(
    chain(lif, tau_syn=4.0, scale=6.0)
)
kind("lif_tau1", "tau of one step", f"{READ},norm_input=no")(chain(lif, tau=1.0, norm_input=False))
kind("lif_tau_large", "tau of 200 steps", f"{READ},norm_input=no")(
    chain(lif, tau=200.0, norm_input=False)
)
kind("lif_tau_below1", "tau of 0.3 steps", f"{READ},norm_input=no")(
    chain(lif, tau=0.3, norm_input=False)
)
kind("lif_deep", "four layers", READ)(chain(lif, 12, 16, 14, 8, 5, **LIF_SCALE))
kind("lif_nobias", "no bias: an Affine of zeros", READ)(chain(lif, bias=False, **LIF_SCALE))


@kind("iaf_ties", "weights of eighths: membranes hit the threshold exactly", f"{READ},spikes=one")
def _(rng: Rng) -> Recording:
    return ties(rng, iaf, **ONE)


@kind(
    "iaf_ties_many", "weights of quarters: membranes hit multiples of the threshold exactly", READ
)
def _(rng: Rng) -> Recording:
    return ties(rng, iaf)


@kind(
    "lif_ties_nonorm",
    "membranes that hit the threshold exactly in the first step",
    f"{READ},norm_input=no",
)
def _(rng: Rng) -> Recording:
    return ties(rng, lif, norm_input=False)


def ties(rng: Rng, layer: Layer, **options: Any) -> Recording:
    net = dense(rng, layer, 12, 10, 5, bias=False, **options)
    for linear in net.modules():
        if isinstance(linear, nn.Linear):
            linear.weight.data = torch.round(linear.weight.data * 4) / 4
    return recorded(net, spikes(rng, 12))


@kind("iaf_perneuron", "a threshold for each neuron", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Linear(12, 10),
        iaf(threshold=between(rng, 0.5, 2, 10)),
        nn.Linear(10, 5),
        iaf(threshold=between(rng, 0.5, 2, 5)),
    )
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("lif_perneuron", "tau and threshold for each neuron", READ)
def _(rng: Rng) -> Recording:
    return perneuron(rng)


@kind(
    "lif_perneuron_nonorm_single",
    "tau and threshold for each neuron",
    f"{READ},spikes=one,norm_input=no",
)
def _(rng: Rng) -> Recording:
    return perneuron(rng, scale=2.5, norm_input=False, **ONE)


def perneuron(rng: Rng, scale: float = 12.0, **options: Any) -> Recording:
    modules: list[nn.Module] = []
    for before, after in ((12, 10), (10, 5)):
        own = {"tau": between(rng, 2, 30, after), "threshold": between(rng, 0.5, 2, after)}
        modules += [nn.Linear(before, after), lif(after, **own, **options)]
    return recorded(fill(nn.Sequential(*modules), rng, scale=scale), spikes(rng, 12))


@kind("iaf_lif", "an IAF layer, then a LIF layer", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), iaf(), nn.Linear(10, 5), lif(5, threshold=0.2))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "iaf_mixed_spikes",
    "several spikes in the first layer, one in the last",
    READ,
    lost="two spike functions",
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), iaf(), nn.Linear(10, 5), iaf(**ONE))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("explast", "the last layer is Linear: outputs are real numbers", f"{READ},spikes=one")
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), iaf(**ONE), nn.Linear(10, 5))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("lif_li", "ExpLeak at the end: outputs are membranes", f"{READ},spikes=one,norm_input=no")
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Linear(12, 10), lif(10, norm_input=False, **ONE), nn.Linear(10, 5), leak(5)
    )
    return recorded(fill(net, rng), spikes(rng, 12))


@kind(
    "lif_li_norm",
    "LIF with norm_input, ExpLeak without (their defaults): norm_input=yes is wrong for one of "
    "them",
    READ,
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), lif(10), nn.Linear(10, 5), leak(5))
    return recorded(fill(net, rng, scale=12.0), spikes(rng, 12))


@kind("iaf_li", "IAF, ExpLeak at the end with its default norm_input=False", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Linear(12, 10), iaf(), nn.Linear(10, 5), leak(5, tau=between(rng, 3, 20, 5))
    )
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("iaf_li_norm", "ExpLeak at the end with norm_input=True", READ, lost="norm_input of ExpLeak")
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Linear(12, 10), iaf(), nn.Linear(10, 5), leak(5, norm_input=True))
    return recorded(fill(net, rng), spikes(rng, 12))


@kind("iaf_li_minv", "ExpLeak at the end with min_v_mem=-0.5", f"{READ},floor=-0.5")
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Linear(12, 10), iaf(min_v_mem=-0.5), nn.Linear(10, 5), leak(5, min_v_mem=-0.5)
    )
    return recorded(fill(net, rng, mean=0.0), spikes(rng, 12))


@kind("li_scalar", "ExpLeak with one tau: scalars in the file, nir.read refuses it", READ)
def _(rng: Rng) -> Recording:
    last = sl.ExpLeakSqueeze(batch_size=1, tau_mem=8.0)
    return recorded(
        fill(nn.Sequential(nn.Linear(12, 10), iaf(), nn.Linear(10, 5), last), rng), spikes(rng, 12)
    )


@kind("iaf_class", "a class with named layers", READ)
def _(rng: Rng) -> Recording:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.spk1, self.fc2, self.spk2 = (
                nn.Linear(12, 10),
                iaf(),
                nn.Linear(10, 5),
                iaf(),
            )

        def forward(self, x: torch.Tensor) -> Any:
            return self.spk2(self.fc2(self.spk1(self.fc1(x))))

    return recorded(fill(Net(), rng), spikes(rng, 12))


@kind(
    "iaf_from_model",
    "from_torch.from_model of Linear and ReLU: min_v_mem is -1 there",
    f"{READ},floor=-1",
)
def _(rng: Rng) -> Recording:
    net = fill(
        nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU()), rng, scale=4.0
    )
    made = from_model(net, input_shape=(12,), batch_size=1)
    return recorded(made.spiking_model, spikes(rng, 12))


@kind(
    "iaf_time",
    "layers IAF and LIF with a time axis: the steps are in the shapes, nir.read refuses it",
    READ,
)
def _(rng: Rng) -> Recording:
    net = fill(nn.Sequential(nn.Linear(12, 10), sl.IAF(), nn.Linear(10, 5), sl.IAF()), rng)
    inputs = spikes(rng, 12)
    with torch.no_grad():
        graph = to_nir(net, tensor(inputs[:1]))
        forget(net)
        outputs = []
        for sample in inputs:
            forget(net)
            outputs.append(net(tensor(sample[None]))[0])
    return Recording(graph, inputs, torch.stack(outputs).float().numpy())


# ---- convolutions, with infer_types() ----
def convolutional(
    rng: Rng, layer: Layer, *, bias: bool = True, scale: float = 2.5, **options: Any
) -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=bias),
        layer(4, 8, 8, **options),
        sl.SumPool2d(2),
        nn.Conv2d(4, 4, 3, bias=bias),
        layer(4, 2, 2, **options),
        nn.Flatten(),
        nn.Linear(16, 5, bias=bias),
        layer(5, **options),
    )
    return fill(net, rng, scale=scale)


@kind("conv_sumpool", "Conv2d, SumPool2d, Flatten, Linear, IAF", READ)
def _(rng: Rng) -> Recording:
    return recorded(convolutional(rng, iaf, threshold=1.5), spikes(rng, 2, 8, 8), infer=True)


@kind(
    "conv_sumpool_single",
    "the same with SingleSpike and min_v_mem=-1",
    f"{READ},spikes=one,floor=-1",
)
def _(rng: Rng) -> Recording:
    return recorded(
        convolutional(rng, iaf, min_v_mem=-1.0, **ONE), spikes(rng, 2, 8, 8), infer=True
    )


@kind("conv_sumpool_lif", "the same with LIF", READ)
def _(rng: Rng) -> Recording:
    return recorded(convolutional(rng, lif, scale=8.0), spikes(rng, 2, 8, 8), infer=True)


@kind("conv_nobias", "convolutions without bias: zeros in the file", f"{READ},floor=-1")
def _(rng: Rng) -> Recording:
    return recorded(
        convolutional(rng, iaf, bias=False, min_v_mem=-1.0), spikes(rng, 2, 8, 8), infer=True
    )


@kind("conv_stride", "stride 2, the output is a map", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), iaf(), nn.Conv2d(3, 4, 2), iaf())
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8), infer=True)


@kind(
    "conv_dvs",
    "2 x 16 x 16 polarities, three convolutions and pooling, as for Speck",
    f"{READ},floor=-1",
)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
        iaf(min_v_mem=-1.0),
        nn.Conv2d(4, 6, 3, padding=1, bias=False),
        iaf(min_v_mem=-1.0),
        sl.SumPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1, bias=False),
        iaf(min_v_mem=-1.0),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 8, bias=False),
        iaf(min_v_mem=-1.0),
        nn.Linear(8, 5, bias=False),
        iaf(min_v_mem=-1.0),
    )
    return recorded(fill(net, rng, scale=2.0), spikes(rng, 2, 16, 16, rate=0.1), infer=True)


@kind("pool_first", "SumPool2d first: counts go into the convolution", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(
        sl.SumPool2d(2),
        nn.Conv2d(2, 4, 3, padding=1),
        iaf(threshold=2.0),
        nn.Flatten(),
        nn.Linear(64, 5),
        iaf(),
    )
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8), infer=True)


@kind("conv1d", "Conv1d, Flatten, Linear", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), iaf(), nn.Flatten(), nn.Linear(48, 5), iaf())
    return recorded(fill(net, rng), spikes(rng, 2, 12), infer=True)


@kind("conv_groups", "groups 2: nir.read refuses its own file", READ)
def _(rng: Rng) -> Recording:
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), iaf(), nn.Flatten(), nn.Linear(144, 5), iaf())
    return recorded(fill(net, rng), spikes(rng, 2, 8, 8), infer=True)


# ---- what the exporter refuses ----
def refused(
    name: str, special: str
) -> Callable[[Callable[[Rng], Recording]], Callable[[Rng], Recording]]:
    return kind(name, special, READ, refuses=True)


refused(
    "conv_plain", "a convolution without infer_types(): nir.write raises and leaves half a file"
)(lambda rng: recorded(nn.Sequential(nn.Conv2d(2, 4, 3), iaf()), spikes(rng, 2, 8, 8)))
refused("lif_scalar", "LIF(tau_mem=8.0), the usual way: nir.write raises and leaves half a file")(
    lambda rng: recorded(
        nn.Sequential(nn.Linear(12, 10), sl.LIFSqueeze(batch_size=1, tau_mem=8.0)), spikes(rng, 12)
    )
)
refused("lif_train_alphas", "train_alphas=True: there is no tau_mem")(chain(lif, train_alphas=True))
refused("lif_recurrent", "LIFRecurrent")(
    lambda rng: Recording(
        to_nir(
            nn.Sequential(
                nn.Linear(12, 10), sl.LIFRecurrent(tau_mem=8.0, rec_connect=nn.Linear(10, 10))
            ),
            tensor(spikes(rng, 12)[:1]),
        ),
        spikes(rng, 12),
        spikes(rng, 10),
    )
)
refused("alif", "ALIF")(
    lambda rng: Recording(
        to_nir(
            nn.Sequential(nn.Linear(12, 10), sl.ALIF(tau_mem=8.0, tau_adapt=8.0)),
            tensor(spikes(rng, 12)[:1]),
        ),
        spikes(rng, 12),
        spikes(rng, 10),
    )
)
refused("avgpool", "nn.AvgPool2d")(
    lambda rng: recorded(
        nn.Sequential(nn.Conv2d(2, 4, 3), iaf(), nn.AvgPool2d(2)), spikes(rng, 2, 8, 8), infer=True
    )
)
refused("dropout", "nn.Dropout")(
    lambda rng: recorded(nn.Sequential(nn.Linear(12, 10), nn.Dropout(0.2), iaf()), spikes(rng, 12))
)
refused("merge", "Merge, for skips")(
    lambda rng: recorded(nn.Sequential(nn.Linear(12, 10), sl.Merge()), spikes(rng, 12))
)


if __name__ == "__main__":
    kinds.command()
