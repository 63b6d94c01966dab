"""One population on its way to integers: scale, dashes, threshold, bias and weights under given bit
shifts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nirc.backends.xylo import dash
from nirc.backends.xylo.limits import (
    BIAS,
    MAX_HIDDEN_SPIKES,
    MAX_OUTPUT_SPIKES,
    STATE,
    THRESHOLD,
    WEIGHT,
)
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.diagnostics.dynamics import ThresholdsClipped, WeightsVanish
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Projection
from nirc.rounding.rule import Rounding, Weights

# Thresholds stay this far below the largest state, so that a membrane can rise above them without
# saturating.
THRESHOLD_ROOM = 4
# A synaptic state has room for every source firing this often in every step: saturation is rare,
# not the rule.
SPIKES_ROOM = 8
# ... and this often in models that fire as the chip does: agreement .962 instead of .954
# (benchmarks/vendor_xylo.py).
SPIKES_ROOM_ALIKE = 4
# ... for this many steps. Slower synapses have room for no longer: their weights would have no bits
# left (measured: tau_syn of 128 steps, count error 0.8 instead of 18.6).
STEPS_ROOM = 16
# Outputs read as membranes have room for 2**10 such steps; an endless integrator would have room
# for nothing else.
SLOWEST_READ = 10
SMALLEST, UNBOUNDED = (
    1e-300,
    1e290,
)  # volts that count as none; units per volt that only such numbers allow
CERTAIN = 1e-9  # relative: a product that rounding has put above the threshold in the model
# An integrator's floor error would be endless; beyond this dash more of it is not held against a
# scale.
SLOWEST_JUDGED = 8

# Share of the steps in which a synaptic state is taken to be large (none, a quarter and all of them
# measured as worse).
SYNAPSE_BUSY = 0.5


@dataclass(frozen=True)
class Shifts:
    """Bit shifts of the weights from inputs and from hidden neurons."""

    inputs: int = 0
    recurrent: int = 0


@dataclass(frozen=True)
class Connection:
    """All synapses from one node to one receptor of a population, unrolled."""

    source: str
    target: str
    projection: Projection
    op: Sparse
    from_input: bool


class Plan:
    """A population with its incoming connections; ``drives`` are their weights in chip units at
    scale 1.
    """

    def __init__(
        self, name: str, population: Population[Discrete], *, output: bool, into: list[Connection]
    ) -> None:
        d = population.dynamics
        self.name, self.population, self.d, self.output = name, population, d, output
        self.dash_mem = dash.nearest_dash(d.decay_mem, least=0)
        self.alike = _fires_as_the_chip(d)
        self.receptors = [_Receptor(d.decay_syn, d.gain_syn, population.n)]
        self.membrane = self._membrane_gain()
        if d.decay_syn_2 is not None:
            self.receptors.append(_Receptor(d.decay_syn_2, d.gain_syn_2, population.n))
        self.drives = [self._drive(c) for c in into]
        self.bias = self._bias([c.projection for c in into])

    def _membrane_gain(self) -> Float:
        d = self.d
        if self.alike and d.decay_syn is not None:
            return dash.peak_gain(
                d.decay_syn, d.decay_mem, d.gain_mem, self.receptors[0].dash, self.dash_mem
            )
        return dash.membrane_gain(d.decay_mem, d.gain_mem, self.dash_mem)

    def _drive(self, connection: Connection) -> _Drive:
        factor = self.membrane * self.receptors[connection.projection.synapse].gain
        return _Drive(
            connection, connection.op.value * factor[connection.op.target], self.population.n
        )

    def _bias(self, projections: list[Projection]) -> Float:
        """What the chip adds each step, at scale 1: drift and constant currents, DC response
        kept.
        """
        current = np.zeros(self.population.n)
        for p in projections:
            for b in p.biases:
                current = current + b.value * self.receptors[p.synapse].charge
        own = (
            dash.membrane_gain(self.d.decay_mem, np.ones(self.population.n), self.dash_mem)
            * self.d.drift
        )
        return np.asarray(own + self.membrane * current)

    def scale(self, shifts: Shifts) -> Float:
        """(n,) the largest chip units per volt at which weights, bias, threshold and states stay in
        range.

        Only ratios of the model's numbers count: a model in other units has the same integers.
        """
        bounds = []
        total = np.zeros(self.population.n)
        for drive in self.drives:
            bounds.append(WEIGHT[1] * 2.0 ** drive.shift(shifts) / at_least(drive.largest))
            # isyn if every source fires once in each step
            total += drive.total * np.minimum(
                2.0 ** self.receptors[drive.synapse].dash - 1, STEPS_ROOM
            )
        bounds.append(BIAS[1] / at_least(np.abs(self.bias)))
        if self.d.threshold is None:  # read as a membrane: should never reach the largest state
            steps = 2.0 ** np.minimum(self.dash_mem, SLOWEST_READ)
            bounds.append((STATE[1] - 1) / at_least((total + np.abs(self.bias)) * steps))
        else:
            room = SPIKES_ROOM_ALIKE if self.alike else SPIKES_ROOM
            bounds.append(STATE[1] / room / at_least(total))
            bounds.append(THRESHOLD[1] / THRESHOLD_ROOM / at_least(np.abs(self.d.threshold)))
        smallest: Float = np.minimum.reduce(bounds)
        return np.where(
            smallest < UNBOUNDED, smallest, float(STATE[1])
        )  # a neuron without a number has any unit

    def error(self, shifts: Shifts) -> float:
        """Sum of squares of what rounding the weights, and the floor in the decays, do to v /
        v_threshold.
        """
        scale = self.scale(shifts)
        unit = (
            np.ones(self.population.n)
            if self.d.threshold is None
            else at_least(np.abs(self.d.threshold))
        )
        floor = 0.5 * 2.0 ** np.minimum(self.dash_mem, SLOWEST_JUDGED) / (scale * unit)
        total = float(np.sum(floor**2))
        for drive in self.drives:
            step, own = 2.0 ** drive.shift(shifts), scale[drive.target]
            exact = drive.value * own / step
            total += float(
                np.sum(((np.rint(exact) - exact) * step / (own * unit[drive.target])) ** 2)
            )
        return total

    def neuron(self, shifts: Shifts, log: Log) -> XyloNeuron:
        """The population's integer parameters."""
        scale = self.scale(shifts)
        second = self.receptors[1].dash if len(self.receptors) > 1 else None
        return XyloNeuron(
            dash_mem=_read_only(self.dash_mem),
            dash_syn=_read_only(self.receptors[0].dash),
            dash_syn_2=None if second is None else _read_only(second),
            threshold=_read_only(self._threshold(scale, log)),
            bias=_read_only(
                np.clip(np.rint(scale * self.bias - self.kept(scale)), *BIAS).astype(np.int64)
            ),
            scale=frozen(scale),
            max_spikes=MAX_OUTPUT_SPIKES if self.output else MAX_HIDDEN_SPIKES,
            shift_in=shifts.inputs,
            shift_rec=shifts.recurrent,
            silent=self.d.threshold is None,
        )

    def kept(self, scale: Float) -> Float:
        """(n,) units that rounding leaves on the membrane in each step, in the mean, and that the
        bias takes away.

        Membranes are taken to be anywhere up to the threshold, synaptic states to be large for a
        part of the time: of what a state keeps in each step, it holds 2^dash in the end. Measured
        on 15 networks against the chip's dynamics without rounding: count error .21 instead of .27,
        agreement .981 instead of .977.
        """
        high = np.full(self.population.n, float(STATE[1]))
        top = (
            high
            if self.d.threshold is None
            else np.floor(np.minimum(scale * np.abs(self.d.threshold), high))
        )
        total = dash.kept_by_rounding(self.dash_mem, top)
        for receptor in self.receptors:
            total = total + SYNAPSE_BUSY * 2.0**receptor.dash * dash.kept_by_rounding(
                receptor.dash, high
            )
        return total

    def _threshold(self, scale: Float, log: Log) -> Int:
        """The chip fires at v >= threshold, NIR's letter at v > v_threshold."""
        if self.d.threshold is None:
            return np.full(self.population.n, THRESHOLD[1])
        at = scale * self.d.threshold
        fires = self.d.rule.fires
        above = fires is None or fires.at == ">"
        exact = (
            np.floor(at).astype(np.int64) + 1
            if above
            else np.ceil(at - CERTAIN * at).astype(np.int64)
        )
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
        """Integer weights of every connection, bit shift included; zeros are counted."""
        scale, result = self.scale(shifts), []
        for drive in self.drives:
            step, op = 2.0 ** drive.shift(shifts), drive.connection.op
            exact = drive.value * scale[drive.target] / step
            value = (
                rounding.integers(Weights(drive.connection.source, self.d, op, exact, *WEIGHT))
                * step
            )
            keep = value != 0
            lost = op.entries - int(np.count_nonzero(keep))
            which = f"from `{drive.connection.source}` to `{self.name}`"
            if lost:
                log.add(
                    WeightsVanish(
                        where=self.population.origins[0],
                        lost=lost,
                        of=op.entries,
                        which=which,
                        limit="8 bits, one scale a neuron",
                    )
                )
            rounded = Sparse(op.target[keep], op.source[keep], value[keep], op.n_in, op.n_out)
            result.append((drive.connection, rounded))
        return result


