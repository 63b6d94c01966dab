"""The whole of it on small networks: nearer to the model, never farther, the same bytes, and what
the report says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.calibration import calibrate as module
from nirc.calibration.calibrate import Calibrated, calibrate, log_notes
from nirc.calibration.chip import Parameters
from nirc.calibration.objective import Judged, better
from nirc.calibration.samples import Counts, clear, random_inputs, samples
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.populations import Discrete
from nirc.ir.program import Program
from nirc.ir.rules import Fire, Rule
from nirc.passes.pipeline import Calibration
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run
from nirc.semantics.variations import ruled
from tests.calibration.test_unrolled import network, resetting
from tests.models import chain, lif

pytestmark = pytest.mark.usefixtures("small_calibration")


def several(rule: Rule) -> Rule:
    """The threshold is subtracted, up to 31 times a step."""
    return rule.with_reset("subtract").with_fire(Fire(">", 31))


class Subtracting:
    """A chip in floating point that subtracts the threshold, up to 31 times a step.

    Self-inhibition is an option.
    """

    def __init__(self, *, self_inhibition: bool = True, room: bool = True) -> None:
        self.self_inhibition, self.room = self_inhibition, room

    def dynamics(self, legal: Program) -> Program:
        return ruled(legal, several)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        d: Discrete = program[name].dynamics
        slower = frozen(1 - (1 - d.decay_mem) / 2)
        return Parameters(
            mem=(d.decay_mem, slower), drift=True, self_inhibition=self.self_inhibition
        )

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        return program if program["a"].dynamics.rule.reset == "subtract" else self.dynamics(program)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        return [run(integer, inputs).outputs]

    def affordable(self, integer: Program, start: Program) -> bool:
        return self.room or len(list(integer.edges())) == len(list(start.edges()))


def given(n: int = 24) -> np.ndarray:
    return (np.random.default_rng(7).random((n, 20, 4)) < 0.25).astype(np.int64)


def calibrated(
    chip: Subtracting, seed: int = 0, *, loop: bool = True, network_seed: int = 0
) -> tuple[Program, Program, Calibrated]:
    legal = resetting(network(loop=loop, seed=network_seed), "set")
    start = chip.dynamics(legal)
    return legal, start, calibrate(legal, start, chip, Calibration(given(), legal, seed))


def error(program: Program, legal: Program) -> float:
    unseen = (np.random.default_rng(8).random((64, 20, 4)) < 0.25).astype(np.int64)
    return float(
        np.abs(
            run(program, unseen).outputs.sum(axis=1) - run(legal, unseen).outputs.sum(axis=1)
        ).mean()
    )


@pytest.mark.parametrize("loop", [False, True])
def test_a_reset_that_differs_is_bridged_on_samples_that_were_not_seen(*, loop: bool) -> None:
    """Never farther from the model than before; mostly much nearer."""
    left = []
    for seed in range(3):
        legal, start, done = calibrated(Subtracting(), loop=loop, network_seed=seed)
        left.append(error(done.integer, legal) / error(start, legal))
        assert (left[-1] == 1) == (done.report["kept"] == "start")
    assert max(left) <= 1 and np.median(left) < 0.7


def test_the_same_seed_gives_the_same_numbers() -> None:
    one, two = (calibrated(Subtracting(), seed=3)[2] for _ in range(2))
    assert one.report == two.report
    for (_, _, p), (_, _, q) in zip(one.integer.edges(), two.integer.edges(), strict=True):
        for a, b in zip(p.ops, q.ops, strict=True):
            assert np.array_equal(a.coo()[2], b.coo()[2])


def test_a_chip_without_room_for_self_inhibition_gets_none() -> None:
    _, start, done = calibrated(Subtracting(room=False))
    assert len(list(done.integer.edges())) == len(list(start.edges()))
    assert all("self_inhibition_thresholds" not in p for p in done.report["populations"].values())


def test_where_nothing_is_better_the_start_is_kept() -> None:
    """The chip computes what the model does: no variation can be nearer."""

    class Same(Subtracting):
        def dynamics(self, legal: Program) -> Program:
            return legal

    legal = resetting(network(loop=False), "set")
    done = calibrate(legal, legal, Same(self_inhibition=False), Calibration(given(), legal))
    assert done.report["kept"] in {"start", "rounding"} and done.integer is legal
    assert done.report["stages"][0]["distance"] == 0


def test_the_report_names_samples_stages_and_settings() -> None:
    _, _, done = calibrated(Subtracting())
    told = done.report
    assert told["samples"] == {"fit": 18 + 24, "fit_given": 18, "judge": 6 + 24, "judge_given": 6}
    assert [s["name"] for s in told["stages"][:3]] == ["start", "rounding", "search"] and told[
        "kept"
    ] in [s["name"] for s in told["stages"]]
    assert told["judgement"]["not_worse"] is None and told["judgement"]["more_samples"] > 0
    assert set(told["populations"]) == {"a", "b"}
    assert len(told["populations"]["a"]["gains"]) == 3  # from the input, from itself, from `b`


NOISY = np.array([1.0, 0.0, 2.0, 1.0])
SAME = np.array([0.0, 1.0, 0.0, 1.0])


def test_progress_moves_all_the_way_and_never_back() -> None:
    """While samples are bred and in every generation of the search too, which take longest on the
    zoo.
    """
    told: list[int] = []
    legal = resetting(network(loop=False), "set")
    chip = Subtracting()
    calibrate(legal, chip.dynamics(legal), chip, Calibration(given(), legal, progress=told.append))
    assert told == sorted(told) and told[-1] == 100
    seen = set(told)
    assert sum(p < module.PREPARED for p in seen) >= 8  # every question to the model
    assert (
        sum(module.PREPARED < p < module.BRIDGED for p in seen) >= 6
    )  # generations of two populations
    assert sum(module.BRIDGED < p < module.DISTILLED for p in seen) >= 25


def test_a_note_speaks_of_learnt_weights_only_where_they_were_kept() -> None:
    legal, _, done = calibrated(Subtracting())
    notes = {}
    for kept in ("search", "distillation", "rounding", "start"):
        log = Log()
        told = done.report | {"kept": kept}
        if kept in {"rounding", "start"}:
            told |= {"populations": {name: {} for name in told["populations"]}}
        log_notes(legal, told, log)
        notes[kept] = log.diagnostics[0].message
    assert "then its weights" in notes["distillation"] and "weights" not in notes["search"]
    assert "keeps its parameters" in notes["rounding"] and "stays as it was" in notes["start"]


def test_the_guard_wants_more_than_noise() -> None:
    start = Judged("start", NOISY, SAME, given=2)
    assert not better(Judged("other", NOISY[::-1], SAME, 2), start)  # the same mean
    assert better(Judged("other", NOISY - 0.5, SAME, 2), start)


def test_the_guard_keeps_a_start_that_answers_given_samples_more_often_however_far_it_is() -> None:
    many, agrees = np.tile(NOISY, 6), np.zeros(24)
    start = Judged("start", many + 10, agrees, given=16)
    assert better(Judged("other", many, agrees, 16), start)
    twice = agrees.copy()
    twice[:2] = 1
    assert not better(Judged("other", many, twice, 16), start)
    made_up = agrees.copy()
    made_up[16:] = 1  # says nothing of real samples
    assert better(Judged("other", many, made_up, 16), start)
    assert not better(Judged("other", many, made_up, 16, clear=8), replace(start, clear=8))


def test_one_lost_answer_is_noise_and_all_of_them_are_not() -> None:
    many, agrees = np.tile(NOISY, 4), np.zeros(16)
    start = Judged("start", many + 10, agrees, given=4)
    once, always = agrees.copy(), agrees.copy()
    once[0], always[:4] = 1, 1
    assert better(Judged("other", many, once, 4), start)
    assert not better(Judged("other", many, always, 4), start)


def test_where_many_samples_decide_the_guard_asks_what_verify_asks() -> None:
    """12 of 20,000 answers lost are more than chance, and certainly less than one point."""
    size = 20_000
    lost = np.zeros(size + 4)
    lost[:12] = 1
    for given_samples, taken in ((size, True), (40, False)):
        differs = np.concatenate([lost[:given_samples], lost[-4:]])
        far, near = np.full(differs.size, 10.0), np.zeros(differs.size)
        start = Judged("start", far, np.zeros(differs.size), given_samples)
        assert better(Judged("other", near, differs, given_samples), start) == taken


def by_channel(x: Int) -> Float:
    """A model with an output for each channel."""
    return x.sum(axis=1).astype(np.float64)


def test_every_output_wins_some_of_the_clear_samples_and_more_clearly_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    made = by_channel(clear(given(1), rng, 24, by_channel))
    assert np.bincount(made.argmax(axis=1), minlength=4).min() >= 5
    plain = by_channel(random_inputs(given(1), rng, 24))
    lead, usual = (np.diff(np.sort(x, axis=1)[:, -2:], axis=1).mean() for x in (made, plain))
    assert lead > 2 * usual


def test_made_up_samples_are_counts_of_the_same_shape() -> None:
    made = samples(given(), np.random.default_rng(0), Counts(9, 9, 6), by_channel)
    assert made.fit.shape == (18 + 24, 20, 4) and made.judge.shape == (6 + 24, 20, 4)
    assert made.fit.min() == 0 and made.fit.max() <= given().max()
    rates = (made.fit[18 + 9 : -6] > 0).mean(axis=(1, 2))
    assert rates.max() > 3 * rates.min() > 0


def test_one_sample_is_fitted_to_and_judged_by() -> None:
    made = samples(given(1), np.random.default_rng(0), Counts(2, 2, 2), by_channel)
    assert made.fit_given == made.judge_given == 1


def test_an_output_that_is_read_as_a_membrane_is_calibrated_too() -> None:
    class Read(Subtracting):
        def dynamics(self, legal: Program) -> Program:
            return ruled(legal, several, ["a"])

        def parameters(self, program: Program, name: str) -> Parameters | None:
            return replace(
                super().parameters(program, name) or Parameters(), self_inhibition=name == "a"
            )

    legal = resetting(network(loop=False, fires=False), "set")
    chip = Read()
    done = calibrate(legal, chip.dynamics(legal), chip, Calibration(given(), legal))
    assert error(done.integer, legal) <= error(chip.dynamics(legal), legal)


def test_neurons_that_an_input_drives_by_wires_can_be_calibrated() -> None:
    """No weights stand between the input and its three neurons."""
    model = chain(3, lif(3), n_out=3)
    inputs = np.ones((4, 20, 3), int)
    made = compile_model(model, "spinnaker2", Options(dt_s=1e-4), calibration=inputs)
    assert made.bundle.run(inputs).outputs.any()
