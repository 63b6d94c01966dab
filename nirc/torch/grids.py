"""Parameters on the grids of a chip, with slopes that pass straight through the rounding."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
import torch
from torch import Tensor

from nirc.chip.training import Grid, Mantissas, Multiples, Reals, ShiftDecays, Singles, Trainable
from nirc.ir.arrays import Float


class _Straight(torch.autograd.Function):  # type: ignore[misc]  # torch is not looked at by mypy
    """``rounded`` forwards, the slope of ``x`` backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor) -> Tensor:
        return rounded

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope, None


def on_grid(x: Tensor, grid: Grid) -> Tensor:
    """Return the numbers of the grid that are nearest to ``x``."""
    with torch.no_grad():
        rounded = _nearest(x, grid)
    result: Tensor = _Straight.apply(x, rounded)
    return result


def _nearest(x: Tensor, grid: Grid) -> Tensor:
    match grid:
        case Reals(low, high):
            return x.clamp(low, high)
        case Multiples(low, high, step):
            return (x / step).round().clamp(low, high) * step
        case Singles(low, high):
            return x.clamp(low, high).float().double()
        case ShiftDecays(least, most):
            shift = -torch.log2((1 - x).clamp(min=2.0**-most))
            return 1 - torch.exp2(-shift.round().clamp(least, most))
        case Mantissas(top, most):
            return _with_exponents(x, top, most)
        case _:
            assert_never(grid)


def _with_exponents(x: Tensor, top: float, most: int) -> Tensor:
    integer = x.round()
    step = torch.ones_like(x)
    for _ in range(most):
        beyond = (integer.abs() / step).round() > top
        step = torch.where(beyond, 2 * step, step)
    return (integer / step).round().clamp(-top, top) * step


class Held:
    """An array of the program as a parameter of a module, in the model's units.

    One number of a group is in the units of its first neuron: the chip holds one integer for all.
    """

    def __init__(self, values: Float, trainable: Trainable) -> None:
        self.trainable = trainable
        self.shape = values.shape
        unit = np.broadcast_to(trainable.unit, values.shape)
        group = trainable.group
        start = (values / unit).ravel()
        self.group: Tensor | None = None
        if group is not None:
            _, first, inverse = np.unique(group.ravel(), return_index=True, return_inverse=True)
            start = start[first]
            unit = unit.ravel()[first][inverse.ravel()].reshape(self.shape)
            self.group = torch.from_numpy(inverse.ravel().astype(np.int64))
        self.unit = torch.from_numpy(np.array(unit, np.float64))
        flat = torch.from_numpy(np.array(start, np.float64))
        self.start = flat if self.group is not None else flat.reshape(self.shape)

    def on_chip(self, parameter: Tensor) -> Tensor:
        """Return the chip's numbers, in their shape, for a parameter."""
        if self.group is not None:
            parameter = parameter[self.group.to(parameter.device)].reshape(self.shape)
        return on_grid(parameter * self.unit.to(parameter.device), self.trainable.grid)
