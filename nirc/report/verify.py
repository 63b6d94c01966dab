"""Float, discrete, integer and device on the same inputs: how much agreement each stage keeps, and what costs most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.api import Compiled, Options, compile_model
from nirc.backend import modes_of
from nirc.diagnostics.log import Log
from nirc.frontend.data import Data
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.pipeline import Observer
from nirc.raster import Run
from nirc.running import flat_raster
from nirc.semantics.run import run

RECORDED = 64  # samples at most whose every spike is compared to find the first divergence
RECORDED_VALUES = 1 << 26  # spikes and membranes of these samples stay below
DEVICE = 3  # the place of the stage "device"
Array = NDArray[Any]


def verify(
    model: object,
    target: str,
    data: Data,
    options: Options,
    *,
    log: Log,
    observe: Observer | None = None,
    calibration: Array | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """The JSON of `nirc verify`; ``progress`` is told the percentage that is done.

    Stages: float, discrete, integer, device (the emulator's default mode), device:MODE for each other mode.

    Raises ``NircError`` if the model does not compile or the raster does not fit.
    """
    tell = progress or (lambda _: None)
    made = compile_model(
        model, target, options, log=log, observe=observe, calibration=calibration, progress=lambda p: tell(p // 2)
    )
    dt_s = made.stages.discrete.dt_s
    if data.dt_s is not None and dt_s is not None and abs(data.dt_s / dt_s - 1) > 1e-3:
        log.warning(
            "U609",
            f"the data's steps are {data.dt_s:g} s, the model's {dt_s:g} s",
            found=f"{data.dt_s:g} s",
            limit=f"{dt_s:g} s",
        )
    raster = flat_raster(data.inputs, len(made.bundle.manifest["input_map"]), log)
    check_labels(data.labels, len(made.bundle.manifest["output_map"]), log)
    runs = _stages(made, raster, log)
    tell(75)
    teacher = runs["float"].output
    stages = [_figures(name, r.output, teacher, data.labels) for name, r in runs.items()]
    what_if = [
        _figures(name, run(program, raster).output, teacher, data.labels)
        for name, program in made.backend.approximations(made.stages.discrete)
    ]
    tell(100)
    recorded = raster[: _recorded(made, raster)]
    return {
        "target": made.mapped.target.name,
        "samples": len(raster),
        "stages": stages,
        "lost_at": _lost_at(stages),
        "what_if": sorted(what_if, key=lambda row: row["agreement"]),
        "first_divergence": _first_divergence(made, recorded, log),
        "several_spikes": _several_spikes(made, recorded, log),
    }


def _programs(made: Compiled) -> dict[str, Program]:
    return {"float": made.stages.continuous, "discrete": made.stages.discrete, "integer": made.integer}


def _stages(made: Compiled, raster: Array, log: Log) -> dict[str, Run]:
    """The output of each stage; last the device, in the default mode and then in the other modes of the emulator."""
    runs = {name: run(program, raster) for name, program in _programs(made).items()}
    runs["device"] = made.bundle.run(raster, log=log)
    for mode in modes_of(made.backend)[1:]:
        runs[f"device:{mode}"] = made.bundle.run(raster, mode=mode, log=log)
    return runs


def _recorded(made: Compiled, raster: Array) -> int:
    """How many samples are recorded."""
    neurons = sum(len(block["index"]) for block in made.bundle.manifest["populations"].values())
    values: int = 2 * raster.shape[1] * neurons
    return max(1, min(RECORDED, (RECORDED_VALUES - 1) // max(1, values)))


def _figures(name: str, output: Array, teacher: Array, labels: Array | None) -> dict[str, Any]:
    """Arg-max of the counts over all outputs; ``count_error``: mean absolute difference of a count."""
    counts, expected = output.sum(axis=1), teacher.sum(axis=1)
    return {
        "name": name,
        "accuracy": None if labels is None else accuracy(counts, labels),
        "agreement": float(np.mean(counts.argmax(axis=1) == expected.argmax(axis=1))) if len(counts) else 1.0,
        "count_error": float(np.mean(np.abs(counts - expected))) if counts.size else 0.0,
        "spikes": float(output.sum()),
    }


def check_labels(labels: Array | None, outputs: int, log: Log) -> None:
    """Warn (U604) of classes that no output can answer, as when they count from 1."""
    if labels is not None and labels.size and labels.max() >= outputs:
        log.warning(
            "U604",
            "some labels name classes that the network has no output for",
            where="labels",
            found=int(labels.max()),
            limit=f"0 to {outputs - 1}",
            help="classes count from 0",
        )


def accuracy(counts: Array, labels: Array) -> float:
    """Share of samples whose output with the largest count is the label; the lowest index wins a tie."""
    return float(np.mean(counts.argmax(axis=1) == labels)) if len(counts) else 0.0


def _lost_at(stages: list[dict[str, Any]]) -> str | None:
    """The stage with the largest drop of agreement; None if none drops. Every mode is compared with the device."""
    drops = {s["name"]: stages[min(i, DEVICE)]["agreement"] - s["agreement"] for i, s in enumerate(stages[1:])}
    worst = max(drops, key=lambda name: drops[name])
    return worst if drops[worst] > 0 else None


def _first_divergence(made: Compiled, raster: Array, log: Log) -> dict[str, Any] | None:
    """The first spike that differs from float: of the first stage that differs, the earliest step, then sample."""
    names = [n for n in made.stages.discrete.nodes(Population) if n in made.bundle.manifest["populations"]]
    programs = _programs(made)
    teacher = run(programs.pop("float"), raster, record=names).spikes
    for stage in ("discrete", "integer", "device"):
        got = (
            run(programs[stage], raster, record=names)
            if stage in programs
            else made.bundle.run(raster, record=names, log=log)
        )
        found = [_earliest(n, teacher[n], got.spikes[n]) for n in names if made.stages.discrete[n].dynamics.fires]
        places = [f for f in found if f is not None]
        if places:
            return {"stage": stage} | min(places, key=lambda f: (f["step"], f["sample"]))
    return None


def _earliest(name: str, expected: Array, got: Array) -> dict[str, Any] | None:
    different = np.argwhere((expected != got).transpose(1, 0, 2))  # by step first
    if not len(different):
        return None
    step, sample, neuron = (int(i) for i in different[0])
    return {
        "population": name,
        "step": step,
        "sample": sample,
        "neuron": neuron,
        "expected": float(expected[sample, step, neuron]),
        "found": float(got[sample, step, neuron]),
    }


def _several_spikes(made: Compiled, raster: Array, log: Log) -> dict[str, float]:
    """Share of a population's spiking steps in which it fires more than once, on the device."""
    names = tuple(made.bundle.manifest["populations"])
    spikes = made.bundle.run(raster, record=names, log=log).spikes
    return {n: float((s > 1).sum() / max(1, (s > 0).sum())) for n, s in spikes.items()}


def as_text(result: dict[str, Any]) -> str:
    """Tables for people, and the sentence that says where agreement is lost."""
    lines = [
        f"{result['target']}, {result['samples']} sample(s)",
        "",
        _row("stage", "accuracy", "agreement", "count error"),
    ]
    lines += [_line(row) for row in result["stages"]]
    lines += ["", _row("what if the chip's ... alone", "accuracy", "agreement", "count error")]
    lines += [_line(row) for row in result["what_if"]]
    lines.append("")
    if result["lost_at"] is None:
        lines.append("No stage loses agreement.")
    else:
        lines.append(f"Agreement is lost at stage `{result['lost_at']}`.")
        if result["what_if"] and result["what_if"][0]["agreement"] < 1:
            lines.append(_largest(result["what_if"]))
    busy = {n: share for n, share in result["several_spikes"].items() if share > 0}
    if busy:
        told = ", ".join(f"`{n}` {share:.1%}" for n, share in busy.items())
        lines.append(f"Several spikes in one step, of the steps with spikes: {told}.")
    at = result["first_divergence"]
    if at is not None:
        lines.append(
            f"First divergence: stage `{at['stage']}`, population `{at['population']}`, step {at['step']}, "
            f"sample {at['sample']}, neuron {at['neuron']}: {at['expected']:g} spike(s) in the model, "
            f"{at['found']:g} here."
        )
    return "\n".join(lines) + "\n"


def _largest(what_if: list[dict[str, Any]]) -> str:
    parts = [f"{row['name']} ({row['agreement']:.3f})" for row in what_if[:2]]
    return f"The largest part alone: {parts[0]}" + (f"; then {parts[1]}" if len(parts) > 1 else "") + "."


def _row(*cells: str) -> str:
    return f"{cells[0]:<46}" + "".join(f"{c:>13}" for c in cells[1:])


def _line(row: dict[str, Any]) -> str:
    score = "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    return _row(row["name"], score, f"{row['agreement']:.4f}", f"{row['count_error']:.3f}")
