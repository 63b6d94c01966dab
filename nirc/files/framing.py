"""Recordings as rasters, and rasters as files: .npz of nirc, or NIR's recorded data."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnreadableData, WrongType
from nirc.files.bounds import RefusalError
from nirc.files.data import Data, read_data
from nirc.files.events import (
    Framing,
    Polarity,
    events_of,
    framed,
    is_events,
    joined,
    read_events,
)
from nirc.files.foreign import check_file


def is_recording(path: Path) -> bool:
    """Return True for events: a file of a camera, or a structured array."""
    try:
        check_file(path)
        if is_events(path):
            return True
        with path.open("rb") as file:
            head = file.read(128)
    except (OSError, RefusalError):
        return False  # of which its reader says more
    return head.startswith(b"\x93NUMPY") and b"'descr': [" in head


def framed_files(paths: Sequence[Path], framing: Framing, log: Log) -> Data:
    """Return the samples of all files as one raster. Raises ``InputError`` (U603)."""
    parts: list[NDArray[Any]] = []
    inputs = np.zeros((0, 0, 0))
    for path in paths:
        try:
            parts.append(framed(read_events(path, log), framing))
        except RefusalError as refusal:
            log.add(refusal.finding.with_fields(file=str(path)))
    log.raise_if_errors()
    try:
        inputs = joined(iter(parts))
    except RefusalError as refusal:
        log.add(refusal.finding)
    log.raise_if_errors()
    return Data(inputs, None, framing.dt_s, framing=framing.text())


def frames(
    events: ArrayLike,
    *,
    dt: float,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    pool: int = 1,
    polarity: Polarity = "both",
    start: float = 0.0,
    window: float | None = None,
) -> NDArray[Any]:
    """Return counts (samples, steps, channels, height, width) of one recording's events.

    ``events``: a structured array with fields t (microseconds), x, y, p, as tonic gives it.
    ``dt``: seconds of a step. ``size``: width and height of the sensor. ``crop``: x, y, width,
    height. ``pool``: pixels of a square that become one. ``polarity``: both, merged, on or off.
    ``start``, ``window``: seconds. Raises ``InputError`` (U603).
    """
    if size is not None and not _is_size(size):
        limit = "width and height in pixels"
        raise WrongType(argument="size", value=size, limit=limit).refusal()
    framing = Framing(dt, crop, pool, polarity, start, window)
    try:
        framing.check()
        return framed(events_of(np.asarray(events), size), framing)
    except RefusalError as refusal:
        raise refusal.finding.refusal() from None


def _is_size(size: object) -> bool:
    return (
        isinstance(size, tuple | list)
        and len(size) == 2
        and all(isinstance(each, int | np.integer) and each > 0 for each in size)
    )


def converted(path: Path, dt_s: float | None, log: Log) -> Data:
    """Return the raster of a data file, with ``dt_s`` seconds a step if the file has none."""
    data = read_data(path, log, dt_s)
    return data if data.dt_s is not None else replace(data, dt_s=dt_s)


def as_npz(data: Data, log: Log) -> bytes:
    """Return the bytes of FILE.npz, as --data takes it."""
    arrays: dict[str, Any] = {"inputs": data.inputs}
    if data.labels is not None:
        arrays["labels"] = data.labels
    if data.dt_s is not None:
        arrays["dt"] = np.float64(data.dt_s)
    if data.outputs is not None:
        arrays["outputs"] = data.outputs
    if data.framing:
        arrays["framing"] = np.frombuffer(data.framing.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def as_nir_data(data: Data, log: Log) -> bytes:
    """Return the bytes of NIR's recorded data: `input` with the spikes, `output` if recorded.

    Shapes are flattened, and labels and the framing have no place there. Raises ``InputError``
    (U603) without a time step or without the package nir.
    """
    if find_spec("nir") is None:
        help_ = "pip install 'nirc-compiler[nir]'"
        log.add(UnreadableData(problem="NIR's data is written by the package nir", help=help_))
    if data.dt_s is None:
        problem = "NIR's data needs a time step"
        log.add(UnreadableData(problem=problem, file=data.file, help="give it by --dt SECONDS"))
    log.raise_if_errors()
    import nir

    nodes = {"input": _observed(data.inputs, data.dt_s)}
    if data.outputs is not None:
        nodes["output"] = _observed(data.outputs, data.dt_s)
    buffer = io.BytesIO()
    nir.write_data(buffer, nir.NIRGraphData(nodes))
    return buffer.getvalue()


def _observed(values: NDArray[Any], dt_s: float | None) -> Any:
    import nir

    flat = values.reshape(*values.shape[:2], -1)
    return nir.NIRNodeData({"spikes": nir.TimeGriddedData(flat, dt_s)})
