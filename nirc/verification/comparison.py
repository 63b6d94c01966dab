"""`--target all`: a table of all variants of all chips: fit or refusal, use, differences, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from nirc.api import Compiled, Options, compile_model, lower
from nirc.chip import registry
from nirc.chip.backend import Backend
from nirc.chip.estimate import Activity
from nirc.chip.running import Samples, calibration_raster, flat_raster
from nirc.chip.target import Target
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.diagnostics.plural import counted
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.files.data import Data
from nirc.ir.populations import Source
from nirc.passes.pipeline import Observer, Step
from nirc.report.score import accuracy, check_labels
from nirc.semantics.run import run
from nirc.verification.costs import activity

CORES = ("cores", "processing elements")  # what a chip calls them
SHOWN_CODES = 6
COLUMNS = ("target", "fits", "cores", "fullest resource", "latency", "differs")
SCORES = ("accuracy", "agreement")


def compare(
    model: object,
    options: Options,
    *,
    log: Log,
    calibration: Samples | None = None,
    data: Data | None = None,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return ``{"model", "activity", "targets": [...]}``, with a row for every variant.

    ``data``: also accuracy and agreement of each chip's emulator with the model. A chip's option
    among ``options`` goes to the chips that have it. ``progress`` gets the percentage. A chip whose
    package fails has no row, and a warning names the package (U615). Raises ``InputError`` for a
    model or data that cannot be read, ``UsageError`` (U607) for an option that no chip has.
    """
    report = progress or (lambda _: None)
    options = options.with_data(data, calibration)
    backends = registry.backends(log)
    _check_options(list(backends.values()), options, log)
    common = Log()
    stages = lower(model, options, log=common, observe=observe)
    log.add_all(common.diagnostics)
    channels = sum(s.n for s in stages.discrete.nodes(Source).values())
    raster = None if data is None else flat_raster(data.inputs, channels, log, data.file)
    sample = None if calibration is None else calibration_raster(calibration, channels, log)
    measured = activity(stages.discrete, sample if raster is None else raster)
    reference = None if raster is None else run(stages.reference, raster).outputs.sum(axis=1)
    if data is not None and reference is not None:
        check_labels(data.labels, reference.shape[1], log)

    def row(backend: Backend, target: Target, progress: Callable[[int], None]) -> dict[str, Any]:
        attempt = Log(strict=options.strict, policy=log.policy)
        known = {option.name for option in backend.options}
        asked = replace(options, chip=tuple(pair for pair in options.chip if pair[0] in known))
        try:
            compiled = compile_model(
                model, target.name, asked, log=attempt, calibration=sample, progress=progress
            )
        except CompileError as refusal:
            return _refused(target, refusal)
        result = _fits(target, compiled, measured, attempt)
        if raster is not None and data is not None and reference is not None:
            counts = compiled.bundle.run(raster, log=Log()).outputs.sum(axis=1)
            result["agreement"] = float((counts.argmax(axis=1) == reference.argmax(axis=1)).mean())
            result["accuracy"] = None if data.labels is None else accuracy(counts, data.labels)
        return result

    rows = []
    variants = list(chain.from_iterable(zip(repeat(n), b.targets) for n, b in backends.items()))
    for number, (name, target) in enumerate(variants):
        report(100 * number // len(variants))
        with registry.guarded(name, log):
            rows.append(row(backends[name], target, _part(report, number, len(variants))))
        if observe is not None:
            observe(Step(target.name))
    report(100)
    return {"model": stages.layers.name, "activity": measured.how, "targets": rows}


def _part(report: Callable[[int], None], number: int, of: int) -> Callable[[int], None]:
    """Return a progress of part ``number`` that reports the percentage of all parts."""
    return lambda percent: report((100 * number + percent) // of)


def _check_options(backends: list[Backend], options: Options, log: Log) -> None:
    options_of = chain.from_iterable(backend.options for backend in backends)
    known = sorted({option.name for option in options_of})
    for name, value in options.chip:
        if name not in known:
            problem = f"no chip has an option `{name}`"
            found = f"{name}={value}"
            nearest = did_you_mean(name, known)
            log.add(
                OptionMakesNoSense(
                    problem=problem, found=found, limit=", ".join(known), help=nearest
                )
            )
    log.raise_if_errors()


def _refused(target: Target, refusal: CompileError) -> dict[str, Any]:
    why = [d.as_dict() for d in refusal.diagnostics if d.severity == "error"]
    return {"target": target.name, "part": target.part, "fits": False, "why": why}


def _fits(target: Target, compiled: Compiled, measured: Activity, attempt: Log) -> dict[str, Any]:
    use = compiled.mapped.utilisation
    dt_s = compiled.stages.discrete.dt_s
    figures = compiled.backend.estimate(compiled.mapped, measured, dt_s)
    return {
        "target": target.name,
        "part": target.part,
        "fits": True,
        "why": [],
        "utilisation": {name: {"used": used, "available": of} for name, (used, of) in use.items()},
        "fullest": max(
            (n for n in use if n != "chips"),
            key=lambda n: use[n][0] / max(1, use[n][1]),
            default="",
        ),
        "latency_steps": compiled.bundle.manifest["latency_steps"],
        "differs": sorted(
            {d.code for d in attempt.diagnostics if d.code[0] == "D" and d.severity != "note"}
        ),
        "dt": dt_s,
        "estimates": [vars(figure) for figure in figures],
    }


def as_text(result: dict[str, Any], width: int) -> str:
    """Return the table, the reasons of refusals, and the estimates with their sources."""
    from io import StringIO

    from rich.console import Console

    from nirc.report.table import table

    scored = any("agreement" in row for row in result["targets"])
    head = COLUMNS + (SCORES if scored else ())
    printed = StringIO()
    printed.write(table(head, [_cells(row, scored) for row in result["targets"]], width))
    console = Console(file=printed, width=width, no_color=True, highlight=False, markup=False)
    for names, text in _gathered(result["targets"], _reasons):
        console.print(f"{names}: does not fit: {text}")
    for names, text in _gathered(result["targets"], _costs):
        console.print(f"{names}: estimated {text}")
    console.print(
        f"Activity behind the estimates: {result['activity']}. None of them is a measurement."
    )
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()) + "\n"


def _gathered(
    rows: list[dict[str, Any]], lines_of: Callable[[dict[str, Any]], list[str]]
) -> list[tuple[str, str]]:
    """Return pairs of targets and line. A line of several variants appears once."""
    targets: dict[str, list[str]] = {}
    for row in rows:
        for text in lines_of(row):
            targets.setdefault(text, []).append(row["target"])
    return [(", ".join(names), text) for text, names in targets.items()]


def _reasons(row: dict[str, Any]) -> list[str]:
    name = f"{row['target']} "
    return [
        f"[{why['code']}] {why['message'].removeprefix(name)}"
        + (f": {why['found']}" if "found" in why else "")
        + (f", limit {why['limit'].split(' (')[0]}" if "limit" in why else "")
        for why in row["why"]
    ]


def _costs(row: dict[str, Any]) -> list[str]:
    return [
        f"{f['name']} {f['value']:.3g} {f['unit']}{_pace(f, row['dt'])} ({f['source']})"
        for f in row.get("estimates", ())
    ]


def _pace(figure: Mapping[str, Any], dt_s: float | None) -> str:
    """Return how much longer than in the model a step lasts, "" if it does not."""
    if not figure["is_step"] or dt_s is None or figure["value"] <= dt_s:
        return ""
    return f", {figure['value'] / dt_s:.3g} times the model's dt of {dt_s:g} s"


def _cells(row: dict[str, Any], scored: bool) -> list[str]:
    if not row["fits"]:
        codes = ", ".join(dict.fromkeys(why["code"] for why in row["why"]))
        return [row["target"], f"no: {codes}", *[""] * (4 + len(SCORES) * scored)]
    use = row["utilisation"]
    fullest = row["fullest"]
    unit = next((use[name] for name in CORES if name in use), None)
    cores = "1" if unit is None else f"{unit['used']} of {unit['available']}"
    share = ""
    if fullest:
        share = f"{fullest} {use[fullest]['used'] / max(1, use[fullest]['available']):.0%}"
    more = " ..." if len(row["differs"]) > SHOWN_CODES else ""
    differs = " ".join(row["differs"][:SHOWN_CODES]) + more
    cells = [row["target"], "yes", cores, share, counted(row["latency_steps"], "step"), differs]
    if scored:
        cells += ["-" if row.get(name) is None else f"{row[name]:.4f}" for name in SCORES]
    return cells
