"""nir's own recorded data (``nir.write_data``): an HDF5 file with nodes, their observables, and
arrays.

Which kind an observable is, is told by its arrays: the attribute that names it is text of variable
length, which the HDF5 library cannot read safely (see :mod:`nirc.files.hdf5.text`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.files.bounds import MAX_DATA_BYTES, printable
from nirc.files.foreign import is_nir_data
from nirc.files.hdf5.file import Hdf5, is_dataset, is_group
from nirc.files.refusal import RefusalError, at

# of a step: an event this much before a step belongs to the step (rounding of times in files)
ON_TIME = 1e-6


def read_recorded(path: Path, dt_s: float | None) -> dict[str, NDArray[Any]]:
    """``inputs`` and ``dt`` of the node called input (or the only one), observable spikes (or the
    only one).

    Events are counted in steps of ``dt_s`` seconds. Raises ``RefusalError``.
    """
    with Hdf5(path) as file:
        names = file.names(file.root)
        if not is_nir_data(file, names):
            message = (
                "this is a model, not data"
                if "node" in names
                else "this HDF5 file holds no recorded data"
            )
            found = ", ".join(printable(name) for name in names[:8])
            raise RefusalError(
                "U603", message, found, "nir's recorded data (NIRGraphData), .npz or .npy"
            )
        node = _one(file, _group(file, file.root, "nodes"), "input", "nodes")
        spikes = _one(file, _group(file, node, "observables"), "spikes", "observables")
        members = file.names(spikes)
        if "data" in members:
            return _gridded(file, spikes)
        if "idx" in members and "time" in members:
            return _events(file, spikes, members, dt_s)
    found = ", ".join(printable(name) for name in members[:8])
    raise RefusalError(
        "U603", "the recording is of an unknown kind", found, "`data`, or `idx` and `time`"
    )


def _group(file: Hdf5, parent: Any, name: str) -> Any:
    if name not in file.names(parent):
        raise RefusalError(
            "U603", f"the recording has no group `{name}`", limit="as nir.write_data writes it"
        )
    group = file.open(parent, name)
    if not is_group(group):
        raise RefusalError("U603", f"`{name}` is not a group", limit="as nir.write_data writes it")
    return group


def _one(file: Hdf5, group: Any, preferred: str, what: str) -> Any:
    names = file.names(group)
    chosen = [name for name in names if name.lower() == preferred] or names
    if len(chosen) != 1:
        found = ", ".join(printable(name) for name in names[:8]) or "nothing"
        raise RefusalError(
            "U603", f"it is unclear which of the {what} to take", found, f"one called `{preferred}`"
        )
    return _group(file, group, chosen[0])


def _array(file: Hdf5, group: Any, name: str) -> NDArray[Any]:
    with at(name):
        item = file.open(group, name)
        if not is_dataset(item):
            raise RefusalError("U603", "this is not an array")
        return file.numbers(item, MAX_DATA_BYTES)


def _gridded(file: Hdf5, group: Any) -> dict[str, NDArray[Any]]:
    arrays = {"inputs": _array(file, group, "data")}
    dt_s = file.number_attribute(group, "dt")
    return arrays if dt_s is None else {**arrays, "dt": np.asarray(dt_s)}


def _events(
    file: Hdf5, group: Any, members: list[str], dt_s: float | None
) -> dict[str, NDArray[Any]]:
    if dt_s is None:
        raise RefusalError(
            "U603", "events need a time step to be counted in", help="give it by --dt SECONDS"
        )
    index, time = _array(file, group, "idx"), _array(file, group, "time").astype(np.float64)
    value = _array(file, group, "value") if "value" in members else None
    if index.ndim != 2 or index.dtype.kind not in "iu" or time.shape != index.shape:
        found = f"{index.dtype} {index.shape} and {time.shape}"
        raise RefusalError(
            "U603",
            "idx and time do not match",
            found,
            "whole numbers and seconds, (samples, events)",
        )
    if value is not None and value.shape != index.shape:
        raise RefusalError("U603", "value and idx do not match", f"{value.shape} and {index.shape}")
    neurons, end = file.number_attribute(group, "n_neurons"), file.number_attribute(group, "t_max")
    shape = _raster_shape(len(index), neurons, end, dt_s)
    return {"inputs": _binned(index, time, value, shape, dt_s), "dt": np.asarray(dt_s)}


def _raster_shape(
    samples: int, neurons: float | None, end: float | None, dt_s: float
) -> tuple[int, int, int]:
    found = f"n_neurons {neurons}, t_max {end}, dt {dt_s:g}"
    steps = (end or 0) / dt_s
    if neurons is None or neurons < 1 or not 0 < steps < math.inf or neurons != math.floor(neurons):
        limit = "a whole number of neurons, a time in seconds"
        raise RefusalError("U603", "the attributes n_neurons and t_max make no sense", found, limit)
    shape = samples, math.ceil(steps - ON_TIME), int(neurons)
    if math.prod(shape) * 8 > MAX_DATA_BYTES:
        help_ = "choose a longer --dt, or fewer samples"
        raise RefusalError(
            "U603", "the events span too many steps", found, f"{MAX_DATA_BYTES // 8} counts", help_
        )
    return shape


def _binned(
    index: NDArray[Any],
    time: NDArray[np.float64],
    value: NDArray[Any] | None,
    shape: tuple[int, int, int],
    dt_s: float,
) -> NDArray[Any]:
    """(samples, steps, neurons) counts of events; index -1 or infinite time: no event."""
    real = (index != -1) & (time != math.inf)
    neuron, at_s = index[real].astype(np.int64), time[real]
    step = np.floor(at_s / dt_s + ON_TIME)
    wrong = (neuron < 0) | (neuron >= shape[2]) | ~((step >= 0) & (step < shape[1]))
    if wrong.any():
        first = int(np.argmax(wrong))
        found = f"neuron {neuron[first]} at {at_s[first]:g} s"
        limit = f"neurons 0 to {shape[2] - 1}, from 0 s to before {shape[1] * dt_s:g} s"
        raise RefusalError(
            "U603", f"{int(wrong.sum())} event(s) lie outside the recording", found, limit
        )
    cell = np.ravel_multi_index((np.nonzero(real)[0], step.astype(np.int64), neuron), shape)
    weights = None if value is None else value[real].astype(np.float64)
    return np.bincount(cell, weights, minlength=math.prod(shape)).reshape(shape)
