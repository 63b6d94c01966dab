"""Which shapes a layer takes and gives, and which certain readings repair a disagreement.

Shapes have no batch and no time axis. Every reading beyond the literal one is a ``Remark``; where none is
certain, ``MisfitError`` says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Shape, size
from nirc.ir.layers import Conv, Delay, Flatten, Input, Layer, Linear, Neuron, Output, Pool, Scale


@dataclass(frozen=True)
class Remark:
    """A reading that the file does not spell out, or (in a ``MisfitError``) a contradiction."""

    code: str
    message: str
    field: str = ""
    found: str = ""
    limit: str = ""


class MisfitError(Exception):
    """No single reading makes this layer take the arriving signal."""

    def __init__(self, remark: Remark) -> None:
        super().__init__(remark.message)
        self.remark = remark


@dataclass(frozen=True)
class Fit:
    """How a layer takes an arriving signal."""

    shape_in: Shape
    shape_out: Shape
    remarks: tuple[Remark, ...] = ()


def strip(shape: Shape) -> Shape:
    """Without leading axes of length 1, but never without any axis: (1, 1, 7) -> (7,); (1, 1) -> (1,)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def requirement(layer: Layer) -> Shape | None:
    """The input shape that the layer's own arrays demand; None if any shape would do or it is not known."""
    match layer:
        case Linear():
            return strip((*layer.weight.shape[:-2], layer.weight.shape[-1]))
        case Conv(input_shape=spatial) if spatial is not None:
            return (layer.weight.shape[1] * layer.groups, *spatial)
        case Flatten(input_shape=declared) if declared is not None and 0 not in declared:
            return declared
        case Neuron() | Scale() | Delay():
            return _parameter_shape(layer)
    return None


def literal_shape(layer: Layer) -> Shape | None:
    """As ``requirement``, but one value in a list is one neuron: for what no signal reaches."""
    shape = requirement(layer)
    if shape is None and isinstance(layer, Neuron) and any(map(len, _parameters(layer).values())):
        return (1,)
    return shape


def fit(layer: Layer, arriving: Shape | None, wanted: Collection[Shape] = ()) -> Fit:
    """How ``layer`` takes a signal of shape ``arriving`` (None: not known, its own arrays must tell).

    ``wanted`` are the shapes that the layers behind it demand; only Flatten looks at them. Raises ``MisfitError``.
    """
    shape = arriving if arriving is not None else literal_shape(layer)
    if shape is None:
        raise MisfitError(Remark("G253", "its shape cannot be inferred from anything before it"))
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
            return _elementwise(layer, shape)
        case Input() | Output():
            return _port(layer, shape)
    raise TypeError(f"no shapes for {type(layer).__name__}")


def _parameters(layer: Neuron | Scale | Delay) -> dict[str, Shape]:
    if isinstance(layer, Neuron):
        return {layer.file_field(name): value.shape for name, value in layer.parameters().items()}
    if isinstance(layer, Scale):
        return {"scale": layer.scale.shape}
    return {"delay": layer.delay_s.shape}


def _parameter_shape(layer: Neuron | Scale | Delay) -> Shape | None:
    """The fullest parameter's shape; None if all are scalars."""
    full = [strip(s) for s in _parameters(layer).values() if size(s) > 1]
    return max(full, key=lambda s: (size(s), len(s)), default=None)


def _elementwise(layer: Neuron | Scale | Delay, shape: Shape) -> Fit:
    by_shape: dict[Shape, list[str]] = {}
    for name, own in _parameters(layer).items():
        by_shape.setdefault(own, []).append(name)
    remarks = [r for own, names in by_shape.items() if (r := parameter_reading(own, shape, *names)[1])]
    return Fit(shape, shape, tuple(remarks))


