"""`nirc fit`: calibrate, learn, and keep what answers surely better than the calibrated chip.

1. The model is compiled for the chip and calibrated on the given samples.
2. The given samples are parted: to learn, to stop by, and to judge by (``lessons``).
3. A chip whose neurons may have other decays learns a little with each (``auditions``).
4. The chip's integers learn in two courses, with a large and with a small rate (``learning``).
   Examinations on the second part put the candidates of all courses in order.
5. The guard compares the best candidates with the calibrated chip on the third part, which nothing
   has seen. One that does not show a gain is dropped, and so is one that does not fit the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from nirc.analysis.judging import has_other_rates, lost_answers, rate_distance
from nirc.api import Compiled, recompiled
from nirc.calibration.objective import FEW
from nirc.calibration.samples import Rng
from nirc.calibration.settings import with_best_settings
from nirc.chip.training import Training
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.diagnostics.training import NothingGained, NoTraining
from nirc.finetuning.guard import TRIES, better, gain_by_chance, is_gain, may_gain
from nirc.finetuning.learning import (
    RATES,
    WORK,
    Candidate,
    Course,
    Grade,
    cost_of,
    examined,
    output_populations,
    rounds_of,
)
from nirc.finetuning.lessons import (
    EXAM,
    JUDGING,
    Exam,
    Lessons,
    exam,
    lessons,
    parts_of,
    right_answers,
)
from nirc.finetuning.twin import Twin
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.semantics.raster import Progress
from nirc.semantics.run import run
from nirc.semantics.threads import with_one_thread

MOST_VALUES = 4e8  # spikes of all populations in all lessons and steps
# Percentages for a progress bar.
PREPARED = 2  # of the lessons
SEARCHED = 4  # of the settings
LEARNT = 98  # after the courses
CALIBRATED = "calibrated"
SETTINGS = "settings"
DECAYS = "decays"  # with the number of a variant, 0 for none
AUDITION = 8  # share of a course's rounds, as its inverse, in which a variant learns


@dataclass(frozen=True)
class Task:
    """A calibrated chip and its samples. ``labels``: None if the model's answers count."""

    compiled: Compiled  # calibrated
    inputs: Int  # (samples, steps, channels)
    labels: Int | None
    seed: int
    epochs: int | None = None
    progress: Progress | None = None
    stage: Callable[[str], None] | None = None  # gets the name of each stage that begins

    @property
    def model(self) -> Program:
        """Return what answers are learnt from. The legal program may be another network already.

        Loihi 2 subtracts a threshold by a synapse that acts a step later.
        """
        return self.compiled.stages.reference

    def labels_of(self, some: Int) -> Int | None:
        """Return the labels of some samples, None if the model's answers count."""
        return None if self.labels is None else self.labels[some]


@dataclass
class Percent:
    """The finished percentage of a fit, and the names of its stages."""

    notify: Progress
    name: Callable[[str], None]
    done: float = 0.0

    def begin(self, name: str, size: float) -> Callable[[float], None]:
        """Begin a stage of ``size`` percent. Return what takes its finished share, 0 to 1."""
        self.name(name)
        first = self.done
        self.done += size
        return lambda share: self.notify(round(first + size * share))


@dataclass(frozen=True)
class Fitted:
    """``compiled``: the fitted chip, or the calibrated one. ``report``: how it came about."""

    compiled: Compiled
    report: dict[str, Any]


@with_one_thread
def fit(task: Task, log: Log) -> Fitted:
    """Return the fitted chip, or the calibrated one with P329 if nothing was better.

    Raises ``UsageError`` (U642) for a chip whose numbers cannot learn.
    """
    training = task.compiled.backend.training()
    if training is None:
        raise NoTraining(target=task.compiled.backend.name).refusal()
    model, start = task.model, task.compiled.integer
    percent = Percent(task.progress or (lambda _: None), task.stage or (lambda _: None))
    percent.begin("making inputs, which the model answers", PREPARED)
    rng = np.random.default_rng(task.seed)
    parts = parts_of(len(task.inputs))
    share = _share(model, task.inputs.shape[1])

    def examination(some: Int, most: int) -> Exam:
        return exam(model, task.inputs[some], task.labels_of(some), rng, round(most * share))

    to_learn = lessons(model, task.inputs[parts.learn], task.labels_of(parts.learn), rng, share)
    stop, guard = examination(parts.stop, EXAM), examination(parts.guard, JUDGING)
    tried = [Candidate(CALIBRATED, 0, start, examined(start, stop))]
    if may_gain(examined(start, guard), guard):
        tried += _learnt(task, training, to_learn, stop, rng, percent)
    percent.begin("judging on samples held aside", 100 - LEARNT)(0)
    done, best, judged = _guarded(task, tried, guard, log)
    percent.notify(100)
    return Fitted(done, _report(task, tried, best, judged, done, (to_learn, stop, guard)))


