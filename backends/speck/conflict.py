"""Why layers cannot be placed, in the model's numbers, and what would cure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nirc.backends.speck.demands import (
    BIAS,
    DESTINATIONS,
    KERNEL,
    NEURON,
    ONE_CORE,
    PLACED,
    Demand,
    Member,
    PlaceProblem,
    capacity,
)
from nirc.backends.speck.geometry import Pair, kernel_words, neuron_words
from nirc.backends.speck.limits import DATASHEET, SINABS, Core
from nirc.diagnostics.log import Log

CODES = {KERNEL: "S707", NEURON: "S708", BIAS: "S709", DESTINATIONS: "S710"}
Limits = frozenset[Member]


@dataclass(frozen=True)
class Conflict:
    """Limits that cannot hold together; dropping any one of ``members`` (layer or source, limit)
    lets them.
    """

    members: tuple[Member, ...]
    code: str
    message: str
    found: str
    limit: str
    help: str

    def report(self, log: Log, origins: Mapping[str, str]) -> None:
        """Write it down as an error; ``origins``: where each layer stands in the file."""
        name = self.members[0][0]
        log.error(
            self.code,
            self.message,
            where=origins.get(name, name),
            found=self.found,
            limit=self.limit,
            source=DATASHEET if self.code == "S710" else SINABS,
            help=self.help,
        )


def conflict(members: tuple[Member, ...], problem: PlaceProblem, cores: Sequence[Core]) -> Conflict:
    """The irreducible set ``members`` in words."""
    layers = {name for name, limit in members if limit != DESTINATIONS}
    limits = {limit for _, limit in members}
    concerned = [d for d in problem.demands if d.name in layers]
    memories = [m for m in (KERNEL, NEURON, BIAS) if m in limits]
    surplus = len(problem.demands) - len(cores)
    if surplus > 0 and limits == {PLACED}:  # nothing smaller would do
        cure = (
            f"leave out {surplus} of the {len(problem.demands)} layers: each takes a core of "
            "its own"
        )
    else:
        cure = _cure(members, problem, cores)
    if DESTINATIONS in limits:
        return _destinations(members, concerned, problem, cores, cure)
    if len(concerned) == 1 and len(memories) == 1:
        return _one_layer(members, concerned[0], memories[0], cores, cure)
    counted = ", ".join(f"`{d.name}` {_fewest(d, cores, limits)}" for d in concerned)
    names = f"`{concerned[0].name}`" if len(concerned) == 1 else f"{len(concerned)} layers together"
    return Conflict(
        members,
        "S711",
        f"{names} cannot be placed on the {len(cores)} cores"
        + (f" ({' and '.join(memories)})" if memories else ""),
        f"cores that each layer takes at least, alone on the chip: {counted}",
        f"{len(cores)} cores, one layer each" + "".join(f"; {_sizes(m, cores)}" for m in memories),
        cure or "make several of these layers smaller, or leave some out",
    )


def _one_layer(
    members: tuple[Member, ...], demand: Demand, memory: str, cores: Sequence[Core], cure: str
) -> Conflict:
    caps = [capacity(demand, core, (memory,)) for core in cores]
    whole = any(limit == ONE_CORE for _, limit in members)
    most = max(caps) if whole else sum(caps)
    place = "one core" if whole else f"all {len(cores)} cores together"
    return Conflict(
        members,
        CODES[memory],
        f"the {memory} of {place} holds {most} of the {demand.channels} output channels of "
        f"`{demand.name}`",
        f"{_words(demand, memory)} words for the whole layer",
        _sizes(memory, cores),
        cure or _advice(memory, demand),
    )


def _destinations(
    members: tuple[Member, ...],
    concerned: list[Demand],
    problem: PlaceProblem,
    cores: Sequence[Core],
    cure: str,
) -> Conflict:
    sources = [name for name, limit in members if limit == DESTINATIONS]
    limits = {limit for _, limit in members}
    fed = [d for d in concerned if set(d.sources) & set(sources)]
    counted = ", ".join(f"`{d.name}` {_fewest(d, cores, limits)}" for d in fed)
    most = min(problem.destinations[s] for s in sources)
    return Conflict(
        members,
        "S710" if len(sources) == 1 and len(fed) == len(concerned) else "S711",
        f"spikes of {' and '.join(f'`{s}`' for s in sources)} would have to reach more than "
        f"{most} core(s)",
        f"cores that the layers behind take at least: {counted}",
        f"{most} destination(s) left of 2 for each core and the camera",
        cure or "let fewer layers listen, or make them small enough for one core each",
    )


def _fewest(demand: Demand, cores: Sequence[Core], limits: set[str]) -> str:
    """Cores that a layer takes if it has the chip to itself, only ``limits`` counted."""
    caps = sorted((capacity(demand, core, limits) for core in cores), reverse=True)
    held = 0
    for number, cap in enumerate(caps, start=1):
        held += cap
        if held >= demand.channels:
            return str(number)
    return "more than there are"


def _words(demand: Demand, memory: str) -> int:
    if memory == KERNEL:
        return kernel_words(demand.channels_in, demand.channels, demand.kernel)
    return neuron_words(demand.shape_out) if memory == NEURON else demand.channels


def _sizes(memory: str, cores: Sequence[Core]) -> str:
    words = [{KERNEL: c.kernel, NEURON: c.neuron, BIAS: c.bias}[memory] for c in cores]
    counts = [f"{n} on {words.count(n)} core(s)" for n in sorted(set(words), reverse=True)]
    return f"{memory}: {', '.join(counts)}"


def _advice(memory: str, demand: Demand) -> str:
    if memory == KERNEL and demand.shape_out[1:] == (1, 1) and max(demand.kernel) > 1:
        return (
            f"pool more, or use fewer channels, before `{demand.name}`: its kernel is as "
            "large as the map"
        )
    if memory == KERNEL:
        smaller = "fewer" if max(demand.kernel) == 1 else "a smaller kernel or fewer"
        return f"use {smaller} channels in `{demand.name}` or before it"
    if memory == NEURON:
        return (
            f"use a larger stride in `{demand.name}`, or pool before it: its map is stored "
            "before pooling"
        )
    return f"use fewer channels in `{demand.name}`, or no bias"


def _cure(members: tuple[Member, ...], problem: PlaceProblem, cores: Sequence[Core]) -> str:
    """The first single change of a layer that lets all be placed, else one that ends this conflict;
    each tried out.
    """
    from nirc.backends.speck.place import holds_together

    layers = {name for name, limit in members if limit == PLACED}
    partly = ""
    for i, demand in enumerate(problem.demands):
        for changed, words in _changes(demand) if demand.name in layers else ():
            after = replace(
                problem, demands=(*problem.demands[:i], changed, *problem.demands[i + 1 :])
            )
            if holds_together(None, after, cores):
                return f"{words} would do"
            if not partly and holds_together(members, after, cores):
                partly = f"{words} would end this conflict, though not all there is"
    return partly


def _changes(demand: Demand) -> Iterator[tuple[Demand, str]]:
    """Changes of one layer, the mildest first."""
    c, (ky, kx), (f, y, x) = demand.channels_in, demand.kernel, demand.shape_out
    if max(y, x) > 1:
        halved = replace(demand, shape_out=(f, -(-y // 2), -(-x // 2)))
        yield halved, f"stride 2 in `{demand.name}`, or pooling by 2 before it,"
    elif max(ky, kx) > 1:
        half: Pair = (-(-ky // 2), -(-kx // 2))
        yield replace(demand, kernel=half), f"pooling by 2 before `{demand.name}`"
    if f > 1:
        yield (
            replace(demand, shape_out=(f // 2, y, x)),
            f"half the output channels in `{demand.name}`",
        )
    if c > 1:
        yield replace(demand, channels_in=c // 2), f"half the input channels of `{demand.name}`"
