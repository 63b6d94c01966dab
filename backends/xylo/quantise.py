"""xylo-quantise: discrete populations to the chip's integers.

Each neuron's state has a scale of its own (chip units per volt): the largest at which its weights, threshold,
bias and summed input stay in range. The bit shifts of the weight matrices are common to all neurons; all 64
pairs (8 for the readout) are tried and the one with the least error is taken. Source: targets sheet, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.xylo import dash
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import (
    BIAS,
    MAX_HIDDEN_SPIKES,
    MAX_OUTPUT_SPIKES,
    STATE,
    THRESHOLD,
    WEIGHT,
    WEIGHT_SHIFT,
)
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.unroll import unrolled
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse, sparse
from nirc.ir.populations import Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program

# Thresholds stay this far below the largest state, so that a membrane can rise above them without saturating.
THRESHOLD_ROOM = 4
# A synaptic state has room for every source firing this often in every step: saturation is rare, not the rule.
SPIKES_ROOM = 8


@dataclass(frozen=True)
class XyloQuantise:
    """Choose dashes, scales and bit shifts; weights become integers, the largest error of each is reported."""

    name: ClassVar[str] = "xylo-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to unroll."""
        outputs = set(readouts(program))
        flat = _flat(program, log)
        plans = {n: _Plan(n, p, n in outputs, program, flat) for n, p in program.nodes(Population).items()}
        hidden = _best_shifts([p for p in plans.values() if not p.output])
        readout = _best_shifts([p for p in plans.values() if p.output])
        nodes = dict(program.graph.nodes(data="payload"))
        for name, plan in plans.items():
            shifts = readout if plan.output else hidden
            nodes[name] = replace(nodes[name], dynamics=plan.neuron(shifts, log))
        edges = []
        for source, target, projection, op in flat:
            ops: tuple[Sparse, ...] = ()
            if target in plans:
                ops = (plans[target].weights(op, isinstance(program[source], Source), source, log),)
            edges.append((source, target, replace(projection, ops=ops, biases=())))
        return program.rebuilt(nodes, edges, form=Form.INTEGER, reset="subtract")


@dataclass(frozen=True)
class _Shifts:
    inputs: int
    recurrent: int


