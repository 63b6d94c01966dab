"""Recording of populations step by step, under the public names of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nirc.semantics.raster import Array, Run


class Neurons(Protocol):
    """A population. ``spikes`` false: a readout, with v as the output."""

    @property
    def name(self) -> str:
        """The name of the population."""

    @property
    def n(self) -> int:
        """The number of neurons."""

    @property
    def spikes(self) -> bool:
        """True if the population fires."""


class Columns(Protocol):
    """Columns of the output: ``neurons`` (k,) of a population."""

    @property
    def population(self) -> str:
        """The name of the population."""

    @property
    def neurons(self) -> Array:
        """(k,) indices of its neurons."""


class Recorder:
    """(samples, steps, neurons) of each wanted state and population, of all with ``record``.

    ``states``: attribute name and type of each state. "spikes" and "v" are among them.
    """

    def __init__(
        self,
        populations: Sequence[Neurons],
        outputs: Sequence[Columns],
        states: Mapping[str, npt.DTypeLike],
        shape: tuple[int, int],
        *,
        record: bool,
    ) -> None:
        self.outputs = outputs
        self.states = states
        self.record = record
        self.read = {
            population.name: "spikes" if population.spikes else "v" for population in populations
        }
        sizes = {population.name: population.n for population in populations}
        wanted = {(self.read[output.population], output.population) for output in outputs}
        if record:
            wanted |= set(product(states, sizes))
        self.kept: dict[tuple[str, str], Array] = {
            (state, name): np.zeros((*shape, sizes[name]), states[state])
            for state, name in sorted(wanted)
        }

    def write(self, cells: Mapping[str, Any], samples: slice, step: int) -> None:
        """Store the states after ``step``, attributes of ``cells``."""
        for (state, name), values in self.kept.items():
            values[samples, step] = getattr(cells[name], state)

    def run(self) -> Run:
        """Return the recordings. Output spikes are int32.

        States other than spikes and v are "STATE/NAME" in ``extra``.
        """
        columns = [
            self.kept[self.read[o.population], o.population][:, :, o.neurons] for o in self.outputs
        ]
        output = np.concatenate(columns, axis=2)
        output = output.astype(np.int32) if output.dtype == np.int8 else output
        if not self.record:
            return Run(output)
        return Run(
            output,
            spikes={name: self.kept["spikes", name] for name in self.read},
            v={name: self.kept["v", name] for name in self.read},
            extra={
                f"{state}/{name}": self.kept[state, name]
                for state, name in product(self.states, self.read)
                if state not in ("spikes", "v")
            },
        )
