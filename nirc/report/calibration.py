"""What a calibration chose, as rows for people: from the manifest's ``calibration``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = "-"
_SHOWN = ("distance_before", "distance_after", "gains", "drift", "brake_thresholds", "decay_mem", "decay_syn")


def summary(told: Mapping[str, Any]) -> str:
    """One sentence: which stage was kept, and what it was chosen by."""
    stages = {s["name"]: s for s in told.get("stages", ())}
    kept = told.get("kept")
    samples = told.get("samples", {})
    by = (
        f"fitted to {samples['fit']} samples ({samples['fit_given']} given), judged on {samples['judge']} others "
        f"({samples['judge_given']} given)"
        if {"fit", "fit_given", "judge", "judge_given"} <= samples.keys()
        else f"inputs {told.get('inputs')}"
    )
    if kept not in stages or not told.get("stages"):
        return f"Calibration: {by}."
    first, last = told["stages"][0], stages[kept]
    if last is first:
        return f"Calibration changed nothing: of {len(stages)} stages none was better than the start; {by}."
    return (
        f"Calibration kept stage `{kept}`: distance {first['distance']:.4g} -> {last['distance']:.4g}, agreement "
        f"{first['agreement']:.3f} -> {last['agreement']:.3f} on the judging samples; {by}."
    )


def stage_rows(told: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Name, distance, agreement on the judging samples, and whether it was kept, of each stage."""
    return [
        (s["name"], f"{s['distance']:.4g}", f"{s['agreement']:.3f}", s["name"] == told.get("kept"))
        for s in told.get("stages", ())
    ]


def population_rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Name, distance before and after the search, gains of the inputs, of the constant, brake, both decays.

    None of those whose parameters stayed as they were.
    """
    populations: Mapping[str, Mapping[str, Any]] = told.get("populations", {})
    return [
        (name, *(_cell(setting.get(field)) for field in _SHOWN)) for name, setting in populations.items() if setting
    ]


POPULATION_HEAD = ("population", "before", "after", "inputs times", "constant times", "brake", "decay_mem", "decay_syn")


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        numbers = [f"{v:.4g}" for v in value]
        return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
