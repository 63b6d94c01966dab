"""Calibration of one network for one chip: the teacher's runs, the search, the distillation, the guard.

1. The model (the legal discrete program) answers the calibration inputs, mixtures of them and random ones.
2. The chip's dynamics in floating point, population after population: gains, decays, brakes (``gains``).
3. Every weight, by gradients through these dynamics (``distil``).
4. What the chip answers in integers after each stage is judged on samples that no stage has seen (``guard``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration import gains
from nirc.calibration.adjoint import having, numbers
from nirc.calibration.chip import Chip, Knobs
from nirc.calibration.distil import Distillation
from nirc.calibration.guard import Judged, better, judged, no_worse
from nirc.calibration.report import START, report
from nirc.calibration.samples import Counts, Samples, samples
from nirc.calibration.unrolled import Unrolled
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Projection, Source
from nirc.ir.program import Program
from nirc.rounding.activity import ByActivity
from nirc.semantics.run import run

MADE_UP = Counts(mixed=48, random=160, clear=240)  # samples for each part of the given ones
FEWEST = 1 / 8  # of them for a network that takes long
WORK = 4e8  # multiply-adds that all of them may take once
SEARCHING, LEARNING = 30, 95  # percent done at the end of each
Progress = Callable[[int], None]
Taught = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Calibrated:
    """``integer``: what the chip will run; ``told``: what its quantisation said (None: the start was kept)."""

    integer: Program
    told: Log | None
    report: dict[str, Any]


@dataclass(frozen=True)
class _Kept:
    integer: Program
    told: Log | None
    judged: Judged


def calibrate(
    legal: Program, start: Program, chip: Chip, inputs: NDArray[np.generic], seed: int, progress: Progress | None = None
) -> Calibrated:
    """The variation of ``legal`` whose integer form answers as ``legal`` does, or ``start`` where none is better.

    ``start``: the uncalibrated integer form. ``inputs`` (samples, steps, channels): spike counts.
    """
    tell = progress or (lambda _: None)
    rng = np.random.default_rng(seed)
    own = samples(inputs, rng, _counts(legal, inputs.shape[1]), lambda x: run(legal, x).output.sum(axis=1))
    bridged = chip.dynamics(legal)
    names = [n for n in bridged.nodes(Population) if n in legal.graph]
    taught = _compact(run(legal, own.fit, record=names).spikes)
    expected = run(legal, own.judge).output
    knobs = {n: k for n in names if (k := chip.knobs(bridged, n)) is not None}
    braked, brakes = _with_brakes(bridged, knobs)
    tell(5)

    def look(name: str, integer: Program, told: Log | None) -> _Kept:
        return _Kept(integer, told, judged(name, chip.answers(integer, own.judge), expected, own))

    def quantised(name: str, program: Program) -> _Kept:
        told = Log()
        return look(name, chip.quantised(program, rounding, told), told)

    first = look(START, start, None)
    rounding = ByActivity({**taught, **_inputs(legal, own.fit)})
    rounded = quantised("rounding", legal)
    found, searched = _searched(braked, knobs, brakes, own, taught, rng, tell)
    searched, brakes = _without_idle_brakes(searched, brakes)
    if brakes and not chip.affordable(chip.quantised(searched, rounding, Log()), start):
        knobs = {n: replace(k, brake=False) for n, k in knobs.items()}
        found, searched = _searched(bridged, knobs, {}, own, taught, rng, tell)
        brakes = {}
    kept = [quantised("search", searched)]
    learning = Distillation(searched, knobs, brakes, own.fit, taught, rng, own.fit_given)

    def snapshot(done: int, of: int, program: Program) -> None:
        kept.append(quantised(f"distillation, {done} of {of} rounds", program))
        tell(SEARCHING + (LEARNING - SEARCHING) * done // of)

    learning.run(snapshot)
    good = [k for k in kept if better(k.judged, first.judged) and chip.affordable(k.integer, start)]
    good += [rounded] if no_worse(rounded.judged, first.judged) and chip.affordable(rounded.integer, start) else []
    best = min(good, key=lambda k: k.judged.far, default=first)
    tell(100)
    told = report([k.judged for k in (first, rounded, *kept)], best.judged, found, knobs, own, seed)
    return Calibrated(best.integer, best.told, told)


def _counts(program: Program, steps: int) -> Counts:
    """Fewer samples for a network that takes long."""
    once = sum(op.entries for _, _, p in program.edges() for op in p.ops) + sum(program[n].n for n in program.graph)
    total = MADE_UP.mixed + MADE_UP.random + MADE_UP.clear
    share = min(1.0, max(FEWEST, WORK / (total * steps * once)))
    return Counts(*(round(share * n) for n in (MADE_UP.mixed, MADE_UP.random, MADE_UP.clear)))


def _inputs(program: Program, fed: Int) -> Taught:
    """What each source sends."""
    ends = np.cumsum([s.n for s in program.nodes(Source).values()])
    return dict(zip(program.nodes(Source), np.split(fed, ends[:-1], axis=2), strict=True))


def _compact(spikes: Mapping[str, NDArray[Any]]) -> Taught:
    """Spikes as bytes: the model fires once a step at most; membranes stay as they are."""
    return {n: s.astype(np.uint8) if ((s == 0) | (s == 1)).all() else s for n, s in spikes.items()}


def _with_brakes(program: Program, knobs: dict[str, Knobs]) -> tuple[Program, dict[str, int]]:
    """With a synapse of weight 0 from each neuron that may have a brake to itself; the numbers of these edges."""
    edges = list(program.edges())
    brakes: dict[str, int] = {}
    for name, knob in knobs.items():
        if knob.brake:
            index = np.arange(program[name].n)
            op = Sparse(index, index, frozen(np.zeros(index.size)), index.size, index.size)
            brakes[name] = len(edges)
            edges.append((name, name, Projection(ops=(op,), feedback=True, origins=program[name].origins)))
    made = program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
    # The graph lists edges by source: their numbers are not those of the list.
    zero = {id(edges[number][2]): name for name, number in brakes.items()}
    return made, {zero[id(p)]: number for number, (_, _, p) in enumerate(made.edges()) if id(p) in zero}


def _without_idle_brakes(program: Program, brakes: dict[str, int]) -> tuple[Program, dict[str, int]]:
    edges = list(program.edges())
    idle = {number for number in brakes.values() if not edges[number][2].ops[0].value.any()}
    made = program.rebuilt(dict(program.graph.nodes(data="payload")), [e for i, e in enumerate(edges) if i not in idle])
    moved = {number: number - sum(i < number for i in idle) for number in brakes.values() if number not in idle}
    return made, {name: moved[number] for name, number in brakes.items() if number in moved}


def _searched(
    program: Program,
    knobs: dict[str, Knobs],
    brakes: dict[str, int],
    own: Samples,
    taught: Taught,
    rng: np.random.Generator,
    tell: Progress,
) -> tuple[dict[str, gains.Found], Program]:
    """Settings by population, and the program with them."""
    found: dict[str, gains.Found] = {}
    order = Unrolled(program).components
    signal: dict[str, Float] = {}
    done = 0
    for component in order:
        for name in component:
            if name in knobs:
                others = {n: taught[n].astype(np.float64) for n in component}
                itself = frozenset(i for i, (s, t, _) in enumerate(program.edges()) if s == t)
                u = Unrolled(program, others, itself)
                u.feed(own.fit)
                u.signal |= signal
                search = gains.Search(u, name, knobs[name], taught[name], brakes.get(name), rng)
                found[name] = search.best()
                program = _set(program, name, knobs[name], found[name].setting, brakes.get(name))
            done += 1
            tell(5 + (SEARCHING - 5) * done // max(1, sum(map(len, order))))
        u = Unrolled(program)
        u.feed(own.fit)
        u.signal |= signal
        u.run(component)
        signal |= {n: u.signal[n] for n in component}
    return found, program


def _set(program: Program, name: str, knobs: Knobs, setting: gains.Setting, brake: int | None) -> Program:
    """``program`` with one population at ``setting``."""
    population: Population = program[name]
    d = population.dynamics
    assert isinstance(d, Discrete)
    edges, into = [], 0
    for number, (s, t, p) in enumerate(program.edges()):
        if t == name and number == brake:
            p = replace(p, ops=(having(p.ops[0], gains.brake_weights(d, setting)),))  # noqa: PLW2901
        elif t == name:
            p = _scaled(p, gains.factor(setting.gains[into]))  # noqa: PLW2901
            into += 1
        edges.append((s, t, p))
    nodes = dict(program.graph.nodes(data="payload"))
    nodes[name] = replace(population, dynamics=gains.changed(d, knobs, setting))
    return program.rebuilt(nodes, edges)


def _scaled(p: Projection, factor: float) -> Projection:
    """``p`` times ``factor``, on the last operator that has numbers."""
    if factor == 1.0:
        return p
    last = max(k for k, op in enumerate(p.ops) if numbers(op) is not None)
    value = numbers(p.ops[last])
    assert value is not None
    ops = tuple(having(op, value * factor) if k == last else op for k, op in enumerate(p.ops))
    return replace(p, ops=ops, biases=tuple(replace(b, value=frozen(b.value * factor)) for b in p.biases))
