"""Operators and populations of a chip as torch modules that NeuroBench's hooks know."""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from nirc.ir.arrays import Shape, size
from nirc.neurobench.network import Neurons, Operator

WIDTHS = (np.int8, np.int16, np.int32)
SUMS = torch.float64  # exact for sums of spikes and integers up to 2^53


def stored(values: NDArray[Any]) -> torch.Tensor:
    """Return numbers in the narrowest type that holds them, without their common power of two.

    Weights on a grid of 2^k are so the integers that a chip stores. Types: int8, int16, int32,
    then float32, then float64.
    """
    if values.size and np.isfinite(values).all() and (values == np.rint(values)).all():
        largest = np.abs(values).max()
        if largest < 2.0**53:
            integers = np.asarray(values, np.int64)
            every_bit = int(np.bitwise_or.reduce(np.abs(integers), axis=None))
            integers = integers // ((every_bit & -every_bit) or 1)
            for width in WIDTHS:
                if (integers == integers.astype(width)).all():
                    return torch.from_numpy(integers.astype(width))
    narrow = values.astype(np.float32)
    return torch.from_numpy(narrow if (narrow == values).all() else values.astype(np.float64))


def _parameter(values: NDArray[Any]) -> nn.Parameter:
    return nn.Parameter(stored(values), requires_grad=False)


class Matrix(nn.Linear):
    """A matrix of weights (out, in) on flat signals."""

    def __init__(self, weight: NDArray[Any]) -> None:
        super().__init__(*weight.shape[::-1], bias=False, device="meta")
        self.weight = _parameter(weight)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return (samples, out)."""
        return functional.linear(signal.flatten(1).to(SUMS), self.weight.to(SUMS))


class Factors(nn.Linear):
    """One weight for each neuron."""

    def __init__(self, weight: NDArray[Any]) -> None:
        super().__init__(weight.size, weight.size, bias=False, device="meta")
        self.weight = _parameter(weight)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return (samples, ...) of the same shape."""
        return signal.to(SUMS) * self.weight.to(SUMS)


class Synapses(nn.Linear):
    """A list of synapses, as chips store sparse matrices."""

    def __init__(self, target: NDArray[Any], source: NDArray[Any], weight: NDArray[Any]) -> None:
        n_in, n_out = (int(ends.max(initial=-1)) + 1 for ends in (source, target))
        super().__init__(n_in, n_out, bias=False, device="meta")
        self.weight = _parameter(weight)
        self.ends = [torch.from_numpy(each.astype(np.int64)) for each in (target, source)]

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return (samples, out)."""
        target, source = (each.to(signal.device) for each in self.ends)
        arriving = signal.flatten(1)[:, source].to(SUMS) * self.weight.to(SUMS)
        total = torch.zeros(len(signal), self.out_features, dtype=SUMS, device=signal.device)
        return total.index_add_(1, target, arriving)


class Kernel(nn.Conv2d):
    """A shared kernel (channels out, channels in, y, x) on maps."""

    def __init__(self, fields: dict[str, Any]) -> None:
        weight = fields["weight"]
        stride, padding, dilation = (
            tuple(int(n) for n in fields[key]) for key in ("stride", "padding", "dilation")
        )
        super().__init__(
            weight.shape[1],
            weight.shape[0],
            weight.shape[2:],
            stride,
            padding,
            dilation,
            bias=False,
            device="meta",
        )
        self.weight = _parameter(weight)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return (samples, channels out, y, x)."""
        return functional.conv2d(
            signal.to(SUMS),
            self.weight.to(SUMS),
            None,
            self.stride,
            self.padding,
            self.dilation,
        )


class SumPool(nn.Module):
    """The sum over windows of maps. It has no weights, and NeuroBench counts none."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = (
            tuple(int(n) for n in fields[key]) for key in ("kernel_size", "stride", "padding")
        )

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return (samples, channels, y, x)."""
        above, left = self.padding
        padded = functional.pad(signal.to(SUMS), (left, left, above, above))
        return functional.avg_pool2d(padded, self.kernel, self.stride, divisor_override=1)


class Route(nn.Sequential):
    """The operators of a projection in order, on signals of ``shape``."""

    def __init__(self, operators: tuple[Operator, ...], shape: Shape) -> None:
        super().__init__(*(layer_of(each) for each in operators))
        self.shape = shape

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Run a flat signal (samples, n), so that hooks see what each operator gets."""
        result: torch.Tensor = super().forward(signal.reshape(len(signal), *self.shape))
        return result


def layer_of(operator: Operator) -> nn.Module:
    """Return an operator as a module."""
    fields: dict[str, Any] = dict(operator.fields)
    match operator.type:
        case "Linear":
            return Matrix(fields["weight"])
        case "Scale":
            return Factors(fields["scale"])
        case "Conv2d":
            return Kernel(fields)
        case "SumPool2d":
            return SumPool(fields)
        case "synapses":
            return Synapses(fields["target"], fields["source"], fields["weight"])
        case _:
            return nn.Flatten()


class Population(snntorch.SpikingNeuron):
    """A population whose spikes and membrane potentials come from the chip's emulator.

    A subclass of snnTorch's neurons, since NeuroBench reads membrane potentials of these only.
    """

    init_hidden = True  # NeuroBench: the result of ``forward`` is the spikes
    output = False

    def __init__(self, neurons: Neurons) -> None:
        nn.Module.__init__(self)  # SpikingNeuron's own keeps every instance in a list for ever
        self.n = size(neurons.shape)
        self.fires = neurons.threshold is not None
        self.mem: torch.Tensor = torch.zeros(self.n)
        if neurons.threshold is not None:
            self.register_buffer("threshold", stored(np.asarray(neurons.threshold)))

    def forward(self, answer: torch.Tensor, membrane: torch.Tensor) -> torch.Tensor:
        """Return the answer (samples, n) of a step, and keep the membrane potential behind it."""
        self.mem = membrane
        return answer
