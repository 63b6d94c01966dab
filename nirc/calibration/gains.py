"""A few numbers for each population, found by an evolution strategy: gains, constant current, decays, brake.

Population after population in order of execution, each fed with what the chip's populations before it really send;
within a loop the others send what the model sends. All candidates of a generation run side by side. Deterministic:
gains are powers of 2^(1/32), and products are exact.

The *brake* is a synapse of a neuron to itself that takes away what a reset to zero would have, on chips that subtract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.adjoint import numbers
from nirc.calibration.chip import Knobs
from nirc.calibration.neuron import Forward
from nirc.calibration.objective import TINY, echo, traces
from nirc.calibration.unrolled import Edge, Unrolled
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete

FINE = 32  # steps of a gain for a factor of 2; of a brake for one threshold
CANDIDATES, GENERATIONS = 24, 16
WIDE, NARROWER = 28.0, 0.8  # width of the first generation in steps of 1/32; factor if a generation brings nothing
MOST_NEURONS = 64  # of a population that is not recurrent
MOST_VALUES = 1 << 28  # neurons * samples * steps * candidates of one population's search
LARGEST = 6 * FINE  # of a gain
SHARED = 0.7  # how far a change is common to all gains, and how often one has a change of its own
Rng = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """``gains``: one per projection, ``drift``, in 1/32 octaves; ``mem``, ``syn``: places in the knobs' decays.

    ``brake``: in 1/32 of a threshold.
    """

    gains: tuple[int, ...]
    drift: int = 0
    mem: int = 0
    syn: int = 0
    brake: int = 0


@dataclass(frozen=True)
class Found:
    """The best setting, and its distance from the model beside the start's."""

    setting: Setting
    start: float
    best: float


def factor(steps: int) -> float:
    """2^(steps / 32), the same on every machine."""
    return round(float(2.0 ** (steps / FINE)), 9)


