"""Linear operators in torch: over any batch, with slopes by their weights."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nirc.ir.arrays import size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse

MOST_DENSE = 1 << 22  # places of a list of synapses that becomes a matrix


class Operator:
    """An operator of a program, whose weights may come from elsewhere."""

    def __init__(self, op: LinearOp, device: torch.device) -> None:
        self.op = op
        self.device = device
        self.fixed = None if isinstance(op, Pool) else self._tensor(_numbers(op))
        if isinstance(op, Sparse):
            self.target = torch.from_numpy(op.target.astype(np.int64)).to(device)
            self.source = torch.from_numpy(op.source.astype(np.int64)).to(device)

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.array(values, np.float64)).to(self.device)

    def ready(self, weights: Tensor | None) -> Tensor | None:
        """Return the numbers for ``apply``, made once for all steps. None: those of the program."""
        weights = self.fixed if weights is None else weights
        op = self.op
        if not isinstance(op, Sparse) or weights is None:
            return weights
        if op.n_in * op.n_out <= MOST_DENSE:
            matrix = weights.new_zeros((op.n_out, op.n_in))
            return matrix.index_put((self.target, self.source), weights)
        index = torch.stack([self.target, self.source])
        return torch.sparse_coo_tensor(index, weights, (op.n_out, op.n_in))

    def apply(self, x: Tensor, ready: Tensor | None) -> Tensor:
        """Map (batch, n_in) to (batch, n_out)."""
        op = self.op
        match op:
            case Diagonal():
                return x * ready
            case Conv():
                return _convolved(x, op, ready)
            case Pool():
                ones = (1,) * len(op.kernel)
                channels = op.shape_in[0]
                kernel = x.new_ones((channels, 1, *op.kernel))
                as_conv = Conv(
                    np.zeros(0), op.shape_in, op.shape_out, op.stride, op.padding, ones, channels
                )
                return _convolved(x, as_conv, kernel) * op.factor
            case Dense() | Sparse():
                assert ready is not None
                if ready.is_sparse:
                    return torch.sparse.mm(ready, x.T).T
                return x @ ready.T


def _numbers(op: Dense | Diagonal | Conv | Sparse) -> np.ndarray:
    if isinstance(op, Diagonal):
        return op.scale
    return op.value if isinstance(op, Sparse) else op.weight


def _convolved(x: Tensor, op: Conv, kernel: Tensor | None) -> Tensor:
    maps = x.reshape(len(x), *op.shape_in)
    if any(pad != (0, 0) for pad in op.padding):
        pads = list(chain.from_iterable(reversed(op.padding)))
        maps = functional.pad(maps, pads)
    convolve = functional.conv1d if len(op.shape_in) == 2 else functional.conv2d
    y = convolve(maps, kernel, None, op.stride, 0, op.dilation, op.groups)
    return y.reshape(len(x), size(op.shape_out))
