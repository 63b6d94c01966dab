"""Sinabs' IAF, LIF, ExpLeak, recurrent and squeezed layers, as measured with sinabs 3.1.3."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from nirc.recording.simulator import (
    MEMBRANES,
    SPIKES,
    Layout,
    Part,
    Simulator,
    Site,
    convolution,
    linear,
    pool,
    recurrent,
)
from nirc.writers.importer import Fields

# How a reset_fn is told: membranes that fire so many spikes, and what it leaves of them.
FIRED = torch.tensor([0.0, 1.0, 2.0])
BEFORE = (0.5, 1.25, 2.5)
RESETS = {(0.5, 0.25, 0.5): "subtract", (0.5, 0.0, 0.0): "zero"}


def iaf(module: Any, site: Site) -> Part:
    """Return IAF: a membrane that loses nothing."""
    fields = {"type": "IF", "r": _ones(site), **_threshold(module, site)}
    return Part({"": fields}, choices=_choices(module, site))


def lif(module: Any, site: Site) -> Part:
    """Return LIF: the time constant is in steps."""
    fields = {"type": "LIF", **_leaky(module, site), **_threshold(module, site)}
    normed = {"norm_input": ("yes" if module.norm_input else "no",)}
    return Part({"": fields}, choices=_choices(module, site) | normed)


def leak(module: Any, site: Site) -> Part:
    """Return ExpLeak: a membrane that never fires.

    A Scale stands for norm_input, which Sinabs' files do not say.
    """
    _no_synapse(module, site)
    fields = {"type": "LI", **_leaky(module, site)}
    choices = {"floor": _floor(module)}
    if not module.norm_input:
        return Part({"": fields}, choices=choices)
    site.warn("its norm_input is written as a Scale, which Sinabs' own exporter leaves out")
    scale: Fields = {"type": "Scale", "scale": 1 - np.exp(-1 / fields["tau"].astype(np.float64))}
    return Part({"norm": scale, "leak": fields}, (("norm", "leak"),), "norm", "leak", choices)


def iaf_recurrent(module: Any, site: Site) -> Part:
    """Return IAFRecurrent: spikes come back in the next step."""
    return _fed_back(module, site, iaf(module, site))


def lif_recurrent(module: Any, site: Site) -> Part:
    """Return LIFRecurrent: spikes come back in the next step."""
    return _fed_back(module, site, lif(module, site))


def _ones(site: Site) -> Any:
    """Return a gain of 1. Sinabs' parameters are in float32."""
    return np.ones(site.shape_out, np.float32)


def _leaky(module: Any, site: Site) -> Fields:
    tau = site.full(module.tau_mem_calculated)
    tau = tau if module.train_alphas else tau.astype(np.float32)
    return {"r": _ones(site), "tau": tau, "v_leak": np.zeros(site.shape_out, np.float32)}


def _threshold(module: Any, site: Site) -> Fields:
    threshold = site.full(module.spike_threshold).astype(np.float32)
    return {"v_threshold": threshold, "v_reset": np.zeros(site.shape_out, np.float32)}


def _no_synapse(module: Any, site: Site) -> None:
    if module.tau_syn_calculated is not None:
        site.refuse(
            "its synaptic time constant is lost: Sinabs' files have no place for it (tau_syn)",
            found=f"tau_syn {site.full(module.tau_syn_calculated).flat[0]:g} steps",
            limit="tau_syn=None",
        )


