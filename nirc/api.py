"""The library: load, compile, run. The command line calls nothing else."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.carried import carried_integers, numbers_of_a_file
from nirc.certificate.certificate import certified
from nirc.certificate.checking import check_compiled
from nirc.chip import registry
from nirc.chip.backend import Backend, Mapped
from nirc.chip.fitting import first_fit
from nirc.chip.running import Samples, calibration_raster, run_bundle
from nirc.chip.target import Target
from nirc.diagnostics.errors import Diagnostic, InputError, warn
from nirc.diagnostics.escape import in_line
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle, WrongType
from nirc.files import bundle
from nirc.files.data import Data
from nirc.files.foreign import digest_of_file
from nirc.files.manifest import SCHEMA, sha256
from nirc.frontend.load import load_layers
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program
from nirc.ir.text import digest
from nirc.options import Options
from nirc.passes import pipeline
from nirc.passes.pipeline import Calibration, Observer, Pass, choices_of, run_passes
from nirc.report.differences import differences, rounded_weights
from nirc.report.figures import figures
from nirc.report.html import report_html, report_tree, written
from nirc.report.measured import answer, costs
from nirc.semantics.raster import Progress, Run
from nirc.semantics.run import execution_order
from nirc.semantics.silence import report_silent_outputs
from nirc.semantics.threads import with_one_thread
from nirc.stages import (
    Stages,
    canonical,
    load_as,
    load_to_fit,
    lower,
    lower_layers,
    read_as,
)
from nirc.version import __version__

__all__ = [
    "Bundle",
    "Compiled",
    "Options",
    "Stages",
    "canonical",
    "compile_model",
    "load",
    "load_as",
    "lower",
    "lower_layers",
]

REPORT = "report.json"


@dataclass(frozen=True)
class _Result:
    """The programs of a compilation, and the network in the chip's tables."""

    backend: Backend  # with the chip options that were asked for
    stages: Stages
    legal: Program
    integer: Program
    mapped: Mapped
    options: Options
    candidates: tuple[Target, ...]  # variants, in the order in which they are tried


@dataclass(frozen=True)
class Compiled(_Result):
    """All results of a compilation: programs for ``verify``, the bundle for users."""

    bundle: Bundle

    @property
    def calibrated(self) -> bool:
        """True if there were inputs to calibrate with."""
        return "calibration" in self.bundle.manifest


@dataclass(frozen=True)
class Bundle:
    """Chip files with their manifest."""

    manifest: dict[str, Any]
    files: dict[str, bytes]
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        known = Counter(d.severity for d in self.diagnostics)
        findings = "".join(f", {n} {severity}(s)" for severity, n in sorted(known.items()))
        model, target = self.manifest.get("model"), self.manifest.get("target")
        return f"<Bundle {model} -> {target}: {len(self.files)} files{findings}>"

    def _repr_html_(self) -> str:
        from nirc.report.notebook import bundle_html

        try:
            return bundle_html(self.manifest, self.files, self.diagnostics)
        except InputError:  # a bundle of another version, or a damaged one
            return f"<pre>{escape(in_line(repr(self)))}</pre>"

    @staticmethod
    def open(directory: str | os.PathLike[str]) -> Bundle:
        """Read a bundle from disk, with its findings. Raises ``InputError`` (U605)."""
        if not isinstance(directory, str | os.PathLike):
            raise WrongType(argument="directory", value=directory, limit="a path").refusal()
        manifest, files = bundle.read(Path(directory), Log(file=str(directory)))
        return Bundle(manifest, files, _findings_of(files.get(REPORT, b"")))

    def save(self, directory: str | Path, *, force: bool = False, log: Log | None = None) -> Path:
        """Write the bundle, completely or not at all. Raises ``UsageError`` (U602, U608)."""
        files = bundle.contents(self.manifest, self.files)
        bundle.write(Path(directory), files, force=force, log=log or Log())
        return Path(directory)

    def run(
        self,
        inputs: ArrayLike,
        *,
        mode: str | None = None,
        record: Collection[str] = (),
        progress: Progress | None = None,
        log: Log | None = None,
    ) -> Run:
        """Run (samples, steps, ...input shape) spike counts in the chip's emulator.

        The rows of the result line up with the model's. ``record``: names of populations, or
        "all". ``mode``: of the emulator, for chips with several modes. Raises ``InputError`` (U604)
        if the raster does not fit, ``UsageError`` for an unknown population (U606) or mode (U607).
        Warnings are Python warnings, unless a ``log`` takes them.
        """
        kept = log or Log()
        names = (record,) if isinstance(record, str | bytes) else record
        if isinstance(names, Collection) and "all" in names:
            names = bundle.in_order(self.manifest)
        result = run_bundle(
            self.manifest,
            self.files,
            array_of(inputs, "inputs"),
            mode=mode,
            record=names,
            progress=progress,
            log=kept,
        )
        if log is None:
            warn(kept.diagnostics)
        return result


