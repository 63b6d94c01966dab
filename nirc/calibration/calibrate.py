"""Calibration of a network for a chip: reference runs, search, distillation, guard.

1. The model (the legal discrete program) runs on the calibration inputs, and on mixed, random and
   clear inputs.
2. Weights are rounded by the signals of their sources (``nirc.rounding``), here and in all later
   stages.
3. The search runs the chip's dynamics in floating point, one population after the other. It sets
   gains, decays and self-inhibition (``bridge``).
4. Gradients through these dynamics change every weight (``distil``).
5. After each stage, the chip's integer answers are judged on samples that no stage has seen
   (``objective``).
6. Settings that are no parameters are searched on the best integer form (``settings``), and judged
   as the other stages, if enough given samples judge. They change much, and what is made from a few
   samples of one class says little of other classes: bm_deep, given 10 samples, went from .933
   agreement to .600.

Skip stages 3 and 4 if the chip's dynamics are the model's: the chip differs by rounding only, and
gradients ignore rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration import gains
from nirc.calibration.bridge import Reference, bridge
from nirc.calibration.chip import Chip, Parameters, Settings
from nirc.calibration.distil import Distillation
from nirc.calibration.objective import (
    FEW,
    Judged,
    better,
    disagreements,
    distances,
    judged,
    judgement_of,
    no_worse,
    weighted,
)
from nirc.calibration.samples import Answers, Counts, Samples, samples
from nirc.calibration.settings import with_best_settings
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import PopulationCalibrated, PopulationNotCalibrated
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population, Source
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.rounding.activity import ByActivity
from nirc.semantics.raster import Progress
from nirc.semantics.run import run

GENERATED = Counts(mixed=48, random=160, clear=240)  # samples to fit, and samples to judge
SLOW = Counts(mixed=4, random=8, clear=0)  # for a slow network: clear samples need many runs
FEWEST = 1 / 8  # of ``GENERATED``, else ``SLOW``
WORK = 4e8  # multiply-adds for one run of all generated samples
SETTLING = 2e10  # multiply-adds of the search of settings
PREPARED = 10  # percent done at the end of each stage
BRIDGED = 30
DISTILLED = 95

# Stages.
START = "start"  # the uncalibrated network
ROUNDING = "rounding"  # the same with weights rounded by the signals of their sources
SEARCHED = "search"  # after the bridge
LEARNT = "distillation"  # after all weights have learnt
SETTLED = "settings"  # the best of these with other settings of its neurons


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


@dataclass(frozen=True)
class _Task:
    """A network, the chip, the samples, and the model's answers on them."""

    start: Program
    chip: Chip
    data: Samples
    reference: Reference  # spikes on the samples to fit
    wanted: Float  # outputs on the samples to fit
    expected: Float  # outputs on the samples to judge
    rounding: ByActivity

    def candidate(self, name: str, integer: Program, findings: Log | None) -> _Candidate:
        """Judge an integer form."""
        answers = self.chip.answers(integer, self.data.judge)
        return _Candidate(integer, findings, judged(name, answers, self.expected, self.data))

    def quantised(self, name: str, program: Program) -> _Candidate:
        """Quantise and judge a variation of the network."""
        findings = Log()
        return self.candidate(name, self.chip.quantised(program, self.rounding, findings), findings)

    def loss(self, integer: Program) -> float:
        """Return how far an integer form is from the model on the samples to fit, step by step.

        Large distances count by their logarithm.
        """
        outputs = run(integer, self.data.fit).outputs
        far = np.log1p(distances(outputs, self.wanted)) + disagreements(outputs, self.wanted)
        return weighted(far, self.data.fit_given)

    def settled(self, best: _Candidate, settings: Settings) -> _Candidate | None:
        """Return a candidate with the settings of its populations that are best, None if it has."""
        once = synapses_of(best.integer) * self.data.fit.shape[1]
        tries = max(1, int(SETTLING // (len(self.data.fit) * once)))
        found = with_best_settings(best.integer, settings.others, self.loss, tries)
        return None if found is best.integer else self.candidate(SETTLED, found, best.findings)

    def affordable(self, candidate: _Candidate) -> bool:
        """Return True if a candidate fits the chip wherever the start fits."""
        return self.chip.affordable(candidate.integer, self.start)


def calibrate(
    legal: Program,
    start: Program,
    chip: Chip,
    calibration: Calibration,
    settings: Settings | None = None,
) -> Calibrated:
    """Return the variation of ``legal`` whose integer form answers most like ``legal``.

    ``start``: the uncalibrated integer form, which is kept if no variation is better. ``settings``:
    of a chip that has some.
    """
    notify = calibration.progress or (lambda _: None)
    rng = np.random.default_rng(calibration.seed)
    counts = _counts(legal, calibration.inputs.shape[1])
    data = samples(calibration.inputs, rng, counts, _counted_answers(legal, notify))
    dynamics = chip.dynamics(legal)
    names = [n for n in dynamics.nodes(Population) if n in legal.graph]
    model = run(legal, data.fit, record=names)
    reference = _compact(model.spikes)
    expected = run(legal, data.judge).outputs
    parameters = {n: p for n in names if (p := chip.parameters(dynamics, n)) is not None}
    rounding = ByActivity({**reference, **_inputs(legal, data.fit)})
    task = _Task(start, chip, data, reference, model.outputs, expected, rounding)
    first = task.candidate(START, start, None)
    rounded = task.quantised(ROUNDING, legal)
    tried = [first, rounded]
    accepted = []
    if no_worse(rounded.judged, first.judged) and task.affordable(rounded):
        accepted.append(rounded)
    notify(PREPARED)
    searched: Mapping[str, gains.SearchResult] = {}
    if dynamics is not legal:
        varied, searched, parameters = _varied(task, dynamics, parameters, rng, notify)
        tried += varied
        accepted += [c for c in varied if better(c.judged, first.judged) and task.affordable(c)]
    best = min(accepted, key=lambda c: c.judged.mean_distance, default=first)
    before = best
    settled = None
    if settings is not None and data.judge_given >= FEW:
        settled = task.settled(best, settings)
    if settled is not None:
        tried.append(settled)
        if better(settled.judged, best.judged) and no_worse(settled.judged, first.judged):
            best = settled
    notify(100)
    stages = [c.judged for c in tried]
    chosen = report(stages, before.judged, searched, parameters, data, calibration.seed)
    if settings is not None and best is not before:
        _note_bounds(chosen, settings, before, best)
    return Calibrated(best.integer, best.findings, chosen)


def _note_bounds(
    chosen: dict[str, Any], settings: Settings, before: _Candidate, best: _Candidate
) -> None:
    """Note in a report the lower bounds of ``best`` that are not those of the stage before it."""
    far = (before.judged.mean_distance, best.judged.mean_distance)
    chosen |= {"kept": SETTLED, "weights": before.judged.name}
    for name, population in best.integer.nodes(Population).items():
        if population is before.integer[name]:
            continue
        entry = chosen["populations"].setdefault(name, {})
        entry.setdefault("distance_before", round(far[0], 6))
        entry.setdefault("distance_after", round(far[1], 6))
        entry["lower_bound_thresholds"] = round(settings.bound(population), 6)


def _varied(
    task: _Task,
    dynamics: Program,
    parameters: dict[str, Parameters],
    rng: np.random.Generator,
    notify: Progress,
) -> tuple[list[_Candidate], Mapping[str, gains.SearchResult], dict[str, Parameters]]:
    """Search and learn. Return the candidates, the settings, and the parameters that may change."""

    def searching(done: float) -> None:
        notify(round(PREPARED + (BRIDGED - PREPARED) * done))

    def learning(done: float) -> None:
        notify(round(BRIDGED + (DISTILLED - BRIDGED) * done))

    fit = task.data.fit
    reference = task.reference
    best = bridge(dynamics, parameters, fit, reference, rng, searching)
    searched = task.quantised(SEARCHED, best.program)
    if best.self_inhibition and not task.affordable(searched):
        parameters = {n: replace(p, self_inhibition=False) for n, p in parameters.items()}
        best = bridge(dynamics, parameters, fit, reference, rng, searching)
        searched = task.quantised(SEARCHED, best.program)
    given = task.data.fit_given
    distillation = Distillation(
        best.program, parameters, best.self_inhibition, fit, reference, rng, given
    )
    learnt = task.quantised(LEARNT, distillation.run(learning))
    return [searched, learnt], best.settings, parameters


def _counts(program: Program, steps: int) -> Counts:
    """Return the numbers of generated samples, fewer for a slow network."""
    once = synapses_of(program) + sum(program[n].n for n in program.graph)
    total = GENERATED.mixed + GENERATED.random + GENERATED.clear
    share = min(1.0, WORK / (total * steps * once))
    if share < FEWEST:
        return SLOW
    return Counts(*(round(share * n) for n in (GENERATED.mixed, GENERATED.random, GENERATED.clear)))


def synapses_of(program: Program) -> int:
    """Return the entries of all operators, at least one."""
    return max(1, sum(sum(op.entries for op in p.ops) for _, _, p in program.edges()))


def _counted_answers(program: Program, notify: Progress) -> Answers:
    """Return the model's answers to generated samples. Each call reports one percent."""
    asked = 0

    def answers(inputs: Int) -> Float:
        nonlocal asked
        asked += 1
        notify(min(asked, PREPARED - 1))
        return np.asarray(run(program, inputs).outputs.sum(axis=1))

    return answers


def _inputs(program: Program, fed: Int) -> Reference:
    """Return the signals of each source."""
    ends = np.cumsum([s.n for s in program.nodes(Source).values()])
    return dict(zip(program.nodes(Source), np.split(fed, ends[:-1], axis=2), strict=True))


def _compact(spikes: Mapping[str, NDArray[Any]]) -> Reference:
    """Store spikes as bytes, since the model fires at most once a step. Keep membranes."""
    return {n: s.astype(np.uint8) if ((s == 0) | (s == 1)).all() else s for n, s in spikes.items()}


def report(
    stages: Sequence[Judged],
    kept: Judged,
    settings: Mapping[str, gains.SearchResult],
    parameters: Mapping[str, Parameters],
    data: Samples,
    seed: int,
) -> dict[str, Any]:
    """Return the manifest's ``calibration``: samples, judged distances, settings of populations.

    ``judgement``: if the kept stage answers given and clear samples worse than the first of
    ``stages``, the start.
    """
    return {
        "seed": seed,
        "samples": {
            "fit": len(data.fit),
            "fit_given": data.fit_given,
            "judge": len(data.judge),
            "judge_given": data.judge_given,
        },
        "kept": kept.name,
        "judgement": judgement_of(kept, stages[0]).as_tree(),
        "stages": [
            {
                "name": stage.name,
                "distance": round(stage.mean_distance, 6),
                "agreement": round(stage.agreement, 6),
            }
            for stage in stages
        ],
        "populations": {
            name: {}
            if kept.name in {START, ROUNDING} or name not in settings
            else _setting(settings[name], parameters[name])
            for name in parameters
        },
    }


def _setting(f: gains.SearchResult, parameters: Parameters) -> dict[str, Any]:
    s = f.setting
    entry: dict[str, Any] = {
        "distance_before": round(f.start, 6),
        "distance_after": round(f.best, 6),
    }
    if parameters.gains:
        entry["gains"] = [gains.factor(g) for g in s.gains]
    if parameters.drift:
        entry["drift"] = gains.factor(s.drift)
    if parameters.self_inhibition:
        entry["self_inhibition_thresholds"] = s.self_inhibition / gains.FINE
    for name, choices, place in (
        ("decay_mem", parameters.mem, s.mem),
        ("decay_syn", parameters.syn, s.syn),
    ):
        if choices:
            entry[name] = _range(choices[place])
    return entry


def _range(values: Float) -> list[float]:
    """Return the smallest and the largest value."""
    return [float(values.min()), float(values.max())]


def log_notes(program: Program, chosen: Mapping[str, Any], log: Log) -> None:
    """Log a note (D414) for each population."""
    for name, setting in chosen["populations"].items():
        where = program[name].origins[0]
        if not setting:
            rounded = chosen.get("weights", chosen["kept"]) == ROUNDING
            log.add(PopulationNotCalibrated(where=where, population=name, rounded=rounded))
            continue
        note = PopulationCalibrated(
            where=where,
            population=name,
            gains=setting.get("gains"),
            drift=setting.get("drift"),
            self_inhibition=setting.get("self_inhibition_thresholds", 0.0),
            distances=(setting["distance_before"], setting["distance_after"]),
            lower_bound=setting.get("lower_bound_thresholds"),
            learnt=chosen.get("weights", chosen["kept"]) == LEARNT,
        )
        log.add(note)
