"""The inputs of each population: a list of synapses or a convolution, receptors and delays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nirc.analysis.operators import unrolled
from nirc.analysis.retiming import Edge, retime
from nirc.backends.spinnaker2.findings import RelaysAdded, TwoFilters
from nirc.backends.spinnaker2.limits import DELAY, SCRIPTS
from nirc.diagnostics.dynamics import LoopTakesLonger
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse, pooled_kernel, sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.legality import relay


@dataclass(frozen=True)
class Drive:
    """A projection into a population.

    ``ops``: one ``Sparse``, or a convolution behind at most one pooling. ``extra``: steps on the
    chip in addition to the step of every synapse, set by ``timed``.
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
    every = []
    known: dict[tuple[int, ...], tuple[LinearOp, ...]] = {}  # lists of the same operators
    for name, population in populations_of(program, Discrete).items():
        into = [(s, p) for s, p in program.into(name) if all(_has_entries(op) for op in p.ops)]
        convolves = (
            name not in unroll
            and len(into) == 1
            and _convolves(into[0][1].ops, population.dynamics)
        )
        for source, projection in into:
            if convolves:
                every.append(Drive(source, name, projection, projection.ops))
                continue
            chain = (program[source].n, *map(id, projection.ops))
            if chain not in known:
                op = unrolled(projection, program[source].n, log)
                known[chain] = (op,) if op.entries else ()
            if known[chain]:
                every.append(Drive(source, name, projection, known[chain]))
    return every


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
    log.add(TwoFilters(where=population.origins[0], population=name))
    return alike


# Timing. Every synapse takes a step. Delays and relays keep all paths in time.


@dataclass(frozen=True)
class Timed:
    """Populations with added relays, their drives, and each node's latency."""

    populations: dict[str, Population[Discrete]]
    drives: list[Drive]
    latency_steps: dict[str, int]

    @cached_property
    def into(self) -> dict[str, list[Drive]]:
        """The drives of each population."""
        into: dict[str, list[Drive]] = {}
        for drive in self.drives:
            into.setdefault(drive.target, []).append(drive)
        return into


def timed(program: Program, every: list[Drive], log: Log, *, relays: bool) -> Timed:
    """Give ``every`` delays, and relays where a synapse has no such delay.

    Synapses of a convolution have no delays. ``relays``: no synapse has.
    """
    edges = [Edge(d.source, d.target, d.projection.lag) for d in every]
    edges += [
        Edge(s, t, p.lag, hop=0) for s, t, p in program.edges() if isinstance(program[t], Sink)
    ]
    # A node of the first step, for populations whose constants come from a clock.
    start = program.fresh_name("start")
    populations = populations_of(program, Discrete)
    edges += [
        Edge(start, name, 0) for name, p in populations.items() if needs_clock(name, p, program)
    ]
    timing = retime([start, *program.graph], edges)
    loops = [
        LoopTakesLonger(
            where=program[edge.target].origins[0],
            source=edge.source,
            target=edge.target,
            steps=steps,
            rule=f"every synapse takes a step; {SCRIPTS}",
        )
        for edge, steps in zip(edges, timing.slow, strict=True)
        if steps
    ]
    log.add_all(LoopTakesLonger.some(loops))
    delayed = [replace(d, extra=extra) for d, extra in zip(every, timing.delays, strict=False)]
    added = _Relays(program, timing.latency_steps)
    kept = [added.around(d, DELAY[1] if not relays and d.kernel is None else 0) for d in delayed]
    if added.drives:
        neurons = sum(added.populations[d.target].n for d in added.drives)
        log.add(RelaysAdded(neurons=neurons, steps=max(d.extra for d in delayed)))
    return Timed(added.populations, merged([*kept, *added.drives]), added.latency_steps)


def needs_clock(name: str, population: Population[Discrete], program: Program) -> bool:
    """Return True if constants come by spikes: through a filter, or from a later step on."""
    filtered = is_filtered(population.dynamics)
    return any(
        any(bias.value.any() and (filtered or bias.onset_steps) for bias in projection.biases)
        for _, projection in program.into(name)
    )


class _Relays:
    """Relay populations, shared by all targets of a source."""

    def __init__(self, program: Program, latency_steps: dict[str, int]) -> None:
        self.program = program
        self.latency_steps = dict(latency_steps)
        self.populations = populations_of(program, Discrete)
        self.sources: dict[str, Population[Discrete] | Source] = {
            **program.nodes(Source),
            **self.populations,
        }
        # The name for a relay of a source: the same along a chain of relays.
        self.names = {
            name: name if p.role is Role.RELAY else f"{name}.relay"
            for name, p in self.populations.items()
        }
        self.drives: list[Drive] = []
        self.known: dict[tuple[str, int], str] = {}

    def around(self, drive: Drive, most: int) -> Drive:
        """Return ``drive`` with at most ``most`` extra steps, behind as few relays as can be."""
        source = drive.source
        left = drive.extra
        while left > most:
            steps = min(left, DELAY[1] + 1)
            source = self._relay(source, steps)
            left -= steps
        return replace(drive, source=source, extra=left)

    def _relay(self, source: str, steps: int) -> str:
        key = (source, steps)
        if key not in self.known:
            wish = self.names.get(source, f"{source}.relay")
            name = self.program.fresh_name(wish, self.sources)
            n, origins = self.sources[source].n, self.sources[source].origins
            self.known[key] = name
            self.names[name] = wish
            self.sources[name] = self.populations[name] = relay(n, origins)
            self.latency_steps[name] = self.latency_steps[source] + steps
            index = np.arange(n)
            one_to_one = Sparse(index, index, np.ones(n), n, n)
            self.drives.append(
                Drive(source, name, Projection(origins=origins), (one_to_one,), steps - 1)
            )
        return self.known[key]