def load(model: object, *, log: Log | None = None) -> Program:
    """Return canonical layers of a NIR file or a ``nir`` graph. Raises ``InputError``.

    Warnings are Python warnings, unless a ``log`` takes them.
    """
    kept = log or Log()
    program, _ = load_as(model, Options(), log=kept)
    if log is None:
        warn(kept.diagnostics)
    return program


@with_one_thread
def compile_model(
    model: object,
    target: str,
    options: Options | None = None,
    *,
    log: Log | None = None,
    observe: Observer | None = None,
    calibration: Samples | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile for ``chip`` or ``chip:variant``. Raises ``NircError`` with every finding."""
    log = log or Log()
    if not isinstance(target, str):
        raise WrongType(argument="target", value=target, limit="a str such as xylo").refusal()
    options = (options or Options()).with_data(calibration)
    log.strict = options.strict
    options.checked(log)
    backend, candidates = registry.resolve(target)
    backend = backend.with_options(options.chip, log).with_weight_bits(options.weight_bits, log)
    raw, name = load_to_fit(model, backend, candidates, options, log)
    carried = raw.integers
    layers, reading = read_as(raw, name, options, log=log, observe=observe)
    del raw  # the file's arrays: the layers have copies of them
    stages = lower_layers(layers, reading, options, log=log, observe=observe)
    if backend.cannot_fit(stages.discrete, candidates, log):
        log.raise_if_errors()
    quantise: Sequence[Pass] = (backend.quantise(),)
    raster = None
    if calibration is not None:
        channels = sum(s.n for s in stages.discrete.nodes(Source).values())
        raster = calibration_raster(calibration, channels, log)
        quantise = backend.calibrate(Calibration(raster, stages.discrete, options.seed, progress))
    legal = run_passes(stages.discrete, backend.legalise(), log, observe)
    integer = carried_integers(carried, legal, backend, calibration, log)
    of_file = integer is not None
    if integer is None:
        integer = run_passes(legal, quantise, log, observe)
    with numbers_of_a_file(of_file):
        report_silent_outputs(
            stages.reference,
            legal,
            integer,
            most_input=backend.most_input_spikes,
            allowed=options.allow_silent,
            calibrated=calibration is not None,
            log=log,
        )
        log.raise_if_errors()
        mapped = first_fit(backend, candidates, integer, legal, options.search, log)
        pipeline.ended(observe, "fit")
        report = None if raster is None else choices_of(quantise, raster)
        if report is not None and isinstance(calibration, Data) and calibration.framing:
            report["framing"] = calibration.framing
        notes: dict[str, Any] = {} if report is None else {"calibration": report}
        notes["input_sha256"] = _model_digest(model)
        result = _Result(backend, stages, legal, integer, mapped, options, tuple(candidates))
        chip_files = _bundle(result, log, notes, raster)
        pipeline.ended(observe, "emit")
    return Compiled(**vars(result), bundle=chip_files)


@with_one_thread
def recompiled(compiled: Compiled, integer: Program, *, log: Log | None = None) -> Compiled:
    """Return ``compiled`` with other numbers in its integer form, such as trained ones.

    ``integer`` has the populations and projections of ``compiled.integer``. Nothing is rounded
    again. The manifest notes ``"trained": true``. Raises ``CompileError`` if it does not fit.
    """
    log = log or Log()
    log.strict = compiled.options.strict
    backend, legal, options = compiled.backend, compiled.legal, compiled.options
    known = compiled.bundle.manifest
    notes: dict[str, Any] = {"trained": True}
    notes |= {key: known[key] for key in ("input_sha256", "calibration") if key in known}
    mapped = first_fit(backend, compiled.candidates, integer, legal, options.search, log)
    result = replace(compiled, integer=integer, mapped=mapped)
    return replace(result, bundle=_bundle(result, log, notes, None))


def emulated(compiled: Compiled, integer: Program, inputs: NDArray[Any], mode: str) -> Run:
    """Run other integers of ``compiled`` in the emulator, as ``recompiled`` would emit them.

    All populations are recorded. Raises ``CompileError``, and ``UsageError`` (U607) for a mode.
    """
    backend, options = compiled.backend, compiled.options
    mapped = first_fit(backend, compiled.candidates, integer, compiled.legal, options.search, Log())
    files = backend.emit(mapped, dt_s=compiled.stages.continuous.dt_s)
    ends = _ends(mapped, compiled.stages)
    names = [*mapped.blocks]
    return run_bundle(ends, files, inputs, mode=mode, record=names, progress=None, log=Log())


def chip_options(chip: object) -> tuple[tuple[str, str], ...]:
    """Return the chip's own options of a dict, sorted. Raises ``UsageError`` (U607)."""
    if chip is not None and not isinstance(chip, Mapping):
        raise WrongType(argument="chip", value=chip, limit="a dict of names and values").refusal()
    return tuple(sorted((chip or {}).items()))


def array_of(values: ArrayLike, argument: str) -> NDArray[Any]:
    """Return ``values`` as an array. Raises ``UsageError`` (U607) for what is none."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # rows of different length
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        raise WrongType(argument=argument, value=values, limit="an array of numbers").refusal()
    return array


def _findings_of(report: bytes) -> tuple[Diagnostic, ...]:
    """Return the findings of a bundle's report.json. Raises ``InputError`` (U605)."""
    try:
        return tuple(Diagnostic(**finding) for finding in json.loads(report)["diagnostics"])
    except (ValueError, KeyError, TypeError, RecursionError):
        problem = f"`{REPORT}` does not hold the findings of the compilation"
        wrong = UnusableBundle(where=REPORT, problem=problem, help="compile again")
        raise wrong.refusal() from None


def _bundle(
    result: _Result, log: Log, notes: Mapping[str, Any], raster: NDArray[Any] | None
) -> Bundle:
    """Return the files of a bundle. ``raster``: the inputs that it was calibrated with."""
    stages, mapped, options = result.stages, result.mapped, result.options
    dt_s = stages.continuous.dt_s
    files = result.backend.emit(mapped, dt_s=dt_s)
    alone = None
    if raster is not None:
        approximations = result.backend.approximations(stages.discrete)
        alone = costs(stages.reference, approximations, raster)
    differs = differences(stages.reference, result.integer)
    report = report_tree(mapped, stages.discrete, stages.reading, differs, log.diagnostics, alone)
    files[REPORT] = bundle.to_json(report)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "nirc_version": __version__,
        "ortools_version": version("ortools"),
        "part": mapped.target.part,
        "dt": dt_s,
        "options": {**options.as_tree(), "chip": result.backend.settings},
        "writer": written(stages.reading),
        "seed": options.seed,
        "model": stages.layers.name,
        "input_shape": [list(s.shape) for s in stages.discrete.nodes(Source).values()],
        "output_shape": [list(s.shape) for s in stages.discrete.nodes(Sink).values()],
        **_ends(mapped, stages),
        **notes,
    }
    files |= certified(result.integer, mapped, manifest, files, log)
    shown = None
    if raster is not None:
        shown = answer(stages.reference, manifest, files, raster, "the calibration inputs")
    drawn = figures(report, mapped.floorplan, rounded_weights(result.legal, result.integer), shown)
    files["report.html"] = report_html(report, manifest, drawn)
    manifest["files"] = {name: sha256(data) for name, data in sorted(files.items())}
    check_compiled(bundle.contents(manifest, files), result.integer, log)
    log.raise_if_errors()
    return Bundle(bundle.signed(manifest), files, tuple(log.diagnostics))


