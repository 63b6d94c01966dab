"""loihi2-quantise: discrete populations in the chip's integers. u provably stays within 24 bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.retiming import retimed
from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.drive import TINY, Sums, magnitude
from nirc.backends.loihi2.findings import PaperConstantsWrap, WeightsClipped, WeightsReduced
from nirc.backends.loihi2.kernels import storable
from nirc.backends.loihi2.limits import DELAY, LIF_MODELS, STATE, VTH, WRAP
from nirc.backends.loihi2.netx import is_line, netx_holds
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron, run_without_input, start_value
from nirc.backends.loihi2.plan import SLOWEST_READ, UNIT, Plan
from nirc.backends.loihi2.soft_reset import inhibits_itself, self_inhibition_of, taps_of_a_filter
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import ReadoutMayFire, ThresholdsClipped, WeightsVanish
from nirc.ir.arrays import Float, Int, frozen, frozen_integers
from nirc.ir.linear import Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, OWN_BITS, Rounding, Weights

Arc = tuple[str, str, Projection]

# Units a threshold that a chain keeps. With fewer, it gets no network.net (?: a choice).
LEAST_UNITS = 64
READ_BITS = 64  # a readout's largest weight at least, if need be with fewer sources that may fire
LEAST_SHARE = 1 / 64  # of a readout's sources that may fire
# The NIR paper's importer: section 4.1 of the targets sheet.
PAPER_K = 256
PAPER_VTH = 131071
PAPER_DECAY = 4095


@dataclass(frozen=True)
class LoihiQuantise:
    """Choose units, exponents and sign modes.

    ``paper``: the constants of the NIR paper's importer instead. ``netx``: a chain gets weights
    without exponents so that network.net can hold it, if that leaves enough units. ``twice``: a
    second projection beside each holds what rounding leaves of the weights. ``rounding``: of
    weights that are stored once and are not the paper's.
    """

    paper: bool = False
    netx: bool = True
    twice: bool = False
    rounding: Rounding = KEEPING_SUMS
    bits: int = OWN_BITS  # of a weight
    name: ClassVar[str] = "loihi2-quantise"

    def rounding_by(self, rounding: Rounding) -> LoihiQuantise:
        """Return the pass with another rule by which weights become integers."""
        return replace(self, rounding=rounding)

    def run(self, program: Program, log: Log) -> Program:
        """Clip values out of range with a warning (D412). Raises ``CompileError`` (P307)."""
        subtracts = any(inhibits_itself(program, name) for name in program.nodes(Population))
        if self.netx and not self.paper and not self.twice and not subtracts and is_line(program):
            trial = log.attempt()
            chain = self._quantised(program, trial, for_netx=True)
            if chain is not None and netx_holds(chain):
                for diagnostic in trial.diagnostics:
                    log.add(diagnostic)
                return chain
        integer = self._quantised(program, log, for_netx=False)
        assert integer is not None
        return integer

    def _quantised(self, program: Program, log: Log, *, for_netx: bool) -> Program | None:
        """Return None if netx' weights leave a population less than ``LEAST_UNITS``."""
        timing = retimed(program, DELAY[1])
        program = storable(program, timing, log, listed=self.twice)
        log.raise_if_errors()
        nodes, edges, senders = _with_binary_inputs(program)
        numbered: dict[str, list[tuple[int, str, Projection]]] = {}
        for i, (s, t, p) in enumerate(program.edges()):
            numbered.setdefault(t, []).append((i, s, p))
        for name, population in populations_of(program, Discrete).items():
            into = numbered.get(name, [])
            kind = _PaperPopulation if self.paper else _Population
            quantised = kind(
                name,
                population,
                [(s, p) for _, s, p in into],
                Plan(
                    population,
                    [op for _, _, p in into if isinstance(op := p.ops[0], Weighted)],
                    timing.latency_steps[name],
                    for_netx=for_netx,
                    self_inhibition=None if self.paper else self_inhibition_of(program, name),
                    bits=self.bits,
                ),
                self,
            )
            if for_netx and quantised.too_coarse:
                return None
            nodes[name] = population.with_dynamics(quantised.neuron(log))
            for (i, source, p), stored in zip(into, quantised.weights(log), strict=True):
                base = replace(p, biases=(), delay_steps=p.delay_steps + timing.slow[i])
                edges += [(senders[source], name, replace(base, ops=(op,))) for op in stored]
        edges += [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def _with_binary_inputs(program: Program) -> tuple[dict[str, object], list[Arc], dict[str, str]]:
    """Return nodes and edges of the inputs and their binary messages, and who sends for whom."""
    nodes: dict[str, object] = {}
    edges: list[Arc] = []
    senders = {name: name for name in program.graph}
    for name, payload in program.graph.nodes(data="payload"):
        nodes[name] = payload
        if isinstance(payload, Source):
            senders[name] = program.fresh_name(f"{name}.spikes", nodes)
            nodes[senders[name]] = Population(
                payload.shape, BinaryInput(), payload.origins, Role.RELAY
            )
            edges.append((name, senders[name], Projection(origins=payload.origins)))
    return nodes, edges, senders


class _Population:
    """A population in integers, as its plan says."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        into: list[tuple[str, Projection]],
        plan: Plan,
        options: LoihiQuantise,
    ) -> None:
        self.name = name
        self.where = population.origins[0]
        self.sources = [source for source, _ in into]
        self.plan = plan
        self.twice = options.twice
        self.bits = options.bits
        self.roundings = (KEEPING_SUMS,) * options.twice + (options.rounding,)
        self.taps = taps_of_a_filter(into, plan.self_inhibition)
        self.share = 1.0  # of a readout's sources that may fire in every step
        self.reduced = False  # weights that would make u wrap around
        self.grain_k: float | None = None
        self._last: tuple[float, list[list[Float]]] | None = None  # k, and what is stored at it
        self.k = self._choose_k()

    @property
    def too_coarse(self) -> bool:
        """True if a threshold has less than ``LEAST_UNITS``."""
        return self.plan.fires and self.grain_k is None and self.k < LEAST_UNITS

    def _choose_k(self) -> float:
        """Return the units a threshold, or a volt of a readout."""
        plan = self.plan
        self.reduced = plan.fires and plan.reduce_weights()
        most = plan.largest_k()
        room = most if plan.fires else VTH[1] / max(plan.readout_reach(), TINY)
        self.grain_k = None if self.twice else plan.grain_k(most)
        if self.grain_k is not None and self.grain_k <= room:
            return self.grain_k
        if plan.fires:
            most = max(most, 1.0)
        else:
            useful = min((READ_BITS / max(d.largest, TINY) for d in plan.drives), default=most)
            wanted = min(max(room, min(useful, room / LEAST_SHARE)), most)
            self.share, most = min(1.0, room / wanted), wanted
        k = most
        if not self.twice:
            k = plan.best_k(most)
        elif plan.fires:  # what one weight lacks the other has: only the size of a unit counts
            k = float(np.floor(most))
        least = 1 if plan.fires else TINY
        while self._largest_u(k) > WRAP - 2 and k > least:  # rounding may have added some
            k = self._smaller(k * 0.98)
        return k

    def _smaller(self, k: float) -> float:
        if not self.plan.fires:
            return k
        if self.plan.self_inhibition is None:
            return float(np.floor(k))
        return self.plan.storable_k(k)

    def _largest_u(self, k: float) -> float:
        """Return the largest u that the rounded weights can bring about."""
        plan = self.plan
        sums = []
        known: dict[tuple[int, ...], Sums] = {}
        for drive, values in zip(plan.drives, self._stored(k), strict=True):
            key = (id(drive), *map(id, values))
            if key not in known:
                parts = [drive.sums_of(value) for value in values]
                above = sum((part[0] for part in parts), np.zeros(plan.n))
                below = sum((part[1] for part in parts), np.zeros(plan.n))
                known[key] = above, below
            sums.append(known[key])
        return float(plan.reach(k, sums).max() * UNIT)

    def _stored(self, k: float) -> list[list[Float]]:
        """Return integer weights of each drive, and of its rest. A tap's rest goes to the next."""
        if self._last is not None and self._last[0] == k:
            return self._last[1]
        self._last = None  # before memory is taken
        stored: list[list[Float]] = [[] for _ in self.plan.drives]
        known: dict[int, list[Float]] = {}  # by drive: the sources of the weights do not count
        for numbers in self.taps:
            drive = self.plan.drives[numbers[0]]
            shared = len(numbers) == 1 and self.roundings == (KEEPING_SUMS,)
            if shared and id(drive) in known:
                stored[numbers[0]] = known[id(drive)]
                continue
            if shared:
                known[id(drive)] = stored[numbers[0]]
            rest: Float | None = None
            for i in numbers:
                drive = self.plan.drives[i]
                if rest is not None:
                    drive = replace(drive, value=drive.value + rest)
                for place, rounding in enumerate(self.roundings):
                    step, top = drive.step(k), drive.top
                    exact = drive.value * k / step
                    asked = Weights(self.sources[i], self.plan.d, drive.op, exact, -top, top)
                    integers = rounding.integers(asked)
                    stored[i].append(np.multiply(integers, step, out=integers))
                    if place < self.twice or i != numbers[-1]:
                        drive = replace(drive, value=drive.value - stored[i][-1] / k)
                rest = drive.value
        self._last = k, stored
        return stored

    def _exact(self) -> list[Float]:
        """Return the weights of each drive as they are, in thresholds."""
        return [drive.value for drive in self.plan.drives]

    def weights(self, log: Log) -> list[list[Weighted]]:
        """Return the integer weights of each projection, and of a second one if wanted."""
        exact = self._exact()
        stored = self._stored(self.k)
        self._last = None
        whole: set[tuple[int, int]] = set()  # pairs that lose nothing
        for numbers in self.taps:
            wanted = sum((exact[i] for i in numbers[1:]), exact[numbers[0]])
            kept = sum((stored[i][0] for i in numbers[1:]), stored[numbers[0]][0])
            pair = (id(wanted), id(kept))
            if pair not in whole and not self._report_lost(wanted, kept, log):
                whole |= {pair} if len(numbers) == 1 else set()
        made: dict[tuple[int, int], list[Weighted]] = {}
        weights = []
        for drive, values in zip(self.plan.drives, stored, strict=True):
            key = (id(drive), id(values))
            if key not in made:
                kept_values = (v for i, v in enumerate(values) if not i or v.any())
                made[key] = [with_weights(drive.op, v) for v in kept_values]
            weights.append(made[key])
        return weights

    def _report_lost(self, exact: Float, kept: Float, log: Log) -> bool:
        """Report weights that vanish or are clipped. Return False if there are none."""
        before, after = int(np.count_nonzero(exact)), int(np.count_nonzero(kept))
        if before > after:
            log.add(
                WeightsVanish(
                    where=self.where,
                    lost=before - after,
                    of=before,
                    which=f"into `{self.name}`",
                    limit=f"{self.bits} bits, one scale a population",
                )
            )
        largest = magnitude(kept)
        clipped = magnitude(exact) * self.k > (most := largest * 1.01 + 2)
        if clipped:
            beyond = int((np.abs(exact * self.k) > most).sum())
            log.add(
                WeightsClipped(
                    where=self.where,
                    population=self.name,
                    number=beyond,
                    weight=float(np.abs(exact).max() * self.k),
                    largest=largest,
                )
            )
        return clipped or before > after

    def _units(self) -> tuple[Float, Int, Int, Int]:
        """Return scale, du, dv and vth."""
        plan = self.plan
        scale = np.full(plan.n, UNIT * self.k) / plan.unit
        vth = np.full(plan.n, int(np.rint(self.k)) if plan.fires else VTH[1])
        return scale, plan.du, plan.dv, np.where(plan.never_rests, 0, vth)

    def neuron(self, log: Log) -> LoihiNeuron:
        """Return the population's integer parameters."""
        plan = self.plan
        scale, du, dv, vth = self._units()
        mant, exp = plan.bias(scale)
        self._report(log)
        start = np.clip(np.rint(plan.start * scale), *STATE).astype(np.int64)
        bias = rule.effective_bias(mant, exp).astype(np.int64)
        v_init = start_value(start, bias, dv, vth, plan.latency_steps)
        v_start, _ = run_without_input(v_init, bias, dv, vth, plan.latency_steps)
        return LoihiNeuron(
            frozen_integers(du),
            frozen_integers(dv),
            frozen_integers(vth),
            frozen_integers(mant),
            frozen_integers(exp),
            frozen_integers(v_start),
            frozen_integers(v_init),
            frozen(scale),
            plan.latency_steps,
            plan.fires,
        )

    def _report(self, log: Log) -> None:
        plan = self.plan
        if plan.never_rests.any():
            log.add(
                ThresholdsClipped(
                    where=self.where,
                    population=self.name,
                    thresholds=int(plan.never_rests.sum()),
                    least=None if plan.d.threshold is None else float(plan.d.threshold.min()),
                    above="v_reset",
                    becomes=0,
                    limit="vth 0 or more, with v_reset as zero",
                    source=LIF_MODELS,
                )
            )
        endless = bool((plan.dv == 0).any())
        if not plan.fires and (self.share < 1 or endless):
            log.add(
                ReadoutMayFire(
                    where=self.where,
                    population=self.name,
                    share=self.share,
                    steps=SLOWEST_READ if endless else None,
                    vth=VTH[1],
                )
            )
        if self.reduced:
            log.add(WeightsReduced(where=self.where, population=self.name, largest=WRAP - 1))


class _PaperPopulation(_Population):
    """A population with the constants of the NIR paper's importer, which looks at no range."""

    def _choose_k(self) -> float:
        return PAPER_K

    def _units(self) -> tuple[Float, Int, Int, Int]:
        plan = self.plan
        kept = np.zeros(plan.n) if plan.d.decay_syn is None else plan.d.decay_syn
        du = np.where(kept > 0, np.trunc(PAPER_DECAY * (1 - kept)), PAPER_DECAY)
        dv = np.trunc(PAPER_DECAY * (1 - plan.d.decay_mem) + 1e-6)
        vth = np.full(plan.n, VTH[1])
        if plan.threshold is not None:
            vth = np.clip((PAPER_VTH * plan.threshold).astype(np.int64) >> 9, *VTH)
        scale = np.full(plan.n, float(UNIT * PAPER_K))
        return scale, du.astype(np.int64), dv.astype(np.int64), vth

    def _exact(self) -> list[Float]:
        return [weights_of(drive.op) for drive in self.plan.drives]

    def _stored(self, k: float) -> list[list[Float]]:
        drives = [replace(drive, value=weights_of(drive.op)) for drive in self.plan.drives]
        return [[drive.rounded(k, drive.value, floor=True)] for drive in drives]

    def _report(self, log: Log) -> None:
        super()._report(log)
        plan = self.plan
        largest = float((plan.reach() * plan.unit).max(initial=0.0)) * PAPER_K * UNIT
        if largest >= WRAP:
            log.add(
                PaperConstantsWrap(
                    where=self.where, population=self.name, u=largest, largest=WRAP - 1
                )
            )
