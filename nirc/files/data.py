"""Input rasters from files: .npz, .npy, or nir's own recorded data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.files.arrays import read_npy, read_npz
from nirc.files.bounds import MAX_DATA_BYTES
from nirc.files.foreign import check_file, identify, is_hdf5
from nirc.files.refusal import RefusalError, at

EXPECTED = "spike counts (samples, steps, ...input shape)"
EXAMPLE = "np.savez('data.npz', inputs=counts, labels=classes, dt=1e-4)"
KEYS = ("inputs", "labels", "dt", "outputs")
LARGEST_COUNT = 1 << 20  # spikes of one channel in one step: more is no spike count
SAME_STEP = 1e-3  # relative difference below which two time steps are the same


@dataclass(frozen=True)
class Data:
    """``inputs`` (samples, steps, ...) spike counts; ``labels`` (samples,) classes; ``dt_s``
    seconds a step.

    ``outputs`` (samples, steps, ...) float64: what a simulator recorded. ``file``: where all was
    read, for findings.
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    dt_s: float | None = None
    file: str = ""
    outputs: NDArray[np.float64] | None = None


def read_data(path: Path, log: Log, dt_s: float | None = None) -> Data:
    """Rasters of ``path``. Raises ``InputError`` (U603).

    ``dt_s``: the model's time step in seconds, if it is known. Events are counted in it; a file
    that says another one is warned of (U609).
    """
    data = Data(np.zeros((0, 0, 0), np.int64))
    try:
        check_file(path)
        data = replace(_checked(_arrays(path, dt_s), log), file=str(path))
    except RefusalError as refusal:
        refusal.help = refusal.help or EXAMPLE
        refusal.report(log, code="U603")
    log.raise_if_errors()
    if data.dt_s is not None and dt_s is not None and abs(data.dt_s / dt_s - 1) > SAME_STEP:
        found, limit = f"{data.dt_s:g} s", f"{dt_s:g} s"
        log.warning(
            "U609", f"the data's steps are {found}, the model's {limit}", found=found, limit=limit
        )
    return data


def data_of(arrays: Mapping[str, NDArray[Any]], log: Log) -> Data:
    """Rasters from arrays under the names of an .npz file. Raises ``InputError`` (U603)."""
    data = Data(np.zeros((0, 0, 0), np.int64))
    try:
        data = _checked(arrays, log)
    except RefusalError as refusal:
        refusal.report(log)
    log.raise_if_errors()
    return data


def _arrays(path: Path, dt_s: float | None) -> Mapping[str, NDArray[Any]]:
    """Unchecked arrays under the names of an .npz file, whatever the file is."""
    if is_hdf5(path):
        from nirc.files.recorded import read_recorded

        return read_recorded(path, dt_s)
    kind = identify(path)
    if kind.startswith("a numpy array"):
        return {"inputs": read_npy(path)}
    if "numpy" not in kind and "zip" not in kind:
        raise RefusalError(
            "U603", f"this is {kind}", limit=".npz, .npy or nir's recorded data in HDF5"
        )
    return read_npz(path, KEYS)


def _checked(arrays: Mapping[str, NDArray[Any]], log: Log) -> Data:
    with at("inputs"):
        inputs = _counts(arrays["inputs"], log)
    with at("labels"):
        labels = _labels(arrays["labels"], len(inputs)) if "labels" in arrays else None
    with at("dt"):
        dt_s = _time_step(arrays["dt"]) if "dt" in arrays else None
    with at("outputs"):
        outputs = _outputs(arrays["outputs"], inputs.shape[:2]) if "outputs" in arrays else None
    return Data(inputs, labels, dt_s, outputs=outputs)


def _counts(values: NDArray[Any], log: Log) -> NDArray[np.int64]:
    found = f"{values.dtype}, shape {values.shape}"
    if values.ndim == 2:
        message = "inputs of two axes are read as one sample of (steps, channels)"
        log.warning("U604", message, where="inputs", found=found, help="add an axis: inputs[None]")
        values = values[None]
    if values.ndim < 3 or values.size == 0:
        raise RefusalError("U603", "the inputs have too few axes or are empty", found, EXPECTED)
    if values.size * 8 > MAX_DATA_BYTES:
        raise RefusalError(
            "U603", "the inputs are too large", found, f"{MAX_DATA_BYTES // 8} counts"
        )
    _whole(values, "a spike count", LARGEST_COUNT)
    return values.astype(np.int64)


def _labels(values: NDArray[Any], samples: int) -> NDArray[np.int64]:
    if values.shape != (samples,):
        limit = f"shape ({samples},)"
        raise RefusalError(
            "U603", "the labels do not match the samples", f"shape {values.shape}", limit
        )
    _whole(values, "a class", np.iinfo(np.int32).max)
    return values.astype(np.int64)


def _outputs(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    if values.ndim < 3 or values.shape[:2] != shape:
        limit = f"({shape[0]} samples, {shape[1]} steps, ...output shape)"
        raise RefusalError(
            "U603", "the recorded outputs do not match the inputs", f"shape {values.shape}", limit
        )
    if values.size * 8 > MAX_DATA_BYTES:
        raise RefusalError("U603", "the recorded outputs are too large", f"{values.size} values")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise RefusalError(
            "U603", "a recorded output is not finite", f"{values[index]} at index {index}"
        )
    return values.astype(np.float64)


def _whole(values: NDArray[Any], name: str, most: int) -> None:
    """Refuse anything but whole numbers from 0 to ``most``; NaN and infinity are neither."""
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = (values < 0) | (values > most) | (np.floor(values) != values)
    if wrong.any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), values.shape))
        found = f"{values[index]} at index {index}"
        others = int(np.count_nonzero(wrong)) - 1
        found += f"; {others} more are wrong" if others else ""
        raise RefusalError("U603", f"a value is not {name}", found, f"whole numbers, 0 to {most}")


def _time_step(value: NDArray[Any]) -> float:
    step = float(value.reshape(())) if value.size == 1 else float("nan")
    if not 0 < step < float("inf"):
        found = str(step) if value.size == 1 else f"shape {value.shape}"
        raise RefusalError("U603", "dt is not one positive number", found, "seconds, above 0")
    return step
