"""discretise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.time_step import MAX_STEPS, steps_of_delay
from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import DelayRounded, TimeConstantBelowStep
from nirc.ir.populations import Continuous, Discrete, Population, Projection, populations_of
from nirc.ir.program import Form, Program
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.writer import Reading, Setting, Writer, memoryless

TOLERANCE_STEPS = 1e-3  # of a delay
MAX_VALUE = 1e100  # of a coefficient or weight, and of a chain: squares and sums stay finite


@dataclass(frozen=True)
class Discretise:
    """Compute one step of dt for every population, by the rule of the file's writer."""

    reading: Reading = field(default_factory=lambda: Reading(LETTER, LETTER.defaults()))
    name: ClassVar[str] = "discretise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P303, P304), ``InputError`` (F110) for overflowing numbers."""
        writer = self.reading.writer
        values = self.reading.values
        writer_dt_s = writer.time_step(program, values)
        dt_s = program.dt_s if writer_dt_s is None else writer_dt_s
        feeds_itself = {s for s, t, _ in program.edges() if s == t}
        nodes = dict(program.graph.nodes(data="payload"))
        training = {}
        for name, population in populations_of(program, Continuous).items():
            c = population.dynamics
            setting = Setting(dt_s, values, name in feeds_itself)
            n = population.n
            d = memoryless(c, n) if c.kind == "Threshold" else writer.step(c, n, setting)
            training[name] = self.reading.training(c, setting)
            nodes[name] = population.with_dynamics(d)
            _refuse_fast(population, c, d, dt_s, writer, log)
        edges = [(s, t, _in_steps(p, program.dt_s, log)) for s, t, p in program.edges()]
        _refuse_overflow(nodes, edges, log)
        log.raise_if_errors()
        if all(p is new for (_, _, p), (_, _, new) in zip(program.edges(), edges, strict=True)):
            return program.mapped(nodes, form=Form.DISCRETE, training=training)
        return program.rebuilt(nodes, edges, form=Form.DISCRETE, training=training)


def _refuse_fast(
    population: Population[Continuous],
    c: Continuous,
    d: Discrete,
    dt_s: float | None,
    writer: Writer,
    log: Log,
) -> None:
    """Report P303 if a state oscillates, because its time constant is below the time step."""
    mem = "tau" if c.kind in ("LI", "LIF") else "tau_mem"
    for name, tau_s, decay in (
        (mem, c.tau_mem_s, d.decay_mem),
        ("tau_syn", c.tau_syn_s, d.decay_syn),
    ):
        if tau_s is not None and decay is not None and (decay < 0).any():
            log.add(
                TimeConstantBelowStep(
                    where=f"{population.origins[0]}/{name}",
                    parameter=name,
                    below=int((decay < 0).sum()),
                    neurons=tau_s.size,
                    fastest_s=float(tau_s.min()),
                    dt_s=dt_s,
                    writer="" if writer.name == LETTER.name else writer.name,
                    writer_title=writer.title,
                    writer_asks_dt=any(choice.key == "dt" for choice in writer.choices),
                )
            )


def _refuse_overflow(
    nodes: dict[str, object], edges: list[tuple[str, str, Projection]], log: Log
) -> None:
    """Report F110 if a number is not finite, or too large to continue (like 1e200 times 1e200)."""
    numbers = [
        (p.origins[0], _largest(vars(p.dynamics).values()))
        for p in nodes.values()
        if isinstance(p, Population)
    ]
    for source, target, p in edges:
        if not p.ops and not p.biases:
            continue
        factors = [_largest(vars(op).values()) for op in p.ops]
        most = _largest([*factors, float(np.prod(factors)), *(b.value for b in p.biases)])
        numbers.append((p.origins[0] if p.origins else f"edges/{source}/{target}", most))
    for where, most in numbers:
        if not most <= MAX_VALUE:
            problem = (
                "parameters, or their product along linear layers, are too large to compute with"
            )
            log.add(
                ValueOutsideDomain(
                    where=where,
                    problem=problem,
                    found=f"{most:.3g}",
                    limit=f"{MAX_VALUE:g}",
                    help="check the training run or the export",
                )
            )


def _largest(values: Iterable[object]) -> float:
    """Return the largest magnitude of the numbers and arrays in ``values``, NaN if any is NaN."""
    numbers = [v for v in values if isinstance(v, float | np.ndarray) and np.size(v)]
    ends = [(np.min(v), np.max(v)) for v in numbers]  # magnitudes of a large matrix take long
    return float(np.max(np.abs(ends), initial=0.0))


def _in_steps(projection: Projection, dt_s: float | None, log: Log) -> Projection:
    if not projection.delay_s and not projection.biases and not projection.delay_steps:
        return projection
    where = "/".join(projection.origins[:1])
    biases = tuple(
        replace(b, onset_steps=_steps(b.onset_s, dt_s, where, log)) for b in projection.biases
    )
    delay_steps = _steps(projection.delay_s, dt_s, where, log)
    return replace(projection, delay_steps=delay_steps, biases=biases)


def _steps(delay_s: float, dt_s: float | None, where: str, log: Log) -> int:
    """Return the nearest number of steps, and report P304 if it is not near enough."""
    steps = steps_of_delay(delay_s, dt_s)
    if not steps or dt_s is None:
        return 0
    exact = delay_s / dt_s
    if abs(exact - steps) > TOLERANCE_STEPS:
        log.add(
            DelayRounded(
                where=where,
                delay_s=delay_s,
                exact_steps=exact,
                steps=steps,
                most_steps=MAX_STEPS,
            )
        )
    return steps
