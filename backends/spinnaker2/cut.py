"""The first part of a fit: tables and their slices, the same for a chip and a board."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field

from nirc.backends.spinnaker2.findings import UnknownPopulation
from nirc.backends.spinnaker2.joined import Places, joined, joins
from nirc.backends.spinnaker2.limits import STEPS, Prices
from nirc.backends.spinnaker2.lower import labelled, lower
from nirc.backends.spinnaker2.order import Order, regrouped
from nirc.backends.spinnaker2.slices import Memory, Split, split
from nirc.backends.spinnaker2.system import Faults
from nirc.backends.spinnaker2.tables import Tables
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.mapping.effort import Effort


@dataclass(frozen=True)
class Request:
    """The options that concern the placement, as data."""

    atoms: Mapping[str, int] = field(default_factory=dict)  # by population
    steps: int = STEPS  # of recording
    tick_s: float | None = None
    prices: Prices = field(default_factory=Prices)
    faults: Faults | None = None
    regroups: bool = True  # neurons may change their places
    effort: Effort = "normal"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cut:
    """The tables, their slices and the order of neurons, the same for all variants of the chip.

    ``order`` and ``places``: see ``fit.Chip``.
    """

    labels: Mapping[str, str]
    tables: Tables
    parts: Split
    order: Order
    places: Places


# The last program, its options and slices: a board is tried after a chip, with the same slices.
_last: list[tuple[weakref.ref[Program], Request, Cut]] = []


def cut(program: Program, request: Request, log: Log) -> Cut | None:
    """Return the slices of an integer program, or None with the reasons (N902, N903) in ``log``."""
    for known, asked, slices in _last[:]:
        if known() is program and asked == request:
            return slices
    labels = labelled(program)
    for name in request.atoms:
        if name not in labels:
            log.add(UnknownPopulation(population=name, known=labels))
    if log.errors:
        return None
    atoms = {labels[name]: n for name, n in request.atoms.items()}
    places: Places = {}
    tables = lower(program, labels)
    if joins(program):
        tables, places = joined(tables, atoms)
    memory = Memory(tables, request.prices, request.steps, places)
    parts = split(memory, atoms, log)
    if parts is None:
        return None
    tables, order = memory.tables, Order()
    if request.regroups:
        tables, parts, order = regrouped(memory, parts, atoms, request.effort, request.seed)
    slices = Cut(labels, tables, parts, order, places)
    _last[:] = [(weakref.ref(program, lambda _: _last.clear()), request, slices)]
    return slices
