"""Every weight and constant current, by gradient descent on the distance from the model's spikes (Adam).

All populations learn at once from the traces of the model's spikes, through the chip's own dynamics. Within a loop
each neuron is told the model's spikes (Unrolled's ``forced``): errors of a recurrent network do not feed on themselves
while it learns. Then the loops stay as they are and run free, and the other populations learn from what they really
send. Bounded by work; operators keep their zeros and their shared kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.exact import on_grid
from nirc.calibration.adjoint import numbers, with_numbers
from nirc.calibration.chip import Knobs
from nirc.calibration.objective import count_power, echo, power, traces, traces_back
from nirc.calibration.samples import given_share
from nirc.calibration.unrolled import Gradients, Key, Unrolled, components
from nirc.ir.arrays import Float, Int, frozen, size
from nirc.ir.populations import Discrete, Population, Sink
from nirc.ir.program import Program

BATCH = 64
ROUNDS = 200
FEWEST = 30
WORK = 6e10  # multiply-adds of all rounds together
# In loops every change comes back; measured: JapaneseVowels gets worse from 0.03 on, other networks from 0.08 on.
RATE, RATE_IN_LOOPS, LAST = 0.03, 0.01, 0.1
# of a change, in units of the operator's root mean square; share of it in the last round
TOLD = 0.6  # of the rounds, the first: populations of loops learn, and are told what the model sends
AVERAGED = 0.3  # of the rounds, the last: their mean is what was learnt
DRIFT_UNIT = 0.1  # of a threshold: the unit of changes of a constant current
MOST_GIVEN = 0.75  # of a batch
FIRST, SECOND = 0.9, 0.99  # Adam's decays
Rng = np.random.Generator


@dataclass
class _Number:
    """One array that learns, with Adam's two moments."""

    value: Float
    unit: float
    mask: NDArray[np.bool_]
    first: Float
    second: Float
    total: Float  # of the values to be averaged

    @staticmethod
    def of(value: Float, unit: float, mask: NDArray[np.bool_]) -> _Number:
        return _Number(value.copy(), unit, mask, *(np.zeros_like(value) for _ in range(3)))

    def afresh(self) -> _Number:
        """To be learnt from here on."""
        return _Number.of(self.value, self.unit, self.mask)

    def learn(self, gradient: Float, rate: float, round_: int) -> None:
        self.first = FIRST * self.first + (1 - FIRST) * gradient
        self.second = SECOND * self.second + (1 - SECOND) * gradient * gradient
        # products, not powers: the same on every machine
        mean, square = self.first / _left(FIRST, round_), self.second / _left(SECOND, round_)
        self.value = self.value - rate * self.unit * mean / (np.sqrt(square) + 1e-12) * self.mask


def _left(decay: float, round_: int) -> float:
    share = 1.0
    for _ in range(round_):
        share *= decay
    return 1.0 - share


