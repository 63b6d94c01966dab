"""Raw nodes to typed layers: which fields each NIR primitive has, and what values they may take."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.frontend.edges import Path, resolve_edges
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.arrays import Float, Shape, frozen
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    LayerNode,
    Linear,
    Neuron,
    NeuronKind,
    Output,
    Pads,
    Pool,
    Scale,
    Subgraph,
)
from nirc.ir.program import Form, Program

MAX_AXIS = 1 << 24  # the longest axis that a shape may declare
SPEC = "NIR specification, reader of nir 1.0.8"
DEFAULTS = {"v_reset": ("G218", 0.0), "w_in": ("G219", 1.0)}


class _BadNodeError(Exception):
    """The node has been reported; nothing can be built from it."""


def to_layers(graph: RawGraph, log: Log, *, name: str = "model", inside: Path = ()) -> Program:
    """Typed layers, nested as in the file; shapes stay unknown. Raises ``InputError`` with every fault found."""
    nodes: dict[str, LayerNode] = {}
    for node_name, raw in graph.nodes.items():
        try:
            layer = _layer(raw, log, (*inside, node_name))
        except _BadNodeError:
            continue
        nodes[node_name] = LayerNode(layer, (raw.path,))
    edges = resolve_edges(graph, log, inside=inside)
    if not inside:
        if not graph.nodes:
            log.error("G254", "the graph has no nodes", where="nodes", help="export the model again")
        log.raise_if_errors()
    known = sorted((a, b) for a, b in edges if a[0] in nodes and b[0] in nodes)  # a set: its order means nothing
    return Program.of(
        Form.LAYERS,
        nodes,
        [(a[0], b[0], (a[1:], b[1:])) if a[1:] or b[1:] else (a[0], b[0]) for a, b in known],
        name=name,
    )


def _layer(raw: RawNode, log: Log, inside: Path) -> Layer:
    if raw.type == "NIRGraph":
        return Subgraph(to_layers(raw.graph or RawGraph({}, ()), log, name=inside[-1], inside=inside))
    build = _BUILDERS.get(raw.type)
    if build is None:
        close = difflib.get_close_matches(raw.type[:60], [*_BUILDERS, "NIRGraph"], n=1)
        log.error(
            "F108",
            f"`{raw.type[:60]}` is not a NIR primitive",
            where=f"{raw.path}/type",
            found=raw.type[:60],
            limit=", ".join(sorted([*_BUILDERS, "NIRGraph"])),
            help=f"did you mean {close[0]}?" if close else "express the layer by NIR primitives when exporting",
        )
        raise _BadNodeError
    fields = _Fields(raw, log)
    layer = build(fields)
    fields.finish()
    return layer


class _Fields:
    """Typed access to one node's fields; every fault is reported with node and field."""

    def __init__(self, raw: RawNode, log: Log) -> None:
        self.raw, self.log = raw, log
        self.used: set[str] = {"type", "metadata"}
        self.bad = False

    def fail(self, code: str, field: str, message: str, *, found: object = "", limit: str = "", help: str = "") -> None:
        self.bad = True
        self.log.error(
            code,
            f"`{self.raw.type}`: {message}",
            where=f"{self.raw.path}/{field}",
            found=found,
            limit=limit,
            help=help,
        )

    def has(self, field: str) -> bool:
        return field in self.raw.fields

    def floats(
        self, field: str, *, default: float | None = None, infinite: bool = False, positive: bool = False
    ) -> Float:
        """A float64 array; ``default`` makes the field optional."""
        self.used.add(field)
        if field not in self.raw.fields:
            if default is None:
                self.fail(
                    "F109",
                    field,
                    f"field `{field}` is missing",
                    help="export the model again with this field",
                )
                return frozen(np.ones(1))
            return frozen(default)
        value = self.raw.fields[field]
        if isinstance(value, str):
            self.fail("F107", field, f"field `{field}` is text", found=repr(value[:40]), limit="numbers")
            return frozen(np.ones(1))
        array = frozen(value)
        if array.size == 0:
            self.fail(
                "F110",
                field,
                f"field `{field}` is empty",
                found=f"shape {array.shape}",
                limit="one value or more",
            )
            return frozen(np.ones(1))
        wrong = np.isnan(array) | (np.isinf(array) & (not infinite or (array < 0))) | ((array <= 0) & positive)
        if wrong.any():
            where = np.unravel_index(int(np.argmax(wrong)), array.shape)
            limit = "finite" if not positive else ("> 0" if infinite else "finite and > 0")
            self.fail(
                "F110",
                field,
                f"field `{field}` has {int(wrong.sum())} value(s) outside its domain",
                found=f"{array[where]} at index {tuple(map(int, where))}",
                limit=limit,
                help="check the training run or the export",
            )
            return frozen(np.ones(1))
        return array

    def ints(self, field: str, *, default: Shape | None = None, low: int = 0, count: int | None = None) -> Shape:
        """A tuple of integers >= ``low``; a scalar is repeated ``count`` times."""
        self.used.add(field)
        fallback = default if default is not None else (max(low, 1),) * (count or 1)
        if field not in self.raw.fields:
            if default is None:
                self.fail(
                    "F109",
                    field,
                    f"field `{field}` is missing",
                    help="export the model again with this field",
                )
            return fallback
        value = self.raw.fields[field]
        if isinstance(value, str):
            self.fail("F107", field, f"field `{field}` is text", found=repr(value[:40]), limit="whole numbers")
            return fallback
        array: NDArray[Any] = np.asarray(value).ravel()
        array = array.astype(np.float64) if array.dtype.kind == "f" else array  # MAX_AXIS is no float16
        ok = array.size > 0 and array.dtype.kind in "iufb" and bool(np.isfinite(array).all())
        if not ok or (array != np.floor(array)).any() or (array < low).any() or (array > MAX_AXIS).any():
            self.fail(
                "F110",
                field,
                f"field `{field}` must be whole numbers",
                found=str(array[:4]),
                limit=f"{low} to {MAX_AXIS}",
            )
            return fallback
        numbers = tuple(int(n) for n in array)
        if count is not None and len(numbers) == 1:
            numbers *= count
        if count is not None and len(numbers) != count:
            self.fail(
                "F110",
                field,
                f"field `{field}` has {len(numbers)} values",
                found=str(numbers),
                limit=f"1 or {count} values",
            )
            return fallback
        return numbers

    def shape(self, field: str) -> Shape | None:
        """A declared shape; absent, empty or containing zeros means: not declared."""
        self.used.add(field)
        if field not in self.raw.fields or np.size(self.raw.fields[field]) == 0:
            return None
        numbers = self.ints(field, low=0, default=())
        return numbers if numbers and 0 not in numbers else None

    def finish(self) -> None:
        """Warn of unknown fields; give up on the node if a field was reported."""
        for field in sorted(set(self.raw.fields) - self.used):
            self.log.warning(
                "F111",
                f"`{self.raw.type}` has no field `{field[:60]}` in NIR; it is ignored",
                where=f"{self.raw.path}/{field[:60]}",
            )
        if self.bad:
            raise _BadNodeError


