"""A projection as a chain of NIR nodes.

``planned`` decides on the nodes and their shapes, and builds nothing. ``Layer.fields`` builds.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool
from nirc.writers.importer import Fields

MOST_ENTRIES = 1 << 26  # of an operator that NIR holds only as a full matrix


@dataclass(frozen=True)
class Primitives:
    """The operators that a file may have between populations.

    ``channels_last``: of the values that Flatten gives.
    """

    types: frozenset[str]
    pads_pools: bool = True
    dilates: bool = True
    channels_last: bool = False

    def has(self, *types: str) -> bool:
        """Return True if all these types are there."""
        return self.types.issuperset(types)


WEIGHTS = {"Affine", "Linear", "Conv1d", "Conv2d", "Scale"}
EVERY = Primitives(frozenset({*WEIGHTS, "SumPool2d", "AvgPool2d", "Flatten", "Delay"}))


@dataclass(frozen=True)
class Plus:
    """A constant (n,) on top of the signal."""

    value: Float


@dataclass(frozen=True)
class Later:
    """All signals later by ``seconds``."""

    seconds: float


Step = LinearOp | Plus | Later
Kind = Literal["flatten", "delay", "scale", "conv", "pool", "matrix"]


@dataclass(frozen=True)
class Layer:
    """One node: its kind, what it does (None for Flatten), and the shapes of its signals.

    ``bias`` (n,) of a convolution or matrix. ``columns``: shape of a map whose values come channels
    last, for a matrix. ``then``: operators that follow in the same matrix.
    """

    kind: Kind
    step: LinearOp | Later | None
    shape_in: Shape
    shape: Shape
    bias: Float | None = None
    columns: Shape | None = None
    then: tuple[LinearOp, ...] = ()

    def with_bias(self, value: Float) -> Layer | None:
        """Return the node with a constant on top, None where its primitive has no such bias."""
        if self.kind not in ("conv", "matrix"):
            return None
        total = np.broadcast_to(value if self.bias is None else self.bias + value, size(self.shape))
        maps = total.reshape(self.shape[0], -1)
        return replace(self, bias=total) if bool((maps == maps[:, :1]).all()) else None

    def fields(self, primitives: Primitives, where: str, log: Log) -> Fields:
        """Return the node's fields. Report a matrix that is too large (P307)."""
        match self.step:
            case None:
                return _flatten(self.shape_in)
            case Later():
                return {"type": "Delay", "delay": np.full(self.shape, self.step.seconds)}
            case Conv() if self.kind == "conv":
                bias = np.zeros(size(self.shape)) if self.bias is None else self.bias
                return _conv(self.step, bias.reshape(self.shape[0], -1)[:, 0])
            case Pool() if self.kind == "pool":
                return _pool(self.step)
            case Diagonal() if self.kind == "scale":
                return {"type": "Scale", "scale": self.step.scale.reshape(self.shape)}
            case op:
                return self._matrix(op, primitives, where, log)

    def _matrix(self, op: LinearOp, primitives: Primitives, where: str, log: Log) -> Fields:
        for each in (op, *self.then):
            if each.n_in * each.n_out > MOST_ENTRIES:
                shape = (each.n_out, each.n_in)
                log.add(_MatrixTooLarge(where=where, most=MOST_ENTRIES, shape=shape))
                return {"type": "Linear", "weight": np.zeros((1, 1))}
        weight = _dense(op)
        for each in self.then:
            weight = _dense(each) @ weight
        if self.columns is not None:
            weight = np.moveaxis(weight.reshape(-1, *self.columns), 1, -1).reshape(weight.shape)
        if self.bias is None and primitives.has("Linear"):
            return {"type": "Linear", "weight": weight}
        bias = np.zeros(len(weight)) if self.bias is None else self.bias
        return {"type": "Affine", "weight": weight, "bias": bias}


class _MatrixTooLarge(TooManyEntries):
    shape: tuple[int, int]

    def words(self) -> Words:
        rows, columns = self.shape
        return Words(
            "a projection has too many entries for a matrix",
            found=f"{rows} x {columns}",
            limit=self.most,
            help="export an earlier stage",
        )


