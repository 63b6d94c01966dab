"""What goes into an emulator or interpreter and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Run:
    """Result of running a network on a batch.

    ``output`` (samples, steps, outputs): output spikes of each step, or the membrane of non-spiking outputs.
    ``spikes`` and ``v``: recordings of populations (or chip blocks) by name, each (samples, steps, neurons).
    """

    output: Array
    spikes: Mapping[str, Array] = field(default_factory=dict)
    v: Mapping[str, Array] = field(default_factory=dict)
    extra: Mapping[str, Array] = field(default_factory=dict)  # chip-specific states, e.g. "isyn/hidden"