def _input(f: _Fields) -> Layer:
    return Input(f.shape("shape"))


def _output(f: _Fields) -> Layer:
    return Output(f.shape("shape"))


def _weight(f: _Fields, rank: int) -> Float:
    weight = f.floats("weight")
    if weight.ndim < rank and not f.bad:
        f.fail(
            "F110",
            "weight",
            f"the weight has {weight.ndim} axes",
            found=f"shape {weight.shape}",
            limit=f"{rank} axes",
        )
        return frozen(np.ones((1,) * rank))
    return weight if weight.ndim >= rank else frozen(np.ones((1,) * rank))


def _linear(f: _Fields) -> Layer:
    return Linear(_weight(f, 2))


def _affine(f: _Fields) -> Layer:
    weight, bias = _weight(f, 2), f.floats("bias")
    rows = weight.shape[:-1]
    if not f.bad:
        if bias.size == 1:
            bias = frozen(np.broadcast_to(bias.reshape(()), rows))
        elif bias.size != int(np.prod(rows)):
            f.fail(
                "F110",
                "bias",
                "the bias does not match the weight",
                found=f"shape {bias.shape}",
                limit=f"shape {rows}",
            )
        else:
            bias = frozen(bias.reshape(rows))
    return Linear(weight, bias)


def _scale(f: _Fields) -> Layer:
    return Scale(f.floats("scale"))


def _conv(axes: int) -> Callable[[_Fields], Layer]:
    def build(f: _Fields) -> Layer:
        weight = _weight(f, axes + 2)
        if weight.ndim != axes + 2:
            f.fail(
                "F110",
                "weight",
                f"the weight has {weight.ndim} axes",
                found=f"shape {weight.shape}",
                limit=f"{axes + 2} axes",
            )
            weight = frozen(np.ones((1,) * (axes + 2)))
        bias = f.floats("bias") if f.has("bias") else None
        f.used.add("bias")
        stride = f.ints("stride", low=1, count=axes, default=(1,) * axes)
        dilation = f.ints("dilation", low=1, count=axes, default=(1,) * axes)
        groups = f.ints("groups", low=1, count=1, default=(1,))[0]
        padding = _padding(f, weight.shape[2:], dilation, stride)
        out = weight.shape[0]
        if bias is not None and bias.size == 1:
            bias = frozen(np.full(out, bias.item()))
        if bias is not None and bias.size != out and not f.bad:
            f.fail(
                "F110",
                "bias",
                "the bias does not match the weight",
                found=f"shape {bias.shape}",
                limit=f"shape ({out},)",
            )
        if out % groups:
            f.fail(
                "F110",
                "groups",
                "groups do not divide the output channels",
                found=groups,
                limit=f"a divisor of {out}",
            )
        declared = f.shape("input_shape")
        if declared is not None and len(declared) > axes:
            declared = declared[-axes:]
        if declared is not None and len(declared) != axes:
            declared = declared * axes if len(declared) == 1 else None
        bias = None if bias is None else frozen(bias.reshape(-1))
        return Conv(weight, bias, stride, padding, dilation, groups, declared)

    return build


