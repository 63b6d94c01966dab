"""Where the chip's dynamics differ in kind from the model's: one finding for each population and
kind.
"""

from __future__ import annotations

import numpy as np

from nirc.analysis import rule_differences
from nirc.analysis.rule_differences import ChipRule
from nirc.backends.xylo import dash
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, MAX_OUTPUT_SPIKES
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Role, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import Rule, plain
from nirc.ir.training import Training

RULE = "xylosim 0.1.3, measured"
EXACT = 1e-4  # relative difference of a decay that float32 parameters leave


def report(program: Program, log: Log) -> None:
    """Log D401 to D413 for every population of the legalised discrete ``program``."""
    rule_differences.report(program, chip_rule(program), RULE, log)
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        if population.role is Role.RELAY:
            continue
        where = population.origins[0]
        _decays(name, d, where, program.training.get(name, Training()), log)
        if d.decay_syn is None and d.decay_mem.any():
            log.differs(
                "D403",
                f"`{name}` has no synaptic filter, the chip's shortest halves its input each step",
                where=where,
                found="dash 1: a weight arrives as w/2, w/4, ...",
                source=RULE,
                help="train with a synaptic time constant (CubaLIF)",
            )
        _bias(program, name, d, where, log)


def chip_rule(program: Program) -> ChipRule:
    """Subtraction at once, up to 31 spikes a step of hidden neurons and one of readouts.

    A relay is the chip's own.
    """
    outputs = readouts(program)

    def rule(name: str, d: Discrete) -> Rule:
        if d.rule.fires is None or program[name].role is Role.RELAY:
            return d.rule
        most = MAX_OUTPUT_SPIKES if name in outputs else MAX_HIDDEN_SPIKES
        return plain(
            "subtract", synapse=True, at=d.rule.fires.at, most=most
        )  # thresholds are whole: both are exact

    return rule


def _decays(name: str, d: Discrete, where: str, training: Training, log: Log) -> None:
    if not d.decay_mem.any():
        if d.decay_syn is None:
            log.differs(
                "D413", f"`{name}` has no memory, the chip's synapse has", where=where, source=RULE
            )
        return
    integrates = d.decay_mem >= 1
    if integrates.any():
        log.differs(
            "D405",
            f"{int(integrates.sum())} neuron(s) of `{name}` are integrators; the chip loses 1 "
            "unit a step",
            where=where,
            found="dash 15",
            source=RULE,
            help="train with a finite membrane time constant",
        )
    for field, decay, least in (
        ("tau_mem", d.decay_mem[~integrates], 0),
        ("tau_syn", d.decay_syn, 1),
    ):
        if decay is not None and decay.size:
            _decay(name, field, decay, least, where, training, log)


def _decay(
    name: str, field: str, decay: Float, least: int, where: str, training: Training, log: Log
) -> None:
    shift = dash.nearest_dash(decay, least=least)
    chip = 1.0 - 2.0**-shift
    off = np.abs(chip - decay) > EXACT * np.maximum(1.0 - decay, EXACT)
    if not off.any():
        return
    with np.errstate(divide="ignore"):
        worst = int(np.argmax(np.abs(np.log((1.0 - decay) / (1.0 - chip)))))
    exact, kept = float(decay[worst]), float(chip[worst])
    log.warning(
        "D402",
        f"{field} of `{name}`: {int(off.sum())} of {decay.size} neurons have a decay that is not "
        "1 - 2**-k",
        where=f"{where}/{field}",
        found=f"{training.time_constant(exact)} becomes {training.time_constant(kept)}",
        limit="decays of 0.5, 0.75, 0.875, ... a step",
        source=RULE,
        help=f"{training.with_decay(field, kept)}; weights are scaled to keep the response to a "
        "constant input",
    )


def _bias(program: Program, name: str, d: Discrete, where: str, log: Log) -> None:
    late = [b for _, p in program.into(name) for b in p.biases if b.value.any()]
    if not late:
        return
    if d.decay_syn is not None or any(b.onset_steps for b in late):
        log.differs(
            "D409",
            f"the constant input of `{name}` acts at once on the chip, without synapse or delay",
            where=where,
            source=RULE,
        )