def planned(steps: Sequence[Step], shape: Shape, primitives: Primitives) -> list[Layer]:
    """Return the nodes for ``steps`` in order, on a signal of ``shape``.

    Each operator is the primitive that it comes from, where its map arrives. It is a full matrix
    otherwise.
    """
    layers: list[Layer] = []
    for step in steps:
        if isinstance(step, Plus):
            with_bias = layers[-1].with_bias(step.value) if layers else None
            if with_bias is not None:
                layers[-1] = with_bias
                continue
            _add_matrix(layers, shape, Diagonal(np.ones(step.value.size)))
            layers[-1] = replace(layers[-1], bias=step.value)
        elif (layer := _primitive(step, ending(layers, shape), primitives)) is not None:
            layers.append(layer)
        else:
            assert not isinstance(step, Later)
            _add_matrix(layers, shape, step)
    return layers


def _primitive(step: LinearOp | Later, shape: Shape, primitives: Primitives) -> Layer | None:
    """Return the node of a primitive, None where ``step`` needs a matrix."""
    match step:
        case Later():
            return Layer("delay", step, shape, shape)
        case Diagonal() if primitives.has("Scale"):
            return Layer("scale", step, shape, shape)
        case Pool() if step.shape_in == shape and is_primitive_pool(step, primitives):
            return Layer("pool", step, shape, step.shape_out)
        case Conv() if (conv := _as_primitive(step, shape, primitives)) is not None:
            return Layer("conv", conv, shape, conv.shape_out)
    return None


def _add_matrix(layers: list[Layer], shape: Shape, op: LinearOp) -> None:
    """Add a matrix, with its columns in the order of a Flatten right before it.

    Two matrices are one, unless one between few signals and many would grow.
    """
    layers += flattened(ending(layers, shape))
    before = layers[-1] if layers else None
    if before is not None and before.kind == "matrix" and before.bias is None:
        n_in, between = before.shape_in[0], before.shape[0]
        if n_in * op.n_out <= between * (n_in + op.n_out):
            layers[-1] = replace(before, shape=(op.n_out,), then=(*before.then, op))
            return
    columns = before.shape_in if before is not None and before.kind == "flatten" else None
    layers.append(Layer("matrix", op, (op.n_in,), (op.n_out,), columns=columns))


def _ordered(layers: list[Layer], primitives: Primitives) -> list[Layer]:
    """Return ``layers`` for a reader whose Flatten counts as ``primitives`` says.

    If that is channels last, matrices behind a Flatten turn the order. A Flatten without one gets
    one.
    """
    if not primitives.channels_last:
        return [replace(layer, columns=None) for layer in layers]
    if not layers or layers[-1].kind != "flatten":
        return layers
    last, n = layers[-1], size(layers[-1].shape)
    return [*layers, Layer("matrix", Diagonal(np.ones(n)), (n,), (n,), columns=last.shape_in)]


@dataclass(frozen=True)
class Route:
    """A projection: the operations on the signal of ``source`` before it reaches ``target``."""

    source: str
    target: str
    steps: tuple[Step, ...]

    def layers(self, shape: Shape, target: Shape, primitives: Primitives) -> list[Layer]:
        """Return the nodes between a population of ``shape`` and one of ``target``."""
        layers = planned(self.steps, shape, primitives)
        if ending(layers, shape) != target:
            layers += flattened(ending(layers, shape))
        return _ordered(layers, primitives)


def laid_out(
    shapes: Mapping[str, Shape],
    routes: Sequence[Route],
    primitives: Primitives,
    flat: Container[str] = (),
) -> dict[str, Shape]:
    """Return shapes of the populations in the file, those in ``flat`` without axes.

    NIR makes no map of a vector: what a vector enters is written flat.
    """
    maps = primitives.has("Flatten")
    laid = {
        name: shape if maps and name not in flat else (size(shape),)
        for name, shape in shapes.items()
    }
    changed = True
    while changed:
        changed = False
        for route in routes:
            source, target = laid[route.source], laid[route.target]
            if len(target) < 2:
                continue
            if ending(planned(route.steps, source, primitives), source) != target:
                laid[route.target] = (size(target),)
                changed = True
    return laid


