"""Populations to cores: parts that fit, on a minimum of cores, with little traffic between them.

``partition(problem, cores)`` is the interface. ``problem`` consists of ``Population`` and
``Projection``, with a ``Reach`` as structure. ``cores`` comes from the chip. The answer is a
``Partition`` or a ``PartitionError``.
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
