"""snnTorch's Leaky, Synaptic, RLeaky and RSynaptic, as measured with snntorch 1.0.0."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nirc.recording.parts import Array, Part, Site, convolution, linear, recurrent
from nirc.recording.simulator import Layout, Simulator
from nirc.writers.importer import Fields
from nirc.writers.snntorch import DT_S

RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
PROBE = (-1.0, 0.0, 0.25, 3.0)  # above the threshold by: fires never, never, once, once


def leaky(module: Any, site: Site) -> Part:
    """Leaky: a membrane that keeps beta of itself in a step."""
    choices = _choices(module, site, at_once=True)
    return _graded(module, site, Part({"": _lif(module, site)}, choices=choices))


def synaptic(module: Any, site: Site) -> Part:
    """Synaptic: a synaptic current that keeps alpha of itself before the membrane."""
    choices = _choices(module, site, at_once=False)
    return _graded(module, site, Part({"": _cuba(module, site)}, choices=choices))


def rleaky(module: Any, site: Site) -> Part:
    """RLeaky: Leaky whose spikes come back in the next step."""
    return _fed_back(module, site, _lif(module, site))


def rsynaptic(module: Any, site: Site) -> Part:
    """RSynaptic: Synaptic whose spikes come back in the next step."""
    return _fed_back(module, site, _cuba(module, site))


def leaky_membrane(module: Any, site: Site) -> Part:
    """The membrane of a Leaky without a reset: it keeps beta of itself in a step, whatever its
    spikes are.
    """
    _unquantised(module, site)
    tau = _tau(_kept(module.beta, site))
    return Part(
        {"": {"type": "LI", "tau": tau, "r": tau / DT_S, "v_leak": np.zeros(site.shape_out)}}
    )


def synaptic_membrane(module: Any, site: Site) -> Part:
    """The membrane of a Synaptic without a reset."""
    _unquantised(module, site)
    tau, tau_syn = _tau(_kept(module.beta, site)), _tau(_kept(module.alpha, site))
    fields: Fields = {
        "type": "CubaLI",
        "tau_mem": tau,
        "r": tau / DT_S,
        "v_leak": np.zeros(site.shape_out),
    }
    return Part({"": fields | {"tau_syn": tau_syn, "w_in": tau_syn / DT_S}})


def membrane_problem(module: Any) -> tuple[str, str]:
    """Return the reason for which a membrane is no leaky integrator, "" if it is one, and the
    advice.
    """
    if type(module).__name__ not in MEMBRANES:
        return (
            "to which its spikes come back",
            "return its spikes, or read the membrane of a Leaky behind it",
        )
    if RESETS[module.state_function.__name__] == module.reset_mechanism == "none":
        return "", ""
    help_ = (
        "make the layer with reset_mechanism='none': the same numbers where it never fires. "
        "Or return its spikes"
    )
    return "which a spike would reset", help_


def _lif(module: Any, site: Site) -> Fields:
    tau = _tau(_kept(module.beta, site))
    return _common(module, site) | {"type": "LIF", "tau": tau, "r": tau / DT_S}


def _cuba(module: Any, site: Site) -> Fields:
    tau, tau_syn = _tau(_kept(module.beta, site)), _tau(_kept(module.alpha, site))
    fields = _common(module, site) | {"type": "CubaLIF", "tau_mem": tau, "r": tau / DT_S}
    return fields | {"tau_syn": tau_syn, "w_in": tau_syn / DT_S}


def _kept(value: Any, site: Site) -> Array:
    """The share of a state that is left after a step. snnTorch clips it to 0 and 1."""
    return np.clip(site.full(value), 0.0, 1.0)


def _tau(kept: Array) -> Array:
    """The exporter's time constant: infinite where nothing is lost."""
    with np.errstate(divide="ignore"):
        return np.asarray(DT_S / (1.0 - kept))


def _common(module: Any, site: Site) -> Fields:
    if module.inhibition:
        site.refuse(
            "only the neuron with the highest membrane fires (inhibition)", limit="inhibition=False"
        )
    _unquantised(module, site)
    shift = torch.tensor(PROBE)
    fired = [module.spike_grad(shift).detach().tolist() for _ in range(2)]
    if fired != [[0.0, 0.0, 1.0, 1.0]] * 2:
        site.refuse(
            "its neurons do not fire once wherever the membrane is above the threshold "
            "(spike_grad)",
            found=f"{fired[0]} at {list(PROBE)} above the threshold",
            help="use a surrogate gradient whose forward pass is a step",
        )
    threshold = site.full(module.threshold)
    zero = np.zeros(site.shape_out)
    return {"v_threshold": threshold, "v_leak": zero, "v_reset": zero}


