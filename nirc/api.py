"""The library: load, compile, run. The command line calls nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.chip import registry
from nirc.chip.backend import Backend, Mapped, Search
from nirc.chip.running import Samples, calibration_raster, run_bundle
from nirc.chip.target import Target
from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.files import bundle
from nirc.files.data import Data
from nirc.files.manifest import SCHEMA, sha256
from nirc.ir.arrays import digest as array_digest
from nirc.ir.arrays import size
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program
from nirc.ir.text import digest
from nirc.passes.add_readout import Readout
from nirc.passes.pipeline import Calibration, Observer, Pass, ReportingPass, passes_to, run_passes
from nirc.semantics.raster import Progress, Run
from nirc.version import __version__
from nirc.writers.writer import Reading

RESETS = ("model", "zero", "subtract", "none")


@dataclass(frozen=True)
class Options:
    """What a user may ask of a compilation; all of it goes into the manifest."""

    dt_s: float | None = None
    reset: str = "model"
    discretise: str | None = None
    readout: str | None = None  # neurons behind weighted outputs, as ``--readout`` takes them
    writer: str | None = None  # as ``--from`` takes it; None: as the file shows
    strict: bool = False
    seed: int = 0
    time_limit_s: float | None = None
    chip: tuple[tuple[str, str], ...] = ()  # (name, value) of the chip's own options, sorted
    data_dt_s: float | None = None  # of the data at hand, for a file that has no step

    def with_data(self, *data: object) -> Options:
        """Return the options with the time step of the first ``Data`` that has one."""
        steps = (each.dt_s for each in data if isinstance(each, Data) and each.dt_s is not None)
        return replace(self, data_dt_s=self.data_dt_s or next(steps, None))

    def checked(self, log: Log) -> Options:
        """Raise ``UsageError`` (U607) for values that make no sense."""
        if self.dt_s is not None and not (np.isfinite(self.dt_s) and self.dt_s > 0):
            log.add(
                OptionMakesNoSense(
                    problem="--dt must be a positive number of seconds",
                    found=self.dt_s,
                    limit="> 0, e.g. 1e-4",
                )
            )
        if self.reset not in RESETS:
            log.add(
                OptionMakesNoSense(
                    problem="unknown reset rule", found=self.reset, limit=", ".join(RESETS)
                )
            )
        if self.discretise not in (None, "euler", "exponential"):
            log.add(
                OptionMakesNoSense(
                    problem="unknown discretisation",
                    found=self.discretise,
                    limit="euler, exponential",
                )
            )
        if self.readout is not None and Readout.parse(self.readout) is None:
            log.add(
                OptionMakesNoSense(
                    problem="--readout takes li[:STEPS] or if[:THRESHOLD]",
                    found=self.readout[:40],
                    limit="li:8, if:1; STEPS from 1, THRESHOLD above 0",
                )
            )
        if self.time_limit_s is not None and not (
            np.isfinite(self.time_limit_s) and self.time_limit_s > 0
        ):
            log.add(
                OptionMakesNoSense(
                    problem="--time-limit must be a positive number of seconds",
                    found=self.time_limit_s,
                    limit="> 0",
                )
            )
        if not 0 <= self.seed < 1 << 31:
            log.add(
                OptionMakesNoSense(
                    problem="--seed is out of range", found=self.seed, limit="0 to 2147483647"
                )
            )
        log.raise_if_errors()
        return self


@dataclass(frozen=True)
class Stages:
    """A model on its way from the file to discrete populations.

    ``reading``: by whose rule. ``continuous``: populations with the parameters of the file.
    ``reference``: one step of each as its simulator computes it, the float stage, that the chip is
    compared with.
    """

    reading: Reading
    layers: Program
    continuous: Program
    reference: Program
    discrete: Program


@dataclass(frozen=True)
class Compiled:
    """Everything about one successful compilation; ``verify`` looks at the programs, users at the
    bundle.
    """

    backend: Backend  # with the chip options that were asked for
    stages: Stages
    legal: Program
    integer: Program
    mapped: Mapped
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

    @staticmethod
    def open(directory: str | Path) -> Bundle:
        """Read a bundle from disk. Raises ``InputError`` (U605)."""
        manifest, files = bundle.read(Path(directory), Log(file=str(directory)))
        return Bundle(manifest, files)

    def save(self, directory: str | Path, *, force: bool = False, log: Log | None = None) -> Path:
        """Write the bundle, whole or not at all. Raises ``UsageError`` (U602, U608)."""
        everything = {**self.files, bundle.MANIFEST: bundle.to_json(self.manifest)}
        bundle.write(Path(directory), everything, force=force, log=log or Log())
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
        """Run (samples, steps, ...input shape) spike counts in the chip's emulator; rows line up
        with the model's.

        ``mode``: how the emulator goes about it, for chips that have several ways. Raises
        ``InputError`` (U604) if the raster does not fit, ``UsageError`` for an unknown population
        (U606) or mode (U607).
        """
        return run_bundle(
            self.manifest,
            self.files,
            np.asarray(inputs),
            mode=mode,
            record=record,
            progress=progress,
            log=log or Log(),
        )


def load(
    model: object,
    *,
    options: Options | None = None,
    log: Log | None = None,
    observe: Observer | None = None,
) -> Program:
    """Canonical layers of a NIR file or a ``nir`` graph object. Raises ``InputError``."""
    return load_as(model, options or Options(), log=log or Log(), observe=observe)[0]


def load_as(
    model: object, options: Options, *, log: Log, observe: Observer | None = None
) -> tuple[Program, Reading]:
    """Canonical layers, and how the file is read.

    Raises ``InputError``, ``UsageError`` for a choice (U607).
    """
    from nirc.frontend.load import load_raw, to_layers
    from nirc.writers.reading import reading_of

    raw, name = load_raw(model, log)
    reading = reading_of(
        raw,
        asked=options.writer,
        reset=None if options.reset == "model" else options.reset,
        discretise=options.discretise,
        dt_s=options.dt_s or options.data_dt_s,
        log=log,
    )
    typed = to_layers(reading.writer.repair(raw, log), log, name=name)
    return canonical(reading.writer.rewire(typed, log), log, observe), reading


def canonical(typed: Program, log: Log, observe: Observer | None = None) -> Program:
    """Canonical layers from typed ones as the file nests them. Raises ``InputError``."""
    return run_passes(typed, passes_to("layers"), log, observe)


def lower(model: object, options: Options, *, log: Log, observe: Observer | None = None) -> Stages:
    """Layers to discrete populations. Raises ``InputError`` or ``CompileError``."""
    layers, reading = load_as(model, options, log=log, observe=observe)
    return lower_layers(layers, reading, options, log=log, observe=observe)


def lower_layers(
    layers: Program,
    reading: Reading,
    options: Options,
    *,
    log: Log,
    observe: Observer | None = None,
) -> Stages:
    """As ``lower``, from canonical layers that are read as ``reading`` says."""
    readout = None if options.readout is None else Readout.parse(options.readout)
    settings = {
        "dt_s": options.dt_s,
        "data_dt_s": options.data_dt_s,
        "reading": reading,
        "readout": readout,
    }
    continuous = run_passes(layers, passes_to("continuous", **settings), log, observe)
    reference = run_passes(continuous, passes_to("reference", **settings), log, observe)
    discrete = run_passes(reference, passes_to("discrete", **settings), log, observe)
    return Stages(reading, layers, continuous, reference, discrete)


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
    options, log = (options or Options()).with_data(calibration), log or Log()
    log.strict = options.strict
    options.checked(log)
    backend, candidates = registry.resolve(target)
    backend = backend.with_options(options.chip, log)
    stages = lower(model, options, log=log, observe=observe)
    if backend.cannot_fit(stages.discrete, candidates, log):
        log.raise_if_errors()
    quantise: Sequence[Pass] = (backend.quantise(),)
    raster = None
    if calibration is not None:
        channels = sum(s.n for s in stages.discrete.nodes(Source).values())
        raster = calibration_raster(calibration, channels, log)
        quantise = backend.calibrate(Calibration(raster, stages.discrete, options.seed, progress))
    legal = run_passes(stages.discrete, backend.legalise(), log, observe)
    integer = run_passes(legal, quantise, log, observe)
    search = Search(options.seed, seconds=options.time_limit_s)
    mapped = _first_fit(backend, candidates, integer, legal, search, log)
    told = None if raster is None else _calibration(raster, quantise)
    made = _bundle(model, backend, mapped, stages, options, log, told)
    return Compiled(backend, stages, legal, integer, mapped, made)


def compile(
    model: object,
    target: str,
    *,
    dt: float | None = None,
    reset: str = "model",
    discretise: str | None = None,
    writer: str | None = None,
    readout: str | None = None,
    strict: bool = False,
    seed: int = 0,
    time_limit: float | None = None,
    calibrate: ArrayLike | None = None,
    chip: Mapping[str, str] | None = None,
) -> Bundle:
    """Compile ``model`` (a path or a ``nir.NIRGraph``) for ``target``: ``xylo`` or ``xylo:audio3``.

    ``dt`` in seconds. ``reset``: model, zero, subtract or none. ``discretise``: euler or
    exponential, for files that are read by the letter of NIR. ``writer``: who wrote the file, such
    as ``"snntorch,reset=zero"``, None for what the file shows. ``readout``: neurons behind a linear
    output, such as ``"li:8"``. ``time_limit``: of the search, seconds. ``calibrate``: input spikes
    (samples, steps, channels). ``chip``: options of the chip's own, as ``nirc targets`` lists them.

    Raises ``NircError``: its ``diagnostics`` say why. Warnings are in the bundle's ``diagnostics``.
    """
    options = Options(
        dt_s=dt,
        reset=reset,
        discretise=discretise,
        readout=readout,
        writer=writer,
        strict=strict,
        seed=seed,
        time_limit_s=time_limit,
        chip=tuple(sorted((chip or {}).items())),
    )
    sample = None if calibrate is None else np.asarray(calibrate)
    return compile_model(model, target, options, calibration=sample).bundle


def _first_fit(
    backend: Backend,
    candidates: Sequence[Target],
    integer: Program,
    legal: Program,
    search: Search,
    log: Log,
) -> Mapped:
    """The first variant that fits; why the ones before it do not is a note, or all errors if none
    does.
    """
    refused: list[Log] = []
    for target in candidates:
        attempt = Log(strict=log.strict)
        mapped = backend.fit(integer, legal, target, search, attempt)
        if mapped is not None:
            for earlier in refused:
                for diagnostic in earlier.demoted():
                    log.add(diagnostic)
            for diagnostic in attempt.diagnostics:
                log.add(diagnostic)
            if len(candidates) > 1:
                log.note(
                    "X513",
                    f"{target.name} ({target.part}) is the first variant that "
                    f"fits{_why_not(refused)}",
                )
            log.raise_if_errors()
            return mapped
        refused.append(attempt)
    for attempt in refused:
        for diagnostic in attempt.diagnostics:
            log.add(diagnostic)
    log.raise_if_errors()
    raise AssertionError("a backend refused a network without saying why")


def _why_not(refused: list[Log]) -> str:
    """``; xylo:audio2 does not: fan-out ... (80, limit 64)`` for each variant before."""
    reasons = [
        f"{d.message} ({d.found}, limit {d.limit})"
        for attempt in refused
        for d in attempt.errors[:1]
    ]
    return "".join(f"; {reason}" for reason in reasons)


def _calibration(inputs: NDArray[np.generic], passes: Sequence[Pass]) -> dict[str, Any]:
    """What was calibrated with, and what the backend's passes chose."""
    told: dict[str, Any] = {"inputs": list(inputs.shape), "inputs_sha256": array_digest(inputs)}
    for each in passes:
        if isinstance(each, ReportingPass):
            told |= each.report
    return told


