"""What is kept of a run of populations, step by step, and put together under its public names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nirc.semantics.raster import Array, Run


class Neurons(Protocol):
    """A population; ``spikes`` false: a readout, whose v is the output."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def n(self) -> int:
        """Neurons."""

    @property
    def spikes(self) -> bool:
        """Whether it fires."""


class Columns(Protocol):
    """Columns of the output: ``neurons`` (k,) of a population."""

    @property
    def population(self) -> str:
        """Whose."""

    @property
    def neurons(self) -> Array:
        """Which of its neurons."""


class Tape:
    """(samples, steps, neurons) of each state and population that is wanted: of all with ``record``.

    ``states``: the type that each is kept in, by the name of its attribute; "spikes" and "v" among them.
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
        self.outputs, self.states, self.record = outputs, states, record
        self.read = {population.name: "spikes" if population.spikes else "v" for population in populations}
        sizes = {population.name: population.n for population in populations}
        wanted = {(self.read[output.population], output.population) for output in outputs}
        if record:
            wanted |= {(state, name) for state in states for name in sizes}
        self.kept: dict[tuple[str, str], Array] = {
            (state, name): np.zeros((*shape, sizes[name]), states[state]) for state, name in sorted(wanted)
        }

    def write(self, cells: Mapping[str, Any], samples: slice, step: int) -> None:
        """Keep the states after ``step``, attributes of ``cells``."""
        for (state, name), values in self.kept.items():
            values[samples, step] = getattr(cells[name], state)

    def run(self) -> Run:
        """The recordings; states other than spikes and v as "STATE/NAME" in ``extra``. Output spikes are int32."""
        columns = [self.kept[self.read[o.population], o.population][:, :, o.neurons] for o in self.outputs]
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
                for state in self.states
                if state not in ("spikes", "v")
                for name in self.read
            },
        )
