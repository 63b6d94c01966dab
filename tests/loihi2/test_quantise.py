"""To integers: ranges are proven, grids are the chip's, and thresholds are exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.drive import grid, stored
from nirc.backends.loihi2.limits import STATE, VTH
from nirc.backends.loihi2.lower import largest_u
from nirc.backends.loihi2.neuron import start_value
from nirc.backends.loihi2.plan import Plan, split_bias
from nirc.backends.loihi2.quantise import LoihiQuantise, _Population
from nirc.backends.loihi2.tables import Projection, Tables
from nirc.diagnostics.log import Log
from nirc.ir.linear import weights_of
from nirc.rounding.rule import Weights
from tests.loihi2.graphs import random_graph
from tests.loihi2.reference import synapses as synapses_of
from tests.loihi2.reference import towards_zero
from tests.models import DT, chain, cuba, lif, linear

RNG = np.random.default_rng(0)


def compiled(model: nir.NIRGraph, reset: str = "model", **chip: str) -> tuple[Compiled, set[str]]:
    log = Log()
    options = Options(dt_s=DT, reset=reset, chip=tuple(sorted(chip.items())), allow_silent=True)
    return compile_model(model, "loihi2", options, log=log), {d.code for d in log.diagnostics}


def tables_of(model: nir.NIRGraph, reset: str = "model", **chip: str) -> Tables:
    tables: Tables = compiled(model, reset, **chip)[0].mapped.chip.tables
    return tables


def worst_u(tables: Tables, name: str, steps: int) -> int:
    """The largest magnitude that u gets to if all sources of one sign fire in every step, one by
    one.
    """
    (population,) = (p for p in tables.populations if p.name == name)
    worst = 0
    for sign in (1, -1):
        total = np.zeros(population.n)
        for p in tables.projections:
            for row, _, w, _ in synapses_of(p) if p.target == name else ():
                total[row] += max(0, sign * w) * Fraction(2) ** p.weight_exp
        u = 0
        for _ in range(steps):
            u = towards_zero(u, population.du + 1) + int(total.max()) * 64
        worst = max(worst, u)
    return worst


@pytest.mark.parametrize("seed", range(12))
def test_u_never_goes_round(seed: int) -> None:
    """The bound in floorplan.json holds step by step, and is not far above the worst case."""
    tables = tables_of(random_graph(seed))
    for name, bound in largest_u(tables).items():
        assert bound < 2**23
        slow = next(p.du for p in tables.populations if p.name == name) < 30
        worst = worst_u(tables, name, 400)
        assert worst <= bound and (slow or worst >= 0.95 * bound - 500)


@pytest.mark.parametrize("synapses", ["one", "two"])
@pytest.mark.parametrize("neuron", [lif(2, threshold=1e-3), cuba(2, synapse=50)])
def test_u_does_not_go_round_with_weights_of_any_size(neuron: nir.NIRNode, synapses: str) -> None:
    """A hundred weights of a million thresholds each: reduced, and told."""
    made, said = compiled(
        chain(100, nir.Linear(weight=np.full((2, 100), 1e6)), neuron, n_out=2), synapses=synapses
    )
    assert "D412" in said and max(largest_u(made.mapped.chip.tables).values()) < 2**23
    assert made.bundle.run(np.ones((1, 20, 100), np.int64)).outputs.any()


@dataclass(frozen=True)
class OneWay:
    """Rounds by a function such as ``np.ceil``."""

    by: Any

    def integers(self, weights: Weights) -> np.ndarray:
        return np.clip(self.by(weights.exact), weights.low, weights.high)


def test_the_rest_that_a_second_synapse_holds_is_rounded_by_the_given_rule() -> None:
    """The first takes what is nearest in either case, and the second is rounded up or down."""
    made, _ = compiled(chain(6, linear(RNG, 5, 6), lif(5), n_out=5))
    ways = []
    for by in (np.ceil, np.floor):
        quantise = LoihiQuantise(twice=True, netx=False).rounding_by(OneWay(by))
        edges = list(quantise.run(made.legal, Log()).edges())
        ways.append([weights_of(p.ops[-1]) for _, target, p in edges if target == "lif1"])
    (first, above), (same, below) = ways
    np.testing.assert_array_equal(first, same)
    assert (above > below).all()


def test_weights_are_on_the_grid_that_the_chip_stores() -> None:
    for seed in range(12):
        for p in tables_of(random_graph(seed)).projections:
            if p.kind != "conv":
                np.testing.assert_array_equal(
                    rule.effective_weights(p.weights, p.sign_mode, 8), p.weights
                )
            if p.weight_exp < 0:  # Lava floors the sum: each weight must be whole
                assert (p.weights % 2**-p.weight_exp == 0).all()


def test_sign_modes_are_chosen_for_each_projection() -> None:
    weights = np.abs(RNG.normal(size=(4, 3)))
    modes = {}
    for name, sign in (
        ("excitatory", weights),
        ("inhibitory", -weights),
        ("mixed", RNG.normal(size=(4, 3))),
    ):
        (p, *_) = tables_of(chain(3, nir.Linear(weight=sign), lif(4), n_out=4)).projections
        modes[name] = p.sign_mode
        assert np.abs(p.weights).max() > 127  # all bits are used
    assert list(modes) == list(modes.values())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_on_a_grid_is_stored_without_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = bool(rng.random() < 0.5)
    largest = 2.0 ** rng.uniform(-3, 14)
    step = grid(largest, mixed=mixed)
    values = np.rint(rng.uniform(-largest if mixed else 0, largest, 9) / step) * step
    if not values.any():
        return
    mode, exponent = stored(values)
    mantissa = values / 2.0**exponent
    p = Projection(
        "w", "a", "b", "dense", mantissa.astype(np.int64)[:, None], mode, weight_exp=exponent
    )
    assert (mantissa == np.rint(mantissa)).all()
    back = rule.effective_weights(p.weights, mode, 8)[:, 0] * 2.0**exponent
    np.testing.assert_array_equal(back, values)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**20), 2**20))
def test_a_bias_keeps_12_bits(bias: int) -> None:
    mantissa, exponent = split_bias(np.array([bias]))
    value = int(mantissa[0]) << int(exponent[0])
    reachable = max(-4095 * 128, min(4095 * 128, bias))
    assert abs(value - reachable) <= max(0, abs(reachable) / 4095)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_start_values_lead_exactly_to_where_the_model_begins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, dv, vth = int(rng.integers(1, 6)), rng.integers(0, 2000, 5), np.full(5, VTH[1])
    bias, start = rng.integers(-9000, 9000, 5), rng.integers(-50000, 1, 5)
    v = start_value(start, bias, dv, vth, steps)
    for _ in range(steps):
        v = (
            np.array([towards_zero(int(x), int(loss)) for x, loss in zip(v, dv, strict=True)])
            + bias
        )
        assert (v <= vth << 6).all()
    np.testing.assert_array_equal(v, start)


# Thresholds, decays.


def test_thresholds_that_differ_need_no_split() -> None:
    """Each neuron has a unit of voltage of its own; one vth serves all."""
    neurons = lif(5)
    neurons.v_threshold = np.array([0.1, 0.5, 1.0, 2.0, 7.0])
    made, _ = compiled(chain(3, linear(RNG, 5, 3), neurons, n_out=5))
    (population,) = made.mapped.chip.tables.populations
    np.testing.assert_allclose(
        np.array(made.mapped.blocks["lif1"].scale) * neurons.v_threshold, population.vth * 64
    )


def test_decays_that_differ_do() -> None:
    neurons = lif(5)
    neurons.tau = np.array([4, 4, 9, 4, 9]) * DT
    made, said = compiled(chain(3, linear(RNG, 5, 3), neurons, n_out=5))
    first, second = made.mapped.chip.tables.populations
    assert (first.n, second.n, first.dv, second.dv) == (3, 2, 1024, 455)
    assert made.bundle.manifest["output_map"] == [0, 1, 3, 2, 4] and "L814" in said


@pytest.mark.parametrize(("steps", "dv"), [(1, 4096), (3, 1365), (25, 164), (8000, 1)])
def test_leaks_are_rounded_to_nearest(steps: float, dv: int) -> None:
    (p,) = tables_of(chain(2, linear(RNG, 2, 2), lif(2, steps), n_out=2)).populations
    assert p.dv == dv


@pytest.mark.parametrize(("synapse", "du"), [(1, 4095), (2, 2047), (3, 1364), (4096, 0)])
def test_du_is_one_less_than_the_loss(synapse: float, du: int) -> None:
    (p,) = tables_of(chain(2, linear(RNG, 2, 2), cuba(2, synapse=synapse), n_out=2)).populations
    assert p.du == du


def test_leaks_that_are_too_small_are_told() -> None:
    assert "D420" in compiled(chain(2, linear(RNG, 2, 2), lif(2, 1e5), n_out=2))[1]
    assert "D420" not in compiled(chain(2, linear(RNG, 2, 2), lif(2, 100), n_out=2))[1]
    assert "D421" in compiled(chain(2, linear(RNG, 2, 2), lif(2, 500), n_out=2))[1]


def test_an_integrator_that_subtracts_leaks_in_u_which_is_rounding_and_told_as_what_it_is() -> None:
    model = chain(2, linear(RNG, 2, 2), nir.IF(np.ones(2) / DT, np.ones(2)), n_out=2)
    assert "D420" not in compiled(model)[1]  # v keeps all

    log = Log()
    compile_model(model, "loihi2", Options(dt_s=DT, reset="subtract", strict=True), log=log)
    (told,) = [d for d in log.diagnostics if d.code == "D420"]
    assert told.where == "nodes/if1" and "lose 1/4096 of their membrane" in told.message
    assert "--dt" not in told.help and "train with a reset to zero" in told.help


def test_a_readout_that_was_added_leaks_in_u_and_the_help_does_not_speak_of_training() -> None:
    log = Log()
    model = chain(2, linear(RNG, 3, 2), lif(3), linear(RNG, 2, 3), n_out=2)
    compile_model(
        model, "loihi2", Options(dt_s=DT, readout="if:1", writer="nir", strict=True), log=log
    )
    (told,) = [d for d in log.diagnostics if d.code == "D420"]
    assert told.where == "nodes/out" and "verify" in told.help and "train" not in told.help


def test_subtraction_behind_a_slow_synaptic_filter_is_told() -> None:
    model = chain(2, linear(RNG, 2, 2), cuba(2, synapse=40), n_out=2)
    assert "D401" in compiled(model, "subtract")[1]
    assert "D401" not in compiled(model, "zero")[1]


def test_a_reset_elsewhere_is_where_the_voltage_is_counted_from() -> None:
    neurons = lif(2)
    neurons.v_reset = np.full(2, -0.5)
    made, said = compiled(chain(2, linear(RNG, 2, 2), neurons, n_out=2))
    (p,) = made.mapped.chip.tables.populations
    scale = made.mapped.blocks["lif1"].scale
    np.testing.assert_allclose(np.array(scale) * 1.5, p.vth * 64)
    assert (p.v_init > 0).all() and not said & {"D422"}


def test_thresholds_below_the_reset_become_zero() -> None:
    made, said = compiled(chain(2, linear(RNG, 2, 2), lif(2, threshold=-1.0), n_out=2))
    assert "D412" in said and made.mapped.chip.tables.populations[0].vth == 0


# Two synapses for a weight.


@pytest.mark.parametrize("seed", range(8))
def test_two_synapses_come_much_nearer_to_a_weight(seed: int) -> None:
    """The second holds what rounding leaves in the first; u still never wraps around."""
    rng = np.random.default_rng(seed)
    model = chain(
        6, nir.Linear(weight=rng.normal(size=(5, 6)) * rng.choice([0.01, 1, 30])), cuba(5), n_out=5
    )
    errors = []
    for synapses in ("one", "two"):
        made, _ = compiled(model, synapses=synapses)
        scale = np.array(made.mapped.blocks["cubalif1"].scale) / 64
        total = np.zeros((5, 6))
        for p in made.mapped.chip.tables.projections:
            for row, col, w, _delay in synapses_of(p):
                total[row, col] += w * 2.0**p.weight_exp
        exact = model.nodes["linear0"].weight
        errors.append(np.abs(total / scale[:, None] - exact).max() / np.abs(exact).max())
        assert max(largest_u(made.mapped.chip.tables).values()) < 2**23
    assert errors[0] < 1 / 127 and errors[1] < errors[0] / 8


# Readouts.


def readout(n: int, steps: float) -> nir.LI:
    return nir.LI(tau=np.full(n, steps * DT), r=np.full(n, steps), v_leak=np.zeros(n))


def test_a_readout_of_few_inputs_is_safe_whatever_comes() -> None:
    made, said = compiled(
        chain(3, linear(RNG, 3, 3), lif(3), linear(RNG, 2, 3), readout(2, 5), n_out=2)
    )
    last = next(p for p in made.mapped.chip.tables.populations if not p.spikes)
    full = largest_u(made.mapped.chip.tables)[last.name] * 4096 / last.dv
    assert last.vth == VTH[1] and full < VTH[1] * 64 < STATE[1] and "D423" not in said


def test_one_of_many_inputs_over_a_long_time_tells_how_much_is_safe() -> None:
    model = chain(
        200, linear(RNG, 200, 200), lif(200), linear(RNG, 2, 200), readout(2, 300), n_out=2
    )
    assert "D423" in compiled(model)[1]


# The paper's constants.


def test_the_papers_constants() -> None:
    neurons = lif(1, 25, threshold=0.1)
    neurons.r = np.ones(1)
    model = chain(1, nir.Linear(weight=np.ones((1, 1))), neurons, n_out=1)
    tables = tables_of(model, constants="paper")
    (p,), (w,) = tables.populations, tables.projections
    assert (p.du, p.dv, p.vth, w.weights.tolist(), w.weight_exp) == (4095, 163, 25, [[10]], 0)
    (p,) = tables_of(model).populations
    assert p.dv == 164 and p.vth > 500


def test_the_papers_constants_look_at_no_range_and_it_is_told() -> None:
    many = chain(600, nir.Linear(weight=np.full((2, 600), 1.0)), lif(2, threshold=100.0), n_out=2)
    assert "D412" in compiled(many, constants="paper")[1]
    assert "D412" not in compiled(many)[1]


def test_kernels_have_final_weights() -> None:
    """Lava's convolution neither clips, nor drops bits, nor knows an exponent."""
    one = np.ones((2, 4, 4))
    layers = (
        nir.Conv2d((6, 6), RNG.normal(size=(2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)),
        nir.IF(r=one / DT, v_threshold=one),
    )
    model = chain(1, *layers, n_out=2)
    model.nodes["in"], model.nodes["out"] = (
        nir.Input(np.array([1, 6, 6])),
        nir.Output(np.array([2, 4, 4])),
    )
    (p,) = tables_of(model).projections
    assert (p.kind, p.weight_exp, p.sign_mode) == ("conv", 0, "mixed")
    assert (p.weights % 2 == 0).all() and 127 < np.abs(p.weights).max() <= 254
    worse = replace(p, weights=p.weights + 1)
    assert (rule.effective_weights(worse.weights, "mixed", 8) != worse.weights).all()


def test_weights_that_vanish_and_weights_that_are_clipped_are_counted() -> None:
    population: Any = SimpleNamespace(where="nodes/a", name="a", k=2.0, bits=8)
    exact, kept = np.array([1.0, 0.1, 40.0, 0.0]), np.array([2.0, 0.0, 50.0, 0.0])
    log = Log()
    _Population._report_lost(population, exact, kept, log)
    vanish, clipped = log.diagnostics
    assert vanish.where == clipped.where == "nodes/a"
    assert vanish.code == "D410" and vanish.message.startswith("1 of 3 weights into `a`")
    assert clipped.message.startswith("1 weight(s) into `a` are too large")
    assert (clipped.found, clipped.limit) == ("80 units", "50 units")
    for exact, kept in (
        (np.array([1.0, 0.0]), np.array([2.0, 0.0])),
        (np.array([25.0]), np.array([50.0])),
        (np.array([26.0]), np.array([50.0])),  # within 1 % and 2 units
        (np.array([0.9]), np.array([1.0])),
    ):
        log = Log()
        _Population._report_lost(population, exact, kept, log)
        assert log.diagnostics == []


def test_a_factor_of_spiking_neurons_is_an_integer_below_the_most() -> None:
    """Without differences between them the largest is taken, the first of equal errors."""
    plan: Any = SimpleNamespace(self_inhibition=None, fires=True, errors=np.zeros_like)
    assert Plan.best_k(plan, 10.7) == 10
    assert Plan.best_k(plan, 0.3) == 1
    plan.errors = lambda tried: np.abs(tried - 7)
    assert Plan.best_k(plan, 10.7) == 7
    plan.fires = False
    assert Plan.best_k(plan, 10.7) == pytest.approx(7, rel=0.05)
