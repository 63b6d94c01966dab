"""The contents of a model: layers, shapes, neurons, synapses, time step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import networkx as nx

from nirc import api
from nirc.analysis.retiming import feedback_edges
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnreadableData
from nirc.files.data import Data, names_in
from nirc.ir.arrays import size
from nirc.ir.layers import LayerNode, Linear, Neuron
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program
from nirc.ir.summary import synapses
from nirc.ir.text import text
from nirc.passes.pipeline import passes_to
from nirc.report.html import written
from nirc.writers.writer import Reading

if TYPE_CHECKING:
    from nirc.verification.which_rule import Comparison

SHOWN_RULES = 8


def inspection(
    model: object,
    options: api.Options,
    log: Log,
    data: Data | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return plain data about a model. Errors that would stop a compilation are warnings here.

    ``data`` with recorded outputs: also the rules that give them (``recorded``). Raises
    ``InputError``, and ``UsageError`` (U607) for options that make no sense.
    """
    options = options.checked(log).with_data(data)
    layers, reading = api.load_as(model, options, log=log)
    result: dict[str, Any] = {
        "model": layers.name,
        "writer": written(reading),
        "layers": [_layer(n, layers[n]) for n in _signal_order(layers)],
        "edges": [[s, t] for s, t, _ in layers.edges()],
        "ir": {"layers": text(layers, origins=True)},
    }
    continuous = _continuous(layers, reading, options, log)
    if continuous is not None:
        populations = continuous.nodes(Population)
        result |= {
            "dt": continuous.dt_s,
            "inputs": {n: list(s.shape) for n, s in continuous.nodes(Source).items()},
            "outputs": {n: list(s.shape) for n, s in continuous.nodes(Sink).items()},
            "neurons": sum(p.n for p in populations.values()),
            "synapses": sum(synapses(p) for _, t, p in continuous.edges() if t in populations),
            "recurrent": any(p.feedback for _, _, p in continuous.edges()),
        }
        result["ir"]["continuous"] = text(continuous, origins=True)
    if data is not None:
        comparison = _recorded(model, options, data, log, progress)
        result |= {"recorded": comparison.rows, "advice": list(comparison.advice)}
    return result


def _recorded(
    model: object,
    options: api.Options,
    data: Data,
    log: Log,
    progress: Callable[[int], None] | None,
) -> Comparison:
    from nirc.verification.which_rule import compare

    if data.outputs is None:
        raise UnreadableData(
            problem="the data has no recorded outputs to compare with",
            found=names_in(data.file) or "no array `outputs`",
            limit="outputs (samples, steps, ...output shape)",
            help="name the array that holds them `outputs`, or record them in the simulator: see "
            "docs/from-your-simulator.md",
            file=data.file,
        ).refusal()
    return compare(model, options, data, log, progress)


def _signal_order(layers: Program) -> list[str]:
    """Return nodes as signals reach them from the inputs, ties by name."""
    edges = [(s, t, i) for i, (s, t, _) in enumerate(layers.edges())]
    inputs = [n for n in layers.graph if not layers.into(n)]
    back = feedback_edges(list(layers.graph), inputs, edges)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(layers.graph))
    graph.add_edges_from((s, t) for s, t, i in edges if i not in back)
    return list(nx.lexicographical_topological_sort(graph))


def _continuous(
    layers: Program, reading: Reading, options: api.Options, log: Log
) -> Program | None:
    """Return the population form, with or without a time step. None if there is none."""
    attempt = Log()
    program: Program = layers
    try:
        settings = {"dt_s": options.dt_s, "data_dt_s": options.data_dt_s, "reading": reading}
        for each in passes_to("continuous", **settings):
            program = each.run(program, attempt)
    except CompileError:
        pass
    log.add_all(
        replace(d, severity="warning") if d.severity == "error" else d for d in attempt.diagnostics
    )
    return program if program is not layers and program.form.value == "continuous" else None


def _layer(name: str, payload: LayerNode) -> dict[str, Any]:
    layer = payload.layer
    kind = layer.kind if isinstance(layer, Neuron) else type(layer).__name__
    if isinstance(layer, Linear):
        kind = "Linear" if layer.bias is None else "Affine"
    return {
        "name": name,
        "type": kind,
        "in": list(payload.shape_in or ()),
        "out": list(payload.shape_out or ()),
        "neurons": size(payload.shape_out or ()) if isinstance(layer, Neuron) else 0,
        "parameters": sum(int(v.size) for v in vars(layer).values() if hasattr(v, "dtype")),
        "origins": list(payload.origins),
    }


def as_text(inspection: dict[str, Any], *, verbose: bool) -> str:
    """Return aligned columns, with ``verbose`` also the IR."""
    lines = [*_writer_lines(inspection["writer"]), ""]
    rows = [("layer", "type", "in", "out", "neurons", "parameters")]
    for x in inspection["layers"]:
        dims = ["x".join(map(str, x[k])) for k in ("in", "out")]
        rows.append(
            (x["name"], x["type"], *dims, str(x["neurons"] or ""), str(x["parameters"] or ""))
        )
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    table = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    table.insert(1, "  ".join("-" * w for w in widths))
    lines += table
    if "neurons" in inspection:
        dt = f"{inspection['dt']:g} s" if inspection["dt"] else "not in the file"
        kind = "recurrent" if inspection["recurrent"] else "feed-forward"
        lines += [
            "",
            f"{inspection['neurons']} neurons, {inspection['synapses']} synapses, {kind}; dt {dt}",
        ]
    if "recorded" in inspection:
        lines += [
            "",
            *_recorded_lines(inspection["recorded"], verbose=verbose),
            *inspection["advice"],
        ]
    if verbose:
        lines += ["", *(t for t in inspection["ir"].values())]
    return "\n".join(lines) + "\n"


def _writer_lines(writer: dict[str, Any]) -> list[str]:
    """Return the writer of the file, the certainty, and the evidence."""
    how = {
        "given": "as given",
        "recorded": "recorded in the file",
        "conclusive": "shown by the file",
        "open": "the file may be by " + " or ".join(writer.get("candidates", ())),
        "none": "nothing in the file shows a simulator",
    }[writer["confidence"]]
    lines = [
        f"read by: {writer['from']} ({how})",
        *(f"  because {reason}" for reason in writer["evidence"]),
    ]
    return lines + [f"  assumed {key}={value}" for key, value in writer["assumed"].items()]


def _recorded_line(row: dict[str, Any], width: int) -> str:
    notes = "  (as read now)" * row.get("default", False) + "  (silent)" * row["silent"]
    return f"{row['from'].ljust(width)}  {row['equal']:.4f}  {row['active']:.4f}{notes}"


def _recorded_lines(rows: list[dict[str, Any]], *, verbose: bool) -> list[str]:
    """Return a table of the rules that come nearest to the recorded outputs."""
    shown = rows if verbose else rows[:SHOWN_RULES]
    width = max([len(row["from"]) for row in shown], default=4)
    lines = [f"{'recorded outputs, by rule'.ljust(width)}  equal   where active"]
    lines += [_recorded_line(row, width) for row in shown]
    return lines
