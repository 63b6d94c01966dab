"""400 neurons that Negri ran on a SpiNNaker2 chip: a field of 20 x 20, local excitation
(tests/data/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nirc.backends.spinnaker2.tables import Input, Output, Population, Projection, Tables

DATA = Path(__file__).parents[1] / "data/spinnaker2/field.npz"
SIDE = 20
N = SIDE * SIDE
STEPS = 400
INHIBITION = -4
INPUT = 5


@dataclass(frozen=True)
class Field:
    """One of the three recorded runs."""

    name: str
    filtered: bool
    sigma: float
    gain: float
    inhibitor_threshold: float
    short: bool  # inputs of five steps
    spikes: int

    def kernel(self) -> np.ndarray:
        """(400, 400) integer weights, [target, source]."""
        offsets = np.arange(-3, 4)
        x, y = np.meshgrid(offsets, offsets)
        taps = np.round(
            (np.exp(-(x**2 + y**2) / (2 * self.sigma**2)) - 0.4) / 0.5 * self.gain
        ).astype(np.int64)
        weights = np.zeros((N, N), np.int64)
        for dx, dy, w in zip(x.ravel(), y.ravel(), taps.ravel(), strict=True):
            weights[(np.arange(N) + dx + SIDE * dy) % N, np.arange(N)] = w
        return weights

    def raster(self) -> np.ndarray:
        """(steps, channels): source k sends in steps k to 2k - 1, or k to k + 4; the last one is
        silent.
        """
        raster = np.zeros((STEPS, N), np.int64)
        for k in range(N - 1):
            raster[k : min(k + 5 if self.short else 2 * k, STEPS), k] = 1
        return raster

    def recorded(self) -> np.ndarray:
        """(steps, neurons) spikes."""
        with np.load(DATA) as archive:
            return np.unpackbits(archive[self.name], axis=1).astype(bool)

    def tables(self) -> Tables:
        """The network as its script gives it to the vendor's tools."""
        target, source = np.nonzero(self.kernel())
        order = np.lexsort((target, source))
        every, zeros = np.arange(N), np.zeros(N, np.int64)
        return Tables(
            N,
            (Input("stimulus", every, 100),),
            (self.neurons(), inhibitor(self.inhibitor_threshold)),
            (
                Projection("in", "stimulus", "field", every, every, zeros + INPUT, zeros),
                Projection(
                    "local",
                    "field",
                    "field",
                    source[order],
                    target[order],
                    self.kernel()[target, source][order],
                    np.zeros(len(order), np.int64),
                ),
                Projection("global", "inhibitor", "field", zeros, every, zeros + INHIBITION, zeros),
            ),
            (),
            (Output("field", every),),
        )

    def neurons(self) -> Population:
        """The field's neurons."""
        if not self.filtered:
            return Population(
                "field", "lif", N, 30, "reset_to_v_reset", *map(one, (5, 0.9, 0, 0, 0))
            )
        values = map(one, (10, 0.8, 0, 0, -0.2, 0.5, 0.2))
        return Population("field", "lif_curr_exp", N, 30, "reset_by_subtraction", *values)


def inhibitor(threshold: float) -> Population:
    """One neuron that fires on its own."""
    return Population(
        "inhibitor", "lif", 1, 30, "reset_to_v_reset", *map(one, (threshold, 1, 3, 0, 0))
    )


def one(value: float) -> np.ndarray:
    """A parameter for all neurons."""
    return np.array([value], np.float32)


FIELDS = (
    Field("lif", False, 1.5, 6, 2, False, 20_722),
    Field("curr_exp", True, 1, 3, 5, False, 10_188),
    Field("curr_exp_short", True, 1, 3, 5, True, 651),
)
