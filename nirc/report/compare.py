"""The result of `nirc compare` as text, and as a picture of the sample that differs first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from nirc.files.recordings import Recording

if TYPE_CHECKING:
    from nirc.drawing.rasters import Panel

Array = NDArray[Any]
MOST_PANELS = 12  # populations of a picture


def as_text(result: Mapping[str, Any]) -> str:
    """Return the populations, the first difference, and what to record next."""
    first, second = result["files"]
    lines = []
    runs = result.get("runs", [None, None])
    for name, file, run in zip(("first ", "second"), (first, second), runs, strict=True):
        lines += [f"{name}  {file}", *(f"        {line}" for line in _about(run))]
    digests = {run["bundle"] for run in runs if run}
    if len(digests) > 1:
        lines.append("The two runs are of different bundles: compiled anew, or of other options.")
    lines.append("")
    head = ("population", "neurons", "rate", "second", "differ", "distance")
    lines.append(_line(head))
    for row in result["populations"]:
        rates = [f"{rate:.4f}" for rate in row["rates"]]
        differ = f"{row['neurons_that_differ']} in {row['samples_that_differ']}"
        cells = (row["name"], str(row["neurons"]), *rates, differ, f"{row['distance']:.4f}")
        lines.append(_line(cells))
    lines.append(
        "rate: spikes of a neuron in a step; differ: neurons, and samples in which they do"
    )
    if result["in_one_only"]:
        lines.append(f"In one recording only: {', '.join(result['in_one_only'])}.")
    lines += ["", *_verdict(result)]
    return "\n".join(lines) + "\n"


def _about(run: Mapping[str, Any] | None) -> list[str]:
    """Return the board, the versions and the power of a run, as its record has them."""
    if run is None:
        return []
    board = "a simulator" if run["simulated"] else run["board"] or "a board"
    numbers = [f"{name} {run[name]}" for name in ("serial", "firmware") if run[name]]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(run["packages"].items()))
    lines = [
        f"{', '.join([board, *numbers])}; bundle {run['bundle'][:12]} for {run['target']}",
        f"{run['started']}, {run['seconds']:.3g} s; {packages}",
    ]
    watts = [f"{name} {value * 1e3:.4g} mW" for name, value in sorted(run["power_watts"].items())]
    return [*lines, f"power: {', '.join(watts)}"] if watts else lines


def _line(cells: tuple[str, ...]) -> str:
    name, *others = cells
    return (f"{name:<24}" + "".join(f"{cell:>12}" for cell in others)).rstrip()


def _verdict(result: Mapping[str, Any]) -> list[str]:
    tolerance = result["tolerance"]
    within = f" within {tolerance:g} spike(s) of a neuron in a sample" if tolerance else ""
    found = result["first_difference"]
    if found is None:
        return [f"Equal{within}."]
    what = "spike(s)" if found["kind"] == "spikes" else "as membrane"
    lines = [
        f"Different{within}. First at step {found['step']}, sample {found['sample']}: neuron "
        f"{found['neuron']} of `{found['population']}`, {found['first']:g} {what} in the first, "
        f"{found['second']:g} in the second."
    ]
    if result["record_next"] is not None:
        lines.append(
            f"Record `{result['record_next']}` next: nothing between the last population that "
            f"agrees and `{found['population']}` is recorded in both."
        )
    return lines


def picture(a: Recording, b: Recording, result: Mapping[str, Any]) -> bytes:
    """Return a picture (SVG) of the sample that differs first, or of the first sample.

    A panel for each population: spikes of both recordings, of the first only, of the second only.
    """
    from nirc.drawing.rasters import rasters

    names = [row["name"] for row in result["populations"]][:MOST_PANELS]
    found = result["first_difference"]
    sample = 0 if found is None else found["sample"]
    rows = [[_panel(name, a.spikes[name][sample], b.spikes[name][sample])] for name in names]
    title = f"sample {sample}: equal"
    if found is not None:
        title = f"sample {sample}: first difference in {found['population']}, step {found['step']}"
    legend = {"model": "more in the first", "chip": "more in the second", "both": "both"}
    step = None if found is None else found["step"]
    return rasters(rows, step, title=title, legend=legend).file()


def _panel(name: str, first: Array, second: Array) -> Panel:
    from nirc.drawing.rasters import Layer, Panel

    equal = (first == second) & (first != 0)
    layers = (Layer("both", equal), Layer("model", first > second), Layer("chip", second > first))
    return Panel(name, layers)