def _learnt(
    task: Task, training: Training, to_learn: Lessons, stop: Exam, rng: Rng, percent: Percent
) -> list[Candidate]:
    """Return the candidates: other settings, other decays, and all of the courses."""
    start = task.compiled.integer
    percent.begin("searching settings of the neurons", SEARCHED)(0)
    tried = [Candidate(CALIBRATED, 0, start, examined(start, stop))]
    varied = best_settings(start, training, stop)
    if varied is not start:
        tried.append(Candidate(SETTINGS, 0, varied, examined(varied, stop)))
    outputs = output_populations(task.model)
    rounds = rounds_of(start, task.inputs.shape[1], task.epochs, len(to_learn.inputs))

    def course(program: Program) -> Course:
        return Course(Twin(program, training, task.compiled.legal), to_learn, outputs, rng)

    starts = starts_of(tried[-1].program, training, task.compiled, stop)
    one = (LEARNT - PREPARED - SEARCHED) / (len(starts) / AUDITION + len(RATES))
    heard = auditions(course, starts, rounds, stop, one / AUDITION, percent)
    first = min(heard, key=lambda each: each.grade.nearness, default=tried[-1])
    tried += heard
    for number, rate in enumerate(RATES, 1):
        now = percent.begin(f"course {number} of {len(RATES)}, {rounds} rounds", one)
        tried += course(first.program).candidates(rate, rounds, stop, now)
        first = _best(tried)
    return tried[1:]


