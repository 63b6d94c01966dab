"""Norse's cells LIFBox, LIF, IAF, LIBox and LI, and its layers with time, of norse 1.1.0."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from nirc.recording.simulator import (
    Array,
    Layout,
    Part,
    Simulator,
    Site,
    as_array,
    check_fires_once,
)
from nirc.writers.importer import Fields

WITH_TIME = ("LIF", "LIFRecurrent", "IAF", "LI", "Lift", "SNN", "SNNRecurrent")
SLOWEST_DT_S = 1.0  # from here on the file's dt has another meaning: tau was not scaled


def lif_box(module: Any, site: Site) -> Part:
    """Return LIFBoxCell: a membrane without a synaptic current."""
    p, method = module.p, module.p.reset_method.__name__
    if method not in ("reset_value", "reset_subtract"):
        problem, limit = "its reset_method is not known", "reset_value, reset_subtract"
        site.refuse(problem, found=method, limit=limit)
    reset = "subtract" if method == "reset_subtract" else "zero"
    fields = {"type": "LIF", "tau": _tau(module, p.tau_mem_inv, site)}
    fields["v_leak"] = site.full(p.v_leak)
    fields |= _fires(p, site, resets=reset == "zero")
    return Part({"": fields}, choices=_dt(module, site) | {"reset": (reset,)})


def lif(module: Any, site: Site) -> Part:
    """Return LIFCell and LIF: the membrane takes the synaptic current before the current decays."""
    return Part({"": _cuba(module, site)}, choices=_dt(module, site) | {"reset": ("zero",)})


def lif_recurrent(module: Any, site: Site) -> Part:
    """Return LIFRecurrentCell and LIFRecurrent: with weights of the input and of spikes."""
    weights = {"w_in": as_array(module.input_weights), "w_rec": as_array(module.recurrent_weights)}
    nodes: dict[str, Fields] = {k: {"type": "Linear", "weight": w} for k, w in weights.items()}
    nodes["lif"] = _cuba(module, site)
    edges = (("w_in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"))
    return Part(nodes, edges, "w_in", "lif", _dt(module, site) | {"reset": ("zero",)})


def iaf(module: Any, site: Site) -> Part:
    """Return IAFCell and IAF: a membrane that loses nothing."""
    fields = {"type": "IF"} | _fires(module.p, site, resets=True)
    return Part({"": fields}, choices={"reset": ("zero",)})


def li_box(module: Any, site: Site) -> Part:
    """Return LIBoxCell: a membrane that never fires."""
    p = module.p
    fields = {"type": "LI", "tau": _tau(module, p.tau_mem_inv, site), "v_leak": site.full(p.v_leak)}
    return Part({"": fields | {"r": np.ones(site.shape_out)}}, choices=_dt(module, site))


def li(module: Any, site: Site) -> Part:
    """Return LICell and LI: a synaptic current and a membrane that never fires."""
    fields = _currents(module, site) | {"type": "CubaLI", "r": np.ones(site.shape_out)}
    return Part({"": fields}, choices=_dt(module, site))


def _cuba(module: Any, site: Site) -> Fields:
    if module.p.method == "adjoint":
        site.refuse("it is of the adjoint method, whose steps are others", limit='method="super"')
    return {"type": "CubaLIF", **_currents(module, site), **_fires(module.p, site, resets=True)}


def _currents(module: Any, site: Site) -> Fields:
    p = module.p
    tau_mem, tau_syn = (_tau(module, inv, site) for inv in (p.tau_mem_inv, p.tau_syn_inv))
    fields = {"tau_mem": tau_mem, "tau_syn": tau_syn, "v_leak": site.full(p.v_leak)}
    return fields | {"w_in": np.ones(site.shape_out)}


def _tau(module: Any, inverse: Any, site: Site) -> Array:
    """Return tau as Norse's exporter writes it: dt times the time constant (norse#411)."""
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
    """Return threshold and reset potential. Norse's exporter leaves out the latter."""
    from norse.torch.functional.threshold import threshold

    check_fires_once(
        lambda above: threshold(above, p.method, p.alpha),
        site,
        f"its neurons do not fire wherever the membrane is above the threshold (method {p.method})",
        limit='method="super"',
    )
    v_reset = site.full(p.v_reset) if resets else np.zeros(site.shape_out)
    if v_reset.any():
        problem = "v_reset is written, which Norse's own exporter leaves out"
        site.warn(problem, found=f"{v_reset.flat[0]:g}")
    return {"v_threshold": site.full(p.v_th), "v_reset": v_reset, "r": np.ones(site.shape_out)}


def layout(modules: Collection[Any]) -> Layout:
    """Return the usual layout: once a step, unless layers with time are among the modules."""
    return "steps first" if any(type(m).__name__ in WITH_TIME for m in modules) else "step"


def lead(module: Any) -> int:
    """Return 1 for cells, which make one step in a call, 2 for layers with time."""
    return 2 if type(module).__name__ in WITH_TIME else 1


SIMULATOR = Simulator(
    "norse",
    "norse",
    {
        **{"LIFBoxCell": lif_box, "LIFCell": lif, "LIF": lif, "IAFCell": iaf, "IAF": iaf},
        **{"LIFRecurrentCell": lif_recurrent, "LIFRecurrent": lif_recurrent},
        **{"LIBoxCell": li_box, "LICell": li, "LI": li},
    },
    layout=layout,
    lead=lead,
    open=("SequentialState", "Lift"),
    zero_bias=True,
)
