"""Calibration for chips with the model's neurons. They differ by rounding and perhaps the reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from nirc.calibration.calibrate import calibrate
from nirc.calibration.chip import Parameters
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete
from nirc.ir.program import Program
from nirc.ir.rules import Reset, Rule, plain
from nirc.passes.pipeline import Calibration, Pass
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run
from nirc.semantics.variations import ruled


class Quantise(Pass, Protocol):
    """A quantiser with a choice of rounding."""

    def rounding_by(self, rounding: Rounding) -> Pass:
        """Return the quantiser with another rounding rule."""


@dataclass(frozen=True)
class PlainCalibrate:
    """Quantise, then search gains and weights with spikes on sample inputs nearest to the model's.

    Additions of the legaliser to the model stay as they are. ``resets_to_zero``: the chip sets the
    membrane to zero where the model subtracts its threshold.
    """

    quantise: Quantise
    calibration: Calibration
    resets_to_zero: bool = False
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # filled by ``run``
    name: ClassVar[str] = "calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Return the calibrated integer program. Raises the errors of ``quantise``."""
        findings = Log()
        start = self.quantise.run(program, findings)
        findings.raise_if_errors()
        chip = _Plain(self.quantise, self.resets_to_zero, self.calibration.model)
        done = calibrate(program, start, chip, self.calibration)
        self.report.update(done.report)
        done.log_findings(program, findings, log)
        return done.integer


@dataclass(frozen=True)
class _Plain:
    """The chip, as seen by the calibration."""

    quantise: Quantise
    resets_to_zero: bool
    model: Program

    def dynamics(self, legal: Program) -> Program:
        """Return the model's dynamics with the chip's immediate reset."""
        return ruled(legal, self._rule)

    def _rule(self, rule: Rule) -> Rule:
        reset: Reset = "set" if self.resets_to_zero or rule.reset != "subtract" else "subtract"
        return plain(reset, synapse=rule.has_synapse)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """Return gains and weights, and constant currents if there are any."""
        d = program[name].dynamics
        if name not in self.model.graph or not isinstance(d, Discrete):
            return None
        return Parameters(drift=bool(d.drift.any()))

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """Quantise with another ``rounding``."""
        return self.quantise.rounding_by(rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Run the integer form, which equals the chip."""
        output: Float = run(integer, inputs).outputs
        return [output]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Return True, since nothing is added."""
        return True
