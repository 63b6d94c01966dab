"""The library: functions with the words of the commands. Each returns what the command prints.

Results are plain data (``Figures``), or a ``Bundle``. Warnings are Python warnings. Refusals are
``NircError`` with all findings. All functions may run in several threads and processes at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from numbers import Real
from typing import Any, Literal, Unpack

from numpy.typing import ArrayLike

from nirc import api
from nirc.api import Bundle
from nirc.asked import Asked, given, path_of
from nirc.diagnostics.errors import Diagnostic, warn
from nirc.diagnostics.escape import in_lines
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.files.data import Data, data_of, read_data

Named = str | os.PathLike[str]
MOST_TOLERANCE = 1e9  # spikes
Progress = Callable[[int], None]
# A path, spike counts (samples, steps, ...input shape), or arrays by name: inputs, labels, dt,
# outputs.
Rasters = Named | ArrayLike | Mapping[str, Any]
Stage = Literal["float", "discrete", "legal", "integer"]


class Figures(dict[str, Any]):
    """The figures of a command: the tree of ``--format json``. ``str()``: the command's text.

    ``diagnostics``: all findings.
    """

    def __init__(
        self, tree: Mapping[str, Any], text: str, diagnostics: Iterable[Diagnostic] = ()
    ) -> None:
        super().__init__(tree)
        self.text = in_lines(text)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


class Verification(Figures):
    """The figures of `nirc verify`. A notebook shows stages, costs and verdict."""

    def _repr_html_(self) -> str:
        from nirc.report.notebook import verification_html

        return verification_html(self)


def compile(
    model: object, target: str, *, progress: Progress | None = None, **asked: Unpack[Asked]
) -> Bundle:
    """Compile ``model`` for ``target``, such as ``xylo`` or ``xylo:audio3``.

    ``model``: a path, a ``nir.NIRGraph``, or a torch network of snnTorch, Norse, Sinabs or
    Rockpool with ``sample``, spike counts (samples, steps, ...input shape) that it can run on.

    ``dt`` in seconds. ``reset``: model, zero, subtract or none. ``discretise``: euler or
    exponential, for files that are read by the letter of NIR. ``writer``: who wrote the file, such
    as ``"snntorch,reset=zero"``, None for what the file shows. ``readout``: neurons behind a linear
    output, such as ``"li:8"``. ``strict``: refuse where the chip's dynamics differ in kind.
    ``allow_silent``: also where no output can ever fire (P325). ``effort``: quick, normal or
    thorough. ``time_limit``: of CP-SAT, s. ``weight_bits``: at most, from 2 to 8.
    ``calibrate``: input spikes (samples, steps, channels), or a file with them.
    ``chip``: as ``nirc targets`` lists. ``progress`` gets the percentage of a calibration.

    Raises ``NircError`` with ``diagnostics``. Warnings are Python warnings: ``ChipWarning``,
    ``ReadingWarning``, ``UsageWarning``. The bundle's ``diagnostics`` hold all findings.
    """
    with given(model, asked) as (known, options, sample):
        compiled = api.compile_model(known, target, options, calibration=sample, progress=progress)
    warn(compiled.bundle.diagnostics)
    return compiled.bundle


def verify(
    model: object,
    target: str,
    data: Rasters,
    *,
    max_accuracy_drop: float | None = None,
    progress: Progress | None = None,
    **asked: Unpack[Asked],
) -> Verification:
    """Compare the model with the chip's answer, stage by stage, as `nirc verify` does.

    ``data``: a path, spike counts, or arrays by name (inputs, labels, dt, outputs). Other arguments
    are those of ``compile``. What the command ends with status 1 for, a larger drop of accuracy
    than ``max_accuracy_drop`` or a population that falls silent, is a warning here.
    """
    from nirc.report.verify import as_text
    from nirc.verification.verify import verify as compared

    if max_accuracy_drop is not None:
        _number(max_accuracy_drop, "max_accuracy_drop", 1.0)
    log = Log()
    rasters = _rasters(data, asked.get("dt"), log)
    with given(model, asked) as (known, options, sample):
        tree = compared(
            known,
            target,
            rasters,
            options,
            log=log,
            calibration=sample,
            max_accuracy_drop=max_accuracy_drop,
            progress=progress,
        )
    found = _figures(tree, as_text(tree), log)
    return Verification(found, found.text, found.diagnostics)


class Fit(Figures):
    """The figures of ``fit``. ``bundle``: of the fitted chip, or of the calibrated one.

    ``nir``: the bytes of a NIR file with its integers.
    """

    def __init__(self, figures: Figures, bundle: Bundle, nir: bytes) -> None:
        super().__init__(figures, figures.text, figures.diagnostics)
        self.bundle = bundle
        self.nir = nir


def fit(
    model: object,
    target: str,
    data: Rasters,
    *,
    labels: bool = False,
    test: Rasters | None = None,
    epochs: int | None = None,
    out: Named | None = None,
    progress: Progress | None = None,
    **asked: Unpack[Asked],
) -> Fit:
    """Fine-tune ``model`` for a chip, as `nirc fit` does: its integers learn the model's answers.

    ``data``: samples to learn from, of which three of eight are held aside. ``labels``: learn those
    of ``data``. ``test``: samples to measure on. ``epochs``: None for as many as the work allows.
    ``out``: the NIR file to write. Other arguments are those of ``compile``, without ``calibrate``.
    """
    from nirc.files.bundle import save_bytes
    from nirc.finetuning.measured import Request, as_text, fit_and_measure, nir_of

    log = Log()
    _switch(labels, "labels")
    path = None if out is None else path_of(out, "out")
    rasters = _rasters(data, asked.get("dt"), log)
    tests = None if test is None else _rasters(test, asked.get("dt"), log)
    with given(model, asked) as (known, options, sample):
        if sample is not None:
            problem = "`calibrate` does not go with fit, which calibrates on `data`"
            raise OptionMakesNoSense(problem=problem, help="leave it out").refusal()
        request = Request(rasters, labels, tests, epochs)
        result = fit_and_measure(known, target, request, options, log=log, progress=progress)
        nir = nir_of(result.compiled, log)
    if path is not None:
        save_bytes(path, nir, log)
    figures = _figures(result.tree, as_text(result.tree), log)
    return Fit(figures, result.compiled.bundle, nir)


def inspect(model: object, data: Rasters | None = None, **asked: Unpack[Asked]) -> Figures:
    """Return the contents of a model, as `nirc inspect` does: writer, layers, neurons, synapses.

    ``data`` with ``outputs`` of the simulator: also which rule gives them.
    """
    from nirc.verification.inspection import as_text, inspection

    log = Log()
    rasters = None if data is None else _rasters(data, asked.get("dt"), log)
    with given(model, asked) as (known, options, _):
        tree = inspection(known, options, log, rasters)
    return _figures(tree, as_text(tree, verbose=False), log)


def export(
    model: object,
    out: Named,
    *,
    target: str | None = None,
    stage: Stage = "integer",
    simulator: str | None = None,
    **asked: Unpack[Asked],
) -> str:
    """Write a stage of the compilation as a NIR file, as `nirc export` does.

    ``simulator``: the one that is to load the file, such as ``"snntorch"`` (`--for`). Return the
    lines of Python that load it, "" without a simulator.
    """
    from nirc.exporting.export import exported
    from nirc.files.bundle import save_bytes

    log, path = Log(), path_of(out, "out")
    if not isinstance(simulator, str | None):
        raise WrongType(argument="simulator", value=simulator, limit="a str, or None").refusal()
    with given(model, asked) as (known, options, sample):
        result = exported(
            known, stage, target, options, simulator=simulator, log=log, calibration=sample
        )
    save_bytes(path, result.data, log)
    warn(log.diagnostics)
    return result.loading


def compare(
    first: Named, second: Named, *, tolerance: float = 0, bundle: Named | None = None
) -> Figures:
    """Find the first step, population and neuron in which two recordings differ (`nirc compare`).

    ``tolerance``: spikes of a neuron in a sample that may be too many or too few. ``bundle``: the
    one that was run, for the order of its populations.
    """
    from nirc.files.bundle import in_order
    from nirc.files.recordings import read_recording
    from nirc.report.compare import as_text
    from nirc.verification.compare import compare as compared

    log = Log()
    _number(tolerance, "tolerance", MOST_TOLERANCE)
    order = None
    if bundle is not None:
        order = in_order(Bundle.open(path_of(bundle, "bundle")).manifest)
    given = {"first": first, "second": second}
    recordings = [read_recording(path_of(path, name), log) for name, path in given.items()]
    tree = compared(*recordings, tolerance=tolerance, order=order, log=log)
    return _figures(tree, as_text(tree), log)


def compare_targets(
    model: object,
    data: Rasters | None = None,
    *,
    progress: Progress | None = None,
    **asked: Unpack[Asked],
) -> Figures:
    """Compile for every target and return a table: fits or why not, use, cost (`--target all`)."""
    from nirc.verification.comparison import as_text
    from nirc.verification.comparison import compare as compared

    log = Log()
    rasters = None if data is None else _rasters(data, asked.get("dt"), log)
    with given(model, asked) as (known, options, sample):
        tree = compared(
            known, options, log=log, calibration=sample, data=rasters, progress=progress
        )
    return _figures(tree, as_text(tree, 120), log)


def targets(name: str | None = None) -> Figures:
    """Return the targets with their limits, sources and options, as `nirc targets` does.

    ``name``: ``chip`` or ``chip:variant``, None for all.
    """
    from nirc.report.targets import target_text, target_tree

    log = Log()
    if not isinstance(name, str | None):
        raise WrongType(argument="name", value=name, limit="a str, or None").refusal()
    tree = target_tree(name, log)
    return _figures({"targets": tree}, target_text(tree, limits=name is not None), log)


def check(directory: Named) -> tuple[Diagnostic, ...]:
    """Return the findings of the independent checker over a bundle, as `nirc check` does.

    Raises ``CompileError`` if the chip's files hold another network than they should.
    """
    from nirc.certificate.checking import check_directory

    path = path_of(directory, "directory")
    log = Log(file=str(path))
    check_directory(path, log)
    log.raise_if_errors()
    return tuple(log.diagnostics)


def _figures(tree: Mapping[str, Any], text: str, log: Log) -> Figures:
    """Return the figures. Errors that did not stop the work are warnings."""
    told = (replace(d, severity="warning") if d.severity == "error" else d for d in log.diagnostics)
    warn(told, depth=2)
    return Figures(tree, text, log.diagnostics)


def _rasters(data: Rasters, dt_s: float | None, log: Log) -> Data:
    """Return rasters from a path, an array, or arrays by name."""
    if isinstance(data, str | os.PathLike):
        return read_data(path_of(data, "data"), log, dt_s)
    if not isinstance(data, Mapping):
        return data_of({"inputs": api.array_of(data, "data")}, log)
    if "inputs" not in data:
        raise WrongType(
            argument="data", value=data, limit="arrays with `inputs` among them"
        ).refusal()
    return data_of({str(name): api.array_of(each, str(name)) for name, each in data.items()}, log)


def _switch(value: object, argument: str) -> None:
    """Raise ``UsageError`` (U607) for what is neither True nor False."""
    if not isinstance(value, bool):
        raise WrongType(argument=argument, value=value, limit="True or False").refusal()


def _number(value: object, argument: str, most: float) -> None:
    """Raise ``UsageError`` (U607) for what is no number from 0 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= most:
        limit = f"a number from 0 to {most:g}"
        raise WrongType(argument=argument, value=value, limit=limit).refusal()
