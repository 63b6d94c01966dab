"""Inputs to learn from, with the model's answers: the given samples, and inputs made beside them.

The model answers any input, so no input needs a label. Inputs that are *near* a given sample keep
its rates and its order. Spikes are lost, moved by some steps, or taken from another sample. Others
are mixtures and random rasters, as calibration makes them (``nirc.calibration.samples``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nirc.calibration.samples import Answers, Rng, clear, mixtures, random_inputs, some_channels
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run

POOL = 768  # lessons beside the given samples
FAR = 0.4  # share of them that are mixtures, random, or clear
EXAM = 192  # inputs of an examination, with the given samples in it
JUDGING = 768  # the same for the last one
MOST_GIVEN = 512
LOST = 0.15  # share of the spikes that are lost, at most
MOVED = (0.3, 2.0)  # steps by which spikes are moved: standard deviation
FOREIGN = 0.25  # share of the spikes that come from another sample, at most
WINDOW = (3, 7)  # steps over which rates are averaged, before spikes are drawn anew
SHARPNESS = 0.15  # of the winner's mean count: the unit of counts in which answers are compared
# Of each eight given samples: those that stop the learning, and those that judge it.
STOP, GUARD, CYCLE = (1,), (3, 6), 8


@dataclass(frozen=True)
class Lessons:
    """``inputs`` (samples, steps, channels), first the ``given`` ones, and the model's answers.

    ``signals``: of each population of the model. ``wanted`` (samples, outputs): chances of the
    answers. ``unit``: counts of an output that make an answer clear.
    """

    inputs: Int
    signals: Mapping[str, Float]
    wanted: Float
    unit: float
    given: int


@dataclass(frozen=True)
class Exam:
    """Inputs that no lesson holds, and the model's outputs. First the ``given`` ones.

    The last ``clear`` inputs have every output as the clear winner equally often, so that classes
    that the given samples lack are examined, too. ``unit`` (samples,): inputs that come from one
    given sample have its number. ``right`` (samples,): the right answers.
    """

    inputs: Int
    expected: Float
    given: int
    unit: Int
    right: Int
    clear: int = 0


@dataclass(frozen=True)
class Parts:
    """The given samples, by their places: to learn, to stop by, to judge by."""

    learn: Int
    stop: Int
    guard: Int


def parts_of(samples: int) -> Parts:
    """Return the parts of ``samples``. A part that would be empty has all places."""
    every = np.arange(samples)
    chosen = np.unique(np.linspace(0, samples - 1, min(samples, MOST_GIVEN)).round().astype(int))
    turn = np.arange(len(chosen)) % CYCLE
    stop, guard = (chosen[np.isin(turn, turns)] for turns in (STOP, GUARD))
    learn = chosen[~np.isin(turn, STOP + GUARD)]
    return Parts(learn, stop if stop.size else every, guard if guard.size else every)


def lessons(model: Program, given: Int, labels: Int | None, rng: Rng, share: float) -> Lessons:
    """Return lessons from ``given``. ``labels``: right answers, if these count and not the model's.

    ``share``: of the usual number of made inputs, for slow networks.
    """
    made = max(1, round(POOL * share))
    far = round(FAR * made)
    close, origin = near(given, rng, made - far)
    some = far // 4
    strange = (mixtures(given, rng, some), random_inputs(given, rng, some))
    winning = clear(given, rng, far - 2 * some, _counted(model))
    inputs = np.concatenate([given, close, *strange, winning])
    names = list(model.nodes(Population))
    answer = run(model, inputs, record=names)
    counts = answer.outputs.sum(axis=1)
    unit = max(1.0, SHARPNESS * float(counts.max(axis=1).mean()))
    wanted = chances(counts, unit)
    if labels is not None:
        known = np.concatenate([labels, labels[origin]])
        valid = (known >= 0) & (known < wanted.shape[1])
        wanted[np.flatnonzero(valid)] = np.eye(wanted.shape[1])[known[valid]]
    signals = {name: _small(answer.spikes[name]) for name in names}
    return Lessons(inputs, signals, wanted, unit, len(given))


def exam(model: Program, given: Int, labels: Int | None, rng: Rng, most: int) -> Exam:
    """Return given samples that are held aside, inputs near them (``most`` with these), and clear.

    There are half as many clear ones, but not more than in an examination that stops the learning.
    ``labels``: as those of ``lessons``.
    """
    made, origin = near(given, rng, max(len(given), most - len(given)))
    winning = clear(given, rng, max(1, min(most, EXAM) // 2), _counted(model))
    inputs = np.concatenate([given, made, winning])
    expected = run(model, inputs).outputs
    own = np.concatenate([np.arange(len(given)), origin])
    unit = np.concatenate([own, len(given) + np.arange(len(winning))])
    right = right_answers(expected, labels, own)
    return Exam(inputs, expected, len(given), unit, right, len(winning))


def right_answers(expected: Float, labels: Int | None, origin: Int) -> Int:
    """Return (samples,) the model's answers, for the first ones the labels of their ``origin``.

    Of equal outputs the first wins, as in `nirc verify`. Labels that no output has do not count.
    """
    right: Int = expected.sum(axis=1).argmax(axis=1).astype(np.int64)
    if labels is not None:
        known = labels[origin]
        valid = (known >= 0) & (known < expected.shape[2])
        right[: len(origin)] = np.where(valid, known, right[: len(origin)])
    return right


def _counted(model: Program) -> Answers:
    """Return the model's summed outputs as a function of inputs."""
    return lambda inputs: np.asarray(run(model, inputs).outputs.sum(axis=1))


