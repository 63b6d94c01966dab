"""discretise: coefficients per step of dt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete
from nirc.passes.discretise import Discretise
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.writer import Reading
from tests.build import (
    DT,
    adder,
    affine,
    cuba,
    delay,
    findings,
    graph,
    inp,
    lif,
    lowered,
    node,
    out,
    refusals,
    said,
    steps,
)  # fmt: skip


def alone(item: Any) -> Any:
    return graph({"in": inp(1), "x": item, "out": out(1)}, "in x out")


def dynamics(item: Any, discretise: str = "euler") -> Discrete:
    reading = Reading(LETTER, LETTER.defaults() | {"discretise": discretise})
    program = Discretise(reading).run(lowered(alone(item)).continuous, Log())
    found: Discrete = program["x"].dynamics
    return found


def test_euler_gives_back_what_was_trained() -> None:
    """v = beta * v + x exports tau = dt / (1 - beta), r = tau / dt."""
    beta = 0.9375
    tau = DT / (1 - beta)
    d = dynamics(lif(1, tau=[tau], r=[tau / DT], v_leak=[0.5]))
    assert d.decay_mem.item() == pytest.approx(beta) and d.gain_mem.item() == pytest.approx(1)
    assert d.drift.item() == pytest.approx((1 - beta) * 0.5)
    assert d.decay_syn is None and d.threshold is not None and d.threshold.item() == 1


def test_a_synapse_has_its_own_coefficients() -> None:
    d = dynamics(cuba(1, steps=8, synapse=4))
    assert d.decay_syn is not None and d.gain_syn is not None
    assert (d.decay_mem.item(), d.decay_syn.item()) == (
        0.875,
        0.75,
    ) and d.gain_syn.item() == pytest.approx(1)


def test_the_exponential_is_exact_for_a_constant_input() -> None:
    d = dynamics(lif(1, tau=[1e-3], r=[2.0], v_leak=[0.3]), "exponential")
    v = 0.0
    for _ in range(30):
        v = float(d.decay_mem.item() * v + d.gain_mem.item() * 0.7 + d.drift.item())
    t = 30 * DT
    assert v == pytest.approx((0.3 + 2.0 * 0.7) * (1 - np.exp(-t / 1e-3)))


def test_a_threshold_has_no_memory() -> None:
    d = dynamics(node("Threshold", threshold=[0.5]))
    assert (d.decay_mem.item(), d.gain_mem.item(), d.drift.item()) == (0, 1, 0)


@pytest.mark.parametrize(
    ("item", "where"),
    [(lif(1, tau=[0.5e-4]), "nodes/x/tau"), (lif(1, tau=[DT * (1 - 2e-5)]), "nodes/x/tau"),
     (cuba(1, tau_mem=[0.5e-4]), "nodes/x/tau_mem"),
     (cuba(1, tau_syn=[0.9e-4]), "nodes/x/tau_syn")],
)  # fmt: skip
def test_a_time_constant_below_the_step_is_refused_by_euler_only(item: Any, where: str) -> None:
    (refusal,) = [d for d in said(alone(item)) if d.severity == "error"]
    assert (refusal.code, refusal.where, refusal.limit) == ("P303", where, "dt = 0.0001 s")


def test_one_fast_neuron_among_others_is_refused_by_the_pass_itself() -> None:
    tau = [8 * DT, 0.5 * DT]
    net = graph({"in": inp(2), "x": lif(2, tau=tau), "out": out(2)}, "in x out")
    (refusal,) = [d for d in said(net) if d.severity == "error"]
    assert refusal.message.startswith("1 of 2 neurons") and refusal.found == "5e-05 s"
    program = lowered(graph({"in": inp(2), "x": lif(2), "out": out(2)}, "in x out")).continuous
    fast = program["x"].dynamics
    fast = replace(fast, tau_mem_s=np.array(tau))
    spoilt = program.mapped({"x": program["x"].with_dynamics(fast)})
    with pytest.raises(CompileError):
        Discretise().run(spoilt, Log())


def test_a_time_constant_of_one_step_forgets_at_once() -> None:
    for tau in (np.float32(DT), DT * (1 - 0.9e-5)):  # float32 may be a hair below dt
        d = dynamics(lif(1, tau=[tau], r=[1.0]))
        assert d.decay_mem.item() == pytest.approx(0, abs=1e-7) and d.decay_mem.item() >= 0


@pytest.mark.parametrize(
    ("delay_s", "expected", "warned"),
    [(2e-4, 2, False), (2.4e-4, 2, True), (1e-5, 1, True), (2.0009e-4, 2, False),
     (2.0011e-4, 2, True)],
)  # fmt: skip
def test_delays_become_whole_steps(delay_s: float, expected: int, warned: bool) -> None:
    raw = graph({"in": inp(1), "d": delay(delay_s), "pop": adder(), "out": out(1)}, "in d pop out")
    assert [code for code, _ in findings(raw)] == (["P304"] if warned else [])
    assert lowered(raw).outputs(steps(1.0, 0, 0, 0)).ravel().tolist().index(1.0) == expected


def test_the_longest_delay_has_2_to_the_24_steps() -> None:
    def net(steps: int) -> Any:
        nodes = {"in": inp(1), "d": delay(steps * DT), "pop": adder(), "out": out(1)}
        return graph(nodes, "in d pop out")

    longest = [p.delay_steps for *_, p in lowered(net(1 << 24)).discrete.edges()]
    assert longest == [1 << 24, 0]
    (refusal,) = [d for d in said(net((1 << 24) + 1)) if d.severity == "error"]
    assert (refusal.code, refusal.where, refusal.limit) == ("P304", "nodes/d", "16777216 steps")


@pytest.mark.parametrize("delay_s", [1e10, 1e308])
def test_a_delay_of_ages_is_refused(delay_s: float) -> None:
    raw = graph({"in": inp(1), "d": delay(delay_s), "pop": adder(), "out": out(1)}, "in d pop out")
    assert refusals(raw) == [("P304", "nodes/d")]


def test_delays_that_add_up_to_infinity_are_refused() -> None:
    nodes = {
        "in": inp(1),
        "d": delay(1e308),
        "e": delay(1e308),
        "w": affine([[1.0]], [1.0]),
        "pop": adder(),
        "out": out(1),
    }
    assert {code for code, _ in refusals(graph(nodes, "in d w e pop out"))} == {"P304"}


def test_a_long_delay_is_fine() -> None:
    raw = graph({"in": inp(1), "d": delay(1.6), "pop": adder(), "out": out(1)}, "in d pop out")
    (into, _) = [p for *_, p in lowered(raw).discrete.edges()]
    assert into.delay_steps == 16000


@pytest.mark.parametrize(("weight", "refused"), [(1e100, False), (1.1e100, True), (-1e308, True)])
def test_a_weight_is_at_most_ten_to_the_hundred(weight: float, refused: bool) -> None:
    """So that sums and squares of weights stay finite in everything that follows."""
    net = graph(
        {"in": inp(1), "w": affine([[weight]], [0]), "pop": lif(1), "out": out(1)}, "in w pop out"
    )
    assert refusals(net) == ([("F110", "nodes/w")] if refused else [])


@pytest.mark.filterwarnings("error")
def test_layers_whose_product_overflows_are_refused_without_a_word_from_numpy() -> None:
    """Each weight is a number; their product is none, and so is infinity times the zeros behind
    it.
    """
    for last in (1e200, 0.0):
        nodes = {
            "in": inp(1),
            "w": affine([[1e200]], [0]),
            "x": affine([[1e200]], [0]),
            "y": affine([[last]], [0]),
        }
        net = graph({**nodes, "pop": lif(1), "out": out(1)}, "in w x y pop out")
        assert refusals(net) == [("F110", "nodes/w")]


def test_a_chain_that_stays_a_chain_is_measured_by_its_product() -> None:
    kernel = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "input_shape": (4, 4)}
    conv = node("Conv2d", weight=np.full((1, 1, 3, 3), 1e60), bias=[0.0], **kernel)
    pop = node(
        "IF", r=np.ones((1, 4, 4)), v_threshold=np.ones((1, 4, 4)), v_reset=np.zeros((1, 4, 4))
    )
    nodes = {"in": inp(1, 4, 4), "a": conv, "b": conv, "pop": pop, "out": out(1, 4, 4)}
    assert refusals(graph(nodes, "in a b pop out")) == [("F110", "nodes/a")]
    del nodes["b"]
    assert refusals(graph(nodes, "in a pop out")) == []


def test_gains_rests_and_biases_are_measured_too() -> None:
    for spoilt in ({"r": [1e308]}, {"v_leak": [-1e308]}, {"v_threshold": [1e308]}):
        assert refusals(alone(lif(1, **spoilt))) == [("F110", "nodes/x")]
    net = graph(
        {"in": inp(1), "w": affine([[1]], [1e308]), "pop": lif(1), "out": out(1)}, "in w pop out"
    )
    assert refusals(net) == [("F110", "nodes/w")]
