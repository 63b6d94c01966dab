"""The outcome of a calibration: plain values for the manifest, and notes for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirc.calibration import gains
from nirc.calibration.chip import Parameters
from nirc.calibration.guard import Judged
from nirc.calibration.samples import Samples
from nirc.diagnostics.dynamics import Calibrated, NotCalibrated
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.program import Program

START = "start"  # the uncalibrated network
ROUNDING = "rounding"  # the same with weights rounded by the signals of their sources
SEARCHED = "search"  # after the bridge
LEARNT = "distillation"  # after all weights have learnt


def report(
    stages: Sequence[Judged],
    kept: Judged,
    settings: Mapping[str, gains.SearchResult],
    parameters: Mapping[str, Parameters],
    data: Samples,
    seed: int,
) -> dict[str, Any]:
    """Return the manifest's ``calibration``: samples, judged distances, settings of populations."""
    return {
        "seed": seed,
        "samples": {
            "fit": len(data.fit),
            "fit_given": data.fit_given,
            "judge": len(data.judge),
            "judge_given": data.judge_given,
        },
        "kept": kept.name,
        "stages": [
            {"name": s.name, "distance": round(s.far, 6), "agreement": round(s.agreement, 6)}
            for s in stages
        ],
        "populations": {
            name: {}
            if kept.name in {START, ROUNDING} or name not in settings
            else _setting(settings[name], parameters[name])
            for name in parameters
        },
    }


def _setting(f: gains.SearchResult, parameters: Parameters) -> dict[str, Any]:
    s = f.setting
    entry: dict[str, Any] = {
        "distance_before": round(f.start, 6),
        "distance_after": round(f.best, 6),
    }
    if parameters.gains:
        entry["gains"] = [gains.factor(g) for g in s.gains]
    if parameters.drift:
        entry["drift"] = gains.factor(s.drift)
    if parameters.self_inhibition:
        entry["self_inhibition_thresholds"] = s.self_inhibition / gains.FINE
    for name, choices, place in (
        ("decay_mem", parameters.mem, s.mem),
        ("decay_syn", parameters.syn, s.syn),
    ):
        if choices:
            entry[name] = _range(choices[place])
    return entry


def _range(values: Float) -> list[float]:
    """Return smallest and largest."""
    return [float(values.min()), float(values.max())]


def log_notes(program: Program, chosen: Mapping[str, Any], log: Log) -> None:
    """Log a note (D414) for each population."""
    for name, setting in chosen["populations"].items():
        where = program[name].origins[0]
        if not setting:
            rounded = chosen["kept"] == ROUNDING
            log.add(NotCalibrated(where=where, population=name, rounded=rounded))
            continue
        note = Calibrated(
            where=where,
            population=name,
            gains=setting.get("gains"),
            drift=setting.get("drift"),
            self_inhibition=setting.get("self_inhibition_thresholds", 0.0),
            distances=(setting["distance_before"], setting["distance_after"]),
            learnt=chosen["kept"] == LEARNT,
        )
        log.add(note)
