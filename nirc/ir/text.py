"""A program as text: one line a node or projection, arrays by type, shape, range and digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from types import FunctionType

import numpy as np

from nirc.ir import arrays
from nirc.ir.arrays import Shape, describe
from nirc.ir.layers import LayerNode, Subgraph
from nirc.ir.populations import Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import Rule

_DIGITS = re.compile(r"([0-9]+)")


def text(program: Program, *, origins: bool = False) -> str:
    """Return the text of ``program``. ``origins``: show the places in the file."""
    head = f"{program.form.value} {program.name}"
    if program.form is not Form.LAYERS:
        head += f"  dt={'-' if program.dt_s is None else f'{program.dt_s:g} s'}"
    return "\n".join([head, *_body(program, "  ", origins)]) + "\n"


def digest(program: Program) -> str:
    """Return the SHA-256 of all contents of the program, with every bit of its arrays."""
    h = hashlib.sha256(text(program, origins=True).encode(errors="backslashreplace"))
    for part in _exactly(program):
        h.update(part.encode(errors="backslashreplace") + b"\0")
    return h.hexdigest()


def _exactly(value: object) -> Iterator[str]:
    """Yield all payloads down to numbers and arrays, which the text shortens."""
    if isinstance(value, Program):
        for name in value.graph:
            yield from _exactly(value[name])
        for _, _, payload in value.edges():
            yield from _exactly(payload)
    elif isinstance(value, np.ndarray):
        yield arrays.digest(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _exactly(item)
    elif is_dataclass(value):
        yield type(value).__name__
        for each in fields(value):
            yield from _exactly(getattr(value, each.name))
    elif isinstance(value, FunctionType):
        yield f"{value.__module__}.{value.__qualname__}"
    else:
        yield repr(value)


def _body(program: Program, indent: str, origins: bool) -> list[str]:
    lines = []
    for name in program.graph:
        payload = program[name]
        tail = f"  # {', '.join(payload.origins)}" if origins else ""
        lines.append(f"{indent}{name}: {_node(payload)}{tail}")
        if isinstance(payload, LayerNode) and isinstance(payload.layer, Subgraph):
            lines += _body(payload.layer.program, indent + "  ", origins)
    for source, target, payload in program.edges():
        lines.append(f"{indent}{source} -> {target}{_edge(payload)}")
    return lines


def _node(payload: object) -> str:
    if isinstance(payload, LayerNode):
        shapes = ""
        if payload.shape_in is not None:
            shapes = f"{_dims(payload.shape_in)} -> {_dims(payload.shape_out or ())} "
        return f"{shapes}{type(payload.layer).__name__}{_fields(payload.layer)}"
    if isinstance(payload, Source | Sink):
        delay = getattr(payload, "delay_steps", 0)
        later = f" {delay} step(s) later" if delay else ""
        return f"{type(payload).__name__.lower()}{_dims(payload.shape)}{later}"
    if isinstance(payload, Population):
        kind = "population" if payload.role is Role.MODEL else payload.role.value
        dynamics = f"{type(payload.dynamics).__name__}{_fields(payload.dynamics)}"
        return f"{kind}{_dims(payload.shape)} {dynamics}"
    return repr(payload)


def _edge(payload: object) -> str:
    if not isinstance(payload, Projection):
        return ""
    parts = [op.text() for op in payload.ops] or ["one to one"]
    if payload.delay_s or payload.delay_steps:
        parts.append(f"delay {payload.delay_s:g} s ({payload.delay_steps} steps)")
    for bias in payload.biases:
        onset = f" from step {bias.onset_steps}" if bias.onset_s else ""
        parts.append(f"bias {describe(bias.value)}{onset}")
    if payload.synapse:
        parts.append(f"synapse {payload.synapse + 1}")
    if payload.feedback:
        parts.append("feedback (+1 step)")
    return "  via " + ", ".join(parts)


def _fields(payload: object) -> str:
    shown = []
    for key, value in vars(payload).items():
        if isinstance(value, np.ndarray):
            shown.append(f"{key}={describe(value)}")
        elif isinstance(value, Rule):
            shown.append(f"rule=[{value.text}]")
        elif isinstance(value, FunctionType):
            shown.append(f"{key}={value.__name__}")
        elif value is not None and value is not False and not isinstance(value, Program):
            shown.append(f"{key}={value}")
    return f"({', '.join(shown)})" if shown else ""


def _dims(shape: Shape) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def in_order(names: Iterable[str]) -> list[str]:
    """Return ``names`` sorted as people count: lif1, lif2, lif10."""
    return sorted(names, key=lambda name: ([_part(p) for p in _DIGITS.split(name)], name))


def _part(text: str) -> tuple[int, str]:
    """Return a key by which digits sort as numbers of any length."""
    digits = text.lstrip("0")
    return (len(digits), digits) if text.isdecimal() else (-1, text)
