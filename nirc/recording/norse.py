"""Norse's cells of LIFBox, LIF, IAF, LIBox and LI, and its layers with time, as measured with norse
1.1.0.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from nirc.recording.parts import Array, Part, Site, as_array
from nirc.recording.simulator import Layout, Simulator
from nirc.writers.importer import Fields

PROBE = (-1.0, 0.0, 0.25, 3.0)  # above the threshold by: fires never, never, once, once
WITH_TIME = ("LIF", "LIFRecurrent", "IAF", "LI", "Lift", "SNN", "SNNRecurrent")
SLOWEST_DT_S = 1.0  # from here on the file's dt has another meaning: tau was not scaled


def lif_box(module: Any, site: Site) -> Part:
    """LIFBoxCell: a membrane without a synaptic current."""
    p, method = module.p, module.p.reset_method.__name__
    if method not in ("reset_value", "reset_subtract"):
        site.refuse(
            "its reset_method is not known", found=method, limit="reset_value, reset_subtract"
        )
    fields = {
        "type": "LIF",
        "tau": _tau(module, p.tau_mem_inv, site),
        "v_leak": site.full(p.v_leak),
    }
    reset = "subtract" if method == "reset_subtract" else "zero"
    fields |= _fires(p, site, resets=reset == "zero")
    return Part({"": fields}, choices=_dt(module, site) | {"reset": (reset,)})


def lif(module: Any, site: Site) -> Part:
    """LIFCell and LIF: the membrane takes the synaptic current before the current decays."""
    return Part({"": _cuba(module, site)}, choices=_dt(module, site) | {"reset": ("zero",)})


def lif_recurrent(module: Any, site: Site) -> Part:
    """LIFRecurrentCell and LIFRecurrent: with weights of the input and of its own spikes."""
    weights = {"w_in": as_array(module.input_weights), "w_rec": as_array(module.recurrent_weights)}
    nodes: dict[str, Fields] = {k: {"type": "Linear", "weight": w} for k, w in weights.items()}
    nodes["lif"] = _cuba(module, site)
    edges = (("w_in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"))
    return Part(nodes, edges, "w_in", "lif", _dt(module, site) | {"reset": ("zero",)})


def iaf(module: Any, site: Site) -> Part:
    """IAFCell and IAF: a membrane that loses nothing."""
    fields = {"type": "IF"} | _fires(module.p, site, resets=True)
    return Part({"": fields}, choices={"reset": ("zero",)})


def li_box(module: Any, site: Site) -> Part:
    """LIBoxCell: a membrane that never fires."""
    p = module.p
    fields = {"type": "LI", "tau": _tau(module, p.tau_mem_inv, site), "v_leak": site.full(p.v_leak)}
    return Part({"": fields | {"r": np.ones(site.shape_out)}}, choices=_dt(module, site))


def li(module: Any, site: Site) -> Part:
    """LICell and LI: a synaptic current and a membrane that never fires."""
    fields = _currents(module, site) | {"type": "CubaLI", "r": np.ones(site.shape_out)}
    return Part({"": fields}, choices=_dt(module, site))


def _cuba(module: Any, site: Site) -> Fields:
    if module.p.method == "adjoint":
        site.refuse("it is of the adjoint method, whose steps are others", limit='method="super"')
    return {"type": "CubaLIF", **_currents(module, site), **_fires(module.p, site, resets=True)}


def _currents(module: Any, site: Site) -> Fields:
    p = module.p
    tau_syn = _tau(module, p.tau_syn_inv, site)
    fields = {
        "tau_mem": _tau(module, p.tau_mem_inv, site),
        "tau_syn": tau_syn,
        "v_leak": site.full(p.v_leak),
    }
    return fields | {"w_in": np.ones(site.shape_out)}


def _tau(module: Any, inverse: Any, site: Site) -> Array:
    """As Norse's exporter writes it: dt times the time constant (norse#411)."""
    return np.asarray(float(module.dt) / site.full(inverse))


def _dt(module: Any, site: Site) -> dict[str, tuple[str, ...]]:
    if not 0 < float(module.dt) < SLOWEST_DT_S:
        site.refuse(
            "its time step is no fraction of a second, and Norse's files mean something else by it",
            found=f"dt={float(module.dt):g}",
            limit="below 1 s",
            help="divide dt by 1000 and multiply the inverse time constants by 1000",
        )
    return {"dt": (repr(float(module.dt)),)}


def _fires(p: Any, site: Site, *, resets: bool) -> Fields:
    """Threshold and reset potential. Norse's exporter leaves out the latter."""
    from norse.torch.functional.threshold import threshold

    shift = torch.tensor(PROBE)
    fired = [threshold(shift, p.method, p.alpha).detach().tolist() for _ in range(2)]
    if fired != [[0.0, 0.0, 1.0, 1.0]] * 2:
        site.refuse(
            "its neurons do not fire wherever the membrane is above the threshold (method "
            f"{p.method})",
            found=f"{fired[0]} at {list(PROBE)} above the threshold",
            limit='method="super"',
        )
    v_reset = site.full(p.v_reset) if resets else np.zeros(site.shape_out)
    if v_reset.any():
        site.warn(
            "v_reset is written, which Norse's own exporter leaves out",
            found=f"{v_reset.flat[0]:g}",
        )
    return {"v_threshold": site.full(p.v_th), "v_reset": v_reset, "r": np.ones(site.shape_out)}


def reset(modules: Collection[Any]) -> None:
    """Nothing: states are given to the network and come back from it."""


def layout(modules: Collection[Any]) -> Layout:
    """Once a step, unless layers with time are among the modules."""
    return "steps first" if any(type(m).__name__ in WITH_TIME for m in modules) else "step"


def lead(module: Any) -> int:
    """Cells make one step in a call, layers with time all."""
    return 2 if type(module).__name__ in WITH_TIME else 1


SIMULATOR = Simulator(
    "norse",
    "norse",
    {
        **{"LIFBoxCell": lif_box, "LIFCell": lif, "LIF": lif, "IAFCell": iaf, "IAF": iaf},
        **{"LIFRecurrentCell": lif_recurrent, "LIFRecurrent": lif_recurrent},
        **{"LIBoxCell": li_box, "LICell": li, "LI": li},
    },
    reset,
    layout,
    lead,
    layers={},
    open=("SequentialState", "Lift"),
    zero_bias=True,
)
