"""Calibration of one network for one chip: the teacher's runs, the search, the distillation, the guard.

1. The model (the legal discrete program) answers the calibration inputs, mixtures, random ones and clear ones.
2. Weights are rounded by what their sources send (``nirc.rounding``), here and in every later stage.
3. The chip's dynamics in floating point, population after population: gains, decays, brakes (``bridge``).
4. Every weight, by gradients through these dynamics (``distil``).
5. What the chip answers in integers after each stage is judged on samples that no stage has seen (``guard``).

Where the chip's dynamics are the model's, there is nothing to bridge, and to learn neither: gradients know no rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.bridge import Bridged, Taught, bridge
from nirc.calibration.chip import Chip
from nirc.calibration.clear import Answers
from nirc.calibration.distil import Distillation
from nirc.calibration.guard import Judged, better, judged, no_worse
from nirc.calibration.report import LEARNT, ROUNDING, SEARCHED, START, report, say
from nirc.calibration.samples import Counts, samples
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population, Source
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.rounding.activity import ByActivity
from nirc.semantics.raster import Progress
from nirc.semantics.run import run

MADE_UP = Counts(mixed=48, random=160, clear=240)  # samples for each part of the given ones
SLOW = Counts(mixed=4, random=8, clear=0)  # ... for a network that takes long: clear ones have to be bred
FEWEST = 1 / 8  # of ``MADE_UP``, else it is ``SLOW``
WORK = 4e8  # multiply-adds that all of them may take once
PREPARED, BRIDGED, DISTILLED = 10, 30, 95  # percent done at the end of each


@dataclass(frozen=True)
class Calibrated:
    """``integer``: what the chip will run; ``told``: what its quantisation said (None: the start was kept)."""

    integer: Program
    told: Log | None
    report: dict[str, Any]

    def say(self, program: Program, start: Log, log: Log) -> None:
        """What the quantisation that was kept said, ``start`` if it is the start's; and what was chosen (D414)."""
        for finding in (self.told or start).diagnostics:
            log.add(finding)
        say(program, self.report, log)


@dataclass(frozen=True)
class _Kept:
    integer: Program
    told: Log | None
    judged: Judged


def calibrate(legal: Program, start: Program, chip: Chip, calibration: Calibration) -> Calibrated:
    """The variation of ``legal`` whose integer form answers as ``legal`` does, or ``start`` where none is better.

    ``start``: the uncalibrated integer form.
    """
    tell = calibration.progress or (lambda _: None)
    rng = np.random.default_rng(calibration.seed)
    own = samples(calibration.inputs, rng, _counts(legal, calibration.inputs.shape[1]), _telling(legal, tell))
    dynamics = chip.dynamics(legal)
    names = [n for n in dynamics.nodes(Population) if n in legal.graph]
    taught = _compact(run(legal, own.fit, record=names).spikes)
    expected = run(legal, own.judge).output
    knobs = {n: k for n in names if (k := chip.knobs(dynamics, n)) is not None}
    rounding = ByActivity({**taught, **_inputs(legal, own.fit)})

    def look(name: str, integer: Program, told: Log | None) -> _Kept:
        return _Kept(integer, told, judged(name, chip.answers(integer, own.judge), expected, own))

    def quantised(name: str, program: Program) -> _Kept:
        told = Log()
        return look(name, chip.quantised(program, rounding, told), told)

    def share(done: float) -> None:
        tell(round(PREPARED + (BRIDGED - PREPARED) * done))

    first, rounded = look(START, start, None), quantised(ROUNDING, legal)
    good = [rounded] if no_worse(rounded.judged, first.judged) and chip.affordable(rounded.integer, start) else []
    tried = [first, rounded]
    tell(PREPARED)
    bridged = Bridged(dynamics, {}, {})
    if dynamics is not legal:
        bridged = bridge(dynamics, knobs, own.fit, taught, rng, share)
        tried.append(quantised(SEARCHED, bridged.program))
        if bridged.brakes and not chip.affordable(tried[-1].integer, start):
            knobs = {n: replace(k, brake=False) for n, k in knobs.items()}
            bridged = bridge(dynamics, knobs, own.fit, taught, rng, share)
            tried[-1] = quantised(SEARCHED, bridged.program)
        learning = Distillation(bridged.program, knobs, bridged.brakes, own.fit, taught, rng, own.fit_given)
        learnt = learning.run(lambda share: tell(round(BRIDGED + (DISTILLED - BRIDGED) * share)))
        tried.append(quantised(LEARNT, learnt))
        good += [k for k in tried[2:] if better(k.judged, first.judged) and chip.affordable(k.integer, start)]
    best = min(good, key=lambda k: k.judged.far, default=first)
    tell(100)
    told = report([k.judged for k in tried], best.judged, bridged.found, knobs, own, calibration.seed)
    return Calibrated(best.integer, best.told, told)


def _counts(program: Program, steps: int) -> Counts:
    """Fewer samples for a network that takes long."""
    once = sum(op.entries for _, _, p in program.edges() for op in p.ops) + sum(program[n].n for n in program.graph)
    total = MADE_UP.mixed + MADE_UP.random + MADE_UP.clear
    share = min(1.0, WORK / (total * steps * once))
    if share < FEWEST:
        return SLOW
    return Counts(*(round(share * n) for n in (MADE_UP.mixed, MADE_UP.random, MADE_UP.clear)))


def _telling(program: Program, tell: Progress) -> Answers:
    """What the model answers while samples are made up, which takes long: a percent for every question."""
    asked = 0

    def answers(inputs: Int) -> Float:
        nonlocal asked
        asked += 1
        tell(min(asked, PREPARED - 1))
        return np.asarray(run(program, inputs).output.sum(axis=1))

    return answers


def _inputs(program: Program, fed: Int) -> Taught:
    """What each source sends."""
    ends = np.cumsum([s.n for s in program.nodes(Source).values()])
    return dict(zip(program.nodes(Source), np.split(fed, ends[:-1], axis=2), strict=True))


def _compact(spikes: Mapping[str, NDArray[Any]]) -> Taught:
    """Spikes as bytes: the model fires once a step at most; membranes stay as they are."""
    return {n: s.astype(np.uint8) if ((s == 0) | (s == 1)).all() else s for n, s in spikes.items()}
