"""The result of a calibration as rows for people, from the manifest's ``calibration``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = "-"
_SHOWN = (
    "distance_before",
    "distance_after",
    "gains",
    "drift",
    "self_inhibition_thresholds",
    "decay_mem",
    "decay_syn",
)


def summary(calibration: Mapping[str, Any]) -> str:
    """Return a sentence with the kept stage and the samples of the choice."""
    stages = {s["name"]: s for s in calibration.get("stages", ())}
    kept = calibration.get("kept")
    samples = calibration.get("samples", {})
    by = (
        f"fitted to {_samples(samples['fit'], samples['fit_given'])}, judged on "
        f"{_samples(samples['judge'], samples['judge_given'])}. nirc explain D414 says what nirc "
        "makes"
        if {"fit", "fit_given", "judge", "judge_given"} <= samples.keys()
        else f"inputs {calibration.get('inputs')}"
    )
    if kept not in stages or not calibration.get("stages"):
        return f"Calibration: {by}."
    first, last = calibration["stages"][0], stages[kept]
    if last is first:
        return (
            f"Calibration changed nothing: of {len(stages)} stages none was better than the "
            f"start; {by}."
        )
    return (
        f"Calibration kept stage `{kept}`: distance {first['distance']:.4g} -> "
        f"{last['distance']:.4g}, agreement "
        f"{first['agreement']:.3f} -> {last['agreement']:.3f} on the judging samples; {by}."
    )


def _samples(number: int, given: int) -> str:
    """``4 of your samples and 448 that nirc made from yours and at random``."""
    return f"{given} of your samples and {number - given} that nirc made from yours and at random"


def stage_rows(calibration: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Return name, distance, agreement on the judging samples, and kept or not, of each stage."""
    return [
        (
            s["name"],
            f"{s['distance']:.4g}",
            f"{s['agreement']:.3f}",
            s["name"] == calibration.get("kept"),
        )
        for s in calibration.get("stages", ())
    ]


def population_rows(calibration: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each changed population, with the columns of ``POPULATION_HEAD``."""
    populations: Mapping[str, Mapping[str, Any]] = calibration.get("populations", {})
    return [
        (name, *(_cell(setting.get(field)) for field in _SHOWN))
        for name, setting in populations.items()
        if setting
    ]


POPULATION_HEAD = (
    "population",
    "before",
    "after",
    "inputs times",
    "constant times",
    "self-inhibition",
    "decay_mem",
    "decay_syn",
)


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        numbers = [f"{v:.4g}" for v in value]
        return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
