"""`nirc fit` whole: from a model and samples to a fitted chip, and its figures before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from nirc.api import Compiled, compile_model, emulated
from nirc.chip.running import calibration_raster, flat_raster
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.exporting.export import with_integers
from nirc.files.data import Data
from nirc.finetuning.fit import Task, fit
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Source
from nirc.ir.program import Program
from nirc.options import Options
from nirc.report.score import check_answers, check_labels, score
from nirc.semantics.raster import Progress
from nirc.semantics.run import run

CALIBRATING = 30  # percent of the work
MOST_EPOCHS = 10_000
_CHIPS = {"plain": "plain", "before": "calibrated", "after": "fitted", "float": "float"}


@dataclass(frozen=True)
class Request:
    """The samples of a fit. ``labels``: those of ``data`` are the right answers."""

    data: Data
    labels: bool = False
    test: Data | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Result:
    """The fitted chip, or the calibrated one, and the JSON of `nirc fit`."""

    compiled: Compiled
    tree: dict[str, Any]


def fit_and_measure(
    model: object,
    target: str,
    request: Request,
    options: Options,
    *,
    log: Log,
    progress: Progress | None = None,
    stage: Callable[[str], None] | None = None,
) -> Result:
    """Compile, calibrate, learn and measure. ``stage`` gets names, ``progress`` a percentage.

    Raises ``NircError`` as ``compile_model`` does.

    U607: labels are asked for and missing, too few samples, or epochs out of range.
    """
    _check(request, log)
    notify = progress or (lambda _: None)
    name = stage or (lambda _: None)
    name(f"calibrating on {len(request.data.inputs)} samples")
    options = options.with_data(request.data, request.test)
    start = compile_model(
        model,
        target,
        options,
        log=log,
        calibration=request.data,
        progress=lambda done: notify(done * CALIBRATING // 100),
    )
    channels = sum(s.n for s in start.stages.discrete.nodes(Source).values())
    inputs = calibration_raster(request.data, channels, Log())
    if request.data.labels is not None and not request.labels:
        expected = _outputs(start.stages.reference, inputs)
        check_labels(request.data.labels, expected.shape[2], log, request.data.file)
        check_answers(expected, request.data.labels, log)
    task = Task(
        start,
        inputs,
        request.data.labels if request.labels else None,
        options.seed,
        request.epochs,
        lambda done: notify(CALIBRATING + done * (100 - CALIBRATING) // 100),
        name,
    )
    fitted = fit(task, log)
    tree = {
        "target": start.bundle.manifest["target"],
        "mode": start.backend.modes[0],
        "fit": fitted.report,
    }
    if request.test is not None:
        name(f"measuring on {len(request.test.inputs)} samples")
        plain = compile_model(model, target, options, log=Log())
        chips = {"plain": plain, "before": start, "after": fitted.compiled}
        raster = flat_raster(request.test.inputs, channels, log, request.test.file, "inputs")
        tree = {**_measured(request.test, raster, chips, log), **tree}
    return Result(fitted.compiled, tree)


def nir_of(compiled: Compiled, log: Log) -> bytes:
    """Return a NIR file: the model, and beside it the integers of ``compiled``."""
    return with_integers(compiled, compiled.integer, log)


def _check(request: Request, log: Log) -> None:
    if request.labels and request.data.labels is None:
        problem = "--labels needs labels in the data"
        help_ = "leave --labels out: the model's own answers are what is learnt"
        log.add(OptionMakesNoSense(problem=problem, help=help_))
    if not len(request.data.inputs):
        log.add(OptionMakesNoSense(problem="--data has no samples to learn from"))
    if isinstance(request.epochs, bool) or not isinstance(request.epochs, int | None):
        raise WrongType(argument="epochs", value=request.epochs, limit="an int, or None").refusal()
    if request.epochs is not None and not 1 <= request.epochs <= MOST_EPOCHS:
        problem, limit = "--epochs is out of range", f"1 to {MOST_EPOCHS}"
        log.add(OptionMakesNoSense(problem=problem, found=request.epochs, limit=limit))
    log.raise_if_errors()


def _measured(test: Data, raster: Int, chips: Mapping[str, Compiled], log: Log) -> dict[str, Any]:
    """Return the figures of each chip, in each mode, and of the model."""
    start = chips["before"]
    expected = _outputs(start.stages.reference, raster)
    labels = test.labels
    check_labels(labels, expected.shape[2], log, test.file)
    check_answers(expected, labels, log)
    outputs = {name: _outputs(each.integer, raster) for name, each in chips.items()}
    outputs["float"] = expected
    rows = {name: score(name, each, expected, labels) for name, each in outputs.items()}
    modes = {
        mode: {
            name: score(name, emulated(each, each.integer, raster, mode).outputs, expected, labels)
            for name, each in chips.items()
        }
        for mode in start.backend.modes[1:]
    }
    for row in chain(rows.values(), *(each.values() for each in modes.values())):
        del row["name"]
    return {"samples": len(raster), **rows, "modes": modes}


def _outputs(program: Program, raster: Int) -> Float:
    return np.asarray(run(program, raster).outputs)


def as_text(tree: dict[str, Any]) -> str:
    """Return the figures for people."""
    fit_ = tree["fit"]
    used = fit_["samples"]
    lines = [
        f"learnt from {used['learn']['given']} sample(s) and {used['learn']['made']} made beside "
        f"them; {used['stop']['given']} held aside to stop by, {used['guard']['given']} to judge by"
    ]
    guard = fit_["guard"]
    if fit_["kept"] == "calibrated":
        lines.append("nothing gained: the calibrated chip is kept")
    else:
        lines.append(
            f"kept {fit_['kept']} after {fit_['rounds']} rounds: on {used['guard']['given']} given "
            f"and {used['guard']['made']} made samples that it had not seen, agreement "
            f"{guard['before']['agreement']:.3f} -> {guard['after']['agreement']:.3f}, distance "
            f"{guard['before']['distance']:.3f} -> {guard['after']['distance']:.3f}"
        )
    if "after" in tree:
        lines.append(f"on {tree['samples']} test samples{'':13}accuracy  agreement")
        for name, words in _CHIPS.items():
            shown = f"{words}, mode {tree['mode']}" if tree["modes"] and name != "float" else words
            lines.append(_line(shown, tree[name]))
        for mode, rows in tree["modes"].items():
            lines += [_line(f"{_CHIPS[name]}, mode {mode}", row) for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def _line(words: str, row: Mapping[str, Any]) -> str:
    share = "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    return f"  {words:<30}{share:>10}{row['agreement']:>11.4f}"