def _ends(mapped: Mapped, stages: Stages) -> dict[str, Any]:
    """Return the part of the manifest that a run needs."""
    sinks = stages.discrete.nodes(Sink).values()
    delays = chain.from_iterable([sink.delay_steps] * sink.n for sink in sinks)
    latency = [chip - model for chip, model in zip(mapped.latency_steps, delays, strict=True)]
    order = {name: place for place, name in enumerate(execution_order(stages.discrete))}
    blocks = sorted(mapped.blocks, key=lambda name: order.get(name, len(order)))
    places = {name: place for place, name in enumerate(blocks)}
    return {
        "target": mapped.target.name,
        "input_map": list(mapped.input_map),
        "output_map": list(mapped.output_map),
        "output_kind": "membrane" if mapped.silent_outputs else "spikes",
        "latency_steps": max(latency, default=0),
        "output_latency_steps": latency,
        "populations": {
            name: {
                **vars(block),
                "index": list(block.index),
                "scale": list(block.scale),
                "place": places[name],
            }
            for name, block in mapped.blocks.items()
        },
    }


def _model_digest(model: object) -> str:
    """Return the SHA-256 of a file, or of an object's layers."""
    if isinstance(model, str | os.PathLike):
        return digest_of_file(Path(model))
    return digest(load_layers(model, Log()))
