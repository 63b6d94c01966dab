"""The results of `nirc verify` and of a calibration as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nirc.analysis.judging import ALPHA
from nirc.diagnostics.outcome import LabelsByChance

NOTHING = "-"
# Columns of a population, with the fields of the manifest.
_COLUMNS = {
    "before": "distance_before",
    "after": "distance_after",
    "inputs times": "gains",
    "constant times": "drift",
    "self-inhibition": "self_inhibition_thresholds",
    "decay_mem": "decay_mem",
    "decay_syn": "decay_syn",
    "lower bound": "lower_bound_thresholds",
}
POPULATION_HEAD = ("population", *_COLUMNS)


def summary(calibration: Mapping[str, Any]) -> str:
    """Return a sentence with the kept stage and the samples of the choice."""
    stages = {s["name"]: s for s in calibration.get("stages", ())}
    kept = calibration.get("kept")
    samples = calibration.get("samples", {})
    by = f"inputs {calibration.get('inputs')}"
    if {"fit", "fit_given", "judge", "judge_given"} <= samples.keys():
        by = (
            f"fitted to {_samples(samples['fit'], samples['fit_given'])}, judged on "
            f"{_samples(samples['judge'], samples['judge_given'])}. nirc explain D414 says what "
            "nirc makes"
        )
    if kept not in stages or not calibration.get("stages"):
        return f"Calibration: {by}."
    first = calibration["stages"][0]
    last = stages[kept]
    if last is first:
        return (
            f"Calibration changed nothing: of {len(stages)} stages none was better than the "
            f"start; {by}."
        )
    return (
        f"Calibration kept stage `{kept}`: distance {first['distance']:.4g} -> "
        f"{last['distance']:.4g}, agreement "
        f"{first['agreement']:.3f} -> {last['agreement']:.3f} on the judging samples; {by}."
        f"{_answers(calibration.get('judgement'))}"
    )


def _answers(found: Mapping[str, Any] | None) -> str:
    """Return a sentence on the answers to given and clear samples, against the start's."""
    if found is None:
        return ""
    state, more = _state(found, "the start"), found["more_samples"]
    tail = f", {more} more would show it" if more else ""
    return f" {state} (answers to your samples and to clear ones){tail}."


def _state(found: Mapping[str, Any], other: str) -> str:
    """Return in words if answers are worse than those of ``other``."""
    low, high = found["interval"]
    margin = f"{100 * found['margin']:g} point"
    if found["not_worse"] is None:
        if low > 0:
            return f"Worse than {other}; these samples do not show if by more than {margin}"
        if found["chance"] <= ALPHA:
            by_chance = f"as many are lost by chance in {100 * found['chance']:.2g} % of cases"
            return f"Worse than {other} ({by_chance}); these samples do not show by how much"
        return f"These samples do not show if the chip is worse by more than {margin}"
    if not found["not_worse"]:
        return f"Worse than {other} by more than {margin}"
    if low > 0:
        return f"Worse than {other}, but by less than {margin}"
    return f"Better than {other}" if high < 0 else f"Not worse than {other} by more than {margin}"


def _samples(number: int, given: int) -> str:
    """Return ``4 of your samples and 448 that nirc made from yours and at random``."""
    return f"{given} of your samples and {number - given} that nirc made from yours and at random"


