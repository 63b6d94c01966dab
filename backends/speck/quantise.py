"""speck-quantise: weights to 8 bits, biases and thresholds to 16, by one common scale a layer.

The scale is the largest at which everything stays in range. Where a smaller one makes every number
of the layer a whole one, that is taken, and nothing is rounded. Source: sheet, section 5. Unlike
sinabs, biases use their 16 bits and the lower bound of the membrane does not enter the scale.
Networks that fire at their threshold, as Sinabs' do, get Sinabs' own integers unless these are much
coarser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from nirc.backends.speck.convolve import parts_of
from nirc.backends.speck.geometry import Map
from nirc.backends.speck.leak import leak_per_step
from nirc.backends.speck.limits import BIAS, STATE, THRESHOLD_LOW, WEIGHT
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.diagnostics.dynamics import WeightsVanish
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.populations import Discrete, Population, Projection, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights

MOST_THRESHOLD = STATE[1] - WEIGHT[1]  # so that an event cannot take a membrane out of 16 bits
DEFAULT_RATE = (
    0.1  # events per step of a neuron or input, for the load of the cores, unless measured
)
COARSEST = (
    0.25  # share of the finest scale at which Sinabs' is taken still (benchmarks/vendor_speck.py)
)
SINGLE = 1e-6  # relative: what single precision may add to a scale
DISTINCT = 256  # more different magnitudes than 8 bits have cannot all be whole


@dataclass(frozen=True)
class Measured:
    """What the model does on sample inputs, by node: spikes per step, and the mean of the membranes
    above 0 (volts).
    """

    events: Mapping[str, float] = field(default_factory=dict)
    membrane: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeckQuantise:
    """Choose one scale for each layer and round weights, biases and thresholds; those that vanish
    are counted.
    """

    measured: Measured = Measured()
    bounded: bool = False  # no membrane falls below minus its threshold
    nearest: bool | None = (
        None  # each weight rounded by itself; None: where the model fires at its threshold
    )
    rounding: Rounding = KEEPING_SUMS  # unless to the nearest
    name: ClassVar[str] = "speck-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Never refuses: sizes and ranges are judged when the layers are placed."""
        nodes = dict(program.graph.nodes(data="payload"))
        edges = [(s, t, p) for s, t, p in program.edges() if not isinstance(program[t], Population)]
        for name, population in populations_of(program, Discrete).items():
            layer = _Layer(
                name, population, program.into(name), program, self._rounding(population)
            )
            nodes[name] = population.with_dynamics(
                layer.neuron(self.measured, log, bounded=self.bounded)
            )
            edges += [(s, name, p) for s, p in layer.projections(log)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)

    def _rounding(self, population: Population[Discrete]) -> Rounding | None:
        """None for the nearest.

        A rule that sample inputs have chosen goes before the rule of the model.
        """
        chosen = self.rounding is not KEEPING_SUMS
        nearest = (
            not chosen and _fires_at_threshold(population) if self.nearest is None else self.nearest
        )
        return None if nearest else self.rounding


