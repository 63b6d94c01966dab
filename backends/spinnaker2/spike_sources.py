"""Spike sources that nirc adds: clocks for constant inputs, and copies of input channels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.findings import InputSplit
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse, sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, Source
from nirc.ir.program import Program
from nirc.passes.legality import relay
from nirc.semantics.neuron import Stepper

if TYPE_CHECKING:
    from nirc.backends.spinnaker2.quantise import Quantised

Arc = tuple[str, str, Projection]
CLOCKS = 64  # of one step and target, at most
FAR = 1e30  # the bound of starting values


@dataclass(frozen=True)
class Clocked:
    """Integer weights (neurons,) that clocks of the model's step ``onset`` bring together."""

    onset: int
    weight: Int


def integer_part(wanted: Float, limit: int) -> tuple[Int, Float]:
    """Return the part of ``wanted`` (n,) for ``CLOCKS`` weights of ``limit``, and the rest."""
    integer = np.clip(np.rint(wanted), -limit * CLOCKS, limit * CLOCKS).astype(np.int64)
    rest = wanted - integer
    return integer, np.where(np.abs(rest) < 1e-9 * np.maximum(1.0, np.abs(wanted)), 0.0, rest)


def shares(weight: Int, limit: int) -> list[Int]:
    """Return ``weight`` (n,) as a sum of arrays within ``limit``."""
    count = max(1, -(-int(np.abs(weight).max(initial=0)) // limit))
    sign, size = np.sign(weight), np.abs(weight)
    return [sign * np.clip(size - k * limit, 0, limit) for k in range(count)]


def start(offset: Float, alpha: Float, steps: int) -> Float:
    """Return (n,) the membrane from which ``steps`` times ``offset`` lead to 0.

    It is 0 for neurons without memory.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        leaking = (alpha ** -float(steps) - 1) / (1 - alpha)
        value = -offset * np.where(alpha == 1, float(steps), leaking)
    return np.where((offset != 0) & (np.abs(value) < FAR), value, 0.0)


# Clocks. The chip adds ``i_offset`` to the membrane from its first step on. The model does so from
# the first step in which the population's inputs could arrive, some latency later. A starting value
# of the membrane makes up for the difference. Behind a synaptic filter a constant has to arrive as
# spikes. Clocks, neurons that spike in every step, bring its integer part through the filter and in
# time. The rest, less than half a unit of weight, is added to the membrane with its value in the
# steady state.


def add_clocks(
    users: Iterable[Quantised], program: Program, nodes: dict[str, object], arcs: list[Arc]
) -> None:
    """Add clocks to the nodes and arcs of a changed ``program``, shared by users of one latency."""
    by_latency: dict[int, list[Quantised]] = {}
    for user in users:
        if user.clocked:
            by_latency.setdefault(user.latency_steps, []).append(user)
    for latency_steps, sharing in sorted(by_latency.items()):
        copies: dict[int, int] = {}  # by onset
        for user in sharing:
            for clocked in _joined(user):
                needed = len(shares(clocked.weight, user.limit))
                copies[clocked.onset] = max(copies.get(clocked.onset, 0), needed)
        onsets = sorted(copies)
        count = np.array([copies[onset] for onset in onsets])
        clocks = int(count.sum())
        first = dict(zip(onsets, (np.cumsum(count) - count).tolist(), strict=True))
        name = program.fresh_name("bias", nodes)
        origins = tuple(dict.fromkeys(user.population.origins[0] for user in sharing))
        clock = _clock(np.repeat(onsets, count), latency_steps)
        nodes[name] = Population((clocks,), clock, origins, Role.CLOCK)
        for user in sharing:
            arcs += [(name, user.name, p) for p in _projections(user, first, clocks)]


def _joined(user: Quantised) -> list[Clocked]:
    """Return one constant an onset, or one for each sign where the signs have different filters."""
    joined: dict[tuple[int, int], NDArray[np.int64]] = {}
    for clocked in user.clocked:
        weight = clocked.weight
        parts = (weight.clip(min=0), weight.clip(max=0)) if user.receptors.signs else (weight,)
        for sign, part in enumerate(parts):
            key = clocked.onset, sign
            joined[key] = joined.get(key, np.zeros_like(part)) + part
    return [Clocked(onset, joined[onset, sign]) for onset, sign in sorted(joined)]


def _projections(user: Quantised, first: dict[int, int], clocks: int) -> list[Projection]:
    """Return projections from ``clocks`` neurons to a population, one a receptor.

    ``first``: by onset, the first of its clocks.
    """
    weight = np.zeros((2 if user.filtered else 1, user.n, clocks))
    for clocked in _joined(user):
        for k, part in enumerate(shares(clocked.weight, user.limit)):
            signs = (part.clip(min=0), part.clip(max=0)) if user.filtered else (part,)
            weight[:, :, first[clocked.onset] + k] += signs
    projections = []
    for receptor, some in enumerate(weight):
        target, source = np.nonzero(some)
        if target.size:
            op = Sparse(target, source, frozen(some[target, source]), clocks, user.n)
            projections.append(Projection((op,), synapse=receptor, origins=user.population.origins))
    return projections


def _clock(onsets: NDArray[np.int64], latency_steps: int) -> SpinNeuron:
    """Return neurons that count the chip's steps.

    Targets of this latency get the spikes from the model's steps ``onsets`` (n,) on.
    """
    first = (onsets + latency_steps).astype(np.float64)
    zeros, ones = single(np.zeros(len(onsets))), single(np.ones(len(onsets)))
    return SpinNeuron(
        model="lif_no_delay",
        reset="reset_to_v_reset",
        threshold=single(first),
        alpha_decay=ones,
        i_offset=ones,
        v_init=zeros,
        v_reset=single(first - 1),
        scale=frozen(np.ones(len(onsets))),
        latency_steps=latency_steps - 1,
    )


# Copies. A weight of a copied input is the sum of up to ``copies`` integer weights. So a weight may
# be that many times larger, and a neuron's scale that many times finer. A channel gets only as many
# copies as its largest weight needs.


@dataclass(frozen=True)
class Copy:
    """Spike sources that play channels of an input, as the projection into them assigns."""

    fires: ClassVar[bool] = True
    repeats_input: ClassVar[bool] = True

    def stepper(self, batch: int) -> Stepper:
        """Return a stepper without state."""
        return _CopyStepper()

    def as_discrete(self) -> Discrete:
        """Return a comparison with half a spike."""
        return relay(1, ()).dynamics


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
