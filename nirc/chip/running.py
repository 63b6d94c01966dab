"""Runs a raster through a bundle: model inputs to chip channels, chip outputs to model outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.chip import registry
from nirc.chip.backend import Backend, Emulation
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import (
    NoSpikesToCalibrate,
    OptionMakesNoSense,
    RasterDoesNotFit,
    UnknownName,
    UnusableBundle,
)
from nirc.files.bounds import MAX_DATA_BYTES, bytes_as_text
from nirc.files.data import Data
from nirc.ir.text import in_order
from nirc.semantics.raster import Progress, Run
from nirc.semantics.threads import with_one_thread

Samples = Data | NDArray[np.generic]  # to calibrate with: read from a file, or an array
MOST_SPIKES = 1 << 20  # of an input in a step
CHUNK_VALUES = 1 << 24  # counts of all samples that the emulator gets at once


def flat_raster(
    inputs: NDArray[Any], channels: int, log: Log, file: str = "", where: str = "inputs"
) -> NDArray[np.int64]:
    """Return (samples, steps, channels) int64 from (samples, steps, ...) of ``file``.

    ``where``: the name of the inputs in findings. Raises ``InputError`` (U604).
    """
    return _flat(inputs, channels, log, file, where).astype(np.int64)


def _flat(
    inputs: NDArray[Any], channels: int, log: Log, file: str = "", where: str = "inputs"
) -> NDArray[Any]:
    """Return ``flat_raster`` in the type of ``inputs``, without a copy."""
    misfit = _misfit(inputs, channels, where, file)
    if misfit is not None:
        log.add(misfit)
        log.raise_if_errors()
    return inputs.reshape(*inputs.shape[:2], channels)


def _misfit(inputs: NDArray[Any], channels: int, where: str, file: str) -> RasterDoesNotFit | None:
    if inputs.ndim < 3 or int(np.prod(inputs.shape[2:])) != channels:
        return RasterDoesNotFit(
            where=where,
            problem="the raster does not fit the network's inputs",
            found=f"shape {inputs.shape}",
            limit=f"(samples, steps, {channels} channels in all)",
            help="`nirc inspect` shows the input's shape",
            file=file,
        )
    if not _are_counts(inputs):
        problem = "inputs are spike counts: integers from 0 on"
        found = f"dtype {inputs.dtype}"
        return RasterDoesNotFit(where=where, problem=problem, found=found, file=file)
    return None


def _are_counts(inputs: NDArray[Any]) -> bool:
    if inputs.dtype.kind not in "buif":
        return False
    if inputs.dtype.kind == "f" and not (np.isfinite(inputs) & (inputs == np.floor(inputs))).all():
        return False
    return not inputs.size or bool(inputs.min() >= 0 and inputs.max() <= MOST_SPIKES)


def calibration_raster(samples: Samples, channels: int, log: Log) -> NDArray[np.int64]:
    """Return (samples, steps, channels) to calibrate with.

    Warns if nothing spikes (U612). Raises ``InputError`` (U604).
    """
    inputs, file = (samples.inputs, samples.file) if isinstance(samples, Data) else (samples, "")
    where = "inputs" if file else "inputs to calibrate with"
    raster = flat_raster(inputs, channels, log, file, where)
    if not raster.any():
        log.add(NoSpikesToCalibrate(where=where, samples=len(raster), file=file))
    return raster


@with_one_thread
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
    """Run the raster and then ``latency_steps`` empty steps, and return rows at the model's steps.

    Raises ``InputError`` (U604, U605), ``UsageError`` for an unknown population (U606) or mode
    (U607).
    """
    populations: dict[str, Any] = manifest["populations"]
    backend = registry.backend(manifest["target"].partition(":")[0])
    mode = mode or backend.modes[0]
    _check_request(backend, mode, record, populations, log)
    raster = _flat(inputs, len(manifest["input_map"]), log)
    latencies = [0, manifest["latency_steps"], *(populations[n]["latency_steps"] for n in record)]
    channels = max((c + 1 for c in manifest["input_map"] if c is not None), default=0)
    _check_size(raster.shape[1] + max(latencies), channels, log)
    has_membranes = manifest["output_kind"] == "membrane"
    values = (raster.shape[1] + max(latencies)) * max(1, raster.shape[2], channels)
    at_once = max(1, CHUNK_VALUES // max(1, values))
    runs: list[Run] = []
    chip_log = Log()
    most = 0  # spikes of a channel in a step
    for start in range(0, max(1, len(raster)), at_once):
        part = raster[start : start + at_once]
        chip_inputs = _chip_inputs(part, manifest["input_map"], channels, max(latencies))
        asked = Emulation(mode, bool(record) or has_membranes, _after(progress, start))
        most = max(most, int(chip_inputs.max(initial=0)))
        chip = backend.emulate(_ChipFiles(files), chip_inputs, asked, chip_log)
        chip_log.raise_if_errors()
        try:
            runs.append(_model_rows(chip, manifest, record, part.shape[1]))
        except (IndexError, KeyError):
            problem = "the manifest does not match the chip's files"
            found = UnusableBundle(where="manifest.json", problem=problem, help="compile again")
            raise found.refusal() from None
    log.add_all(chip_log.diagnostics)
    several = backend.input_finding(most)
    if several is not None:
        log.add(several)
    return runs[0] if len(runs) == 1 else _joined(runs)


def _after(progress: Progress | None, start: int) -> Progress | None:
    """Return progress that counts the samples before ``start``, too."""
    if progress is None:
        return None
    report = progress
    return lambda done: report(start + done)


def _joined(runs: Sequence[Run]) -> Run:
    """Return one run of the samples of all ``runs``."""

    def join(kind: str) -> dict[str, NDArray[Any]]:
        names = getattr(runs[0], kind)
        return {name: np.concatenate([getattr(run, kind)[name] for run in runs]) for name in names}

    output = np.concatenate([run.outputs for run in runs])
    return Run(output, join("spikes"), join("v"), join("extra"))


def _check_request(
    backend: Backend, mode: str, record: Collection[str], populations: dict[str, Any], log: Log
) -> None:
    if mode not in backend.modes:
        problem = f"{backend.name} has no mode `{mode}`"
        limit = ", ".join(backend.modes)
        nearest = did_you_mean(mode, backend.modes)
        log.add(OptionMakesNoSense(problem=problem, found=mode, limit=limit, help=nearest))
    if not isinstance(record, Collection) or not all(isinstance(name, str) for name in record):
        problem = "`record` takes names of populations"
        raise OptionMakesNoSense(problem=problem, found=repr(record)[:40]).refusal()
    for name in record:
        if name not in populations:
            help_ = did_you_mean(name, populations)
            known = in_order(populations)
            log.add(UnknownName(kind="population", name=name, known=known, help=help_))
    log.raise_if_errors()


def _check_size(steps: int, channels: int, log: Log) -> None:
    """Refuse (U604) a sample that latency and channels together make too large for memory."""
    size = steps * channels * np.dtype(np.int64).itemsize
    if size > MAX_DATA_BYTES:
        too_large = RasterDoesNotFit(
            where="inputs",
            problem="a sample is too large with the chip's channels and the steps of its latency",
            found=f"{bytes_as_text(size)}: {steps} steps, {channels} channels",
            limit=bytes_as_text(MAX_DATA_BYTES),
            help="give fewer steps",
        )
        log.add(too_large)
        log.raise_if_errors()


def _chip_inputs(
    raster: NDArray[Any], input_map: list[int | None], channels: int, empty_steps: int
) -> NDArray[np.int64]:
    """Return the raster by the chip's channels, with ``empty_steps`` at the end."""
    samples, steps, _ = raster.shape
    raster = raster.astype(np.int64, copy=False)
    channel = np.array([-1 if c is None else c for c in input_map], dtype=np.int64)
    chip_inputs = np.zeros((samples, steps + empty_steps, channels), dtype=np.int64)
    listened = np.flatnonzero(channel >= 0)
    # Adds, because several inputs may share a channel, as pixels that are pooled.
    if len(np.unique(channel[listened])) == len(listened):
        chip_inputs[:, :steps, channel[listened]] = raster[:, :, listened]
        return chip_inputs
    by_channel = chip_inputs[:, :steps].transpose(2, 0, 1)
    np.add.at(by_channel, channel[listened], raster[:, :, listened].transpose(2, 0, 1))
    return chip_inputs


