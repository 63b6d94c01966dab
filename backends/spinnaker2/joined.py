"""Small populations that share processing elements, in a network of very many projections.

A population has a PE or more of its own, and a projection has arrays of its own. So thousands of
projections between small populations ask for more PEs than there are, and for large files. Joined
populations are one population of the tables. Weights, delays and answers stay as they are
(``benchmarks/scale.py all-to-all-100``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nirc.backends.spinnaker2.lower import SYNAPSE, short
from nirc.backends.spinnaker2.tables import Population, Projection, Tables
from nirc.files.bounds import MAX_NAME
from nirc.files.chipfiles import ROOM, Labels, Output
from nirc.ir.arrays import unrepeated
from nirc.ir.populations import Population as Node
from nirc.ir.populations import Role
from nirc.ir.program import SMALL_POPULATION, Program

# By population: the joined population, and the number of the first neuron there.
Places = dict[str, tuple[str, int]]


def joins(program: Program, more: int = 0) -> bool:
    """Return True if small populations of a network are joined.

    Projections to relays do not count, since the model has none. ``more``: projections that the
    chip may add.
    """
    relays = {n for n, p in program.nodes(Node).items() if p.role is Role.RELAY}
    return program.has_many_edges(more, but_into=relays)


def joined(tables: Tables, alone: Collection[str]) -> tuple[Tables, Places]:
    """Return tables with few populations, and the place of each population that is joined.

    ``alone``: names of populations that stay apart.
    """
    apart = {c.source for c in tables.convolutions} | {c.target for c in tables.convolutions}
    apart |= {*alone}
    groups: dict[object, list[Population]] = {}
    for p in tables.populations:
        small = p.spikes and p.n <= SMALL_POPULATION and p.name not in apart
        key = (p.model, p.reset, *_form(p)) if small else p.name
        groups.setdefault(key, []).append(p)
    labels = Labels(tables.sizes())
    places: Places = {}
    populations = []
    for members in groups.values():
        if len(members) == 1:
            populations += members
            continue
        first, others = members[0].name[: MAX_NAME - 2 * ROOM], len(members) - 1
        together = _population(labels.new(f"{first} and {others} more"), members)
        populations.append(together)
        ends = np.cumsum([0, *(p.n for p in members)]).tolist()
        places |= {p.name: (together.name, at) for p, at in zip(members, ends, strict=False)}
    return (
        replace(
            tables,
            populations=tuple(populations),
            projections=tuple(_projections(tables.projections, places)),
            outputs=tuple(_output(output, places) for output in tables.outputs),
        ),
        places,
    )


def _form(p: Population) -> tuple[bool, bool, bool | None]:
    """Return the facts of all neurons that decide which fields NIR has for a population.

    Facts: some membranes keep all, all do, and both currents decay alike, None without currents.
    The checker rebuilds the fields of joined neurons together.
    """
    keeps = p.alpha_decay >= 1
    currents = None if p.exc_decay is None else bool((p.exc_decay == p.inh_decay).all())
    return bool(keeps.any()), bool(keeps.all()), currents


def _population(name: str, members: list[Population]) -> Population:
    """Return the neurons of all ``members`` as one population."""
    sizes = [p.n for p in members]
    values: dict[str, Any] = {}
    for parameter in members[0].parameters():
        parts = [np.broadcast_to(p.parameters()[parameter], p.n) for p in members]
        values[parameter] = short(np.concatenate(parts))
    return replace(members[0], name=name, n=sum(sizes), **values)


def _projections(projections: Iterable[Projection], places: Places) -> Iterator[Projection]:
    """Yield the projections between the same populations as one, sorted.

    A synapse that stands twice, to excite and to inhibit, goes to a second one.
    """
    groups: dict[tuple[str, str], list[Projection]] = {}
    labels = Labels()
    for p in projections:
        if p.source in places or p.target in places:
            ends = places.get(p.source, (p.source, 0))[0], places.get(p.target, (p.target, 0))[0]
            groups.setdefault(ends, []).append(p)
        else:
            labels.new(p.name)
            yield p
    for (source, target), several in groups.items():
        pre = np.concatenate([p.pre + places.get(p.source, (p.source, 0))[1] for p in several])
        post = np.concatenate([p.post + places.get(p.target, (p.target, 0))[1] for p in several])
        weight = np.concatenate([p.weight for p in several])
        delay = np.concatenate([p.delay for p in several])
        columns = {"pre": pre, "post": post, "weight": weight, "delay": delay}
        for once in unrepeated(pre, post, delay):
            typed = {key: v[once].astype(SYNAPSE[key]) for key, v in columns.items()}
            yield Projection(labels.new(f"{source} -> {target}"), source, target, **typed)


def _output(output: Output, places: Places) -> Output:
    name, at = places.get(output.population, (output.population, 0))
    return Output(name, output.neurons + at)


def owner(places: Places, name: str, neuron: int) -> tuple[str, int]:
    """Return population and number of a neuron of the tables, as they were before joining."""
    members = [(first, each) for each, (whole, first) in places.items() if whole == name]
    first, member = max((m for m in members if m[0] <= neuron), default=(0, name))
    return member, neuron - first
