"""Neurons that can never fire, whatever comes in: by bounds, not by trying inputs.

The input of a neuron is largest if every source that can fire does so in each step through a
positive weight, and none through a negative one. A neuron that this drive never brings to its
threshold is silent for good, and counts for nothing in what follows it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import OutputsSilent, SomeOutputsSilent
from nirc.ir.arrays import Float
from nirc.ir.linear import Dense, Diagonal, LinearOp, Pool, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.semantics.run import stepper_of

STEPS = 1 << 12  # of the largest drive that are tried at most
LEAST_STEPS = 64
WORK = 1 << 24  # neurons times steps of a population, from LEAST_STEPS on
STILL = 64  # steps without a higher membrane, after which it rises no more
MANY_SPIKES = 1 << 10  # of a neuron in a step, where its rule has no bound
SAME = 1e-6  # a rise by less than this share is none: a leak ends it
SMALL_DRIVE = 1 << 10  # a state of 16 bits does not wrap around before a neuron fires; a larger
# drive is halved and tried again
ROWS = 1 << 22  # weights of a matrix that are looked at together

Bools = NDArray[np.bool_]
Range = tuple[Float, Float]  # the least and the largest sum of signals, each (n,)


@dataclass(frozen=True)
class Reach:
    """The neurons and outputs that something can reach.

    ``alive`` (n,) by node: neurons that can fire, membranes and outputs that an input can move.
    ``drive`` (n,) by population: the largest sum of its inputs in a step. A population that
    nothing reaches has none.
    """

    alive: Mapping[str, Bools]
    drive: Mapping[str, Float]

    def outputs(self, program: Program) -> Bools:
        """Return (outputs,), flat and in order: True for those that something can reach."""
        return np.concatenate([self.alive[name] for name in program.nodes(Sink)])

    def blocked(self, program: Program) -> list[str]:
        """Return the populations that something reaches and that let nothing through."""
        names = program.nodes(Population)
        return [name for name in names if name in self.drive and not self.alive[name].any()]


def reach(program: Program, membranes: Collection[str], most_input: int) -> Reach:
    """Return the neurons that something can reach, as far as outputs need it.

    ``program``: discrete or integer. ``membranes``: populations that send their membrane.
    ``most_input``: spikes of an input channel in a step.
    """
    search = _Search(program, membranes)
    search.follow(
        (name, np.full(s.n, float(most_input))) for name, s in program.nodes(Source).items()
    )
    if not search.done():  # neurons that fire by themselves
        search.visit(name for name in program.nodes(Population) if name not in search.drive)
    return Reach({name: level > 0 for name, level in search.level.items()}, search.reached())


def report_silent_outputs(
    reference: Program,
    legal: Program,
    integer: Program,
    *,
    most_input: int,
    allowed: bool,
    calibrated: bool,
    log: Log,
) -> None:
    """Report outputs that can never fire: all of them (P325), or some (P326).

    ``reference``: the model. ``legal``, ``integer``: the chip's network before and after rounding.
    """
    found = reach(integer, _membranes(legal), most_input)
    alive = found.outputs(integer)
    if alive.all():
        return
    in_model = reach(reference, _membranes(reference), most_input).outputs(reference)
    if not alive.any():
        finding = OutputsSilent(
            cause=_cause(found, legal, integer),
            outputs=len(alive),
            in_model=not in_model.any(),
            allowed=allowed,
            calibrated=calibrated,
        )
        blocked = found.blocked(integer)
        log.add(finding.placed(integer[blocked[0]].origins[0]) if blocked else finding)
        return
    silent = np.flatnonzero(~alive)
    some = SomeOutputsSilent(
        silent=tuple(silent.tolist()),
        outputs=len(alive),
        in_model=int((~in_model[silent]).sum()),
    )
    log.add(some)


def _membranes(program: Program) -> set[str]:
    found = populations_of(program, Discrete)
    return {name for name, population in found.items() if not population.dynamics.fires}


def _cause(found: Reach, legal: Program, integer: Program) -> str:
    """Return why the first population that lets nothing through does not."""
    blocked = found.blocked(integer)
    if not blocked:
        return "no path of weights leads from an input to an output"
    name = blocked[0]
    if _has_weights(integer, name):
        if found.drive[name].max(initial=0) <= 0:
            silent = [
                _silent_part(found, s) for s, _ in integer.into(name) if not found.alive[s].all()
            ]
            return "; ".join([f"nothing that fires has a positive weight into `{name}`", *silent])
        return f"all weights into `{name}` together never reach its threshold"
    if name in legal.graph and _has_weights(legal, name):
        return f"all weights into `{name}` round to zero"
    return f"all weights into `{name}` are zero"


def _silent_part(found: Reach, name: str) -> str:
    alive = found.alive[name]
    return f"{int((~alive).sum())} of {alive.size} neuron(s) of `{name}` can never fire"


def _has_weights(program: Program, name: str) -> bool:
    into = program.into(name)
    return any(all(op.entries for op in projection.ops) for _, projection in into)


class _Search:
    def __init__(self, program: Program, membranes: Collection[str]) -> None:
        self.program = program
        self.membranes = membranes
        self.level = {name: np.zeros(program[name].n) for name in program.graph}
        self.drive: dict[str, list[Range]] = {}  # of both receptors
        self.touched: set[str] = set()
        self.outputs = list(program.nodes(Sink))
        self.waiting: deque[str] = deque()
        self.queued: set[str] = set()

    def done(self) -> bool:
        return all(self.level[name].all() for name in self.outputs)

    def reached(self) -> dict[str, Float]:
        return {
            n: self.drive[n][0][1] + self.drive[n][1][1] for n in self.drive if n in self.touched
        }

    def follow(self, first: Iterable[tuple[str, Float]]) -> None:
        for name, level in first:
            self._raise(name, level)
        self.visit(())

    def visit(self, names: Iterable[str]) -> None:
        for name in names:
            self._queue(name)
        while self.waiting and not self.done():
            name = self.waiting.popleft()
            self.queued.discard(name)
            self._raise(name, self._most(name))

    def _raise(self, name: str, level: Float) -> None:
        """Set what a node sends at most, and tell its targets about the difference."""
        more = np.maximum(level - self.level[name], 0)
        if not more.any():
            return
        self.level[name] += more
        least = -more if name in self.membranes else np.zeros_like(more)
        for target, projection in self.program.out_of(name):
            low, high = _through(projection, (least, more))
            of_synapse = self._drive_of(target)[projection.synapse]
            of_synapse[0][:] += low
            of_synapse[1][:] += high
            self.touched.add(target)
            self._queue(target)

    def _queue(self, name: str) -> None:
        if name not in self.queued:
            self.queued.add(name)
            self.waiting.append(name)

    def _drive_of(self, name: str) -> list[Range]:
        if name not in self.drive:
            n = self.program[name].n
            ranges = [(np.zeros(n), np.zeros(n)) for _ in range(2)]
            for _, projection in self.program.into(name):
                low, high = ranges[projection.synapse]
                for bias in projection.biases:
                    late = bias.onset_steps > 0
                    low += np.minimum(bias.value, 0) if late else bias.value
                    high += np.maximum(bias.value, 0) if late else bias.value
            self.drive[name] = ranges
        return self.drive[name]

    def _most(self, name: str) -> Float:
        """Return (n,) the most that a node sends in a step, 0 for what is silent."""
        node = self.program[name]
        (low, high), (low_2, high_2) = self._drive_of(name)
        if not isinstance(node, Population):
            return np.maximum(high, -low)
        if name in self.membranes:
            moved = _moved(node, high, high_2)
            return np.maximum(np.maximum(high + high_2, -low - low_2), moved)
        return _spikes(node, high, high_2)


def _moved(population: Population[Any], x: Float, second: Float) -> Float:
    """Return (n,) 1 for a membrane that moves by itself, as a leak or a bias moves it."""
    stepper = stepper_of(population, 1)
    moved: Float = np.zeros(population.n)
    for _ in range(STILL):
        stepper.step(x[None], second[None])
        moved[stepper.v[0] != 0] = 1.0
        if moved.all():
            break
    return moved


def _spikes(population: Population[Any], x: Float, second: Float) -> Float:
    """Return (n,) the most spikes of a step, 0 for neurons that their largest drive never fires."""
    d = population.dynamics
    rule = d.as_discrete() if isinstance(d, _Described) else d
    if not (x.any() or second.any()) and at_rest(population, rule):
        return np.zeros(population.n)
    fires = try_drive(population, x[None], second[None])[0]
    large = np.log2(np.maximum(x + second, 1)[~fires].max(initial=1)) - np.log2(SMALL_DRIVE)
    if large > 0 and not isinstance(d, Discrete):
        less = 0.5 ** np.arange(1, math.ceil(large) + 1)[:, None]
        fires |= try_drive(population, np.floor(x * less), np.floor(second * less)).any(axis=0)
    fire = rule.rule.fires if isinstance(rule, Discrete) else None
    most = 1 if fire is None else fire.most or MANY_SPIKES
    return np.where(fires, float(most), 0.0)


def at_rest(population: Population[Any], rule: object) -> bool:
    """Return True if no state of a population moves without input, and no neuron fires at zero."""
    if not isinstance(rule, Discrete) or rule.threshold is None:
        return False
    bounded = rule.v_least is not None and bool((rule.v_least > 0).any())
    moves = bounded or rule.drift.any() or stepper_of(population, 1).v.any()
    return not moves and bool((rule.threshold > 0).all())


@runtime_checkable
class _Described(Protocol):
    """A chip's neuron that can be written as a discrete one."""

    def as_discrete(self) -> object: ...


