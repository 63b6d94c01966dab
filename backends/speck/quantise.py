"""speck-quantise: weights to 8 bits, biases and thresholds to 16, by one common scale a layer.

The scale is the largest at which everything stays in range. A smaller one is taken if it makes
every number of the layer an integer: then nothing is rounded. Source: sheet, section 5. Unlike in
sinabs, biases use their 16 bits, and the lower bound of the membrane does not enter the scale.
Networks that fire at their threshold, as Sinabs' do, get Sinabs' own integers unless these are much
coarser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.operators import as_map
from nirc.backends.speck.convolve import bias_of, parts_of
from nirc.backends.speck.findings import BoundClipped
from nirc.backends.speck.legalise import leads
from nirc.backends.speck.limits import BIAS, STATE, THRESHOLD_LOW, WEIGHT
from nirc.backends.speck.neuron import SpeckNeuron, fires_at_threshold
from nirc.diagnostics.dynamics import ConstantLeak
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import WeightsVanish
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.populations import Discrete, Population, Projection, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, OWN_BITS, Rounding, Weights, narrowed

MOST_THRESHOLD = STATE[1] - WEIGHT[1]  # so that an event cannot take a membrane out of 16 bits
DEFAULT_RATE = 0.1  # events per step of a neuron or input, for the load of the cores
# Share of the finest scale at which Sinabs' scale is still taken (benchmarks/vendor_speck.py).
COARSEST = 0.25
SINGLE = 1e-6  # relative: what single precision may add to a scale
INTEGER = 1e-9  # a number so near to an integer is one, but for the last bits of a product
DISTINCT = 256  # more different magnitudes than 8 bits have cannot all be integers
USUAL_MEMBRANE = 0.5  # of the threshold, where nothing is measured


@dataclass(frozen=True)
class Measured:
    """The model on sample inputs, by node: spikes per step, mean membrane above 0 (volts)."""

    events: Mapping[str, float] = field(default_factory=dict)
    membrane: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeckQuantise:
    """Choose one scale for each layer and round weights, biases and thresholds."""

    measured: Measured = Measured()
    bounded: bool = False  # no membrane falls below minus its threshold
    nearest: bool | None = (
        None  # round each weight alone. None: if the model fires at its threshold
    )
    rounding: Rounding = KEEPING_SUMS  # unless to the nearest
    bits: int = OWN_BITS  # of a weight
    name: ClassVar[str] = "speck-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Quantise each layer. Never refuses: sizes and ranges are judged at placement."""
        nodes = dict(program.graph.nodes(data="payload"))
        edges = [(s, t, p) for s, t, p in program.edges() if not isinstance(program[t], Population)]
        early = leads(program)
        for name, population in populations_of(program, Discrete).items():
            rounding = self._rounding(population.dynamics)
            layer = _Layer(name, population, program, rounding, early[name], self.bits)
            neuron = layer.neuron(self.measured, log, bounded=self.bounded)
            nodes[name] = population.with_dynamics(neuron)
            edges += [(s, name, p) for s, p in layer.projections(log)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)

    def _rounding(self, d: Discrete) -> Rounding | None:
        """Return the rounding rule, None for the nearest integer.

        A rule that sample inputs have chosen goes before the rule of the model.
        """
        nearest = self.nearest
        if nearest is None:
            nearest = self.rounding is KEEPING_SUMS and fires_at_threshold(d)
        return None if nearest else self.rounding


