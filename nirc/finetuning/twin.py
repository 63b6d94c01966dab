"""An integer program that learns: the chip's answers forwards, smooth neurons backwards.

Forwards the interpreter runs the integer program, so every spike is the chip's. Backwards each
population is its *twin*: the same neuron in chip units, without the rounding of its states
(``as_discrete``). Rounding, clipping and saturation let slopes pass. Spikes have surrogate slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.buffers import Buffers
from nirc.calibration.gradients import SHARP, Operator, by_inputs
from nirc.calibration.unrolled import advanced, components, delayed
from nirc.chip.training import Place, Training
from nirc.finetuning.numbers import Number
from nirc.finetuning.synapses import may_learn, origin_of, with_lost_synapses
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Sparse, Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection, Source
from nirc.ir.program import Program
from nirc.ir.rules import Add, Decay
from nirc.native.operators import on_grid
from nirc.semantics.run import run

CONSTANTS = ("bias", "drift", "offset")  # names of the current that is added in each step
THRESHOLD = "threshold"
CONSTANT_UNIT = 0.1  # of a threshold: the unit of changes of a constant current
Signals = Mapping[str, Float]  # (samples, steps, n) by node


@dataclass
class Slopes:
    """Slopes of the loss by the numbers of the program."""

    weights: dict[Place, Float] = field(default_factory=dict)
    constants: dict[str, Float] = field(default_factory=dict)
    thresholds: dict[str, Float] = field(default_factory=dict)


class Twin:
    """``integer`` with the numbers that ``training`` lets change.

    ``model``: what the chip imitates. Its synapses that rounding has removed may come back.
    """

    def __init__(self, integer: Program, training: Training, model: Program) -> None:
        integer = with_lost_synapses(integer, model)
        self.start = integer
        self.training = training
        self.edges = list(integer.edges())
        self.populations: dict[str, Population[Any]] = dict(integer.nodes(Population))
        self.components = components(integer)
        self.neurons = {n: smooth(p.dynamics) for n, p in self.populations.items()}
        self.buffers = Buffers()
        self.weights: dict[Place, Number] = {}
        self.constants: dict[str, Number] = {}
        self.thresholds: dict[str, Number] = {}
        self.names: dict[str, str] = {}  # of the constant current of a population
        trainables = training.trainables(integer)
        for (edge, place), each in trainables.weights.items():
            source, target, projection = self.edges[edge]
            op = projection.ops[place]
            assert isinstance(op, Weighted)
            value = weights_of(op)
            if value.any():
                number = Number(value, each, _unit(op, value))
                number.mask = may_learn(op, (origin_of(integer, source), target), model)
                self.weights[edge, place] = number
        self.others: dict[str, dict[str, Float]] = {}  # numbers that stay
        for name, parameters in trainables.values.items():
            known = training.computation(self.populations[name]).parameters
            self.others[name] = {key: known[key] for key in parameters}
            d = self.neurons[name]
            size = 1.0 if d is None or d.threshold is None else np.maximum(np.abs(d.threshold), 1.0)
            for key in parameters:
                if key in CONSTANTS:
                    self.names[name] = key
                    unit = CONSTANT_UNIT * size
                    self.constants[name] = Number(known[key], parameters[key], unit)
                elif key == THRESHOLD:
                    self.thresholds[name] = Number(known[key], parameters[key], size)

    def numbers(self) -> list[Number]:
        """Return all numbers that learn."""
        return [*self.weights.values(), *self.constants.values(), *self.thresholds.values()]

    def learn(self, slopes: Slopes, rate: float) -> None:
        """Change all numbers."""
        for place, number in self.weights.items():
            if place in slopes.weights:
                number.learn(slopes.weights[place], rate)
        for name, number in self.constants.items():
            if name in slopes.constants:
                number.learn(slopes.constants[name], rate)
        for name, number in self.thresholds.items():
            if name in slopes.thresholds:
                number.learn(slopes.thresholds[name], rate)

    def program(self, *, averaged: bool = False) -> Program:
        """Return the integer program with the present numbers, or with their means.

        A chip may leave out synapses whose weight is 0 now.
        """
        edges = self.projections(averaged=averaged)
        program = self.start.rebuilt(dict(self.start.graph.nodes(data="payload")), edges)
        values = {name: dict(of) for name, of in self.others.items()}
        for name, number in self.constants.items():
            values[name][self.names[name]] = number.on_chip(averaged=averaged)
        for name, number in self.thresholds.items():
            values[name][THRESHOLD] = number.on_chip(averaged=averaged)
        return self.training.changed(program, values)

    def projections(self, *, averaged: bool = False) -> list[tuple[str, str, Projection]]:
        """Return all projections with the present weights, in the order of the start."""
        edges = []
        for i, (source, target, p) in enumerate(self.edges):
            ops = list(p.ops)
            for k, op in enumerate(ops):
                if (i, k) in self.weights:
                    assert isinstance(op, Weighted)
                    integers = self.weights[i, k].on_chip(averaged=averaged)
                    ops[k] = with_weights(op, frozen(integers))
            edges.append((source, target, replace(p, ops=tuple(ops))))
        return edges

    def slopes(
        self,
        inputs: NDArray[np.integer[Any]],
        loss: Callable[[Signals], dict[str, Float]],
    ) -> Slopes:
        """Return the slopes of the loss by all numbers, at the present ones on ``inputs``.

        ``loss`` maps the signals of all populations to its slopes by some of them.
        """
        program = self.program()
        answer = run(program, inputs, record=list(self.populations))
        signals = dict(answer.spikes)
        first = 0
        for name, source in program.nodes(Source).items():
            signals[name] = inputs[:, :, first : first + source.n].astype(np.float64)
            first += source.n
        return _Backward(self, program, signals, answer.v, loss(signals)).run()


def smooth(dynamics: object) -> Discrete | None:
    """Return a neuron without the rounding of its states, None for one that passes no slopes.

    Inputs that are added before a decay have its factor in their gain.
    """
    as_discrete = getattr(dynamics, "as_discrete", None)
    if as_discrete is None or getattr(dynamics, "repeats_input", False):
        return None
    d: Discrete = as_discrete()
    order = [op for op in d.rule.operations if isinstance(op, Add | Decay)]
    if d.decay_syn is not None and d.gain_syn is not None and _added_first(order):
        d = replace(d, gain_syn=frozen(d.gain_syn * d.decay_syn))
        if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            d = replace(d, gain_syn_2=frozen(d.gain_syn_2 * d.decay_syn_2))
    return d


def _added_first(order: list[Add | Decay]) -> bool:
    kinds = [
        type(op) for op in order if (isinstance(op, Add) and op.to == "i") or _decays_current(op)
    ]
    return kinds[:1] == [Add]


def _decays_current(op: Add | Decay) -> bool:
    return isinstance(op, Decay) and op.state == "i"


def _unit(op: Weighted, value: Float) -> Float | float:
    """Return the root mean square of the weights: of each neuron's, or of all."""
    if isinstance(op, Sparse):
        count = np.maximum(np.bincount(op.target, value != 0, minlength=op.n_out), 1)
        square = np.bincount(op.target, value**2, minlength=op.n_out) / count
        return np.asarray(np.sqrt(square)[op.target])
    return float(np.sqrt((value**2).sum() / np.count_nonzero(value)))