def _choices(module: Any, site: Site) -> dict[str, tuple[str, ...]]:
    """Return the most spikes in a step, reset and lower bound.

    The functions are tried, their names do not matter.
    """
    _no_synapse(module, site)
    one = torch.tensor(1.0)
    fire = module.spike_fn.apply
    spikes = fire(torch.tensor(MEMBRANES), one, module.surrogate_grad_fn).detach().tolist()
    most = "many" if spikes == SPIKES else {1.0: "one"}.get(spikes[-1], f"{spikes[-1]:g}")
    if spikes != [min(s, spikes[-1]) for s in SPIKES] or not 1 <= spikes[-1] == int(spikes[-1]):
        site.refuse(
            "its spike_fn is not known",
            found=f"{spikes} spikes at {list(MEMBRANES)} times the threshold",
            limit="MultiSpike, SingleSpike, MaxSpike",
        )
    after = module.reset_fn(FIRED, {"v_mem": torch.tensor(BEFORE)}, one)["v_mem"].tolist()
    reset = RESETS.get(tuple(after), "")
    if not reset:
        site.refuse(
            "its reset_fn does something else than to subtract the threshold or to reset to 0",
            found=f"{list(BEFORE)} become {after} with {FIRED.tolist()} spikes",
            limit="MembraneSubtract(), MembraneReset()",
        )
    return {"spikes": (most,), "reset": (reset,), "floor": _floor(module)}


def _floor(module: Any) -> tuple[str, ...]:
    return ("none" if module.min_v_mem is None else repr(float(module.min_v_mem)),)


def _fed_back(module: Any, site: Site, neuron: Part) -> Part:
    back = module.rec_connect
    inside = replace(site, name=f"{site.name}.rec_connect", shape_in=site.shape_out)
    name = type(back).__name__
    if name not in ("Linear", "Conv2d"):
        site.refuse("its rec_connect is not one layer", found=name, limit="Linear, Conv2d")
        return neuron
    if back.bias is not None and bool(back.bias.any()):
        problem = "its bias begins in the second step, and in a file in the first"
        inside.refuse(problem, limit="bias=False")
    if name == "Conv2d":
        return recurrent(neuron, convolution(back, inside))
    return recurrent(neuron, linear(back, inside, zero_bias=True))


def reset(modules: Collection[Any]) -> None:
    """Set states to 0, those of recurrent layers too, unlike ``sinabs.utils.reset_states``."""
    for module in modules:
        if hasattr(module, "reset_states") and hasattr(module, "does_spike"):
            module.reset_states()


def layout(modules: Collection[Any]) -> Layout:
    """Return the usual layout: squeezed layers take samples and steps as one axis."""
    return "folded" if any(hasattr(m, "squeeze_forward") for m in modules) else "samples first"


@contextmanager
def folded(modules: Collection[Any], samples: int) -> Iterator[None]:
    """Set squeezed layers up for batches of so many samples while it is open."""
    squeezed = [m for m in modules if hasattr(m, "squeeze_forward")]
    before = [(m, m.batch_size, m.num_timesteps) for m in squeezed]
    unfolding = [(m, m.batch_size) for m in modules if type(m).__name__ == "UnflattenTime"]
    try:
        for module in squeezed:
            module.batch_size, module.num_timesteps = samples, -1
        for module, _ in unfolding:
            module.batch_size = samples
        yield
    finally:
        for module, batch_size, steps in before:
            module.batch_size, module.num_timesteps = batch_size, steps
        for module, batch_size in unfolding:
            module.batch_size = batch_size


def lead(module: Any) -> int:
    """Return 1 for squeezed layers, which take samples and steps as one axis, else 2."""
    return 1 if hasattr(module, "squeeze_forward") else 2


SIMULATOR = Simulator(
    "sinabs",
    "sinabs",
    {
        **{"IAF": iaf, "IAFSqueeze": iaf, "IAFRecurrent": iaf_recurrent},
        **{"LIF": lif, "LIFSqueeze": lif, "LIFRecurrent": lif_recurrent},
        **{"ExpLeak": leak, "ExpLeakSqueeze": leak},
    },
    reset,
    layout,
    lead,
    layers={"SumPool2d": partial(pool, kind="SumPool2d")},
    open=("Repeat", "FlattenTime", "UnflattenTime", "Merge", "Network"),
    folded=folded,
    zero_bias=True,
    kept=("v_mem", "i_syn"),
)
