"""What `nirc verify` found, for people: tables, and the sentences that say where agreement is lost."""

from __future__ import annotations

from typing import Any


def as_text(result: dict[str, Any]) -> str:
    """Stages, what-ifs, populations, and where the first spike departs."""
    lines = [f"{result['target']}, {result['samples']} sample(s)", "", _row("stage", *_HEAD)]
    lines += [_line(row) for row in result["stages"]]
    lines += ["", _row("what if the chip's ... alone", *_HEAD)]
    lines += [_line(row) for row in result["what_if"]]
    lines += ["", *_populations(result["populations"]), ""]
    if result["lost_at"] is None:
        lines.append("No stage loses agreement.")
    else:
        lines.append(f"Agreement is lost at stage `{result['lost_at']}`.")
        if result["what_if"] and result["what_if"][0]["agreement"] < 1:
            lines.append(_largest(result["what_if"]))
    busy = {row["name"]: row["several"] for row in result["populations"] if row["several"] > 0}
    if busy:
        told = ", ".join(f"`{n}` {share:.1%}" for n, share in busy.items())
        lines.append(f"Several spikes in one step, of the steps with spikes: {told}.")
    lines += [
        f"Of {row['synapses']} synapses `{row['from']}` -> `{row['to']}` {row['zero']} round to zero."
        for row in result["rounded_to_zero"]
        if row["zero"]
    ]
    at = result["first_divergence"]
    if at is not None:
        lines.append(
            f"First divergence: pass {at['pass']} (stage `{at['stage']}`), population `{at['population']}`, "
            f"step {at['step']}, sample {at['sample']}, neuron {at['neuron']}: {at['expected']:g} spike(s) in the "
            f"model, {at['found']:g} here."
        )
    return "\n".join(lines) + "\n"


_HEAD = ("accuracy", "agreement", "(95 %)", "count error")


def _populations(rows: list[dict[str, Any]]) -> list[str]:
    """Rates in spikes per neuron and step; the distance of spike trains is van Rossum's, 1 for a spike misplaced."""
    head = _row("population", "rate", "on chip", "rate error", "distance")
    cells = ((r["name"], r["rate"], r["device_rate"], r["rate_error"], r["distance"]) for r in rows)
    return [head, *(_row(name, *(f"{x:.4f}" for x in numbers)) for name, *numbers in cells)] if rows else []


def _largest(what_if: list[dict[str, Any]]) -> str:
    parts = [f"{row['name']} ({row['agreement']:.3f})" for row in what_if[:2]]
    return f"The largest part alone: {parts[0]}" + (f"; then {parts[1]}" if len(parts) > 1 else "") + "."


def _row(*cells: str) -> str:
    return f"{cells[0]:<46}" + "".join(f"{c:>13}" for c in cells[1:])


def _line(row: dict[str, Any]) -> str:
    right = "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    low, high = row["agreement_interval"]
    return _row(row["name"], right, f"{row['agreement']:.4f}", f"{low:.3f}-{high:.3f}", f"{row['count_error']:.3f}")
