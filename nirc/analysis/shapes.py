"""The shapes that a layer takes and gives, and the certain repairs of a disagreement.

Shapes have no batch and no time axis. Every reading except the literal is a finding. Without a
certain reading, ``MisfitError`` is raised.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import assert_never

from nirc.analysis.parameters import (
    MisfitError,
    fullest,
    parameter_findings,
    parameters,
    strip,
)
from nirc.diagnostics.shapes import (
    BiasOfOtherSize,
    DeclaredInputShape,
    DeclaredShapeOverruled,
    FlatSignal,
    FlattenCountsBatch,
    FlattenedForLinear,
    InferredInputShape,
    LeadingAxesOfOne,
    ShapeContradiction,
    ShapeFinding,
    SignalReadAs,
    UnknownShape,
)
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    Linear,
    Neuron,
    Output,
    Pool,
    Scale,
    Subgraph,
)


@dataclass(frozen=True)
class Fit:
    """Shapes of a layer with an arriving signal."""

    shape_in: Shape
    shape_out: Shape
    findings: tuple[ShapeFinding, ...] = ()


def requirement(layer: Layer) -> Shape | None:
    """Return the input shape that the layer's arrays demand. None: any shape, or unknown."""
    match layer:
        case Linear():
            return strip((*layer.weight.shape[:-2], layer.weight.shape[-1]))
        case Conv(input_shape=spatial) if spatial is not None:
            return (layer.weight.shape[1] * layer.groups, *spatial)
        case Flatten(input_shape=declared) if declared is not None and 0 not in declared:
            return declared
        case Neuron() | Scale() | Delay():
            full = fullest(layer)
            return None if full is None else strip(full[1].shape)
        case Conv() | Pool() | Flatten() | Input() | Output() | Subgraph():
            return None
        case _:
            assert_never(layer)


def literal_shape(layer: Layer) -> Shape | None:
    """Return ``requirement``, but one value in a list is one neuron. For nodes without a signal."""
    shape = requirement(layer)
    if (
        shape is None
        and isinstance(layer, Neuron)
        and any(values.ndim for values in parameters(layer).values())
    ):
        return (1,)
    return shape


def fit(layer: Layer, arriving: Shape | None, wanted: Collection[Shape] = ()) -> Fit:
    """Return the shapes of ``layer`` for a signal of shape ``arriving`` (None: unknown).

    ``wanted``: the shapes that the layers behind demand, for Flatten only. Raises ``MisfitError``.
    """
    shape = arriving if arriving is not None else literal_shape(layer)
    if shape is None:
        problem = "its shape cannot be inferred from anything before it"
        raise MisfitError(UnknownShape(problem=problem))
    match layer:
        case Linear():
            return _linear(layer, shape)
        case Conv():
            return _conv(layer, shape)
        case Pool():
            return _pool(layer, shape)
        case Flatten():
            return _flatten(layer, shape, wanted)
        case Neuron() | Scale() | Delay():
            return Fit(shape, shape, parameter_findings(layer, shape))
        case Input() | Output():
            return _port(layer, shape)
        case Subgraph():
            raise TypeError("no shapes for a nested graph")
        case _:
            assert_never(layer)


def _linear(layer: Linear, shape: Shape) -> Fit:
    need = (*layer.weight.shape[:-2], layer.weight.shape[-1])
    _check_bias(layer.bias, layer.weight.shape[:-1])
    out = strip(layer.weight.shape[:-1])
    need = strip(need)
    if shape == need:
        return Fit(shape, out)
    if strip(shape) == need:
        dropped = LeadingAxesOfOne(field="weight", stored=shape, expected=need)
        return Fit(shape, out, (dropped,))
    if size(shape) == size(need):
        flattened = FlattenedForLinear(field="weight", stored=shape, expected=need)
        return Fit(shape, out, (flattened,))
    problem = f"its weight takes {size(need)} values, {size(shape)} arrive"
    raise _misfit(problem, "weight", f"shape {shape}", f"shape {need}")


def _misfit(
    problem: str, field: str, found: str, limit: str, *, internal: bool = False
) -> MisfitError:
    return MisfitError(
        ShapeContradiction(
            problem=problem, field=field, found=found, limit=limit, is_internal=internal
        )
    )


def _check_bias(bias: Float | None, rows: Shape) -> None:
    """Refuse a bias of another size. The reader lets some pass, see `layouts`."""
    if bias is not None and bias.size != size(rows):
        raise MisfitError(BiasOfOtherSize(stored=bias.shape, rows=rows))


def lacks_channels(layer: Layer, shape: Shape) -> bool:
    """Return True if a convolution or pool takes ``shape`` only as a map without channels."""
    axes = layer.axes if isinstance(layer, Conv) else 2
    return isinstance(layer, Conv | Pool) and len(shape) == axes