class _Layer:
    """One population on its way to integers."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        program: Program,
        rounding: Rounding | None,  # None: each to the nearest
        lead: int,  # steps before its first input, in which it does not fire
        bits: int,  # of a weight
    ) -> None:
        assert population.dynamics.threshold is not None
        self.name = name
        self.population = population
        self.into = program.into(name)
        self.program = program
        self.dynamics = population.dynamics
        self.rounding = rounding
        self.lead = lead
        self.bits = bits
        self.range = narrowed(WEIGHT, bits)
        self.threshold = float(population.dynamics.threshold[0])
        self.bias = bias_of(self.into, population.n)
        self.leaky = bool((self.dynamics.decay_mem != 1).any())
        self.as_sinabs = rounding is None and fires_at_threshold(self.dynamics) and not self.leaky

    def neuron(self, measured: Measured, log: Log, *, bounded: bool) -> SpeckNeuron:
        """Return the neuron of the layer, and set the scale for its projections."""
        leak = leak_per_step(self.dynamics, measured.membrane.get(self.name))
        self.drive = self.bias - leak
        self.scale, self.exact = self._scale()
        zero = self.dynamics.rule.reset != "subtract"
        high, initial = self._threshold(zero=zero)
        bias = np.rint(self._units(self.drive)).astype(np.int64)
        if self.lead:
            bias = np.minimum(bias, (high - 1 - initial) // self.lead)
        bias.setflags(write=False)
        if self.leaky:
            self._report_leak(leak, bias, measured, log)
        return SpeckNeuron(
            shape=as_map(parts_of(self.into[0][1])[1].shape_out),
            threshold_high=high,
            threshold_low=self._lowest(high, log, bounded=bounded),
            return_to_zero=zero,
            initial=initial,
            bias=bias,
            scale=frozen(np.full(self.population.n, self.scale)),
            events=sum(measured.events.get(s, _default(self.program, s)) for s, _ in self.into),
        )

    def projections(self, log: Log) -> list[tuple[str, Projection]]:
        """Return the projections with integer weights and no bias."""
        return [(source, self._rounded(source, p, log)) for source, p in self.into]

    def _rounded(self, source: str, projection: Projection, log: Log) -> Projection:
        _, conv = parts_of(projection)
        exact = self._units(conv.weight)
        if self.rounding is None:
            weight = np.clip(np.rint(exact), *self.range)
        else:
            weights = Weights(source, self.dynamics, conv, exact, *self.range, projection.ops[:-1])
            weight = self.rounding.integers(weights)
        lost = int(((weight == 0) & (conv.weight != 0)).sum())
        if lost:
            log.add(
                WeightsVanish(
                    where=(projection.origins or self.population.origins)[0],
                    lost=lost,
                    of=int(np.count_nonzero(conv.weight)),
                    which=f"from `{source}` to `{self.name}`",
                    limit=f"{self.bits} bits, one scale a layer",
                )
            )
        kernel = replace(conv, weight=frozen(weight))
        return replace(projection, ops=(*projection.ops[:-1], kernel), biases=())

    def _scale(self) -> tuple[float, bool]:
        """Return chip units per volt, and True if all numbers become integers without rounding."""
        weights = np.concatenate([parts_of(p)[1].weight.ravel() for _, p in self.into])
        most = min(
            _most(weights, self.range), _most(self.drive, BIAS), MOST_THRESHOLD / self.threshold
        )
        if not self.leaky:
            exact = _exact_scale(np.concatenate([weights, self.drive, [self.threshold]]), most)
            if exact is not None:
                return exact, True
        return (self._scale_of_sinabs(weights, most) if self.as_sinabs else most), False

    def _scale_of_sinabs(self, weights: Float, most: float) -> float:
        """Return Sinabs' scale, if it is not much coarser than ``most``.

        Sinabs has 8 bits for biases, and its scale keeps the lower bound of the membrane within 16
        bits.
        """
        limits = [(weights, self.range), (self.bias, WEIGHT)]
        if self.dynamics.v_least is not None:
            limits.append((self.dynamics.v_least, THRESHOLD_LOW))
        theirs = min(_most_in_single_precision(values, allowed) for values, allowed in limits)
        return theirs if COARSEST * most <= theirs <= most * (1 + SINGLE) else most

    def _units(self, volts: Float) -> Float:
        """Return ``volts`` in the chip's units, not yet rounded.

        Sinabs scales in single precision. Its ties depend on that.
        """
        scaled = volts * self.scale
        if self.as_sinabs and not self.exact:
            return scaled.astype(np.float32).astype(np.float64)
        return scaled

    def _lowest(self, high: int, log: Log, *, bounded: bool) -> int:
        """Return threshold_low: the model's own bound, if it has one.

        A constant leak would pull a membrane to any bound. So the bound is at 0, where the model's
        leak ends.
        """
        if self.leaky:
            return THRESHOLD_LOW[1]
        if self.dynamics.v_least is None:
            return -high if bounded else THRESHOLD_LOW[0]
        least = int(np.rint(self._units(self.dynamics.v_least)).max())
        if least < THRESHOLD_LOW[0]:
            where = self.population.origins[0]
            log.add(BoundClipped(where=where, population=self.name, least=least))
        return int(np.clip(least, *THRESHOLD_LOW))

    def _threshold(self, *, zero: bool) -> tuple[int, int]:
        """Return threshold_high and the initial membrane.

        The chip fires at the threshold, NIR's letter above it. For exact numbers with a reset to
        zero the threshold is one higher. A threshold that is subtracted must not change, so all
        membranes start one lower instead, which is exact as well. Rounded numbers get the nearest
        threshold for a subtraction, and the next integer above for a comparison.
        """
        at = float(self._units(np.array(self.threshold)))
        if fires_at_threshold(self.dynamics):
            return max(1, int(np.ceil(at - INTEGER) if zero else np.rint(at))), 0
        if zero:
            return max(1, int(np.floor(at + INTEGER)) + 1), 0
        return max(1, int(np.rint(at))), -1 if self.exact else 0

    def _report_leak(self, leak: Float, bias: Int, measured: Measured, log: Log) -> None:
        """Report D417: the distance of a constant leak from the model's proportional leak."""
        d = self.dynamics
        assert d.threshold is not None
        slope = 1 - d.decay_mem
        worst = np.maximum(leak, slope * d.threshold - leak) / d.threshold
        log.add(
            ConstantLeak(
                where=self.population.origins[0],
                population=self.name,
                leak=float(np.mean(leak / d.threshold)),
                decay=float(slope.mean()),
                apart=float(worst.max()),
                biases=(int(bias.min()), int(bias.max())),
                unit=1 / self.scale,
                calibrated=bool(measured.events),
                measured=self.name in measured.membrane,
            )
        )


