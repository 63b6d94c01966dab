"""xylo-quantise: discrete populations to the chip's integers.

Each neuron's state has a scale (chip units per volt): the largest at which weights, threshold, bias
and summed input stay in range. The bit shifts of the weight matrices are common to all neurons. All
64 pairs of shifts (8 for the readout) are tried, and the pair with the least error is taken.
Source: targets sheet, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, product
from typing import ClassVar

import numpy as np

from nirc.analysis.operators import unrolled
from nirc.backends.xylo.beginning import begun
from nirc.backends.xylo.differences import latencies
from nirc.backends.xylo.drives import Connection, Drive, Receptor, Shifts, at_least
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
from nirc.backends.xylo.neuron import (
    XyloNeuron,
    kept_by_rounding,
    membrane_gain,
    nearest_dash,
    peak_gain,
)
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import ThresholdsClipped, WeightsVanish
from nirc.ir.arrays import Float, Int, frozen, frozen_integers
from nirc.ir.linear import Sparse, sparse
from nirc.ir.populations import Discrete, Population, Projection, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, OWN_BITS, Rounding, Weights, narrowed

# Thresholds stay this far below the largest state, so that membranes can rise above them.
THRESHOLD_ROOM = 4
# A synaptic state has room for every source firing this often in every step: saturation is rare.
SPIKES_ROOM = 8
# ... and this often in models that fire as the chip does: agreement .962 instead of .954
# (benchmarks/vendor_xylo.py).
SPIKES_ROOM_ALIKE = 4
# ... for this many steps. Slower synapses have room for no longer: their weights would have no bits
# left (measured: tau_syn of 128 steps, count error 0.8 instead of 18.6).
STEPS_ROOM = 16
# Outputs read as membranes have room for 2**10 such steps, endless integrators for no more.
SLOWEST_READ = 10
UNBOUNDED = 1e290  # units per volt that only such volts allow
CERTAIN = 1e-9  # relative: a product that rounding has put above the threshold in the model
# An integrator's floor error would be endless. Beyond this dash the error counts no more.
SLOWEST_JUDGED = 8
# Share of the steps in which a synaptic state is taken to be large (0, 1/4 and 1 are worse).
SYNAPSE_BUSY = 0.5


@dataclass(frozen=True)
class XyloQuantise:
    """Choose dashes, scales and bit shifts, and round weights to integers."""

    rounding: Rounding = KEEPING_SUMS
    bits: int = OWN_BITS  # of a weight
    steps_room: int = STEPS_ROOM
    name: ClassVar[str] = "xylo-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to unroll."""
        plans = planned(program, log, self.bits, self.steps_room)
        nodes = dict(program.graph.nodes(data="payload"))
        edges = [(s, t, p) for s, t, p in program.edges() if t not in plans]  # into sinks
        for name, (plan, shifts) in plans.items():
            nodes[name] = replace(nodes[name], dynamics=plan.neuron(shifts, log))
            for c, op in plan.weights(shifts, self.rounding, log):
                edges.append((c.source, name, replace(c.projection, ops=(op,), biases=())))
        integer = program.rebuilt(nodes, edges, form=Form.INTEGER)
        return begun(integer, latencies(program))


def planned(
    program: Program, log: Log, bits: int = OWN_BITS, steps_room: int = STEPS_ROOM
) -> dict[str, tuple[Plan, Shifts]]:
    """Return each population's plan with the bit shifts of its weights, which have ``bits`` bits.

    Raises ``CompileError`` (P307).
    """
    outputs = set(readouts(program))
    connections = _connections(program, log)
    size = {"bits": bits, "steps_room": steps_room}
    into: dict[str, list[Connection]] = {}
    for connection in connections:
        into.setdefault(connection.target, []).append(connection)
    plans = {
        n: Plan(n, p, output=n in outputs, into=into.get(n, []), **size)
        for n, p in populations_of(program, Discrete).items()
    }
    hidden = _best_shifts([p for p in plans.values() if not p.output])
    readout = _best_shifts([p for p in plans.values() if p.output])
    return {name: (plan, readout if plan.output else hidden) for name, plan in plans.items()}


def _connections(program: Program, log: Log) -> list[Connection]:
    """Return the connections, with parallel projections to one receptor added up.

    The chip has one entry for each pair of neurons, and no delays.
    """
    pairs: dict[tuple[str, str, int], Connection] = {}
    for source, target, p in program.edges():
        if not isinstance(program[target], Population):
            continue
        op = unrolled(p, program[source].n, log)
        key = (source, target, p.synapse)
        connection = Connection(source, target, p, op, isinstance(program[source], Source))
        pairs[key] = _sum(pairs[key], connection) if key in pairs else connection
    log.raise_if_errors()
    return list(pairs.values())