def parameter_reading(own: Shape, signal: Shape, *names: str) -> tuple[Shape, Remark | None]:
    """The shape to give parameters so that they broadcast over ``signal``, and what to say of it.

    Raises ``MisfitError`` where the parameter fits in no way, or in more than one.
    """
    listed = ", ".join(f"`{name}`" for name in names)

    def remark(code: str, message: str) -> Remark:
        return Remark(code, f"{listed}: {message}", names[0], f"shape {own}", f"shape {signal}")

    if own == signal:
        return own, None
    if size(own) == 1:
        ones = (1,) * len(signal)
        if size(signal) > 1:
            return ones, remark("G206", f"one value stands for all {size(signal)} neurons")
        return ones, remark("G205", "leading axes of length 1 are dropped") if len(own) > 1 else None
    if strip(own) == strip(signal) or size(own) == size(signal):
        return signal, remark("G205", f"read as shape {signal}")
    core = strip(own)
    per_channel = core[0] == signal[0] and set(core[1:]) <= {1}
    if per_channel and len(core) == 1 and core[0] in signal[1:]:
        raise MisfitError(remark("G255", "one value per channel, or one per row or column?"))
    if per_channel:
        return (signal[0], *(1,) * (len(signal) - 1)), remark("G216", "read as one value per channel")
    raise MisfitError(remark("G252", "the signal that arrives has another shape"))


def _linear(layer: Linear, shape: Shape) -> Fit:
    need = (*layer.weight.shape[:-2], layer.weight.shape[-1])
    out = strip(layer.weight.shape[:-1])
    found, limit = f"shape {shape}", f"shape {strip(need)}"
    if shape == need or strip(shape) == strip(need):
        remarks = (
            ()
            if shape == strip(need)
            else (Remark("G205", "leading axes of length 1 are dropped", "weight", found, limit),)
        )
        return Fit(shape, out, remarks)
    if size(shape) == size(need):
        return Fit(
            shape,
            out,
            (Remark("G215", f"the signal is flattened to {size(need)} values", "weight", found, limit),),
        )
    message = f"its weight takes {size(need)} values, {size(shape)} arrive"
    raise MisfitError(Remark("G252", message, "weight", found, limit))


def _spatial(shape: Shape, channels: int | None, axes: int, field: str) -> tuple[Shape, tuple[Remark, ...]]:
    """The arriving shape as (channels, *spatial)."""
    core = shape
    while len(core) > axes + 1 and core[0] == 1:
        core = core[1:]
    if len(core) == axes and channels in (1, None):
        core = (1, *core)
    if len(core) != axes + 1 or (channels is not None and core[0] != channels):
        limit = f"({channels if channels is not None else 'channels'}, {'length' if axes == 1 else 'height, width'})"
        raise MisfitError(
            Remark("G252", "the signal that arrives has other axes or channels", field, f"shape {shape}", limit)
        )
    if core == shape:
        return core, ()
    return core, (Remark("G205", f"the signal is read as shape {core}", field, f"shape {shape}"),)


def _conv(layer: Conv, shape: Shape) -> Fit:
    channels = layer.weight.shape[1] * layer.groups
    declared = None if layer.input_shape is None else (channels, *layer.input_shape)
    remarks: tuple[Remark, ...]
    if declared is not None and len(shape) == 1 and len(declared) > 1 and size(declared) == shape[0]:
        core, remarks = (
            declared,
            (Remark("G208", f"the flat signal is read as shape {declared}", "input_shape", f"shape {shape}"),),
        )
    else:
        core, remarks = _spatial(shape, channels, layer.axes, "weight")
    if declared is None:
        remarks += (Remark("G214", f"its input is {core}", "input_shape"),)
    elif declared != core:
        remarks += (Remark("G208", "the signal that arrives is trusted", "input_shape", str(declared), str(core)),)
    spatial = tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, (before, after), d, k, s in zip(
            core[1:], layer.padding, layer.dilation, layer.weight.shape[2:], layer.stride, strict=True
        )
    )
    return Fit(core, _positive((layer.weight.shape[0], *spatial), "weight", core), remarks)