class _Layer:
    """One population on its way to integers."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        into: list[tuple[str, Projection]],
        program: Program,
        rounding: Rounding | None,  # None: each to the nearest
    ) -> None:
        assert population.dynamics.threshold is not None
        self.name, self.population, self.into, self.program = name, population, into, program
        self.dynamics, self.rounding = population.dynamics, rounding
        self.threshold = float(population.dynamics.threshold[0])
        self.bias = sum((b.value for _, p in into for b in p.biases), np.zeros(population.n))
        self.leaky = bool((self.dynamics.decay_mem != 1).any())
        self.as_sinabs = rounding is None and _fires_at_threshold(population) and not self.leaky

    def neuron(self, measured: Measured, log: Log, *, bounded: bool) -> SpeckNeuron:
        """Thresholds, bias and what the emulator needs."""
        leak = leak_per_step(self.dynamics, measured.membrane.get(self.name))
        self.drive = self.bias - leak
        self.scale, self.exact = self._scale()
        zero = self.dynamics.rule.reset != "subtract"
        high, initial = self._threshold(zero=zero)
        bias = np.rint(self._units(self.drive)).astype(np.int64)
        bias.setflags(write=False)
        if self.leaky:
            _report_leak(self.name, self.population, leak, bias, self.scale, measured, log)
        return SpeckNeuron(
            shape=_output_map(self.into),
            threshold_high=high,
            threshold_low=self._lowest(high, log, bounded=bounded),
            return_to_zero=zero,
            initial=initial,
            bias=bias,
            scale=frozen(np.full(self.population.n, self.scale)),
            events=sum(measured.events.get(s, _default(self.program, s)) for s, _ in self.into),
        )

    def projections(self, log: Log) -> list[tuple[str, Projection]]:
        """The same projections with whole weights and no bias."""
        return [(source, self._rounded(source, p, log)) for source, p in self.into]

    def _rounded(self, source: str, projection: Projection, log: Log) -> Projection:
        pool, conv = parts_of(projection)
        exact = self._units(conv.weight)
        if self.rounding is None:
            weight = np.clip(np.rint(exact), *WEIGHT)
        else:
            pools = () if pool is None else (pool,)
            weight = self.rounding.integers(
                Weights(source, self.dynamics, conv, exact, *WEIGHT, pools)
            )
        lost, of = (
            int(((weight == 0) & (conv.weight != 0)).sum()),
            int(np.count_nonzero(conv.weight)),
        )
        where = projection.origins[0] if projection.origins else self.population.origins[0]
        if lost:
            which = f"from `{source}` to `{self.name}`"
            limit = "8 bits, one scale a layer"
            log.add(WeightsVanish(where=where, lost=lost, of=of, which=which, limit=limit))
        whole = replace(conv, weight=frozen(weight))
        return replace(projection, ops=(whole,) if pool is None else (pool, whole), biases=())

    def _scale(self) -> tuple[float, bool]:
        """Chip units per volt, and whether all numbers become whole without rounding."""
        weights = np.concatenate([parts_of(p)[1].weight.ravel() for _, p in self.into])
        most = min(_most(weights, WEIGHT), _most(self.drive, BIAS), MOST_THRESHOLD / self.threshold)
        whole = (
            None
            if self.leaky
            else _whole(np.concatenate([weights, self.drive, [self.threshold]]), most)
        )
        if whole is not None:
            return whole, True
        return (self._scale_of_sinabs(weights, most) if self.as_sinabs else most), False

    def _scale_of_sinabs(self, weights: Float, most: float) -> float:
        """Sinabs' scale, if it is not much coarser than ``most``.

        Sinabs has 8 bits for biases, and its scale keeps the lower bound of the membrane within 16
        bits.
        """
        bound = np.zeros(0) if self.dynamics.v_least is None else self.dynamics.v_least
        limits = ((weights, WEIGHT), (self.bias, WEIGHT), (bound, THRESHOLD_LOW))
        theirs = min(_most_in_single_precision(values, allowed) for values, allowed in limits)
        return theirs if COARSEST * most <= theirs <= most * (1 + SINGLE) else most

    def _units(self, volts: Float) -> Float:
        """``volts`` in the chip's units, not yet whole.

        Sinabs scales in single precision, and ties follow from it.
        """
        scaled = volts * self.scale
        return (
            scaled.astype(np.float32).astype(np.float64)
            if self.as_sinabs and not self.exact
            else scaled
        )

    def _lowest(self, high: int, log: Log, *, bounded: bool) -> int:
        """threshold_low: the model's own bound, if it has one.

        A constant leak would pull a membrane to any bound: it stays where the model's leak ends, at
        0.
        """
        if self.leaky:
            return THRESHOLD_LOW[1]
        if self.dynamics.v_least is not None:
            least = int(np.rint(self._units(self.dynamics.v_least)).max())
            if least < THRESHOLD_LOW[0]:
                log.warning(
                    "D412",
                    f"the lower bound of the membrane of `{self.name}` is cut off",
                    where=self.population.origins[0],
                    found=f"{least}",
                    limit=f"{THRESHOLD_LOW[0]}, 16 bits",
                    help="a bound nearer to zero, or larger thresholds against the weights, fit "
                    "the chip",
                )
            return int(np.clip(least, *THRESHOLD_LOW))
        return -high if bounded else THRESHOLD_LOW[0]

    def _threshold(self, *, zero: bool) -> tuple[int, int]:
        """threshold_high and the initial membrane, for a chip that fires at the threshold (NIR's
        letter: above it).

        Whole numbers with a reset to zero: one more. With subtraction the amount must not change,
        so all membranes start one lower instead: exact as well. Rounded numbers: the nearest
        threshold for a subtraction, the next whole number above for a comparison.
        """
        at = float(self._units(np.array(self.threshold)))
        if _fires_at_threshold(self.population):
            return max(1, int(np.ceil(at - 1e-9) if zero else np.rint(at))), 0
        if zero:
            return max(1, int(np.floor(at + 1e-9)) + 1), 0
        return max(1, int(np.rint(at))), -1 if self.exact else 0


def _fires_at_threshold(population: Population[Discrete]) -> bool:
    """Whether the model compares as the chip does, as Sinabs' networks do."""
    fires = population.dynamics.rule.fires
    return fires is not None and fires.at == ">="


