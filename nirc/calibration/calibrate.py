"""Calibration of a network for a chip: reference runs, search, distillation, guard.

1. The model (the legal discrete program) runs on the calibration inputs, and on mixed, random and
   clear inputs.
2. Weights are rounded by the signals of their sources (``nirc.rounding``), here and in all later
   stages.
3. The search runs the chip's dynamics in floating point, one population after the other. It sets
   gains, decays and self-inhibition (``bridge``).
4. Gradients through these dynamics change every weight (``distil``).
5. After each stage, the chip's integer answers are judged on samples that no stage has seen
   (``guard``).

Skip stages 3 and 4 if the chip's dynamics are the model's: the chip differs by rounding only, and
gradients ignore rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.bridge import Bridged, Reference, bridge
from nirc.calibration.chip import Chip
from nirc.calibration.clear import Answers
from nirc.calibration.distil import Distillation
from nirc.calibration.guard import Judged, better, judged, no_worse
from nirc.calibration.report import LEARNT, ROUNDING, SEARCHED, START, log_notes, report
from nirc.calibration.samples import Counts, samples
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population, Source
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.rounding.activity import ByActivity
from nirc.semantics.raster import Progress
from nirc.semantics.run import run

MADE_UP = Counts(mixed=48, random=160, clear=240)  # generated samples, for fitting and for judging
SLOW = Counts(mixed=4, random=8, clear=0)  # for a slow network: clear samples need many runs
FEWEST = 1 / 8  # of ``MADE_UP``, else ``SLOW``
WORK = 4e8  # multiply-adds for one run of all generated samples
PREPARED = 10  # percent done at the end of each stage
BRIDGED = 30
DISTILLED = 95


@dataclass(frozen=True)
class Calibrated:
    """``integer``: the program for the chip. ``findings``: of quantisation, None for the start."""

    integer: Program
    findings: Log | None
    report: dict[str, Any]

    def log_findings(self, program: Program, start: Log, log: Log) -> None:
        """Log the findings of the kept quantisation (``start``: if it is kept), and notes D414."""
        for finding in (self.findings or start).diagnostics:
            log.add(finding)
        log_notes(program, self.report, log)


@dataclass(frozen=True)
class _Candidate:
    integer: Program
    findings: Log | None
    judged: Judged


def calibrate(legal: Program, start: Program, chip: Chip, calibration: Calibration) -> Calibrated:
    """Return the variation of ``legal`` whose integer form answers most like ``legal``.

    ``start``: the uncalibrated integer form, which is kept if no variation is better.
    """
    notify = calibration.progress or (lambda _: None)
    rng = np.random.default_rng(calibration.seed)
    counts = _counts(legal, calibration.inputs.shape[1])
    data = samples(calibration.inputs, rng, counts, _counted_answers(legal, notify))
    dynamics = chip.dynamics(legal)
    names = [n for n in dynamics.nodes(Population) if n in legal.graph]
    reference = _compact(run(legal, data.fit, record=names).spikes)
    expected = run(legal, data.judge).output
    parameters = {n: p for n in names if (p := chip.parameters(dynamics, n)) is not None}
    rounding = ByActivity({**reference, **_inputs(legal, data.fit)})

    def candidate(name: str, integer: Program, findings: Log | None) -> _Candidate:
        return _Candidate(
            integer, findings, judged(name, chip.answers(integer, data.judge), expected, data)
        )

    def quantised(name: str, program: Program) -> _Candidate:
        findings = Log()
        return candidate(name, chip.quantised(program, rounding, findings), findings)

    def bridging(done: float) -> None:
        notify(round(PREPARED + (BRIDGED - PREPARED) * done))

    def distilling(done: float) -> None:
        notify(round(BRIDGED + (DISTILLED - BRIDGED) * done))

    first = candidate(START, start, None)
    rounded = quantised(ROUNDING, legal)
    good = (
        [rounded]
        if no_worse(rounded.judged, first.judged) and chip.affordable(rounded.integer, start)
        else []
    )
    tried = [first, rounded]
    notify(PREPARED)
    bridged = Bridged(dynamics, {}, {})
    if dynamics is not legal:
        bridged = bridge(dynamics, parameters, data.fit, reference, rng, bridging)
        tried.append(quantised(SEARCHED, bridged.program))
        if bridged.self_inhibition and not chip.affordable(tried[-1].integer, start):
            parameters = {n: replace(p, self_inhibition=False) for n, p in parameters.items()}
            bridged = bridge(dynamics, parameters, data.fit, reference, rng, bridging)
            tried[-1] = quantised(SEARCHED, bridged.program)
        distillation = Distillation(
            bridged.program,
            parameters,
            bridged.self_inhibition,
            data.fit,
            reference,
            rng,
            data.fit_given,
        )
        tried.append(quantised(LEARNT, distillation.run(distilling)))
        good += [
            c
            for c in tried[2:]
            if better(c.judged, first.judged) and chip.affordable(c.integer, start)
        ]
    best = min(good, key=lambda c: c.judged.far, default=first)
    notify(100)
    chosen = report(
        [c.judged for c in tried], best.judged, bridged.settings, parameters, data, calibration.seed
    )
    return Calibrated(best.integer, best.findings, chosen)


def _counts(program: Program, steps: int) -> Counts:
    """Return the numbers of generated samples, fewer for a slow network."""
    synapses = sum(sum(op.entries for op in p.ops) for _, _, p in program.edges())
    once = synapses + sum(program[n].n for n in program.graph)
    total = MADE_UP.mixed + MADE_UP.random + MADE_UP.clear
    share = min(1.0, WORK / (total * steps * once))
    if share < FEWEST:
        return SLOW
    return Counts(*(round(share * n) for n in (MADE_UP.mixed, MADE_UP.random, MADE_UP.clear)))


def _counted_answers(program: Program, notify: Progress) -> Answers:
    """Return the model's answers to generated samples. Each call reports one percent."""
    asked = 0

    def answers(inputs: Int) -> Float:
        nonlocal asked
        asked += 1
        notify(min(asked, PREPARED - 1))
        return np.asarray(run(program, inputs).output.sum(axis=1))

    return answers


def _inputs(program: Program, fed: Int) -> Reference:
    """Return the signals of each source."""
    ends = np.cumsum([s.n for s in program.nodes(Source).values()])
    return dict(zip(program.nodes(Source), np.split(fed, ends[:-1], axis=2), strict=True))


def _compact(spikes: Mapping[str, NDArray[Any]]) -> Reference:
    """Store spikes as bytes, since the model fires at most once a step. Keep membranes."""
    return {n: s.astype(np.uint8) if ((s == 0) | (s == 1)).all() else s for n, s in spikes.items()}