def _best_shifts(plans: list[Plan]) -> Shifts:
    """Return the bit shifts with the least error over ``plans``, the smaller ones among equals."""
    every = range(WEIGHT_SHIFT[0], WEIGHT_SHIFT[1] + 1)
    drives = list(chain.from_iterable(plan.drives for plan in plans))
    inputs = every if any(d.connection.from_input for d in drives) else (0,)
    recurrent = every if any(not d.connection.from_input for d in drives) else (0,)
    pairs = [Shifts(*pair) for pair in product(inputs, recurrent)]
    return min(pairs, key=lambda s: (sum(p.error(s) for p in plans), s.inputs + s.recurrent))


def _sum(first: Connection, second: Connection) -> Connection:
    """Add two connections up. The shorter of their delays counts."""
    ops = (first.op, second.op)
    parts = [np.concatenate(pair) for pair in zip(*(op.coo() for op in ops), strict=True)]
    projection = replace(
        min(first.projection, second.projection, key=lambda each: each.lag),
        biases=first.projection.biases + second.projection.biases,
        origins=first.projection.origins + second.projection.origins,
    )
    op = sparse(parts[0], parts[1], parts[2], first.op.n_in, first.op.n_out)
    return replace(first, projection=projection, op=op)


class Plan:
    """A population on its way to integers, with its incoming connections.

    ``drives``: their weights in chip units at scale 1.
    """

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        *,
        output: bool,
        into: list[Connection],
        bits: int,
        steps_room: int = STEPS_ROOM,
    ) -> None:
        d = population.dynamics
        self.name = name
        self.range = narrowed(WEIGHT, bits)
        self.bits = bits
        self.steps_room = steps_room
        self.population = population
        self.d = d
        self.output = output
        self.dash_mem = nearest_dash(d.decay_mem, least=0)
        self.alike = _fires_as_the_chip(d)
        self.receptors = [Receptor(d.decay_syn, d.gain_syn, population.n)]
        self.membrane = self._membrane_gain()
        if d.decay_syn_2 is not None:
            self.receptors.append(Receptor(d.decay_syn_2, d.gain_syn_2, population.n))
        self.drives = [self._drive(c) for c in into]
        self.largest = self._largest()
        self.load = self._load()
        self.bias = self._bias([c.projection for c in into])

    def _membrane_gain(self) -> Float:
        d = self.d
        if self.alike and d.decay_syn is not None:
            return peak_gain(
                d.decay_syn, d.decay_mem, d.gain_mem, self.receptors[0].dash, self.dash_mem
            )
        return membrane_gain(d.decay_mem, d.gain_mem, self.dash_mem)

    def _drive(self, connection: Connection) -> Drive:
        factor = self.membrane * self.receptors[connection.projection.synapse].gain
        return Drive(
            connection, connection.op.value * factor[connection.op.target], self.population.n
        )

    def _largest(self) -> dict[bool, Float]:
        """Return (n,) the largest magnitude of the weights from inputs (True) and from neurons."""
        largest: dict[bool, Float] = {}
        for drive in self.drives:
            kind = drive.connection.from_input
            here = at_least(drive.largest)
            largest[kind] = np.maximum(largest[kind], here) if kind in largest else here
        return largest

    def _load(self) -> Float:
        """Return (n,) the synaptic current at scale 1 if every source fires once in each step."""
        total = np.zeros(self.population.n)
        for drive in self.drives:
            steps = 2.0 ** self.receptors[drive.synapse].dash - 1
            total += drive.total * np.minimum(steps, self.steps_room)
        return total

    def _bias(self, projections: list[Projection]) -> Float:
        """Return drift and constant currents at scale 1, with the DC response kept."""
        current = np.zeros(self.population.n)
        for p in projections:
            for b in p.biases:
                current = current + b.value * self.receptors[p.synapse].charge
        gain = membrane_gain(self.d.decay_mem, np.ones(self.population.n), self.dash_mem)
        return np.asarray(gain * self.d.drift + self.membrane * current)

    def scale(self, shifts: Shifts) -> Float:
        """Return (n,) the most chip units per volt at which all numbers and states stay in range.

        Only ratios of the model's numbers count: a model in other units has the same integers.
        """
        bounds = [
            self.range[1] * 2.0 ** shifts.of(from_input) / largest
            for from_input, largest in self.largest.items()
        ]
        bounds.append(BIAS[1] / at_least(np.abs(self.bias)))
        if self.d.threshold is None:  # read as a membrane: should never reach the largest state
            steps = 2.0 ** np.minimum(self.dash_mem, SLOWEST_READ)
            bounds.append((STATE[1] - 1) / at_least((self.load + np.abs(self.bias)) * steps))
        else:
            room = SPIKES_ROOM_ALIKE if self.alike else SPIKES_ROOM
            bounds.append(STATE[1] / room / at_least(self.load))
            bounds.append(THRESHOLD[1] / THRESHOLD_ROOM / at_least(np.abs(self.d.threshold)))
        smallest: Float = np.minimum.reduce(bounds)
        # A neuron without a number has any unit.
        return np.where(smallest < UNBOUNDED, smallest, float(STATE[1]))

    def error(self, shifts: Shifts) -> float:
        """Return the sum of squared errors of v / v_threshold by rounding weights and states."""
        scale = self.scale(shifts)
        unit = (
            np.ones(self.population.n)
            if self.d.threshold is None
            else at_least(np.abs(self.d.threshold))
        )
        floor = 0.5 * 2.0 ** np.minimum(self.dash_mem, SLOWEST_JUDGED) / (scale * unit)
        total = float(np.sum(floor**2))
        if not self.drives:
            return total
        target = np.concatenate([drive.target for drive in self.drives])
        value = np.concatenate([drive.value for drive in self.drives])
        sizes = [drive.value.size for drive in self.drives]
        step = np.repeat([2.0 ** drive.shift(shifts) for drive in self.drives], sizes)
        row_scale = scale[target]
        exact = value * row_scale / step
        squares = ((np.rint(exact) - exact) * step / (row_scale * unit[target])) ** 2
        for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
            total += float(np.sum(squares[end - size : end]))
        return total

    def neuron(self, shifts: Shifts, log: Log) -> XyloNeuron:
        """Return the population's integer parameters."""
        scale = self.scale(shifts)
        bias = np.clip(np.rint(scale * self.bias - self.kept(scale)), *BIAS).astype(np.int64)
        second = self.receptors[1].dash if len(self.receptors) > 1 else None
        return XyloNeuron(
            dash_mem=frozen_integers(self.dash_mem),
            dash_syn=frozen_integers(self.receptors[0].dash),
            dash_syn_2=None if second is None else frozen_integers(second),
            threshold=frozen_integers(self._threshold(scale, log)),
            bias=frozen_integers(bias),
            scale=frozen(scale),
            max_spikes=MAX_OUTPUT_SPIKES if self.output else MAX_HIDDEN_SPIKES,
            shift_in=shifts.inputs,
            shift_rec=shifts.recurrent,
            silent=self.d.threshold is None,
        )

    def kept(self, scale: Float) -> Float:
        """Return (n,) the mean of the units that rounding leaves on the membrane in each step.

        The bias takes them away. Membranes are taken to be anywhere up to the threshold, synaptic
        states to be large for a part of the time. A state that keeps one unit in each step holds
        2^dash units in the end. Measured on 15 networks against the chip's dynamics without
        rounding: count error .21 instead of .27, agreement .981 instead of .977.
        """
        high = np.full(self.population.n, float(STATE[1]))
        top = (
            high
            if self.d.threshold is None
            else np.floor(np.minimum(scale * np.abs(self.d.threshold), high))
        )
        total = kept_by_rounding(self.dash_mem, top)
        for receptor in self.receptors:
            kept = kept_by_rounding(receptor.dash, high)
            total = total + SYNAPSE_BUSY * 2.0**receptor.dash * kept
        return total

    def _threshold(self, scale: Float, log: Log) -> Int:
        """Return thresholds of a chip that fires at v >= threshold (NIR's letter: above it)."""
        if self.d.threshold is None:
            return np.full(self.population.n, THRESHOLD[1])
        at = scale * self.d.threshold
        fires = self.d.rule.fires
        fires_above = fires is None or fires.at == ">"
        exact = (np.floor(at) + 1 if fires_above else np.ceil(at - CERTAIN * at)).astype(np.int64)
        threshold = np.clip(exact, *THRESHOLD)
        clipped = int(np.count_nonzero(threshold != exact))
        if clipped:
            log.add(
                ThresholdsClipped(
                    where=self.population.origins[0],
                    population=self.name,
                    thresholds=clipped,
                    least=float(self.d.threshold.min()),
                    above="0",
                    becomes=THRESHOLD[0],
                    limit=f">= {THRESHOLD[0]} on the chip",
                )
            )
        return threshold

    def weights(
        self, shifts: Shifts, rounding: Rounding, log: Log
    ) -> list[tuple[Connection, Sparse]]:
        """Return the integer weights of every connection, bit shift included. Report D410."""
        scale = self.scale(shifts)
        result = []
        for drive in self.drives:
            step = 2.0 ** drive.shift(shifts)
            op = drive.connection.op
            source = drive.connection.source
            exact = drive.value * scale[drive.target] / step
            value = rounding.integers(Weights(source, self.d, op, exact, *self.range)) * step
            keep = value != 0
            lost = op.entries - int(np.count_nonzero(keep))
            if lost:
                log.add(
                    WeightsVanish(
                        where=self.population.origins[0],
                        lost=lost,
                        of=op.entries,
                        which=f"from `{source}` to `{self.name}`",
                        limit=f"{self.bits} bits, one scale a neuron",
                    )
                )
            rounded = Sparse(op.target[keep], op.source[keep], value[keep], op.n_in, op.n_out)
            result.append((drive.connection, rounded))
        return result


def _fires_as_the_chip(d: Discrete) -> bool:
    """Return True for neurons that fire at the threshold and subtract at once, as Rockpool's."""
    fires = d.rule.fires
    return (
        fires is not None
        and fires.at == ">="
        and d.rule.reset == "subtract"
        and not d.rule.reset_is_delayed
    )
