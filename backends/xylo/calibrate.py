"""xylo-calibrate: parameters at which the chip's spikes come nearest to the model's on sample
inputs.

What Xylo lets the calibration change: gains, weights and biases; the decays, to neighbouring powers
of two; and a synapse of each hidden neuron to itself (self-inhibition) that replaces the reset to
zero. Method: ``nirc.calibration``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from nirc.analysis.unroll import unrolled
from nirc.backends.xylo import dash
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, VARIANTS
from nirc.backends.xylo.lower import lower
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
    """Quantise, then search gains, decays and weights whose spikes on sample inputs are nearest to
    the model's.
    """

    calibration: Calibration
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # what was chosen
    name: ClassVar[str] = "xylo-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to unroll."""
        own = Log()
        start = XyloQuantise().run(program, own)
        done = calibrate(program, start, _Xylo(), self.calibration)
        self.report.update(done.report)
        done.log_findings(program, own, log)
        return done.integer


class _Xylo:
    """The chip, as the calibration sees it."""

    def dynamics(self, legal: Program) -> Program:
        """Decays of powers of two, a synapse of at least one step, subtraction, up to 31 spikes a
        step.
        """
        outputs, log = readouts(legal), Log()
        nodes = dict(legal.graph.nodes(data="payload"))
        into: dict[str, Float] = {n: np.zeros(p.n) for n, p in legal.nodes(Population).items()}
        edges = []
        for source, target, p in legal.edges():
            if target not in into:
                edges.append((source, target, p))
                continue
            d = legal[target].dynamics
            for bias in p.biases:
                into[target] = into[target] + bias.value * _charge(d, p.synapse)
            edges.append(
                (source, target, replace(p, ops=(unrolled(p, legal[source].n, log),), biases=()))
            )
        log.raise_if_errors()
        for name, population in populations_of(legal, Discrete).items():
            most = 1 if name in outputs else MAX_HIDDEN_SPIKES
            nodes[name] = replace(
                population, dynamics=_bridged(population.dynamics, into[name], most)
            )
        return legal.rebuilt(nodes, edges)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """All but relays, and populations whose threshold the chip cannot have."""
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
        """As without calibration, but for ``rounding``."""
        return XyloQuantise(rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """The integer form, which is the chip."""
        return [run(integer, inputs).output]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Self-inhibition costs an entry of fan-out. No variant may be lost by it."""
        mine, before = (lower(p, Log()) for p in (integer, start))
        return all(not excesses(mine, v) or excesses(before, v) for v in VARIANTS)


def _charge(d: Discrete, synapse: int) -> Float:
    decay, gain = (d.decay_syn_2, d.gain_syn_2) if synapse else (d.decay_syn, d.gain_syn)
    return np.ones(d.decay_mem.size) if decay is None or gain is None else dash.charge(decay, gain)


def _bridged(d: Discrete, current: Float, most: int) -> Discrete:
    """``current``: what biases deliver in a step, past the synapse."""
    shift = dash.nearest_dash(d.decay_mem, least=0)
    membrane = dash.membrane_gain(d.decay_mem, d.gain_mem, shift)
    own = dash.membrane_gain(d.decay_mem, np.ones_like(membrane), shift) * d.drift
    syn, gain = _synapse(d.decay_syn, d.gain_syn, d.decay_mem.size)
    fires = d.threshold is not None and bool((d.threshold > 0).all())
    bridged = replace(
        d,
        decay_mem=frozen(1.0 - 2.0**-shift),
        gain_mem=frozen(membrane),
        drift=frozen(own + membrane * current),
        decay_syn=syn,
        gain_syn=gain,
        rule=plain("subtract", synapse=True, most=most if fires else 1)
        if d.fires
        else MEMBRANE.with_synapse(),
    )
    if d.decay_syn_2 is not None:
        syn, gain = _synapse(d.decay_syn_2, d.gain_syn_2, d.decay_mem.size)
        bridged = replace(bridged, decay_syn_2=syn, gain_syn_2=gain)
    return bridged


def _synapse(decay: Float | None, gain: Float | None, n: int) -> tuple[Float, Float]:
    """Decay and gain of the synapse that the chip has instead.

    It decays after adding: w * decay arrives first.
    """
    shift = dash.nearest_dash(np.zeros(n) if decay is None else decay, least=1)
    chip = 1.0 - 2.0**-shift
    return frozen(chip), frozen(dash.synapse_gain(decay, gain, shift) * chip)


def _neighbours(decay: Float | None, least: int) -> tuple[Float, ...]:
    """The decays with every neuron's dash moved by the same number of places."""
    if decay is None:
        return ()
    now = dash.nearest_dash(decay, least=least)
    found: list[Int] = []
    for move in range(-FASTER, SLOWER + 1):
        moved = np.clip(now + move, least, np.maximum(now, SLOWEST))
        if not any(np.array_equal(moved, other) for other in found):
            found.append(moved)
    return tuple(frozen(1.0 - 2.0**-shift) for shift in found)
