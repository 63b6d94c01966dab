"""A computation as one step of torch's record, so that slopes are computed with one thread, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Compute = Callable[[Sequence[Tensor]], Sequence[Tensor]]


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread of torch: the arrays of a step are small, and threads would wait."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def whole(compute: Compute, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return ``compute(inputs)``, computed with one thread of torch, and so its slopes.

    torch computes slopes after the call, with all its threads. They wait for one another around
    arrays as small as a step's, which costs a loaded machine many times the CPU.
    """
    if torch.is_grad_enabled() and any(each.requires_grad for each in inputs):
        outputs: Sequence[Tensor] = _Whole.apply(compute, *inputs)
        return outputs
    with one_thread():
        return compute(inputs)


class _Whole(torch.autograd.Function):  # type: ignore[misc]  # torch is not looked at by mypy
    """Keeps the record of the computation's own steps to itself."""

    @staticmethod
    def forward(ctx: Any, compute: Compute, *inputs: Tensor) -> Any:
        inner = [each.detach().requires_grad_(each.requires_grad) for each in inputs]
        with torch.enable_grad(), one_thread():
            outputs = compute(inner)
        ctx.inner, ctx.outputs = inner, outputs
        ctx.set_materialize_grads(False)
        fixed = [each.detach() for each in outputs]
        ctx.mark_non_differentiable(
            *(one for one, made in zip(fixed, outputs, strict=True) if not made.requires_grad)
        )
        return tuple(fixed)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, *slopes: Tensor | None) -> Any:
        reached = [
            (made, slope)
            for made, slope in zip(ctx.outputs, slopes, strict=True)
            if slope is not None and made.requires_grad
        ]
        wanted = [each for each in ctx.inner if each.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if reached:
            made, given = zip(*reached, strict=True)
            with one_thread():
                found = torch.autograd.grad(
                    made, wanted, given, allow_unused=True, retain_graph=True
                )
        left = iter(found)
        return (None, *(next(left) if each.requires_grad else None for each in ctx.inner))
