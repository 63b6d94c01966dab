"""A population's numbers on Xylo, against formulas that are spelt out for one neuron at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from nirc.backends.xylo.drives import Connection, Shifts
from nirc.backends.xylo.neuron import kept_by_rounding
from nirc.backends.xylo.quantise import Plan, _best_shifts
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection
from nirc.ir.rules import Fire
from nirc.rounding.rule import KEEPING_SUMS

SHIFTS = Shifts(inputs=2, recurrent=1)


@dataclass(frozen=True)
class Neuron:
    """One neuron of a model. ``weights``: by receptor 0 from the input, 1 from hidden neurons."""

    decay_mem: float = 0.9
    gain_mem: float = 0.5
    drift: float = 0.25
    threshold: float | None = 1.0
    decays: tuple[float, float] = (0.7, 0.8)
    gains: tuple[float, float] = (0.5, 2.0)
    weights: tuple[tuple[float, ...], tuple[float, ...]] = ((1.0, -0.3, 0.21), (0.5, -0.25))
    biases: tuple[float, float] = (0.01, -0.03)

    # -- by hand, from the docstrings of neuron.py and quantise.py

    @property
    def dash_mem(self) -> int:
        return round(-math.log2(1 - self.decay_mem))

    def dash(self, receptor: int) -> int:
        return max(1, round(-math.log2(1 - self.decays[receptor])))

    def charge(self, receptor: int) -> float:
        return self.gains[receptor] / (1 - self.decays[receptor])

    def membrane(self, gain: float) -> float:
        return min(gain / (1 - self.decay_mem) / 2**self.dash_mem, gain)

    def chip_weights(self, receptor: int) -> list[float]:
        per_weight = self.charge(receptor) / (2 ** self.dash(receptor) - 1)
        return [w * self.membrane(self.gain_mem) * per_weight for w in self.weights[receptor]]

    @property
    def bias(self) -> float:
        currents = sum(b * self.charge(r) for r, b in enumerate(self.biases))
        return self.membrane(1.0) * self.drift + self.membrane(self.gain_mem) * currents

    @property
    def bounds(self) -> dict[str, float]:
        largest = [max(abs(w) for w in self.chip_weights(r)) for r in (0, 1)]
        total = sum(
            sum(abs(w) for w in self.chip_weights(r)) * min(2 ** self.dash(r) - 1, 16)
            for r in (0, 1)
        )
        bounds = {
            "weights from inputs": 127 * 2**SHIFTS.inputs / largest[0],
            "weights from neurons": 127 * 2**SHIFTS.recurrent / largest[1],
            "bias": 127 / abs(self.bias),
        }
        if self.threshold is None:
            reach = (total + abs(self.bias)) * 2 ** min(self.dash_mem, 10)
            return bounds | {"membrane": 32766 / reach}
        return bounds | {"synapse": 32767 / 8 / total, "threshold": 32767 / 4 / self.threshold}

    @property
    def kept(self) -> float:
        scale = min(self.bounds.values())
        top = 32767.0
        if self.threshold is not None:
            top = math.floor(min(scale * self.threshold, top))
        kept = mean_kept(self.dash_mem, top)
        return kept + sum(0.5 * 2 ** self.dash(r) * mean_kept(self.dash(r), 32767) for r in (0, 1))

    @property
    def error(self) -> float:
        scale = min(self.bounds.values())
        unit = 1.0 if self.threshold is None else self.threshold
        total = (0.5 * 2 ** min(self.dash_mem, 8) / (scale * unit)) ** 2
        for receptor, step in ((0, 2**SHIFTS.inputs), (1, 2**SHIFTS.recurrent)):
            for weight in self.chip_weights(receptor):
                exact = weight * scale / step
                total += ((round(exact) - exact) * step / (scale * unit)) ** 2
        return total


def mean_kept(dash: int, largest: float) -> float:
    return float(kept_by_rounding(np.array([dash]), np.array([float(largest)]))[0])


@dataclass(frozen=True)
class Case:
    """A neuron whose scale is decided by one bound."""

    bound: str
    neuron: Neuron = field(default_factory=Neuron)


CASES = [
    Case("weights from inputs", Neuron(weights=((9.0, 0.0), (0.5, -0.25)))),
    Case("weights from neurons", Neuron(weights=((1.0,), (-4.0, 1.0)))),
    Case("bias", Neuron(drift=-3.0)),
    Case("bias", Neuron(biases=(0.01, 3.0))),
    Case("synapse", Neuron(weights=((1.0,) * 25, (0.5,) * 9), drift=0.01)),
    Case(
        "synapse", Neuron(decays=(0.99, 0.8), gains=(0.01, 2.0), weights=((3.0,) * 9, (0.5,) * 9))
    ),
    Case("threshold", Neuron(threshold=400.0)),
    Case("membrane", Neuron(threshold=None, weights=((1.0,) * 25, (0.5,) * 9))),
    Case("membrane", Neuron(threshold=None, decay_mem=1 - 2.0**-11)),
]


def plan_of(neurons: list[Neuron]) -> Plan:
    """The plan of a population of such neurons."""

    def row(name: str) -> np.ndarray:
        return frozen(np.array([getattr(n, name) for n in neurons], float))

    def each(name: str, receptor: int) -> np.ndarray:
        return frozen(np.array([getattr(n, name)[receptor] for n in neurons]))

    d = Discrete(
        decay_mem=row("decay_mem"),
        gain_mem=row("gain_mem"),
        drift=row("drift"),
        decay_syn=each("decays", 0),
        gain_syn=each("gains", 0),
        threshold=None if neurons[0].threshold is None else row("threshold"),
        decay_syn_2=each("decays", 1),
        gain_syn_2=each("gains", 1),
    )
    into = []
    for receptor, source in enumerate(("in", "hidden")):
        rows = [n.weights[receptor] for n in neurons]
        target = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        number = np.concatenate([np.arange(len(r)) for r in rows])
        most = int(number.max()) + 1
        op = Sparse(target, number, np.concatenate([np.array(r) for r in rows]), most, len(rows))
        bias = Bias(each("biases", receptor))
        projection = Projection((op,), biases=(bias,), synapse=receptor)
        into.append(Connection(source, "a", projection, op, from_input=receptor == 0))
    return Plan("a", Population((len(neurons),), d, ("nodes/a",)), output=False, into=into, bits=8)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.bound)
def test_one_bound_decides_the_scale_and_all_numbers_follow(case: Case) -> None:
    n = case.neuron
    scale = min(n.bounds.values())
    assert min(n.bounds, key=lambda b: n.bounds[b]) == case.bound
    plan = plan_of([n, replace(n, drift=0.0, biases=(0.0, 0.0))])
    assert plan.bias == pytest.approx([n.bias, 0.0])
    assert plan.scale(SHIFTS)[0] == pytest.approx(scale)
    assert plan.kept(plan.scale(SHIFTS))[0] == pytest.approx(n.kept)
    chip = plan.neuron(SHIFTS, Log())
    assert chip.bias[0] == np.clip(round(scale * n.bias - n.kept), -128, 127)
    assert (chip.dash_mem[0], chip.dash_syn[0]) == (n.dash_mem, n.dash(0))
    assert chip.dash_syn_2 is not None and chip.dash_syn_2[0] == n.dash(1)
    threshold = 32767 if n.threshold is None else math.floor(scale * n.threshold) + 1
    assert (chip.threshold[0], chip.silent) == (threshold, n.threshold is None)
    assert (chip.shift_in, chip.shift_rec, chip.max_spikes) == (2, 1, 31)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.bound)
def test_weights_are_multiples_of_the_shift_s_unit(case: Case) -> None:
    n = case.neuron
    plan = plan_of([n])
    assert plan.error(SHIFTS) == pytest.approx(n.error)
    scale = min(n.bounds.values())
    for receptor, (connection, op) in enumerate(plan.weights(SHIFTS, KEEPING_SUMS, Log())):
        step = (4, 2)[receptor]
        exact = np.array(n.chip_weights(receptor)) * scale
        found = np.zeros(exact.size)
        found[op.source] = op.value
        assert connection.projection.synapse == receptor
        assert np.abs(found - exact).max() < step and not (found % step).any()
        assert abs(found.sum() - exact.sum()) <= step / 2 + 1e-6


def test_the_pair_of_shifts_with_the_least_error_is_taken_the_smaller_of_equals() -> None:
    plan = plan_of([Neuron(weights=((40.0, 0.3), (0.5, -0.25)))])
    pairs = [Shifts(i, r) for i in range(8) for r in range(8)]
    errors = {pair: plan.error(pair) for pair in pairs}
    assert errors[_best_shifts([plan])] == min(errors.values())
    assert _best_shifts([plan]).inputs > 0
    empty = plan_of([Neuron(weights=((0.0,), (0.0,)))])
    assert _best_shifts([empty]) == Shifts(0, 0)


def test_a_neuron_that_fires_at_the_threshold_keeps_it_and_one_above_it_has_one_more() -> None:
    at = Neuron(threshold=400.0)  # in units of 32767 / 4 / 400 = 20.479375
    plan = plan_of([at])
    assert plan.neuron(SHIFTS, Log()).threshold.tolist() == [8192]  # 8191.75, and above
    whole = plan_of([replace(at, threshold=2.0), replace(at, threshold=3.0)])
    whole.d = replace(whole.d, rule=whole.d.rule.with_fire(Fire(">=", None)))
    assert whole._threshold(np.array([4.0, 4.1]), Log()).tolist() == [8, 13]
    whole.d = replace(whole.d, rule=whole.d.rule.with_fire(Fire(">", None)))
    assert whole._threshold(np.array([4.0, 4.1]), Log()).tolist() == [9, 13]


def test_thresholds_below_one_unit_are_clipped_and_reported() -> None:
    log = Log()
    plan = plan_of([Neuron(threshold=1e-9), Neuron(threshold=-2.0), Neuron(threshold=2.0)])
    plan.d = replace(plan.d, rule=plan.d.rule.with_fire(Fire(">=", None)))
    assert plan._threshold(np.array([1.0, 1.0, 1.0]), log).tolist() == [1, 1, 2]
    (found,) = log.diagnostics
    assert (found.code, found.where, found.found) == ("D412", "nodes/a", "-2")
    assert found.message.startswith("1 threshold")


def test_a_weight_below_half_a_unit_is_reported_a_warning_from_one_half_on() -> None:
    for weights, severity in (((100.0, 0.01, 50.0), "note"), ((100.0, 0.01), "warning")):
        log = Log()
        plan_of([Neuron(weights=(weights, (1.0,)), drift=0.0)]).weights(SHIFTS, KEEPING_SUMS, log)
        (found,) = [d for d in log.diagnostics if "from `in`" in d.message]
        assert (found.code, found.severity, found.where) == ("D410", severity, "nodes/a")
        assert found.message.startswith(f"1 of {len(weights)} weights")