def leak_per_step(d: Discrete, membrane: float | None) -> Float:
    """Return (n,) volts per step that are nearest to ``(1 - decay) v`` over membranes above 0.

    The distance is the mean square. ``membrane``: the measured mean, volts, None for half the
    threshold. The leak is zero for a neuron without decay.
    """
    assert d.threshold is not None
    typical = (
        USUAL_MEMBRANE * d.threshold if membrane is None else np.minimum(membrane, d.threshold)
    )
    leak: Float = (1 - d.decay_mem) * typical
    return leak


def _most(values: Float, allowed: tuple[int, int]) -> float:
    """Return the largest factor that keeps ``values`` within ``allowed``."""
    sides = ((allowed[1], values), (-allowed[0], -values))
    largest = ((limit, float(side.max(initial=0.0))) for limit, side in sides)
    return min((limit / most for limit, most in largest if most), default=np.inf)


def _most_in_single_precision(values: Float, allowed: tuple[int, int]) -> float:
    """Return ``_most`` as Sinabs computes it: torch multiplies by a reciprocal."""
    bounds = (
        (float(values.max(initial=0.0)), allowed[1]),
        (float(values.min(initial=0.0)), allowed[0]),
    )
    with np.errstate(over="ignore", divide="ignore"):
        factors = [
            np.float32(limit) * (np.float32(1) / np.float32(value))
            for value, limit in bounds
            if value
        ]
    return min((float(factor) for factor in factors), default=np.inf)


def _exact_scale(values: Float, most: float) -> float | None:
    """Return the largest factor up to ``most`` that makes all ``values`` integers, or None."""
    magnitudes = np.unique(np.abs(values[values != 0]))
    if not 0 < magnitudes.size <= DISTINCT:
        return None
    # The smallest number becomes an integer, so only these factors are possible.
    factors = np.arange(1, int(most * magnitudes[0] + INTEGER) + 1) / magnitudes[0]
    for factor in factors[::-1]:
        scaled = magnitudes * factor
        if (np.abs(scaled - np.rint(scaled)) <= INTEGER * scaled).all():
            return float(factor)
    return None


def _default(program: Program, source: str) -> float:
    return float(program[source].n * DEFAULT_RATE)
