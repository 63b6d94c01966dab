"""Synaptic filters: the chip has a current for excitatory weights and one for inhibitory ones, each
with its decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.backends.spinnaker2.drives import Drive
from nirc.backends.spinnaker2.limits import SHEET
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population


@dataclass(frozen=True)
class Receptors:
    """``gains``: from what a projection delivers to the membrane, by the model's receptor; (n,)
    each.

    ``decays``: of the chip's excitatory and inhibitory current, None if there is no filter.
    ``signs``: which of them the model's receptors are, 1 and -1; empty if both currents have the
    one filter of the model.
    """

    gains: tuple[Float, Float]
    decays: tuple[Float, Float] | None
    signs: tuple[int, ...] = ()


def is_filtered(d: Discrete) -> bool:
    """Whether anything is filtered before it reaches the membrane."""
    return d.decay_syn is not None or d.decay_syn_2 is not None


def receptors(
    name: str, population: Population[Discrete], into: Sequence[Drive], log: Log
) -> Receptors:
    """How the model's filters become currents; notes N905 where two of them both excite, or both
    inhibit.
    """
    d = population.dynamics
    one, none = np.ones(population.n), np.zeros(population.n)
    first = d.gain_mem * (one if d.gain_syn is None else d.gain_syn)
    second = d.gain_mem * (one if d.gain_syn_2 is None else d.gain_syn_2)
    decay = none if d.decay_syn is None else d.decay_syn  # a decay of 0 is no filter
    if d.decay_syn_2 is None:
        return Receptors((first, second), None if d.decay_syn is None else (decay, decay))
    gains = (first, second)
    low = [
        min((_least(x, gains[r]) for x in into if x.projection.synapse == r), default=0.0)
        for r in (0, 1)
    ]
    high = [
        max((_most(x, gains[r]) for x in into if x.projection.synapse == r), default=0.0)
        for r in (0, 1)
    ]
    if low[0] >= 0 >= high[1]:
        return Receptors(gains, (decay, d.decay_syn_2), (1, -1))
    if low[1] >= 0 >= high[0]:
        return Receptors(gains, (d.decay_syn_2, decay), (-1, 1))
    log.error(
        "N905",
        f"`{name}` filters its inputs in two ways, whatever their sign",
        where=population.origins[0],
        limit="one filter for excitatory and one for inhibitory inputs",
        source=SHEET,
        help="give all inputs of the population the same filter, or only inhibitory ones another",
    )
    return Receptors(gains, (decay, decay))


def _least(drive: Drive, gain: Float) -> float:
    return float((drive.entries.value * gain[drive.entries.target]).min())


def _most(drive: Drive, gain: Float) -> float:
    return float((drive.entries.value * gain[drive.entries.target]).max())
