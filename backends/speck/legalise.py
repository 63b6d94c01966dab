"""speck-legalise: every projection as one pooling and one square kernel, every population on one
map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import networkx as nx
import numpy as np

from nirc.backends.speck.convolve import convolved, flat, planes, reaches_remainder, whole_map
from nirc.backends.speck.dynamics import refuse_foreign, to_one_threshold
from nirc.backends.speck.frame import Frame, frame, framed
from nirc.backends.speck.geometry import Map, kernel_words
from nirc.backends.speck.limits import (
    CHANNELS,
    CORES,
    DATASHEET,
    INPUT_MAP,
    KERNEL,
    OUTPUT_MAP,
    SINABS,
)
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, Diagonal, LinearOp, Pool
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.fuse_linear import fuse
from nirc.passes.legality import OutputRule, refuse_outputs, refuse_without_neurons

OUTPUTS = OutputRule(
    "spikes leave a core only",
    help="--readout if:1 adds integrate-and-fire neurons; or end the network with a spiking "
    "population",
)
Way = tuple[
    str, Pool | None, Conv, Projection
]  # source, its pooling, the convolution, where both came from


@dataclass(frozen=True)
class SpeckLegalise:
    """Turn every projection into a pooling and one square kernel, and every population's thresholds
    into one.

    ``camera``: the input is the event camera, whose map and pooling are the chip's, not the host's.
    """

    camera: bool = False
    name: ClassVar[str] = "speck-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P308, P311, S706, S712 to S716, S721)."""
        _refuse_foreign(program, log)
        log.raise_if_errors()
        made = _Maps(program, camera=self.camera)
        for name in sources_first(program):
            if isinstance(program[name], Population):
                made.add(name, log)
        log.raise_if_errors()
        sinks = [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        return program.rebuilt(made.nodes, [*made.edges, *sinks])


class _Maps:
    """Populations get their maps one after the other, sources first."""

    def __init__(self, program: Program, *, camera: bool) -> None:
        self.program, self.camera = program, camera
        self.maps: dict[str, Map] = {n: planes(s.shape) for n, s in program.nodes(Source).items()}
        self.nodes = dict(program.graph.nodes(data="payload"))
        self.edges: list[tuple[str, str, Projection]] = []

    def add(self, name: str, log: Log) -> None:
        population: Population[Discrete] = self.program[name]
        same, factor = to_one_threshold(population.dynamics)
        if not self.program.into(name):
            log.error(
                "S712",
                f"`{name}` gets no input",
                where=population.origins[0],
                limit="a layer of the chip has a kernel, and so a source",
                help="connect it, or leave it out",
            )
            self.maps[name] = planes(population.shape)
            return
        into = [
            (s, replace(p, ops=fuse((*p.ops, Diagonal(frozen(factor))))))
            for s, p in self.program.into(name)
        ]
        bias = sum((b.value * factor for _, p in into for b in p.biases), np.zeros(population.n))
        uniform = [bias, same.decay_mem]
        ways, f = self._best(into, uniform)
        if ways is None or f is None:
            _refuse(name, population, into, log)
            self.maps[name] = planes(population.shape)
            return
        if f.faults:
            _say_pooling(name, ways, log)
        for way in ways:
            if self._lost(way):
                _say_lost(name, way, log)
        self.maps[name] = _map_of(ways)
        self.nodes[name] = replace(population, dynamics=same)
        for source, pool, conv, p in ways:
            ops: tuple[LinearOp, ...] = (
                (framed(conv, f),) if pool is None else (pool, framed(conv, f))
            )
            biases = tuple(replace(b, value=frozen(b.value * factor)) for b in p.biases)
            self.edges.append((source, name, replace(p, ops=ops, biases=biases)))

    def _best(
        self, into: list[tuple[str, Projection]], uniform: list[Float]
    ) -> tuple[list[Way] | None, Frame | None]:
        """On the natural map if that breaks no limit, else with every neuron as a channel if that
        breaks none.
        """
        fallback: tuple[list[Way] | None, Frame | None] = (None, None)
        for ways in (self._ways(into, flat_=False), self._ways(into, flat_=True)):
            if ways is None or not _uniform(uniform, _map_of(ways)):
                continue
            f = frame([conv for _, _, conv, _ in ways])
            if f is None:
                continue
            # A map declared larger than it is would let in the rows that a pool leaves out.
            let_in = any(self._lost(way) and f.size_in != way[2].shape_in[1:] for way in ways)
            if _fits_alone(ways, f) and not let_in:
                return ways, f
            if fallback[0] is None:
                fallback = ways, f
        return fallback

    def _ways(self, into: list[tuple[str, Projection]], *, flat_: bool) -> list[Way] | None:
        """Each projection as pooling and convolution; parallel ones of one source and pooling add
        up.
        """
        found: dict[tuple[str, tuple[int, ...]], Way] = {}
        for source, p in into:
            way = self._way(source, p.ops, flat_=flat_)
            if way is None:
                return None
            pool, conv = way
            key = (source, (1, 1) if pool is None else pool.kernel)
            if key in found:
                _, _, other, before = found[key]
                f = frame([other, conv])
                if f is None:
                    return None
                one, two = framed(other, f), framed(conv, f)
                conv = replace(one, weight=frozen(one.weight + two.weight))
                biases, origins = before.biases + p.biases, before.origins + p.origins
                found[key] = (source, pool, conv, replace(before, biases=biases, origins=origins))
            else:
                found[key] = (source, pool, conv, p)
        return list(found.values())

    def _lost(self, way: Way) -> bool:
        """Whether spikes that a pool leaves out come to a core's padding; the host never sends
        them.
        """
        source, pool, conv, _ = way
        host = isinstance(self.program[source], Source) and not self.camera
        return pool is not None and not host and reaches_remainder(pool, conv)

    def _way(
        self, source: str, ops: tuple[LinearOp, ...], *, flat_: bool
    ) -> tuple[Pool | None, Conv] | None:
        host = isinstance(self.program[source], Source) and not self.camera
        shape = self.maps[source]
        if not flat_:
            way = convolved(ops, shape, host=host)
            # A map too large for one kernel: the host can address every input as a channel instead.
            large = (
                way is not None
                and host
                and way[1].shape_out[1:] == (1, 1)
                and max(way[1].weight.shape[2:]) > KERNEL[1]
            )
            if not large:
                return way
        conv = whole_map(ops, flat(shape) if host else shape)
        return None if conv is None else (None, conv)


def _map_of(ways: list[Way]) -> Map:
    f, y, x = ways[0][2].shape_out
    return f, y, x


def _uniform(values: Iterable[Float], shape: Map) -> bool:
    """Whether each of ``values`` (n,) is the same all over a channel: the chip stores one number
    for it.
    """
    rows = [v.reshape(shape[0], -1) for v in values]
    return all(bool((r == r[:, :1]).all()) for r in rows)


def _fits_alone(ways: list[Way], f: Frame) -> bool:
    """Whether the nine cores could hold such a layer at least one output channel at a time."""
    channels = sum(conv.shape_in[0] for _, _, conv, _ in ways)
    alone = kernel_words(channels, 1, (f.kernel, f.kernel)) <= max(core.kernel for core in CORES)
    outputs, inputs = _map_of(ways), f.size_in
    return (
        not f.faults
        and alone
        and channels <= CHANNELS
        and max(outputs[1:]) <= OUTPUT_MAP
        and max(inputs) <= INPUT_MAP
    )


def _say_pooling(name: str, ways: list[Way], log: Log) -> None:
    """Name (S706) the pooling that made a kernel or its stride what it is: it could not be done on
    the way.
    """
    for source, pool, _, p in ways:
        if pool is None and p.ops and isinstance(p.ops[0], Pool):
            found = p.ops[0]
            log.error(
                "S706",
                f"pooling between `{source}` and `{name}` is none that a core can do",
                where=p.origins[0],
                found=f"kernel {found.kernel}, stride {found.stride}, on a map of "
                f"{found.shape_in[1:]}",
                limit="1, 2 or 4, square, windows side by side, without padding",
                source=DATASHEET,
                help="pool by 2 or 4, or use a strided convolution",
            )


def _say_lost(name: str, way: Way, log: Log) -> None:
    source, pool, _, p = way
    assert pool is not None
    log.warning(
        "D418",
        f"pooling `{source}` leaves out rows at the edge, whose spikes come to the padding of "
        f"`{name}`: "
        "the core is taken to drop them, as sinabs does",
        where=p.origins[0],
        found=f"a map of {pool.shape_in[1:]}, pooled by {pool.kernel[0]}",
        source="chosen by nirc: no public source says it",
        help="use maps that the pooling divides",
    )


def sources_first(program: Program) -> list[str]:
    """Nodes of a feed-forward program, each after all that feed it; ties in program order."""
    position = {n: i for i, n in enumerate(program.graph)}
    return list(
        nx.lexicographical_topological_sort(nx.DiGraph(program.graph), key=position.__getitem__)
    )


def _refuse(
    name: str, population: Population[Discrete], into: list[tuple[str, Projection]], log: Log
) -> None:
    """Say why ``name`` has no map: a parameter within a channel, strides that differ, or sheer
    size.
    """
    where = population.origins[0]
    if len(into) == 1:
        entries = size((population.n, into[0][1].ops[0].n_in))
        log.error(
            "S713",
            f"`{name}` needs a word of kernel memory for each pair of an input and a neuron, as "
            "its parameters "
            "differ within a channel or its linear layers are no convolution",
            where=where,
            found=f"{entries} words",
            limit=f"{sum(c.kernel for c in CORES)} words on the whole chip",
            source=SINABS,
            help="use the same threshold, gain and bias all over a channel, and one convolution "
            "between neurons",
        )
        return
    log.error(
        "S721",
        f"the projections into `{name}` have different strides or maps, but share one core",
        where=where,
        found=", ".join(sorted(s for s, _ in into)),
        limit="one kernel, stride and padding a core",
        source=DATASHEET,
        help="give all branches that are added the same stride, or put neurons between",
    )


def _refuse_foreign(program: Program, log: Log) -> None:
    refuse_without_neurons(program, log)
    for name, population in populations_of(program, Discrete).items():
        refuse_foreign(name, population, log)
    refuse_outputs(program, OUTPUTS, log)
    for source, target, p in program.edges():
        if isinstance(program[target], Sink):
            continue
        if p.feedback or _loops(program, source, target):
            log.error(
                "S714",
                f"`{target}` feeds back on itself through `{source}`",
                where=program[target].origins[0],
                limit="feed-forward networks",
                source="sinabs docs; sheet section 1.4",
                help="a spike acts at once on the chip, a step later in the model, and loops can "
                "block its cores: "
                "compile for a chip with recurrence (nirc targets)",
            )
        elif p.delay_steps:
            log.error(
                "S715",
                f"the projection `{source}` -> `{target}` has a delay",
                where=p.origins[0] if p.origins else program[target].origins[0],
                found=f"{p.delay_steps} step(s)",
                limit="no delays",
                source=DATASHEET,
                help="remove the Delay node, or compile for a chip with delays",
            )


def _loops(program: Program, source: str, target: str) -> bool:
    return source == target or nx.has_path(program.graph, target, source)
