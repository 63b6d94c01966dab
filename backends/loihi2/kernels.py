"""A chain of linear operators as one operator: dense, sparse or a shared kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.operators import MAX_ENTRIES, as_kernel, as_map, as_matrix, densified, identity
from nirc.analysis.retiming import Timing
from nirc.backends.loihi2.limits import CONV_MAP, CONV_PADDING, CONV_STEP
from nirc.backends.loihi2.plan import Plan
from nirc.backends.loihi2.tables import Geometry
from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, LinearOp, Weighted
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.passes.fuse_linear import fuse


class KernelCannotBeShared(TooManyEntries):
    """A convolution that cannot stay a kernel, and is too large for a list."""

    population: str
    synapses: int

    def words(self) -> Words:
        """Return the words of this finding."""
        return Words(
            f"the convolution into `{self.population}` cannot stay shared and has too many "
            "synapses to list",
            found=f"{self.synapses} synapses",
            limit=self.most,
            help="one time constant for the maps on both sides, one threshold a channel, no "
            "delays beside it",
        )


def one_operator(ops: tuple[LinearOp, ...], n_in: int) -> Weighted | None:
    """Return the chain as one operator, or None if it is too large to list.

    It is a shared kernel if possible. A pool becomes part of the next convolution: summing and then
    convolving is a convolution with a larger kernel and stride.
    """
    ops = fuse(ops)
    if not ops:
        return identity(n_in)
    conv = _kernel(ops)
    if conv is not None:
        return conv
    if len(ops) == 1 and isinstance(ops[0], Dense):
        return ops[0]
    return as_matrix(ops)


def geometry_of(conv: Conv) -> Geometry | None:
    """Return the geometry, if the chip's convolution takes it."""
    paddings = [pad for pad, _ in conv.padding]
    steps = [*conv.weight.shape[2:], *conv.stride, *conv.dilation, conv.groups]
    maps = [*conv.shape_in[1:], *conv.shape_out[1:]]
    sound = (
        all(before == after for before, after in conv.padding)
        and CONV_STEP[0] <= min(steps) <= max(steps) <= CONV_STEP[1]
        and CONV_PADDING[0] <= min(paddings) <= max(paddings) <= CONV_PADDING[1]
        and CONV_MAP[0] <= min(maps) <= max(maps) <= CONV_MAP[1]
    )
    if not sound:
        return None
    (sy, sx), (py, px), (dy, dx) = conv.stride, paddings, conv.dilation
    geometry = Geometry(
        as_map(conv.shape_in), as_map(conv.shape_out), (sy, sx), (py, px), (dy, dx), conv.groups
    )
    ky, kx = conv.weight.shape[2:]
    return geometry if geometry.covers((ky, kx)) == geometry.shape_out[1:] else None


def _kernel(ops: tuple[LinearOp, ...]) -> Conv | None:
    """Return the chain as a convolution that the chip takes."""
    conv = as_kernel(ops)
    if conv is None:
        return None
    conv = _evenly_padded(conv)
    return conv if geometry_of(conv) is not None else None


def _evenly_padded(conv: Conv) -> Conv:
    """Pad both sides alike, as Lava does. Zeros of the kernel read the added padding."""
    if all(before == after for before, after in conv.padding):
        return conv
    if max(conv.dilation) > 1:
        conv = densified(conv)
    most = [max(pads) for pads in conv.padding]
    grown = [(m - before, m - after) for m, (before, after) in zip(most, conv.padding, strict=True)]
    weight = np.pad(conv.weight, ((0, 0), (0, 0), *grown))
    return replace(conv, weight=frozen(weight), padding=tuple((m, m) for m in most))


def storable(program: Program, timing: Timing, log: Log, *, listed: bool) -> Program:
    """Unroll kernels that cannot stay shared. Report P307 if a list would be too long.

    The chip's convolution has no delays and one threshold a channel, and its neurons are not split.
    ``listed``: unroll all, since kernels have no exponents.
    """
    edges = []
    for (source, target, p), delay in zip(program.edges(), timing.delays, strict=True):
        conv = p.ops[0] if p.ops else None
        stays = not listed and not delay
        if not isinstance(conv, Conv) or (stays and _uniform(program, source, target, conv)):
            edges.append((source, target, p))
            continue
        entries = as_matrix(p.ops)
        if entries is None:
            where = "/".join(p.origins[:1]) or program[target].origins[0]
            log.add(
                KernelCannotBeShared(
                    where=where, most=MAX_ENTRIES, population=target, synapses=conv.entries
                )
            )
            continue
        edges.append((source, target, replace(p, ops=(entries,))))
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)


def _uniform(program: Program, source: str, target: str, op: Conv) -> bool:
    """Return True if neither end is split, and the target has one threshold a channel."""
    for name in (source, target):
        payload = program[name]
        if isinstance(payload, Population):
            plan = Plan(payload, [], 0)
            kinds = np.stack([plan.du, plan.dv, plan.never_rests])
            if (kinds != kinds[:, :1]).any():
                return False
    unit = Plan(program[target], [], 0).unit.reshape(op.shape_out[0], -1)
    return bool((unit == unit[:, :1]).all())
