"""loihi2-quantise: discrete populations to the chip's integers, u proven to stay within its 24
bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.retiming import Timing, retimed
from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.findings import (
    PaperConstantsWrap,
    WeightsClipped,
    WeightsReduced,
)
from nirc.backends.loihi2.kernels import MAX_ENTRIES, KernelCannotBeShared, settled, unrolled
from nirc.backends.loihi2.limits import LIF_MODELS, STATE, VTH, WRAP
from nirc.backends.loihi2.netx import is_line, netx_holds
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron
from nirc.backends.loihi2.plan import (
    LEAST_ROOM,
    PAPER_DECAY,
    PAPER_K,
    PAPER_VTH,
    READ_BITS,
    SLOWEST_READ,
    UNIT,
    Drive,
    Plan,
)
from nirc.backends.loihi2.soft_reset import brake_of, taps_of_a_filter
from nirc.diagnostics.dynamics import ReadoutMayFire, ThresholdsClipped, WeightsVanish
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Conv, Dense, Sparse, Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights

LEAST_WHOLE = 64  # units a threshold that a chain keeps, or network.net is given up (?: a choice)


@dataclass(frozen=True)
class LoihiQuantise:
    """Choose units, exponents and sign modes. ``paper``: the constants of the NIR paper's importer
    instead.

    ``netx``: a chain gets weights without exponents, if that leaves it units enough, so that
    network.net can hold it. ``twice``: what rounding leaves of the weights goes into a second
    projection beside each. ``rounding``: of weights that are stored once, unless they are the
    paper's.
    """

    paper: bool = False
    netx: bool = True
    twice: bool = False
    rounding: Rounding = KEEPING_SUMS
    name: ClassVar[str] = "loihi2-quantise"

    def rounding_by(self, rounding: Rounding) -> LoihiQuantise:
        """The same with another rule by which weights become whole."""
        return replace(self, rounding=rounding)

    def run(self, program: Program, log: Log) -> Program:
        """What would leave a range is cut off with a warning (D412).

        Raises ``CompileError`` (P307).
        """
        braked = any(brake_of(program, name) is not None for name in program.nodes(Population))
        if self.netx and not self.paper and not self.twice and not braked and is_line(program):
            tried = Log(strict=log.strict)
            made = self._quantised(program, tried, whole=True)
            if made is not None and netx_holds(made):
                for diagnostic in tried.diagnostics:
                    log.add(diagnostic)
                return made
        made = self._quantised(program, log, whole=False)
        assert made is not None
        return made

    def _quantised(self, program: Program, log: Log, *, whole: bool) -> Program | None:
        """None if ``whole`` weights leave a population less than ``LEAST_WHOLE`` units a
        threshold.
        """
        found = retimed(program)
        program = _storable(program, found, log, listed=self.twice)
        log.raise_if_errors()
        nodes: dict[str, object] = {}
        edges: list[tuple[str, str, Projection]] = []
        sent = {
            name: name for name in program.graph
        }  # inputs by what makes binary messages of their counts
        for name, payload in program.graph.nodes(data="payload"):
            nodes[name] = payload
            if isinstance(payload, Source):
                sent[name] = program.fresh_name(f"{name}.spikes", nodes)
                nodes[sent[name]] = Population(
                    payload.shape, BinaryInput(), payload.origins, Role.RELAY
                )
                edges.append((name, sent[name], Projection(origins=payload.origins)))
        numbered = [(i, s, t, p) for i, (s, t, p) in enumerate(program.edges())]
        for name, population in populations_of(program, Discrete).items():
            into = [(i, s, p) for i, s, t, p in numbered if t == name]
            brake = None if self.paper else brake_of(program, name)
            quantised = _Population(
                name,
                population,
                [(s, p) for _, s, p in into],
                found.latency_steps[name],
                self,
                whole,
                brake,
            )
            if (
                whole
                and quantised.plan.fires
                and quantised.own_grain is None
                and quantised.k < LEAST_WHOLE
            ):
                return None
            nodes[name] = population.with_dynamics(quantised.neuron(log))
            for (i, source, p), stored in zip(into, quantised.weights(log), strict=True):
                delay = p.delay_steps + found.slow[i]
                edges += [
                    (sent[source], name, replace(p, ops=(op,), biases=(), delay_steps=delay))
                    for op in stored
                ]
        edges += [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def _storable(program: Program, found: Timing, log: Log, *, listed: bool) -> Program:
    """Kernels stay shared where the chip's convolution takes them: no delays, one threshold a
    channel, and neurons that are not split. ``listed``: none stays, since kernels have no
    exponents. P307 if a list would be too long."""
    edges = []
    for (source, target, p), delay in zip(program.edges(), found.delays, strict=True):
        conv = p.ops[0] if p.ops else None
        if isinstance(conv, Conv) and (
            listed or delay or not _uniform(program, source, target, conv)
        ):
            entries = unrolled(p.ops)
            if entries is None:
                where = "/".join(p.origins[:1]) or program[target].origins[0]
                log.add(
                    KernelCannotBeShared(
                        where=where, most=MAX_ENTRIES, population=target, synapses=conv.entries
                    )
                )
                continue
            p = replace(p, ops=(settled(entries) if isinstance(entries, Sparse) else entries,))  # noqa: PLW2901
        edges.append((source, target, p))
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)


def _uniform(program: Program, source: str, target: str, op: Conv) -> bool:
    """Whether neither end is split, and the target has one threshold a channel."""
    for name in (source, target):
        payload = program[name]
        if isinstance(payload, Population):
            plan = Plan(payload, [], 0)
            if (
                len(
                    {
                        *zip(
                            plan.du.tolist(),
                            plan.dv.tolist(),
                            plan.never_rests.tolist(),
                            strict=True,
                        )
                    }
                )
                > 1
            ):
                return False
    unit = Plan(program[target], [], 0).unit.reshape(op.shape_out[0], -1)
    return bool((unit == unit[:, :1]).all())


class _Population:
    """The plan of a population, carried out."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        into: list[tuple[str, Projection]],
        late: int,
        how: LoihiQuantise,
        whole: bool,
        brake: int | None,
    ) -> None:
        self.name, self.population, self.paper, self.twice = name, population, how.paper, how.twice
        self.sources = [source for source, _ in into]
        self.rounding = KEEPING_SUMS if how.twice else how.rounding
        ops = [
            op for _, p in into if isinstance(op := p.ops[0], Weighted)
        ]  # the pass before left no others
        self.plan = Plan(population, ops, late, whole=whole, brake=brake)
        self.tamed = self.plan.fires and not self.paper and self.plan.tame()
        self.taps = taps_of_a_filter(into, brake)
        self.share = (
            1.0  # of its sources that may fire in every step before a readout is read wrongly
        )
        self.own_grain = (
            None if self.paper or self.twice else self.plan.of_the_model(self.plan.most())
        )
        self.k = PAPER_K if self.paper else self._k()

    def _k(self) -> float:
        plan = self.plan
        most = plan.most()
        room = most if plan.fires else VTH[1] / max(plan.readout_reach(), 1e-30)
        if self.own_grain is not None and self.own_grain <= room:
            return self.own_grain
        if not plan.fires:
            useful = min((READ_BITS / max(d.largest, 1e-30) for d in plan.drives), default=most)
            wanted = min(max(room, min(useful, room / LEAST_ROOM)), most)
            self.share, most = min(1.0, room / wanted), wanted
        if self.twice:  # what one weight lacks the other has: only the size of a unit counts
            k = np.floor(max(most, 1.0)) if plan.fires else most
        else:
            k = plan.best(max(most, 1.0) if plan.fires else most)
        least = 1 if plan.fires else 1e-30
        while self._u_reach(k) > WRAP - 2 and k > least:  # rounding may have added some
            k = (
                k * 0.98
                if not plan.fires
                else np.floor(k * 0.98)
                if plan.brake is None
                else plan.braking(k * 0.98)
            )
        return k

    def _u_reach(self, k: float) -> float:
        """The largest u that the rounded weights can bring about."""
        plan = self.plan
        zeros, sums = np.zeros(plan.n), []
        for drive, values in zip(plan.drives, self._stored(k), strict=True):
            parts = [replace(drive, value=value) for value in values]
            above, below = (
                sum((_sums(part, sign, plan.n) for part in parts), zeros) for sign in (1, -1)
            )
            sums.append((above, below))
        return float(plan.reach(k, sums).max() * UNIT)

    def _stored(self, k: float) -> list[list[Float]]:
        """Integer weights of each drive; then, if wanted, what they leave.

        The rest of a tap goes to the next one.
        """
        result: list[list[Float]] = [[] for _ in self.plan.drives]
        for numbers in self.taps:
            left: Float | float = 0.0
            for i in numbers:
                drive = replace(self.plan.drives[i], value=self.plan.drives[i].value + left)
                for _ in range(1 + self.twice):
                    result[i].append(self._whole(self.sources[i], drive, k))
                    drive = replace(drive, value=drive.value - result[i][-1] / k)
                left = drive.value
        return result

    def _whole(self, source: str, drive: Drive, k: float) -> Float:
        """Integer weights, exponent included."""
        step, top = drive.step(k), drive.top
        exact = drive.value * k / step
        return (
            self.rounding.integers(Weights(source, self.plan.d, drive.op, exact, -top, top)) * step
        )

    def weights(self, log: Log) -> list[list[Weighted]]:
        """Integer weights, exponent included, of every projection; what they leave in a second one,
        if wanted.
        """
        drives, stored = self.plan.drives, self._stored(self.k)
        if self.paper:
            drives = [replace(d, value=weights_of(d.op)) for d in drives]
            stored = [[drive.rounded(self.k, floor=True)] for drive in drives]
        for numbers in self.taps:
            exact = sum((drives[i].value for i in numbers[1:]), drives[numbers[0]].value)
            kept = sum((stored[i][0] for i in numbers[1:]), stored[numbers[0]][0])
            self._lost(exact, kept, log)
        return [
            [
                with_weights(drive.op, value)
                for i, value in enumerate(values)
                if not i or value.any()
            ]
            for drive, values in zip(drives, stored, strict=True)
        ]

    def _lost(self, exact: Float, value: Float, log: Log) -> None:
        entries, kept = int(np.count_nonzero(exact)), int(np.count_nonzero(value))
        where = self.population.origins[0]
        if entries > kept:
            log.add(
                WeightsVanish(
                    where=where,
                    lost=entries - kept,
                    of=entries,
                    which=f"into `{self.name}`",
                    limit="8 bits, one scale a population",
                )
            )
        beyond = int((np.abs(exact * self.k) > np.abs(value).max(initial=0.0) * 1.01 + 2).sum())
        if beyond:
            log.add(
                WeightsClipped(
                    where=where,
                    population=self.name,
                    number=beyond,
                    found=float(np.abs(exact).max() * self.k),
                    largest=float(np.abs(value).max()),
                )
            )

    def neuron(self, log: Log) -> LoihiNeuron:
        """The population's integer parameters."""
        plan, n = self.plan, self.plan.n
        du, dv = plan.du, plan.dv
        scale = np.full(n, UNIT * self.k) / plan.unit
        vth = (
            np.where(plan.never_rests, 0, np.full(n, int(np.rint(self.k))))
            if plan.fires
            else np.full(n, VTH[1])
        )
        if self.paper:
            scale = np.full(n, float(UNIT * PAPER_K))
            kept_syn = np.zeros(n) if plan.d.decay_syn is None else plan.d.decay_syn
            du = np.where(kept_syn > 0, np.trunc(PAPER_DECAY * (1 - kept_syn)), PAPER_DECAY).astype(
                np.int64
            )
            dv = np.trunc(PAPER_DECAY * (1 - plan.d.decay_mem) + 1e-6).astype(np.int64)
            if plan.threshold is not None:
                vth = np.clip((PAPER_VTH * plan.threshold).astype(np.int64) >> 9, *VTH)
        mant, exp = plan.bias(scale)
        where = self.population.origins[0]
        if plan.never_rests.any():
            least = None if plan.d.threshold is None else float(plan.d.threshold.min())
            log.add(
                ThresholdsClipped(
                    where=self.population.origins[0],
                    population=self.name,
                    thresholds=int(plan.never_rests.sum()),
                    least=least,
                    above="v_reset",
                    becomes=0,
                    limit="vth 0 or more, with v_reset as zero",
                    source=LIF_MODELS,
                )
            )
        self._read(log)
        if self.tamed:
            log.add(WeightsReduced(where=where, population=self.name, largest=WRAP - 1))
        if self.paper:
            self._may_go_round(log)
        start = np.clip(np.rint(plan.start * scale), *STATE).astype(np.int64)
        bias = rule.effective_bias(mant, exp).astype(np.int64)
        v_init = start_value(start, bias, dv, vth, plan.late)
        v_start = _run_free(v_init, bias, dv, vth, plan.late)
        return LoihiNeuron(
            _kept(du), _kept(dv), _kept(vth), _kept(mant), _kept(exp), _kept(v_start),
            _kept(v_init),
            frozen(scale), plan.late, plan.fires,
        )  # fmt: skip

    def _may_go_round(self, log: Log) -> None:
        """The paper's K = 256 looks at no range: tell where u may leave its 24 bits."""
        plan = self.plan
        largest = float((self.plan.reach() * plan.unit).max(initial=0.0)) * PAPER_K * UNIT
        if largest >= WRAP:
            where = self.population.origins[0]
            log.add(
                PaperConstantsWrap(
                    where=where, population=self.name, found=largest, largest=WRAP - 1
                )
            )

    def _read(self, log: Log) -> None:
        """D423 where a readout is safe for a part of its input only, or for a time."""
        endless = bool((self.plan.dv == 0).any())
        if self.plan.fires or (self.share >= 1 and not endless):
            return
        log.add(
            ReadoutMayFire(
                where=self.population.origins[0],
                population=self.name,
                share=self.share,
                steps=SLOWEST_READ if endless else None,
                vth=VTH[1],
            )
        )