def flattened(shape: Shape) -> list[Layer]:
    """Return a Flatten, if ``shape`` is a map."""
    return [Layer("flatten", None, shape, (size(shape),))] if len(shape) > 1 else []


def ending(layers: list[Layer], shape: Shape) -> Shape:
    """Return the shape of the signal behind ``layers``."""
    return layers[-1].shape if layers else shape


def is_primitive_pool(op: Pool, primitives: Primitives) -> bool:
    """Return True if a primitive pools like this."""
    if len(op.kernel) != 2 or not _symmetric(op.padding):
        return False
    if any(before for before, _ in op.padding) and not primitives.pads_pools:
        return False
    kinds = {1.0: "SumPool2d", 1.0 / float(np.prod(op.kernel)): "AvgPool2d"}
    return kinds.get(op.factor, "") in primitives.types


def _as_primitive(op: Conv, shape: Shape, primitives: Primitives) -> Conv | None:
    """Return ``op`` as nir.read takes it, None where it needs a matrix.

    nir.read takes one group, and as many rows as columns.
    """
    axes = len(op.shape_in) - 1
    if op.shape_in != shape or f"Conv{axes}d" not in primitives.types or not _symmetric(op.padding):
        return None
    op = _ungrouped(op)
    if not primitives.dilates:
        op = _undilated(op)
    return _squared(op)


def _ungrouped(op: Conv) -> Conv:
    """Return one group, in which other groups' weights are zeros.

    nir.read counts the channels of one group only.
    """
    if op.groups == 1:
        return op
    out, each, *kernel = op.weight.shape
    weight = np.zeros((out, op.groups, each, *kernel))
    group = np.arange(out) // (out // op.groups)
    weight[np.arange(out), group] = op.weight
    return replace(op, weight=weight.reshape(out, op.groups * each, *kernel), groups=1)


def _undilated(op: Conv) -> Conv:
    """Return a dense kernel with zeros between the taps."""
    kernel = op.weight.shape[2:]
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, op.dilation, strict=True))
    weight = np.zeros((*op.weight.shape[:2], *span))
    weight[(slice(None), slice(None), *(slice(None, None, d) for d in op.dilation))] = op.weight
    return replace(op, weight=weight, dilation=(1,) * len(span))


def _squared(op: Conv) -> Conv | None:
    """Return as many rows as columns, by zeros on both sides, None if one side would have more."""
    kernel = op.weight.shape[2:]
    more = [max(kernel) - k for k in kernel]
    if any(m % 2 for m in more):
        return None
    half = [m // 2 for m in more]
    weight = np.pad(op.weight, ((0, 0), (0, 0), *((h, h) for h in half)))
    pads = tuple(
        (p + h * d, q + h * d) for (p, q), h, d in zip(op.padding, half, op.dilation, strict=True)
    )
    return replace(op, weight=weight, padding=pads)


def _symmetric(padding: Sequence[tuple[int, int]]) -> bool:
    return all(before == after for before, after in padding)


def _dense(op: LinearOp) -> Float:
    if isinstance(op, Dense):
        return op.weight
    target, source, value = op.coo()
    weight = np.zeros((op.n_out, op.n_in))
    np.add.at(weight, (target, source), value)
    return weight


def _flatten(shape: Shape) -> Fields:
    """Return all axes, counted from the last: a simulator may put a batch before them."""
    axes = {"start_dim": -len(shape), "end_dim": -1}
    return {"type": "Flatten", **axes, "input_type": np.array(shape)}


def _conv(op: Conv, bias: Float) -> Fields:
    axes = len(op.shape_in) - 1
    return {
        "type": f"Conv{axes}d",
        "weight": op.weight,
        "bias": bias,
        "stride": np.array(op.stride),
        "padding": np.array([before for before, _ in op.padding]),
        "dilation": np.array(op.dilation),
        "groups": op.groups,
        "input_shape": np.array(op.shape_in[1:]) if axes == 2 else op.shape_in[1],
    }


def _pool(op: Pool) -> Fields:
    return {
        "type": "SumPool2d" if op.factor == 1.0 else "AvgPool2d",
        "kernel_size": np.array(op.kernel),
        "stride": np.array(op.stride),
        "padding": np.array([before for before, _ in op.padding]),
    }
