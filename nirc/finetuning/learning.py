"""Learning from lessons: rounds of Adam, and the examinations that say when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nirc.calibration.buffers import Buffers
from nirc.calibration.objective import count_power, distances, echo, power, slopes_of
from nirc.calibration.samples import Rng
from nirc.finetuning.lessons import Exam, Lessons, chances, mistakes
from nirc.finetuning.twin import Signals, Twin
from nirc.ir.arrays import Float, Int, size
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.semantics.run import run

BATCH = 64
MOST_ROUNDS = 320
FEWEST_ROUNDS = 48
WORK = 6e10  # multiply-adds of all rounds of one course
# Courses: rates of a change in units of a number's size. A chip whose rule is another than the
# model's needs large changes. Where calibration has brought the chip near, these would undo it.
RATES = (0.02, 0.004)
LAST = 0.1  # share of the rate in the last round
# Rounds in which the rate rises. The first gradients set the size of a change. By the full rate the
# first round alone took a network that was near (distance .08) to .19.
WARM = 16
HIDDEN = 1.0  # weight of a hidden population's spikes against the outputs'
ANSWERS = 0.5  # weight of the answers' chances
MOST_GIVEN = 0.5  # of a batch
EXAMS = 10  # in a course


@dataclass(frozen=True)
class Grade:
    """An examination: the outputs' distance from the model's and mistakes, by sample."""

    distance: Float
    wrong: Float

    @property
    def score(self) -> float:
        """Return what is to be small: the share of mistakes, and the distance up to 1."""
        return float(self.wrong.mean() + np.minimum(self.distance, 1.0).mean())

    @property
    def nearness(self) -> float:
        """Return what is to be small: the distance, large ones by their logarithm."""
        return float(np.log1p(self.distance).mean())


@dataclass(frozen=True)
class Candidate:
    """An integer program of a course, after ``rounds`` rounds, with its grade."""

    name: str
    rounds: int
    program: Program
    grade: Grade


def examined(program: Program, exam: Exam) -> Grade:
    """Return the grade of a program."""
    outputs = run(program, exam.inputs).outputs
    return Grade(distances(outputs, exam.expected), mistakes(outputs, exam.right))


def rounds_of(integer: Program, steps: int, epochs: int | None, lessons: int) -> int:
    """Return the number of rounds that the work allows, or that make up ``epochs``."""
    if epochs is not None:
        return max(1, epochs * -(-lessons // BATCH))
    cost = 3 * BATCH * cost_of(integer, steps)
    return int(min(MOST_ROUNDS, max(FEWEST_ROUNDS, WORK // cost)))


def cost_of(integer: Program, steps: int) -> int:
    """Return the multiply-adds of a sample, with those of neurons."""
    once = 0
    for _, target, p in integer.edges():
        if target in integer.nodes(Population):
            once += sum(op.entries for op in p.ops)
    neurons = sum(size(p.shape) for p in integer.nodes(Population).values())
    return max(1, steps * (once + 20 * neurons))


class Course:
    """One run of learning, with one rate."""

    def __init__(self, twin: Twin, lessons: Lessons, outputs: set[str], rng: Rng) -> None:
        self.twin = twin
        self.lessons = lessons
        self.rng = rng
        self.buffers = Buffers()
        self.decay = echo(lessons.inputs.shape[1])
        known = {n: s for n, s in lessons.signals.items() if n in twin.populations}
        self.outputs = outputs & set(known)
        self.reference = known
        self.units = {n: power(s.astype(np.float64), self.decay) for n, s in known.items()}
        self.count_units = {n: count_power(s.astype(np.float64)) for n, s in known.items()}

    def candidates(
        self,
        rate: float,
        rounds: int,
        exam: Exam,
        progress: Callable[[float], None],
        exams: int = EXAMS,
    ) -> Iterator[Candidate]:
        """Learn, and yield the averaged numbers at each of the ``exams``."""
        every = max(1, rounds // exams)
        warm = min(WARM, max(1, rounds // 4))
        for done in range(1, rounds + 1):
            chosen = self._batch()
            slopes = self.twin.slopes(self.lessons.inputs[chosen], self._loss(chosen))
            now = rate * (1.0 - (1.0 - LAST) * (done - 1) / rounds)
            self.twin.learn(slopes, now * min(1.0, done / warm))
            for number in self.twin.numbers():
                number.average()
            progress(done / rounds)
            if done % every == 0 or done == rounds:
                averaged = self.twin.program(averaged=True)
                yield Candidate(f"rate {rate:g}", done, averaged, examined(averaged, exam))
                for number in self.twin.numbers():
                    number.forget_average()

    def _batch(self) -> Int:
        """Draw given and made lessons."""
        given = self.lessons.given
        few = min(given, round(BATCH * MOST_GIVEN))
        first = self.rng.permutation(given)[:few]
        others = self.rng.permutation(len(self.lessons.inputs) - given)[: BATCH - few]
        return np.concatenate([first, given + others])

    def _loss(self, chosen: Int) -> Callable[[Signals], dict[str, Float]]:
        def slopes(signals: Signals) -> dict[str, Float]:
            return {
                name: self._of_population(name, signals[name], chosen)
                for name in self.reference
                if HIDDEN or name in self.outputs
            }

        return slopes

    def _of_population(self, name: str, signal: Float, chosen: Int) -> Float:
        """Return the slope by a population's signal: traces, and for outputs counts and answers."""
        wanted = self.reference[name][chosen].astype(np.float64)
        of_one = 1.0 / len(chosen)
        share = 1.0 if name in self.outputs else HIDDEN
        by_trace = share * 2.0 * of_one / self.units[name]
        memory = self.buffers.empty(signal.shape)
        given = np.ascontiguousarray(signal)
        slope = slopes_of(given, wanted, self.decay, by_trace, memory)
        if name not in self.outputs:
            return slope
        counts = signal.sum(axis=1)
        slope += (counts - wanted.sum(axis=1))[:, None] * (2.0 * of_one / self.count_units[name])
        if len(self.outputs) == 1 and counts.shape[1] == self.lessons.wanted.shape[1] > 1:
            unit = self.lessons.unit
            off = chances(counts, unit) - self.lessons.wanted[chosen]
            slope += off[:, None] * (ANSWERS * of_one / unit)
        return slope


def output_populations(model: Program) -> set[str]:
    """Return the populations that a sink reads."""
    return {s for s, t, _ in model.edges() if isinstance(model[t], Sink)}
