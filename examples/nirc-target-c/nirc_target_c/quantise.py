"""c-quantise: weights of 8 or 16 bits, and everything else in units of the state.

Each neuron (each map of a convolution) has its own unit, so that its largest weight uses all bits.
A weight w of a projection is stored as w / 2^shift. So states have finer units than weights, and
decays lose little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import WeightsVanish
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Conv, Sparse, Weighted, weights_of, with_weights
from nirc.ir.populations import Bias, Discrete, Population, Projection, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights
from nirc_target_c.bounds import COUNT, most_spikes, reach, weighted
from nirc_target_c.limits import DECAY_ONE, SHIFT, STATE, WEIGHT
from nirc_target_c.neuron import CNeuron

ROOM = 0.5  # of the states, for the largest input. Rounding may add to it.
THRESHOLD = 1 << 24  # the largest threshold: states have 2^6 times as much room
CURRENT_STEPS = 64.0  # of the largest input for which a current has room
READOUT_STEPS = 1024.0  # ... and a membrane that is read
SMALLEST = 1e-300  # units per volt, of weights without a bound
NEAR = 1e-9  # relative: a product that was an integer before it was computed


@dataclass(frozen=True)
class CQuantise:
    """Round weights, decays and constants to integers."""

    bits: int = 16
    rounding: Rounding = KEEPING_SUMS
    name: ClassVar[str] = "c-quantise"

    def rounding_by(self, rounding: Rounding) -> CQuantise:
        """Return the pass with another rule by which weights become integers."""
        return replace(self, rounding=rounding)

    def run(self, program: Program, log: Log) -> Program:
        """Choose units so that the input of a step never overflows, and round. Never fails."""
        nodes = dict(program.graph.nodes(data="payload"))
        edges = [(s, t, p) for s, t, p in program.edges() if t not in _populations(program)]
        for name in _populations(program):
            plan = Plan(program, name, WEIGHT[self.bits])
            stored = plan.rounded(self.rounding)
            nodes[name] = program[name].with_dynamics(plan.neuron())
            edges += [(d.source, name, p) for d, p in zip(plan.drives, stored, strict=True)]
            _report_lost(plan, stored, self.bits, log)
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def _populations(program: Program) -> dict[str, Population[Discrete]]:
    return populations_of(program, Discrete)


def _report_lost(plan: Plan, stored: list[Projection], bits: int, log: Log) -> None:
    before = sum(int(np.count_nonzero(weights_of(d.op))) for d in plan.drives)
    after = sum(int(np.count_nonzero(weights_of(weighted(p)))) for p in stored)
    if after < before:
        lost = WeightsVanish(
            where=plan.population.origins[0],
            lost=before - after,
            of=before,
            which=f"into `{plan.name}`",
            limit=f"{bits} bits, one scale a neuron",
        )
        log.add(lost)


@dataclass(frozen=True)
class Drive:
    """A projection into a population. ``most``: spikes of a source in a step."""

    source: str
    projection: Projection
    most: float

    @property
    def op(self) -> Weighted:
        """The operator with the weights."""
        return weighted(self.projection)

    def largest(self, unit: Int, units: int) -> Float:
        """Return (units,) the largest weight of the neurons of each unit."""
        found = np.zeros(units)
        rows = unit[first_neurons(self.op)]
        largest = np.abs(by_row(self.op, rows.size)).max(axis=1, initial=0)
        np.maximum.at(found, rows, largest)
        return found


def first_neurons(op: Weighted) -> Int:
    """Return the target neuron of each row of weights, the first one of each map of a kernel."""
    if isinstance(op, Sparse):
        return op.target
    rows = len(op.weight)
    return np.arange(rows) * (op.n_out // rows)


def by_row(op: Weighted, rows: int) -> Float:
    """Return the weights (rows, weights of a row): see ``first_neurons``."""
    values = weights_of(op)
    return values.reshape(rows, values.size // max(1, rows))


class Plan:
    """A population on its way to integers.

    ``unit`` (n,): the number of each neuron's unit. ``scale`` (n,): units per volt. ``shift``: of
    the weights that use all bits.
    """

    def __init__(self, program: Program, name: str, top: int) -> None:
        self.name = name
        self.population: Population[Discrete] = program[name]
        self.d = self.population.dynamics
        self.top = top
        self.drives = [Drive(s, p, most_spikes(program, s)) for s, p in program.into(name)]
        self.unit = units_of([d.op for d in self.drives], self.population.n)
        units = int(self.unit.max(initial=-1)) + 1
        self.largest = [d.largest(self.unit, units) for d in self.drives]
        self.shift, scale = self._chosen(units)
        self.scale = scale[self.unit]

    def _chosen(self, units: int) -> tuple[int, Float]:
        """Return the shift and the scale of each unit."""
        bound = np.full(units, np.inf)
        np.minimum.at(bound, self.unit, self._bound())
        largest = np.maximum.reduce([np.zeros(units), *self.largest])
        driven = largest > 0
        full = np.divide(self.top, largest, out=np.ones(units), where=driven)
        room = np.log2((bound / full)[driven]).min(initial=SHIFT)
        shift = int(np.clip(np.floor(room), 0, SHIFT))
        scale = np.minimum(bound, full * 2.0**shift)
        scale = np.where(driven | np.isfinite(bound), np.maximum(scale, SMALLEST), 1.0)
        coarser = 2.0 ** np.floor(np.log2(scale))
        return shift, np.where(self._exact_at(coarser, shift), coarser, scale)

    def _bound(self) -> Float:
        """Return (n,) the largest scale at which the states have room."""
        d = self.d
        input_ = self._input([drive.projection for drive in self.drives])
        held = np.ones(self.population.n)
        for decay in (d.decay_syn, d.decay_syn_2):
            held = held if decay is None else np.maximum(held, _held(decay, CURRENT_STEPS))
        drift = np.abs(d.drift)
        if not d.fires:
            steps = _held(d.decay_mem, READOUT_STEPS)
            held = held * steps
            drift = drift * steps
        size = np.maximum(input_ * held, np.abs(drift))
        for constant in (d.v_start, d.v_reset, d.v_least):
            size = size if constant is None else np.maximum(size, np.abs(constant))
        bound = _at_most(ROOM * STATE, size)
        if d.threshold is None:
            return bound
        return np.minimum(bound, _at_most(THRESHOLD, np.abs(d.threshold)))

    def _exact_at(self, scale: Float, shift: int) -> Float:
        """Return (units,) True where ``scale`` makes all weights and thresholds integers."""
        exact = np.ones(scale.size, bool)
        for drive in self.drives:
            rows = self.unit[first_neurons(drive.op)]
            values = by_row(drive.op, rows.size)
            whole = _is_whole(values * scale[rows, None] / 2.0**shift).all(axis=1)
            np.logical_and.at(exact, rows, whole)
        for constant in (self.d.threshold, self.d.v_reset, self.d.drift):
            if constant is not None:
                np.logical_and.at(exact, self.unit, _is_whole(constant * scale[self.unit]))
        return exact

    def rounded(self, rounding: Rounding) -> list[Projection]:
        """Return the projections with integer weights and biases.

        Rounding may lift the input of a step above the largest state. The scale is halved then.
        """
        while True:
            stored = [self._stored(i, rounding) for i in range(len(self.drives))]
            if self._input(stored).max(initial=0.0) <= STATE:
                return stored
            self.scale = self.scale / 2
            self.shift = max(0, self.shift - 1)

    def _input(self, projections: list[Projection]) -> Float:
        """Return (n,) the largest input of a step through ``projections``, those of the drives."""
        total = np.zeros(self.population.n)
        for drive, projection in zip(self.drives, projections, strict=True):
            total = total + reach(projection, drive.most)
        return total

    def _stored(self, number: int, rounding: Rounding) -> Projection:
        drive, op = self.drives[number], self.drives[number].op
        rows = self.scale[first_neurons(op)]
        values = weights_of(op)
        exact = values * rows.reshape(-1, *[1] * (values.ndim - 1))
        grain = 2.0 ** shift_of(float(np.abs(exact).max(initial=0.0)), self.top)
        asked = Weights(
            drive.source, self.d, op, exact / grain, -self.top, self.top, drive.projection.ops[:-1]
        )
        integers = rounding.integers(asked) * grain
        biases = tuple(
            Bias(frozen(np.rint(b.value * self.scale)), onset_steps=b.onset_steps)
            for b in drive.projection.biases
        )
        ops = (*drive.projection.ops[:-1], with_weights(op, integers))
        return replace(drive.projection, ops=ops, biases=biases)

    def neuron(self) -> CNeuron:
        """Return the neurons in integers."""
        d = self.d
        fires = d.rule.fires
        rule = d.rule
        if fires is not None and (fires.most is None or fires.most > COUNT):
            rule = rule.with_fire(replace(fires, most=COUNT))
        up = fires is not None and fires.at == ">="
        threshold = None if d.threshold is None else _whole(d.threshold * self.scale, up=up)
        units = replace(
            d,
            rule=rule,
            decay_mem=_decay(d.decay_mem),
            decay_syn=None if d.decay_syn is None else _decay(d.decay_syn),
            decay_syn_2=None if d.decay_syn_2 is None else _decay(d.decay_syn_2),
            drift=self._units(d.drift),
            threshold=None if threshold is None else frozen(threshold),
            v_reset=None if d.v_reset is None else self._units(d.v_reset),
            v_start=None if d.v_start is None else self._units(d.v_start),
            v_least=None if d.v_least is None else self._units(d.v_least),
            grain=1.0,
        )
        return CNeuron(units, frozen(self.scale))

    def _units(self, volts: Float) -> Float:
        return frozen(np.clip(np.rint(volts * self.scale), -STATE, STATE))


def units_of(ops: list[Weighted], n: int) -> Int:
    """Return (n,) the unit of each neuron: its own, or that of its map if kernels come in."""
    maps = {op.shape_out[0] for op in ops if isinstance(op, Conv)}
    if not maps:
        return np.arange(n)
    together = n // maps.pop() if len(maps) == 1 else n
    return np.arange(n) // together


def shift_of(largest: float, top: int) -> int:
    """Return the least shift, from 0 on, at which ``largest`` is no more than ``top``."""
    return max(0, int(np.ceil(np.log2(largest / top * (1 - NEAR))))) if largest > 0 else 0


def _held(decay: Float, most: float) -> Float:
    """Return how many steps of input a state holds: the sum of a decaying unit."""
    return np.asarray(1 / np.maximum(1 - decay, 1 / most))


def _at_most(top: float, size: Float) -> Float:
    return np.asarray(np.divide(top, size, out=np.full(size.shape, np.inf), where=size > 0))


def _decay(decay: Float) -> Float:
    return frozen(np.rint(decay * DECAY_ONE) / DECAY_ONE)


def _is_whole(x: Float) -> Float:
    return np.asarray(x == np.rint(x))


def _whole(x: Float, *, up: bool) -> Float:
    """Return integers that compare with integer states as ``x`` does."""
    nearest = np.rint(x)
    apart = np.abs(x - nearest) > NEAR * np.maximum(1, np.abs(x))
    return np.asarray(np.where(apart, np.ceil(x) if up else np.floor(x), nearest))
