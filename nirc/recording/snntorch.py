"""snnTorch's Leaky, Synaptic, RLeaky and RSynaptic, as measured with snntorch 1.0.0."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from nirc.recording.simulator import (
    Array,
    Part,
    Simulator,
    Site,
    check_fires_once,
    convolution,
    linear,
    recurrent,
)
from nirc.writers.importer import Fields
from nirc.writers.snntorch import DT_S

RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def leaky(module: Any, site: Site) -> Part:
    """Return Leaky: a membrane that keeps beta of itself in a step."""
    choices = _choices(module, site, at_once=True)
    return _graded(module, site, Part({"": _lif(module, site)}, choices=choices))


def synaptic(module: Any, site: Site) -> Part:
    """Return Synaptic: a synaptic current that keeps alpha of itself before the membrane."""
    choices = _choices(module, site, at_once=False)
    return _graded(module, site, Part({"": _cuba(module, site)}, choices=choices))


def rleaky(module: Any, site: Site) -> Part:
    """Return RLeaky: Leaky whose spikes come back in the next step."""
    return _fed_back(module, site, _lif(module, site))


def rsynaptic(module: Any, site: Site) -> Part:
    """Return RSynaptic: Synaptic whose spikes come back in the next step."""
    return _fed_back(module, site, _cuba(module, site))


def leaky_membrane(module: Any, site: Site) -> Part:
    """Return the membrane of a Leaky without a reset, which spikes do not change."""
    return Part({"": {"type": "LI", **_readout(module, site, "tau")}})


def synaptic_membrane(module: Any, site: Site) -> Part:
    """Return the membrane of a Synaptic without a reset."""
    fields = _readout(module, site, "tau_mem") | _synapse(module, site)
    return Part({"": {"type": "CubaLI", **fields}})


def membrane_problem(module: Any) -> tuple[str, str]:
    """Return why a membrane is no leaky integrator, "" if it is one, and the advice."""
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
    return {"type": "LIF", **_firing(module, site, "tau")}


def _cuba(module: Any, site: Site) -> Fields:
    return {"type": "CubaLIF", **_firing(module, site, "tau_mem"), **_synapse(module, site)}


def _tau(decay: Any, site: Site) -> Array:
    """Return the exporter's time constant, infinite where nothing is lost.

    ``decay``: beta or alpha, which snnTorch clips to 0 and 1.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(DT_S / (1.0 - np.clip(site.full(decay), 0.0, 1.0)))


def _readout(module: Any, site: Site, name: str) -> Fields:
    """Return the fields of a membrane. ``name``: that of its time constant."""
    if module.state_quant:
        site.refuse("its states are quantised (state_quant)", limit="state_quant=False")
    tau = _tau(module.beta, site)
    return {name: tau, "r": tau / DT_S, "v_leak": np.zeros(site.shape_out)}


def _synapse(module: Any, site: Site) -> Fields:
    tau_syn = _tau(module.alpha, site)
    return {"tau_syn": tau_syn, "w_in": tau_syn / DT_S}


def _firing(module: Any, site: Site, name: str) -> Fields:
    """Return the fields of a membrane with a threshold."""
    if module.inhibition:
        problem = "only the neuron with the highest membrane fires (inhibition)"
        site.refuse(problem, limit="inhibition=False")
    fields = _readout(module, site, name)
    check_fires_once(
        module.spike_grad,
        site,
        "its neurons do not fire once wherever the membrane is above the threshold (spike_grad)",
        help="use a surrogate gradient whose forward pass is a step",
    )
    threshold = site.full(module.threshold)
    return fields | {"v_threshold": threshold, "v_reset": np.zeros(site.shape_out)}


def _choices(module: Any, site: Site, *, at_once: bool) -> dict[str, tuple[str, ...]]:
    """Return reset and reset_delay.

    ``at_once``: a reset to zero acts before the next step, with any reset_delay.
    """
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
    if reset == "zero" and at_once:
        # Read with a delay, a neuron that feeds itself is a cell that resets later.
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
    """Return a cell of neurons, its recurrent weights times graded_spikes_factor."""
    back = module.recurrent
    inside = replace(site, name=f"{site.name}.recurrent", shape_in=site.shape_out)
    kind = type(back).__name__
    if kind == "RecurrentOneToOne" and len(site.shape_out) > 1:
        problem = "one weight a neuron comes back to a map"
        site.refuse(problem, found=site.shape_out, limit="one axis")
    if kind == "RecurrentOneToOne":
        weights = Part({"": {"type": "Linear", "weight": np.diag(site.full(back.V).ravel())}})
    else:
        weights = convolution(back, inside) if kind == "Conv2d" else linear(back, inside)
    factor = site.full(module.graded_spikes_factor)
    if factor.min() < factor.max():
        problem = "spikes that come back have different factors (graded_spikes_factor)"
        site.refuse(problem, limit="one factor")
    if not (factor == 1).all():
        (fields,) = weights.nodes.values()
        weights = Part({"": {**fields, "weight": fields["weight"] * factor.flat[0]}})
    plain = Part({"": neuron}, choices=_choices(module, site, at_once=False))
    return _graded(module, site, recurrent(plain, weights))


def reset(modules: Collection[Any]) -> None:
    """Set hidden states to 0. ``snntorch.utils.reset`` does it to all networks in memory."""
    for module in modules:
        if hasattr(module, "reset_mem"):
            module.reset_mem()


MEMBRANES = {"Leaky": leaky_membrane, "Synaptic": synaptic_membrane}
SIMULATOR = Simulator(
    "snntorch",
    "snntorch",
    {"Leaky": leaky, "Synaptic": synaptic, "RLeaky": rleaky, "RSynaptic": rsynaptic},
    reset,
    kept=("spk", "syn", "mem"),
    membranes=MEMBRANES,
    membrane_problem=membrane_problem,
)
