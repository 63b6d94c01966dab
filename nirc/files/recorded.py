"""nir's own recorded data (``nir.write_data``): spikes of an input, on a grid or as events.

An HDF5 file with nodes, their observables, and arrays. The arrays of an observable show its kind.
The attribute with its name is text, which HDF5 cannot read safely (see ``nirc.files.hdf5.text``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.usage import UnreadableData
from nirc.files.bounds import (
    COPY_AGAIN,
    MAX_DATA_BYTES,
    RefusalError,
    at,
    cause,
    printable,
    refused,
)
from nirc.files.foreign import is_nir_data

if TYPE_CHECKING:
    from nirc.files.hdf5.file import Hdf5

AS_WRITTEN = "as nir.write_data writes it"
ON_TIME = 1e-6  # of a step: rounding of an event's time in a file


def read_recorded(path: Path, dt_s: float | None) -> dict[str, NDArray[Any]]:
    """Return the spikes of the node called input, or of the only node, and their time step."""
    from nirc.files.hdf5.file import Hdf5

    with Hdf5(path) as file:
        names = file.names(file.root)
        if not is_nir_data(file, names):
            model = "node" in names
            problem = f"this {'is a model, not' if model else 'HDF5 file holds no recorded'} data"
            expected = "nir's recorded data (NIRGraphData), .npz or .npy"
            raise refused(UnreadableData, problem, _listed(names), expected)
        node = _one(file, _group(file, file.root, "nodes"), "input", "nodes")
        spikes = _one(file, _group(file, node, "observables"), "spikes", "observables")
        members = file.names(spikes)
        if "data" in members:
            return _gridded(file, spikes)
        if "idx" in members and "time" in members:
            return _events(file, spikes, members, dt_s)
    problem = "the recording is of an unknown kind"
    raise refused(UnreadableData, problem, _listed(members), "`data`, or `idx` and `time`")


def _listed(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:8])


def _group(file: Hdf5, parent: Any, name: str) -> Any:
    if name not in file.names(parent):
        problem = f"the recording has no group `{name}`"
        raise refused(UnreadableData, problem, limit=AS_WRITTEN)
    group = file.open(parent, name)
    if not file.is_group(group):
        raise refused(UnreadableData, f"`{name}` is not a group", limit=AS_WRITTEN)
    return group


def _one(file: Hdf5, group: Any, preferred: str, what: str) -> Any:
    names = file.names(group)
    chosen = [name for name in names if name.lower() == preferred] or names
    if len(chosen) != 1:
        problem = f"it is unclear which of the {what} to take"
        found = _listed(names) or "nothing"
        raise refused(UnreadableData, problem, found, f"one called `{preferred}`")
    return _group(file, group, chosen[0])


def _array(file: Hdf5, group: Any, name: str) -> NDArray[Any]:
    with at(name):
        item = file.open(group, name)
        if not file.is_dataset(item):
            raise refused(UnreadableData, "this is not an array")
        return file.numbers(item, MAX_DATA_BYTES)


def _gridded(file: Hdf5, group: Any) -> dict[str, NDArray[Any]]:
    arrays = {"inputs": _array(file, group, "data")}
    dt_s = file.number_attribute(group, "dt")
    return arrays if dt_s is None else {**arrays, "dt": np.asarray(dt_s)}


def _events(
    file: Hdf5, group: Any, members: list[str], dt_s: float | None
) -> dict[str, NDArray[Any]]:
    if dt_s is None:
        problem = "events need a time step to be counted in"
        raise refused(UnreadableData, problem, help="give it by --dt SECONDS")
    index = _array(file, group, "idx")
    time = _array(file, group, "time").astype(np.float64)
    value = _array(file, group, "value") if "value" in members else None
    if index.ndim != 2 or index.dtype.kind not in "iu" or time.shape != index.shape:
        found = f"{index.dtype} {index.shape} and {time.shape}"
        expected = "integers and seconds, (samples, events)"
        raise refused(UnreadableData, "idx and time do not match", found, expected)
    if value is not None and value.shape != index.shape:
        found = f"{value.shape} and {index.shape}"
        raise refused(UnreadableData, "value and idx do not match", found)
    neurons = file.number_attribute(group, "n_neurons")
    end_s = file.number_attribute(group, "t_max")
    shape = _raster_shape(len(index), neurons, end_s, dt_s)
    return {"inputs": _binned(index, time, value, shape, dt_s), "dt": np.asarray(dt_s)}


def _raster_shape(
    samples: int, neurons: float | None, end_s: float | None, dt_s: float
) -> tuple[int, int, int]:
    found = f"n_neurons {neurons}, t_max {end_s}, dt {dt_s:g}"
    steps = (end_s or 0) / dt_s
    if neurons is None or neurons < 1 or not 0 < steps < math.inf or neurons != math.floor(neurons):
        problem = "the attributes n_neurons and t_max make no sense"
        limit = "an integer number of neurons, a time in seconds"
        raise refused(UnreadableData, problem, found, limit)
    shape = samples, math.ceil(steps - ON_TIME), int(neurons)
    if math.prod(shape) * 8 > MAX_DATA_BYTES:
        limit = f"{MAX_DATA_BYTES // 8} counts"
        help_ = "choose a longer --dt, or fewer samples"
        raise refused(UnreadableData, "the events span too many steps", found, limit, help_)
    return shape


def _binned(
    index: NDArray[Any],
    time: NDArray[np.float64],
    value: NDArray[Any] | None,
    shape: tuple[int, int, int],
    dt_s: float,
) -> NDArray[Any]:
    """Return (samples, steps, neurons) counts. Index -1 and infinite time mean no event."""
    real = (index != -1) & (time != math.inf)
    neuron = index[real].astype(np.int64)
    time_s = time[real]
    step = np.floor(time_s / dt_s + ON_TIME)
    wrong = (neuron < 0) | (neuron >= shape[2]) | ~((step >= 0) & (step < shape[1]))
    if wrong.any():
        first = int(np.argmax(wrong))
        problem = f"{int(wrong.sum())} event(s) lie outside the recording"
        found = f"neuron {neuron[first]} at {time_s[first]:g} s"
        limit = f"neurons 0 to {shape[2] - 1}, from 0 s to before {shape[1] * dt_s:g} s"
        raise refused(UnreadableData, problem, found, limit)
    cell = np.ravel_multi_index((np.nonzero(real)[0], step.astype(np.int64), neuron), shape)
    weights = None if value is None else value[real].astype(np.float64)
    return np.bincount(cell, weights, minlength=math.prod(shape)).reshape(shape)


@contextmanager
def damage() -> Iterator[None]:
    """Refuse bytes that make no sense to numpy and zipfile, which raise a dozen classes."""
    try:
        yield
    except RefusalError:
        raise
    except Exception as error:
        problem = "the file is damaged"
        raise refused(UnreadableData, problem, cause(error), help=COPY_AGAIN) from error
