"""Float, discrete, integer and device on the same inputs, and what-ifs of single differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from nirc.analysis.judging import is_other_network, judgement
from nirc.api import Compiled, Options, compile_model
from nirc.chip.running import Samples, flat_raster
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import AccuracyLost
from nirc.diagnostics.usage import DataTimeStep, RecordingsDoNotMatch
from nirc.diagnostics.writer import RuleDisagreesWithRecording
from nirc.files.data import Data
from nirc.files.recordings import OUTPUT, Recording
from nirc.passes.pipeline import Observer, Step
from nirc.report.measured import by_cost, exact_kinds
from nirc.report.score import check_answers, check_labels, score
from nirc.semantics.run import run
from nirc.semantics.threads import with_one_thread
from nirc.verification import populations
from nirc.verification.activity import Array, record, stages_of
from nirc.verification.costs import measured_part, recorded_activity, run_recorded
from nirc.verification.recorded import ComparedStage, compared_stage
from nirc.writers.writer import Reading

MOST_SPIKES = 1 << 20  # of an output in a step
PLACE_OF_DEVICE = 3  # among the stages
MOST_STEP_DIFFERENCE = 1e-3  # relative, between the steps of data and model
CALIBRATE = "calibrate the scales with --calibrate"
WHAT_IFS = "the what-ifs name the difference that costs most"

Row = dict[str, Any]


@with_one_thread
def compile_and_verify(
    model: object,
    target: str,
    data: Data,
    options: Options,
    *,
    log: Log,
    observe: Observer | None = None,
    calibration: Samples | None = None,
    max_accuracy_drop: float | None = None,
    on_chip: Recording | None = None,
    progress: Callable[[int], None] | None = None,
    estimates: bool = False,
) -> tuple[Compiled, dict[str, Any]]:
    """Return the compiled model, and the JSON of `nirc verify`. ``progress`` gets the percentage.

    Stages: recorded (the simulator's outputs, where ``data`` has them), float, discrete, integer,
    device (the emulator's default mode), device:MODE for each other mode, board (the outputs of
    ``on_chip``, recorded by deploy.py on the same data). Two findings are logged
    as errors and not raised: a population that falls silent (P313) and, with ``max_accuracy_drop``,
    a device that answers worse than the recording or else the model (P312). ``estimates``: also
    the published costs of a step, for the activity on these samples.

    Raises ``NircError`` if the model does not compile, the raster does not fit, or the outputs of
    ``on_chip`` have another shape (U619).
    """
    notify = progress or (lambda _: None)
    options = options.with_data(data, calibration)
    steps: list[Step] = []

    def watch(step: Step) -> None:
        steps.append(step)
        if observe is not None:
            observe(step)

    compiled = compile_model(
        model,
        target,
        options,
        log=log,
        observe=watch,
        calibration=calibration,
        progress=lambda percent: notify(percent // 2),
    )
    return compiled, _compared(
        compiled, steps, data, options, max_accuracy_drop, on_chip, notify, log, estimates
    )


def verify(model: object, target: str, data: Data, options: Options, **how: Any) -> dict[str, Any]:
    """Return the JSON of `nirc verify`. Arguments: those of ``compile_and_verify``."""
    return compile_and_verify(model, target, data, options, **how)[1]


def _compared(
    compiled: Compiled,
    steps: list[Step],
    data: Data,
    options: Options,
    max_drop: float | None,
    on_chip: Recording | None,
    notify: Callable[[int], None],
    log: Log,
    estimates: bool,
) -> dict[str, Any]:
    """Return the JSON for a compiled model. ``steps``: of its passes."""
    manifest = compiled.bundle.manifest
    _check_time_step(data, compiled, log)
    raster = flat_raster(data.inputs, len(manifest["input_map"]), log, data.file)
    check_labels(data.labels, len(manifest["output_map"]), log, data.file)
    outputs, costs = _outputs(compiled, raster, on_chip, log, estimates=estimates)
    notify(70)
    reference = outputs["float"]
    answers = check_answers(reference, data.labels, log)
    stages = [score(name, output, reference, data.labels) for name, output in outputs.items()]
    recorded = compared_stage(data, compiled.stages, options, reference, raster, log)
    if recorded is not None:
        _report_recorded(recorded, compiled.stages.reading, log)
    what_ifs = dict(compiled.backend.approximations(compiled.stages.discrete))
    rows = [
        score(name, run(program, raster).outputs, reference, data.labels)
        for name, program in what_ifs.items()
    ]
    notify(85)
    activity = record(compiled, stages_of(compiled, steps), raster, log)
    rounded = populations.rounded_to_zero(compiled)
    populations.report_silent(activity, compiled, what_ifs, rounded, raster, log)
    if max_drop is not None:
        advice = WHAT_IFS if compiled.calibrated else CALIBRATE
        _report_drop(outputs, recorded, data.labels, max_drop, advice, log)
    table = populations.table(activity)
    notify(100)
    return {
        "target": compiled.mapped.target.name,
        "samples": len(raster),
        "framing": data.framing or None,
        "outputs": len(manifest["output_map"]),
        **answers,
        "stages": _recorded_row(recorded, data.labels) + stages,
        "recorded": None if recorded is None else recorded.shares(outputs),
        "judgement": judgement(reference, outputs["device"], data.labels).as_tree(),
        "other_inside": is_other_network(table),
        "lost_at": lost_at(stages),
        "board": None if on_chip is None else _board(on_chip, outputs),
        "what_if": by_cost(rows),
        "exact": exact_kinds([*what_ifs.items()]),
        "calibration": manifest.get("calibration"),
        "first_divergence": activity.first_divergence(),
        "populations": table,
        "not_compared": populations.not_compared(activity),
        "rounded_to_zero": rounded,
        "estimates": costs,
    }


def board_outputs(on_chip: Recording, shape: tuple[int, ...], log: Log, *, spikes: bool) -> Array:
    """Return the outputs (samples, steps, outputs) of a recording. ``spikes``: not membranes.

    Raises ``InputError`` (U619) if the recording has none, or others than ``shape``.
    """
    found = on_chip.spikes.get(OUTPUT)
    if found is None or found.shape != shape:
        problem = "the recording is not one of these data: its outputs have another shape"
        given = "no outputs" if found is None else f"shape {found.shape}"
        log.add(
            RecordingsDoNotMatch(
                problem=problem, found=given, limit=f"shape {shape}", file=on_chip.file
            )
        )
        log.raise_if_errors()
    counts = np.asarray(found)
    if spikes and counts.size:
        wrong = ~((counts >= 0) & (counts <= MOST_SPIKES) & (counts == np.floor(counts)))
        if wrong.any():
            log.add(
                RecordingsDoNotMatch(
                    problem="an output of the recording is no number of spikes",
                    found=str(counts[wrong][0]),
                    limit=f"integers, 0 to {MOST_SPIKES}",
                    file=on_chip.file,
                )
            )
            log.raise_if_errors()
    return counts


def _board(on_chip: Recording, outputs: Mapping[str, Array]) -> Row:
    """Return the share of the board's entries (sample, step, output) that each mode equals."""
    board = outputs["board"]
    modes = {name: each for name, each in outputs.items() if name.startswith("device")}
    equal = {name: float((each == board).mean()) for name, each in modes.items()}
    return {"file": on_chip.file, "equal": equal}


def _recorded_row(recorded: ComparedStage | None, labels: Array | None) -> list[Row]:
    if recorded is None:
        return []
    return [score("recorded", recorded.recording.outputs, recorded.output, labels)]


def _check_time_step(data: Data, compiled: Compiled, log: Log) -> None:
    dt_s = compiled.stages.discrete.dt_s
    if data.dt_s is None or dt_s is None:
        return
    if abs(data.dt_s / dt_s - 1) > MOST_STEP_DIFFERENCE:
        log.add(DataTimeStep(data_s=data.dt_s, model_s=dt_s, file=data.file))


def _discrete(
    compiled: Compiled, raster: Array, *, estimates: bool
) -> tuple[Array, list[Row] | None]:
    """Return the outputs of the discrete stage and, with ``estimates``, the costs of a step."""
    discrete = compiled.stages.discrete
    if not estimates:
        return run(discrete, raster).outputs, None
    some = measured_part(discrete, raster)
    recorded = run_recorded(discrete, some)
    activity = recorded_activity(discrete, some, recorded)
    found = compiled.backend.estimate(compiled.mapped, activity, discrete.dt_s)
    outputs = recorded.outputs
    if len(some) < len(raster):
        outputs = np.concatenate([outputs, run(discrete, raster[len(some) :]).outputs])
    return outputs, [vars(each) for each in found]


def _outputs(
    compiled: Compiled, raster: Array, on_chip: Recording | None, log: Log, *, estimates: bool
) -> tuple[dict[str, Array], list[Row] | None]:
    """Return the outputs of each stage and, with ``estimates``, the costs of a step.

    After the device come its other modes and the board.
    """
    discrete, costs = _discrete(compiled, raster, estimates=estimates)
    stages = compiled.stages
    same = stages.reference is stages.discrete
    outputs = {
        "float": discrete if same else run(stages.reference, raster).outputs,
        "discrete": discrete,
        "integer": run(compiled.integer, raster).outputs,
    }
    outputs["device"] = compiled.bundle.run(raster, log=log).outputs
    for mode in compiled.backend.modes[1:]:
        outputs[f"device:{mode}"] = compiled.bundle.run(raster, mode=mode, log=log).outputs
    if on_chip is not None:
        outputs["board"] = board_outputs(
            on_chip,
            outputs["device"].shape,
            log,
            spikes=compiled.bundle.manifest["output_kind"] == "spikes",
        )
    return outputs, costs


def lost_at(stages: list[Row]) -> str | None:
    """Return the stage with the largest drop of agreement, None without a drop.

    Every mode of the emulator is compared with the device.
    """
    drops = {
        s["name"]: stages[min(i, PLACE_OF_DEVICE)]["agreement"] - s["agreement"]
        for i, s in enumerate(stages[1:])
    }
    worst = max(drops, key=lambda name: drops[name])
    return worst if drops[worst] > 0 else None


def _report_recorded(recorded: ComparedStage, reading: Reading, log: Log) -> None:
    """Report W204 if the float stage differs from the recording."""
    first = recorded.recording.first_difference(recorded.output)
    if first is None:
        return
    finding = RuleDisagreesWithRecording(
        text=reading.text,
        share=recorded.recording.share(recorded.output),
        recorded=first["recorded"],
        computed=first["found"],
        sample=first["sample"],
        step=first["step"],
        output=first["output"],
        before_readout=recorded.before_readout,
        near=reading.writer.near,
    )
    log.add(finding)


def _report_drop(
    outputs: Mapping[str, Array],
    recorded: ComparedStage | None,
    labels: Array | None,
    most: float,
    advice: str,
    log: Log,
) -> None:
    """Report P312 for each mode of the device with a drop of more than ``most``.

    The drop is counted from the recording, or else from the model. Without labels their answers
    are right. The drop is then the share of samples that differ.
    """
    name = "model" if recorded is None else "recording"
    right = outputs["float"] if recorded is None else recorded.recording.outputs
    best = score(name, right, right, labels)
    kind: Literal["agreement", "accuracy"] = "agreement" if labels is None else "accuracy"
    for mode in [*outputs][PLACE_OF_DEVICE:]:
        stage = score(mode, outputs[mode], right, labels)
        if best[kind] - stage[kind] > most:
            low, high = stage[f"{kind}_interval"]
            lost = AccuracyLost(
                kind=kind,
                stage=mode,
                reference=name,
                share=stage[kind],
                share_of_reference=best[kind],
                interval=(low, high),
                most=most,
                advice=advice,
            )
            log.add(lost)
