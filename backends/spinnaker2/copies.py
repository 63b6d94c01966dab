"""Copies of input channels: further spike sources with the same spikes.

A weight of a copied input is the sum of up to ``copies`` integer weights. So a weight may be that
many times larger, and a neuron's scale that many times finer. A channel gets only as many copies as
its largest weight needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.spinnaker2.constants import Arc, shares
from nirc.backends.spinnaker2.findings import InputSplit
from nirc.backends.spinnaker2.limits import MAX_ATOMS, PES, Prices
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse, sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, Source
from nirc.ir.program import Program
from nirc.semantics.stepper import Stepper

CHOICES = (8, 4, 2)  # of ``--set copies``, besides 1
# The default in networks that take, with copies, at most a quarter of a chip and half of a PE for a
# neuron (?: choices).
MOST_SLICES = PES // 4
MOST_SYNAPSES = PES * Prices.dyn_bytes // Prices.synapse_bytes // 4
MOST_FAN_IN = Prices.dyn_bytes // (Prices.synapse_bytes + Prices.row_header) // 2


@dataclass(frozen=True)
class Copy:
    """Spike sources that play channels of an input, as the projection into them assigns."""

    fires: ClassVar[bool] = True

    def stepper(self, batch: int) -> Stepper:
        """Return a stepper without state."""
        return _CopyStepper()

    def as_discrete(self) -> Discrete:
        """Return a comparison with half a spike."""
        zero, one = np.zeros(1), np.ones(1)
        return Discrete(zero, one, zero, threshold=one / 2, v_reset=zero)


class _CopyStepper:
    v: Float = np.zeros((1, 1))

    def step(self, x: Float, second: Float | None = None) -> Float:
        return x


@dataclass(frozen=True)
class Summed:
    """Synapses of an input, each a sum of ``parts`` within the range of a weight.

    The first part comes from the input, the others from copies.
    """

    source: str
    target: str
    projection: Projection  # without its operator
    op: Sparse  # target and source neuron of each synapse
    parts: tuple[Int, ...]

    @staticmethod
    def of(arc: Arc, op: Sparse, limit: int) -> Summed:
        """Return the arc through ``op``, whose integer weights may be above ``limit``."""
        return Summed(*arc, op, tuple(shares(np.rint(op.value).astype(np.int64), limit)))

    @property
    def arc(self) -> Arc:
        """The part that comes from the input."""
        first = replace(self.op, value=frozen(self.parts[0].astype(np.float64)))
        return self.source, self.target, replace(self.projection, ops=(first,))

    @property
    def copies(self) -> Int:
        """(channels,) the number of copies that each channel needs."""
        needed = np.zeros(self.op.n_in, np.int64)
        if self.parts[1:]:
            np.maximum.at(needed, self.op.source, np.count_nonzero(self.parts[1:], axis=0))
        return needed

    def rest(self, first: Int, count: int) -> Projection:
        """Return the parts of ``count`` copies. ``first`` (channels,): the first of a channel."""
        synapses = []
        for k, part in enumerate(self.parts[1:]):
            some = np.flatnonzero(part)
            synapses.append((self.op.target[some], first[self.op.source[some]] + k, part[some]))
        target, source, value = map(np.concatenate, zip(*synapses, strict=True))
        op = sparse(target, source, value.astype(np.float64), count, self.op.n_out)
        return replace(self.projection, ops=(op,))


def add_copies(
    sums: Iterable[Summed], program: Program, nodes: dict[str, object], arcs: list[Arc], log: Log
) -> None:
    """Add copies to the nodes and arcs of a changed ``program``. Reports N913."""
    by_source: dict[str, list[Summed]] = {}
    for summed in sums:
        if summed.copies.any():
            by_source.setdefault(summed.source, []).append(summed)
    for source, parts in by_source.items():
        port: Source = program[source]
        needed = np.max([summed.copies for summed in parts], axis=0)
        count = int(needed.sum())
        channels = np.repeat(np.arange(port.n), needed)
        name = program.fresh_name(f"{source}.copies", nodes)
        nodes[name] = Population((count,), Copy(), port.origins, Role.RELAY)
        same = Sparse(np.arange(count), channels, frozen(np.ones(count)), port.n, count)
        arcs.append((source, name, Projection(ops=(same,), origins=port.origins)))
        first = np.cumsum(needed) - needed
        arcs += [(name, summed.target, summed.rest(first, count)) for summed in parts]
        most = int(needed.max()) + 1
        log.add(InputSplit(where=port.origins[0], port=source, copies=count, most=most))


def roomy(program: Program) -> int:
    """Return the default copies of inputs, 1 if there is no room for more."""
    return next((copies for copies in CHOICES if _small(program, copies)), 1)


def _small(program: Program, copies: int) -> bool:
    times = {name: copies if isinstance(program[name], Source) else 1 for name in program.graph}
    slices = sum(-(-program[name].n * k // MAX_ATOMS) for name, k in times.items())
    synapses = fan_in = 0
    for name in program.nodes(Population):
        into = program.into(name)
        for source, projection in into:
            synapses += times[source] * sum(op.entries for op in projection.ops)
        fan_in = max(fan_in, sum(times[source] * program[source].n for source, _ in into))
    return slices <= MOST_SLICES and synapses <= MOST_SYNAPSES and fan_in <= MOST_FAN_IN
