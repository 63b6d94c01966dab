"""The results of `nirc verify` for people: tables, and sentences about the loss of agreement."""

from __future__ import annotations

from typing import Any

from nirc.report.calibration import NOTHING, POPULATION_HEAD, population_rows, stage_rows, summary


def as_text(result: dict[str, Any]) -> str:
    """Return stages, what-ifs, populations, and the first spike that differs."""
    lines = [f"{result['target']}, {result['samples']} sample(s)", "", _row("stage", *_HEAD)]
    lines += [_line(row) for row in result["stages"]]
    lines += ["", _row("what if the chip's ... alone", *_HEAD)]
    lines += [_line(row) for row in result["what_if"]]
    if result["exact"]:
        lines.append(f"The chip makes no approximation of: {', '.join(result['exact'])}.")
    if result["calibration"] is not None:
        lines += ["", *_calibration(result["calibration"])]
    lines += ["", *_populations(result["populations"]), ""]
    if result["lost_at"] is None:
        lines.append("No stage loses agreement.")
    else:
        lines.append(f"Agreement is lost at stage `{result['lost_at']}`.")
        if result["what_if"] and result["what_if"][0]["agreement"] < 1:
            lines.append(_largest(result["what_if"], calibrated=result["calibration"] is not None))
    busy = {row["name"]: row["several"] for row in result["populations"] if row["several"] > 0}
    if busy:
        shares = ", ".join(f"`{n}` {share:.1%}" for n, share in busy.items())
        lines.append(f"Several spikes in one step, of the steps with spikes: {shares}.")
    dead = {row["name"]: row for row in result["populations"] if row["silent"]}
    if dead:
        counts = ", ".join(f"`{n}` {row['silent']} of {row['neurons']}" for n, row in dead.items())
        lines.append(f"Neurons that fire in the model and never on the chip: {counts}.")
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
            f"`{at['population']}`, "
            f"step {at['step']}, sample {at['sample']}, neuron {at['neuron']}: {at['expected']:g} "
            "spike(s) in the "
            f"model, {at['found']:g} here."
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
    cells = ((r["name"], r["rate"], r["device_rate"], r["rate_error"], r["distance"]) for r in rows)
    return (
        [head, *(_row(name, *(f"{x:.4f}" for x in numbers)) for name, *numbers in cells)]
        if rows
        else []
    )


def _largest(what_if: list[dict[str, Any]], *, calibrated: bool) -> str:
    parts = [f"{row['name']} ({row['agreement']:.3f})" for row in what_if[:2]]
    head = (
        "Without calibration the largest part alone is" if calibrated else "The largest part alone:"
    )
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