def _bundle(
    model: object,
    backend: Backend,
    mapped: Mapped,
    stages: Stages,
    options: Options,
    log: Log,
    calibration: dict[str, Any] | None,
) -> Bundle:
    from importlib.metadata import version

    from nirc.report.html import report_html

    dt_s = stages.continuous.dt_s
    shown = [s.delay_steps for s in stages.discrete.nodes(Sink).values() for _ in range(s.n)]
    latency = [
        late - shown_later for late, shown_later in zip(mapped.latency_steps, shown, strict=True)
    ]
    files = backend.emit(mapped, dt_s=dt_s)
    report = _report(mapped, stages, log)
    files["report.json"] = bundle.to_json(report)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "nirc_version": __version__,
        "ortools_version": version("ortools"),
        "target": mapped.target.name,
        "part": mapped.target.part,
        "dt": dt_s,
        "options": {
            "reset": options.reset,
            "from": options.writer,
            "readout": options.readout,
            "discretise": options.discretise,
            "strict": options.strict,
            "dt": options.dt_s,
            "time_limit": options.time_limit_s,
            "chip": backend.settings,
        },
        "writer": written(stages.reading),
        "seed": options.seed,
        "model": stages.layers.name,
        "input_sha256": _model_digest(model),
        "input_shape": [list(s.shape) for s in stages.discrete.nodes(Source).values()],
        "output_shape": [list(s.shape) for s in stages.discrete.nodes(Sink).values()],
        "input_map": list(mapped.input_map),
        "output_map": list(mapped.output_map),
        "output_kind": "membrane" if mapped.silent_outputs else "spikes",
        "latency_steps": max(latency, default=0),
        "output_latency_steps": latency,
        "populations": {
            name: {
                "part": b.part,
                "index": list(b.index),
                "scale": list(b.scale),
                "latency_steps": b.latency_steps,
            }
            for name, b in mapped.blocks.items()
        },
    }
    if calibration is not None:
        manifest["calibration"] = calibration
    files["report.html"] = report_html(report, manifest)
    manifest["files"] = {name: sha256(data) for name, data in sorted(files.items())}
    return Bundle(manifest, files, tuple(log.diagnostics))