def _spatial(
    shape: Shape, channels: int | None, axes: int, field: str
) -> tuple[Shape, tuple[ShapeFinding, ...]]:
    """Return the arriving shape as (channels, *spatial)."""
    core = shape
    while len(core) > axes + 1 and core[0] == 1:
        core = core[1:]
    if len(core) == axes and channels in (1, None):
        core = (1, *core)
    if len(core) != axes + 1 or (channels is not None and core[0] != channels):
        first = "channels" if channels is None else channels
        problem = "the signal that arrives has other axes or channels"
        if channels is not None and len(core) == axes + 1 and core[-1] == channels:
            problem += (
                ": its last axis has as many values as there are channels, which NIR puts first"
            )
        limit = f"({first}, {'length' if axes == 1 else 'height, width'})"
        raise _misfit(problem, field, f"shape {shape}", limit)
    if core == shape:
        return core, ()
    return core, (SignalReadAs(field=field, stored=shape, expected=core),)


def _conv(layer: Conv, shape: Shape) -> Fit:
    channels = layer.weight.shape[1] * layer.groups
    _check_bias(layer.bias, layer.weight.shape[:1])
    declared = None if layer.input_shape is None else (channels, *layer.input_shape)
    findings: tuple[ShapeFinding, ...]
    if (
        declared is not None
        and len(shape) == 1
        and len(declared) > 1
        and size(declared) == shape[0]
    ):
        core = declared
        findings = (FlatSignal(declared=declared, arriving=shape),)
    else:
        core, findings = _spatial(shape, channels, layer.axes, "weight")
    if declared is None:
        findings += (InferredInputShape(arriving=core),)
    elif declared != core:
        findings += (DeclaredInputShape(declared=declared, arriving=core),)
    spatial = tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, (before, after), d, k, s in zip(
            core[1:],
            layer.padding,
            layer.dilation,
            layer.weight.shape[2:],
            layer.stride,
            strict=True,
        )
    )
    return Fit(core, _positive((layer.weight.shape[0], *spatial), "weight", core), findings)


def _pool(layer: Pool, shape: Shape) -> Fit:
    core, findings = _spatial(shape, None, 2, "kernel_size")
    spatial = tuple(
        (n + before + after - k) // s + 1
        for n, (before, after), k, s in zip(
            core[1:], layer.padding, layer.kernel, layer.stride, strict=True
        )
    )
    return Fit(core, _positive((core[0], *spatial), "kernel_size", core), findings)


def _positive(shape: Shape, field: str, arriving: Shape) -> Shape:
    if min(shape) < 1:
        problem = "the kernel is larger than the padded input"
        limit = "an output of 1 or more"
        raise _misfit(problem, field, f"input {arriving}", limit, internal=True)
    return shape


def _flatten(layer: Flatten, shape: Shape, wanted: Collection[Shape]) -> Fit:
    literal = _merged(shape, layer.start_dim, layer.end_dim)
    end = layer.end_dim - 1 if layer.end_dim > 0 else layer.end_dim
    shifted = _merged(shape, layer.start_dim - 1, end) if layer.start_dim > 0 else None
    batch = layer.input_shape is not None and len(layer.input_shape) == len(shape) + 1
    meant = literal is None or batch or (literal not in wanted and shifted in wanted)
    if meant and shifted is not None:
        shift = FlattenCountsBatch(start_dim=layer.start_dim, arriving=shape, read_as=shifted)
        return Fit(shape, shifted, (shift,))
    if literal is None:
        problem = "the axes to flatten do not exist"
        found = f"{layer.start_dim}..{layer.end_dim}"
        raise _misfit(problem, "start_dim", found, f"axes of {shape}", internal=True)
    return Fit(shape, literal)


def _merged(shape: Shape, start: int, end: int) -> Shape | None:
    rank = len(shape)
    start = start + rank if start < 0 else start
    end = end + rank if end < 0 else end
    if not 0 <= start <= end < rank:
        return None
    return (*shape[:start], size(shape[start : end + 1]), *shape[end + 1 :])


def _port(layer: Input | Output, shape: Shape) -> Fit:
    if layer.shape is None or layer.shape == shape:
        return Fit(shape, shape)
    kind = type(layer).__name__
    return Fit(shape, shape, (port_overruled(kind, layer.shape, shape, arrives=True),))


def port_overruled(
    kind: str, declared: Shape, shape: Shape, *, arrives: bool
) -> DeclaredShapeOverruled:
    """Return the finding about a port whose signal has another ``shape`` than declared.

    ``kind``: Input or Output. ``arrives``: the shape is of the arriving signal, else of the nodes
    behind.
    """
    return DeclaredShapeOverruled(
        kind=kind,
        declared=declared,
        read_as=shape,
        lead=leading_axes(declared, shape),
        arrives=arrives,
    )


def leading_axes(declared: Shape, shape: Shape) -> Shape | None:
    """Return the axes of ``declared`` before as many values as ``shape`` has, or None."""
    for lead in reversed(range(1, len(declared))):
        if size(declared[lead:]) == size(shape):
            return declared[:lead]
    return None
