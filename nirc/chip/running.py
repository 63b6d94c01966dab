"""A raster through a bundle: model inputs to chip channels, chip outputs back to the model's
rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.chip import registry
from nirc.chip.backend import Emulation
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.files.data import Data
from nirc.semantics.raster import Progress, Run

Samples = Data | NDArray[np.generic]  # to calibrate with: read from a file, or an array


def flat_raster(
    inputs: NDArray[Any], channels: int, log: Log, file: str = "", where: str = "inputs"
) -> NDArray[np.int64]:
    """(samples, steps, channels) int64 from (samples, steps, ...) of ``file``; raises
    ``InputError`` (U604).

    ``where``: what they are called in findings.
    """
    if inputs.ndim < 3 or int(np.prod(inputs.shape[2:])) != channels:
        log.error(
            "U604",
            "the raster does not fit the network's inputs",
            where=where,
            found=f"shape {inputs.shape}",
            limit=f"(samples, steps, {channels} channels in all)",
            help="`nirc inspect` shows the input's shape",
            file=file,
        )
        log.raise_if_errors()
    whole = inputs.dtype.kind in "bui" or (
        inputs.dtype.kind == "f"
        and bool(np.isfinite(inputs).all())
        and bool((inputs == np.floor(inputs)).all())
    )
    if not whole or (inputs.size and (inputs.min() < 0 or inputs.max() > 1 << 20)):
        log.error(
            "U604",
            "inputs are spike counts: whole numbers from 0 on",
            where=where,
            found=f"dtype {inputs.dtype}",
            file=file,
        )
        log.raise_if_errors()
    return inputs.reshape(*inputs.shape[:2], channels).astype(np.int64)


def calibration_raster(samples: Samples, channels: int, log: Log) -> NDArray[np.int64]:
    """(samples, steps, channels) to calibrate with; raises ``InputError`` (U604).

    Warns if nothing spikes (U612).
    """
    inputs, file = (samples.inputs, samples.file) if isinstance(samples, Data) else (samples, "")
    where = "inputs" if file else "inputs to calibrate with"
    raster = flat_raster(inputs, channels, log, file, where)
    if not raster.any():
        log.warning(
            "U612",
            "the inputs to calibrate with have no spikes: only inputs that nirc makes up count",
            where=where,
            found=f"{len(raster)} silent sample(s)",
            help="give samples as the network will see them",
            file=file,
        )
    return raster


def run_bundle(
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes],
    inputs: NDArray[Any],
    *,
    mode: str | None = None,
    record: Collection[str],
    progress: Progress | None,
    log: Log,
) -> Run:
    """Feed the raster, then ``latency_steps`` empty steps, and shift every row back to the model's
    step.

    Raises ``InputError`` (U604, U605), ``UsageError`` for an unknown population (U606) or mode
    (U607).
    """
    populations: dict[str, Any] = manifest["populations"]
    backend = registry.backend(manifest["target"].partition(":")[0])
    mode = mode or backend.modes[0]
    if mode not in backend.modes:
        log.error(
            "U607",
            f"{backend.name} has no mode `{mode}`",
            found=mode,
            limit=", ".join(backend.modes),
        )
    for name in record:
        if name not in populations:
            log.error(
                "U606",
                f"there is no population `{name}`",
                found=name,
                limit=", ".join(sorted(populations)),
                help=did_you_mean(name, populations),
            )
    log.raise_if_errors()
    raster = flat_raster(inputs, len(manifest["input_map"]), log)
    samples, steps, _ = raster.shape
    longest = max(
        [0, manifest["latency_steps"], *(populations[n]["latency_steps"] for n in record)]
    )
    channel = np.array([-1 if c is None else c for c in manifest["input_map"]], dtype=np.int64)
    chip_inputs = np.zeros(
        (samples, steps + longest, int(channel.max(initial=-1)) + 1), dtype=np.int64
    )
    listened = channel >= 0
    # Adds, because several inputs may share a channel, as pixels that are pooled.
    by_channel = chip_inputs[:, :steps].transpose(2, 0, 1)
    np.add.at(by_channel, channel[listened], raster[:, :, listened].transpose(2, 0, 1))
    membranes = manifest["output_kind"] == "membrane"
    asked = Emulation(mode, bool(record) or membranes, progress)
    chip = backend.emulate(_ChipFiles(files), chip_inputs, asked, log)
    log.raise_if_errors()
    try:
        columns = _aligned(
            chip.output, manifest["output_map"], manifest["output_latency_steps"], steps
        )
        if membranes:
            columns = _membranes(chip, manifest, columns, steps)
        spikes, v = {}, {}
        for name in record:
            block = populations[name]
            late = [block["latency_steps"]] * len(block["index"])
            spikes[name] = _aligned(chip.spikes[block["part"]], block["index"], late, steps)
            v[name] = _aligned(chip.v[block["part"]], block["index"], late, steps)
    except (IndexError, KeyError):
        log.error(
            "U605",
            "the manifest does not match the chip's files",
            where="manifest.json",
            help="compile again",
        )
        log.raise_if_errors()
        raise
    return Run(columns, spikes, v)


class _ChipFiles(dict[str, bytes]):
    """A bundle's files by name. One that is not there is refused with U605."""

    def __missing__(self, name: str) -> bytes:
        log = Log()
        log.error(
            "U605", f"the bundle has no `{name}`", where="manifest.json/files", help="compile again"
        )
        log.raise_if_errors()
        raise KeyError(name)


def _aligned(chip: NDArray[Any], index: list[int], late: list[int], steps: int) -> NDArray[Any]:
    """(samples, steps, len(index)): chip column ``index[i]``, ``late[i]`` steps later than the
    model, or earlier.
    """
    result = np.zeros((len(chip), steps, len(index)), dtype=chip.dtype)
    lags = np.asarray(late, dtype=np.int64)
    columns = np.asarray(index, dtype=np.int64)
    for lag in np.unique(lags):
        mine = lags == lag
        first = max(0, -int(lag))
        result[:, first:, mine] = chip[
            :, lag + first : max(lag + first, lag + steps), columns[mine]
        ]
    return result


def _membranes(
    chip: Run, manifest: Mapping[str, Any], spikes: NDArray[Any], steps: int
) -> NDArray[Any]:
    """Outputs read as membrane potentials, in the model's volts."""
    scale = np.ones(chip.v["readout"].shape[2])
    for block in manifest["populations"].values():
        if block["part"] == "readout":
            scale[block["index"]] = block["scale"]
    columns: list[int] = manifest["output_map"]
    v = _aligned(chip.v["readout"], columns, manifest["output_latency_steps"], steps)
    return v / scale[columns]
