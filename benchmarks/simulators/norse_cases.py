"""Networks of Norse, exported by ``norse.torch.utils.export_nir`` and recorded.

    python benchmarks/simulators/norse_cases.py OUTDIR [--seed N] [--kind K]...

Neurons need their parameters as vectors of one entry a neuron. The batch stays in the shapes of
Input and Output. The argument ``dt`` of the exporter multiplies each time constant (norse#411).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.leaky_integrator_box import LIBoxCell
from norse.torch.utils.export_nir import to_nir
from recorded_kinds import Array, Kinds, Recording, Rng, between, counts, spikes
from torch import nn
from torch_chain import fill, tensor

kinds = Kinds("norse", torch.manual_seed)
kind = kinds.kind
READ = "norse"


def full(value: Any, *shape: int) -> torch.Tensor:
    """A parameter with an entry for each neuron."""
    return tensor(value).expand(shape).clone()


def box(
    *shape: int,
    tau: Any = 8e-3,
    threshold: Any = 0.3,
    leak: Any = 0.0,
    reset: Any = 0.0,
    dt: float = 1e-3,
    **more: Any,
) -> nn.Module:
    parameters = norse.LIFBoxParameters(
        tau_mem_inv=1 / full(tau, *shape),
        v_leak=full(leak, *shape),
        v_th=full(threshold, *shape),
        v_reset=full(reset, *shape),
        **more,
    )
    return norse.LIFBoxCell(parameters, dt=dt)


def lif(
    *shape: int,
    tau: Any = 8e-3,
    tau_syn: Any = 4e-3,
    threshold: Any = 0.5,
    leak: Any = 0.0,
    reset: Any = 0.0,
    dt: float = 1e-3,
) -> nn.Module:
    parameters = norse.LIFParameters(
        tau_syn_inv=1 / full(tau_syn, *shape),
        tau_mem_inv=1 / full(tau, *shape),
        v_leak=full(leak, *shape),
        v_th=full(threshold, *shape),
        v_reset=full(reset, *shape),
    )
    return norse.LIFCell(parameters, dt=dt)


def iaf(*shape: int, threshold: Any = 1.0, reset: Any = 0.0, dt: float = 1e-3) -> nn.Module:
    return norse.IAFCell(
        IAFParameters(v_th=full(threshold, *shape), v_reset=full(reset, *shape)), dt=dt
    )


def integrator(*shape: int, tau: Any = 8e-3, leak: Any = 0.0, dt: float = 1e-3) -> nn.Module:
    return LIBoxCell(
        LIBoxParameters(tau_mem_inv=1 / full(tau, *shape), v_leak=full(leak, *shape)), dt=dt
    )


def recorded(
    net: nn.Module, inputs: Array, *, export_dt: float = 1e-3, batch: int = 1, infer: bool = False
) -> Recording:
    """Export ``net`` with ``batch`` samples (0: one without a batch axis) and run it step by
    step.
    """
    net.eval()
    first = tensor(inputs[:batch, 0] if batch else inputs[0, 0])
    with torch.no_grad():
        graph = to_nir(net, first, dt=export_dt)
        if infer:
            graph.infer_types()
        state, outputs = None, []
        for t in range(inputs.shape[1]):
            result = net(tensor(inputs[:, t]), state)
            out, state = result
            outputs.append(out)
    return Recording(graph, inputs, torch.stack(outputs, 1).float().numpy())


Layer = Callable[..., nn.Module]


def dense(
    rng: Rng, layer: Layer, *sizes: int, bias: bool = True, scale: float = 3.0, **options: Any
) -> nn.Module:
    """Linear layers with ``layer`` after each."""
    modules: list[nn.Module] = []
    for before, after in pairwise(sizes):
        modules += [nn.Linear(before, after, bias=bias), layer(after, **options)]
    return fill(norse.SequentialState(*modules), rng, scale=scale, mean=2.0)


def chain(
    layer: Layer,
    *sizes: int,
    inputs: Callable[..., Array] = spikes,
    export: dict[str, Any] | None = None,
    **options: Any,
) -> Callable[[Rng], Recording]:
    """A kind that is a chain of Linear layers and ``layer`` with ``options``."""
    return lambda rng: recorded(
        dense(rng, layer, *(sizes or (12, 10, 5)), **options),
        inputs(rng, (sizes or (12,))[0]),
        **(export or {}),
    )


SUB = {"reset_method": reset_subtract}
kind("lifbox", "LIFBoxCell", READ)(chain(box))
kind("lifbox_subtract", "LIFBoxCell, reset_subtract", f"{READ},reset=subtract")(chain(box, **SUB))
kind("lifbox_dt1", "exported with dt=1 (tau is not scaled), run with 1e-3", f"{READ},dt=1")(
    chain(box, export={"export_dt": 1.0})
)
kind("lifbox_dt1e-4", "exported and run with dt=1e-4", f"{READ},dt=1e-4")(
    chain(box, dt=1e-4, tau=1e-3, export={"export_dt": 1e-4})
)
kind(
    "lifbox_dt1e-4_subtract",
    "exported and run with dt=1e-4, subtract",
    f"{READ},dt=1e-4,reset=subtract",
)(chain(box, dt=1e-4, tau=1e-3, export={"export_dt": 1e-4}, **SUB))
kind(
    "lifbox_dt_forgotten",
    "run with dt=5e-4, exported with the default",
    READ,
    lost="the dt of 5e-4",
)(chain(box, dt=5e-4, tau=4e-3))
kind("lifbox_leak", "v_leak 0.1: membranes start there", READ)(chain(box, leak=0.1))
kind("lifbox_leak_subtract", "v_leak -0.1, subtract", f"{READ},reset=subtract")(
    chain(box, leak=-0.1, **SUB)
)
kind("lifbox_vreset", "v_reset -0.2", READ, lost="v_reset")(chain(box, reset=-0.2))
kind("lifbox_thr1", "threshold 1", READ)(chain(box, threshold=1.0, scale=8.0))
kind("lifbox_nobias", "no bias: an Affine of zeros", READ)(chain(box, bias=False))
kind("lifbox_deep", "four layers", READ)(chain(box, 12, 14, 10, 8, 5))
kind("lifbox_one_layer", "one layer", READ)(chain(box, 12, 7))
kind("lifbox_counts", "inputs are spike counts", READ)(chain(box, inputs=counts))
kind("lifbox_unbatched", "exported with one sample without batch: nir.read opens it", READ)(
    chain(box, export={"batch": 0})
)
kind(
    "lifbox_unbatched_subtract", "exported with one sample without batch", f"{READ},reset=subtract"
)(chain(box, export={"batch": 0}, **SUB))
kind("lifbox_batch4", "exported with four samples: Input (4, 12), Output (4, 5)", READ)(
    chain(box, export={"batch": 4})
)
kind("lifcell", "LIFCell: CubaLIF", READ)(chain(lif))
kind("lifcell_dt1e-4", "LIFCell, exported and run with dt=1e-4", f"{READ},dt=1e-4")(
    chain(lif, dt=1e-4, tau=1e-3, tau_syn=5e-4, export={"export_dt": 1e-4})
)
kind("lifcell_leak", "LIFCell, v_leak 0.1", READ)(chain(lif, leak=0.1))
kind("lifcell_vreset", "LIFCell, v_reset -0.3", READ, lost="v_reset")(chain(lif, reset=-0.3))
kind("lifcell_one_layer", "one LIFCell layer", READ)(chain(lif, 12, 7))
kind("lifcell_nobias", "LIFCell, no bias", READ)(chain(lif, bias=False))
kind("lifcell_unbatched", "LIFCell, exported without batch", READ)(chain(lif, export={"batch": 0}))
kind("lifcell_dt1", "LIFCell, exported with dt=1", f"{READ},dt=1")(
    chain(lif, export={"export_dt": 1.0})
)
kind("if", "IAFCell", READ)(chain(iaf))
kind("if_thr", "IAFCell, threshold 0.7", READ)(chain(iaf, threshold=0.7))
kind("if_vreset", "IAFCell, v_reset 0.3: membranes start there", READ, lost="v_reset")(
    chain(iaf, reset=0.3)
)
kind("if_unbatched", "IAFCell, exported without batch", READ)(chain(iaf, export={"batch": 0}))
kind("if_deep", "IAFCell, four layers", READ)(chain(iaf, 12, 14, 10, 8, 5))


def chained(rng: Rng, *modules: nn.Module, **options: Any) -> nn.Module:
    return fill(norse.SequentialState(*modules), rng, **{"scale": 3.0, "mean": 2.0, **options})


@kind("lifbox_perneuron", "tau, threshold and v_leak for each neuron", READ)
def _(rng: Rng) -> Recording:
    modules: list[nn.Module] = []
    for before, after in ((12, 10), (10, 5)):
        own = {
            "tau": between(rng, 2e-3, 3e-2, after),
            "threshold": between(rng, 0.1, 0.5, after),
            "leak": between(rng, -0.1, 0.1, after),
        }
        modules += [nn.Linear(before, after), box(after, **own)]
    return recorded(chained(rng, *modules), spikes(rng, 12))


@kind("lifcell_perneuron", "tau_mem, tau_syn and threshold for each neuron", READ)
def _(rng: Rng) -> Recording:
    modules: list[nn.Module] = []
    for before, after in ((12, 10), (10, 5)):
        own = {
            "tau": between(rng, 3e-3, 2e-2, after),
            "tau_syn": between(rng, 2e-3, 1e-2, after),
            "threshold": between(rng, 0.3, 0.8, after),
        }
        modules += [nn.Linear(before, after), lif(after, **own)]
    return recorded(chained(rng, *modules), spikes(rng, 12))


@kind("lifbox_last_linear", "the last layer is Linear: outputs are real numbers", READ)
def _(rng: Rng) -> Recording:
    return recorded(chained(rng, nn.Linear(12, 10), box(10), nn.Linear(10, 5)), spikes(rng, 12))


@kind("lifbox_li", "LIBoxCell at the end: outputs are membranes", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        chained(rng, nn.Linear(12, 10), box(10), nn.Linear(10, 5), integrator(5)), spikes(rng, 12)
    )


@kind("lifbox_li_leak", "LIBoxCell at the end with v_leak and a tau for each neuron", READ)
def _(rng: Rng) -> Recording:
    last = integrator(5, tau=between(rng, 3e-3, 2e-2, 5), leak=between(rng, -0.2, 0.2, 5))
    return recorded(
        chained(rng, nn.Linear(12, 10), box(10), nn.Linear(10, 5), last), spikes(rng, 12)
    )


@kind("li_dt1e-4", "LIBoxCell at the end, exported and run with dt=1e-4", f"{READ},dt=1e-4")
def _(rng: Rng) -> Recording:
    fine = {"dt": 1e-4, "tau": 1e-3}
    net = chained(rng, nn.Linear(12, 10), box(10, **fine), nn.Linear(10, 5), integrator(5, **fine))
    return recorded(net, spikes(rng, 12), export_dt=1e-4)


@kind("li_scalar", "LIBoxCell with its default parameters: scalars in the file", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        chained(rng, nn.Linear(12, 10), box(10), nn.Linear(10, 5), LIBoxCell()), spikes(rng, 12)
    )


@kind("lifcell_li", "LIFCell, then LIBoxCell at the end", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        chained(rng, nn.Linear(12, 10), lif(10), nn.Linear(10, 5), integrator(5)), spikes(rng, 12)
    )


@kind("if_then_lifbox", "IAFCell, then LIFBoxCell", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        chained(rng, nn.Linear(12, 10), iaf(10), nn.Linear(10, 5), box(5)), spikes(rng, 12)
    )


@kind("lifcell_then_lifbox", "LIFCell, then LIFBoxCell", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        chained(rng, nn.Linear(12, 10), lif(10), nn.Linear(10, 5), box(5)), spikes(rng, 12)
    )


@kind("lifbox_only", "one cell, no Linear: its node is called norse", READ)
def _(rng: Rng) -> Recording:
    return recorded(box(12, threshold=0.15), spikes(rng, 12))


@kind(
    "conv_lifbox",
    "two convolutions, exported without batch and with infer_types(): the output is a map",
    READ,
)
def _(rng: Rng) -> Recording:
    net = chained(
        rng, nn.Conv2d(2, 4, 3, stride=2), box(4, 3, 3), nn.Conv2d(4, 3, 2, padding=1), box(3, 4, 4)
    )
    return recorded(net, spikes(rng, 2, 8, 8), batch=0, infer=True)


@kind(
    "conv_lifcell", "a convolution and LIFCell, exported without batch and with infer_types()", READ
)
def _(rng: Rng) -> Recording:
    net = chained(rng, nn.Conv2d(2, 3, 3), lif(3, 6, 6))
    return recorded(net, spikes(rng, 2, 8, 8), batch=0, infer=True)


# ---- what the exporter refuses ----
def refused(
    name: str, special: str, **more: Any
) -> Callable[[Callable[[Rng], Recording]], Callable[[Rng], Recording]]:
    return kind(name, special, READ, refuses=True, **more)


refused(
    "lifbox_scalar",
    "LIFBoxCell() with its default parameters: nir.write raises and leaves half a file",
)(lambda rng: recorded(chained(rng, nn.Linear(12, 10), norse.LIFBoxCell()), spikes(rng, 12)))
refused("conv_plain", "a convolution without infer_types()")(
    lambda rng: recorded(chained(rng, nn.Conv2d(2, 4, 3), box(4, 6, 6)), spikes(rng, 2, 8, 8))
)
refused("conv_nobias", "a convolution without bias")(
    lambda rng: recorded(
        chained(rng, nn.Conv2d(2, 4, 3, bias=False), box(4, 6, 6)), spikes(rng, 2, 8, 8)
    )
)
refused("flatten", "nn.Flatten is not known to the exporter")(
    lambda rng: recorded(
        chained(rng, nn.Conv2d(2, 4, 3), box(4, 6, 6), nn.Flatten(), nn.Linear(144, 5), box(5)),
        spikes(rng, 2, 8, 8),
    )
)
refused("lif_recurrent", "LIFRecurrentCell is not known to the exporter")(
    lambda rng: recorded(
        norse.SequentialState(nn.Linear(12, 10), norse.LIFRecurrentCell(10, 10)), spikes(rng, 12)
    )
)
refused("li_cell", "LICell (with a synapse) is not known to the exporter")(
    lambda rng: recorded(
        chained(rng, nn.Linear(12, 10), box(10), nn.Linear(10, 5), norse.LICell()), spikes(rng, 12)
    )
)


if __name__ == "__main__":
    kinds.command()
