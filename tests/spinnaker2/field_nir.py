"""The 400 neurons of ``field.py`` as a NIR graph: what a modeller would have written."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from tests.spinnaker2.field import INHIBITION, INPUT, Field, N

DT_S = 1e-3


def graph(field: Field) -> nir.NIRGraph:
    """Excitation and inhibition through filters of their own where the chip's neuron has them.

    The chip fires at the threshold, NIR above it: thresholds are the float32 just below. The
    inhibitor of the script resets to zero whatever the others do, and fires every second step; with
    subtraction half the threshold does that.
    """
    kernel = field.kernel().astype(np.float64)
    excites, inhibits = np.maximum(kernel, 0), np.minimum(kernel, 0)
    threshold, kept = (10, 0.8) if field.filtered else (5, 0.9)
    nodes: dict[str, Any] = {
        "stimulus": nir.Input({"input": np.array([N])}),
        "in": nir.Linear(INPUT * np.eye(N)),
        "bias": nir.Affine(np.zeros((1, N)), np.array([2.5 if field.filtered else 3.0])),
        "inhibitor": nir.IF(np.ones(1), below(field.inhibitor_threshold, 1), np.zeros(1)),
        "global": nir.Linear(np.full((N, 1), float(INHIBITION))),
        "exc": nir.Linear(excites),
        "inh": nir.Linear(inhibits),
        "field": leaky(nir.LIF, kept, v_threshold=below(threshold, N), v_reset=np.zeros(N)),
        "out": nir.Output({"output": np.array([N])}),
    }
    edges = [
        ("stimulus", "bias"),
        ("bias", "inhibitor"),
        ("inhibitor", "global"),
        ("stimulus", "in"),
        ("field", "out"),
    ]
    edges += [("field", "exc"), ("field", "inh")]
    if field.filtered:
        # A loop takes its step where it closes, at the filters of the field's own spikes: others
        # have filters apart.
        for name, decay in (("in", 0.5), ("exc", 0.5), ("inh", 0.2), ("global", 0.2)):
            nodes[f"{name} current"] = leaky(nir.LI, decay)
            edges += [(name, f"{name} current"), (f"{name} current", "field")]
    else:
        edges += [(name, "field") for name in ("in", "exc", "inh", "global")]
    return nir.NIRGraph(nodes, edges)


def leaky(kind: Any, decay: float, **fields: np.ndarray) -> Any:
    """N neurons that keep ``decay`` of their membrane a step and add their input."""
    steps = 1 / (1 - decay)
    return kind(np.full(N, steps * DT_S), np.full(N, steps), np.zeros(N), **fields)


def below(value: float, n: int) -> np.ndarray:
    """The float32 just below."""
    return np.full(n, np.nextafter(np.float32(value), np.float32(0)), np.float64)
