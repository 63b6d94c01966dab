"""Calibration for chips whose neurons are the model's own, but for rounding and perhaps the reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from nirc.calibration.calibrate import calibrate
from nirc.calibration.chip import Knobs
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
    """A quantiser whose rounding can be chosen."""

    def rounding_by(self, rounding: Rounding) -> Pass:
        """The same with another rule."""


@dataclass(frozen=True)
class PlainCalibrate:
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the model's.

    What the legaliser added to the model stays as it is. ``resets_to_zero``: the chip sets the membrane to zero where
    the model subtracts its threshold.
    """

    quantise: Quantise
    calibration: Calibration
    resets_to_zero: bool = False
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # what was chosen
    name: ClassVar[str] = "calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        own = Log()
        start = self.quantise.run(program, own)
        own.raise_if_errors()
        chip = _Plain(self.quantise, self.resets_to_zero, self.calibration.model)
        done = calibrate(program, start, chip, self.calibration)
        self.report.update(done.report)
        done.say(program, own, log)
        return done.integer


@dataclass(frozen=True)
class _Plain:
    """The chip, as the calibration sees it."""

    quantise: Quantise
    resets_to_zero: bool
    model: Program

    def dynamics(self, legal: Program) -> Program:
        """Its own, with the chip's reset, at once."""
        return ruled(legal, self._rule)

    def _rule(self, rule: Rule) -> Rule:
        reset: Reset = "set" if self.resets_to_zero or rule.reset != "subtract" else "subtract"
        return plain(reset, synapse=rule.has_synapse)

    def knobs(self, program: Program, name: str) -> Knobs | None:
        """Gains, weights, and constant currents where there are any."""
        d = program[name].dynamics
        if name not in self.model.graph or not isinstance(d, Discrete):
            return None
        return Knobs(drift=bool(d.drift.any()))

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """As without calibration, but for ``rounding``."""
        return self.quantise.rounding_by(rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """The integer form, which is the chip."""
        output: Float = run(integer, inputs).output
        return [output]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Nothing is added."""
        return True