@dataclass
class _State:
    """A population on its way back: slopes that its membrane and currents carry to earlier steps.

    ``spike``: slope of a spike by the membrane. ``kept``: 0 where nothing passes to the step
    before. ``first``, ``second``: slopes by the input of both receptors. ``into``: by the membrane.
    """

    d: Discrete
    spike: Float
    kept: Float | None
    first: Float
    second: Float | None
    into: Float
    v: Float | float = 0.0
    i: Float | float = 0.0
    i_2: Float | float = 0.0

    def step(self, t: int, slope: Float) -> None:
        carried = self.v if self.kept is None else self.v * self.kept[:, t]
        into = carried + slope * self.spike[:, t]
        self.into[:, t] = into
        first, second = by_inputs(self, into)
        self.first[:, t] = first
        if self.second is not None:
            self.second[:, t] = second


class _Backward:
    """One pass from the last step to the first."""

    def __init__(
        self,
        twin: Twin,
        program: Program,
        signals: Signals,
        membranes: Signals,
        slopes: dict[str, Float],
    ) -> None:
        self.twin = twin
        self.edges = twin.projections()
        self.neurons = {n: smooth(p.dynamics) for n, p in program.nodes(Population).items()}
        self.scales = {
            n: getattr(p.dynamics, "scale", 1.0) for n, p in program.nodes(Population).items()
        }
        self.signals = signals
        self.membranes = membranes
        self.slope = slopes
        self.ops = {
            i: [Operator(op, twin.buffers) for op in p.ops]
            for i, (_, t, p) in enumerate(self.edges)
            if t in self.neurons
        }
        self.component: dict[str, int] = {}
        for number, names in enumerate(twin.components):
            self.component |= dict.fromkeys(names, number)
        self.answer = Slopes()

    def run(self) -> Slopes:
        """Return the slopes by all numbers."""
        learning = {self.edges[i][1] for i, _ in self.twin.weights} | set(self.twin.constants)
        first = min((self.component[n] for n in learning), default=len(self.twin.components))
        for number in reversed(range(first, len(self.twin.components))):
            names = [n for n in self.twin.components[number] if self.neurons[n] is not None]
            if names:
                self._component(number, names, first)
        return self.answer

    def _component(self, number: int, names: list[str], first: int) -> None:
        states = {name: self._state(name) for name in names}
        slope = {n: self.slope.pop(n, np.zeros_like(self.signals[n])) for n in names}
        live = {name: self._live(name, states) for name in names}
        steps = self.signals[names[0]].shape[1]
        for t in reversed(range(steps)):
            for name in reversed(names):
                for i, target, p in live[name]:
                    if t + p.lag < steps:
                        self._into(slope[name], t, i, states[target], p)
                states[name].step(t, slope[name][:, t])
        for name, state in states.items():
            if name in self.twin.constants:
                self.answer.constants[name] = on_grid(state.into).sum(axis=(0, 1))
            if name in self.twin.thresholds:
                by_threshold = -slope[name] * state.spike
                self.answer.thresholds[name] = on_grid(by_threshold).sum(axis=(0, 1))
        for i, (source, target, p) in enumerate(self.edges):
            if target in states:
                into = states[target].second if p.synapse else states[target].first
                if into is not None:
                    earlier_one = first <= self.component.get(source, -1) < number
                    self._collect(i, source, p, into, onward=earlier_one)

    def _live(self, name: str, states: Collection[str]) -> list[tuple[int, str, Projection]]:
        """Return the projections from ``name`` into populations of its loop, with their numbers."""
        edges = enumerate(self.edges)
        return [(i, t, p) for i, (s, t, p) in edges if s == name and t in states]

    def _into(self, slope: Float, t: int, edge: int, state: _State, p: Projection) -> None:
        """Add what a synapse inside the loop brings back to the slope of its source."""
        into = state.second if p.synapse else state.first
        if into is None:
            return
        delta = into[:, t + p.lag]
        for op in reversed(self.ops[edge]):
            delta = op.to_input(on_grid(delta))
        slope[:, t] += delta

    def _state(self, name: str) -> _State:
        d = self.neurons[name]
        assert d is not None
        spikes, after = self.signals[name], self.membranes[name]
        shape = spikes.shape
        kept = None
        # A membrane that is read leaves in volts.
        spike = np.broadcast_to(1.0 / self.scales[name], shape)
        if d.threshold is not None:
            subtracts = d.rule.reset == "subtract"
            # A membrane that was set is taken to have been at its threshold.
            before = after + spikes * d.threshold if subtracts else after
            before = np.where((spikes > 0) & (not subtracts), d.threshold, before)
            away = (before - d.threshold) / d.threshold
            several = d.rule.fires is not None and d.rule.fires.most != 1
            far = np.maximum(-away, 0.0) if several else np.abs(away)
            spike = 1.0 / (np.abs(d.threshold) * (1.0 + SHARP * far) ** 2)
            # A membrane that is raised fires more and is reset by as much. Without this, slopes of
            # recurrent networks explode.
            kept = 1.0 - np.abs(d.threshold) * spike
            if not subtracts:
                kept *= spikes == 0
            if d.v_least is not None:
                kept *= after > d.v_least
        two = any(t == name and p.synapse for _, t, p in self.edges)
        arrays = [np.zeros(shape), np.zeros(shape) if two else None, np.zeros(shape)]
        return _State(d, spike, kept, arrays[0], arrays[1], arrays[2])  # type: ignore[arg-type]

    def _collect(self, edge: int, source: str, p: Projection, into: Float, *, onward: bool) -> None:
        """Add the slopes by a projection's weights, and the slope of an earlier source."""
        ops = self.ops[edge]
        wanted = [k for k in range(len(ops)) if (edge, k) in self.twin.weights]
        if not wanted and not onward:
            return
        samples, steps, _ = into.shape
        delta = on_grid(into).reshape(samples * steps, -1)
        passed = [delayed(self.signals[source], p.lag).reshape(samples * steps, -1)]
        for op in ops[: max(wanted, default=0)]:
            passed.append(op.apply(passed[-1]))
        for k in reversed(range(len(ops))):
            if k in wanted:
                self.answer.weights[edge, k] = ops[k].to_numbers(on_grid(passed[k]), delta)
            if onward or (wanted and k > wanted[0]):
                delta = on_grid(ops[k].to_input(delta))
        if onward:
            slope = advanced(delta.reshape(samples, steps, -1), p.lag)
            known = self.slope.get(source)
            self.slope[source] = slope.copy() if known is None else known + slope
