"""The neurons of Speck: integrate-and-fire, one threshold a core, LIF with a constant leak.

Sources: targets sheet, section 2, and sinabs 3.1.3 (``MultiSpike``, ``MembraneSubtract``,
``MembraneReset``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.findings import NoSuchNeuron, ThresholdNotPositive
from nirc.backends.speck.geometry import Map
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.populations import Discrete, Population
from nirc.ir.rules import Fire, Rule, parse
from nirc.semantics.neuron import NeuronStepper

RULE = parse("decay v, add x->v, fire >= many, subtract, bound, emit")
Numbers = NDArray[Any]


def chip_rule(name: str, d: Discrete) -> Rule:
    """Return the chip's rule: the reset acts at once, and a step has any number of spikes."""
    fires = d.rule.fires
    if fires is None:
        return d.rule
    many = d.rule.at_once().with_fire(Fire(fires.at, None))
    return many.with_bound() if d.rule.bounded else many


def fires_at_threshold(d: Discrete) -> bool:
    """Return True if the model compares as the chip does (``>=``), as Sinabs' networks do."""
    fires = d.rule.fires
    return fires is not None and fires.at == ">="


def fires_many(d: Discrete) -> bool:
    """Return True if neurons fire several times a step in the model, as in Sinabs."""
    fires = d.rule.fires
    return fires is not None and fires.most is None


@dataclass(frozen=True)
class SpeckNeuron:
    """Parameters of one layer in the chip's units. The interpreter runs them frame by frame.

    ``shape``: the layer's map. ``bias`` (n,) per step, the same over each channel. ``scale`` (n,):
    chip units per volt of the model. ``initial``: the membrane of every neuron. ``events``: events
    that arrive in a step of a sample, measured or assumed.
    """

    shape: Map
    threshold_high: int
    threshold_low: int
    return_to_zero: bool
    initial: int
    bias: Int
    scale: Float
    events: float

    def stepper(self, batch: int) -> NeuronStepper:
        """Return a fresh state for ``batch`` samples."""
        return NeuronStepper(self.as_discrete(), (batch, self.bias.size))

    def as_discrete(self) -> Discrete:
        """Return the same neuron in chip units. A step's input is summed first, as in sinabs."""
        one = np.ones(self.bias.size)
        return Discrete(
            one,
            one,
            self.bias.astype(np.float64),
            threshold=np.full_like(one, self.threshold_high),
            rule=RULE.with_reset("set") if self.return_to_zero else RULE,
            v_least=np.full_like(one, self.threshold_low),
            v_start=np.full_like(one, self.initial) if self.initial else None,
        )


def fire(
    v: Numbers, threshold_high: int, threshold_low: int, return_to_zero: bool
) -> tuple[Numbers, Numbers]:
    """Return the spikes of a step and the membrane after them.

    ``v``: any shape, integers below 2^52. A positive ``v`` gives ``v div threshold_high`` spikes.
    Each takes the threshold away, or all together set ``v`` to 0. The lower bound comes last.
    Nothing saturates above.
    """
    spikes = np.zeros_like(v)
    # Division is the slowest operation here, and only a small part of the neurons fire.
    np.floor_divide(v, threshold_high, out=spikes, where=v >= threshold_high)
    after = np.where(spikes > 0, 0, v) if return_to_zero else v - spikes * threshold_high
    return spikes, np.maximum(after, threshold_low)


def refuse_foreign(name: str, population: Population[Discrete], log: Log) -> None:
    """Report (S712, S716) a population that no core can compute."""
    d = population.dynamics
    where = population.origins[0]

    def refuse(problem: str, field: str, found: str, help: str) -> None:
        place = f"{where}/{field}" if field else where
        log.add(NoSuchNeuron(where=place, population=name, problem=problem, found=found, help=help))

    if d.decay_syn is not None:
        refuse("has a synaptic filter", "tau_syn", "CubaLIF or CubaLI", "train with IF neurons")
    if d.threshold is None:
        problem = "has no threshold: it never fires"
        refuse(problem, "", "I, LI or CubaLI", "end the network with IF neurons")
        return
    if (d.decay_mem <= 0).any():
        problem = "keeps nothing from one step to the next"
        refuse(problem, "", f"decay {d.decay_mem.min():g}", "use IF neurons")
    if (d.drift != 0).any():
        problem = "is drawn to a v_leak that is not 0"
        refuse(problem, "v_leak", _range(d.drift), "train with v_leak = 0")
    if (reset := d.resets_to) is not None:
        problem = "is reset to a v_reset that is not 0"
        refuse(problem, "v_reset", _range(reset), "train with v_reset = 0")
    wrong = int((d.threshold <= 0).sum())
    if wrong:
        log.add(
            ThresholdNotPositive(
                where=f"{where}/v_threshold",
                population=name,
                wrong=wrong,
                of=d.threshold.size,
                thresholds=_range(d.threshold),
            )
        )


def to_one_threshold(d: Discrete) -> tuple[Discrete, Float]:
    """Return dynamics with equal thresholds and no gain, and the factor (n,) on all input.

    This is exact: the membrane of an integrate-and-fire neuron, and of a leaky one, scales with
    its input and threshold.
    """
    assert d.threshold is not None
    common = float(d.threshold.max())
    ones = np.ones(d.threshold.size)
    least = None if d.v_least is None else frozen(d.v_least * (common / d.threshold))
    same = replace(
        d,
        gain_mem=frozen(ones),
        threshold=frozen(np.full_like(ones, common)),
        v_reset=frozen(np.zeros_like(ones)),
        v_least=least,
        v_start=None,
    )
    return same, d.gain_mem * (common / d.threshold)


def _range(values: Float) -> str:
    low = float(values.min())
    high = float(values.max())
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"
