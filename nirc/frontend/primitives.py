"""Builders of the NIR primitives: their fields, and the domains of the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.graph import InputGainAbsent, ResetVoltageAbsent
from nirc.diagnostics.shapes import BatchAxisDropped
from nirc.frontend.fields import Fields
from nirc.ir.arrays import Float, Shape, frozen, size
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    Linear,
    Neuron,
    NeuronKind,
    Output,
    Pads,
    Pool,
    Scale,
)

# Optional fields: the value if the field is absent, and the field with the same shape.
V_RESET = "v_reset"
W_IN = "w_in"
DEFAULTS = {V_RESET: (0.0, "v_threshold"), W_IN: (1.0, "v_leak")}
TORCH = "the default of the layer in PyTorch; NIR has none"
FLATTEN = "nir 1.0.8, Flatten"
NEURON_FIELDS = {
    "tau_syn": "tau_syn_s",
    "tau_mem": "tau_mem_s",
    "tau": "tau_mem_s",
    "threshold": "v_threshold",
}
CONV_DEFAULTS = {"bias": "no bias", "stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def _input(f: Fields) -> Layer:
    return Input(f.shape("shape"))


def _output(f: Fields) -> Layer:
    return Output(f.shape("shape"))


def _weight(f: Fields, rank: int) -> Float:
    weight = f.floats("weight")
    if weight.ndim < rank and not f.bad:
        _fail_axes(f, weight, rank)
    return weight if weight.ndim >= rank else frozen(np.ones((1,) * rank))


def _fail_axes(f: Fields, weight: Float, rank: int) -> None:
    problem = f"the weight has {weight.ndim} axes"
    found = f"shape {weight.shape}"
    f.fail(ValueOutsideDomain, "weight", problem, found=found, limit=f"{rank} axes")


def _linear(f: Fields) -> Layer:
    return Linear(_weight(f, 2))


def _affine(f: Fields) -> Layer:
    weight = _weight(f, 2)
    bias = f.floats("bias")
    return Linear(weight, _bias(f, bias, weight.shape[:-1], weight.shape[-1:]))


def _bias(f: Fields, bias: Float, rows: Shape, others: Shape) -> Float:
    """Return a bias of shape ``rows``, the output axes of the weight. ``others``: its other axes.

    A bias with the length of another axis indicates a weight with another order of axes. With
    neighbours the bias stays as it is, and infer-shapes settles or refuses the order.
    """
    if f.bad or bias.shape == rows:
        return bias
    if bias.size == 1:
        return frozen(np.broadcast_to(bias.reshape(()), rows))
    if bias.size == size(rows):
        return frozen(bias.reshape(rows))
    if bias.ndim > len(rows) and bias.shape[-len(rows) :] == rows:
        first = bias.reshape(-1, *rows)[0]
        if (bias == first).all():
            dropped = BatchAxisDropped(parameters=("bias",), stored=bias.shape, expected=rows)
            f.log.add(dropped.placed(f.place("bias")))
            return frozen(first)
    if not (f.connected and bias.size in others):
        problem = "the bias does not match the weight"
        found = f"shape {bias.shape}"
        f.fail(ValueOutsideDomain, "bias", problem, found=found, limit=f"shape {rows}")
    return bias


def _scale(f: Fields) -> Layer:
    return Scale(f.floats("scale"))


def _conv(axes: int) -> Callable[[Fields], Layer]:
    def build(f: Fields) -> Layer:
        weight = _weight(f, axes + 2)
        if weight.ndim != axes + 2:
            _fail_axes(f, weight, axes + 2)
            weight = frozen(np.ones((1,) * (axes + 2)))
        out = weight.shape[0]
        bias = _bias(f, f.floats("bias"), (out,), weight.shape[1:]) if f.has("bias") else None
        f.used.add("bias")
        for field, value in CONV_DEFAULTS.items():
            f.assume(field, value, TORCH)
        stride = f.ints("stride", low=1, count=axes, default=(1,) * axes)
        dilation = f.ints("dilation", low=1, count=axes, default=(1,) * axes)
        groups = f.ints("groups", low=1, count=1, default=(1,))[0]
        padding = _padding(f, weight.shape[2:], dilation, stride)
        turned = bias is not None and bias.size != out  # the weight may have another order of axes
        if out % groups and not turned:
            problem = "groups do not divide the output channels"
            limit = f"a divisor of {out}"
            f.fail(ValueOutsideDomain, "groups", problem, found=groups, limit=limit)
        declared = f.shape("input_shape")
        if declared is not None and len(declared) > axes:
            declared = declared[-axes:]
        if declared is not None and len(declared) != axes:
            declared = declared * axes if len(declared) == 1 else None
        bias = None if bias is None else frozen(bias.reshape(-1))
        return Conv(weight, bias, stride, padding, dilation, groups, declared)

    return build


def _padding(f: Fields, kernel: Shape, dilation: Shape, stride: Shape) -> Pads:
    """Return pads per axis. ``same`` as in PyTorch (an odd pad goes after), ``valid``: none."""
    text = f.raw.fields.get("padding")
    if isinstance(text, str):
        f.used.add("padding")
        if text == "valid":
            return ((0, 0),) * len(kernel)
        if text == "same" and set(stride) == {1}:
            total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            return tuple((t // 2, t - t // 2) for t in total)
        problem = "this padding has no meaning here"
        found = f"{text[:20]!r} with stride {stride}"
        limit = "numbers, 'valid', or 'same' with stride 1"
        f.fail(ValueOutsideDomain, "padding", problem, found=found, limit=limit)
        return ((0, 0),) * len(kernel)
    return tuple((n, n) for n in f.ints("padding", count=len(kernel), default=(0,) * len(kernel)))


def _pool(kind: Literal["sum", "avg"]) -> Callable[[Fields], Layer]:
    def build(f: Fields) -> Layer:
        kernel = f.ints("kernel_size", low=1, count=2)
        stride = f.ints("stride", low=1, count=2, default=kernel)
        f.assume("stride", f"the kernel's size, {kernel}", TORCH)
        f.assume("padding", 0, TORCH)
        pads = tuple((n, n) for n in f.ints("padding", count=2, default=(0, 0)))
        return Pool(kind, kernel, stride, pads)

    return build


def _flatten(f: Fields) -> Layer:
    def dim(field: str, default: int) -> int:
        f.used.add(field)
        f.assume(field, default, FLATTEN)
        value = f.raw.fields.get(field, np.asarray(default))
        number = np.asarray(value).ravel() if not isinstance(value, str) else np.asarray([])
        if (
            number.size != 1
            or number.dtype.kind not in "iuf"
            or not (-32 <= number[0] <= 32 and number[0] % 1 == 0)
        ):
            found = str(value)[:40] if np.size(value) == 1 else f"shape {np.shape(value)}"
            problem = f"field `{field}` must be one axis"
            f.fail(ValueOutsideDomain, field, problem, found=found, limit="-32 to 32")
            return default
        return int(number[0])

    # Zeros are unknown lengths, but the rank counts.
    declared = f.ints("input_type", default=()) or None
    return Flatten(dim("start_dim", 1), dim("end_dim", -1), declared)


def _delay(f: Fields) -> Layer:
    delay = f.floats("delay")
    if (delay < 0).any():
        problem = "a delay is negative"
        f.fail(ValueOutsideDomain, "delay", problem, found=delay.min(), limit=">= 0 seconds")
    return Delay(delay)


def _neuron(
    kind: NeuronKind, *fields: str, optional: tuple[str, ...] = ()
) -> Callable[[Fields], Layer]:
    def build(f: Fields) -> Layer:
        values: dict[str, Float] = {}
        for field in fields:
            tau = field.startswith("tau")
            values[NEURON_FIELDS.get(field, field)] = f.floats(
                field, infinite=tau or field == "r", positive=tau
            )
        for field in optional:
            default, like = DEFAULTS[field]
            if f.has(field):
                values[field] = f.floats(field, infinite=field == W_IN)
            else:
                values[field] = frozen(np.full(values[like].shape, default))
                absent = ResetVoltageAbsent if field == V_RESET else InputGainAbsent
                f.log.add(absent(where=f.place(field)))
        return Neuron(kind, **values)

    return build


BUILDERS: dict[str, Callable[[Fields], Layer]] = {
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
    "IF": _neuron("IF", "r", "v_threshold", optional=(V_RESET,)),
    "LIF": _neuron("LIF", "tau", "r", "v_leak", "v_threshold", optional=(V_RESET,)),
    "CubaLI": _neuron("CubaLI", "tau_syn", "tau_mem", "r", "v_leak", optional=(W_IN,)),
    "CubaLIF": _neuron(
        "CubaLIF", "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", optional=(V_RESET, W_IN)
    ),
}
PRIMITIVES = tuple(sorted([*BUILDERS, "NIRGraph"]))