def _pool(layer: Pool, shape: Shape) -> Fit:
    core, remarks = _spatial(shape, None, 2, "kernel_size")
    spatial = tuple(
        (n + before + after - k) // s + 1
        for n, (before, after), k, s in zip(core[1:], layer.padding, layer.kernel, layer.stride, strict=True)
    )
    return Fit(core, _positive((core[0], *spatial), "kernel_size", core), remarks)


def _positive(shape: Shape, field: str, arriving: Shape) -> Shape:
    if min(shape) < 1:
        raise MisfitError(
            Remark(
                "G252",
                "the kernel is larger than the padded input",
                field,
                f"input {arriving}",
                "an output of 1 or more",
            )
        )
    return shape


def _flatten(layer: Flatten, shape: Shape, wanted: Collection[Shape]) -> Fit:
    literal = _merged(shape, layer.start_dim, layer.end_dim)
    end = layer.end_dim - 1 if layer.end_dim > 0 else layer.end_dim
    shifted = _merged(shape, layer.start_dim - 1, end) if layer.start_dim > 0 else None
    batch = layer.input_shape is not None and len(layer.input_shape) == len(shape) + 1
    meant = literal is None or batch or (literal not in wanted and shifted in wanted)
    if meant and shifted is not None:
        remark = Remark(
            "G209",
            f"start_dim is read without the batch axis: {shape} becomes {shifted}",
            "start_dim",
            str(layer.start_dim),
        )
        return Fit(shape, shifted, (remark,))
    if literal is None:
        raise MisfitError(
            Remark(
                "G252",
                "the axes to flatten do not exist",
                "start_dim",
                f"{layer.start_dim}..{layer.end_dim}",
                f"axes of {shape}",
            )
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
    kind = type(layer).__name__
    remark = Remark(
        "G207",
        f"the {kind} is declared otherwise; the signal is trusted",
        "shape",
        str(layer.shape),
        str(shape),
    )
    return Fit(shape, shape, (remark,))


def source_shape(declared: Shape | None, consumers: Collection[Layer]) -> tuple[Shape | None, Remark | None]:
    """The shape of a network input, from its declaration and from what it feeds.

    Tried in order: as declared, without leading ones, flattened, what a consumer's arrays demand, and any of
    them without a leading (time or batch) axis. The last is only for consumers that fix no shape.
    """
    needs = [need for layer in consumers if (need := requirement(layer)) is not None]
    candidates = [] if declared is None else [declared, strip(declared), *_without_ones(declared)]
    for strict in (True, False):
        for shape in candidates:
            if all(_takes(layer, shape, strict) for layer in consumers):
                return shape, _port(Input(declared), shape).remarks[0] if shape != declared else None
    if declared is not None and any(_is_ambiguous(layer, declared) for layer in consumers):
        return declared, None
    for shape in dict.fromkeys(needs):
        if all(_takes(layer, shape, strict=False) for layer in consumers):
            return shape, None if declared is None else _port(Input(declared), shape).remarks[0]
    return declared, None


def _without_ones(shape: Shape) -> list[Shape]:
    return [shape[n:] for n in range(1, len(shape)) if set(shape[:n]) == {1}]


def _is_ambiguous(layer: Layer, shape: Shape) -> bool:
    try:
        fit(layer, shape)
    except MisfitError as misfit:
        return misfit.remark.code == "G255"
    return False


def _takes(layer: Layer, shape: Shape, strict: bool) -> bool:
    try:
        remarks = fit(layer, shape).remarks
    except MisfitError:
        return False
    return not strict or not any(r.code in ("G205", "G215", "G208") for r in remarks)


def broadcast(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], signal: Shape, name: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A parameter as (n,) for a signal of this shape. Raises ``MisfitError``."""
    shape, _ = parameter_reading(values.shape, signal, name)
    return np.ascontiguousarray(np.broadcast_to(values.reshape(shape), signal)).reshape(-1)
