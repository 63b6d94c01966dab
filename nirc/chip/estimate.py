"""Costs of a step, estimated from published figures with their sources. None is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """The activity of a network in an average step of one sample, by name of the population.

    ``spikes``: of all neurons of a population, or all channels of an input. ``operations``:
    synaptic operations that arrive at a population (spikes times local fan-out). ``neurons``: of
    each population. ``how``: the origin of the figures as a phrase.
    """

    spikes: Mapping[str, float]
    operations: Mapping[str, float]
    neurons: Mapping[str, int]
    how: str


@dataclass(frozen=True)
class Figure:
    """One estimated cost of a time step. ``certainty``: S, M, I or ?, as of a limit.

    ``is_step``: the value is the duration of a step on the chip.
    """

    name: str
    value: float
    unit: str
    source: str
    certainty: str
    is_step: bool = False
