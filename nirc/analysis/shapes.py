"""The shapes that a layer takes and gives, and the certain repairs of a disagreement.

Shapes have no batch and no time axis. Every reading except the literal is a ``Remark``. Without a
certain reading, ``MisfitError`` is raised.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import assert_never

from nirc.analysis.parameters import fullest, parameter_remarks, parameters, strip
from nirc.analysis.remark import MisfitError, Remark
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
    remarks: tuple[Remark, ...] = ()


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
        raise MisfitError(
            Remark("G253", "its shape cannot be inferred from anything before it", own=True)
        )
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
            return Fit(shape, shape, parameter_remarks(layer, shape))
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
    found, limit = f"shape {shape}", f"shape {strip(need)}"
    if shape == strip(need):
        return Fit(shape, out)
    if strip(shape) == strip(need):
        message = "leading axes of length 1 are dropped"
        return Fit(shape, out, (Remark("G205", message, "weight", found, limit),))
    if size(shape) == size(need):
        message = f"the signal is flattened to {size(need)} values"
        return Fit(shape, out, (Remark("G215", message, "weight", found, limit),))
    message = f"its weight takes {size(need)} values, {size(shape)} arrive"
    raise MisfitError(Remark("G252", message, "weight", found, limit))


def _check_bias(bias: Float | None, rows: Shape) -> None:
    """Refuse a bias of another size. The reader lets some pass, see `layouts`."""
    if bias is not None and bias.size != size(rows):
        message = "the bias does not match the weight"
        found, limit = f"shape {bias.shape}", f"shape {rows}"
        raise MisfitError(Remark("F110", message, "bias", found, limit, own=True))


def lacks_channels(layer: Layer, shape: Shape) -> bool:
    """Return True if a convolution or pool takes ``shape`` only as a map without channels."""
    axes = layer.axes if isinstance(layer, Conv) else 2
    return isinstance(layer, Conv | Pool) and len(shape) == axes


def _spatial(
    shape: Shape, channels: int | None, axes: int, field: str
) -> tuple[Shape, tuple[Remark, ...]]:
    """Return the arriving shape as (channels, *spatial)."""
    core = shape
    while len(core) > axes + 1 and core[0] == 1:
        core = core[1:]
    if len(core) == axes and channels in (1, None):
        core = (1, *core)
    if len(core) != axes + 1 or (channels is not None and core[0] != channels):
        limit = (
            f"({channels if channels is not None else 'channels'}, "
            f"{'length' if axes == 1 else 'height, width'})"
        )
        message = "the signal that arrives has other axes or channels"
        if channels is not None and len(core) == axes + 1 and core[-1] == channels:
            message += (
                ": its last axis has as many values as there are channels, which NIR puts first"
            )
        raise MisfitError(Remark("G252", message, field, f"shape {shape}", limit))
    if core == shape:
        return core, ()
    return core, (Remark("G205", f"the signal is read as shape {core}", field, f"shape {shape}"),)


def _conv(layer: Conv, shape: Shape) -> Fit:
    channels = layer.weight.shape[1] * layer.groups
    _check_bias(layer.bias, layer.weight.shape[:1])
    declared = None if layer.input_shape is None else (channels, *layer.input_shape)
    remarks: tuple[Remark, ...]
    if (
        declared is not None
        and len(shape) == 1
        and len(declared) > 1
        and size(declared) == shape[0]
    ):
        core, remarks = (
            declared,
            (
                Remark(
                    "G208",
                    f"the flat signal is read as shape {declared}",
                    "input_shape",
                    f"shape {shape}",
                ),
            ),
        )
    else:
        core, remarks = _spatial(shape, channels, layer.axes, "weight")
    if declared is None:
        remarks += (Remark("G214", f"its input is {core}", "input_shape"),)
    elif declared != core:
        message = "the signal that arrives is trusted"
        remarks += (
            Remark("G208", message, "input_shape", str(declared), str(core), overrules=True),
        )
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
    return Fit(core, _positive((layer.weight.shape[0], *spatial), "weight", core), remarks)


def _pool(layer: Pool, shape: Shape) -> Fit:
    core, remarks = _spatial(shape, None, 2, "kernel_size")
    spatial = tuple(
        (n + before + after - k) // s + 1
        for n, (before, after), k, s in zip(
            core[1:], layer.padding, layer.kernel, layer.stride, strict=True
        )
    )
    return Fit(core, _positive((core[0], *spatial), "kernel_size", core), remarks)


def _positive(shape: Shape, field: str, arriving: Shape) -> Shape:
    if min(shape) < 1:
        message, limit = "the kernel is larger than the padded input", "an output of 1 or more"
        raise MisfitError(Remark("G252", message, field, f"input {arriving}", limit, own=True))
    return shape


def _flatten(layer: Flatten, shape: Shape, wanted: Collection[Shape]) -> Fit:
    literal = _merged(shape, layer.start_dim, layer.end_dim)
    end = layer.end_dim - 1 if layer.end_dim > 0 else layer.end_dim
    shifted = _merged(shape, layer.start_dim - 1, end) if layer.start_dim > 0 else None
    batch = layer.input_shape is not None and len(layer.input_shape) == len(shape) + 1
    meant = literal is None or batch or (literal not in wanted and shifted in wanted)
    if meant and shifted is not None:
        message = f"start_dim is read without the batch axis: {shape} becomes {shifted}"
        return Fit(shape, shifted, (Remark("G209", message, "start_dim", str(layer.start_dim)),))
    if literal is None:
        found, limit = f"{layer.start_dim}..{layer.end_dim}", f"axes of {shape}"
        raise MisfitError(
            Remark("G252", "the axes to flatten do not exist", "start_dim", found, limit, own=True)
        )
    return Fit(shape, literal)


def _merged(shape: Shape, start: int, end: int) -> Shape | None:
    rank = len(shape)
    start, end = (start + rank if start < 0 else start), (end + rank if end < 0 else end)
    if not 0 <= start <= end < rank:
        return None
    return (*shape[:start], size(shape[start : end + 1]), *shape[end + 1 :])


def _port(layer: Input | Output, shape: Shape) -> Fit:
    if layer.shape is None or layer.shape == shape:
        return Fit(shape, shape)
    return Fit(shape, shape, (port_remark(type(layer).__name__, layer.shape, shape, "arrives"),))


def port_remark(kind: str, declared: Shape, shape: Shape, trusted: str) -> Remark:
    """Return the remark on an Input or Output (``kind``) with another shape than declared.

    ``trusted``: the origin of the shape, as the end of "than what ...".
    """
    found, limit = str(declared), str(shape)
    lead = leading_axes(declared, shape)
    if lead is None:
        message = f"the {kind} is declared otherwise than what {trusted}, which is trusted"
        return Remark(
            "G207", message, "shape", found, limit, overrules=size(declared) != size(shape)
        )
    message = f"the {kind} declares leading axes {lead}, of a batch or of time, which are dropped"
    return Remark("G207", message, "shape", found, limit, harmless=size(lead) == 1)


def leading_axes(declared: Shape, shape: Shape) -> Shape | None:
    """Return the axes of ``declared`` before as many values as ``shape`` has, or None."""
    for lead in reversed(range(1, len(declared))):
        if size(declared[lead:]) == size(shape):
            return declared[:lead]
    return None
