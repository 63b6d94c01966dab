"""The numbers of an integer program that learn: real values behind integers on the chip's grid.

Adam changes the real values. The chip gets the nearest numbers of the grid. So small changes add
up until they reach the next number.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from nirc.chip.training import Grid, Mantissas, Multiples, Reals, ShiftDecays, Singles, Trainable
from nirc.ir.arrays import Float, on_grid

FIRST = 0.9  # Adam's decays
SECOND = 0.99
MARGIN = 0.4  # steps of the grid by which a value may pass its end
TINY = 1e-12


class Number:
    """An array of the program that learns. ``unit``: what a rate of learning is a share of."""

    def __init__(self, value: Float, trainable: Trainable, unit: Float | float) -> None:
        self.trainable = trainable
        self.value: Float = np.array(value, np.float64)
        self.start = self.value
        self.unit = unit
        self.mask = np.ones(self.value.shape, np.bool_)
        self.first: Float = np.zeros_like(self.value)
        self.second: Float = np.zeros_like(self.value)
        self.total: Float = np.zeros_like(self.value)
        self.averaged = 0
        self.rounds = 0

    def learn(self, gradient: Float, rate: float) -> None:
        """Change by the sign and size of ``gradient``, at most by about ``rate`` units."""
        gradient = self._shared(gradient)
        self.rounds += 1
        self.first = FIRST * self.first + (1 - FIRST) * gradient
        self.second = SECOND * self.second + (1 - SECOND) * gradient * gradient
        mean = self.first / _left(FIRST, self.rounds)
        square = self.second / _left(SECOND, self.rounds)
        change = rate * self.unit * mean / (np.sqrt(square) + TINY) * self.mask
        # Cut to a grid, since powers and roots differ in their last bits between machines.
        self.value = on_grid(_inside(self.value - change, self.trainable.grid))

    def average(self) -> None:
        """Add the present value to the mean."""
        self.total = self.total + self.value
        self.averaged += 1

    def forget_average(self) -> None:
        """Begin a new mean."""
        self.total = np.zeros_like(self.value)
        self.averaged = 0

    def on_chip(self, *, averaged: bool = False) -> Float:
        """Return the numbers of the grid nearest to the value, or to the mean."""
        value = self.total / max(1, self.averaged) if averaged else self.value
        return np.where(self.mask, nearest(value, self.trainable.grid), self.start)

    def _shared(self, gradient: Float) -> Float:
        """Return the gradient with the sum of each group in all its members."""
        group = self.trainable.group
        if group is None:
            return gradient
        _, index = np.unique(group.ravel(), return_inverse=True)
        sums = np.bincount(index.ravel(), gradient.ravel())
        return np.asarray(sums[index.ravel()], np.float64).reshape(gradient.shape)


def nearest(value: Float, grid: Grid) -> Float:
    """Return the numbers of ``grid`` that are nearest to ``value``."""
    match grid:
        case Reals(low, high):
            return np.clip(value, low, high)
        case Multiples(low, high, step):
            return np.clip(np.rint(value / step), low, high) * step
        case Singles(low, high):
            return np.clip(value, low, high).astype(np.float32).astype(np.float64)
        case Mantissas(top, most):
            return _with_exponents(value, top, most)
        case ShiftDecays():
            raise TypeError("decays do not learn here")
        case _:
            assert_never(grid)


def _inside(value: Float, grid: Grid) -> Float:
    """Return ``value`` at most a part of a step beyond the ends of the grid."""
    match grid:
        case Reals(low, high) | Singles(low, high):
            return np.clip(value, low, high)
        case Multiples(low, high, step):
            return np.clip(value, (low - MARGIN) * step, (high + MARGIN) * step)
        case Mantissas(top, most):
            return np.clip(value, -top * 2.0**most, top * 2.0**most)
        case ShiftDecays():
            raise TypeError("decays do not learn here")
        case _:
            assert_never(grid)


def _with_exponents(value: Float, top: float, most: int) -> Float:
    integer = np.rint(value)
    step = np.ones_like(integer)
    for _ in range(most):
        step = np.where(np.rint(np.abs(integer) / step) > top, 2 * step, step)
    return np.clip(np.rint(integer / step), -top, top) * step


def _left(decay: float, rounds: int) -> float:
    """Return ``1 - decay^rounds``, by products: the same on every machine."""
    share = 1.0
    for _ in range(rounds):
        share *= decay
        if share < TINY:
            break
    return 1.0 - share
