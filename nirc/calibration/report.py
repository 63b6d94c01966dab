"""What a calibration chose: plain values for the manifest, and notes for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirc.calibration import gains
from nirc.calibration.chip import Knobs
from nirc.calibration.guard import Judged
from nirc.calibration.samples import Samples
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.program import Program

START = "start"  # the name of the uncalibrated network
ROUNDING = "rounding"  # of the same with its weights rounded by what the sources send
SEARCHED = "search"  # after the bridge
LEARNT = "distillation"  # after every weight has learnt


def report(
    stages: Sequence[Judged],
    kept: Judged,
    found: Mapping[str, gains.Found],
    knobs: Mapping[str, Knobs],
    own: Samples,
    seed: int,
) -> dict[str, Any]:
    """The manifest's ``calibration``: samples, the judged distance of every stage, each population's setting."""
    return {
        "seed": seed,
        "samples": {
            "fit": len(own.fit),
            "fit_given": own.fit_given,
            "judge": len(own.judge),
            "judge_given": own.judge_given,
        },
        "kept": kept.name,
        "stages": [{"name": s.name, "distance": round(s.far, 6), "agreement": round(s.agreement, 6)} for s in stages],
        "populations": {
            name: {} if kept.name in {START, ROUNDING} or name not in found else _setting(found[name], knobs[name])
            for name in knobs
        },
    }


def _setting(f: gains.Found, knobs: Knobs) -> dict[str, Any]:
    s = f.setting
    told: dict[str, Any] = {"distance_before": round(f.start, 6), "distance_after": round(f.best, 6)}
    if knobs.gains:
        told["gains"] = [gains.factor(g) for g in s.gains]
    if knobs.drift:
        told["drift"] = gains.factor(s.drift)
    if knobs.brake:
        told["brake_thresholds"] = s.brake / gains.FINE
    for name, choices, place in (("decay_mem", knobs.mem, s.mem), ("decay_syn", knobs.syn, s.syn)):
        if choices:
            told[name] = _range(choices[place])
    return told


def _range(values: Float) -> list[float]:
    """Smallest and largest."""
    return [float(values.min()), float(values.max())]


def say(program: Program, told: Mapping[str, Any], log: Log) -> None:
    """One note (D414) a population."""
    learnt = "; then its weights" if told["kept"] == LEARNT else ""
    for name, setting in told["populations"].items():
        where = program[name].origins[0]
        if not setting:
            what = (
                "keeps its parameters: its weights are rounded by what its sources send; nothing else is better"
                if told["kept"] == ROUNDING
                else "stays as it was: no calibration is better"
            )
            log.note("D414", f"`{name}` {what} on samples that it has not seen", where=where)
            continue
        log.note(
            "D414",
            f"`{name}` is calibrated: {', '.join(_words(setting))}{learnt}",
            where=where,
            found=f"distance {setting['distance_before']:.3g} -> {setting['distance_after']:.3g}",
        )


def _words(setting: Mapping[str, Any]) -> list[str]:
    words = []
    if "gains" in setting:
        words.append("inputs times " + ", ".join(f"{g:.3g}" for g in setting["gains"]))
    if "drift" in setting:
        words.append(f"constant current times {setting['drift']:.3g}")
    if setting.get("brake_thresholds"):
        words.append(f"brake of {setting['brake_thresholds']:.3g} thresholds")
    return words