def written(reading: Reading) -> dict[str, Any]:
    """Who wrote the file, how surely, and what was assumed; for manifests, reports and
    `inspect`.
    """
    told: dict[str, Any] = {
        "name": reading.writer.name,
        "confidence": reading.confidence,
        "evidence": list(reading.evidence),
        "assumed": reading.assumed,
        "from": reading.text,
    }
    return told | {"candidates": list(reading.candidates)}


def _report(mapped: Mapped, stages: Stages, log: Log) -> dict[str, Any]:
    return {
        "target": mapped.target.name,
        "writer": written(stages.reading),
        "utilisation": {
            name: {"used": used, "available": of} for name, (used, of) in mapped.utilisation.items()
        },
        "populations": {
            n: {"shape": list(p.shape), "neurons": size(p.shape), "nir_nodes": list(p.origins)}
            for n, p in stages.discrete.nodes(Population).items()
        },
        "projections": [
            {
                "from": s,
                "to": t,
                "operators": [op.text() for op in p.ops],
                "nir_nodes": list(p.origins),
            }
            for s, t, p in stages.discrete.edges()
        ],
        "diagnostics": [
            replace(d, file="").as_dict() for d in log.diagnostics
        ],  # no paths: same input, same bytes
    }


def _model_digest(model: object) -> str:
    """SHA-256 of the file; of the layers as read for an object."""
    import os

    if isinstance(model, str | os.PathLike):
        return sha256(Path(model).read_bytes())
    from nirc.frontend.load import load_layers

    return digest(load_layers(model, Log()))
