"""Input rasters from files: .npz, .npy, or nir's own recorded data (``nir.write_data``).

Of an array the header is read first, and its size is compared before memory is taken. Nothing is
unpickled.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.diagnostics.finding import Finding
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import DataTimeStep, RowsReadAsSample, UnreadableData
from nirc.files.bounds import (
    COPY_AGAIN,
    MAX_DATA_BYTES,
    RefusalError,
    at,
    bytes_as_text,
    printable,
    refused,
)
from nirc.files.foreign import CAMERA, check_file, identify, is_hdf5
from nirc.files.recorded import damage, read_recorded

if TYPE_CHECKING:
    pass

EXPECTED = "spike counts (samples, steps, ...input shape)"
EXAMPLE = "np.savez('data.npz', inputs=counts, labels=classes, dt=1e-4)"
FRAME = "nirc data FILE -o OUT.npz --dt SECONDS counts events in steps"
KEYS = ("inputs", "labels", "dt", "outputs", "framing")  # the first is required
MOST_FRAMING = 1000  # bytes
MOST_NAMES = 12  # of arrays, in a message
MANY_COUNTS = 1 << 24  # more are kept in the smallest type
LARGEST_COUNT = 1 << 20  # spikes of one channel in one step: more is no spike count
SAME_STEP = 1e-3  # relative difference below which two time steps are the same
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Data:
    """``inputs``: (samples, steps, ...) spike counts. ``labels``: (samples,) classes.

    ``dt_s``: seconds of a step. ``outputs``: (samples, steps, ...) recorded by a simulator.
    ``file``: the file that was read, for findings. ``framing``: how events became counts.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    dt_s: float | None = None
    file: str = ""
    outputs: NDArray[np.float64] | None = None
    framing: str = ""


def read_data(path: Path, log: Log, dt_s: float | None = None) -> Data:
    """Return the rasters of ``path``. Raises ``InputError`` (U603).

    ``dt_s``: the model's time step in seconds, if it is known. Events are counted in steps of this
    length. Warns (U609) of a file with another time step.
    """
    data = Data(np.zeros((0, 0, 0), np.int64))
    try:
        check_file(path)
        data = replace(_checked(_arrays(path, dt_s), log), file=str(path))
    except OSError as error:  # of the disk: the file was opened before
        reason = error.strerror or str(error)
        log.add(UnreadableData(problem=f"the file cannot be read: {reason}", help=COPY_AGAIN))
    except RefusalError as refusal:
        log.add(_as_data(refusal.finding, EXAMPLE))
    log.raise_if_errors()
    if data.dt_s is not None and dt_s is not None and abs(data.dt_s / dt_s - 1) > SAME_STEP:
        log.add(DataTimeStep(data_s=data.dt_s, model_s=dt_s))
    return data


def data_of(arrays: Arrays, log: Log) -> Data:
    """Return rasters from arrays with the names of an .npz file. Raises ``InputError`` (U603)."""
    data = Data(np.zeros((0, 0, 0), np.int64))
    try:
        data = _checked(arrays, log)
    except RefusalError as refusal:
        log.add(refusal.finding)
    log.raise_if_errors()
    return data


def _as_data(finding: Finding, otherwise: str) -> UnreadableData:
    """Return the fault of any file as the fault of a data file."""
    words = finding.words()
    return UnreadableData(
        where=finding.where,
        problem=words.message,
        found=words.found,
        limit=words.limit,
        help=words.help or otherwise,
    )


def _arrays(path: Path, dt_s: float | None) -> Arrays:
    """Return unchecked arrays with the names of an .npz file."""
    if is_hdf5(path):
        return read_recorded(path, dt_s)
    kind = identify(path)
    if kind.startswith("a numpy array"):
        return {"inputs": _read_npy(path)}
    if "numpy" not in kind and "zip" not in kind:
        expected = ".npz, .npy or nir's recorded data in HDF5"
        help_ = FRAME if kind.startswith(CAMERA) else ""
        raise refused(UnreadableData, f"this is {kind}", limit=expected, help=help_)
    return _read_npz(path)


# Checks of values.


def _checked(arrays: Arrays, log: Log) -> Data:
    with at("inputs"):
        inputs = _counts(arrays["inputs"], log)
    with at("labels"):
        labels = _labels(arrays["labels"], len(inputs)) if "labels" in arrays else None
    with at("dt"):
        dt_s = _time_step(arrays["dt"]) if "dt" in arrays else None
    with at("outputs"):
        outputs = _outputs(arrays["outputs"], inputs.shape[:2]) if "outputs" in arrays else None
    return Data(inputs, labels, dt_s, outputs=outputs, framing=_framing(arrays.get("framing")))


def _framing(values: NDArray[Any] | None) -> str:
    """Return the text of a framing, "" for what is none."""
    if values is None or values.dtype != np.uint8 or values.size > MOST_FRAMING:
        return ""
    return printable(values.tobytes().decode(errors="replace"), MOST_FRAMING)