def start_value(start: Int, bias: Int, dv: Int, vth: Int, steps: int) -> Int:
    """v from which ``steps`` steps without input lead exactly to ``start``, or as near as a quiet
    neuron gets.

    Undoes the decay: ``trunc(x (4096 - dv) / 4096) = z`` for x = z 4096 / (4096 - dv), rounded away
    from zero.
    """
    v = start.astype(np.int64)
    top = np.minimum(vth << 6, STATE[1])
    kept = rule.DECAY_UNITY - dv
    for _ in range(steps):
        z = v - bias
        magnitude = np.where(kept > 0, -(-np.abs(z) * rule.DECAY_UNITY // np.maximum(kept, 1)), 0)
        v = np.clip(np.sign(z) * magnitude, STATE[0], top)
    return v


def _run_free(v: Int, bias: Int, dv: Int, vth: Int, steps: int) -> Int:
    """v after ``steps`` steps without input."""
    state = v.astype(np.int32)
    none = np.zeros_like(state)
    for _ in range(steps):
        _, state = rule.fire(rule.membrane_step(state, none, bias.astype(np.int32), dv), vth)
    return state.astype(np.int64)


def _sums(drive: Drive, sign: int, n: int) -> Float:
    """(n,) what all sources bring by weights of one sign."""
    op, value = drive.op, np.maximum(sign * drive.value, 0)
    if isinstance(op, Dense):
        return np.asarray(value.sum(axis=1))
    if isinstance(op, Conv):
        return np.repeat(value.sum(axis=(1, 2, 3)), op.shape_out[1] * op.shape_out[2])
    return np.bincount(op.target, value, minlength=n).astype(np.float64)


def _kept(x: Int) -> Int:
    x = np.array(x, dtype=np.int64)
    x.setflags(write=False)
    return x
