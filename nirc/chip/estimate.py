"""What a step will cost, estimated from published figures: never a measurement, always with the
source beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """How busy a network is in an average step of one sample.

    ``spikes``: of all neurons of a population, or all channels of an input, by name.
    ``operations``: synaptic operations that arrive at a population (spikes times local fan-out), by
    name. ``neurons``: of each population. ``how``: where the figures come from, in words.
    """

    spikes: Mapping[str, float]
    operations: Mapping[str, float]
    neurons: Mapping[str, int]
    how: str


@dataclass(frozen=True)
class Figure:
    """One estimated cost of a time step. ``certainty``: S, M, I or ?, as of a limit."""

    name: str
    value: float
    unit: str
    source: str
    certainty: str
