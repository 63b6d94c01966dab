"""A second run of a network whose file gives other outputs: where it departs first, and whether
rounding is why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.verification.recorded import Recording, is_analog

if TYPE_CHECKING:
    from nirc.recording.running import Runner

Array = NDArray[Any]


@dataclass(frozen=True)
class Departure:
    """A neuron of a population that sends ``simulated`` spikes in its simulator, and ``computed``
    ones in nirc.
    """

    population: str
    sample: int
    step: int
    neuron: int
    simulated: float
    computed: float

    @property
    def text(self) -> str:
        """A sentence of what departs."""
        return (
            f"`{self.population}`, neuron {self.neuron}, is the first to depart, at sample "
            f"{self.sample}, step "
            f"{self.step}: {self.simulated:g} spike(s) in the simulator, {self.computed:g} in nirc"
        )


def first_departure(
    program: Program, simulated: Mapping[str, Array], raster: Array
) -> Departure | None:
    """Return the earliest departure of any population, None if all fire as in the simulator.

    ``simulated``: spikes (samples, steps, n) by the names of populations. ``raster`` (samples,
    steps, channels).
    """
    known = program.nodes(Population)
    names = [
        name for name in known if name in simulated and simulated[name].shape[2] == known[name].n
    ]
    told = run(program, raster, record=names).spikes
    first: tuple[int, int, int, str] | None = None
    for name in names:
        wrong = np.argwhere(told[name] != simulated[name])
        if len(wrong):
            sample, step, neuron = (int(k) for k in wrong[np.argmin(wrong[:, 1])])
            if first is None or step < first[0]:
                first = step, sample, neuron, name
    if first is None:
        return None
    step, sample, neuron, name = first
    wanted, found = (float(spikes[name][sample, step, neuron]) for spikes in (simulated, told))
    return Departure(name, sample, step, neuron, wanted, found)


@dataclass(frozen=True)
class SecondRun:
    """A network that can be run once more.

    ``populations``: names of its neurons in the file by those of their modules. ``shape``: of its
    output.
    """

    runner: Runner
    populations: Mapping[str, str]
    shape: tuple[int, ...]

    def cause(
        self, program: Program, raster: Array, inputs: Array, computed: Array, log: Log
    ) -> str:
        """Say why the network gives something else than ``computed`` (samples, steps, n).

        Rounding is proved by a run of the network in float64: it gives what nirc gives.
        """
        found = self.runner.spikes(inputs, log)
        spikes = {self.populations[n]: s for n, s in found.items() if n in self.populations}
        departure = first_departure(program, spikes, raster)
        where = "" if departure is None else f"{departure.text}. "
        try:
            exact = self.runner.run_in_float64(inputs, self.shape, Log())
        except NircError:
            return (
                f"{where}The network does not run in float64, which would tell whether "
                "rounding is the cause"
            )
        share = Recording(exact.reshape(computed.shape), analog=is_analog(program)).share(computed)
        if share == 1:
            return (
                f"{where}In float64 the network gives what nirc gives: rounding to float32 is "
                "the cause"
            )
        return (
            f"{where}In float64 {share:.4%} are equal, so that rounding is not all: report it "
            "to nirc"
        )
