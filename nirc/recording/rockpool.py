"""Rockpool's LIFTorch, LIFNeuronTorch, ExpSynTorch and LinearTorch, of rockpool 3.1.0."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from nirc.recording.simulator import (
    MEMBRANES,
    SPIKES,
    Array,
    Part,
    Simulator,
    Site,
    as_array,
    recurrent,
)
from nirc.writers.importer import Fields

# Spikes in a step, Rockpool's default. From here on a bound matters only where it is reached.
MANY = 2**16


def lif(module: Any, site: Site) -> Part:
    """Return LIFTorch: the synaptic current decays after the input is added."""
    if module.size_in != module.size_out:
        site.refuse(
            "its neurons have several synapses",
            found=f"{module.size_in} inputs for {module.size_out} neurons",
            limit="one synapse a neuron",
        )
        return Part({"": {"type": "CubaLIF"}})
    tau_syn = site.full(as_array(module.tau_syn).squeeze())
    fields = _membrane(module, site, "tau_mem") | {"type": "CubaLIF", "tau_syn": tau_syn}
    fields |= {"w_in": np.ones(site.shape_out)}
    part = Part({"": fields}, choices=_choices(module, site))
    if not module._has_rec:
        return part
    site.warn("its recurrent weights are written, which Rockpool's own exporter leaves out")
    return recurrent(part, Part({"": {"type": "Linear", "weight": as_array(module.w_rec).T}}))


def lif_neuron(module: Any, site: Site) -> Part:
    """Return LIFNeuronTorch: a membrane without a synapse."""
    fields = _membrane(module, site, "tau") | {"type": "LIF"}
    return Part({"": fields}, choices=_choices(module, site))


def exp_syn(module: Any, site: Site) -> Part:
    """Return ExpSynTorch: a current that decays after the input is added, and that never fires."""
    _quiet(module, site)
    tau = site.full(module.tau)
    fields = {"type": "LI", "tau": tau, "r": _r(module, tau), "v_leak": np.zeros(site.shape_out)}
    return Part({"": fields}, choices={"dt": (repr(float(module.dt)),)})


def linear(module: Any, site: Site) -> Part:
    """Return LinearTorch: its weights are (inputs, outputs)."""
    fields: Fields = {"type": "Linear", "weight": as_array(module.weight).T}
    if module.bias is not None:
        bias = np.broadcast_to(as_array(module.bias), site.shape_out).copy()
        fields |= {"type": "Affine", "bias": bias}
    return Part({"": fields})


def _membrane(module: Any, site: Site, name: str) -> Fields:
    """Return the fields of a membrane. ``name``: that of its time constant."""
    _quiet(module, site)
    tau = site.full(module.tau_mem)
    kept = np.exp(-float(module.dt) / tau)
    bias = site.full(module.bias)
    if bias.any():
        site.warn(
            "its bias is written as v_leak, where Rockpool's own exporter writes 0",
            found=f"{bias.flat[0]:g}",
        )
    fields = {name: tau, "r": _r(module, tau), "v_leak": bias / (1 - kept)}
    fields["v_threshold"] = site.full(module.threshold)
    return fields | {"v_reset": np.zeros(site.shape_out)}


def _r(module: Any, tau: Array) -> Array:
    """Return r as Rockpool's exporter writes it."""
    dt = float(module.dt)
    return np.asarray(tau * np.exp(-dt / tau) / dt)


def _quiet(module: Any, site: Site) -> None:
    if float(module.noise_std) != 0:
        problem = "noise is added to its states (noise_std)"
        site.refuse(problem, found=float(module.noise_std), limit="0")


def _choices(module: Any, site: Site) -> dict[str, tuple[str, ...]]:
    """Return the most spikes in a step, and dt.

    dt is no choice of ``--from``, but the same in all modules. A large bound is written only if a
    neuron reaches it.
    """
    most = float(module.max_spikes_per_dt)
    window = (torch.tensor(1.0), torch.tensor(0.5))
    fire = module.spike_generation_fn
    spikes = fire(torch.tensor(MEMBRANES), *window, torch.tensor(most)).detach().tolist()
    bounded = spikes == [min(s, most) for s in SPIKES]
    if not bounded or most < 1 or (most < MANY and most != int(most)):
        site.refuse(
            "its spike_generation_fn is not known",
            found=f"{spikes} spikes at {list(MEMBRANES)} times the threshold",
            limit="StepPWL or PeriodicExponential with an integer number of spikes",
        )
    bound = ("many",) if most == float("inf") else (str(int(most)),)
    return {"spikes": ("many", *bound) if most >= MANY else bound, "dt": (repr(float(module.dt)),)}


def reset(modules: Collection[Any]) -> None:
    """Set states to their start."""
    for module in modules:
        if hasattr(module, "reset_state"):
            module.reset_state()


SIMULATOR = Simulator(
    "rockpool",
    "rockpool",
    {"LIFTorch": lif, "LIFNeuronTorch": lif_neuron, "ExpSynTorch": exp_syn},
    reset,
    layout=lambda modules: "samples first",
    lead=lambda module: 2,
    layers={"LinearTorch": linear},
    open=("TorchSequential", "TorchResidual", "Sequential"),
    kept=("vmem", "isyn", "spikes"),
)
