"""infer-dt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import ClassVar

import numpy as np

from nirc.analysis.time_step import AGREE, Evidence, agreed, from_pair, gain_is_per_step
from nirc.diagnostics.graph import GainPerStep
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import (
    TimeStepContradiction,
    TimeStepDiffers,
    TimeStepInferred,
    TimeStepUnknown,
    WriterStepDiffers,
)
from nirc.ir.populations import Continuous, Population, Projection, populations_of
from nirc.ir.program import Program
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.writer import Reading, installed_writers

FEW_STEPS = 3.0  # a time constant of fewer steps: r = tau / dt is no longer the likely reading


@dataclass(frozen=True)
class InferDt:
    """Set the time step: the user's, or the step that the writer or the parameters imply."""

    dt_s: float | None = None
    reading: Reading = field(default_factory=lambda: Reading(LETTER, LETTER.defaults()))
    data_dt_s: float | None = None  # of the data at hand
    name: ClassVar[str] = "infer-dt"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P301, P302)."""
        if self.reading.writer.name != LETTER.name:
            dt_s = self._written(program, log)
            if dt_s is None:
                dt_s = self._of_data(program, _delays(program), log)
            log.raise_if_errors()
            return replace(program, dt_s=dt_s)
        populations = populations_of(program, Continuous).values()
        evidence = list(chain.from_iterable(_evidence(p) for p in populations))
        dt_s = self._choose(program, evidence, log)
        log.raise_if_errors()
        return _read_integrators(replace(program, dt_s=dt_s), log)

    def _written(self, program: Program, log: Log) -> float | None:
        """Return the writer's step. A step of the user sets the time only, and changes no neuron.

        A writer's step of 1 is not in seconds: the simulator counts steps.
        """
        writer_dt_s = self.reading.writer.time_step(program, self.reading.values)
        writer_dt_s = None if writer_dt_s == 1.0 else writer_dt_s
        if (
            self.dt_s is not None
            and writer_dt_s is not None
            and abs(writer_dt_s / self.dt_s - 1) > AGREE
        ):
            title = self.reading.writer.title
            log.add(WriterStepDiffers(dt_s=self.dt_s, suggested_s=writer_dt_s, rule=title))
        return writer_dt_s if self.dt_s is None else self.dt_s

    def _choose(self, program: Program, evidence: list[Evidence], log: Log) -> float | None:
        inferred = agreed(evidence)
        if self.dt_s is not None:
            if inferred is not None and abs(inferred / self.dt_s - 1) > AGREE:
                _report_other(self.dt_s, inferred, evidence, log)
            return self.dt_s
        if inferred is not None:
            _report_inferred(inferred, evidence, log)
            return inferred
        if evidence:
            implied = tuple((e.where, e.rule, e.dt_s) for e in evidence)
            log.add(TimeStepContradiction(implied=implied))
            return None
        return self._of_data(program, _needs_dt(program), log)

    def _of_data(self, program: Program, where: list[str], log: Log) -> float | None:
        """Return the step of the data, or report P301 for what is at ``where`` and needs one."""
        if not where:
            return None
        if self.data_dt_s is None:
            log.add(_unknown(program, self.reading, where[0]))
        else:
            log.add(TimeStepInferred(where=where[0], dt_s=self.data_dt_s))
        return self.data_dt_s


def _report_inferred(dt_s: float, evidence: list[Evidence], log: Log) -> None:
    """Report P309: a note, or a warning for a long step, which suggests another meaning of r."""
    long = [e for e in evidence if e.tau_s / dt_s < FEW_STEPS]
    first = (long or evidence)[0]
    log.add(
        TimeStepInferred(
            where=first.where,
            dt_s=dt_s,
            rule=first.rule,
            tau_s=first.tau_s if long else None,
            least_steps=FEW_STEPS,
        )
    )


def _report_other(dt_s: float, inferred_s: float, evidence: list[Evidence], log: Log) -> None:
    """Report P310: a warning, or a note if r is more likely a gain."""
    first = evidence[0]
    is_gain = any(e.tau_s / inferred_s < FEW_STEPS for e in evidence)
    log.add(
        TimeStepDiffers(
            where=first.where,
            dt_s=dt_s,
            suggested_s=inferred_s,
            rule=first.rule,
            is_gain=is_gain,
        )
    )


def _unknown(program: Program, reading: Reading, where: str) -> TimeStepUnknown:
    """Return P301 with the range of the time constants and the steps of the candidate writers."""
    dynamics = [p.dynamics for p in populations_of(program, Continuous).values()]
    taus = [d.tau_mem_s for d in dynamics if d.tau_mem_s is not None]
    taus += [d.tau_syn_s for d in dynamics if d.tau_syn_s is not None]
    writers = [w for name, w in installed_writers().items() if name in reading.candidates]
    return TimeStepUnknown(
        where=where,
        fastest_s=min((float(tau_s.min()) for tau_s in taus), default=None),
        slowest_s=max((float(tau_s.max()) for tau_s in taus), default=None),
        usual_steps=tuple(
            (w.title, w.name, w.usual_step) for w in writers if w.usual_step is not None
        ),
    )


def _evidence(population: Population[Continuous]) -> list[Evidence]:
    d = population.dynamics
    where = population.origins[0]
    membrane = from_pair(f"{where}/r", "tau / r", d.tau_mem_s, d.r)
    synapse = from_pair(f"{where}/w_in", "tau_syn / w_in", d.tau_syn_s, d.w_in)
    return [e for e in (membrane, synapse) if e is not None]


def _needs_dt(program: Program) -> list[str]:
    """Return the origins of time constants, gains per second and delays."""
    timed = [
        p.origins[0] for p in populations_of(program, Continuous).values() if _is_timed(p.dynamics)
    ]
    return timed + _delays(program)


def _delays(program: Program) -> list[str]:
    """Return the origins of delays, also of those that only a constant passes."""
    every = [p for _, _, p in program.edges() if isinstance(p, Projection)]
    return [p.origins[0] for p in every if p.delay_s > 0 or any(b.onset_s > 0 for b in p.biases)]


def _is_timed(d: Continuous) -> bool:
    if d.kind in ("I", "IF") and d.r is not None:
        return not gain_is_per_step(d.r, None)
    return d.tau_mem_s is not None or d.tau_syn_s is not None


def _read_integrators(program: Program, log: Log) -> Program:
    """Decide for each integrator if its gain is per step or per second."""
    changed = {}
    for name, population in populations_of(program, Continuous).items():
        d = population.dynamics
        if d.kind in ("I", "IF") and d.r is not None and not d.per_step:
            per_step = gain_is_per_step(d.r, program.dt_s)
            if per_step:
                where = f"{population.origins[0]}/r"
                log.add(GainPerStep(where=where, population=name, gain=float(np.median(d.r))))
            changed[name] = replace(population, dynamics=replace(d, per_step=per_step))
    return program.mapped(changed) if changed else program