def try_drive(population: Population[Any], x: Float, second: Float) -> Bools:
    """Return (batch, n) True for neurons that fire under a constant drive.

    One that has not fired when the work is spent counts as one that fires, if it still rises. With
    less work than STEPS it may also sink, as before a slow synapse turns it.
    """
    stepper = stepper_of(population, len(x))
    steps = min(STEPS, max(LEAST_STEPS, WORK // max(1, x.size)))
    window = min(STILL, steps // 2)
    fired = np.zeros(x.shape, bool)
    rises = moves = ~fired
    before = np.full(x.shape, -np.inf)
    for step in range(1, steps + 1):
        fired |= stepper.step(x, second) > 0
        if fired.all():
            return fired
        if step % window == 0:
            v = stepper.v.astype(np.float64)
            rises = ~fired & (v > before + SAME * abs(v))
            moves = ~fired & (abs(v - before) > SAME * abs(v))
            if not moves.any():
                return fired
            before = v
    return fired | (rises if steps == STEPS else moves)


def _through(projection: Projection, signal: Range) -> Range:
    """Return the range (n_out,) behind a projection, without its biases."""
    for op in projection.ops:
        signal = _bounds(op, *signal)
    return signal


def _bounds(op: LinearOp, low: Float, high: Float) -> Range:
    if isinstance(op, Dense):
        return _dense(op.weight, low, high)
    match op:
        case Pool():
            ends = op.apply(low[None])[0], op.apply(high[None])[0]
            return min(ends, key=np.sum), max(ends, key=np.sum)
        case Diagonal():
            return np.minimum(op.scale * low, op.scale * high), np.maximum(
                op.scale * low, op.scale * high
            )
    weights = weights_of(op)
    plus, minus = with_weights(op, np.maximum(weights, 0)), with_weights(op, np.minimum(weights, 0))
    both = np.stack([low, high])
    up, down = plus.apply(both), minus.apply(both)
    return up[0] + down[1], up[1] + down[0]


def _dense(weight: Float, low: Float, high: Float) -> Range:
    n_out, n_in = weight.shape
    least, most = np.zeros(n_out), np.zeros(n_out)
    rows = max(1, ROWS // max(1, n_in))
    for start in range(0, n_out, rows):
        block = weight[start : start + rows]
        plus, minus = np.maximum(block, 0), np.minimum(block, 0)
        most[start : start + rows] = plus @ high + minus @ low
        least[start : start + rows] = plus @ low + minus @ high
    return least, most
