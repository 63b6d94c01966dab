"""speck-calibrate: weights at which the chip's spikes come nearest to the model's on sample inputs.

What Speck lets the calibration change: kernels, and their scale against the layer's threshold. It
has no leak of the model's kind, and biases only by its slow clock, so neither is touched. Method:
``nirc.calibration``; judged summed up step by step and event by event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.speck.assemble import assemble
from nirc.backends.speck.emulate import emulate
from nirc.backends.speck.limits import VARIANTS
from nirc.backends.speck.lower import lower
from nirc.backends.speck.measure import measure
from nirc.backends.speck.place import Part, Placement
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.calibration.calibrate import calibrate
from nirc.calibration.chip import Parameters
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Sink
from nirc.ir.program import Program
from nirc.ir.rules import Rule, plain
from nirc.passes.pipeline import Calibration
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run
from nirc.semantics.variations import ruled

MEASURING = 10  # percent done after the measurement


@dataclass(frozen=True)
class SpeckCalibrate:
    """Quantise, then search kernels whose spikes on sample inputs are nearest to the model's."""

    quantise: SpeckQuantise  # what is measured here is added to it
    calibration: Calibration
    events: bool = True  # judge event by event as well: not with the camera as the input
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # what was chosen
    name: ClassVar[str] = "speck-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Never refuses: sizes and ranges are judged when the layers are placed."""
        tell = self.calibration.progress or (lambda _: None)
        measured = measure(
            self.calibration.model,
            self.calibration.inputs,
            lambda done: tell(done * MEASURING // 100),
        )
        quantise = replace(self.quantise, measured=measured)
        own = Log()
        start = replace(quantise, measured=replace(measured, membrane={})).run(
            program, own
        )  # without measured leaks
        chip = _Speck(quantise, self.events)
        rest = replace(
            self.calibration,
            progress=lambda done: tell(MEASURING + done * (100 - MEASURING) // 100),
        )
        done = calibrate(program, start, chip, rest)
        self.report.update(done.report)
        done.log_findings(program, own, log)
        return done.integer


@dataclass(frozen=True)
class _Speck:
    """The chip, as the calibration sees it."""

    quantise: SpeckQuantise
    events: bool

    def dynamics(self, legal: Program) -> Program:
        """As many spikes in a step as the membrane holds thresholds, if they are taken away."""
        return ruled(legal, several)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """The kernels."""
        return Parameters()

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """As without calibration, but for ``rounding``."""
        return replace(self.quantise, rounding=rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Summed up step by step; and event by event, each layer on a core of its own, however
        large.
        """
        synchronous: Float = run(integer, inputs).output
        if not self.events:
            return [synchronous]
        network = lower(integer)
        parts = tuple(
            Part(layer.name, core, 0, layer.shape_out[0])
            for core, layer in enumerate(network.layers)
        )
        chip = assemble(
            network,
            integer,
            Placement(parts),
            VARIANTS[0],
            slow_clock_hz=None,
            dvs=None,
            readout=False,
        )
        output = emulate(chip, inputs, mode="events").output.astype(np.float64)
        return [synchronous, output[:, :, _columns(integer, network.watched)]]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Kernels that were equal may share input channels of a core: they must stay equal."""
        mine, before = (lower(p) for p in (integer, start))
        return all(
            a.shape_in == b.shape_in for a, b in zip(mine.layers, before.layers, strict=True)
        )


def several(rule: Rule) -> Rule:
    """Neurons that subtract fire without a bound."""
    if rule.fires is None or rule.reset != "subtract":
        return rule
    many = plain("subtract", synapse=rule.has_synapse, at=rule.fires.at, most=None)
    return many.with_bound() if rule.bounded else many


def _columns(program: Program, watched: tuple[str, ...]) -> Int:
    """For each output of the model its column among the spikes of the watched layers, in their
    order on the chip.
    """
    order = [n for n in [layer.name for layer in lower(program).layers] if n in watched]
    first, start = {}, 0
    for name in order:
        first[name] = start
        start += program[name].n
    sources = [program.into(sink)[0][0] for sink in program.nodes(Sink)]
    return np.concatenate([first[s] + np.arange(program[s].n) for s in sources])
