"""What a part of a population takes of a neurocore: entries, words of synapse memory, and their sum
in shared memory.

The formulas are read off the logs of Intel's own partitioner (limits.py says how surely); they lie
on the safe side where the logs leave a choice. How a projection is stored follows from its
structure: ``dense`` and ``one-to-one`` row by row, ``sparse`` row by row with the synapses that
there are, ``window`` as a kernel shared over space. What delays cost is not public, and nothing is
counted for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nirc.backends.loihi2.limits import (
    AXON_HEADER_BITS,
    ENTRY_BYTES,
    KERNEL_AXONS,
    KERNEL_MAPS,
    KERNEL_OUT_AXONS,
    SYNAPSE_BITS,
    SYNAPSE_WORD_BYTES,
    WORD_BITS,
)
from nirc.chip.target import Target
from nirc.mapping.partition import Cores, Explicit, Problem, Projection, Resource
from nirc.mapping.partition.boxes import Boxes, Ints, lengths, volume
from nirc.mapping.partition.relations import Blocks, Window

# Names of the limits, in the order of the columns of a cost.
RESOURCES = (
    "neurons of a core",
    "neuron groups of a core",
    "input axons of a core",
    "axon maps of a core",
    "output axons of a core",
    "synapse memory of a core",
    "shared memory of a core",
)


def cores_of(problem: Problem, target: Target, *, weight_bits: int | Sequence[int] = 8) -> Cores:
    """The cores of a variant of Loihi 2, and what the parts of ``problem`` take of them.

    ``weight_bits``: of the weights of all projections or of each, in the problem's order; it counts
    for kernels. A population must have one decay and one threshold: it is one neuron group wherever
    it has a part.
    """
    bits = (
        [weight_bits] * len(problem.projections)
        if isinstance(weight_bits, int)
        else list(weight_bits)
    )
    if len(bits) != len(problem.projections):
        raise ValueError(f"{len(bits)} sizes of weights for {len(problem.projections)} projections")
    into: list[list[int]] = [[] for _ in problem.populations]
    out_of: list[list[int]] = [[] for _ in problem.populations]
    for k, p in enumerate(problem.projections):
        into[p.target].append(k)
        out_of[p.source].append(k)

    def cost(population: int, boxes: Boxes) -> Ints:
        neurons = volume(boxes)
        places = lengths(boxes)[:, 1:].prod(axis=1)
        none = np.zeros_like(neurons)
        axons, words, maps, out_axons = none, none, none, none
        for k in into[population]:
            axons = axons + _axons(problem.projections[k], boxes)
            words = words + _words(problem.projections[k], boxes, bits[k])
        kinds = [problem.projections[k].reach.kind for k in out_of[population]]
        for kind in kinds or ["output"]:
            maps = maps + (KERNEL_MAPS * places if kind == "window" else neurons)
            out_axons = out_axons + (KERNEL_OUT_AXONS * places if kind == "window" else none)
        pool = ENTRY_BYTES * (neurons + axons + maps + out_axons) + SYNAPSE_WORD_BYTES * words
        return np.stack(
            [neurons, np.ones_like(neurons), axons, maps, out_axons, words, pool], axis=1
        )

    limits = {limit.name: limit for limit in target.limits}
    resources = tuple(Resource(name, limits[name].max, limits[name].unit) for name in RESOURCES)
    return Cores(resources, target.max("cores"), cost)


def row_words(synapses: Ints) -> Ints:
    """Words for the synapses of one input axon of a dense layer or a list."""
    return np.where(synapses > 0, -(-(synapses * SYNAPSE_BITS + AXON_HEADER_BITS) // WORD_BITS), 0)


def _axons(projection: Projection, boxes: Boxes) -> Ints:
    if projection.reach.kind == "window":
        return np.full(len(boxes), KERNEL_AXONS)
    return projection.reach.axons(boxes)


def _words(projection: Projection, boxes: Boxes, bits: int) -> Ints:
    reach = projection.reach
    if isinstance(reach, Explicit):
        return np.array([row_words(reach.fans(box)).sum() for box in boxes], dtype=np.int64)
    if reach.kind == "dense":
        return reach.axons(boxes) * row_words(volume(boxes))
    if reach.kind == "one-to-one":
        return reach.axons(boxes) * row_words(np.ones(len(boxes), dtype=np.int64))
    channels, *space = reach.axes
    taps = int(np.prod([axis.kernel for axis in space if isinstance(axis, Window)]))
    per_channel = channels.n_in // (channels.groups if isinstance(channels, Blocks) else 1)
    return -(-lengths(boxes)[:, 0] * per_channel * taps * bits // WORD_BITS)
