"""xylo-calibrate: parameters at which the chip's spikes are nearest to the model's on samples.

The calibration may change gains, weights and biases, and decays to neighbouring powers of two. Each
hidden neuron may get a synapse to itself (self-inhibition) that replaces the reset to zero. Method:
``nirc.calibration``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from nirc.analysis.operators import unrolled
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, MAX_OUTPUT_SPIKES, VARIANTS
from nirc.backends.xylo.lower import lower
from nirc.backends.xylo.neuron import (
    charge,
    chip_decay,
    chip_synapse,
    membrane_gain,
    nearest_dash,
)
from nirc.backends.xylo.quantise import XyloQuantise
from nirc.calibration.calibrate import calibrate
from nirc.calibration.chip import Parameters
from nirc.chip.target import excesses
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.populations import Discrete, Population, Role, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import MEMBRANE, plain
from nirc.passes.pipeline import Calibration
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run

SLOWER, FASTER = 3, 2  # places by which a dash may move
SLOWEST = 8  # ... up to this one, if it was not above it


@dataclass(frozen=True)
class XyloCalibrate:
    """Quantise, then search gains, decays and weights whose spikes are nearest to the model's."""

    calibration: Calibration
    quantise: XyloQuantise
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # what was chosen
    name: ClassVar[str] = "xylo-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to unroll."""
        start_log = Log()
        start = self.quantise.run(program, start_log)
        done = calibrate(program, start, _Xylo(self.quantise), self.calibration)
        self.report.update(done.report)
        done.log_findings(program, start_log, log)
        return done.integer


@dataclass(frozen=True)
class _Xylo:
    """The chip for the calibration (``nirc.calibration.chip``)."""

    quantise: XyloQuantise

    def dynamics(self, legal: Program) -> Program:
        """Return the model with the chip's decays, synapses, reset and spikes a step."""
        outputs = readouts(legal)
        log = Log()
        nodes = dict(legal.graph.nodes(data="payload"))
        into: dict[str, Float] = {n: np.zeros(p.n) for n, p in legal.nodes(Population).items()}
        edges = []
        for source, target, p in legal.edges():
            if target not in into:
                edges.append((source, target, p))
                continue
            d = legal[target].dynamics
            for bias in p.biases:
                decay, gain = (d.decay_syn, d.gain_syn)
                if p.synapse:
                    decay, gain = (d.decay_syn_2, d.gain_syn_2)
                into[target] = into[target] + bias.value * charge(decay, gain, into[target].size)
            op = unrolled(p, legal[source].n, log)
            edges.append((source, target, replace(p, ops=(op,), biases=())))
        log.raise_if_errors()
        for name, population in populations_of(legal, Discrete).items():
            most = MAX_OUTPUT_SPIKES if name in outputs else MAX_HIDDEN_SPIKES
            nodes[name] = population.with_dynamics(_bridged(population.dynamics, into[name], most))
        return legal.rebuilt(nodes, edges)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """Return parameters of all but relays and populations with thresholds that are clipped."""
        d = program[name].dynamics
        if program[name].role is Role.RELAY or (
            d.threshold is not None and (d.threshold <= 0).any()
        ):
            return None
        hidden = d.rule.fires is not None and d.rule.fires.most != 1
        return Parameters(
            _neighbours(d.decay_mem, 0),
            _neighbours(d.decay_syn, 1),
            drift=True,
            self_inhibition=hidden,
        )

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """Quantise as without calibration, but with ``rounding``."""
        return replace(self.quantise, rounding=rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Run the integer form, which is the chip."""
        return [run(integer, inputs).outputs]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Return False if entries of self-inhibition make a variant too small."""
        now, before = (lower(p, Log()) for p in (integer, start))
        return all(not excesses(now, v) or excesses(before, v) for v in VARIANTS)


def _bridged(d: Discrete, current: Float, most: int) -> Discrete:
    """Return the chip's dynamics. ``current``: of biases in a step, behind the synapse."""
    n = d.decay_mem.size
    shift = nearest_dash(d.decay_mem, least=0)
    membrane = membrane_gain(d.decay_mem, d.gain_mem, shift)
    drift = membrane_gain(d.decay_mem, np.ones(n), shift) * d.drift + membrane * current
    syn, gain = chip_synapse(d.decay_syn, d.gain_syn, n)
    several = d.threshold is not None and bool((d.threshold > 0).all())
    rule = MEMBRANE.with_synapse()
    if d.fires:
        rule = plain("subtract", synapse=True, most=most if several else 1)
    bridged = replace(
        d,
        decay_mem=frozen(chip_decay(shift)),
        gain_mem=frozen(membrane),
        drift=frozen(drift),
        decay_syn=syn,
        gain_syn=gain,
        rule=rule,
    )
    if d.decay_syn_2 is not None:
        syn, gain = chip_synapse(d.decay_syn_2, d.gain_syn_2, n)
        bridged = replace(bridged, decay_syn_2=syn, gain_syn_2=gain)
    return bridged


def _neighbours(decay: Float | None, least: int) -> tuple[Float, ...]:
    """Return the decays with every neuron's dash moved by the same number of places."""
    if decay is None:
        return ()
    now = nearest_dash(decay, least=least)
    dashes: list[Int] = []
    for move in range(-FASTER, SLOWER + 1):
        moved = np.clip(now + move, least, np.maximum(now, SLOWEST))
        if not any(np.array_equal(moved, other) for other in dashes):
            dashes.append(moved)
    return tuple(frozen(chip_decay(dash)) for dash in dashes)