def _most(values: Float, allowed: tuple[int, int]) -> float:
    """The largest factor that keeps ``values`` within ``allowed``."""
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return min(allowed[1] / high if high > 0 else np.inf, allowed[0] / low if low < 0 else np.inf)


def _most_in_single_precision(values: Float, allowed: tuple[int, int]) -> float:
    """As ``_most``, computed as Sinabs does: torch divides by a reciprocal."""
    bounds = (
        (float(values.max(initial=0.0)), allowed[1]),
        (float(values.min(initial=0.0)), allowed[0]),
    )
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        factors = [
            np.float32(limit) * (np.float32(1) / np.float32(value))
            for value, limit in bounds
            if value
        ]
    return min((float(factor) for factor in factors), default=np.inf)


def _whole(values: Float, most: float) -> float | None:
    """The largest factor up to ``most`` that makes all ``values`` whole, None if there is none."""
    magnitudes = np.unique(np.abs(values[values != 0]))
    if not 0 < magnitudes.size <= DISTINCT:
        return None
    # The smallest number becomes some whole number, so only these factors can do it.
    factors = np.arange(1, int(most * magnitudes[0] + 1e-9) + 1) / magnitudes[0]
    for factor in factors[::-1]:
        scaled = magnitudes * factor
        if (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1, scaled)).all():
            return float(factor)
    return None


def _output_map(into: list[tuple[str, Projection]]) -> Map:
    f, y, x = parts_of(into[0][1])[1].shape_out
    return f, y, x


def _default(program: Program, source: str) -> float:
    return float(program[source].n * DEFAULT_RATE)


def _report_leak(
    name: str,
    population: Population[Discrete],
    leak: Float,
    bias: Int,
    scale: float,
    measured: Measured,
    log: Log,
) -> None:
    """Report D417: the distance of a constant leak from the model's proportional leak."""
    d = population.dynamics
    assert d.threshold is not None
    slope, threshold = 1 - d.decay_mem, d.threshold
    worst = np.maximum(leak, slope * threshold - leak) / threshold
    log.differs(
        "D417",
        f"`{name}` leaks {float(np.mean(leak / threshold)):.2%} of its threshold a step, whatever "
        "its membrane; "
        f"the model leaks {float(slope.mean()):.2%} of the membrane: up to "
        f"{float(worst.max()):.2%} of the threshold "
        "a step apart, and inhibition below 0 is lost",
        where=population.origins[0],
        found=f"bias {int(bias.min())}..{int(bias.max())} LSB, {1 / scale:.3g} V each",
        source="sheet, section 2.1",
        help=_leak_advice(name, measured),
    )


def _leak_advice(name: str, measured: Measured) -> str:
    """Return what is left to try for a leak."""
    if not measured.events:
        return (
            "train with IF neurons, or give --calibrate, which tries a leak that fits the "
            "membranes that occur"
        )
    fitted = (
        "fits the membranes of the samples"
        if name in measured.membrane
        else "fits half the threshold"
    )
    return (
        "train with IF neurons; of the leaks that --calibrate has tried this one answers "
        f"best: it {fitted}"
    )
