"""A program in rows of plain data: populations and projections, for tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from nirc.diagnostics.escape import in_line
from nirc.ir.arrays import size
from nirc.ir.layers import Input, LayerNode, Neuron, Output
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse
from nirc.ir.populations import Population, Projection, Sink, Source
from nirc.ir.program import Form, Program

Rows = dict[str, dict[str, Any]]


def populations(program: Program) -> Rows:
    """Return shape, number of neurons and origins of each population, by name."""
    return {
        name: {"shape": list(p.shape), "neurons": size(p.shape), "nir_nodes": list(p.origins)}
        for name, p in program.nodes(Population).items()
    }


def ports(program: Program, kind: type[Source] | type[Sink]) -> Rows:
    """Return the shape of each input or output, by name."""
    return {name: {"shape": list(p.shape)} for name, p in program.nodes(kind).items()}


def projections(program: Program) -> list[dict[str, Any]]:
    """Return ends, operators and synapses of each projection."""
    return [
        {
            "from": source,
            "to": target,
            "operators": [op.text() for op in p.ops],
            "nir_nodes": list(p.origins),
            "summary": in_words(p),
            "synapses": synapses(p),
        }
        for source, target, p in program.edges()
    ]


def summarised(program: Program) -> dict[str, Any]:
    """Return inputs, outputs, populations and projections. Layers stand for populations."""
    if program.form is not Form.LAYERS:
        return {
            "inputs": ports(program, Source),
            "outputs": ports(program, Sink),
            "populations": populations(program),
            "projections": projections(program),
        }
    layers = program.nodes(LayerNode)
    wires = [{"from": s, "to": t, "summary": "", "synapses": 0} for s, t, _ in program.edges()]
    return {
        "inputs": _layers(layers, Input),
        "outputs": _layers(layers, Output),
        "populations": {
            name: row
            for name, row in _layers(layers, object).items()
            if not isinstance(layers[name].layer, Input | Output)
        },
        "projections": wires,
    }


def as_html(program: Program) -> str:
    """Return the program as a picture, for notebooks."""
    from nirc.drawing.canvas import STYLE
    from nirc.drawing.network import network_of

    dt = "" if program.dt_s is None else f", dt {program.dt_s:g} s"
    title = escape(in_line(f"{program.name}: {len(program.graph)} nodes, {program.form.value}{dt}"))
    drawn = network_of(summarised(program), {}).inline()
    return f"<div><style>{STYLE}</style><p>{title}</p>{drawn}</div>"


def _layers(layers: Mapping[str, LayerNode], kind: type) -> Rows:
    return {
        name: {"kind": _kind(node), "shape": list(node.shape_out or ())}
        for name, node in layers.items()
        if isinstance(node.layer, kind)
    }


def synapses(projection: Projection) -> int:
    """Return the number of connected pairs of neurons, 0 without an operator."""
    return max((op.entries for op in projection.ops if not isinstance(op, Pool)), default=0)


def in_words(projection: Projection) -> str:
    """Return the operators and the delay: ``pool 2 x 2, convolution 3 x 3``."""
    words = [_words(op) for op in projection.ops] or ["one to one"]
    if projection.delay_steps:
        words.append(f"{projection.delay_steps} step(s) later")
    return ", ".join(words)


def _words(op: LinearOp) -> str:
    match op:
        case Dense():
            return f"dense {op.n_in} to {op.n_out}"
        case Sparse():
            return f"sparse {op.n_in} to {op.n_out}"
        case Diagonal():
            return "scale"
        case Pool():
            return f"pool {_by(op.kernel)}"
        case Conv():
            stride = "" if set(op.stride) == {1} else f", stride {_by(op.stride)}"
            return f"convolution {_by(op.weight.shape[2:])}{stride}"


def _by(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _kind(node: LayerNode) -> str:
    layer = node.layer
    return layer.kind if isinstance(layer, Neuron) else type(layer).__name__
