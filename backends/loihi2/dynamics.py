"""Neurons of the discrete form as far as a stock LIF neuron computes them: one synaptic filter, one
start value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.backends.loihi2.findings import TwoSynapticFilters
from nirc.backends.loihi2.limits import DELAY
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population
from nirc.ir.rules import Rule

LEAST_TAP = 2.0**-14  # of the first; what is left out adds up over the slow filter
MOST_TAPS = DELAY[1] + 1
START_ROOM = (
    64.0  # thresholds below 0 that a start value may lie; more would cost weights their bits
)


@dataclass(frozen=True)
class OneFilter:
    """A population with one filter. For each receptor of the model, ``gain`` (n,) of its weights,
    whether it is ``unfiltered``, and ``taps``: what of a spike reaches the chip's filter in its own
    step, in the next, ..."""

    dynamics: Discrete
    gain: tuple[Float, Float]
    unfiltered: tuple[bool, bool]
    taps: tuple[tuple[float, ...], tuple[float, ...]]


def one_filter(name: str, population: Population[Discrete], log: Log) -> OneFilter:
    """The slower filter stays. What goes through the other one comes by several synapses of
    different delays: a spike that is to act as ``b^k`` on a filter that decays by ``a`` arrives as
    1, then as ``b^(k-1) (b - a)``.

    L812 if that would take more synapses than there are delays; the filters of a population must
    then be uniform.
    """
    d = population.dynamics
    n = population.n
    zeros, ones = np.zeros(n), np.ones(n)
    decays = [zeros if x is None else x for x in (d.decay_syn, d.decay_syn_2)]
    gains = [ones if x is None else x for x in (d.gain_syn, d.gain_syn_2)]
    second = d.decay_syn_2 is not None
    main = int(second and float(decays[1].mean()) > float(decays[0].mean()))
    same: tuple[float, ...] = (1.0,)
    taps = [same, same]
    if second and (decays[0] != decays[1]).any():
        if any((x != x[0]).any() for x in decays):
            _two_filters(name, population, "which differ from neuron to neuron", log)
        else:
            taps[1 - main] = _taps(float(decays[main][0]), float(decays[1 - main][0]))
            if len(taps[1 - main]) >= MOST_TAPS:
                _two_filters(name, population, "the faster of which is too slow", log)
    kept = (
        None if not decays[main].any() and (d.decay_syn is None or second) else frozen(decays[main])
    )
    made = replace(
        d, decay_syn=kept, gain_syn=None if kept is None else frozen(ones), decay_syn_2=None,
        gain_syn_2=None,
        gain_mem=frozen(ones), rule=_ruled(d.rule, kept),
    )  # fmt: skip
    gain = (d.gain_mem * gains[0], d.gain_mem * gains[1])
    unfiltered = (not decays[0].any(), not decays[1].any())
    return OneFilter(made, gain, unfiltered, (taps[0], taps[1]))


def _ruled(rule: Rule, decay_syn: Float | None) -> Rule:
    """With a synaptic current where a filter stays."""
    return rule.with_synapse() if decay_syn is not None else rule.without_synapse()


def _taps(slow: float, fast: float) -> tuple[float, ...]:
    taps = [1.0]
    while len(taps) < MOST_TAPS:
        share = fast ** (len(taps) - 1) * (fast - slow)
        if abs(share) < LEAST_TAP:
            break
        taps.append(share)
    return tuple(taps)


def _two_filters(name: str, population: Population[Discrete], which: str, log: Log) -> None:
    log.add(TwoSynapticFilters(where=population.origins[0], population=name, reason=which))
    log.raise_if_errors()


def shifted(d: Discrete) -> tuple[Float | None, Float, Float]:
    """Threshold, drift and start with v_reset as the zero of the voltage (the chip resets to 0).

    All (n,).
    """
    n = d.decay_mem.size
    zero = np.zeros(n)
    reset = d.resets_to if d.resets_to is not None and d.decay_mem.any() else zero
    threshold = None if d.threshold is None else d.threshold - reset
    return threshold, d.drift - (1 - d.decay_mem) * reset, -reset


def start_before(decay: Float, drift: Float, start: Float, steps: int) -> Float:
    """v from which ``steps`` steps without input lead to ``start``; infinite where nothing
    remembers.
    """
    v = start.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(steps):
            v = np.where(v == drift, 0.0, (v - drift) / decay)
    return v


def start_up_fails(d: Discrete, late: int) -> bool:
    """Whether no start value keeps a neuron quiet until its first step, ``late`` steps after the
    chip's.
    """
    threshold, drift, start = shifted(d)
    if threshold is None or not late or not drift.any():
        return False
    memory = d.decay_mem > 0
    v = start_before(np.where(memory, d.decay_mem, 1.0), np.where(memory, drift, 0.0), start, late)
    above = np.maximum(threshold, 0)
    wrong = np.where(memory, (v < -START_ROOM * above) | (v > 0.98 * above), drift > 0.98 * above)
    return bool((wrong & (drift != 0)).any())
