"""canonicalise: every neuron has its own parameters, and an infinite time constant is an
integrator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.frontend.raw import RawNode
from nirc.ir.layers import Neuron
from tests.build import (
    changed,
    cuba,
    delay,
    findings,
    graph,
    inp,
    layers,
    lif,
    linear,
    lowered,
    node,
    out,
    refusals,
    said,
    scale,
    steps,
)


def alone(item: RawNode, *shape: int) -> Any:
    """The layer of one node between Input and Output."""
    return layers(graph({"in": inp(*shape), "x": item, "out": out(*shape)}, "in x out"))["x"].layer


@pytest.mark.parametrize(
    ("value", "shape", "full"),
    [
        (2.0, (2, 2, 1), [2, 2, 2, 2]),
        ([2.0], (3,), [2, 2, 2]),
        ([[[1.0]], [[2.0]]], (2, 1, 2), [1, 1, 2, 2]),
        ([3.0, 4.0], (2, 1, 3), [3, 3, 3, 4, 4, 4]),
        ([[[1.0, 2.0]]], (2,), [1, 2]),
        ([1.0, 2, 3, 4], (1, 2, 2), [1, 2, 3, 4]),
    ],
)
def test_scalars_channels_and_leading_ones_become_one_value_a_neuron(
    value: Any, shape: Any, full: list[float]
) -> None:
    assert alone(scale(value), *shape).scale.tolist() == full
    assert alone(delay(value), *shape).delay_s.tolist() == full
    assert alone(lif(1, v_threshold=value), *shape).v_threshold.tolist() == full


def test_parameters_of_one_node_may_have_different_shapes() -> None:
    layer = alone(lif(1, tau=1e-3, r=[10.0] * 4, v_threshold=[[[1.0]], [[2.0]]]), 2, 1, 2)
    assert (
        layer.r.tolist() == [10] * 4
        and layer.v_threshold.tolist() == [1, 1, 2, 2]
        and layer.tau_mem_s.shape == (4,)
    )


def test_a_weight_loses_its_leading_ones() -> None:
    raw = graph(
        {
            "in": inp(3),
            "x": node("Affine", weight=np.ones((1, 1, 2, 3)), bias=np.ones((1, 2))),
            "out": out(),
        },
        "in x out",
    )
    layer = layers(raw)["x"].layer
    assert layer.weight.shape == (2, 3) and layer.bias.shape == (2,)


def test_a_stack_of_matrices_stays_one() -> None:
    weight = np.arange(12.0).reshape(2, 2, 3)
    raw = graph(
        {"in": inp(2, 3), "w": linear(weight), "pop": node("I", r=np.ones((2, 2))), "out": out()},
        "in w pop out",
    )
    x = np.array([[1.0, 2, 3], [4, 5, 6]])
    expected = np.stack([weight[0] @ x[0], weight[1] @ x[1]])
    assert lowered(raw).outputs(steps(x.ravel())).reshape(2, 2).tolist() == expected.tolist()


@pytest.mark.parametrize(("r", "gain"), [(np.inf, 1.0), (0.5, 0.5)])
def test_an_infinite_time_constant_is_an_integrator(r: float, gain: float) -> None:
    item = lif(2, tau=np.full(2, np.inf), r=np.full(2, r))
    layer = alone(item, 2)
    assert (
        isinstance(layer, Neuron)
        and layer.kind == "IF"
        and layer.tau_mem_s is None
        and layer.r is not None
    )
    assert layer.r.tolist() == [gain, gain]
    raw = graph({"in": inp(2), "x": item, "out": out(2)}, "in x out")
    assert findings(raw) == [("G211", "nodes/x/tau")]


def test_an_infinite_li_is_an_integrator_too() -> None:
    item = node("LI", tau=[np.inf], r=[np.inf], v_leak=[0.0])
    raw = graph({"in": inp(1), "x": item, "out": out(1)}, "in x out")
    assert alone(item, 1).kind == "I"
    assert lowered(raw).outputs(steps(1.0, 2.0, 0.0)).ravel().tolist() == [1, 3, 3]


def test_a_population_with_some_integrators_stays_one() -> None:
    item = lif(2, tau=[np.inf, 8e-4], r=[np.inf, 8.0], v_threshold=[9.0, 9.0])
    layer = alone(item, 2)
    assert layer.kind == "LIF" and layer.r.tolist() == [1, 8]
    record = lowered(graph({"in": inp(2), "x": item, "out": out(2)}, "in x out"))
    dynamics = record.discrete["x"].dynamics
    assert dynamics.decay_mem.tolist() == [1, 0.875] and dynamics.gain_mem.tolist() == [1, 1]


def test_an_infinite_synapse_keeps_its_current_for_ever() -> None:
    item = cuba(1, tau_syn=[np.inf], w_in=[np.inf])
    raw = graph({"in": inp(1), "x": item, "out": out(1)}, "in x out")
    assert findings(raw) == [("G211", "nodes/x/tau_syn")]
    dynamics = lowered(raw).discrete["x"].dynamics
    assert dynamics.decay_syn.tolist() == [1] and dynamics.gain_syn.tolist() == [1]


@pytest.mark.parametrize("field", ["r", "w_in"])
def test_an_infinite_gain_with_a_finite_time_constant_means_nothing(field: str) -> None:
    raw = graph(
        {"in": inp(1), "x": changed(cuba(1), **{field: [np.inf]}), "out": out(1)}, "in x out"
    )
    assert refusals(raw) == [("F110", f"nodes/x/{field}")]
    (refusal,) = said(raw)
    assert (refusal.found, refusal.limit) == ("inf", "finite")


def test_every_node_with_an_infinite_gain_is_named() -> None:
    bad = lif(1, r=[np.inf])
    raw = graph({"in": inp(1), "x": bad, "y": bad, "out": out(1)}, "in x y out")
    assert refusals(raw) == [("F110", "nodes/x/r"), ("F110", "nodes/y/r")]
