"""Copies of input channels: what one whole weight cannot hold comes through further spike sources
with the same spikes.

A weight of a copied input is the sum of up to ``copies`` whole ones, so it may be so many times
larger, and a neuron's scale so many times finer. A channel gets only as many copies as its largest
weight needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.spinnaker2.clocks import Arc
from nirc.backends.spinnaker2.constants import shares
from nirc.backends.spinnaker2.limits import DYN_BYTES, MAX_ATOMS, PES, ROW_HEADER, SYNAPSE_BYTES
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse, sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, Source
from nirc.ir.program import Program
from nirc.semantics.stepper import Stepper

CHOICES = (8, 4, 2)  # of ``--set copies``, besides 1
# Unasked in networks that take, with copies, a quarter of a chip at most, and half of a PE for a
# neuron (?: choices).
MOST_SLICES = PES // 4
MOST_SYNAPSES = PES * DYN_BYTES // SYNAPSE_BYTES // 4
MOST_FAN_IN = DYN_BYTES // (SYNAPSE_BYTES + ROW_HEADER) // 2


@dataclass(frozen=True)
class Copy:
    """Spike sources that play what their input's channels play; which, the projection into them
    says.
    """

    def stepper(self, batch: int) -> Stepper:
        """It has no state."""
        return _CopyStepper()

    def as_discrete(self) -> Discrete:
        """A comparison with half a spike."""
        zero, one = np.zeros(1), np.ones(1)
        return Discrete(zero, one, zero, threshold=one / 2, v_reset=zero)

    fires: ClassVar[bool] = True


class _CopyStepper:
    v: Float = np.zeros((1, 1))

    def step(self, x: Float, second: Float | None = None) -> Float:
        return x


@dataclass(frozen=True)
class Summed:
    """Synapses of an input, each a sum of ``parts`` within the range of a weight; all but the first
    go to copies.
    """

    source: str
    target: str
    projection: Projection  # without its operator
    op: Sparse  # target and source neuron of each synapse
    parts: tuple[Int, ...]

    @staticmethod
    def of(source: str, target: str, projection: Projection, op: Sparse, limit: int) -> Summed:
        """``projection`` through ``op``, whose weights are whole and may be above ``limit``."""
        return Summed(
            source, target, projection, op, tuple(shares(np.rint(op.value).astype(np.int64), limit))
        )

    @property
    def arc(self) -> Arc:
        """What the input itself brings."""
        first = replace(self.op, value=frozen(self.parts[0].astype(np.float64)))
        return self.source, self.target, replace(self.projection, ops=(first,))

    @property
    def copies(self) -> Int:
        """(channels,) how many copies each channel needs."""
        needed = np.zeros(self.op.n_in, np.int64)
        np.maximum.at(
            needed,
            self.op.source,
            np.count_nonzero(self.parts[1:], axis=0) if self.parts[1:] else 0,
        )
        return needed

    def rest(self, first: Int, count: int) -> Projection:
        """What ``count`` copies bring, those of a channel from ``first`` (channels,) on."""
        op, there = self.op, [np.flatnonzero(part) for part in self.parts[1:]]
        target = np.concatenate([op.target[some] for some in there])
        source = np.concatenate([first[op.source[some]] + k for k, some in enumerate(there)])
        value = np.concatenate(
            [part[some] for part, some in zip(self.parts[1:], there, strict=True)]
        )
        return replace(
            self.projection,
            ops=(sparse(target, source, value.astype(np.float64), count, op.n_out),),
        )


def add_copies(
    sums: Iterable[Summed], program: Program, nodes: dict[str, object], arcs: list[Arc], log: Log
) -> None:
    """Add populations of copies, with what they bring, to what ``program`` becomes. Notes N913."""
    by: dict[str, list[Summed]] = {}
    for summed in sums:
        if summed.copies.any():
            by.setdefault(summed.source, []).append(summed)
    for source, mine in by.items():
        payload: Source = program[source]
        needed = np.max([summed.copies for summed in mine], axis=0)
        count = int(needed.sum())
        channels = np.repeat(np.arange(payload.n), needed)
        name = program.fresh_name(f"{source}.copies", nodes)
        nodes[name] = Population((count,), Copy(), payload.origins, Role.RELAY)
        same = Sparse(np.arange(count), channels, frozen(np.ones(count)), payload.n, count)
        arcs.append((source, name, Projection(ops=(same,), origins=payload.origins)))
        first = np.cumsum(needed) - needed
        arcs += [(name, summed.target, summed.rest(first, count)) for summed in mine]
        log.note(
            "N913",
            f"{count} spike source(s) were added that repeat channels of `{source}`, for finer "
            "weights",
            where=payload.origins[0],
            found=f"up to {needed.max() + 1} for a channel",
        )


def roomy(program: Program) -> int:
    """The copies that the inputs of a legal program may have unasked; 1 if there is no room for
    more.
    """
    return next((copies for copies in CHOICES if _small(program, copies)), 1)


def _small(program: Program, copies: int) -> bool:
    times = {name: copies if isinstance(program[name], Source) else 1 for name in program.graph}
    slices = sum(-(-program[name].n * k // MAX_ATOMS) for name, k in times.items())
    synapses, fan_in = 0, 0
    for name in program.nodes(Population):
        into = program.into(name)
        synapses += sum(times[source] * op.entries for source, p in into for op in p.ops)
        fan_in = max(fan_in, sum(times[source] * program[source].n for source, _ in into))
    return slices <= MOST_SLICES and synapses <= MOST_SYNAPSES and fan_in <= MOST_FAN_IN
