"""speck-legalise: one pooling and one square kernel a projection, one map a population."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import networkx as nx

from nirc.analysis.operators import as_map
from nirc.backends.speck.convolve import (
    Frame,
    bias_of,
    convolved,
    frame,
    framed,
    pair,
    planes,
    reaches_remainder,
    whole_map,
)
from nirc.backends.speck.findings import (
    CannotShareCore,
    Delays,
    DiffersWithinChannel,
    NoInput,
    Pooling,
    Recurrence,
)
from nirc.backends.speck.geometry import Map, kernel_words
from nirc.backends.speck.limits import CHANNELS, CORES, INPUT_MAP, KERNEL, OUTPUT_MAP
from nirc.backends.speck.neuron import refuse_foreign, to_one_threshold
from nirc.diagnostics.dynamics import PoolingDropsSpikes
from nirc.diagnostics.log import Log
from nirc.files.manifest import MAX_LEAD
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, Diagonal, LinearOp, Pool
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.fuse_linear import fuse
from nirc.passes.legality import OutputRule, refuse_outputs, refuse_without_neurons
from nirc.semantics.neuron import NeuronStepper

OUTPUTS = OutputRule(
    "spikes leave a core only",
    help="--readout if:1 adds integrate-and-fire neurons; or end the network with a spiking "
    "population",
)


class Branch(NamedTuple):
    """A projection into a population as a pooling of its source and a convolution."""

    source: str
    pool: Pool | None
    conv: Conv
    projection: Projection


@dataclass(frozen=True)
class SpeckLegalise:
    """Turn each projection into a pooling and one square kernel, and its thresholds into one.

    ``camera``: the input is the event camera. Its map and pooling are the chip's, not the host's.
    """

    camera: bool = False
    name: ClassVar[str] = "speck-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P308, P311, S706, S712 to S716, S721)."""
        _refuse_foreign(program, log)
        log.raise_if_errors()
        maps = _Maps(program, camera=self.camera)
        for name in sources_first(program):
            if isinstance(program[name], Population):
                maps.add(name, log)
        log.raise_if_errors()
        sinks = [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        return program.rebuilt(maps.nodes, [*maps.edges, *sinks])


class _Maps:
    """The maps of populations, found one after the other, sources first."""

    def __init__(self, program: Program, *, camera: bool) -> None:
        self.program = program
        self.camera = camera
        self.maps: dict[str, Map] = {n: planes(s.shape) for n, s in program.nodes(Source).items()}
        self.nodes = dict(program.graph.nodes(data="payload"))
        self.edges: list[tuple[str, str, Projection]] = []

    def add(self, name: str, log: Log) -> None:
        population: Population[Discrete] = self.program[name]
        self.maps[name] = planes(population.shape)
        into = self.program.into(name)
        if not into:
            log.add(NoInput(where=population.origins[0], population=name))
            return
        same, factor = to_one_threshold(population.dynamics)
        into = [(s, _scaled(p, factor)) for s, p in into]
        branches, f = self._best(into, [bias_of(into, population.n), same.decay_mem])
        if branches is None or f is None:
            _refuse(name, population, into, log)
            return
        if f.faults:
            _report_pooling(name, branches, log)
        for branch in branches:
            if self._drops_spikes(branch):
                _report_dropped(name, branch, log)
        self.maps[name] = _map_of(branches)
        self.nodes[name] = replace(population, dynamics=same)
        for source, pool, conv, p in branches:
            kernel = framed(conv, f)
            ops: tuple[LinearOp, ...] = (kernel,) if pool is None else (pool, kernel)
            self.edges.append((source, name, replace(p, ops=ops)))

    def _best(
        self, into: list[tuple[str, Projection]], uniform: list[Float]
    ) -> tuple[list[Branch] | None, Frame | None]:
        """Return branches on the natural map if that breaks no limit.

        Else every neuron is a channel, if that breaks none. ``uniform``: numbers (n,) that must be
        equal over a channel.
        """
        fallback: tuple[list[Branch] | None, Frame | None] = (None, None)
        for branches in (self._branches(into, flat=False), self._branches(into, flat=True)):
            if branches is None or not _uniform(uniform, _map_of(branches)):
                continue
            f = frame([branch.conv for branch in branches])
            if f is None:
                continue
            # A map that is declared larger than it is would let in the rows that a pool drops.
            let_in = any(
                self._drops_spikes(branch) and f.size_in != branch.conv.shape_in[1:]
                for branch in branches
            )
            if _fits_alone(branches, f) and not let_in:
                return branches, f
            if fallback[0] is None:
                fallback = branches, f
        return fallback

    def _branches(self, into: list[tuple[str, Projection]], *, flat: bool) -> list[Branch] | None:
        """Return each projection as pooling and convolution.

        Parallel projections of one source and pooling are added. ``flat``: every neuron is a
        channel.
        """
        branches: dict[tuple[str, tuple[int, ...]], Branch] = {}
        for source, p in into:
            parts = self._parts(source, p.ops, flat=flat)
            if parts is None:
                return None
            pool, conv = parts
            branch = Branch(source, pool, conv, p)
            key = (source, (1, 1) if pool is None else pool.kernel)
            if key in branches:
                total = _added(branches[key], branch)
                if total is None:
                    return None
                branch = total
            branches[key] = branch
        return list(branches.values())

    def _drops_spikes(self, branch: Branch) -> bool:
        """Return True if spikes that a pool leaves out come to a core's padding.

        The host never sends such spikes.
        """
        pool = branch.pool
        return (
            pool is not None
            and not self._by_host(branch.source)
            and reaches_remainder(pool, branch.conv)
        )

    def _by_host(self, source: str) -> bool:
        return isinstance(self.program[source], Source) and not self.camera

    def _parts(
        self, source: str, ops: tuple[LinearOp, ...], *, flat: bool
    ) -> tuple[Pool | None, Conv] | None:
        host = self._by_host(source)
        shape = self.maps[source]
        if not flat:
            parts = convolved(ops, shape, host=host)
            # A map too large for one kernel: the host can address every input as a channel.
            large = (
                parts is not None
                and host
                and parts[1].shape_out[1:] == (1, 1)
                and max(parts[1].weight.shape[2:]) > KERNEL[1]
            )
            if not large:
                return parts
        conv = whole_map(ops, (size(shape), 1, 1) if host else shape)
        return None if conv is None else (None, conv)


def _scaled(p: Projection, factor: Float) -> Projection:
    """Return ``p`` with all that it delivers multiplied by ``factor`` (n,)."""
    biases = tuple(replace(b, value=frozen(b.value * factor)) for b in p.biases)
    return replace(p, ops=fuse((*p.ops, Diagonal(frozen(factor)))), biases=biases)


def _added(one: Branch, other: Branch) -> Branch | None:
    """Return the sum of two branches of one source and pooling, None without a common frame."""
    f = frame([one.conv, other.conv])
    if f is None:
        return None
    first = framed(one.conv, f)
    weight = frozen(first.weight + framed(other.conv, f).weight)
    before = one.projection
    both = replace(
        before,
        biases=before.biases + other.projection.biases,
        origins=before.origins + other.projection.origins,
    )
    return Branch(other.source, other.pool, replace(first, weight=weight), both)


def _map_of(branches: list[Branch]) -> Map:
    return as_map(branches[0].conv.shape_out)


def _uniform(values: Iterable[Float], shape: Map) -> bool:
    """Return True if each of ``values`` (n,) is the same all over a channel.

    The chip stores one number for a channel.
    """
    rows = [v.reshape(shape[0], -1) for v in values]
    return all(bool((r == r[:, :1]).all()) for r in rows)


def _fits_alone(branches: list[Branch], f: Frame) -> bool:
    """Return True if the nine cores could hold the layer, one output channel at a time."""
    channels = sum(branch.conv.shape_in[0] for branch in branches)
    alone = kernel_words(channels, 1, (f.kernel, f.kernel)) <= max(core.kernel for core in CORES)
    return (
        not f.faults
        and alone
        and channels <= CHANNELS
        and max(_map_of(branches)[1:]) <= OUTPUT_MAP
        and max(f.size_in) <= INPUT_MAP
    )


def _report_pooling(name: str, branches: list[Branch], log: Log) -> None:
    """Report (S706) the pooling that made a kernel or its stride illegal."""
    for source, pool, _, p in branches:
        if pool is None and p.ops and isinstance(p.ops[0], Pool):
            first = p.ops[0]
            log.add(
                Pooling(
                    where=p.origins[0],
                    source=source,
                    target=name,
                    kernel=first.kernel,
                    stride=first.stride,
                    size=first.shape_in[1:],
                )
            )


def _report_dropped(name: str, branch: Branch, log: Log) -> None:
    pool = branch.pool
    assert pool is not None
    log.add(
        PoolingDropsSpikes(
            where=branch.projection.origins[0],
            pooled=branch.source,
            target=name,
            size=pair(pool.shape_in[1:]),
            pooling=pool.kernel[0],
        )
    )


def sources_first(program: Program) -> list[str]:
    """Return the nodes of a feed-forward program, each after its sources, else in program order."""
    position = {n: i for i, n in enumerate(program.graph)}
    return list(
        nx.lexicographical_topological_sort(nx.DiGraph(program.graph), key=position.__getitem__)
    )


def _refuse(
    name: str, population: Population[Discrete], into: list[tuple[str, Projection]], log: Log
) -> None:
    """Report the reason why ``name`` has no map (S713, S721)."""
    where = population.origins[0]
    if len(into) > 1:
        branches = tuple(sorted(s for s, _ in into))
        log.add(CannotShareCore(where=where, population=name, branches=branches))
    else:
        pairs = population.n * into[0][1].ops[0].n_in
        log.add(DiffersWithinChannel(where=where, population=name, pairs=pairs))


def leads(program: Program) -> dict[str, int]:
    """Return the least delay of all paths to each node of a feed-forward program, in steps.

    The chip has no delays, so the node is early by as many steps.
    """
    steps: dict[str, int] = {}
    for name in sources_first(program):
        into = program.into(name)
        steps[name] = min((steps[s] + p.delay_steps for s, p in into), default=0)
    return steps


def _only_early(program: Program) -> bool:
    """Return True if a chip without delays has the same spikes, but earlier.

    All paths to a node then have one delay, and no neuron fires before its first input.
    """
    steps = leads(program)
    paths = all(steps[s] + p.delay_steps == steps[t] for s, t, p in program.edges())
    waiting = [n for n in populations_of(program, Discrete) if steps[n]]
    return (
        paths
        and max(steps.values()) < MAX_LEAD
        and all(_rests(program, name, steps[name]) for name in waiting)
    )


def _rests(program: Program, name: str, steps: int) -> bool:
    """Return True if the biases of a population do not make it fire in its first ``steps``."""
    into = program.into(name)
    if any(any(bias.onset_steps for bias in p.biases) for _, p in into):
        return False
    population: Population[Discrete] = program[name]
    bias = bias_of(into, population.n)
    stepper = NeuronStepper(population.dynamics, (population.n,))
    return not any(stepper.step(bias).any() for _ in range(steps))


def _refuse_foreign(program: Program, log: Log) -> None:
    refuse_without_neurons(program, log)
    for name, population in populations_of(program, Discrete).items():
        refuse_foreign(name, population, log)
    into_neurons = [e for e in program.edges() if not isinstance(program[e[1]], Sink)]
    component: dict[str, int] = {}
    for number, members in enumerate(nx.strongly_connected_components(program.graph)):
        component |= dict.fromkeys(members, number)
    loops = {(s, t): 0 for s, t, p in into_neurons if p.feedback or component[s] == component[t]}
    early = not (loops or log.errors) and _only_early(program)
    refuse_outputs(program, replace(OUTPUTS, delays=early), log)
    log.add_all(
        Recurrence.some(
            [Recurrence(where=program[t].origins[0], source=s, target=t) for s, t in loops]
        )
    )
    for source, target, p in into_neurons:
        node = program[target]
        if p.delay_steps and not early and (source, target) not in loops:
            log.add(
                Delays(
                    where=(p.origins or node.origins)[0],
                    source=source,
                    target=target,
                    steps=p.delay_steps,
                    by_node=p.delay_s > 0,
                )
            )
