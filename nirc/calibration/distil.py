"""Gradient descent on the distance from the model's spikes (Adam): weights and constant currents.

All populations learn at once from the traces of the model's spikes, through the chip's dynamics.
Within a loop each neuron receives the model's spikes (``forced`` in Unrolled). So the errors of a
recurrent network do not amplify each other during learning. Afterwards the loops are fixed and run
free. The other populations then learn from the real signals. The work is bounded. Operators keep
their zeros and their shared kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.buffers import Buffers
from nirc.calibration.chip import Parameters
from nirc.calibration.objective import count_power, echo, power, slopes_of
from nirc.calibration.samples import given_share
from nirc.calibration.unrolled import Gradients, Key, Unrolled, components
from nirc.ir.arrays import Float, Int, frozen, on_grid, size
from nirc.ir.linear import Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Sink
from nirc.ir.program import Program

BATCH = 64
ROUNDS = 200
FEWEST = 30
WORK = 6e10  # multiply-adds of all rounds together
# Changes come back in loops. Measured: JapaneseVowels gets worse from 0.03 on, other networks from
# 0.08 on.
RATE = 0.03  # of a change, in units of the operator's root mean square
RATE_IN_LOOPS = 0.01
LAST = 0.1  # share of the rate in the last round
FORCED = 0.6  # share of the rounds in which loops learn from the model's spikes
AVERAGED = 0.3  # share of the rounds, the last, whose mean is the result
DRIFT_UNIT = 0.1  # of a threshold: the unit of changes of a constant current
MOST_GIVEN = 0.75  # of a batch
MOST_BYTE = 255
FIRST = 0.9  # Adam's decays
SECOND = 0.99
Rng = np.random.Generator


@dataclass
class _Number:
    """An array that learns, with Adam's two moments."""

    value: Float
    unit: float
    mask: NDArray[np.bool_]
    first: Float
    second: Float
    total: Float  # sum of the values to average

    @staticmethod
    def of(value: Float, unit: float, mask: NDArray[np.bool_]) -> _Number:
        return _Number(value.copy(), unit, mask, *(np.zeros_like(value) for _ in range(3)))

    def afresh(self) -> _Number:
        """Return the array without its moments, to learn from here on."""
        return _Number.of(self.value, self.unit, self.mask)

    def learn(self, gradient: Float, rate: float, round_: int) -> None:
        self.first = FIRST * self.first + (1 - FIRST) * gradient
        self.second = SECOND * self.second + (1 - SECOND) * gradient * gradient
        # Products instead of powers: the same on every machine.
        mean = self.first / _left(FIRST, round_)
        square = self.second / _left(SECOND, round_)
        self.value = self.value - rate * self.unit * mean / (np.sqrt(square) + 1e-12) * self.mask


def _left(decay: float, round_: int) -> float:
    share = 1.0
    for _ in range(round_):
        share *= decay
    return 1.0 - share


