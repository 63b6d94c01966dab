"""Inputs and outputs of emulators and interpreters, and recordings step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike, NDArray

from nirc.diagnostics.usage import RasterDoesNotFit

Array = NDArray[Any]
Progress = Callable[[int], None]  # gets the finished work: samples, or a percentage


@dataclass(frozen=True)
class Run:
    """Result of running a network on a batch.

    ``outputs`` (samples, steps, outputs): output spikes of each step, or the membrane of
    non-spiking outputs. ``spikes`` and ``v``: recordings of populations (or chip blocks) by name,
    each (samples, steps, neurons).
    """

    outputs: Array
    spikes: Mapping[str, Array] = field(default_factory=dict)
    v: Mapping[str, Array] = field(default_factory=dict)
    extra: Mapping[str, Array] = field(default_factory=dict)  # a chip's states: "isyn/hidden"

    def __repr__(self) -> str:
        samples, steps, outputs = self.outputs.shape
        recorded = f", {len(self.spikes)} population(s) recorded" if self.spikes else ""
        return f"<Run: {samples} sample(s) x {steps} step(s), {outputs} output(s){recorded}>"


def spike_counts(raster: ArrayLike, channels: int) -> Array:
    """Return ``raster`` (samples, steps, channels) as an array of its type.

    Raises ``InputError`` (U604) for other shapes and for values that are not spike counts.
    """
    inputs = np.asarray(raster)
    if inputs.dtype.kind not in "biuf":
        raise RasterDoesNotFit(
            problem="the raster does not hold numbers",
            found=inputs.dtype,
            limit="integer spike counts",
        ).refusal()
    if inputs.ndim != 3 or inputs.shape[2] != channels:
        raise RasterDoesNotFit(
            problem="the raster does not have the shape that the network needs",
            found=inputs.shape,
            limit=f"(samples, steps, {channels})",
        ).refusal()
    if (inputs < 0).any() or (inputs.dtype.kind == "f" and not _integral(inputs)):
        raise RasterDoesNotFit(
            problem="the raster holds a value that is not a spike count",
            limit="integers from 0",
        ).refusal()
    return inputs


def _integral(values: Array) -> bool:
    return bool(np.isfinite(values).all()) and bool((values == np.floor(values)).all())


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
        self.recorded: dict[tuple[str, str], Array] = {
            (state, name): np.zeros((*shape, sizes[name]), states[state])
            for state, name in sorted(wanted)
        }

    def write(self, cells: Mapping[str, Any], samples: slice, step: int) -> None:
        """Store the states after ``step``, attributes of ``cells``."""
        for (state, name), values in self.recorded.items():
            values[samples, step] = getattr(cells[name], state)

    def run(self) -> Run:
        """Return the recordings. Output spikes are int32.

        States other than spikes and v are "STATE/NAME" in ``extra``.
        """
        columns = [
            self.recorded[self.read[o.population], o.population][:, :, o.neurons]
            for o in self.outputs
        ]
        output = np.concatenate(columns, axis=2)
        output = output.astype(np.int32) if output.dtype == np.int8 else output
        if not self.record:
            return Run(output)
        return Run(
            output,
            spikes={name: self.recorded["spikes", name] for name in self.read},
            v={name: self.recorded["v", name] for name in self.read},
            extra={
                f"{state}/{name}": self.recorded[state, name]
                for state, name in product(self.states, self.read)
                if state not in ("spikes", "v")
            },
        )