class Distillation:
    """``program`` on its way to the model's spikes ``taught``, by population, on ``inputs``."""

    def __init__(
        self,
        program: Program,
        knobs: Mapping[str, Knobs],
        brakes: Mapping[str, int],
        inputs: Int,
        taught: Mapping[str, NDArray[np.generic]],
        rng: Rng,
        given: int,
    ) -> None:
        self.given = given
        self.outputs = {s for sink in program.nodes(Sink) for s, _ in program.into(sink)}
        self.program, self.inputs, self.taught, self.rng = program, inputs, taught, rng
        self.own = frozenset(brakes.values())
        self.edges = list(program.edges())
        self.decay = echo(inputs.shape[1])
        self.names = [n for n in taught if isinstance(program[n].dynamics, Discrete)]
        self.units = {n: power(np.asarray(taught[n], np.float64), self.decay) for n in self.names}
        self.count_units = {n: count_power(np.asarray(taught[n], np.float64)) for n in self.names}
        looped = [n for c in components(program) for n in c if len(c) > 1 or _recurrent(self.edges, n, self.own)]
        self.looped = looped
        self.weights: dict[Key, _Number] = {}
        for i, (_, t, p) in enumerate(self.edges):
            if t in knobs and knobs[t].weights:
                for k, op in enumerate(p.ops):
                    value = numbers(op)
                    if value is not None and value.any():
                        unit = float(np.sqrt((value**2).sum() / np.count_nonzero(value)))
                        self.weights[i, k] = _Number.of(value, unit, value != 0)
        self.drift = {}
        for name, knob in knobs.items():
            if knob.drift:
                d = program[name].dynamics
                unit = 1.0 if d.threshold is None else float(np.abs(d.threshold).mean())
                self.drift[name] = _Number.of(d.drift, DRIFT_UNIT * unit, np.ones(d.drift.shape, dtype=bool))

    def rounds(self) -> int:
        """As many as the work allows."""
        _, steps, _ = self.inputs.shape
        once = 0
        for _, t, p in self.edges:
            if t in self.program.nodes(Population):
                once += sum(op.entries for op in p.ops)
        neurons = sum(size(p.shape) for p in self.program.nodes(Population).values())
        cost = BATCH * steps * (3 * once + 60 * neurons)
        return int(min(ROUNDS, max(FEWEST, WORK // max(1, cost))))

    def run(self, tell: Callable[[float], None]) -> Program:
        """All rounds; the program with what was learnt. ``tell``: the share that is done."""
        rounds = self.rounds()
        if not self.looped or set(self.names) <= set(self.looped):
            self._learn(rounds, RATE_IN_LOOPS if self.looped else RATE, tell)
            return self.now()
        told = round(TOLD * rounds)
        self._learn(told, RATE_IN_LOOPS, lambda share: tell(TOLD * share))
        self._settle()
        self._learn(rounds - told, RATE, lambda share: tell(TOLD + (1.0 - TOLD) * share))
        return self.now()

    def _learn(self, rounds: int, rate: float, tell: Callable[[float], None]) -> None:
        """So many rounds; the mean of the last ones stays."""
        averaged = max(1, round(AVERAGED * rounds))
        everything = [*self.weights.values(), *self.drift.values()]
        for done in range(1, rounds + 1):
            gradients = self._gradients(self.now(), self._batch())
            now = rate * (1.0 - (1.0 - LAST) * (done - 1) / rounds)
            for key, number in self.weights.items():
                number.learn(gradients.weights[key], now, done)
            for name, number in self.drift.items():
                number.learn(gradients.drift[name], now, done)
            tell(done / rounds)
            if done > rounds - averaged:
                for number in everything:
                    number.total += number.value
        for number in everything:
            number.value = number.total / averaged

    def _settle(self) -> None:
        """Populations of loops have learnt: they run free, and the others learn from what they really send."""
        self.program, self.edges = (settled := self.now()), list(settled.edges())
        mine = {n for n in self.names if n not in self.looped}
        self.weights = {k: n.afresh() for k, n in self.weights.items() if self.edges[k[0]][1] in mine}
        self.drift = {k: n.afresh() for k, n in self.drift.items() if k in mine}
        self.names, self.looped = [n for n in self.names if n in mine], []

    def _batch(self) -> NDArray[np.int64]:
        """Given and made-up samples by their weight."""
        own = min(round(BATCH * min(MOST_GIVEN, given_share(self.given))), self.given)
        given = self.rng.permutation(self.given)[:own]
        made = self.given + self.rng.permutation(len(self.inputs) - self.given)[: BATCH - own]
        return np.concatenate([given, made])

    def _gradients(self, program: Program, chosen: NDArray[np.int64]) -> Gradients:
        taught = {n: self.taught[n][chosen].astype(np.float64) for n in self.names}
        unrolled = Unrolled(program, {n: taught[n] for n in self.looped} if self.looped else None, self.own)
        signals = unrolled.forward(self.inputs[chosen])
        slopes = {}
        for name in self.names:
            off = traces(signals[name] - taught[name], self.decay)
            slopes[name] = traces_back(off, self.decay) * (2.0 / (self.units[name] * len(chosen)))
            if name in self.outputs:
                count = (signals[name] - taught[name]).sum(axis=1, keepdims=True)
                slopes[name] += count * (2.0 / (self.count_units[name] * len(chosen)))
        return unrolled.backward(slopes)

    def now(self) -> Program:
        """The program with what has been learnt."""
        edges = []
        for i, (s, t, p) in enumerate(self.edges):
            ops = tuple(
                with_numbers(op, on_grid(self.weights[i, k].value)) if (i, k) in self.weights else op
                for k, op in enumerate(p.ops)
            )
            edges.append((s, t, replace(p, ops=ops)))
        nodes = dict(self.program.graph.nodes(data="payload"))
        for name, number in self.drift.items():
            population: Population = self.program[name]
            assert isinstance(population.dynamics, Discrete)
            nodes[name] = replace(population, dynamics=replace(population.dynamics, drift=frozen(number.value)))
        return self.program.rebuilt(nodes, edges)


def _recurrent(edges: list[tuple[str, str, object]], name: str, own: frozenset[int]) -> bool:
    return any(s == t == name and i not in own for i, (s, t, _) in enumerate(edges))
