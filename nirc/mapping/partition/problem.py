"""What is partitioned, onto what, and how it is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import Boxes, Ints, Shape3, three_axes
from nirc.mapping.partition.reach import Reach

Floats = npt.NDArray[np.float64]
Atoms = int | Sequence[int]  # neurons of a part in C order, or its length along each axis

CostFunction = Callable[[int, Boxes], Ints]
MergedCost = Callable[[Ints, Boxes], Ints]


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that may be cut into boxes. ``shape``: (n,), (C, L) or (C, H, W).

    ``rate``: expected spikes of a neuron in a step, one number or (neurons,). ``on_core`` false: an external input,
    whose neurons take nothing of any core; its spikes to the cores count all the same.
    """

    name: str
    shape: tuple[int, ...]
    rate: float | Floats = 1.0
    on_core: bool = True

    def __post_init__(self) -> None:
        rate = np.asarray(self.rate, np.float64)
        if rate.shape not in ((), (self.neurons,)):
            raise ValueError(f"{self.name}: one rate or {self.neurons}, not an array of shape {rate.shape}")
        if not (np.isfinite(rate) & (rate >= 0)).all():
            raise ValueError(f"{self.name}: rates must be finite and at least 0")

    @cached_property
    def box(self) -> Shape3:
        """The shape with three axes."""
        return three_axes(self.shape)

    @property
    def neurons(self) -> int:
        """How many."""
        return math.prod(three_axes(self.shape))


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses between populations, named by their place in the problem."""

    source: int
    target: int
    reach: Reach


@dataclass(frozen=True, eq=False)
class Problem:
    """Populations and the projections between them.

    Raises ``ValueError`` for names that repeat, and projections whose shapes are not those of their populations.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...] = ()

    def __post_init__(self) -> None:
        names = [p.name for p in self.populations]
        if len(set(names)) != len(names):
            raise ValueError("two populations have one name")
        for p in self.projections:
            for end, shape in ((p.source, p.reach.source_shape), (p.target, p.reach.target_shape)):
                if not 0 <= end < len(names):
                    raise ValueError(f"a projection names population {end} of {len(names)}")
                if self.populations[end].box != shape:
                    raise ValueError(f"a projection of shape {shape} meets {names[end]} of {self.populations[end].box}")
            if not self.populations[p.target].on_core:
                raise ValueError(f"a projection leads to the external input {names[p.target]}")

    @cached_property
    def into(self) -> tuple[tuple[Projection, ...], ...]:
        """The projections into each population."""
        return tuple(tuple(p for p in self.projections if p.target == i) for i in range(len(self.populations)))

    @cached_property
    def out_of(self) -> tuple[tuple[Projection, ...], ...]:
        """The projections out of each population."""
        return tuple(tuple(p for p in self.projections if p.source == i) for i in range(len(self.populations)))


@dataclass(frozen=True)
class Resource:
    """Something that a core has ``capacity`` of, in whole ``unit``."""

    name: str
    capacity: int
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Cores:
    """What a core holds, and what a part takes of it.

    ``count``: cores that there are. ``cost(population, boxes)``: (k, resources) int64, what each box (k, 3, 2) of the
    population with this number takes of a core. Promises of a cost, on which the search and its bounds rest: a box
    takes no less than a box inside it; cutting a box saves nothing in all (the parts together take at least what the
    whole takes); nothing is negative.
    ``merged(populations, boxes)``: (resources,) what these parts take together on one core, at most the sum of their
    costs (parts that share an input axon, say); None: the sum.
    ``shared``: parts may share a core. Parts that may not, because a core holds few populations, need no flag: let
    each take 1 of a resource called groups.
    ``own_is_free``: a spike to a target on the core of its source is no traffic.
    """

    resources: tuple[Resource, ...]
    count: int
    cost: CostFunction
    merged: MergedCost | None = None
    shared: bool = True
    own_is_free: bool = True

    @cached_property
    def capacity(self) -> Ints:
        """(resources,)."""
        return np.array([r.capacity for r in self.resources], dtype=np.int64)

    def fits(self, population: int, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """(k,) whether each box fits a core of its own."""
        held: npt.NDArray[np.bool_] = np.all(self.cost(population, boxes) <= self.capacity, axis=1)
        return held


@dataclass(frozen=True)
class Oversized:
    """Something that no core holds: a neuron alone, or a prescribed part (``pinned``).

    ``neuron``: its number, or that of the first of the part; ``box``: the ranges along the three axes.
    """

    population: str
    neuron: int
    resource: Resource
    need: int
    box: tuple[tuple[int, int], ...]
    pinned: bool = False

    def __str__(self) -> str:
        what = f"neuron {self.neuron} of {self.population}"
        if self.pinned:
            ranges = " x ".join(f"{a}..{b - 1}" for a, b in self.box)
            what = f"the prescribed part {ranges} of {self.population}"
        return f"{what} needs {self.need} {self.resource.name}, a core has {self.resource.capacity}"


class PartitionError(ValueError):
    """No partition was found."""


class OversizedError(PartitionError):
    """Single neurons, or parts that were prescribed, take more than a core has: all of them, worst first."""

    def __init__(self, oversized: Sequence[Oversized]) -> None:
        self.oversized = tuple(oversized)
        super().__init__("; ".join(str(o) for o in self.oversized))


class TooManyCoresError(PartitionError):
    """``found`` cores are needed as far as was found, ``available`` are there, fewer than ``bound`` never do."""

    def __init__(self, found: int, available: int, bound: int) -> None:
        self.found, self.available, self.bound = found, available, bound
        known = "more than there are" if self.impossible else f"at least {bound} are needed, so fewer may do"
        super().__init__(f"{found} cores were needed, {available} are there; {known}")

    @property
    def impossible(self) -> bool:
        """Whether it is known that no partition does with the cores that there are."""
        return self.bound > self.available
