"""The search for silent neurons: what a constant drive does, and what a node sends at most."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse
from nirc.semantics import silence
from nirc.semantics.silence import reach, try_drive
from tests.models import chain, lif


def neurons(n: int = 1, decay: float = 1.0, **fields: Any) -> Population[Discrete]:
    """Neurons that fire from 1 on, and that a spike sets to 0."""
    dynamics = Discrete(
        *(frozen(np.full(n, each)) for each in (decay, 1.0, fields.pop("drift", 0.0))),
        threshold=frozen(np.ones(n)),
        rule=parse("decay v, add x->v, fire >= 1, set, emit"),
        v_reset=frozen(np.zeros(n)),
        **fields,
    )
    return Population((n,), dynamics, ("nodes/a",))


def alone(weight: float, *biases: tuple[float, int]) -> Program:
    """One neuron behind one input, with constants and their first steps."""
    constants = tuple(Bias(np.array([value]), onset_steps=onset) for value, onset in biases)
    arriving = Projection((Dense(np.array([[weight]])),), biases=constants, origins=("nodes/w",))
    nodes = {
        "in": Source((1,), ("nodes/in",)),
        "a": neurons(),
        "out": Sink((1,), ("nodes/out",)),
    }
    edges = [("in", "a", arriving), ("a", "out", Projection(origins=()))]
    return Program.of(Form.DISCRETE, nodes, edges)


@pytest.mark.parametrize(
    ("weight", "biases", "fires"),
    [
        (0.0, [], False),
        (0.5, [], True),  # in two steps
        (0.0, [(0.5, 0)], True),
        (0.0, [(0.5, 3)], True),
        (0.0, [(-0.5, 0), (-0.5, 3)], False),
        (0.5, [(-0.5, 0)], False),
        (0.5, [(-0.5, 3)], True),  # before the constant comes
        (0.5, [(-0.5, 0), (0.25, 3)], True),
        (0.5, [(-1.0, 0), (0.25, 3)], False),
    ],
)
def test_a_constant_that_comes_later_may_help_and_does_no_harm(
    weight: float, biases: list[tuple[float, int]], fires: bool
) -> None:
    program = alone(weight, *biases)
    assert reach(program, (), 1).outputs(program).tolist() == [fires]


def test_a_membrane_below_zero_excites_through_a_negative_weight() -> None:
    one = np.ones(1)
    readout = nir.LI(tau=one * 1e-3, r=one * 10, v_leak=one * 0)
    for first, second, fires in ((-1, -1, True), (1, 1, True), (0, 1, False), (1, 0, False)):
        weights = [nir.Linear(np.array([[float(w)]])) for w in (first, second)]
        model = chain(1, weights[0], readout, weights[1], lif(1), n_out=1)
        program = lower(model, Options(), log=Log()).reference
        assert reach(program, ("li1",), 1).outputs(program).tolist() == [fires]


@pytest.mark.parametrize("work", [1, 1 << 24])
@pytest.mark.parametrize(
    ("decay", "drive", "fires"),
    [
        (1.0, 1.0, True),
        (0.5, 0.6, True),
        (0.5, 0.4, False),  # comes to 0.8
        (0.5, -0.4, False),  # sinks to -0.8, and stays
        (1.0, 0.0, False),
        (1.0, 0.001, True),  # at the last after 1,000 steps
    ],
)
def test_a_neuron_that_still_rises_counts_as_one_that_fires(
    monkeypatch: pytest.MonkeyPatch, work: int, decay: float, drive: float, fires: bool
) -> None:
    monkeypatch.setattr(silence, "WORK", work)
    rows = np.array([[drive, 0.0], [0.0, drive]])
    found = try_drive(neurons(2, decay), rows, np.zeros((2, 2)))
    assert found.tolist() == [[fires, False], [False, fires]]


@pytest.mark.parametrize(("work", "fires"), [(1, True), (1 << 24, False)])
def test_a_neuron_that_sinks_counts_as_silent_if_there_is_time_to_see_it(
    monkeypatch: pytest.MonkeyPatch, work: int, fires: bool
) -> None:
    monkeypatch.setattr(silence, "WORK", work)
    drive = np.array([[-1.0]])
    assert try_drive(neurons(), drive, 0 * drive).tolist() == [[fires]]


def test_a_drive_that_wraps_a_state_around_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """States of few bits: above 700 a step none fires. A larger drive is halved and tried again.

    The drive of both receptors counts.
    """
    tried: list[Float] = []

    def few_bits(population: Population[Any], x: Float, second: Float) -> Any:
        tried.append(np.stack([x, second]))
        return (x + second > 10) & (x + second <= 700)

    monkeypatch.setattr(silence, "try_drive", few_bits)
    chip: Any = SimpleNamespace(n=4, dynamics=object())
    first, second = np.array([4001.0, 1000, 600, 5]), np.array([999.0, 500, 0, 0])
    assert silence._spikes(chip, first, second).tolist() == [1, 1, 1, 0]
    halved = np.floor([[0.5], [0.25], [0.125]] * first), np.floor([[0.5], [0.25], [0.125]] * second)
    assert len(tried) == 2 and np.array_equal(tried[1], np.stack(halved))
    chip.n = 1
    assert silence._spikes(chip, np.array([1100.0]), np.zeros(1)).tolist() == [1]


def test_of_neurons_in_a_batch_those_that_stay_do_not_rise_with_the_others() -> None:
    """The first is at 0.41 after 4,096 steps, and still rises. The second stays at 0.8."""
    population = neurons(2)
    mixed = replace(population.dynamics, decay_mem=frozen(np.array([1.0, 0.5])))
    drive = np.array([[1e-4, 0.4]])
    assert try_drive(replace(population, dynamics=mixed), drive, 0 * drive).tolist() == [
        [True, False]
    ]