def best_settings(start: Program, training: Training, exam: Exam) -> Program:
    """Return ``start`` with the settings that come nearest to the model on an examination."""

    def loss(program: Program) -> float:  # large distances count by their logarithm
        grade = examined(program, exam)
        return grade.nearness + float(grade.wrong.mean())

    cost = len(exam.inputs) * cost_of(start, exam.inputs.shape[1])
    tries = max(1, int(WORK // cost))
    return with_best_settings(start, lambda _, p: training.settings(p), loss, tries)


def auditions(
    course: Callable[[Program], Course],
    starts: Sequence[Program],
    rounds: int,
    exam: Exam,
    size: float,
    percent: Percent,
) -> list[Candidate]:
    """Return what ``starts`` become in a short course each, which is ``size`` percent."""
    short = max(1, rounds // AUDITION)
    heard = []
    for number, program in enumerate(starts):
        now = percent.begin(f"decays {number + 1} of {len(starts)}, {short} rounds", size)
        *_, last = course(program).candidates(RATES[0], short, exam, now, exams=2)
        heard.append(replace(last, name=f"{DECAYS} {number}"))
    return heard


def starts_of(start: Program, training: Training, compiled: Compiled, exam: Exam) -> list[Program]:
    """Return ``start`` and the nearest of each family of variants, nothing without variants."""

    def fits(program: Program) -> bool:
        try:
            recompiled(compiled, program)
        except CompileError:
            return False
        return True

    def loss(program: Program) -> float:
        return examined(program, exam).nearness

    families = training.variants(start, compiled.legal, fits)
    return [start, *(min(family, key=loss) for family in families)] if families else []


def _best(tried: list[Candidate]) -> Candidate:
    """Return the candidate with the best examination."""
    return min(tried, key=lambda each: each.grade.score)


def _guarded(
    task: Task, tried: list[Candidate], guard: Exam, log: Log
) -> tuple[Compiled, Candidate, tuple[Grade, Grade]]:
    """Return the first chip that the guard takes, else the calibrated one, and who was judged how.

    The best candidates with the model's rates inside are judged. The rates are of the unseen
    inputs, too, but no answers play a part in this choice.
    """
    start = task.compiled
    ranked = sorted(tried, key=lambda each: each.grade.score)
    ahead = ranked[: [each.name for each in ranked].index(CALIBRATED)]
    before = examined(start.integer, guard)
    best, judged = ranked[len(ahead)], (before, before)
    reasons: list[str] = []
    for each in islice(_alike_inside(task, ahead, guard), TRIES):
        after = examined(each.program, guard)
        if not reasons:
            best, judged = each, (before, after)
        reason, done = _refused(task, each, judged=(before, after), guard=guard)
        if done is not None:
            return done, each, (before, after)
        reasons.append(reason)
    none = "no candidate with the model's rates inside answered the samples held aside better"
    if not may_gain(before, guard):
        none = "the calibrated chip makes no mistake on samples held aside"
    log.add(NothingGained(reason=reasons[0] if reasons else none, samples=guard.given))
    return start, best, judged


def _refused(
    task: Task, each: Candidate, judged: tuple[Grade, Grade], guard: Exam
) -> tuple[str, Compiled | None]:
    """Return why the guard refuses a candidate, or its chip."""
    before, after = judged
    if not better(after, before, guard):
        return "the best candidate was not surely better on samples that it had not seen", None
    if guard.given < FEW and not _evident(task, each.program, before.wrong - after.wrong):
        return (
            "too few given samples are left to judge by, and the gain is not evident on all",
            None,
        )
    try:
        return "", recompiled(task.compiled, each.program)
    except CompileError as refused:
        return f"the fitted network does not fit: {refused.diagnostics[0].message}", None


def _alike_inside(task: Task, tried: Sequence[Candidate], exam: Exam) -> Iterator[Candidate]:
    """Yield the candidates that have rates of another network only where the calibrated chip has.

    The next one is looked at when it is asked for.
    """
    some = exam.inputs[:: max(1, len(exam.inputs) // EXAM)]
    known = set(other_rates(task.model, task.compiled.integer, some))
    yield from (each for each in tried if known >= {*other_rates(task.model, each.program, some)})


def other_rates(model: Program, program: Program, inputs: Int) -> list[str]:
    """Return the populations whose neurons' rates are those of another network.

    By the earth mover's distance, as in ``nirc verify``. Right answers may come from such a
    network on samples like ``inputs``, and wrong ones on others.
    """
    neurons = populations_of(model, Discrete).items()
    names = [name for name, p in neurons if name in program.graph and p.dynamics.fires]
    wanted, found = (run(each, inputs, record=names).spikes for each in (model, program))
    others = []
    for name in names:
        rates = [spikes[name].mean(axis=(0, 1)) for spikes in (wanted, found)]
        if has_other_rates(rate_distance(*rates), float(rates[0].mean())):
            others.append(name)
    return others


def _evident(task: Task, program: Program, won: Float) -> bool:
    """Return True if a program makes fewer mistakes by more than chance.

    That is ``won`` of the guard, or on all given samples, the learnt ones too. Inputs that are made
    from one or two samples say little of others, so a smaller distance is not enough.
    """
    model, start = task.model, task.compiled.integer
    number = np.arange(len(task.inputs))
    outputs = run(model, task.inputs).outputs
    right = right_answers(outputs, task.labels, number)
    given = Exam(task.inputs, outputs, number.size, number, right)
    of_given = examined(start, given).wrong - examined(program, given).wrong
    return any(is_gain(each) for each in (won, of_given))


def _share(model: Program, steps: int) -> float:
    """Return the share of the usual lessons that memory has room for."""
    values: int = steps * sum(model[name].n for name in model.graph)
    return min(1.0, MOST_VALUES / (1024 * max(1, values)))


def _report(
    task: Task,
    tried: list[Candidate],
    best: Candidate,
    judged: tuple[Grade, Grade],
    done: Compiled,
    used: tuple[Lessons, Exam, Exam],
) -> dict[str, Any]:
    """Return the tree of the fit: samples, courses, and the guard's figures."""
    to_learn, stop, guard = used
    kept = done is not task.compiled
    before, after = judged
    won, nearer = before.wrong - after.wrong, before.distance - after.distance
    return {
        "seed": task.seed,
        "labels": task.labels is not None,
        "kept": best.name if kept else CALIBRATED,
        "rounds": best.rounds if kept else 0,
        "samples": {
            "learn": {"given": to_learn.given, "made": len(to_learn.inputs) - to_learn.given},
            "stop": {"given": stop.given, "made": len(stop.inputs) - stop.given},
            "guard": {"given": guard.given, "made": len(guard.inputs) - guard.given},
        },
        "courses": [
            {"name": each.name, "rounds": each.rounds, **_figures(each.grade)} for each in tried
        ],
        "guard": {
            "before": _figures(before),
            "after": _figures(after),
            "chance": round(gain_by_chance(won, nearer, guard), 6),
            "lost": [
                round(bound, 6) for bound in lost_answers(after.wrong - before.wrong).interval
            ],
        },
    }


def _figures(grade: Grade) -> dict[str, float]:
    return {
        "distance": round(float(grade.distance.mean()), 6),
        "agreement": round(1.0 - float(grade.wrong.mean()), 6),
    }
