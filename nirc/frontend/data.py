"""Input rasters from files: .npz, .npy, or nir's own recorded data. Never unpickled; sizes before allocation."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.errors import InputError
from nirc.frontend import bounds
from nirc.frontend.foreign import identify
from nirc.frontend.hdf5 import DAMAGE, SIGNATURE

EXPECTED = "spike counts (samples, steps, ...input shape)"
LARGEST_COUNT = 1 << 20


@dataclass(frozen=True)
class Data:
    """``inputs`` (samples, steps, ...) int64 spike counts; ``labels`` (samples,) or None; ``dt_s`` or None."""

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    dt_s: float | None = None


def read_data(path: Path, log: Log, dt_s: float | None = None) -> Data:
    """Rasters of ``path``; ``dt_s`` bins event data. Raises ``InputError`` (U603)."""
    try:
        if not path.is_file():
            _fail(log, "there is no such file", found=str(path))
        arrays = _arrays(path, log, dt_s)
    except InputError:
        raise
    except (*DAMAGE, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        _fail(log, "the data file cannot be read", found=str(error)[:200])
    if "inputs" not in arrays:
        _fail(
            log,
            "there is no array `inputs`",
            found=", ".join(sorted(arrays))[:200] or "nothing",
            limit="inputs",
        )
    inputs = _counts(arrays["inputs"], log)
    return Data(inputs, _labels(arrays.get("labels"), len(inputs), log), _dt(arrays.get("dt"), log))


def _fail(log: Log, message: str, *, found: str = "", where: str = "", limit: str = EXPECTED) -> None:
    log.error(
        "U603",
        message,
        where=where,
        found=found,
        limit=limit,
        help="np.savez(FILE, inputs=counts, labels=classes, dt=1e-4)",
    )
    log.raise_if_errors()


def _arrays(path: Path, log: Log, dt_s: float | None) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        head = file.read(8)
        if head == SIGNATURE:
            return _nir_data(path, log, dt_s)
        if head.startswith(b"\x93NUMPY"):
            file.seek(0)
            return {"inputs": _npy(file, path.stat().st_size, "inputs", log)}
    if not zipfile.is_zipfile(path):
        _fail(log, f"this is {identify(path)}", limit=".npz, .npy or nir's data in HDF5")
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in ("inputs", "labels", "dt"):
            member = f"{name}.npy"
            if member in archive.namelist():
                with archive.open(member) as stream:
                    found[name] = _npy(stream, archive.getinfo(member).file_size, name, log)
        if not found:
            _fail(
                log,
                f"this is {identify(path)} without an array `inputs`",
                found=", ".join(archive.namelist()[:10]),
            )
    return found


def _npy(stream: Any, size: int, name: str, log: Log) -> NDArray[Any]:
    """One array, after its header has been held against the bounds; pickled objects are refused."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    if dtype.kind not in "biuf":
        _fail(log, "this array does not hold numbers", where=name, found=str(dtype)[:60], limit="integers")
    if wanted > bounds.MAX_ARRAY_BYTES or wanted > size:
        _fail(
            log,
            "this array is larger than allowed or than the file",
            where=name,
            found=f"{wanted} bytes",
            limit=f"{bounds.MAX_ARRAY_BYTES} bytes",
        )
    flat = np.frombuffer(stream.read(wanted), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _nir_data(path: Path, log: Log, dt_s: float | None) -> dict[str, NDArray[Any]]:
    """NIRGraphData as ``nir.write_data`` writes it: the observable of the node called input, or the only one."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        if file.attrs.get("__type__") != "NIRGraphData":
            _fail(log, "this HDF5 file holds no recorded data", limit="NIRGraphData, .npz or .npy")
        node = _one(file["nodes"], "input", log)
        observable = _one(node["observables"], "spikes", log)
        kind = observable.attrs.get("__type__")
        for name in ("data", "idx", "time", "value"):
            if name in observable:
                dataset = observable[name]
                too_large = dataset.size * dataset.dtype.itemsize > bounds.MAX_ARRAY_BYTES
                if dataset.external or dataset.is_virtual or too_large:
                    _fail(log, "this array is too large or lies in another file", where=name)
        if kind == "TimeGriddedData":
            return {"inputs": np.asarray(observable["data"][()]), "dt": np.asarray(observable.attrs["dt"])}
        if kind not in ("EventData", "ValuedEventData"):
            _fail(log, "unknown kind of recording", found=str(kind)[:60], limit="TimeGriddedData, EventData")
        if dt_s is None:
            _fail(log, "events need a time step to be counted in", limit="--dt SECONDS")
        return {"inputs": _binned(observable, float(dt_s or 1), log), "dt": np.asarray(dt_s)}


def _one(group: Any, preferred: str, log: Log) -> Any:
    import h5py

    names = [n for n in group if isinstance(group.get(n, getlink=True), h5py.HardLink)]
    chosen = [n for n in names if n.lower() == preferred] or (names if len(names) == 1 else [])
    if len(chosen) != 1:
        _fail(
            log,
            f"which of these is the {preferred}?",
            found=", ".join(names)[:200] or "nothing",
            limit=preferred,
        )
    return group[chosen[0]]


def _binned(events: Any, dt_s: float, log: Log) -> NDArray[Any]:
    """(samples, steps, neurons) counts from indices (-1: none) and times in seconds."""
    index, time = np.asarray(events["idx"][()]), np.asarray(events["time"][()], dtype=np.float64)
    neurons, end = int(events.attrs["n_neurons"]), float(events.attrs["t_max"])
    steps = int(np.ceil(end / dt_s - 1e-6)) if np.isfinite(end) and end > 0 else 0
    if (
        index.ndim != 2
        or index.shape != time.shape
        or neurons < 1
        or len(index) * steps * neurons * 8 > bounds.MAX_ARRAY_BYTES
    ):
        _fail(
            log,
            "the events have no usable shape or span too many steps",
            found=f"{index.shape} events, {steps} steps",
        )
    real = (index >= 0) & np.isfinite(time)
    sample, _ = np.nonzero(real)
    step = np.floor(time[real] / dt_s + 1e-6).astype(np.int64)
    inside = (step >= 0) & (step < steps) & (index[real] < neurons)
    counts = np.zeros((len(index), steps, neurons), dtype=np.int64)
    amount = np.asarray(events["value"][()])[real][inside] if "value" in events else 1
    np.add.at(counts, (sample[inside], step[inside], index[real][inside].astype(np.int64)), amount)
    return counts


def _counts(values: NDArray[Any], log: Log) -> NDArray[np.int64]:
    found = f"{values.dtype} {values.shape}"
    if values.ndim == 2:
        log.warning(
            "U604",
            "inputs of two axes are read as one sample of (steps, channels)",
            where="inputs",
            found=found,
        )
        values = values[None]
    if values.ndim < 3 or values.size == 0:
        _fail(log, "the inputs have too few axes or are empty", where="inputs", found=found)
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(values) | (values < 0) | (values > LARGEST_COUNT) | (values != np.floor(values))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        _fail(
            log,
            f"{int(wrong.sum())} value(s) are no spike counts",
            where="inputs",
            found=f"{values[at]} at {at}",
            limit="whole numbers from 0 on",
        )
    return values.astype(np.int64)


def _labels(values: NDArray[Any] | None, samples: int, log: Log) -> NDArray[np.int64] | None:
    if values is None:
        return None
    if values.shape != (samples,) or not np.isfinite(values).all():
        _fail(
            log,
            "labels do not match the samples",
            where="labels",
            found=f"shape {values.shape}",
            limit=f"shape ({samples},)",
        )
    return values.astype(np.int64)


def _dt(value: NDArray[Any] | None, log: Log) -> float | None:
    if value is None:
        return None
    if value.size != 1 or not np.isfinite(value).all() or value.ravel()[0] <= 0:
        _fail(log, "dt is not one positive number of seconds", where="dt", found=str(value)[:60], limit="> 0")
    return float(value.ravel()[0])
