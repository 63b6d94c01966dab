"""Populations to cores: parts that fit, on as few cores as possible, with little traffic between them.

``partition(problem, cores)`` is the whole interface: ``problem`` from ``Population`` and ``Projection`` (whose
structure is a ``Reach``), ``cores`` from the chip, a ``Partition`` back or a ``PartitionError``.
"""

from nirc.mapping.partition.problem import (
    Cores,
    Oversized,
    OversizedError,
    PartitionError,
    Population,
    Problem,
    Projection,
    Resource,
    TooManyCoresError,
)
from nirc.mapping.partition.reach import Explicit, Product, Reach, dense, one_to_one, sparse, window
from nirc.mapping.partition.result import Partition
from nirc.mapping.partition.search import partition

__all__ = [
    "Cores",
    "Explicit",
    "Oversized",
    "OversizedError",
    "Partition",
    "PartitionError",
    "Population",
    "Problem",
    "Product",
    "Projection",
    "Reach",
    "Resource",
    "TooManyCoresError",
    "dense",
    "one_to_one",
    "partition",
    "sparse",
    "window",
]
