"""Float, discrete, integer and device on the same inputs: how much agreement each stage keeps, and
what costs most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nirc.api import Compiled, Options, compile_model
from nirc.chip.backend import KINDS
from nirc.chip.running import Samples, flat_raster
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.ir.program import Program
from nirc.passes.pipeline import Observer, Step
from nirc.semantics.raster import Run
from nirc.semantics.run import run
from nirc.verification import populations
from nirc.verification.divergence import first_divergence
from nirc.verification.record import Array, record, stages_of
from nirc.verification.recorded import ComparedStage, compared_stage
from nirc.verification.score import check_answers, check_labels, score
from nirc.writers.writer import Reading

PLACE_OF_DEVICE = 3  # among the stages
CALIBRATE = "calibrate the scales with --calibrate"


def verify(
    model: object,
    target: str,
    data: Data,
    options: Options,
    *,
    log: Log,
    observe: Observer | None = None,
    calibration: Samples | None = None,
    max_accuracy_drop: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """The JSON of `nirc verify`; ``progress`` is told the percentage that is done.

    Stages: recorded (the simulator's outputs, where ``data`` has them), float, discrete, integer,
    device (the emulator's default mode), device:MODE for each other mode. What must not pass is
    logged as errors, not raised: a population that falls silent (P313) and, with
    ``max_accuracy_drop``, a device that answers worse than the recording or else the model (P312).

    Raises ``NircError`` if the model does not compile or the raster does not fit.
    """
    tell = progress or (lambda _: None)
    options = options.with_data(data, calibration)
    steps: list[Step] = []

    def watch(step: Step) -> None:
        steps.append(step)
        if observe is not None:
            observe(step)

    made = compile_model(
        model,
        target,
        options,
        log=log,
        observe=watch,
        calibration=calibration,
        progress=lambda p: tell(p // 2),
    )
    _check_step(data, made, log)
    raster = flat_raster(data.inputs, len(made.bundle.manifest["input_map"]), log, data.file)
    check_labels(data.labels, len(made.bundle.manifest["output_map"]), log, data.file)
    runs = _runs(made, raster, log)
    tell(70)
    teacher = runs["float"].output
    silent = check_answers(teacher, log)
    stages = [score(name, r.output, teacher, data.labels) for name, r in runs.items()]
    recorded = compared_stage(data, made.stages, options, teacher, raster, log)
    if recorded is not None:
        _say_recorded(recorded, made.stages.reading, log)
    alone = dict(made.backend.approximations(made.stages.discrete))
    what_if = [
        score(name, run(program, raster).output, teacher, data.labels)
        for name, program in alone.items()
    ]
    tell(85)
    watched = record(made, stages_of(made, steps), raster, log)
    lost = populations.vanished(made)
    populations.say_silent(watched, made, alone, lost, raster, log)
    first = (
        []
        if recorded is None
        else [score("recorded", recorded.kept.outputs, recorded.output, data.labels)]
    )
    if max_accuracy_drop is not None:
        right, whose = (
            (teacher, "model") if recorded is None else (recorded.kept.outputs, "recording")
        )
        advice = (
            "the what-ifs name the difference that costs most" if made.calibrated else CALIBRATE
        )
        _report_drop(runs, right, whose, data.labels, max_accuracy_drop, advice, log)
    rows = populations.table(watched)
    tell(100)
    return {
        "target": made.mapped.target.name,
        "samples": len(raster),
        "silent_samples": silent,
        "stages": first + stages,
        "recorded": None
        if recorded is None
        else recorded.shares({name: r.output for name, r in runs.items()}),
        "lost_at": lost_at(stages),
        "what_if": sorted(what_if, key=lambda row: (row["agreement"], -row["count_error"])),
        "exact": [
            kind for kind in KINDS if not any(name.partition(":")[0] == kind for name in alone)
        ],
        "calibration": made.bundle.manifest.get("calibration"),
        "first_divergence": first_divergence(watched),
        "populations": rows,
        "not_compared": populations.left_out(watched),
        "rounded_to_zero": lost,
    }


def _check_step(data: Data, made: Compiled, log: Log) -> None:
    dt_s = made.stages.discrete.dt_s
    if data.dt_s is not None and dt_s is not None and abs(data.dt_s / dt_s - 1) > 1e-3:
        log.warning(
            "U609",
            f"the data's steps are {data.dt_s:g} s, the model's {dt_s:g} s",
            found=f"{data.dt_s:g} s",
            limit=f"{dt_s:g} s",
            file=data.file,
        )


def _runs(made: Compiled, raster: Array, log: Log) -> dict[str, Run]:
    """The output of each stage; last the device, in the default mode and then in the other modes of
    the emulator.
    """
    programs: dict[str, Program] = {
        "float": made.stages.reference,
        "discrete": made.stages.discrete,
        "integer": made.integer,
    }
    runs = {name: run(program, raster) for name, program in programs.items()}
    runs["device"] = made.bundle.run(raster, log=log)
    for mode in made.backend.modes[1:]:
        runs[f"device:{mode}"] = made.bundle.run(raster, mode=mode, log=log)
    return runs


def lost_at(stages: list[dict[str, Any]]) -> str | None:
    """The stage with the largest drop of agreement; None if none drops.

    Every mode is compared with the device.
    """
    drops = {
        s["name"]: stages[min(i, PLACE_OF_DEVICE)]["agreement"] - s["agreement"]
        for i, s in enumerate(stages[1:])
    }
    worst = max(drops, key=lambda name: drops[name])
    return worst if drops[worst] > 0 else None


def _say_recorded(recorded: ComparedStage, reading: Reading, log: Log) -> None:
    """W204 where the float stage is not what the simulator recorded."""
    kept, output = recorded.kept, recorded.output
    share, first = kept.share(output), kept.first_difference(output)
    if first is not None:
        place = " before the readout" * recorded.before_readout
        near = f"; {reading.writer.near}" if reading.writer.near else ""
        log.warning(
            "W204",
            f"read as {reading.text}, the model gives {share:.2%} of the recorded outputs{place}",
            found=f"{first['found']:g} at sample {first['sample']}, step {first['step']}, output "
            f"{first['output']}",
            limit=f"{first['recorded']:g} recorded",
            help=f"`nirc inspect MODEL --data FILE` says which --from gives them{near}",
        )


def _report_drop(
    runs: dict[str, Run],
    right: Array,
    whose: str,
    labels: Array | None,
    most: float,
    advice: str,
    log: Log,
) -> None:
    """Report P312 for every mode of the device that answers worse than ``right`` by more than
    ``most``.

    ``right``: (samples, steps, n). Without labels these answers are taken as right. The drop is
    then the share of samples that differ.
    """
    best = score(whose, right, right, labels)
    kind = "agreement" if labels is None else "accuracy"
    for name, device in [*runs.items()][PLACE_OF_DEVICE:]:
        stage = score(name, device.output, right, labels)
        drop = best[kind] - stage[kind]
        if drop > most:
            low, high = stage[f"{kind}_interval"]
            log.error(
                "P312",
                f"{kind} at stage `{name}` is {drop:.4f} below the {whose}'s",
                found=f"{stage[kind]:.4f}, {whose} {best[kind]:.4f}",
                limit=f"a drop of {most:g}",
                help=f"95 % interval {low:.4f} to {high:.4f}; {advice}",
            )
