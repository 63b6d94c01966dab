"""The interpreter of ``Computation`` in torch, forwards and backwards.

Numbers are float64, which holds the integers of all chips. Forwards each operation gives the bits
of the chip. Backwards rounding, clipping, saturation and wrap-around pass slopes straight through.
A spike has the slope ``1 / (threshold (1 + SHARP |v - threshold| / threshold)^2)``, as in
calibration. If neurons may fire several times in a step, the slope stays at its maximum above the
threshold. Slopes go through a subtracted threshold, too: without that, those of a loop that fires
several times a step grow with every step (JapaneseVowels on Xylo: a norm of 1.7e7 instead of 3.4,
``benchmarks/torch_training.py --detached``). A membrane that is set passes no slope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nirc.ir.computation import (
    OUT,
    SPIKES,
    X_2,
    Bound,
    Compare,
    Computation,
    Copy,
    Fold,
    Leak,
    Over,
    Plus,
    Receive,
    Saturate,
    Set,
    Single,
    Step,
    Subtract,
    Times,
    Truncate,
    Wrap,
    X,
)
from nirc.native.saturated import HIGH, LOW

Registers = dict[str, Tensor]
SHARP = 2.0


def forward(step: Step, at: Registers) -> None:
    """Do one operation, but ``Receive``. ``at``: registers and parameters by name."""
    match step:
        case Times(to, of, by):
            at[to] = at[of] * at[by]
        case Over(to, of, by):
            at[to] = at[of] / at[by]
        case Plus(to, first, second):
            at[to] = at[first] + at[second]
        case Copy(to, of):
            at[to] = torch.zeros_like(at[to]) if of is None else at[of]
        case Truncate(to, grain):
            at[to] = at[to].trunc() if grain == 1 else (at[to] / grain).trunc() * grain
        case Single(to):
            at[to] = at[to].float().double()
        case Saturate(to, low, high):
            at[to] = at[to].clamp(low, high)
        case Fold(to, limit):
            at[to] = _folded(at[to], limit)
        case Wrap(to, bits):
            at[to] = _wrapped(at[to], 2.0 ** (bits - 1))
        case Leak(to, of, decay):
            x = at[of]
            at[to] = torch.maximum((x * (1 - at[decay])).floor_(), x.clamp(max=1.0)).neg_()
        case Compare():
            at[SPIKES] = _spikes(step, at[step.of], at[step.threshold])
        case Subtract(of, amount, spikes, sign):
            lost = at[spikes] * at[amount]
            at[of] = at[of] - lost if sign > 0 else at[of] + lost
        case Set(of, to):
            at[of] = torch.where(at[SPIKES] > 0, at[to], at[of])
        case Bound(of, least):
            at[of] = torch.maximum(at[of], at[least])


def _folded(x: Tensor, limit: float) -> Tensor:
    if not x.numel() or float(x.abs().max()) < limit:
        return x
    raised = torch.where(x <= -limit, x + 2 * limit, x)
    return torch.where(x > limit, x - 2 * limit, raised)


def _wrapped(x: Tensor, half: float) -> Tensor:
    if not x.numel() or float(x.abs().max()) < half:
        return x
    return x - 2 * half * torch.floor((x + half) / (2 * half))


def _spikes(step: Compare, v: Tensor, threshold: Tensor) -> Tensor:
    most = step.most
    if step.integers and step.at == ">=" and most != 1:
        return (v / threshold).floor_().clamp_(0.0, torch.inf if most is None else float(most))
    fired = (v >= threshold if step.at == ">=" else v > threshold).double()
    if most == 1:
        return fired
    above = torch.where(threshold > 0, threshold, torch.inf)
    count = (v / above).floor_().clamp_(1.0, torch.inf if most is None else float(most))
    return torch.where(fired > 0, count, 0.0)


@dataclass(frozen=True)
class Seen:
    """Spikes and membranes (steps, batch, n) that replace those of the computation.

    Slopes are those of the computation at these values.
    """

    spikes: Tensor
    v: Tensor


class Arrivals(Protocol):
    """The sources that reach a population, one after another."""

    def received(self, t: int, receptor: str, state: Tensor) -> Tensor:
        """Return the synaptic state (batch, n) once all sources of step ``t`` are added."""


def _received(step: Receive, at: Registers, arrivals: Arrivals | None, t: int) -> Tensor:
    state = at[step.to]
    if arrivals is None:
        return (state + at[step.source]).clamp(LOW, HIGH)
    return arrivals.received(t, step.source, state)


class Kept:
    """The tensors of one forward operation that ``backward`` needs."""

    __slots__ = ("spikes", "value")

    def __init__(self, step: Step, at: Registers, wanted: frozenset[str]) -> None:
        self.value: Tensor | None = None
        self.spikes: Tensor | None = None
        match step:
            case Times(of=of, by=by):
                self.value = at[of] if by in wanted else None
            case Leak(of=of, decay=decay):
                self.value = at[of] if decay in wanted else None
            case Compare(of=of):
                self.value = at[of]
            case Subtract(amount=amount, spikes=spikes):
                self.spikes = at[spikes] if amount in wanted else None
            case Set():
                self.spikes = at[SPIKES]
            case _:
                pass


class Slopes:
    """Slopes of the loss by registers, and their sums by the parameters in ``wanted``."""

    def __init__(self, parameters: Registers, wanted: frozenset[str]) -> None:
        self.parameters = parameters
        self.wanted = wanted
        self.at: dict[str, Tensor | None] = {}
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, slope: Tensor) -> None:
        """Add a slope (batch, n) of a register or a parameter."""
        if name in self.parameters:
            if name in self.wanted:
                known = self.sums.get(name)
                total = slope.sum(0)
                self.sums[name] = total if known is None else known + total
            return
        known = self.at.get(name)
        self.at[name] = slope if known is None else known + slope

    def backward(self, step: Step, kept: Kept) -> None:
        """Go back through one operation."""
        match step:
            case Compare():
                self._compare(step, kept)
            case Subtract(of, amount, spikes, sign):
                slope = self.at.get(of)
                if slope is not None:
                    self.add(spikes, -sign * slope * self.parameters[amount])
                    if kept.spikes is not None:
                        self.add(amount, -sign * slope * kept.spikes)
            case Set(of, to):
                self._set(of, to, kept)
            case Receive(to, source):
                slope = self.at.get(to)
                if slope is not None:
                    self.add(source, slope)
            case Times(to) | Over(to) | Plus(to) | Copy(to) | Leak(to):
                slope = self.at.pop(to, None)
                if slope is not None:
                    self._assigned(step, slope, kept)
            case Truncate() | Single() | Saturate() | Fold() | Wrap() | Bound():
                pass  # straight through

    def _assigned(self, step: Step, slope: Tensor, kept: Kept) -> None:
        match step:
            case Times(_, of, by):
                if kept.value is not None:
                    self.add(by, slope * kept.value)
                self.add(of, slope * self.parameters[by])
            case Over(_, of, by):
                self.add(of, slope / self.parameters[by])
            case Plus(_, first, second):
                self.add(first, slope)
                self.add(second, slope)
            case Copy(of=str(of)):
                self.add(of, slope)
            case Leak(_, of, decay):
                if kept.value is not None:
                    self.add(decay, slope * kept.value)
                self.add(of, slope * (self.parameters[decay] - 1))
            case _:
                pass

    def _compare(self, step: Compare, kept: Kept) -> None:
        slope = self.at.pop(SPIKES, None)
        if slope is None or kept.value is None:
            return
        threshold = self.parameters[step.threshold]
        unit = torch.where(threshold > 0, threshold, 1.0)
        away = (kept.value - threshold) / unit
        far = away.neg_().clamp_(min=0.0) if step.most != 1 else away.abs_()
        by_v = slope / (unit * far.mul_(SHARP).add_(1.0).square_())
        self.add(step.of, by_v)
        if step.threshold in self.wanted:
            self.add(step.threshold, -by_v)

    def _set(self, of: str, to: str, kept: Kept) -> None:
        slope = self.at.pop(of, None)
        if slope is None or kept.spikes is None:
            return
        fired = kept.spikes > 0
        self.at[of] = slope.masked_fill(fired, 0.0)
        if to in self.wanted:
            self.add(to, slope.masked_fill(~fired, 0.0))


class _Steps(torch.autograd.Function):  # type: ignore[misc]  # torch is not looked at by mypy
    """Several steps of a population.

    Takes the input of each receptor (steps, batch, n), what was seen, what arrives source by
    source, the states (batch, n), and the parameters (n,). Returns what leaves in each step, and
    the states after the last.
    """

    @staticmethod
    def forward(ctx: Any, computation: Computation, first: Tensor, *rest: Any) -> Any:
        states, names = list(computation.states), list(computation.parameters)
        second, seen, arrivals, tensors = rest[0], rest[1], rest[2], rest[3:]
        parameters = dict(zip(names, tensors[len(states) :], strict=True))
        offset = 5 + len(states)  # behind what stands before the parameters
        wanted = frozenset(n for i, n in enumerate(names) if ctx.needs_input_grad[offset + i])
        keeps = any(ctx.needs_input_grad)
        at: Registers = {**parameters, **dict(zip(states, tensors, strict=False))}
        out = []
        kept: list[list[Kept]] = []
        for t in range(len(first)):
            at[X] = first[t]
            at[X_2] = first.new_zeros(()) if second is None else second[t]
            kept.append([])
            for step in computation.steps:
                if keeps:
                    kept[-1].append(Kept(step, at, wanted))
                if isinstance(step, Receive):
                    at[step.to] = _received(step, at, arrivals, t)
                else:
                    forward(step, at)
                if seen is not None and isinstance(step, Compare):
                    at[SPIKES] = seen.spikes[t]
            if seen is not None:
                at["v"] = seen.v[t]
            out.append(at[OUT])
        ctx.set_materialize_grads(False)
        ctx.kept, ctx.parameters, ctx.wanted = kept, parameters, wanted
        ctx.computation, ctx.like = computation, (first, second)
        # A state is a tensor of its own, which no input of this function is.
        ends = (at[name].clone() for name in states)
        return (torch.stack(out) if out else torch.zeros_like(first), *ends)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, slope: Tensor | None, *ends: Tensor | None) -> Any:
        computation: Computation = ctx.computation
        first, second = ctx.like
        slopes = Slopes(ctx.parameters, ctx.wanted)
        for name, end in zip(computation.states, ends, strict=True):
            if end is not None:
                slopes.at[name] = end
        by_first = torch.zeros_like(first)
        by_second = None if second is None else torch.zeros_like(second)
        for t in reversed(range(len(ctx.kept))):
            if slope is not None:
                slopes.add(OUT, slope[t])
            back = zip(reversed(computation.steps), reversed(ctx.kept[t]), strict=True)
            for step, kept in back:
                slopes.backward(step, kept)
            for name, into in ((X, by_first), (X_2, by_second)):
                arrived = slopes.at.pop(name, None)
                if arrived is not None and into is not None:
                    into[t] = arrived
        states = [slopes.at.get(name) for name in computation.states]
        sums = [slopes.sums.get(name) for name in computation.parameters]
        return (None, by_first, by_second, None, None, *states, *sums)


def run_steps(
    computation: Computation,
    inputs: tuple[Tensor, Tensor | None],
    states: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
    seen: Seen | None = None,
    arrivals: Arrivals | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run all steps of ``inputs``, (steps, batch, n) of each receptor.

    Return what leaves (steps, batch, n), and the states after the last step.
    """
    named = [parameters[name] for name in computation.parameters]
    out, *ends = _Steps.apply(computation, inputs[0], inputs[1], seen, arrivals, *states, *named)
    return out, ends
