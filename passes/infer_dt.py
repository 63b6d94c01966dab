"""infer-dt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.step_gain import gain_is_per_step
from nirc.analysis.time_step import AGREE, Evidence, agreed, from_pair, is_round, rockpool, rounded
from nirc.diagnostics.log import Log
from nirc.ir.populations import Continuous, Population, Projection
from nirc.ir.program import Program


@dataclass(frozen=True)
class InferDt:
    """Set the time step: as given, else as the parameters imply, else refuse if anything depends on it."""

    dt_s: float | None = None
    name: ClassVar[str] = "infer-dt"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P301, P302)."""
        evidence = [e for n, p in program.nodes(Population).items() for e in _evidence(n, p)]
        dt_s = self._choose(program, evidence, log)
        log.raise_if_errors()
        return _read_integrators(program.having(dt_s=dt_s), log)

    def _choose(self, program: Program, evidence: list[Evidence], log: Log) -> float | None:
        inferred = agreed(evidence)
        if inferred is not None and not is_round(inferred):
            inferred = _as_rockpool(program, log) or inferred
        if self.dt_s is not None:
            if inferred is not None and abs(inferred / self.dt_s - 1) > AGREE:
                log.warning(
                    "P310",
                    f"dt = {self.dt_s:g} s is used as given; the parameters suggest {inferred:g} s",
                    where=evidence[0].where,
                    found=f"{self.dt_s:g} s",
                    limit=f"{inferred:g} s ({evidence[0].rule})",
                )
            return self.dt_s
        if inferred is not None:
            log.note("P309", f"dt = {inferred:g} s, from {evidence[0].rule}", where=evidence[0].where)
            return inferred
        if evidence:
            told = "; ".join(f"{e.where}: {e.rule} = {e.dt_s:.6g} s" for e in evidence[:4])
            log.error(
                "P302",
                "the parameters imply different time steps",
                found=told,
                limit="one dt",
                help="give it with --dt SECONDS",
            )
        elif _needs_dt(program):
            log.error(
                "P301",
                "the file does not tell its time step",
                where=_needs_dt(program)[0],
                found="no gain above 1 beside a time constant",
                help="give it with --dt SECONDS, e.g. --dt 1e-4",
            )
        return None


def _evidence(name: str, population: Population) -> list[Evidence]:
    d = population.dynamics
    assert isinstance(d, Continuous)
    where = population.origins[0]
    membrane = from_pair(f"{where}/r", "tau / r", d.tau_mem_s, d.r)
    synapse = from_pair(f"{where}/w_in", "tau_syn / w_in", d.tau_syn_s, d.w_in)
    return [e for e in (membrane, synapse) if e is not None]


def _as_rockpool(program: Program, log: Log) -> float | None:
    """The step that Rockpool's exporter means, if it makes every neuron's step round."""
    steps = []
    for population in program.nodes(Population).values():
        d = population.dynamics
        if isinstance(d, Continuous) and d.tau_mem_s is not None and d.r is not None and (d.r > 1).all():
            steps.append(rounded(rockpool(float(np.median(d.tau_mem_s)), float(np.median(d.r)))))
    if not steps or not is_round(steps[0]) or any(abs(s / steps[0] - 1) > AGREE for s in steps):
        return None
    log.note("P309", f"dt = {steps[0]:g} s as Rockpool exports it: r = tau / dt * exp(-dt / tau)")
    return steps[0]


def _needs_dt(program: Program) -> list[str]:
    """Origins of what has a time constant, a gain per second or a delay."""
    timed = [
        p.origins[0]
        for p in program.nodes(Population).values()
        if isinstance(p.dynamics, Continuous) and _is_timed(p.dynamics)
    ]
    delays = [p.origins[0] for _, _, p in program.edges() if isinstance(p, Projection) and p.delay_s > 0]
    return timed + delays


def _is_timed(d: Continuous) -> bool:
    if d.kind in ("I", "IF") and d.r is not None:
        return not gain_is_per_step(d.r, None)
    return d.tau_mem_s is not None or d.tau_syn_s is not None


def _read_integrators(program: Program, log: Log) -> Program:
    """Decide for each integrator whether its gain is per step or per second."""
    changed = {}
    for name, population in program.nodes(Population).items():
        d = population.dynamics
        if isinstance(d, Continuous) and d.kind in ("I", "IF") and d.r is not None and not d.per_step:
            per_step = gain_is_per_step(d.r, program.dt_s)
            if per_step:
                log.note(
                    "G217",
                    f"`{name}`: r is read as the gain of one step, as exporters mean it",
                    where=f"{population.origins[0]}/r",
                    found=f"{np.median(d.r):g}",
                )
            changed[name] = replace(population, dynamics=replace(d, per_step=per_step))
    return program.mapped(changed)
