"""The problem of partitioning, the cores of a chip, and the errors."""

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


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that may be cut into boxes.

    ``on_core`` false: an external input. Its neurons use no core. Its spikes to the cores still
    count.
    """

    name: str
    shape: tuple[int, ...]  # (n,), (C, L) or (C, H, W)
    rate: float | Floats = 1.0  # expected spikes of a neuron in a step, one number or (neurons,)
    on_core: bool = True

    def __post_init__(self) -> None:
        rate = np.asarray(self.rate, np.float64)
        if rate.shape not in ((), (self.neurons,)):
            rates = f"one rate or {self.neurons}"
            raise ValueError(f"{self.name}: {rates}, not an array of shape {rate.shape}")
        if not (np.isfinite(rate) & (rate >= 0)).all():
            raise ValueError(f"{self.name}: rates must be finite and at least 0")

    @cached_property
    def box(self) -> Shape3:
        """The shape with three axes."""
        return three_axes(self.shape)

    @property
    def neurons(self) -> int:
        """The number of neurons."""
        return math.prod(three_axes(self.shape))


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses between two populations. ``source`` and ``target``: indices in the problem."""

    source: int
    target: int
    reach: Reach


@dataclass(frozen=True, eq=False)
class Problem:
    """Populations and the projections between them.

    Raises ``ValueError`` for repeated names, and for projections of other shapes than their
    populations.
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
                box = self.populations[end].box
                if box != shape:
                    raise ValueError(f"a projection of shape {shape} meets {names[end]} of {box}")
            if not self.populations[p.target].on_core:
                raise ValueError(f"a projection leads to the external input {names[p.target]}")

    @cached_property
    def into(self) -> tuple[tuple[Projection, ...], ...]:
        """The projections into each population."""
        return self._by_end([p.target for p in self.projections])

    @cached_property
    def out_of(self) -> tuple[tuple[Projection, ...], ...]:
        """The projections out of each population."""
        return self._by_end([p.source for p in self.projections])

    def _by_end(self, ends: Sequence[int]) -> tuple[tuple[Projection, ...], ...]:
        lists: list[list[Projection]] = [[] for _ in self.populations]
        for end, projection in zip(ends, self.projections, strict=True):
            lists[end].append(projection)
        return tuple(map(tuple, lists))


@dataclass(frozen=True)
class Resource:
    """A resource of a core: ``capacity`` in integer ``unit``."""

    name: str
    capacity: int
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Cores:
    """The cores of a chip, and the cost of a part on a core.

    ``cost(population, boxes)``: (k, resources) int64, the use of each resource by each box
    (k, 3, 2) of the population with this index. The search and its bounds rely on three promises. A
    box costs no less than a box inside it. Cutting a box saves nothing in all: the parts together
    cost at least as much as the box. No cost is negative.
    A limit of populations on a core is a resource, too: let each part take 1 of it.
    """

    resources: tuple[Resource, ...]
    count: int  # of available cores
    cost: CostFunction
    local_is_free: bool = True  # a spike to a target on the core of its source is no traffic

    @cached_property
    def capacity(self) -> Ints:
        """(resources,) int64."""
        return np.array([r.capacity for r in self.resources], dtype=np.int64)


@dataclass(frozen=True)
class Oversized:
    """A neuron, or a prescribed part (``pinned``), that no core holds."""

    population: str
    neuron: int  # its number, or the number of the part's first neuron
    resource: Resource
    need: int
    box: tuple[tuple[int, int], ...]  # ranges along the three axes
    pinned: bool = False

    def __str__(self) -> str:
        name = f"neuron {self.neuron}"
        if self.pinned:
            name = "the prescribed part " + " x ".join(f"{a}..{b - 1}" for a, b in self.box)
        need = f"{self.need} {self.resource.name}"
        return f"{name} of {self.population} needs {need}, a core has {self.resource.capacity}"


class PartitionError(ValueError):
    """No partition was found."""


class OversizedError(PartitionError):
    """Neurons or prescribed parts need more than a core has. Lists all, the worst first."""

    def __init__(self, oversized: Sequence[Oversized]) -> None:
        self.oversized = tuple(oversized)
        super().__init__("; ".join(str(o) for o in self.oversized))


class TooManyCoresError(PartitionError):
    """``needed`` cores exceed the ``available`` cores. No partition has fewer than ``bound``."""

    def __init__(self, needed: int, available: int, bound: int) -> None:
        self.needed = needed
        self.available = available
        self.bound = bound
        known = f"at least {bound} are needed, so fewer may do"
        if self.impossible:
            known = "more than there are"
        super().__init__(f"{needed} cores were needed, {available} are there; {known}")

    @property
    def impossible(self) -> bool:
        """True if no partition exists on the available cores."""
        return self.bound > self.available
