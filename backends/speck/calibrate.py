"""speck-calibrate: weights at which the chip's spikes are nearest to the model's on sample inputs.

Speck lets the calibration change kernels, and their scale against the layer's threshold. It has no
leak of the model's kind, and biases by its slow clock only. So leaks and biases stay. The lower
bound of a leaky layer's membranes has no exact value, so it is searched. Method:
``nirc.calibration``. Answers are judged frame by frame and event by event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.assemble import assemble
from nirc.backends.speck.emulate import emulate
from nirc.backends.speck.legalise import leads
from nirc.backends.speck.limits import VARIANTS
from nirc.backends.speck.network import Network, lower
from nirc.backends.speck.neuron import chip_rule
from nirc.backends.speck.place import Part, Placement
from nirc.backends.speck.quantise import Measured, SpeckQuantise
from nirc.backends.speck.training import SpeckTraining
from nirc.calibration.calibrate import calibrate
from nirc.calibration.chip import Parameters
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete, Population, Sink, Source
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run
from nirc.semantics.variations import altered

CHUNK_VALUES = 1 << 24  # spikes and membranes in memory at a time
MEASURING = 10  # percent done after the measurement


@dataclass(frozen=True)
class SpeckCalibrate:
    """Quantise, then search kernels whose spikes on sample inputs are nearest to the model's."""

    quantise: SpeckQuantise  # the measurement is added to it
    calibration: Calibration
    events: bool = True  # judge event by event, too. Not with the camera as the input
    report: dict[str, Any] = field(default_factory=dict, compare=False)  # what was chosen
    name: ClassVar[str] = "speck-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Quantise and search. Never refuses: sizes and ranges are judged at placement."""
        given = self.calibration
        notify = given.progress or (lambda _: None)
        measured = measure(given.model, given.inputs, lambda done: notify(done * MEASURING // 100))
        quantise = replace(self.quantise, measured=measured)
        findings = Log()
        no_leaks = replace(quantise, measured=replace(measured, membrane={}))
        start = no_leaks.run(program, findings)
        share = 100 - MEASURING
        rest = replace(given, progress=lambda done: notify(MEASURING + done * share // 100))
        chip = SpeckChip(quantise, self.events)
        answer = calibrate(program, start, chip, rest, SpeckBounds(program))
        self.report.update(answer.report)
        answer.log_findings(program, findings, log)
        return answer.integer


def measure(
    model: Program, inputs: NDArray[np.generic], progress: Callable[[int], None] | None = None
) -> Measured:
    """Run ``inputs`` (samples, steps, channels) through the discrete ``model``.

    Return the events that a core will see, and the membranes.
    """
    populations = model.nodes(Population)
    names = list(populations)
    samples, steps, _ = inputs.shape
    chunk = max(1, CHUNK_VALUES // max(1, 2 * steps * sum(p.n for p in populations.values())))
    spikes = dict.fromkeys(names, 0.0)
    above = dict.fromkeys(names, 0.0)
    times = dict.fromkeys(names, 0)
    for start in range(0, samples, chunk):
        answer = run(model, inputs[start : start + chunk], record=names)
        for name in names:
            spikes[name] += float(answer.spikes[name].sum())
            positive = answer.v[name][answer.v[name] > 0]
            above[name] += float(positive.sum())
            times[name] += positive.size
        if progress is not None:
            progress(100 * min(start + chunk, samples) // samples)
    first = 0
    for name, source in model.nodes(Source).items():
        spikes[name] = float(inputs[:, :, first : first + source.n].sum())
        first += source.n
    per = max(1, samples * steps)
    membrane = {name: above[name] / times[name] for name in names if times[name]}
    return Measured({name: total / per for name, total in spikes.items()}, membrane)


@dataclass(frozen=True)
class SpeckBounds:
    """Lower bounds of the membranes of leaky layers. ``legal``: the legal discrete program."""

    legal: Program

    def others(self, name: str, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return a layer with other bounds, none if the model does not leak."""
        leaky = bool((self.legal[name].dynamics.decay_mem != 1).any())
        return SpeckTraining().settings(population) if leaky else ()

    def bound(self, population: Population[Any]) -> float:
        """Return the bound of a layer, in thresholds."""
        n = population.dynamics
        return float(n.threshold_low / n.threshold_high)


@dataclass(frozen=True)
class SpeckChip:
    """The chip, as the calibration sees it."""

    quantise: SpeckQuantise
    events: bool

    def dynamics(self, legal: Program) -> Program:
        """Let neurons that subtract their threshold fire without a bound."""

        def unbounded(name: str, d: Discrete) -> Discrete:
            return replace(d, rule=chip_rule(name, d)) if d.rule.reset == "subtract" else d

        return altered(legal, unbounded)

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """Return the kernels."""
        return Parameters()

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """Quantise as without calibration, but with ``rounding``."""
        return replace(self.quantise, rounding=rounding).run(program, log)

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Return answers frame by frame, and event by event.

        Each layer has a core of its own there, however large.
        """
        synchronous: Float = run(integer, inputs).outputs
        if not self.events:
            return [synchronous]
        network = lower(integer)
        parts = [
            Part(layer.name, i, 0, layer.shape_out[0]) for i, layer in enumerate(network.layers)
        ]
        chip = assemble(network, integer, Placement(tuple(parts)), VARIANTS[0])
        spikes = emulate(chip, inputs, mode="events").outputs.astype(np.float64)
        return [synchronous, _outputs(integer, network, spikes)]

    def affordable(self, integer: Program, start: Program) -> bool:
        """Return True if kernels that were equal are equal still.

        They may share input channels of a core.
        """
        now = [layer.shape_in for layer in lower(integer).layers]
        return now == [layer.shape_in for layer in lower(start).layers]


def _outputs(program: Program, network: Network, spikes: Float) -> Float:
    """Return the outputs at the steps of the model, from spikes of the watched layers."""
    first: dict[str, int] = {}
    start = 0
    for layer in network.layers:
        if layer.name in network.watched:
            first[layer.name] = start
            start += program[layer.name].n
    early = leads(program)
    outputs: list[Float] = []
    for name, sink in program.nodes(Sink).items():
        source = program.into(name)[0][0]
        columns = spikes[:, :, first[source] : first[source] + sink.n]
        later = np.pad(columns, ((0, 0), (early[name] + sink.delay_steps, 0), (0, 0)))
        outputs.append(later[:, : spikes.shape[1]])
    return np.concatenate(outputs, axis=2)