def _unquantised(module: Any, site: Site) -> None:
    if module.state_quant:
        site.refuse("its states are quantised (state_quant)", limit="state_quant=False")


def _choices(module: Any, site: Site, *, at_once: bool) -> dict[str, tuple[str, ...]]:
    """``at_once``: a reset to zero acts before the next step, whatever the delay is said to be."""
    reset = RESETS[module.state_function.__name__]
    delay = "yes" if module.reset_delay else "no"
    if delay == "no" and reset != module.reset_mechanism:
        site.refuse(
            "its reset was changed after it was made, and acts in two ways",
            found=f"{reset} in the next step, {module.reset_mechanism} at once",
            help="make the layer with reset_mechanism",
        )
    either = (delay, "no" if delay == "yes" else "yes")
    if reset == "none" or (reset == "zero" and at_once and not site.looped):
        return {"reset": (reset,), "reset_delay": either}
    if (
        reset == "zero" and at_once
    ):  # read with a delay, a neuron that feeds itself is a cell that resets later
        return {"reset": (reset,), "reset_delay": ("no",)}
    return {"reset": (reset,), "reset_delay": (delay,)}


def _graded(module: Any, site: Site, part: Part) -> Part:
    """Multiply the spikes that leave by graded_spikes_factor."""
    factor = site.full(module.graded_spikes_factor)
    if (factor == 1).all():
        return part
    site.warn(
        "graded_spikes_factor is written as a Scale, which snnTorch's own exporter leaves out",
        found=f"{factor.min():g} to {factor.max():g}",
    )
    name = part.exit or "lif"
    nodes = {name if k == part.exit else k: v for k, v in part.nodes.items()}
    nodes["graded"] = {"type": "Scale", "scale": factor}
    edges = (*((a or name, b or name) for a, b in part.edges), (name, "graded"))
    return replace(part, nodes=nodes, edges=edges, entry=part.entry or name, exit="graded")


def _fed_back(module: Any, site: Site, neuron: Fields) -> Part:
    """A cell of neurons, its recurrent weights times graded_spikes_factor."""
    back = module.recurrent
    inside = replace(site, name=f"{site.name}.recurrent", shape_in=site.shape_out)
    if type(back).__name__ == "RecurrentOneToOne":
        if len(site.shape_out) > 1:
            site.refuse(
                "one weight a neuron comes back to a map", found=site.shape_out, limit="one axis"
            )
        weights = Part({"": {"type": "Linear", "weight": np.diag(site.full(back.V).ravel())}})
    else:
        weights = (
            convolution(back, inside) if type(back).__name__ == "Conv2d" else linear(back, inside)
        )
    factor = site.full(module.graded_spikes_factor)
    if not (factor == 1).all():
        if factor.min() < factor.max():
            site.refuse(
                "spikes that come back have different factors (graded_spikes_factor)",
                limit="one factor",
            )
        (fields,) = weights.nodes.values()
        weights = Part({"": {**fields, "weight": fields["weight"] * factor.flat[0]}})
    plain = Part({"": neuron}, choices=_choices(module, site, at_once=False))
    return _graded(module, site, recurrent(plain, weights))


def reset(modules: Collection[Any]) -> None:
    """Hidden states to 0. ``snntorch.utils.reset`` does it to all networks in memory."""
    for module in modules:
        if hasattr(module, "reset_mem"):
            module.reset_mem()


def layout(modules: Collection[Any]) -> Layout:
    """Networks are called once a step."""
    return "step"


def lead(module: Any) -> int:
    """Samples only: neurons make one step in a call."""
    return 1


MEMBRANES = {"Leaky": leaky_membrane, "Synaptic": synaptic_membrane}
SIMULATOR = Simulator(
    "snntorch",
    "snntorch",
    {"Leaky": leaky, "Synaptic": synaptic, "RLeaky": rleaky, "RSynaptic": rsynaptic},
    reset,
    layout,
    lead,
    layers={},
    kept=("spk", "syn", "mem"),
    membranes=MEMBRANES,
    membrane_problem=membrane_problem,
)