def _fires_as_the_chip(d: Discrete) -> bool:
    """At the threshold, with subtraction at once, as Rockpool's networks do."""
    fires = d.rule.fires
    return (
        fires is not None
        and fires.at == ">="
        and d.rule.reset == "subtract"
        and not d.rule.reset_is_late
    )


class _Receptor:
    """A synaptic filter on the chip: dash, chip weight per model weight, and charge of a unit of
    input.
    """

    def __init__(self, decay: Float | None, gain: Float | None, n: int) -> None:
        self.dash = dash.nearest_dash(np.zeros(n) if decay is None else decay, least=1)
        self.gain = dash.synapse_gain(decay, gain, self.dash)
        self.charge = np.ones(n) if decay is None or gain is None else dash.charge(decay, gain)


@dataclass(frozen=True)
class _Drive:
    """A connection's weights in chip units at scale 1; per target the largest and the sum of their
    sizes.
    """

    connection: Connection
    value: Float
    n: int
    largest: Float = field(init=False)
    total: Float = field(init=False)

    def __post_init__(self) -> None:
        largest, total = np.zeros(self.n), np.zeros(self.n)
        np.maximum.at(largest, self.target, np.abs(self.value))
        np.add.at(total, self.target, np.abs(self.value))
        object.__setattr__(self, "largest", largest)
        object.__setattr__(self, "total", total)

    @property
    def target(self) -> Int:
        return self.connection.op.target

    @property
    def synapse(self) -> int:
        return self.connection.projection.synapse

    def shift(self, shifts: Shifts) -> int:
        return shifts.inputs if self.connection.from_input else shifts.recurrent


def at_least(x: Float) -> Float:
    """``x``, but never a zero to divide by."""
    return np.maximum(x, SMALLEST)


def _read_only(x: Int) -> Int:
    x = x.copy()
    x.setflags(write=False)
    return x
