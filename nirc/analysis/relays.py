"""Relays of a chip: populations that repeat another, neuron by neuron."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nirc.ir.linear import composed
from nirc.ir.populations import Projection
from nirc.ir.program import Program

MOST_PRODUCTS = 1 << 22  # entries of a chain of operators that is multiplied out


def repeated(model: Program, chip: Program) -> dict[str, str]:
    """Return the population that each added neuron-by-neuron relay of the chip repeats."""
    found: dict[str, str] = {}
    for name in chip.graph:
        into = chip.into(name)
        if name not in model.graph and len(into) == 1 and _is_neuron_by_neuron(into[0][1]):
            found[name] = into[0][0]
    return found


def origin(name: str, relays: Mapping[str, str]) -> str:
    """Return the population that ``name`` repeats, through all relays, or ``name``."""
    while name in relays:
        name = relays[name]
    return name


def _is_neuron_by_neuron(projection: Projection) -> bool:
    if not projection.ops:
        return True
    op = composed(projection.ops, max_entries=MOST_PRODUCTS)
    return op is not None and bool(np.array_equal(*op.coo()[:2]))
