"""Gains, constant current, decays and self-inhibition of a population, by an evolution strategy.

Populations are searched in order of execution. Each receives the real signals of the chip's
populations before it. Within a loop it receives the model's signals. All candidates of a generation
run side by side. The search is deterministic: gains are powers of 2^(1/32), and products are exact.

*Self-inhibition* is a synapse of a neuron to itself. On chips that subtract, it removes the charge
that a reset to zero would remove.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.chip import Parameters
from nirc.calibration.objective import TINY, echo, traces
from nirc.calibration.unrolled import Edge, Unrolled
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Weighted
from nirc.ir.populations import Discrete
from nirc.native.candidates import Candidates, Driven, Wanted
from nirc.native.floats import FastStepper, comparisons
from nirc.native.library import library

FINE = 32  # steps of a gain for a factor of 2, steps of self-inhibition for one threshold
CANDIDATES = 24
GENERATIONS = 16
WIDE = 28.0  # width of the first generation in steps of 1/32
NARROWER = 0.8  # factor of the width after a generation without gain
MOST_NEURONS = 64  # of a population that is not recurrent
MOST_VALUES = 1 << 28  # neurons * samples * steps * candidates of one population's search
LARGEST = 6 * FINE  # of a gain
SHARED = 0.7  # share of a change that is common to all gains, and chance of a separate change
# Fields of a neuron that differ between candidates, and other arrays.
VARIED = (
    "decay_mem",
    "gain_mem",
    "drift",
    "decay_syn",
    "gain_syn",
    "decay_syn_2",
    "gain_syn_2",
)
FIXED = ("threshold", "v_reset", "v_least", "v_start")
Rng = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """``gains`` (one per projection) and ``drift`` in 1/32 octaves.

    ``mem``, ``syn``: decay indices. ``self_inhibition``: in 1/32 of a threshold.
    """

    gains: tuple[int, ...]
    drift: int = 0
    mem: int = 0
    syn: int = 0
    self_inhibition: int = 0


@dataclass(frozen=True)
class SearchResult:
    """The best setting, its distance from the model, and the distance of the start."""

    setting: Setting
    start: float
    best: float


def factor(steps: int) -> float:
    """Return 2^(steps / 32), the same on every machine."""
    return round(float(2.0 ** (steps / FINE)), 9)


class Search:
    """The search for one population of ``unrolled``, after its sources have run.

    ``reference`` (samples, steps, n): the model's signal. ``self_inhibition``: number of the edge
    that inhibits, or None.
    """

    def __init__(
        self,
        unrolled: Unrolled,
        name: str,
        parameters: Parameters,
        reference: NDArray[np.generic],
        self_inhibition: int | None,
        rng: Rng,
    ) -> None:
        d = unrolled.populations[name].dynamics
        self.parameters = parameters
        self.rng = rng
        self.self_inhibition = self_inhibition
        edges = [e for e in unrolled.edges if e.target == name and e.number != self_inhibition]
        self.edges = edges
        self.live: dict[int, Edge] = {i: e for i, e in enumerate(edges) if e.live}
        # A projection without numbers, like a wire, has no gain.
        self.scalable = [
            parameters.gains and any(isinstance(o.op, Weighted) for o in e.ops) for e in edges
        ]
        samples, steps, n = reference.shape
        chosen = np.arange(n)
        if not self.live and n > MOST_NEURONS:
            chosen = np.sort(rng.choice(n, MOST_NEURONS, replace=False))
        most = max(1, min(samples, MOST_VALUES // (CANDIDATES * GENERATIONS * steps * chosen.size)))
        rows = np.sort(rng.choice(samples, most, replace=False))
        self.reference: Float = reference[rows][:, :, chosen].astype(np.float64)
        self.drives = [None if e.live else unrolled.arriving(e)[rows][:, :, chosen] for e in edges]
        self.biases = [_biased(e, steps, n)[:, chosen] for e in edges]
        self.d = _chosen(d, chosen)
        self.chosen = chosen
        decay = echo(steps)
        echoes = traces(self.reference, decay)
        counts = self.reference.sum(axis=1)
        units = (float((x**2).sum()) + TINY for x in (echoes, counts))
        self.wanted = Wanted(echoes, counts, decay, *units)

    def start(self) -> Setting:
        """Return the setting of the unchanged population."""
        mem = _place(self.parameters.mem, self.d.decay_mem, self.chosen)
        syn = _place(self.parameters.syn, self.d.decay_syn, self.chosen)
        return Setting((0,) * len(self.edges), mem=mem, syn=syn)

    def best(self, progress: Callable[[float], None] = lambda _: None) -> SearchResult:
        """Return the best setting of ``GENERATIONS`` generations. ``progress``: the share done."""
        best = self.start()
        start = least = float(self.errors([best])[0])
        width = WIDE
        for done in range(GENERATIONS):
            progress(done / GENERATIONS)
            candidates = [self._varied(best, width) for _ in range(CANDIDATES)]
            errors = self.errors(candidates, least)
            k = int(np.argmin(errors))
            if errors[k] < least:
                best = candidates[k]
                least = float(errors[k])
            else:
                width *= NARROWER
        return SearchResult(best, start, least)

    def _varied(self, s: Setting, width: float) -> Setting:
        rng = self.rng
        parameters = self.parameters

        def moved(value: int, common: float) -> int:
            separate = rng.standard_normal() * (rng.random() < SHARED)
            return int(np.clip(round(value + width * (separate + common)), -LARGEST, LARGEST))

        def stepped(place: int, choices: tuple[Float, ...], chance: float) -> int:
            if len(choices) < 2 or rng.random() > chance:
                return place
            return int(np.clip(place + rng.integers(-1, 2), 0, len(choices) - 1))

        common = SHARED * rng.standard_normal()
        gains = tuple(
            moved(g, common) if may else 0 for g, may in zip(s.gains, self.scalable, strict=True)
        )
        drift = moved(s.drift, common) if parameters.drift else s.drift
        mem = stepped(s.mem, parameters.mem, 0.4)
        syn = stepped(s.syn, parameters.syn, 0.3)
        self_inhibition = s.self_inhibition
        if self.self_inhibition is not None and rng.random() < 0.5:
            self_inhibition = int(
                np.clip(round(self_inhibition + width * rng.standard_normal()), 0, LARGEST)
            )
        return Setting(gains, drift, mem, syn, self_inhibition)

    def errors(self, settings: list[Setting], least: float = np.inf) -> Float:
        """Return (settings,) distance of traces plus distance of counts, up to ``least``.

        Distances at or above ``least`` may be too small, but are not below it.
        """
        gains = np.array([[factor(g) for g in s.gains] for s in settings])
        d = self._dynamics(settings)
        inhibition = None
        if self.self_inhibition is not None:
            shares = np.array([s.self_inhibition / FINE for s in settings])
            inhibition = shares[:, None, None] * _inhibition_unit(self.d)
        if self.live or library() is None or comparisons(d) > 1:
            return self._by_steps(d, gains, inhibition)
        driven = [
            Driven(drive, bias, bool(e.projection.synapse))
            for drive, bias, e in zip(self.drives, self.biases, self.edges, strict=True)
            if drive is not None
        ]
        return Candidates(d, driven, gains, inhibition, self.wanted).errors(least)

    def _by_steps(self, d: Discrete, gains: Float, inhibition: Float | None) -> Float:
        """Return the errors, step by step for all candidates at once."""
        candidates = len(gains)
        samples, steps, n = self.reference.shape
        shape = (candidates, samples, n)
        stepper = FastStepper(d, shape)
        sent: list[Float] = []
        lags = max([1, *(e.projection.lag for e in self.live.values())])
        echoes, counts, distance = np.zeros((3, *shape))
        for t in range(steps):
            first = np.zeros(shape)
            second = None
            for i, e in enumerate(self.edges):
                x = self._arriving(i, e, t, sent, shape)
                if x is None:
                    continue
                if e.projection.synapse and second is None:
                    second = np.zeros(shape)
                total = second if second is not None and e.projection.synapse else first
                total += gains[:, i, None, None] * (x + self.biases[i][t])
            if inhibition is not None and sent:
                first = first - inhibition * sent[-1]
            signal = stepper.step(first, second)
            sent = [*sent[-lags + 1 :], signal] if lags > 1 else [signal]
            echoes = echoes * self.wanted.decay + signal
            counts += signal
            distance += (echoes - self.wanted.echoes[:, t]) ** 2
        by_count = _sum((counts - self.wanted.counts) ** 2) / self.wanted.count_unit
        return _sum(_sum(distance) / self.wanted.unit + by_count)

    def _arriving(
        self, i: int, e: Edge, t: int, sent: list[Float], shape: tuple[int, ...]
    ) -> Float | None:
        drive = self.drives[i]
        if drive is not None:
            now: Float = drive[:, t]
            return now
        lag = e.projection.lag
        if len(sent) < lag:
            return None if not self.biases[i].any() else np.zeros(shape)
        arrived: Float = e.through(sent[-lag].reshape(-1, shape[2])).reshape(shape)
        return arrived

    def _dynamics(self, settings: list[Setting]) -> Discrete:
        """Return the parameters of all candidates: (candidates, 1, n)."""
        variations = [changed(self.d, self.parameters, s, self.chosen) for s in settings]

        def stacked(field: str) -> Any:
            values = [getattr(m, field) for m in variations]
            return None if values[0] is None else np.stack(values)[:, None, :]

        return replace(self.d, **{field: stacked(field) for field in VARIED})


def _sum(values: Float) -> Float:
    """Return the sums over the last axis, added up in its order."""
    total: Float = np.add.accumulate(values, axis=-1)[..., -1]
    return total


def changed(
    d: Discrete, parameters: Parameters, s: Setting, chosen: NDArray[np.int64] | None = None
) -> Discrete:
    """Return ``d`` with decays and current of ``s``. Slower synapses deliver the same charge."""
    pick = slice(None) if chosen is None else chosen
    mem = d.decay_mem if not parameters.mem else parameters.mem[s.mem][pick]
    decay_syn = d.decay_syn
    gain_syn = d.gain_syn
    if decay_syn is not None and gain_syn is not None and parameters.syn:
        new = parameters.syn[s.syn][pick]
        gain_syn = frozen(gain_syn * (1 - new) / (1 - decay_syn))
        decay_syn = new
    return replace(
        d,
        decay_mem=mem,
        drift=frozen(d.drift * factor(s.drift)),
        decay_syn=decay_syn,
        gain_syn=gain_syn,
    )


def _inhibition_unit(d: Discrete) -> Float:
    """Return (n,) the weight that removes one threshold, for a synaptic charge of one."""
    assert d.threshold is not None
    charge = d.gain_mem
    if d.decay_syn is not None and d.gain_syn is not None:
        charge = charge * d.gain_syn / np.maximum(1 - d.decay_syn, 2.0**-15)
    unit: Float = d.threshold / np.where(charge == 0, 1.0, charge)
    return unit


def self_inhibition_weights(d: Discrete, s: Setting) -> Float:
    """Return (n,) weights of the synapses of each neuron to itself."""
    weights: Float = -(s.self_inhibition / FINE) * _inhibition_unit(d)
    return weights


def _biased(e: Edge, steps: int, n: int) -> Float:
    """Return (steps, n) the constant that ``e`` adds."""
    total = np.zeros((steps, n))
    for bias in e.projection.biases:
        total = total + (np.arange(steps) >= bias.onset_steps)[:, None] * bias.value
    return total


def _chosen(d: Discrete, chosen: NDArray[np.int64]) -> Discrete:
    def pick(values: Float | None) -> Any:
        return None if values is None else values[chosen]

    return replace(d, **{field: pick(getattr(d, field)) for field in (*VARIED, *FIXED)})


def _place(choices: tuple[Float, ...], now: Float | None, chosen: NDArray[np.int64]) -> int:
    """Return the index of ``now`` in ``choices``, 0 without any."""
    if not choices or now is None:
        return 0
    return int(np.argmin([np.abs(c[chosen] - now).sum() for c in choices]))