class _Plan:
    """One population on its way to integers. ``factor``: chip drive per model weight, at scale 1, (n,)."""

    def __init__(
        self,
        name: str,
        population: Population,
        output: bool,
        program: Program,
        flat: list[tuple[str, str, Projection, Sparse]],
    ) -> None:
        d = population.dynamics
        assert isinstance(d, Discrete)
        self.name, self.population, self.d, self.output = name, population, d, output
        self.dash_mem = dash.nearest_dash(d.decay_mem, least=0)
        fast = np.zeros(population.n)
        self.dash_syn = dash.nearest_dash(fast if d.decay_syn is None else d.decay_syn, least=1)
        self.membrane = dash.membrane_gain(d.decay_mem, d.gain_mem, self.dash_mem)
        self.factor = self.membrane * dash.synapse_gain(d.decay_syn, d.gain_syn, self.dash_syn)
        self.inputs = [op for s, t, _, op in flat if t == name and isinstance(program[s], Source)]
        self.hidden = [op for s, t, _, op in flat if t == name and not isinstance(program[s], Source)]
        self.bias = self._bias([p for _, t, p, _ in flat if t == name])
        self.shifts, self.scale = _Shifts(0, 0), np.ones(population.n)

    def _bias(self, projections: list[Projection]) -> Float:
        """What the chip adds each step, at scale 1: drift and constant currents, DC response kept."""
        d = self.d
        current = sum((b.value for p in projections for b in p.biases), np.zeros(self.population.n))
        if d.decay_syn is not None and d.gain_syn is not None:
            current = current * dash.charge(d.decay_syn, d.gain_syn)
        own = dash.membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), self.dash_mem) * d.drift
        return np.asarray(own + self.membrane * current)

    def best_scale(self, shifts: _Shifts) -> Float:
        """(n,) the largest scale at which everything stays in range."""
        bounds = [np.full(self.population.n, float(STATE[1]))]  # a neuron without inputs and threshold
        for ops, shift in ((self.inputs, shifts.inputs), (self.hidden, shifts.recurrent)):
            bounds += [
                WEIGHT[1] * 2.0**shift / _at_least(largest)
                for op in ops
                for largest in [self._per_target(op, np.maximum)]
            ]
        bounds.append(BIAS[1] / _at_least(np.abs(self.bias)))
        total = sum((self._per_target(op, np.add) for op in self.inputs + self.hidden), np.zeros(self.population.n))
        total = total * (2.0**self.dash_syn - 1)  # isyn if every source fires once in each step
        if self.d.threshold is None:  # read as a membrane: must never reach the largest state
            bounds.append((STATE[1] - 1) / _at_least((total + np.abs(self.bias)) * 2.0**self.dash_mem))
        else:
            bounds.append(STATE[1] / SPIKES_ROOM / _at_least(total))
            bounds.append(THRESHOLD[1] / THRESHOLD_ROOM / _at_least(np.abs(self.d.threshold)))
        scale: Float = np.minimum.reduce(bounds)
        return scale

    def _per_target(self, op: Sparse, ufunc: np.ufunc) -> Float:
        result = np.zeros(self.population.n)
        ufunc.at(result, op.target, np.abs(op.value) * self.factor[op.target])
        return result

    def error(self, shifts: _Shifts) -> float:
        """Mean squared error of weights and thresholds, and of the floor in the decays, in thresholds."""
        scale = self.best_scale(shifts)
        unit = np.ones(self.population.n) if self.d.threshold is None else _at_least(np.abs(self.d.threshold))
        total = float(np.sum((0.5 * 2.0 ** np.minimum(self.dash_mem, 8) / (scale * unit)) ** 2))
        for ops, shift in ((self.inputs, shifts.inputs), (self.hidden, shifts.recurrent)):
            for op in ops:
                exact = op.value * self.factor[op.target] * scale[op.target]
                rounded = np.rint(exact / 2.0**shift) * 2.0**shift
                total += float(np.sum(((rounded - exact) / (scale * unit)[op.target]) ** 2))
        return total

    def neuron(self, shifts: _Shifts, log: Log) -> XyloNeuron:
        """Settle on ``shifts``; the population's integer parameters."""
        self.shifts, self.scale = shifts, self.best_scale(shifts)
        threshold = np.full(self.population.n, THRESHOLD[1])
        if self.d.threshold is not None:  # the chip fires at v >= threshold, the model at v > v_threshold
            exact = np.floor(self.scale * self.d.threshold).astype(np.int64) + 1
            threshold = np.clip(exact, *THRESHOLD)
            clipped = int(np.count_nonzero(threshold != exact))
            if clipped:
                log.warning(
                    "D412",
                    f"{clipped} threshold(s) of `{self.name}` are not above 0 and become {THRESHOLD[0]}",
                    where=self.population.origins[0],
                    found=f"{self.d.threshold.min():g}",
                    limit=f">= {THRESHOLD[0]} on the chip",
                )
        return XyloNeuron(
            _read_only(self.dash_mem),
            _read_only(self.dash_syn),
            _read_only(threshold),
            _read_only(np.clip(np.rint(self.scale * self.bias), *BIAS).astype(np.int64)),
            frozen(self.scale),
            MAX_OUTPUT_SPIKES if self.output else MAX_HIDDEN_SPIKES,
            shifts.inputs,
            shifts.recurrent,
            silent=self.d.threshold is None,
        )

    def weights(self, op: Sparse, from_input: bool, source: str, log: Log) -> Sparse:
        """Integer weights, bit shift included; those that round to zero are counted."""
        step = 2.0 ** (self.shifts.inputs if from_input else self.shifts.recurrent)
        value = np.rint(op.value * (self.factor * self.scale)[op.target] / step)
        value = np.clip(value, *WEIGHT) * step
        lost = int(np.count_nonzero((value == 0) & (op.value != 0)))
        if lost:
            log.note(
                "D410",
                f"{lost} of {op.entries} weights from `{source}` to `{self.name}` round to zero",
                where=self.population.origins[0],
                found=f"{lost / op.entries:.1%}",
            )
        keep = value != 0
        return Sparse(op.target[keep], op.source[keep], value[keep], op.n_in, op.n_out)


def _flat(program: Program, log: Log) -> list[tuple[str, str, Projection, Sparse]]:
    """Every pair of nodes with one unrolled operator: the chip has one entry for each pair of neurons."""
    pairs: dict[tuple[str, str], tuple[Projection, Sparse]] = {}
    for source, target, p in program.edges():
        op = unrolled(p, program[source].n, log)
        if (source, target) in pairs:
            other, first = pairs[source, target]
            both = [np.concatenate(two) for two in zip(first.coo(), op.coo(), strict=True)]
            op = sparse(both[0], both[1], both[2], op.n_in, op.n_out)
            joined = replace(other, biases=other.biases + p.biases, origins=other.origins + p.origins)
            pairs[source, target] = (joined, op)
        else:
            pairs[source, target] = (p, op)
    log.raise_if_errors()
    return [(s, t, p, op) for (s, t), (p, op) in pairs.items()]


def _best_shifts(plans: list[_Plan]) -> _Shifts:
    """The pair of bit shifts with the least error over all these populations; the smaller ones among equals."""
    if not plans:
        return _Shifts(0, 0)
    every = range(WEIGHT_SHIFT[0], WEIGHT_SHIFT[1] + 1)
    inputs = every if any(p.inputs for p in plans) else (0,)
    recurrent = every if any(p.hidden for p in plans) else (0,)
    pairs = [_Shifts(i, r) for i in inputs for r in recurrent]
    return min(pairs, key=lambda s: (sum(p.error(s) for p in plans), s.inputs + s.recurrent))


def _at_least(x: Float) -> Float:
    return np.maximum(x, 1e-30)


def _read_only(x: Int) -> Int:
    x = x.copy()
    x.setflags(write=False)
    return x
