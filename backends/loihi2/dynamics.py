"""The dynamics that a stock LIF neuron lacks: a second synaptic filter, and constants in u."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.backends.loihi2.findings import TwoSynapticFilters
from nirc.backends.loihi2.limits import DELAY
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense
from nirc.ir.populations import Discrete, Population, Projection, Role
from nirc.ir.program import Program
from nirc.passes.legality import relay

Arc = tuple[str, str, Projection]

LEAST_TAP = 2.0**-14  # of the first. What is left out adds up over the slow filter.
MOST_TAPS = DELAY[1] + 1  # synapses with different delays that may stand for one


# One synaptic filter.


@dataclass(frozen=True)
class OneFilter:
    """A population with one filter, and how the model's two receptors reach it.

    For each receptor: ``gain`` (n,) of its weights. ``unfiltered``: it has no memory. ``taps``: the
    share of a spike that reaches the chip's filter in its own step, in the next, and so on.
    """

    dynamics: Discrete
    gain: tuple[Float, Float]
    unfiltered: tuple[bool, bool]
    taps: tuple[tuple[float, ...], tuple[float, ...]]


def one_filter(name: str, population: Population[Discrete], log: Log) -> OneFilter:
    """Keep the slower filter. Make the other one of synapses with different delays.

    A spike that acts as ``b^k`` on a filter that decays by ``a`` arrives as 1, then as
    ``b^(k-1) (b - a)``. Report L812 if that takes more synapses than there are delays. The filters
    of a population must be uniform then.
    """
    d = population.dynamics
    zeros = np.zeros(population.n)
    ones = np.ones(population.n)
    decays = [zeros if x is None else x for x in (d.decay_syn, d.decay_syn_2)]
    gains = [ones if x is None else x for x in (d.gain_syn, d.gain_syn_2)]
    second = d.decay_syn_2 is not None
    main = int(second and float(decays[1].mean()) > float(decays[0].mean()))
    taps: list[tuple[float, ...]] = [(1.0,), (1.0,)]
    reason = ""
    if second and (decays[0] != decays[1]).any():
        if any((x != x[0]).any() for x in decays):
            reason = "which differ from neuron to neuron"
        else:
            taps[1 - main] = _taps(float(decays[main][0]), float(decays[1 - main][0]))
            if len(taps[1 - main]) >= MOST_TAPS:
                reason = "the faster of which is too slow"
    if reason:
        log.add(TwoSynapticFilters(where=population.origins[0], population=name, reason=reason))
        log.raise_if_errors()
    filtered = decays[main].any() or not (d.decay_syn is None or second)
    dynamics = replace(
        d,
        decay_syn=frozen(decays[main]) if filtered else None,
        gain_syn=frozen(ones) if filtered else None,
        decay_syn_2=None,
        gain_syn_2=None,
        gain_mem=frozen(ones),
        rule=d.rule.with_synapse() if filtered else d.rule.without_synapse(),
    )
    gain = (d.gain_mem * gains[0], d.gain_mem * gains[1])
    return OneFilter(dynamics, gain, (not decays[0].any(), not decays[1].any()), (taps[0], taps[1]))


def _taps(slow: float, fast: float) -> tuple[float, ...]:
    taps = [1.0]
    while len(taps) < MOST_TAPS:
        share = fast ** (len(taps) - 1) * (fast - slow)
        if abs(share) < LEAST_TAP:
            break
        taps.append(share)
    return tuple(taps)


# Constants.


class Clock:
    """The neuron that fires in every step and so brings constants.

    It is created when the first edge needs it. ``nodes`` are to be added to the program.
    """

    def __init__(self, program: Program) -> None:
        clocks = (name for name, p in program.nodes(Population).items() if p.role is Role.CLOCK)
        self.name = next(clocks, None) or program.fresh_name("always")
        self.nodes: dict[str, Population[Discrete]] = {}

    def edge(self, target: str, value: Float, onset_steps: int, origins: tuple[str, ...]) -> Arc:
        """Return an edge that brings ``value`` (n,) in every step from ``onset_steps`` on."""
        origin = origins or (target,)
        fires = replace(relay(1, origin).dynamics, drift=frozen(np.ones(1)))
        self.nodes.setdefault(self.name, Population((1,), fires, origin, Role.CLOCK))
        op = Dense(frozen(value[:, None]))
        return self.name, target, Projection(ops=(op,), delay_steps=onset_steps, origins=origins)