class Search:
    """The search for one population of ``unrolled``, whose sources have been run.

    ``taught`` (samples, steps, n): the model's signal. ``brake``: number of the edge that is its brake, if it has one.
    """

    def __init__(
        self, unrolled: Unrolled, name: str, knobs: Knobs, taught: NDArray[np.generic], brake: int | None, rng: Rng
    ) -> None:
        d = unrolled.populations[name].dynamics
        assert isinstance(d, Discrete)
        self.knobs, self.rng, self.brake = knobs, rng, brake
        edges = [e for e in unrolled.edges if e.target == name and e.number != brake]
        self.edges = edges
        self.live: dict[int, Edge] = {i: e for i, e in enumerate(edges) if e.live}
        # a projection without numbers, as a wire, has no gain
        self.scalable = [knobs.gains and any(numbers(o.op) is not None for o in e.ops) for e in edges]
        samples, steps, n = taught.shape
        chosen = np.arange(n)
        if not self.live and n > MOST_NEURONS:
            chosen = np.sort(rng.choice(n, MOST_NEURONS, replace=False))
        few = max(1, min(samples, MOST_VALUES // (CANDIDATES * GENERATIONS * steps * chosen.size)))
        rows = np.sort(rng.choice(samples, few, replace=False))
        self.taught: Float = taught[rows][:, :, chosen].astype(np.float64)
        self.drives = [None if e.live else unrolled.arriving(e)[rows][:, :, chosen] for e in edges]
        self.biases = [_biased(e, steps)[:, chosen] for e in edges]
        self.d = _chosen(d, chosen)
        self.chosen = chosen
        self.decay = echo(steps)
        self.echoes = traces(self.taught, self.decay)
        self.unit = float((self.echoes**2).sum()) + TINY
        self.counts = self.taught.sum(axis=1)
        self.count_unit = float((self.counts**2).sum()) + TINY

    def start(self) -> Setting:
        """The population as it is."""
        return Setting((0,) * len(self.edges), 0, _place(self.knobs.mem, self.d.decay_mem, self.chosen), self._syn())

    def _syn(self) -> int:
        return 0 if self.d.decay_syn is None else _place(self.knobs.syn, self.d.decay_syn, self.chosen)

    def best(self, tell: Callable[[float], None] = lambda _: None) -> Found:
        """The best setting of ``GENERATIONS`` generations. ``tell``: the share of them that is done."""
        best = self.start()
        start = least = float(self.errors([best])[0])
        width = WIDE
        for done in range(GENERATIONS):
            tell(done / GENERATIONS)
            candidates = [self._varied(best, width) for _ in range(CANDIDATES)]
            errors = self.errors(candidates)
            k = int(np.argmin(errors))
            if errors[k] < least:
                best, least = candidates[k], float(errors[k])
            else:
                width *= NARROWER
        return Found(best, start, least)

    def _varied(self, s: Setting, width: float) -> Setting:
        rng, knobs = self.rng, self.knobs

        def moved(value: int, common: float) -> int:
            own = rng.standard_normal() * (rng.random() < SHARED)
            return int(np.clip(round(value + width * (own + common)), -LARGEST, LARGEST))

        def stepped(place: int, choices: tuple[Float, ...], chance: float) -> int:
            if len(choices) < 2 or rng.random() > chance:
                return place
            return int(np.clip(place + rng.integers(-1, 2), 0, len(choices) - 1))

        common = SHARED * rng.standard_normal()
        gains = tuple(moved(g, common) if may else 0 for g, may in zip(s.gains, self.scalable, strict=True))
        drift = moved(s.drift, common) if knobs.drift else s.drift
        mem, syn = stepped(s.mem, knobs.mem, 0.4), stepped(s.syn, knobs.syn, 0.3)
        brake = s.brake
        if self.brake is not None and rng.random() < 0.5:
            brake = int(np.clip(round(brake + width * rng.standard_normal()), 0, LARGEST))
        return Setting(gains, drift, mem, syn, brake)

    def errors(self, settings: list[Setting]) -> Float:
        """(settings,) distance of traces plus distance of counts."""
        candidates, (samples, steps, n) = len(settings), self.taught.shape
        gains = np.array([[factor(g) for g in s.gains] for s in settings]).reshape(candidates, -1, 1, 1)
        d = self._dynamics(settings)
        braking = 0.0 if self.brake is None else _brake_unit(self.d)
        brake = np.array([s.brake / FINE for s in settings])[:, None, None] * braking
        shape = (candidates, samples, n)
        stepper = Forward(d, shape)
        sent: list[Float] = []
        lags = max([1, *(e.projection.lag for e in self.live.values())])
        echoes, counts, off = np.zeros(shape), np.zeros(shape), np.zeros(candidates)
        for t in range(steps):
            first, second = np.zeros(shape), None
            for i, e in enumerate(self.edges):
                x = self._arriving(i, e, t, sent, shape)
                if x is None:
                    continue
                x = gains[:, i] * (x + self.biases[i][t])
                if e.projection.synapse:
                    second = x if second is None else second + x
                else:
                    first = first + x
            if self.brake is not None and sent:
                first = first - brake * sent[-1]
            signal = stepper.step(first, second)
            sent = [*sent[-lags + 1 :], signal] if lags > 1 else [signal]
            echoes = echoes * self.decay + signal
            counts += signal
            off += ((echoes - self.echoes[:, t]) ** 2).sum(axis=(1, 2))
        by_count = ((counts - self.counts) ** 2).sum(axis=(1, 2)) / self.count_unit
        return np.asarray(off / self.unit + by_count)

    def _arriving(self, i: int, e: Edge, t: int, sent: list[Float], shape: tuple[int, ...]) -> Float | None:
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
        """Parameters of all candidates: (candidates, 1, n)."""
        made = [changed(self.d, self.knobs, s, self.chosen) for s in settings]

        def stacked(field: str) -> Any:
            values = [getattr(m, field) for m in made]
            return None if values[0] is None else np.stack(values)[:, None, :]

        fields = ("decay_mem", "gain_mem", "drift", "decay_syn", "gain_syn", "decay_syn_2", "gain_syn_2")
        return replace(self.d, **{f: stacked(f) for f in fields})


def changed(d: Discrete, knobs: Knobs, s: Setting, chosen: NDArray[np.int64] | None = None) -> Discrete:
    """``d`` with the decays and the constant current of ``s``; a slower synapse delivers the same charge."""
    pick = slice(None) if chosen is None else chosen
    mem = d.decay_mem if not knobs.mem else knobs.mem[s.mem][pick]
    decay_syn, gain_syn = d.decay_syn, d.gain_syn
    if decay_syn is not None and gain_syn is not None and knobs.syn:
        new = knobs.syn[s.syn][pick]
        gain_syn = frozen(gain_syn * (1 - new) / (1 - decay_syn))
        decay_syn = new
    return replace(d, decay_mem=mem, drift=frozen(d.drift * factor(s.drift)), decay_syn=decay_syn, gain_syn=gain_syn)


def _brake_unit(d: Discrete) -> Float:
    """Weight that takes away one threshold at a synapse that delivers a charge of one."""
    assert d.threshold is not None
    charge = d.gain_mem
    if d.decay_syn is not None and d.gain_syn is not None:
        charge = charge * d.gain_syn / np.maximum(1 - d.decay_syn, 2.0**-15)
    unit: Float = d.threshold / np.where(charge == 0, 1.0, charge)
    return unit


def brake_weights(d: Discrete, s: Setting) -> Float:
    """(n,) weights of the synapses of each neuron to itself."""
    weights: Float = -(s.brake / FINE) * _brake_unit(d)
    return weights


def _biased(e: Edge, steps: int) -> Float:
    """(steps, n) the constant that ``e`` adds."""
    total = np.zeros((steps, e.ops[-1].op.n_out if e.ops else 1))
    for bias in e.projection.biases:
        total = total + (np.arange(steps) >= bias.onset_steps)[:, None] * bias.value
    return total


def _chosen(d: Discrete, chosen: NDArray[np.int64]) -> Discrete:
    def pick(values: Float | None) -> Any:
        return None if values is None else values[chosen]

    fields = ("decay_mem", "gain_mem", "drift", "decay_syn", "gain_syn", "threshold", "v_reset", "v_least", "v_start")
    return replace(d, **{f: pick(getattr(d, f)) for f in (*fields, "decay_syn_2", "gain_syn_2")})


def _place(choices: tuple[Float, ...], now: Float, chosen: NDArray[np.int64]) -> int:
    """Which of ``choices`` is ``now``."""
    if not choices:
        return 0
    return int(np.argmin([np.abs(c[chosen] - now).sum() for c in choices]))