def chances(counts: Float, unit: float) -> Float:
    """Return (samples, outputs) the chance of each answer: the softmax of counts in ``unit``."""
    scaled = (counts - counts.max(axis=1, keepdims=True)) / unit
    # Library functions differ in their last bits between machines.
    powers = np.round(np.exp(scaled), 12)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def near(given: Int, rng: Rng, count: int) -> tuple[Int, Int]:
    """Return (count, steps, channels) inputs near given samples, and the sample of each."""
    samples, steps, channels = given.shape
    most = max(1, int(given.max(initial=0)))
    made = np.zeros((count, steps, channels), np.int64)
    origin = rng.integers(samples, size=count)
    for k in range(count):
        one = given[origin[k]]
        other = given[rng.integers(samples)]
        kind = k % 5
        if kind == 0:
            made[k] = one * (rng.random(one.shape) >= rng.uniform(0, LOST))
        elif kind == 1:
            made[k] = _moved(one, rng, most)
        elif kind == 2:
            made[k] = np.where(rng.random(one.shape) < rng.uniform(0, FOREIGN), other, one)
        elif kind == 3:
            made[k] = some_channels(other, one, rng, rng.uniform(0, FOREIGN))
        else:
            made[k] = _drawn_anew(one, rng, most)
    return made, origin


def _moved(one: Int, rng: Rng, most: int) -> Int:
    """Move each entry by some steps."""
    step, channel = np.nonzero(one)
    far = np.rint(rng.normal(0, rng.uniform(*MOVED), step.size)).astype(np.int64)
    moved = np.zeros_like(one)
    np.add.at(moved, (np.clip(step + far, 0, len(one) - 1), channel), one[step, channel])
    return np.minimum(moved, most)


def _drawn_anew(one: Int, rng: Rng, most: int) -> Int:
    """Draw spikes from the mean rates around each step."""
    window = int(rng.integers(WINDOW[0], WINDOW[1] + 1))
    sums = np.cumsum(np.pad(one, ((window, 0), (0, 0))), axis=0)
    rate = (sums[window:] - sums[:-window]) / window
    if most > 1:
        return np.minimum(rng.poisson(rate), most)
    return (rng.random(one.shape) < rate).astype(np.int64)


def mistakes(outputs: Float, right: Int) -> Float:
    """Return (samples,) 1 where another output wins than the ``right`` one.

    Of equal outputs the first wins, as in `nirc verify`. So a chip that keeps the model's ties
    answers as the model.
    """
    return np.asarray(outputs.sum(axis=1).argmax(axis=1) != right, np.float64)


def _small(signal: Float) -> Float:
    """Return single precision, which holds spike counts exactly."""
    return signal.astype(np.float32)