def _counts(values: NDArray[Any], log: Log) -> NDArray[Any]:
    """Return spike counts, int64 or, where they are very many, in the smallest type."""
    found = f"{values.dtype}, shape {values.shape}"
    if values.ndim == 2:
        log.add(RowsReadAsSample(where="inputs", found=found))
        values = values[None]
    if values.ndim < 3 or values.size == 0:
        problem = "the inputs have too few axes or are empty"
        raise refused(UnreadableData, problem, found, EXPECTED)
    if values.nbytes > MAX_DATA_BYTES:
        limit = f"{MAX_DATA_BYTES // values.itemsize} counts of this type"
        raise refused(UnreadableData, "the inputs are too large", found, limit)
    _check_integers(values, "a spike count", LARGEST_COUNT)
    if values.size <= MANY_COUNTS:
        return values.astype(np.int64)
    return values.astype(np.min_scalar_type(int(values.max())), copy=False)


def _labels(values: NDArray[Any], samples: int) -> NDArray[np.int64]:
    if values.shape != (samples,):
        problem = "the labels do not match the samples"
        raise refused(UnreadableData, problem, f"shape {values.shape}", f"shape ({samples},)")
    _check_integers(values, "a class", np.iinfo(np.int32).max)
    return values.astype(np.int64)


def _outputs(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    if values.ndim < 3 or values.shape[:2] != shape:
        problem = "the recorded outputs do not match the inputs"
        limit = f"({shape[0]} samples, {shape[1]} steps, ...output shape)"
        raise refused(UnreadableData, problem, f"shape {values.shape}", limit)
    if values.size * 8 > MAX_DATA_BYTES:
        problem = "the recorded outputs are too large"
        raise refused(UnreadableData, problem, f"{values.size} values")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        found = f"{values[index]} at index {index}"
        raise refused(UnreadableData, "a recorded output is not finite", found)
    return values.astype(np.float64)


def _check_integers(values: NDArray[Any], name: str, most: int) -> None:
    """Refuse all but integers from 0 to ``most``. NaN and infinity are no integers."""
    if values.dtype.kind in "bu" and values.max(initial=0) <= most:
        return  # without a copy of a large array
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = (values < 0) | (values > most) | (np.floor(values) != values)
    if wrong.any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), values.shape))
        found = f"{values[index]} at index {index}"
        others = int(np.count_nonzero(wrong)) - 1
        found += f"; {others} more are wrong" if others else ""
        raise refused(UnreadableData, f"a value is not {name}", found, f"integers, 0 to {most}")


def _time_step(value: NDArray[Any]) -> float:
    step = float(value.reshape(())) if value.size == 1 else float("nan")
    if not 0 < step < float("inf"):
        found = str(step) if value.size == 1 else f"shape {value.shape}"
        raise refused(UnreadableData, "dt is not one positive number", found, "seconds, above 0")
    return step


# numpy's files.


def names_in(file: str) -> str:
    """Return the first names of the arrays in ``file``, "" if it is no .npz."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _names(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""


def _names(members: Iterable[str]) -> str:
    names = sorted(printable(name.removesuffix(".npy")) for name in members)
    return ", ".join(names[:MOST_NAMES])


def _read_npy(path: Path) -> NDArray[Any]:
    with at("inputs"), damage(), path.open("rb") as file:
        _check_header(file, path.stat().st_size)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with damage(), zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        if f"{KEYS[0]}.npy" not in members:
            found = _names(members) or "nothing"
            problem = f"there is no array `{KEYS[0]}` in the file"
            raise refused(UnreadableData, problem, found, EXPECTED)
        return {key: member(archive, key) for key in KEYS if f"{key}.npy" in members}


def member(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """Return the numbers of ``key``.npy. Raises ``RefusalError`` (U603)."""
    with at(key), damage():
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = "the array is packed in an unusual way"
            raise refused(UnreadableData, problem, limit="np.savez, np.savez_compressed")
        with archive.open(info) as stream:
            _check_header(stream, info.file_size)
        with archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)


def _check_header(stream: IO[bytes], size: int) -> None:
    """Refuse an array that is not numbers, or larger than allowed or than its ``size`` bytes."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        problem = "the array's format version is unknown"
        raise refused(UnreadableData, problem, str(version), "1.0 or 2.0")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.kind not in "biuf":
        pickled = "pickled objects, which are never opened"
        found = pickled if dtype.hasobject else printable(str(dtype))
        problem = "the array does not hold real numbers"
        help_ = FRAME if dtype.names and not dtype.hasobject else ""
        raise refused(UnreadableData, problem, found, "bool, integers or floats", help_)
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted > MAX_DATA_BYTES:
        found = f"shape {shape}, {bytes_as_text(abs(wanted))}"
        limit = bytes_as_text(MAX_DATA_BYTES)
        raise refused(UnreadableData, "the array is too large", found, limit)
    if wanted > size - stream.tell():
        found = f"{bytes_as_text(size - stream.tell())} of {bytes_as_text(wanted)}"
        raise refused(UnreadableData, "the array is cut off", found, help=COPY_AGAIN)
