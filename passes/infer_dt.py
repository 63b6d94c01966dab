"""infer-dt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import ClassVar

import numpy as np

from nirc.analysis.step_gain import gain_is_per_step
from nirc.analysis.time_step import AGREE, Evidence, agreed, from_pair
from nirc.diagnostics.graph import GainPerStep
from nirc.diagnostics.log import Log
from nirc.ir.populations import Continuous, Population, Projection, populations_of
from nirc.ir.program import Program
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.writer import Reading, installed_writers

FEW_STEPS = 3.0  # a time constant of fewer steps: r = tau / dt is no longer the likely reading
SHORT_S = 1e-3  # time constants below are not seconds of a neuron


@dataclass(frozen=True)
class InferDt:
    """Set the time step: given by the user, implied by writer or parameters, or refused if
    needed.
    """

    dt_s: float | None = None
    reading: Reading = field(default_factory=lambda: Reading(LETTER, LETTER.defaults()))
    data_dt_s: float | None = None  # of the data at hand
    name: ClassVar[str] = "infer-dt"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P301, P302)."""
        if self.reading.writer.name != LETTER.name:
            return replace(program, dt_s=self._written(program, log))
        evidence = list(
            chain.from_iterable(_evidence(p) for p in populations_of(program, Continuous).values())
        )
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
            log.warning(
                "P310",
                f"a step of {self.dt_s:g} s is used as given; {self.reading.writer.title} steps "
                f"by {writer_dt_s:g} s, "
                "and decays stay those of its own step",
                found=f"{self.dt_s:g} s",
                limit=f"{writer_dt_s:g} s",
                help="leave --dt away: it changes no decay",
            )
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
            listed = "; ".join(f"{e.where}: {e.rule} = {e.dt_s:.6g} s" for e in evidence[:4])
            log.error(
                "P302",
                "the parameters imply different time steps",
                found=listed,
                limit="one dt",
                help="give it with --dt SECONDS",
            )
        elif (where := _needs_dt(program)) and self.data_dt_s is not None:
            log.note("P309", f"dt = {self.data_dt_s:g} s, the step of the data", where=where[0])
            return self.data_dt_s
        elif where:
            log.error(
                "P301",
                "the file does not tell its time step",
                where=where[0],
                found="no gain above 1 beside a time constant",
                help=_advice(program, self.reading),
            )
        return None


def _report_inferred(dt_s: float, evidence: list[Evidence], log: Log) -> None:
    """Report P309: a note, or a warning for a long step, which suggests another meaning of r."""
    coarse = [e for e in evidence if e.tau_s / dt_s < FEW_STEPS]
    if not coarse:
        log.note("P309", f"dt = {dt_s:g} s, from {evidence[0].rule}", where=evidence[0].where)
        return
    first = coarse[0]
    log.warning(
        "P309",
        f"dt = {dt_s:g} s is taken from {first.rule}: a time constant of {first.tau_s / dt_s:.3g} "
        "steps",
        where=first.where,
        found=f"{first.tau_s:g} s",
        limit=f"{FEW_STEPS:g} steps or more, where r is surely tau / dt",
        help="if r is a gain and no step, give the network's own step, such as --dt "
        f"{first.tau_s / 20:.1g}; "
        f"if it is right, --dt {dt_s:g} says so",
    )


def _report_other(dt_s: float, inferred: float, evidence: list[Evidence], log: Log) -> None:
    """Report P310: a warning, or a note if time constants of a few inferred steps suggest that r is
    a gain.
    """
    first = evidence[0]
    where, found, limit = first.where, f"{dt_s:g} s", f"{inferred:g} s ({first.rule})"
    if any(e.tau_s / inferred < FEW_STEPS for e in evidence):
        message = (
            f"dt = {dt_s:g} s is used as given, and {first.rule.partition(' / ')[2]} as a gain"
        )
        log.note("P310", message, where=where, found=found, limit=limit)
        return
    log.warning(
        "P310",
        f"dt = {dt_s:g} s is used as given; the parameters suggest {inferred:g} s",
        where=where,
        found=found,
        limit=limit,
        help=f"leave --dt away if the network was trained with {inferred:g} s: with {dt_s:g} s "
        "its decays are others, "
        f"and an input counts {dt_s / inferred:.3g} times as much",
    )


def _advice(program: Program, reading: Reading) -> str:
    """Return advice for this file, by its candidates and by the size of its time constants."""
    dynamics = [p.dynamics for p in populations_of(program, Continuous).values()]
    taus = [d.tau_mem_s for d in dynamics if d.tau_mem_s is not None]
    taus += [d.tau_syn_s for d in dynamics if d.tau_syn_s is not None]
    if not taus:
        return "give it with --dt SECONDS, as in the training script"
    fastest, slowest = min(float(t.min()) for t in taus), max(float(t.max()) for t in taus)
    if usual := _usual_steps(reading, fastest):
        return usual
    if fastest >= 1.0:
        return (
            f"time constants of {fastest:g} with r = 1 are steps, as Sinabs writes them: --from "
            "sinabs; "
            "if they are seconds, give the step of the training script with --dt SECONDS"
        )
    if slowest < SHORT_S:
        return (
            "time constants below 1 ms with r = 1 are tau times dt, as Norse writes them: --from "
            "norse,dt=1e-3; "
            "if they are seconds, give the step of the training script with --dt SECONDS, below "
            f"{fastest:g}"
        )
    return (
        "give the step of the training script with --dt SECONDS: often 1e-3 or 1e-4, and below "
        f"{fastest:g}, the "
        "shortest time constant; or say who wrote the file with --from"
    )


def _usual_steps(reading: Reading, fastest: float) -> str:
    """Return the steps of the candidates, or an empty text if none has a step of its own."""
    writers = [w for name, w in installed_writers().items() if name in reading.candidates]
    asked = []
    for writer in writers:
        if (step := writer.usual_step) is not None:
            letter = f", or --dt {step} by NIR's letter" if float(step) < fastest else ""
            asked.append(f"{writer.title} steps by {step} s: --from {writer.name}{letter}")
    return "; ".join(asked)


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
    delays = [
        p.origins[0] for _, _, p in program.edges() if isinstance(p, Projection) and p.delay_s > 0
    ]
    return timed + delays


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
    return program.mapped(changed)
