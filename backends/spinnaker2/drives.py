"""The inputs of each population: a list of synapses or a convolution, and their receptors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nirc.analysis.unroll import unrolled
from nirc.backends.spinnaker2.findings import TwoFilters
from nirc.backends.spinnaker2.limits import SHEET
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse, pooled_kernel, sparse
from nirc.ir.populations import Discrete, Population, Projection, populations_of
from nirc.ir.program import Program


@dataclass(frozen=True)
class Drive:
    """A projection into a population.

    ``ops``: one ``Sparse``, or a convolution behind at most one pooling. ``extra``: steps on the
    chip in addition to the step of every synapse, set by ``timing``.
    """

    source: str
    target: str
    projection: Projection
    ops: tuple[LinearOp, ...]
    extra: int = 0

    @property
    def kernel(self) -> tuple[Pool | None, Conv] | None:
        """The pooling (or None) and the convolution. None for a list of synapses."""
        return pooled_kernel(self.ops)

    @property
    def entries(self) -> Sparse:
        """The list of synapses. Raises ``TypeError`` for a convolution."""
        match self.ops:
            case (Sparse() as op,):
                return op
        raise TypeError(f"no list of synapses: {self.ops}")


def drives(program: Program, log: Log, *, unroll: Collection[str] = ()) -> list[Drive]:
    """Return all projections with entries into populations.

    ``unroll``: populations whose convolutions are listed synapse by synapse. Reports P307 for a
    projection that is too large to list.
    """
    found = []
    for name, population in populations_of(program, Discrete).items():
        into = [(s, p) for s, p in program.into(name) if all(_has_entries(op) for op in p.ops)]
        convolves = (
            name not in unroll
            and len(into) == 1
            and _convolves(into[0][1].ops, population.dynamics)
        )
        for source, projection in into:
            if convolves:
                found.append(Drive(source, name, projection, projection.ops))
                continue
            op = unrolled(projection, program[source].n, log)
            if op.entries:
                found.append(Drive(source, name, projection, (op,)))
    return found


def merged(every: list[Drive]) -> list[Drive]:
    """Merge drives between the same neurons with the same delay and receptor. Weights add up."""
    groups: dict[tuple[str, str, int, int], list[Drive]] = {}
    for drive in every:
        key = (drive.source, drive.target, drive.extra, drive.projection.synapse)
        groups.setdefault(key, []).append(drive)
    return [_sum(group) for group in groups.values()]


def _sum(group: list[Drive]) -> Drive:
    first = group[0]
    if len(group) == 1:
        return first
    parts = [drive.entries for drive in group]
    target, source, value = map(np.concatenate, zip(*(op.coo() for op in parts), strict=True))
    op = sparse(target, source, value, parts[0].n_in, parts[0].n_out)
    origins = dict.fromkeys(first.projection.origins)
    for drive in group:
        origins |= dict.fromkeys(drive.projection.origins)
    return replace(first, ops=(op,), projection=replace(first.projection, origins=tuple(origins)))


def _has_entries(op: LinearOp) -> bool:
    values = [
        value
        for value in vars(op).values()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    ]
    return all(value.any() for value in values) and not (isinstance(op, Pool) and op.factor == 0)


def _convolves(ops: tuple[LinearOp, ...], d: Discrete) -> bool:
    """Return True if ``lif_conv2d`` computes this.

    Strides have to be square, since the order of the vendor's x and y is in doubt.
    """
    kernel = pooled_kernel(ops)
    if kernel is None or kernel[1].weight.ndim != 4 or is_filtered(d):
        return False
    pool, conv = kernel
    square = conv.stride[0] == conv.stride[1] and set(conv.dilation) == {1} and conv.groups == 1
    pools = pool is None or _pools(pool, conv)
    return square and pools and per_channel(d.gain_mem, conv) is not None


def _pools(pool: Pool, conv: Conv) -> bool:
    side = pool.kernel[0]
    tiles = all(n % side == 0 for n in pool.shape_in[1:]) and pool.shape_out == conv.shape_in
    unpadded = all(pad == (0, 0) for pad in pool.padding)
    return tiles and unpadded and {*pool.kernel, *pool.stride} == {side}


def per_channel(values: Float, conv: Conv) -> Float | None:
    """Return a value for each output channel, None if neurons of a channel differ."""
    rows = values.reshape(conv.shape_out[0], size(conv.shape_out[1:]))
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


# Receptors. The chip has a current for excitatory weights and another for inhibitory weights.


@dataclass(frozen=True)
class Receptors:
    """The model's receptors on the chip.

    ``gains``: from the output of a projection to the membrane, (n,) for each receptor of the model.
    ``decays``: of the excitatory and the inhibitory current, None without a filter. ``signs``: the
    sign of each receptor's weights if the two filters differ, else empty.
    """

    gains: tuple[Float, Float]
    decays: tuple[Float, Float] | None
    signs: tuple[int, ...] = ()

    def gain(self, drive: Drive) -> Float:
        """Return the gain of a drive."""
        return self.gains[drive.projection.synapse]


def is_filtered(d: Discrete) -> bool:
    """Return True if a synaptic filter lies before the membrane."""
    return d.decay_syn is not None or d.decay_syn_2 is not None


def receptors(
    name: str, population: Population[Discrete], into: Sequence[Drive], log: Log
) -> Receptors:
    """Return the currents that compute the model's filters.

    Reports N905 where both filters get weights of the same sign.
    """
    d = population.dynamics
    first = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
    second = d.gain_mem if d.gain_syn_2 is None else d.gain_mem * d.gain_syn_2
    if d.decay_syn_2 is None:
        decays = None if d.decay_syn is None else (d.decay_syn, d.decay_syn)
        return Receptors((first, second), decays)
    # A filter with a decay of 0 delivers its input at once.
    decay = np.zeros(population.n) if d.decay_syn is None else d.decay_syn
    alike = Receptors((first, second), (decay, decay))
    positive = [False, False]
    negative = [False, False]
    for drive in into:
        value = drive.entries.value * alike.gain(drive)[drive.entries.target]
        positive[drive.projection.synapse] |= bool((value > 0).any())
        negative[drive.projection.synapse] |= bool((value < 0).any())
    if not negative[0] and not positive[1]:
        return replace(alike, decays=(decay, d.decay_syn_2), signs=(1, -1))
    if not negative[1] and not positive[0]:
        return replace(alike, decays=(d.decay_syn_2, decay), signs=(-1, 1))
    log.add(TwoFilters(where=population.origins[0], population=name, source=SHEET))
    return alike