class Distillation:
    """Learning of ``program`` towards the model's signals ``reference`` on ``inputs``.

    The first ``given`` samples are the user's. ``self_inhibition``: edge number by population.
    """

    def __init__(
        self,
        program: Program,
        parameters: Mapping[str, Parameters],
        self_inhibition: Mapping[str, int],
        inputs: Int,
        reference: Mapping[str, NDArray[Any]],
        rng: Rng,
        given: int,
    ) -> None:
        self.given = given
        self.outputs = {s for s, t, _ in program.edges() if isinstance(program[t], Sink)}
        self.program = program
        self.inputs = inputs
        self.reference = {n: _small(r) for n, r in reference.items()}
        self.buffers = Buffers()
        self.rng = rng
        self.self_edges = frozenset(self_inhibition.values())
        self.edges = list(program.edges())
        self.decay = echo(inputs.shape[1])
        self.names = [n for n in reference if isinstance(program[n].dynamics, Discrete)]
        self.units = {
            n: power(np.asarray(reference[n], np.float64), self.decay) for n in self.names
        }
        self.count_units = {
            n: count_power(np.asarray(reference[n], np.float64)) for n in self.names
        }
        self.looped: list[str] = []
        for component in components(program):
            alone = len(component) == 1
            self.looped += [
                n for n in component if not alone or _recurrent(self.edges, n, self.self_edges)
            ]
        self.weights: dict[Key, _Number] = {}
        for i, (_, t, p) in enumerate(self.edges):
            if t in parameters and parameters[t].weights:
                for k, op in enumerate(p.ops):
                    if isinstance(op, Weighted) and (value := weights_of(op)).any():
                        unit = float(np.sqrt((value**2).sum() / np.count_nonzero(value)))
                        self.weights[i, k] = _Number.of(value, unit, value != 0)
        self.drift = {}
        for name, p in parameters.items():
            if p.drift:
                d = program[name].dynamics
                unit = 1.0 if d.threshold is None else float(np.abs(d.threshold).mean())
                self.drift[name] = _Number.of(
                    d.drift, DRIFT_UNIT * unit, np.ones(d.drift.shape, dtype=bool)
                )

    def rounds(self) -> int:
        """Return the number of rounds that the work allows."""
        _, steps, _ = self.inputs.shape
        once = 0
        for _, t, p in self.edges:
            if t in self.program.nodes(Population):
                once += sum(op.entries for op in p.ops)
        neurons = sum(size(p.shape) for p in self.program.nodes(Population).values())
        cost = BATCH * steps * (3 * once + 60 * neurons)
        return int(min(ROUNDS, max(FEWEST, WORK // max(1, cost))))

    def run(self, progress: Callable[[float], None]) -> Program:
        """Run all rounds and return the learnt program. ``progress`` gets the share done."""
        rounds = self.rounds()
        if not self.looped or set(self.names) <= set(self.looped):
            self._learn(rounds, RATE_IN_LOOPS if self.looped else RATE, progress)
            return self.now()
        forced = round(FORCED * rounds)
        self._learn(forced, RATE_IN_LOOPS, lambda share: progress(FORCED * share))
        self._settle()
        self._learn(rounds - forced, RATE, lambda share: progress(FORCED + (1.0 - FORCED) * share))
        return self.now()

    def _learn(self, rounds: int, rate: float, progress: Callable[[float], None]) -> None:
        """Run ``rounds`` rounds and keep the mean of the last rounds."""
        averaged = max(1, round(AVERAGED * rounds))
        everything = [*self.weights.values(), *self.drift.values()]
        for done in range(1, rounds + 1):
            gradients = self._gradients(self.now(), self._batch())
            now = rate * (1.0 - (1.0 - LAST) * (done - 1) / rounds)
            for key, number in self.weights.items():
                number.learn(gradients.weights[key], now, done)
            for name, number in self.drift.items():
                number.learn(gradients.drift[name], now, done)
            progress(done / rounds)
            if done > rounds - averaged:
                for number in everything:
                    number.total += number.value
        for number in everything:
            number.value = number.total / averaged

    def _settle(self) -> None:
        """Fix the populations of loops and let them run free. Others learn from real signals."""
        self.program = self.now()
        self.edges = list(self.program.edges())
        others = {n for n in self.names if n not in self.looped}
        self.weights = {
            k: n.afresh() for k, n in self.weights.items() if self.edges[k[0]][1] in others
        }
        self.drift = {k: n.afresh() for k, n in self.drift.items() if k in others}
        self.names = [n for n in self.names if n in others]
        self.looped = []

    def _batch(self) -> NDArray[np.int64]:
        """Draw given and generated samples by their weight."""
        given_count = min(round(BATCH * min(MOST_GIVEN, given_share(self.given))), self.given)
        given = self.rng.permutation(self.given)[:given_count]
        generated = (
            self.given + self.rng.permutation(len(self.inputs) - self.given)[: BATCH - given_count]
        )
        return np.concatenate([given, generated])

    def _gradients(self, program: Program, chosen: NDArray[np.int64]) -> Gradients:
        reference = {n: self.reference[n][chosen] for n in self.names}
        forced = {n: reference[n].astype(np.float64) for n in self.looped} if self.looped else None
        unrolled = Unrolled(program, forced, self.self_edges, self.buffers)
        signals = unrolled.forward(self.inputs[chosen])
        slopes = {}
        for name in self.names:
            by_trace = 2.0 / (self.units[name] * len(chosen))
            memory = self.buffers.empty(signals[name].shape)
            slopes[name] = slopes_of(signals[name], reference[name], self.decay, by_trace, memory)
            if name in self.outputs:
                wanted = reference[name].astype(np.float64)
                count = (signals[name] - wanted).sum(axis=1, keepdims=True)
                slopes[name] += count * (2.0 / (self.count_units[name] * len(chosen)))
        return unrolled.backward(slopes, self.weights, self.drift)

    def now(self) -> Program:
        """Return the program with the current numbers."""
        edges = []
        for i, (s, t, p) in enumerate(self.edges):
            ops = tuple(
                with_weights(op, on_grid(self.weights[i, k].value))
                if (i, k) in self.weights
                else op
                for k, op in enumerate(p.ops)
            )
            edges.append((s, t, replace(p, ops=ops)))
        nodes = dict(self.program.graph.nodes(data="payload"))
        for name, number in self.drift.items():
            population: Population[Discrete] = self.program[name]
            nodes[name] = replace(
                population, dynamics=replace(population.dynamics, drift=frozen(number.value))
            )
        return self.program.rebuilt(nodes, edges)


def _small(reference: NDArray[Any]) -> NDArray[Any]:
    """Return spike counts as bytes, if they all are."""
    if not ((reference >= 0) & (reference <= MOST_BYTE)).all():
        return reference
    counts = reference.astype(np.uint8)
    return counts if np.array_equal(counts, reference) else reference


def _recurrent(edges: list[tuple[str, str, object]], name: str, self_edges: frozenset[int]) -> bool:
    return any(s == t == name and i not in self_edges for i, (s, t, _) in enumerate(edges))
