"""discretise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from nirc.analysis.step_gain import euler, exponential
from nirc.analysis.time_step import MAX_STEPS, whole_steps
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete, Population, Projection
from nirc.ir.program import Form, Program

MAX_VALUE = 1e100  # of a coefficient or weight, and of a chain of them: squares and sums of these stay finite


@dataclass(frozen=True)
class Discretise:
    """Coefficients per step of dt: forward Euler as the exporters do it, or the exact exponential."""

    method: Literal["euler", "exponential"] = "euler"
    name: ClassVar[str] = "discretise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P303, P304), ``InputError`` (F110) for numbers that would overflow."""
        nodes = dict(program.graph.nodes(data="payload"))
        for name, population in program.nodes(Population).items():
            nodes[name] = replace(population, dynamics=self._dynamics(population, program.dt_s, log))
        edges = [(s, t, _in_steps(p, program.dt_s, log)) for s, t, p in program.edges()]
        _refuse_overflow(nodes, edges, log)
        log.raise_if_errors()
        return program.rebuilt(nodes, edges, form=Form.DISCRETE)

    def _dynamics(self, population: Population, dt_s: float | None, log: Log) -> Discrete:
        d = population.dynamics
        assert isinstance(d, Continuous)
        n = population.n
        zeros, ones = frozen(np.zeros(n)), frozen(np.ones(n))
        v_leak = zeros if d.v_leak is None else d.v_leak
        if d.kind == "Threshold":
            return Discrete(zeros, ones, zeros, threshold=d.v_threshold, v_reset=zeros)
        r = ones if d.r is None else d.r
        if d.tau_mem_s is None:
            gain = r if d.per_step or dt_s is None else r * dt_s
            decay, drift = ones, zeros
        else:
            field = "tau" if d.kind in ("LI", "LIF") else "tau_mem"
            decay, gain = self._step(population, field, d.tau_mem_s, r, dt_s, log)
            drift = np.where(np.isinf(d.tau_mem_s), 0.0, (1.0 - decay) * v_leak)
        decay_syn: Float | None = None
        gain_syn: Float | None = None
        if d.tau_syn_s is not None:
            w_in = ones if d.w_in is None else d.w_in
            decay_syn, gain_syn = self._step(population, "tau_syn", d.tau_syn_s, w_in, dt_s, log)
            decay_syn, gain_syn = frozen(decay_syn), frozen(gain_syn)
        return Discrete(frozen(decay), frozen(gain), frozen(drift), decay_syn, gain_syn, d.v_threshold, d.v_reset)

    def _step(
        self, population: Population, field: str, tau_s: Float, gain: Float, dt_s: float | None, log: Log
    ) -> tuple[Float, Float]:
        assert dt_s is not None  # infer-dt refuses otherwise
        # A step longer than tau turns Euler's decay negative; float32 may put it a hair above.
        if self.method == "euler" and (tau_s < dt_s * (1 - 1e-5)).any():
            log.error(
                "P303",
                f"{int((tau_s < dt_s).sum())} of {tau_s.size} neurons have a {field} below the time step",
                where=f"{population.origins[0]}/{field}",
                found=f"{tau_s.min():g} s",
                limit=f"dt = {dt_s:g} s",
                help="give a smaller --dt, or --discretise exponential",
            )
        if self.method == "euler":
            return euler(np.maximum(tau_s, dt_s), gain, dt_s)
        return exponential(tau_s, gain, dt_s)


def _refuse_overflow(nodes: dict[str, object], edges: list[tuple[str, str, Projection]], log: Log) -> None:
    """Report F110 where a number is not finite or too large to go on with: 1e200 times 1e200 is no weight."""
    found = [(p.origins[0], _largest(vars(p.dynamics).values())) for p in nodes.values() if isinstance(p, Population)]
    for source, target, p in edges:
        factors = [_largest(vars(op).values()) for op in p.ops]
        most = _largest([*factors, float(np.prod(factors)), *(b.value for b in p.biases)])
        found.append((p.origins[0] if p.origins else f"edges/{source}/{target}", most))
    for where, most in found:
        if not most <= MAX_VALUE:
            log.error(
                "F110",
                "parameters, or their product along linear layers, are too large to compute with",
                where=where,
                found=f"{most:.3g}",
                limit=f"{MAX_VALUE:g}",
                help="check the training run or the export",
            )


def _largest(values: Iterable[object]) -> float:
    """The largest magnitude among the numbers and arrays in ``values``; NaN if one is NaN."""
    numbers = [v for v in values if isinstance(v, float | np.ndarray) and np.size(v)]
    return float(np.max([np.max(np.abs(v)) for v in numbers], initial=0.0))


def _in_steps(projection: Projection, dt_s: float | None, log: Log) -> Projection:
    biases = tuple(replace(b, onset_steps=_steps(b.onset_s, dt_s, projection, log)) for b in projection.biases)
    return replace(projection, delay_steps=_steps(projection.delay_s, dt_s, projection, log), biases=biases)


def _steps(delay_s: float, dt_s: float | None, projection: Projection, log: Log) -> int:
    steps = whole_steps(delay_s, dt_s)
    if not steps or dt_s is None:
        return 0
    exact = delay_s / dt_s
    if exact > MAX_STEPS:
        log.error(
            "P304",
            "a delay takes too many steps",
            where="/".join(projection.origins[:1]),
            found=f"{delay_s:g} s, {exact:.4g} steps",
            limit=f"{MAX_STEPS} steps",
            help="delays are in seconds: give a longer --dt, or shorten the delay",
        )
    elif abs(exact - steps) > 1e-3:
        log.warning(
            "P304",
            f"a delay of {delay_s:g} s becomes {steps} step(s)",
            where="/".join(projection.origins[:1]),
            found=f"{exact:.4g} steps",
            limit="whole steps",
            help="give a --dt that divides the delay",
        )
    return steps