def _model_rows(chip: Run, manifest: Mapping[str, Any], record: Collection[str], steps: int) -> Run:
    """Return outputs and recorded populations at the model's steps. Membranes are in volts."""
    output = chip.outputs
    columns: list[int] = manifest["output_map"]
    latencies: list[int] = manifest["output_latency_steps"]
    if manifest["output_kind"] == "membrane":
        scale = np.ones(chip.v["readout"].shape[2])
        for block in manifest["populations"].values():
            if block["part"] == "readout":
                scale[block["index"]] = block["scale"]
        output = chip.v["readout"] / scale
    spikes = {}
    v = {}
    for name in record:
        block = manifest["populations"][name]
        index = block["index"]
        latency_steps = [block["latency_steps"]] * len(index)
        spikes[name] = _aligned(chip.spikes[block["part"]], index, latency_steps, steps)
        v[name] = _aligned(chip.v[block["part"]], index, latency_steps, steps)
    return Run(_aligned(output, columns, latencies, steps), spikes, v)


class _ChipFiles(dict[str, bytes]):
    """A bundle's files by name. A missing file is refused with U605."""

    def __missing__(self, name: str) -> bytes:
        raise UnusableBundle(
            where="manifest.json/files",
            problem=f"the bundle has no `{name}`",
            help="compile again",
        ).refusal()


def _aligned(
    chip: NDArray[Any], index: list[int], latency_steps: list[int], steps: int
) -> NDArray[Any]:
    """Return (samples, steps, len(index)) the chip's columns ``index`` at the model's steps.

    Column ``index[i]`` has a latency of ``latency_steps[i]``, below 0 where the chip is earlier.
    """
    result = np.zeros((len(chip), steps, len(index)), dtype=chip.dtype)
    latencies = np.asarray(latency_steps, dtype=np.int64)
    columns = np.asarray(index, dtype=np.int64)
    for latency in np.unique(latencies).tolist():
        chosen = latencies == latency
        first = max(0, -latency)
        last = max(latency + first, latency + steps)
        result[:, first:, chosen] = chip[:, latency + first : last, columns[chosen]]
    return result
