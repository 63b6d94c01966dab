"""Inputs and outputs of emulators and interpreters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.diagnostics.log import Log

Array = NDArray[Any]
Progress = Callable[[int], None]  # gets the finished work: samples, or a percentage


@dataclass(frozen=True)
class Run:
    """Result of running a network on a batch.

    ``output`` (samples, steps, outputs): output spikes of each step, or the membrane of non-spiking
    outputs. ``spikes`` and ``v``: recordings of populations (or chip blocks) by name, each
    (samples, steps, neurons).
    """

    output: Array
    spikes: Mapping[str, Array] = field(default_factory=dict)
    v: Mapping[str, Array] = field(default_factory=dict)
    extra: Mapping[str, Array] = field(
        default_factory=dict
    )  # chip-specific states, e.g. "isyn/hidden"


def spike_counts(raster: ArrayLike, channels: int) -> Array:
    """Return ``raster`` (samples, steps, channels) as an array of its type.

    Raises ``InputError`` (U604) for other shapes and for values that are not spike counts.
    """
    inputs = np.asarray(raster)
    log = Log()
    if inputs.dtype.kind not in "biuf":
        log.error(
            "U604",
            "the raster does not hold numbers",
            found=inputs.dtype,
            limit="whole spike counts",
        )
    elif inputs.ndim != 3 or inputs.shape[2] != channels:
        log.error(
            "U604",
            "the raster does not have the shape that the network needs",
            found=inputs.shape,
            limit=f"(samples, steps, {channels})",
        )
    elif (inputs < 0).any() or (inputs.dtype.kind == "f" and not _integral(inputs)):
        log.error(
            "U604",
            "the raster holds a value that is not a spike count",
            limit="whole numbers from 0",
        )
    log.raise_if_errors()
    return inputs


def _integral(values: Array) -> bool:
    return bool(np.isfinite(values).all()) and bool((values == np.floor(values)).all())
