"""Differences between the chip's dynamics and the model's, in timing and in kind.

An input reaches hidden neurons in its own step. A spike of a hidden neuron takes one step to any
other neuron (targets sheet, section 2). The model lets spikes cross a feed-forward network at once,
so every layer is one step later than its source. Where paths disagree, or a loop has several
populations, no shift makes up for it.
"""

from __future__ import annotations

from itertools import chain

import networkx as nx
import numpy as np

from nirc.analysis import rule_differences
from nirc.analysis.retiming import Edge, retime
from nirc.analysis.rule_differences import ChipRule
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, MAX_OUTPUT_SPIKES
from nirc.backends.xylo.neuron import chip_decay, nearest_dash
from nirc.diagnostics.dynamics import (
    XYLOSIM,
    ConstantSkipsSynapse,
    LoopTakesLonger,
    NoIntegrator,
    PathsOfDifferentLength,
    SynapseFilters,
    ThresholdFiltered,
)
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import DecayRounded
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population, Role, Sink, Source, populations_of
from nirc.ir.program import Program, Training
from nirc.ir.rules import Rule, plain

EXACT = 1e-4  # relative difference of a decay that float32 parameters leave


def latencies(program: Program) -> dict[str, int]:
    """Return the steps by which each node's signal is later on the chip.

    The longest path decides. Delays compensate hops.
    """
    edges = [Edge(s, t, p.lag, hop(program, s, t)) for s, t, p in program.edges()]
    return retime(program.graph, edges).latency_steps


def earliest(program: Program) -> dict[str, int]:
    """Return the steps after an input's in which each node's signal can appear at all.

    The shortest path decides.
    """
    reached: set[str] = set()
    for source in program.nodes(Source):
        reached |= nx.descendants(program.graph, source)
    at = {name: len(reached) if name in reached else 0 for name in program.graph}
    for _ in at:
        for source, target, _ in program.edges():
            at[target] = min(at[target], at[source] + hop(program, source, target))
    return at


def hop(program: Program, source: str, target: str) -> int:
    """Return the steps that the chip needs from ``source`` to ``target``."""
    return int(isinstance(program[source], Population) and not isinstance(program[target], Sink))


def retimed(program: Program, latency_steps: dict[str, int]) -> tuple[tuple[str, str, int], ...]:
    """Return source, target and extra steps of projections that no latency accounts for."""
    rows = []
    for source, target, p in program.edges():
        if isinstance(program[target], Population):
            extra = latency_steps[source] + hop(program, source, target) - latency_steps[target]
            if extra != p.lag:
                rows.append((source, target, extra - p.lag))
    return tuple(sorted(set(rows)))


def report_timing(program: Program, latency_steps: dict[str, int], log: Log) -> None:
    """Report D406 and D407 where the chip's timing is not a mere shift of the model's."""
    for source, target, p in program.edges():
        extra = latency_steps[source] + hop(program, source, target) - latency_steps[target] - p.lag
        is_wire = isinstance(program[source], Source) and isinstance(program[target], Sink)
        if extra == 0 or is_wire:
            continue
        where = "/".join(p.origins[:1]) or program[target].origins[0]
        if extra > 0:
            rule = "one step for every hop between hidden neurons"
            log.add(
                LoopTakesLonger(where=where, source=source, target=target, steps=extra, rule=rule)
            )
            continue
        log.add(
            PathsOfDifferentLength(
                where=where,
                source=source,
                target=target,
                steps=-extra,
                by_delay=p.delay_steps > 0,
            )
        )


def report(program: Program, log: Log) -> None:
    """Report D401 to D413 for every population of the legalised discrete ``program``."""
    rule_differences.report(program, chip_rule(program), XYLOSIM, log)
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        if population.role is Role.RELAY:
            continue
        where = population.origins[0]
        _report_decays(name, d, where, program.training.get(name, Training()), log)
        if d.decay_syn is None and d.decay_mem.any():
            log.add(SynapseFilters(where=where, population=name))
        biases = chain.from_iterable(p.biases for _, p in program.into(name))
        constants = [b for b in biases if b.value.any()]
        if constants and (d.decay_syn is not None or any(b.onset_steps for b in constants)):
            log.add(ConstantSkipsSynapse(where=where, population=name))


def chip_rule(program: Program) -> ChipRule:
    """Return the chip's rule: subtraction at once, up to 31 spikes a step, one of a readout neuron.

    A relay is the chip's own. Thresholds are integers, so both comparisons are exact.
    """
    outputs = readouts(program)

    def rule(name: str, d: Discrete) -> Rule:
        if d.rule.fires is None or program[name].role is Role.RELAY:
            return d.rule
        most = MAX_OUTPUT_SPIKES if name in outputs else MAX_HIDDEN_SPIKES
        return plain("subtract", synapse=True, at=d.rule.fires.at, most=most)

    return rule


def _report_decays(name: str, d: Discrete, where: str, training: Training, log: Log) -> None:
    if not d.decay_mem.any():
        if d.decay_syn is None:
            log.add(ThresholdFiltered(where=where, population=name))
        return
    integrates = d.decay_mem >= 1
    if integrates.any():
        count = int(integrates.sum())
        log.add(NoIntegrator(where=where, population=name, integrators=count))
    parameters = (("tau_mem", d.decay_mem[~integrates], 0), ("tau_syn", d.decay_syn, 1))
    for parameter, decay, least in parameters:
        if decay is not None and decay.size:
            _report_rounding(name, parameter, decay, least, where, training, log)


def _report_rounding(
    name: str, parameter: str, decay: Float, least: int, where: str, training: Training, log: Log
) -> None:
    chip = chip_decay(nearest_dash(decay, least=least))
    off = np.abs(chip - decay) > EXACT * np.maximum(1.0 - decay, EXACT)
    if not off.any():
        return
    with np.errstate(divide="ignore"):
        worst = int(np.argmax(np.abs(np.log((1.0 - decay) / (1.0 - chip)))))
    log.add(
        DecayRounded(
            where=f"{where}/{parameter}",
            population=name,
            parameter=parameter,
            rounded=int(off.sum()),
            neurons=decay.size,
            exact=training.time_constant(float(decay[worst])),
            chip=training.time_constant(float(chip[worst])),
            training=training.with_decay(parameter, float(chip[worst])),
        )
    )