def _padding(f: _Fields, kernel: Shape, dilation: Shape, stride: Shape) -> Pads:
    """Pads per axis; ``same`` as PyTorch does it (the odd one goes after), ``valid`` is none."""
    text = f.raw.fields.get("padding")
    if isinstance(text, str):
        f.used.add("padding")
        if text == "valid":
            return ((0, 0),) * len(kernel)
        if text == "same" and set(stride) == {1}:
            total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            return tuple((t // 2, t - t // 2) for t in total)
        f.fail(
            "F110",
            "padding",
            "this padding has no meaning here",
            found=f"{text[:20]!r} with stride {stride}",
            limit="numbers, 'valid', or 'same' with stride 1",
        )
        return ((0, 0),) * len(kernel)
    return tuple((n, n) for n in f.ints("padding", count=len(kernel), default=(0,) * len(kernel)))


def _pool(kind: Literal["sum", "avg"]) -> Callable[[_Fields], Layer]:
    def build(f: _Fields) -> Layer:
        kernel = f.ints("kernel_size", low=1, count=2)
        stride = f.ints("stride", low=1, count=2, default=kernel)
        return Pool(kind, kernel, stride, f.ints("padding", count=2, default=(0, 0)))

    return build


def _flatten(f: _Fields) -> Layer:
    def dim(field: str, default: int) -> int:
        f.used.add(field)
        value = f.raw.fields.get(field, np.asarray(default))
        number = np.asarray(value).ravel() if not isinstance(value, str) else np.asarray([])
        if number.size != 1 or number.dtype.kind not in "iuf" or not (-32 <= number[0] <= 32 and number[0] % 1 == 0):
            f.fail("F110", field, f"field `{field}` must be one axis", found=str(value)[:40], limit="-32 to 32")
            return default
        return int(number[0])

    declared = f.ints("input_type", default=()) or None  # zeros stand for unknown lengths, the rank still counts
    return Flatten(dim("start_dim", 1), dim("end_dim", -1), declared)


def _delay(f: _Fields) -> Layer:
    delay = f.floats("delay")
    if (delay < 0).any():
        f.fail("F110", "delay", "a delay is negative", found=delay.min(), limit=">= 0 seconds")
    return Delay(delay)


def _neuron(kind: NeuronKind, *fields: str, optional: tuple[str, ...] = ()) -> Callable[[_Fields], Layer]:
    names = {"tau_syn": "tau_syn_s", "tau_mem": "tau_mem_s", "tau": "tau_mem_s", "threshold": "v_threshold"}

    def build(f: _Fields) -> Layer:
        values: dict[str, Float] = {}
        for field in fields:
            tau = field.startswith("tau")
            values[names.get(field, field)] = f.floats(field, infinite=tau or field == "r", positive=tau)
        for field, (code, value) in DEFAULTS.items():
            if field in optional:
                like = values["v_threshold" if field == "v_reset" else "v_leak"]
                absent = not f.has(field)
                values[field] = (
                    frozen(np.full(like.shape, value)) if absent else f.floats(field, infinite=field == "w_in")
                )
                if absent:
                    f.log.warning(
                        code,
                        f"`{field}` is absent and read as {value:g}",
                        where=f"{f.raw.path}/{field}",
                        source=SPEC,
                    )
        return Neuron(kind, **values)

    return build


_BUILDERS: dict[str, Callable[[_Fields], Layer]] = {
    "Input": _input,
    "Output": _output,
    "Linear": _linear,
    "Affine": _affine,
    "Scale": _scale,
    "Conv1d": _conv(1),
    "Conv2d": _conv(2),
    "SumPool2d": _pool("sum"),
    "AvgPool2d": _pool("avg"),
    "Flatten": _flatten,
    "Delay": _delay,
    "Threshold": _neuron("Threshold", "threshold"),
    "I": _neuron("I", "r"),
    "LI": _neuron("LI", "tau", "r", "v_leak"),
    "IF": _neuron("IF", "r", "v_threshold", optional=("v_reset",)),
    "LIF": _neuron("LIF", "tau", "r", "v_leak", "v_threshold", optional=("v_reset",)),
    "CubaLI": _neuron("CubaLI", "tau_syn", "tau_mem", "r", "v_leak", optional=("w_in",)),
    "CubaLIF": _neuron("CubaLIF", "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", optional=("v_reset", "w_in")),
}
PRIMITIVES = tuple(sorted([*_BUILDERS, "NIRGraph"]))
