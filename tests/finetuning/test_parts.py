"""What is learnt from, and the slopes by which numbers learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.api import Compiled, Options, compile_model, recompiled
from nirc.chip.training import Mantissas, Multiples, Singles, Trainable, Training
from nirc.diagnostics.log import Log
from nirc.finetuning import fit, learning
from nirc.finetuning.fit import best_settings
from nirc.finetuning.learning import examined
from nirc.finetuning.lessons import Exam, chances, exam, lessons, near, parts_of, right_answers
from nirc.finetuning.numbers import Number, nearest
from nirc.finetuning.twin import Twin
from nirc.ir.arrays import Int
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.models import chain, cuba, li, lif, linear


def asked_of(model: Program, inputs: Int) -> Exam:
    """An examination of given samples only, with the answers of ``model``."""
    outputs = run(model, inputs).outputs
    number = np.arange(len(inputs))
    return Exam(inputs, outputs, number.size, number, right_answers(outputs, None, number))


GRIDS = (Multiples(-7, 7, 4.0), Multiples(0, 255), Mantissas(15, 3), Singles(-2.0, 2.0))


@given(st.integers(1, 3000))
def test_samples_that_stop_or_judge_are_never_learnt(n: int) -> None:
    parts = parts_of(n)
    assert min(len(parts.learn), len(parts.stop), len(parts.guard)) >= 1
    if n >= 8:
        every = np.concatenate([parts.learn, parts.stop, parts.guard])
        assert len(set(every.tolist())) == len(every) <= n


def test_inputs_near_a_given_sample_are_one_unit_with_it() -> None:
    """Clear inputs come from no given sample."""
    rng = np.random.default_rng(1)
    model = chain(5, linear(rng, 3, 5, 2.0), lif(3), n_out=3)
    legal = compiled_for("xylo", model).legal
    samples = (rng.random((4, 12, 5)) < 0.5).astype(np.int64)
    found = exam(legal, samples, None, np.random.default_rng(2), 40)
    made, origin = near(samples, np.random.default_rng(2), 36)
    assert np.array_equal(found.inputs[4:40], made)
    assert found.unit[:4].tolist() == [0, 1, 2, 3] and np.array_equal(found.unit[4:40], origin)
    assert len(found.inputs) == 60 and found.clear == 20
    assert found.unit[40:].tolist() == list(range(4, 24))
    assert np.array_equal(found.right, found.expected.sum(axis=1).argmax(axis=1))
    labels = np.array([2, 1, 0, 7])  # no output has the last
    known = exam(legal, samples, labels, np.random.default_rng(2), 40)
    of_label = found.unit[:40] < 3
    assert np.array_equal(known.right[:40][of_label], labels[found.unit[:40][of_label]])
    assert np.array_equal(known.right[:40][~of_label], found.right[:40][~of_label])
    assert np.array_equal(known.right[40:], found.right[40:])


def test_made_inputs_are_near_a_given_sample() -> None:
    rng = np.random.default_rng(0)
    given_ = rng.integers(0, 3, (6, 40, 9))
    made, origin = near(given_, rng, 50)
    assert made.shape == (50, 40, 9) and made.min() >= 0 and made.max() <= given_.max()
    totals = given_.sum(axis=(1, 2))[origin]
    assert (np.abs(made.sum(axis=(1, 2)) - totals) <= 0.3 * totals).all()
    again, _ = near(given_, np.random.default_rng(0), 0)
    assert len(again) == 0


def test_lessons_have_the_models_answers_and_labels_only_if_asked() -> None:
    rng = np.random.default_rng(1)
    model = chain(5, linear(rng, 3, 5, 2.0), lif(3), n_out=3)
    compiled = compile_model(model, "xylo", Options(dt_s=1e-4, writer="nir"), log=Log())
    samples = (rng.random((8, 12, 5)) < 0.5).astype(np.int64)
    plain = lessons(compiled.legal, samples, None, np.random.default_rng(2), 0.1)
    counts = run(compiled.legal, samples).outputs.sum(axis=1)
    assert np.array_equal(plain.wanted[:8], chances(counts, plain.unit))
    labels = np.array([2] * 8)
    taught = lessons(compiled.legal, samples, labels, np.random.default_rng(2), 0.1)
    assert np.array_equal(taught.inputs, plain.inputs)
    assert (taught.wanted[:8].argmax(axis=1) == 2).all()
    assert np.array_equal(taught.wanted[-2:], plain.wanted[-2:])  # far from any sample


@pytest.mark.parametrize("grid", GRIDS)
@given(value=st.floats(-1e4, 1e4))
def test_numbers_stay_on_the_grid(grid: Multiples | Mantissas | Singles, value: float) -> None:
    there = nearest(np.array([value]), grid)
    assert np.array_equal(nearest(there, grid), there)
    if isinstance(grid, Multiples):
        assert grid.low * grid.step <= there[0] <= grid.high * grid.step


def test_small_changes_add_up_until_the_next_number() -> None:
    number = Number(np.array([5.0]), Trainable(Multiples(-9, 9), np.ones(1)), 1.0)
    seen = set()
    for _ in range(40):
        number.learn(np.array([1.0]), 0.05)
        seen.add(float(number.on_chip()[0]))
    assert {5.0, 4.0, 3.0} <= seen


def test_numbers_that_share_a_place_on_the_chip_stay_equal() -> None:
    shared = Trainable(Multiples(-99, 99), np.ones(1), np.array([0, 0, 1]))
    number = Number(np.array([5.0, 5.0, 8.0]), shared, 1.0)
    number.learn(np.array([1.0, -3.0, 1.0]), 0.5)
    assert number.value[0] == number.value[1] > 5.0 and number.value[2] < 8.0


def compiled_for(chip: str, model: nir.NIRGraph, **more: Any) -> Compiled:
    return compile_model(model, chip, Options(dt_s=1e-4, writer="nir", **more), log=Log())


@pytest.mark.parametrize("chip", ["loihi2", "speck", "spinnaker2", "xylo"])
def test_a_synapse_that_rounding_removed_may_come_back(chip: str) -> None:
    rng = np.random.default_rng(5)
    neurons = cuba if chip == "xylo" else lif
    model = chain(6, linear(rng, 8, 6, 2.0), neurons(8), linear(rng, 3, 8), neurons(3), n_out=3)
    compiled = compiled_for(chip, model, weight_bits=3)
    training = compiled.backend.training()
    assert training is not None
    twin = Twin(compiled.integer, training, compiled.legal)
    numbers = list(twin.weights.values())
    lost = sum(int((number.value == 0).sum()) for number in numbers)
    assert lost > 3
    assert sum(int(number.mask.sum()) for number in numbers) == 8 * 6 + 3 * 8  # all of the model's
    inputs = (rng.random((4, 20, 6)) < 0.5).astype(np.int64)
    outputs = run(compiled.integer, inputs).outputs
    assert np.array_equal(run(twin.program(), inputs).outputs, outputs)
    for number in numbers:
        number.learn(np.full(number.value.shape, -1.0), 1.0)
    assert sum(int((number.on_chip() == 0).sum()) for number in numbers) < lost
    recompiled(compiled, twin.program())  # the chip takes them


def inhibited() -> tuple[Compiled, Training, Exam]:
    """A layer on Speck whose inputs inhibit as often as they excite."""
    model = chain(12, linear(np.random.default_rng(6), 8, 12, 0.4), lif(8), n_out=8)
    compiled = compiled_for("speck", model)
    training = compiled.backend.training()
    assert training is not None
    inputs = (np.random.default_rng(7).random((20, 40, 12)) < 0.2).astype(np.int64)
    asked = asked_of(compiled.legal, inputs)
    return compiled, training, asked


def test_the_lower_bound_of_speck_goes_where_the_model_is_nearest() -> None:
    """Inhibition lasts in the model. A bound near 0 forgets it, so the layer fires too much."""
    compiled, training, asked = inhibited()
    found = best_settings(compiled.integer, training, asked)
    (before,) = compiled.integer.nodes(Population).values()
    (after,) = found.nodes(Population).values()
    assert before.dynamics.threshold_low == -1
    assert after.dynamics.threshold_low <= -before.dynamics.threshold_high // 8
    near, far = (examined(each, asked).distance.mean() for each in (found, compiled.integer))
    assert near < 0.7 * far
    again = best_settings(found, training, asked)
    assert examined(again, asked).distance.mean() <= near


def test_the_search_of_settings_is_bounded_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, training, asked = inhibited()
    runs: list[Program] = []
    original = fit.examined
    monkeypatch.setattr(fit, "examined", lambda p, e: (runs.append(p), original(p, e))[1])
    monkeypatch.setattr(fit, "WORK", 2.5 * 20 * learning.cost_of(compiled.integer, 40))
    best_settings(compiled.integer, training, asked)
    assert len(runs) == 3  # the start, and two others
    near = asked_of(compiled.integer, asked.inputs)
    runs.clear()
    assert best_settings(compiled.integer, training, near) is compiled.integer
    assert len(runs) == 1  # a chip that answers as the model needs no search


def test_a_chip_without_settings_stays_as_it_is() -> None:
    model = chain(4, linear(np.random.default_rng(6), 5, 4, 1.0), lif(5), n_out=5)
    compiled = compiled_for("spinnaker2", model)
    training = compiled.backend.training()
    assert training is not None
    inputs = np.ones((2, 6, 4), np.int64)
    asked = asked_of(compiled.legal, inputs)
    assert best_settings(compiled.integer, training, asked) is compiled.integer


def test_slopes_of_a_membrane_are_its_differences() -> None:
    """A readout without spikes is linear: one more unit of a weight moves it by the slope."""
    rng = np.random.default_rng(4)
    model = chain(4, linear(rng, 2, 4), li(2), n_out=2)
    options = Options(dt_s=1e-4, writer="nir")
    compiled = compile_model(model, "spinnaker2", options, log=Log())
    training = compiled.backend.training()
    assert training is not None
    inputs = (rng.random((3, 10, 4)) < 0.5).astype(np.int64)
    twin = Twin(compiled.integer, training, compiled.legal)
    outputs = run(compiled.integer, inputs).outputs
    (name,) = twin.populations
    slopes = twin.slopes(inputs, lambda signals: {name: np.ones_like(signals[name])})
    for place, number in twin.weights.items():
        for k in range(number.value.size):
            before = number.value.copy()
            step = -1.0 if number.value[k] > 0 else 1.0
            number.value[k] += step
            moved = run(twin.program(), inputs).outputs.sum() - outputs.sum()
            assert moved == pytest.approx(step * slopes.weights[place][k], rel=1e-3, abs=1e-6)
            number.value = before


def test_membranes_of_xylo_are_heard_at_faster_decays_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """These membranes decay a fourth as fast as the model's. Weights alone cannot mend that."""
    monkeypatch.setattr(fit, "AUDITION", 1)
    rng = np.random.default_rng(2)
    model = chain(6, linear(rng, 8, 6, 2.0), cuba(8), linear(rng, 3, 8), cuba(3), n_out=3)
    compiled = compiled_for("xylo", model)
    training = compiled.backend.training()
    assert training is not None
    nodes = compiled.integer.nodes(Population)
    slow = {n: replace(p.dynamics, dash_mem=p.dynamics.dash_mem + 2) for n, p in nodes.items()}
    start = compiled.integer.mapped({n: nodes[n].with_dynamics(d) for n, d in slow.items()})
    inputs = (rng.random((40, 30, 6)) < 0.3).astype(np.int64)
    to_learn = lessons(compiled.legal, inputs, None, rng, 0.1)
    asked = asked_of(compiled.legal, inputs)

    def course(program: Program) -> learning.Course:
        twin = Twin(program, training, compiled.legal)
        outputs = learning.output_populations(compiled.legal)
        return learning.Course(twin, to_learn, outputs, np.random.default_rng(1))

    quiet = fit.Percent(lambda _: None, lambda _: None)
    heard = fit.auditions(
        course, fit.starts_of(start, training, compiled, asked), 32, asked, 1.0, quiet
    )
    for faster, each in enumerate(heard):
        for name, population in each.program.nodes(Population).items():
            assert np.array_equal(population.dynamics.dash_mem, slow[name].dash_mem - faster)
    same, _, four_times = (each.grade.nearness for each in heard)
    assert four_times < 0.9 * same


def test_a_chip_with_the_models_decays_has_nothing_to_audition() -> None:
    model = chain(4, linear(np.random.default_rng(6), 5, 4, 1.0), lif(5), n_out=5)
    compiled = compiled_for("spinnaker2", model)
    training = compiled.backend.training()
    assert training is not None
    asked = asked_of(compiled.legal, np.zeros((1, 5, 4), np.int64))
    assert fit.starts_of(compiled.integer, training, compiled, asked) == []
