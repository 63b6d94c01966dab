"""The NIR primitives: their fields, the domains of the values, and their names in other tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.graph import InputGainAbsent, ResetVoltageAbsent
from nirc.diagnostics.shapes import BatchAxisDropped
from nirc.diagnostics.similar import nearest
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

# Names of the primitives in other tools, without signs and in small letters: `Conv_2D` is `conv2d`.

EXPRESS = "express the layer by NIR primitives when exporting"
# Of classes: LIFCell, IFNode.
SUFFIXES = ("layer", "node", "neuron", "neurons", "cell", "torch", "jax")
RECURRENT = "did you mean {0}? Write the recurrence as a Linear node from the {0} to itself"

# NIR's name, then the names in other tools.
MEANS: dict[str, str] = {
    "Threshold": "spike spikes spiking heaviside step stepfunction spikefunction spikegenerator "
    "binarize fire",
    "Input": "in inputs source placeholder inputport spikeinput spikesource data",
    "Output": "out outputs sink outputport target",
    "Scale": "gain mul multiply elementwisemul elementwisescale scaling",
    "Flatten": "reshape view ravel squeeze unsqueeze",
    "Delay": "axondelay synapticdelay delayline delays axonaldelay",
    "NIRGraph": "graph subgraph sequential module network modulelist nir block",
    "Conv1d": "conv1 convolution1d conv1dlayer",
    "Conv2d": "conv2 convolution2d convolution2 convlayer2d conv2dlayer",
    "SumPool2d": "sumpool sumpooling sumpooling2d sumpool2",
    "AvgPool2d": "avgpool averagepool averagepooling averagepool2d averagepooling2d avgpooling "
    "meanpool meanpool2d",
    "I": "integrator accumulator nonspikingif",
    "LI": "leakyintegrator lowpass readout lireadout expleak expsyn exponentialfilter liboxcell "
    "libox nonspikinglif",
    "IF": "integrateandfire integratefire iaf iafsqueeze nonleakyif ifsqueeze iflif "
    "perfectintegrator",
    "LIF": "leakyintegrateandfire leakyif lapicque lifbox lifboxcell plif parametriclif "
    "lifsqueeze liflayer lifspike "
    "leakyifsqueeze lifrefrac glif",
    "CubaLI": "cubali cubaleakyintegrator currentli alphali",
    "CubaLIF": "cuba cubalifcell synaptic currentlif lifcurrent lifcurrexp ifcurrexp lifsyn "
    "lifexp sinabslif cublif "
    "currentbasedlif currentlifcell liftorch",
}
# Advice without a single primitive. ``FAMILIES`` lists the names for each.
OTHERWISE: dict[str, str] = {
    "dense": "did you mean Linear, or Affine with a bias?",
    "conv": "did you mean Conv1d or Conv2d?",
    "pool": "did you mean SumPool2d or AvgPool2d?",
    "leaky": "did you mean LIF, or LI without spikes?",
    "neuron": "did you mean LIF, IF or CubaLIF?",
    "synapse": "NIR has no synapse of its own: write its weights as Linear, its filter as LI or "
    "as the tau_syn of "
    "CubaLIF",
    "rlif": RECURRENT.format("LIF"),
    "rcubalif": RECURRENT.format("CubaLIF"),
    "rif": RECURRENT.format("IF"),
    "lifcell": "did you mean CubaLIF, as Norse exports it, or LIF?",
    "licell": "did you mean CubaLI, as Norse exports it, or LI?",
    "psulif": "did you mean LI, followed by Threshold?",
    "conv3d": "NIR has no Conv3d: did you mean Conv2d, with time left out?",
    "deconv": "NIR has no transposed convolution: write it as Linear, with its matrix",
    "depthwise": "did you mean Conv2d? Write its groups: as many as it has channels",
    "maxpool": "NIR has no MaxPool2d: train with SumPool2d or AvgPool2d",
    "globalpool": "did you mean AvgPool2d? Write the size of the map as its kernel_size",
    "avgpool1d": "NIR pools in two axes only: did you mean AvgPool2d, or SumPool2d?",
    "relu": "NIR has no ReLU, since it describes spiking networks: put IF, LIF or Threshold in "
    "its place",
    "batchnorm": "NIR has no normalisation: fold it into the weight and bias of the layer before "
    "it",
    "dropout": "leave it out when exporting: it does nothing after training",
    "identity": "leave it out when exporting, and join the edges",
    "add": "NIR has no node for a sum: let both edges lead to the next node, where signals add up",
    "concat": "NIR does not concatenate: give each signal its own Linear, and let their outputs "
    "add up",
    "adaptive": "NIR has no adaptive threshold: train with LIF or CubaLIF",
    "izhikevich": "NIR has no such neuron: train with LIF or CubaLIF",
    "rnn": "NIR has spiking neurons only: train with LIF or CubaLIF, and write the recurrence as "
    "a Linear node",
    "softmax": "leave it out when exporting: the largest output stays the largest",
}
FAMILIES: dict[str, str] = {
    "dense": "dense fc fullyconnected fullconnection gemm matmul innerproduct lineartorch weight "
    "weights projection "
    "connection denselayer linearlayer synapsedense fullyconnectedlayer",
    "conv": "conv convolution convolutional convnd convlayer",
    "pool": "pool pooling pool2d",
    "leaky": "leaky",
    "neuron": "neuron neurons population spikingneuron lifpopulation",
    "synapse": "synapse synapses syn synapticfilter dualexponential alphasynapse",
    "rlif": "rlif rleaky lifrecurrent recurrentlif lifrefracrecurrent rlapicque",
    "rcubalif": "rcubalif rsynaptic recurrentcubalif lifcubarecurrent",
    "rif": "rif recurrentif",
    "lifcell": "lifcell",
    "licell": "licell",
    "psulif": "psulif",
    "conv3d": "conv3d convolution3d",
    "deconv": "deconv convtranspose1d convtranspose2d transposedconv2d conv2dtranspose "
    "upsample upsampling2d",
    "depthwise": "depthwiseconv depthwiseconv2d separableconv2d",
    "maxpool": "maxpool maxpool1d maxpool2d maxpooling maxpooling2d adaptivemaxpool2d "
    "spikingmaxpooling2dlayer",
    "globalpool": "adaptiveavgpool2d globalaveragepooling2d globalavgpool globalaveragepool",
    "avgpool1d": "avgpool1d sumpool1d averagepooling1d avgpool3d sumpool3d",
    "relu": "relu relu6 leakyrelu sigmoid tanh gelu elu silu swish activation celu prelu "
    "hardtanh clamp",
    "batchnorm": "batchnorm batchnorm1d batchnorm2d batchnormalization layernorm "
    "norm groupnorm instancenorm2d "
    "normalization tdbn",
    "dropout": "dropout dropout1d dropout2d spatialdropout2d",
    "identity": "identity noop passthrough merge nonspiking",
    "add": "add addition residual plus sum",
    "concat": "concat cat concatenate stack join",
    "adaptive": "alif adlif adex adaptivelif lifadex adaptive asrm sali",
    "izhikevich": "izhikevich izh hodgkinhuxley hh srm srm0 alpha resonateandfire rf brf",
    "rnn": "rnn gru lstm convlstm slstm sconv2dlstm elman",
    "softmax": "softmax logsoftmax argmax",
}
_ADVICE: dict[str, str] = {}
for _kind, _others in MEANS.items():
    _ADVICE |= dict.fromkeys(_others.split(), f"did you mean {_kind}?")
for _family, _others in FAMILIES.items():
    _ADVICE |= dict.fromkeys(_others.split(), OTHERWISE[_family])
_ADVICE |= {kind.lower(): f"did you mean {kind}?" for kind in PRIMITIVES}


def advice(name: str) -> str:
    """Return a sentence of help for the unknown type ``name``."""
    plain = "".join(c for c in name[:60].lower() if c.isalnum())
    for known in (plain, *_without_suffix(plain)):
        if known in _ADVICE:
            return _ADVICE[known]
    close = nearest(plain, _ADVICE, cutoff=0.75)
    return _ADVICE[close[0]] if close else EXPRESS


def _without_suffix(plain: str) -> list[str]:
    return [plain.removesuffix(end) for end in SUFFIXES if plain.endswith(end) and plain != end]
