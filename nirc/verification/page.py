"""The page of a verification: the report of the bundle, with what the data showed, drawn."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.api import REPORT, Compiled
from nirc.chip.running import flat_raster
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.ir.arrays import size
from nirc.ir.populations import Population, Sink, Source
from nirc.mapping.floorplan import floorplan_in
from nirc.report import pictures
from nirc.report.differences import rounded_weights
from nirc.report.html import page_context, template
from nirc.report.verify import verdict
from nirc.semantics.run import run

MAPPING = "mapping.json"
MOST_DRAWN = 60  # populations of the network's picture
Figures = Mapping[str, Any]


def page(compiled: Compiled, result: Figures, data: Data) -> bytes:
    """Return the page of a verification, without outside resources. Needs matplotlib.

    ``result``: the JSON of `nirc verify`. ``data``: its rasters, of which the first sample with
    spikes is drawn.
    """
    bundle = compiled.bundle
    report = json.loads(bundle.files[REPORT])
    context = page_context(report, bundle.manifest)
    drawings = [
        {"title": title, "text": text, "source": _source(svg)}
        for title, text, svg in _drawings(compiled, data)
    ]
    text = template("verify.html.j2").render(
        **context, result=result, drawings=drawings, stages=_stages(result), verdict=verdict(result)
    )
    return text.encode()


def _source(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _stages(result: Figures) -> list[dict[str, Any]]:
    """Return the stages, with the width of a bar for the agreement."""
    return [{**stage, "percent": round(100 * stage["agreement"])} for stage in result["stages"]]


def _drawings(compiled: Compiled, data: Data) -> Iterator[tuple[str, str, bytes]]:
    """Yield title, text and picture of each drawing."""
    if len(compiled.stages.discrete.graph) <= MOST_DRAWN:
        text = "Populations from inputs to outputs, with their synapses"
        text += ", and the cores they are on." if MAPPING in compiled.bundle.files else "."
        yield "From layers to cores", text, _network(compiled)
    if MAPPING in compiled.bundle.files:
        from nirc.report.floorplan import picture

        plan = floorplan_in(compiled.bundle.files[MAPPING])
        text = "Cores by population, and the traffic of the links."
        yield "Placement", text, picture(plan, "svg")
    pairs = list(rounded_weights(compiled.legal, compiled.integer))
    if pairs:
        text = "Each weight before and after rounding. Without rounding all lie on the line."
        yield "Weights", text, pictures.weights(pairs)
    model, chip, sample = _spikes(compiled, data)
    text = f"Spikes of sample {sample}, which is the first with spikes."
    yield "Spikes", text, pictures.rasters(model, chip)


def _network(compiled: Compiled) -> bytes:
    program = compiled.stages.discrete
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(program.graph)
    graph.add_edges_from((s, t) for s, t, p in program.edges() if p.lag == 0 and s != t)
    column: dict[str, int] = {}
    for name in nx.topological_sort(graph):
        column[name] = max((column[before] + 1 for before in graph.predecessors(name)), default=0)
    cores = _cores(compiled)
    columns: list[list[pictures.Box]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    for name in program.graph:
        columns[column[name]].append((name, _size(program[name]), cores.get(name, "")))
    edges = [
        (source, target, f"{sum(op.entries for op in p.ops):,}" if p.ops else "one to one")
        for source, target, p in program.edges()
        if not isinstance(program[target], Sink)
    ]
    edges += [(s, t, "") for s, t, _ in program.edges() if isinstance(program[t], Sink)]
    return pictures.network(columns, edges)


def _size(payload: object) -> str:
    if isinstance(payload, Source | Sink | Population):
        return (
            " x ".join(map(str, payload.shape))
            if len(payload.shape) > 1
            else str(size(payload.shape))
        )
    return ""


def _cores(compiled: Compiled) -> dict[str, str]:
    """Return the number of cores of each population, where the chip has cores to place."""
    if MAPPING not in compiled.bundle.files:
        return {}
    plan = floorplan_in(compiled.bundle.files[MAPPING])
    counts: dict[str, set[object]] = {}
    for core in plan.cores:
        for part in core.parts:
            counts.setdefault(part.population, set()).add(core.at)
    return {name: f"{len(found)} core(s)" for name, found in counts.items()}


Spikes = dict[str, NDArray[Any]]


def _spikes(compiled: Compiled, data: Data) -> tuple[Spikes, Spikes, int]:
    """Return the spikes of model and chip (steps, neurons) by population, and their sample."""
    manifest = compiled.bundle.manifest
    raster = flat_raster(data.inputs, len(manifest["input_map"]), Log(), data.file)
    busy = np.flatnonzero(raster.any(axis=(1, 2)))
    sample = int(busy[0]) if len(busy) else 0
    inputs = raster[sample : sample + 1]
    reference = compiled.stages.reference
    firing = [n for n, p in reference.nodes(Population).items() if p.dynamics.fires]
    names = [name for name in firing if name in manifest["populations"]]
    model = run(reference, inputs, record=tuple(names))
    chip = compiled.bundle.run(inputs, record=names, log=Log())
    if not names:  # membranes only
        return {"output": model.outputs[0]}, {"output": chip.outputs[0]}, sample
    return (
        {name: model.spikes[name][0] for name in names},
        {name: chip.spikes[name][0] for name in names},
        sample,
    )