def stage_rows(calibration: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Return name, distance, agreement on the judging samples, and kept or not, of each stage."""
    kept = calibration.get("kept")
    return [
        (s["name"], f"{s['distance']:.4g}", f"{s['agreement']:.3f}", s["name"] == kept)
        for s in calibration.get("stages", ())
    ]


def population_rows(calibration: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each changed population, with the columns of ``POPULATION_HEAD``."""
    populations: Mapping[str, Mapping[str, Any]] = calibration.get("populations", {})
    return [
        (name, *(_cell(setting.get(field)) for field in _COLUMNS.values()))
        for name, setting in populations.items()
        if setting
    ]


def costs_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each difference costs alone, in the form of ``costs`` in a report.json."""
    return {
        "samples": result["samples"],
        "differences": result["what_if"],
        "exact": result["exact"],
    }


def verdict(result: Mapping[str, Any]) -> list[str]:
    """Return sentences: is the chip worse than the model, and is the network inside the same?"""
    return [_answers_lost(result), *_network_inside(result)]


def _answers_lost(result: Mapping[str, Any]) -> str:
    if result["by_chance"] is not None:
        message = LabelsByChance(**result["by_chance"]).words().message
        return (
            f"Accuracy says nothing here: {message}. Inputs and labels do not belong together, or "
            "not to this model."
        )
    found = result["judgement"]
    points = 100 * found["difference"]
    low, high = (100 * bound for bound in found["interval"])
    state, more = _state(found, "the model"), found["more_samples"]
    tail = f"; about {more} more samples would show it" if more else ""
    kind = "agreement" if result["stages"][-1]["accuracy"] is None else "accuracy"
    change = f"{points:.2f} points of {kind} lost" if points >= 0 else f"{-points:.2f} points won"
    if points < 0:  # the interval is of what is won, too
        low, high = -high, -low
    sure = f"between {low:.2f} and {high:.2f}, each with {found['confidence']:.0%} confidence"
    return f"{state}: {change} ({sure}){tail}."


def _network_inside(result: Mapping[str, Any]) -> list[str]:
    found = result["judgement"]
    if not result["other_inside"] or found["difference"] > found["margin"]:
        return []
    names = ", ".join(f"`{name}`" for name in result["other_inside"])
    cure = "" if result["calibration"] else " --calibrate brings the rates nearer."
    return [
        f"The answers hide another network inside: the rates of {names} are not those of the "
        f"model. Other inputs may show it.{cure}"
    ]


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        numbers = [f"{v:.4g}" for v in value]
        return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


# nirc verify: tables, and sentences about the loss of agreement.


def as_text(result: dict[str, Any]) -> str:
    """Return stages, what-ifs, populations, and the first spike that differs."""
    lines = [f"{result['target']}, {result['samples']} sample(s)"]
    if result["answers"] < 2 <= result["outputs"]:
        answers = "answers one class only" if result["answers"] else "never answers"
        lines.append(f"The model itself {answers} on these samples: agreement says nothing.")
    lines += ["", _row("stage", *_HEAD)]
    lines += [_line(row) for row in result["stages"]]
    lines += ["", _row("what if the chip's ... alone", *_HEAD)]
    lines += [_line(row) for row in result["what_if"]]
    if result["exact"]:
        lines.append(f"The chip makes no approximation of: {', '.join(result['exact'])}.")
    if result["calibration"] is not None:
        lines += ["", *_calibration(result["calibration"])]
    lines += ["", *_populations(result["populations"]), "", *verdict(result)]
    if result["lost_at"] is None:
        lines.append("No stage loses agreement.")
    else:
        lines.append(f"Agreement is lost at stage `{result['lost_at']}`.")
        if result["what_if"] and result["what_if"][0]["agreement"] < 1:
            lines.append(_largest(result["what_if"], calibrated=result["calibration"] is not None))
    if result["board"] is not None:
        equal = [f"{name} {share:.2%}" for name, share in result["board"]["equal"].items()]
        lines.append(f"Output entries of the board that equal the emulator's: {', '.join(equal)}.")
    several = [row for row in result["populations"] if row["several"] > 0]
    if several:
        shares = ", ".join(f"`{row['name']}` {row['several']:.1%}" for row in several)
        lines.append(f"Several spikes in one step, of the steps with spikes: {shares}.")
    silent = [row for row in result["populations"] if row["silent"]]
    if silent:
        counts = ", ".join(f"`{r['name']}` {r['silent']} of {r['neurons']}" for r in silent)
        lines.append(f"Neurons that fire in the model and never on the chip: {counts}.")
    always = [row for row in result["populations"] if row["always"]]
    if always:
        counts = ", ".join(f"`{r['name']}` {r['always']} of {r['neurons']}" for r in always)
        lines.append(f"Neurons that fire in every step on the chip and not in the model: {counts}.")
    if result["recorded"] is not None and result["recorded"]["before_readout"]:
        lines.append(
            "The recording is that of the network before its readout, and is compared there."
        )
    if result["not_compared"]:
        names = ", ".join(f"`{name}`" for name in result["not_compared"])
        lines.append(f"Not compared, since the chip has them in another shape: {names}.")
    lines += [
        f"Of {row['synapses']} synapses `{row['from']}` -> `{row['to']}` {row['zero']} round to "
        "zero."
        for row in result["rounded_to_zero"]
        if row["zero"]
    ]
    at = result["first_divergence"]
    if at is not None:
        lines.append(
            f"First divergence: pass {at['pass']} (stage `{at['stage']}`), population "
            f"`{at['population']}`, step {at['step']}, sample {at['sample']}, neuron "
            f"{at['neuron']}: {at['expected']:g} spike(s) in the model, {at['found']:g} here."
        )
    return "\n".join(lines) + "\n"


_HEAD = ("accuracy", "agreement", "(95 %)", "count error")


def _calibration(calibration: dict[str, Any]) -> list[str]:
    """Return rows of the calibration. The what-ifs above are of the uncalibrated chip."""
    lines = [summary(calibration), "The what-ifs above are those of the chip without it."]
    if stages := stage_rows(calibration):
        lines += [_row("calibration stage", "distance", "agreement")]
        lines += [
            _row(name, far, agreement, "kept" if kept else "")
            for name, far, agreement, kept in stages
        ]
    if rows := population_rows(calibration):
        lines += [_table(POPULATION_HEAD, rows)]
    return lines


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table with columns as wide as their contents. Empty columns are left out."""
    shown = [k for k in range(len(head)) if any(row[k] != NOTHING for row in rows)]
    width = {k: max(len(row[k]) for row in (head, *rows)) for k in shown}
    texts = [
        [row[k].ljust(width[k]) if k == 0 else row[k].rjust(width[k]) for k in shown]
        for row in (head, *rows)
    ]
    return "\n".join("  ".join(cells) for cells in texts)


def _populations(rows: list[dict[str, Any]]) -> list[str]:
    """Return rates in spikes per neuron and step, and van Rossum's distance of spike trains.

    A misplaced spike has the distance 1.
    """
    head = _row("population", "rate", "on chip", "rate error", "distance")
    fields = ("rate", "device_rate", "rate_error", "distance")
    lines = [_row(row["name"], *(f"{row[field]:.4f}" for field in fields)) for row in rows]
    return [head, *lines] if rows else []


def _largest(what_if: list[dict[str, Any]], *, calibrated: bool) -> str:
    parts = [f"{row['name']} ({row['agreement']:.3f})" for row in what_if[:2]]
    without = "Without calibration the largest part alone is"
    head = without if calibrated else "The largest part alone:"
    return f"{head} {parts[0]}" + (f"; then {parts[1]}" if len(parts) > 1 else "") + "."


def _row(*cells: str) -> str:
    return (f"{cells[0]:<48}" + "".join(f"{c:>13}" for c in cells[1:])).rstrip()


def _line(row: dict[str, Any]) -> str:
    right = "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    low, high = row["agreement_interval"]
    return _row(
        row["name"],
        right,
        f"{row['agreement']:.4f}",
        f"{low:.3f}-{high:.3f}",
        f"{row['count_error']:.3f}",
    )
