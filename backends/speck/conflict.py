"""Conflicts between layers in the model's numbers, with changes that solve them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from nirc.backends.speck.demand import (
    BIAS,
    DESTINATIONS,
    KERNEL,
    MEMORIES,
    NEURON,
    ONE_CORE,
    PLACED,
    Conflict,
    Demand,
    PlaceProblem,
    capacity,
    fewest_cores,
)
from nirc.backends.speck.findings import (
    BiasMemory,
    CannotPlace,
    CannotReach,
    KernelMemory,
    NeuronMemory,
    TooManyDestinations,
)
from nirc.backends.speck.geometry import Pair, kernel_words, neuron_words
from nirc.backends.speck.limits import Core
from nirc.backends.speck.place import holds_together
from nirc.diagnostics.finding import Finding


def explain(
    conflict: Conflict, problem: PlaceProblem, cores: Sequence[Core], origins: Mapping[str, str]
) -> Finding:
    """Return ``conflict`` as a finding (S707 to S711). ``origins``: the layers' places."""
    where = origins.get(conflict[0][0], conflict[0][0])
    layers = {name for name, limit in conflict if limit != DESTINATIONS}
    limits = {limit for _, limit in conflict}
    concerned = [d for d in problem.demands if d.name in layers]
    memories = [m for m in MEMORIES if m in limits]
    cure = _cure(conflict, problem, cores)
    if DESTINATIONS not in limits and len(concerned) == 1 and len(memories) == 1:
        return _one_layer(concerned[0], memories[0], cores, cure, where, ONE_CORE in limits)
    sizes = {m: _words_of_cores(m, cores) for m in memories}
    if DESTINATIONS not in limits:
        fewest = {d.name: _fewest_cores(d, cores, limits) for d in concerned}
        return CannotPlace(where=where, fewest=fewest, cores=len(cores), memories=sizes, cure=cure)
    senders = tuple(name for name, limit in conflict if limit == DESTINATIONS)
    most = min(problem.destinations[s] for s in senders)
    fed = [d for d in concerned if set(d.sources) & set(senders)]
    fewest = {d.name: _fewest_cores(d, cores, limits) for d in fed}
    if len(senders) == 1 and len(fed) == len(concerned):
        return TooManyDestinations(
            where=where, senders=senders, most=most, fewest=fewest, cure=cure
        )
    return CannotReach(
        where=where,
        senders=senders,
        most=most,
        fewest=fewest,
        cores=len(cores),
        memories=sizes,
        cure=cure,
    )


def kernel_memory_too_small(demand: Demand, cores: Sequence[Core], where: str) -> Finding | None:
    """Return S707 if all cores together hold not all channels' kernels, else None."""
    if sum(capacity(demand, core, (KERNEL,)) for core in cores) >= demand.channels:
        return None
    return _one_layer(demand, KERNEL, cores, "", where, one_core=False)


def _one_layer(
    demand: Demand, memory: str, cores: Sequence[Core], cure: str, where: str, one_core: bool
) -> Finding:
    caps = [capacity(demand, core, (memory,)) for core in cores]
    kind = {KERNEL: KernelMemory, NEURON: NeuronMemory, BIAS: BiasMemory}[memory]
    return kind(
        where=where,
        layer=demand.name,
        channels=demand.channels,
        kernel=demand.kernel,
        size=demand.shape_out[1:],
        held=max(caps) if one_core else sum(caps),
        one_core=one_core,
        needed=_words(demand)[memory],
        sizes=_words_of_cores(memory, cores),
        cure=cure,
    )


def _fewest_cores(demand: Demand, cores: Sequence[Core], limits: set[str]) -> str:
    return str(fewest_cores(demand, cores, limits) or "more than there are")


def _words(demand: Demand) -> dict[str, int]:
    """Return the words of each memory for a layer in one piece."""
    return {
        KERNEL: kernel_words(demand.channels_in, demand.channels, demand.kernel),
        NEURON: neuron_words(demand.shape_out),
        BIAS: demand.channels,
    }


def _words_of_cores(memory: str, cores: Sequence[Core]) -> tuple[int, ...]:
    return tuple({KERNEL: c.kernel, NEURON: c.neuron, BIAS: c.bias}[memory] for c in cores)


def _cure(conflict: Conflict, problem: PlaceProblem, cores: Sequence[Core]) -> str:
    """Return the first single change of a layer after which all can be placed.

    If there is none, return one that ends this conflict. Each change is tried.
    """
    surplus = len(problem.demands) - len(cores)
    if surplus > 0 and {limit for _, limit in conflict} == {PLACED}:  # smaller layers do not help
        layers = f"leave out {surplus} of the {len(problem.demands)} layers"
        return f"{layers}: each takes a core of its own"
    names = {name for name, limit in conflict if limit == PLACED}
    partly = ""
    for i, demand in enumerate(problem.demands):
        for changed, words in _changes(demand) if demand.name in names else ():
            demands = (*problem.demands[:i], changed, *problem.demands[i + 1 :])
            after = replace(problem, demands=demands)
            if holds_together(None, after, cores):
                return f"{words} would do"
            if not partly and holds_together(conflict, after, cores):
                partly = f"{words} would end this conflict, though not all there is"
    return partly


def _changes(demand: Demand) -> Iterator[tuple[Demand, str]]:
    """Yield changes of one layer with their words, the mildest first."""
    c, (ky, kx), (f, y, x) = demand.channels_in, demand.kernel, demand.shape_out
    if max(y, x) > 1:
        halved = replace(demand, shape_out=(f, -(-y // 2), -(-x // 2)))
        yield halved, f"stride 2 in `{demand.name}`, or pooling by 2 before it,"
    elif max(ky, kx) > 1:
        half: Pair = (-(-ky // 2), -(-kx // 2))
        yield replace(demand, kernel=half), f"pooling by 2 before `{demand.name}`"
    if f > 1:
        narrow = replace(demand, shape_out=(f // 2, y, x))
        yield narrow, f"half the output channels in `{demand.name}`"
    if c > 1:
        yield replace(demand, channels_in=c // 2), f"half the input channels of `{demand.name}`"
