"""Hand-made and random networks in the chip's words, with a mapping of each."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from nirc.backends.spinnaker2.mapping import Mapping, Slice, Tick
from nirc.backends.spinnaker2.system import CORES, LINKS
from nirc.backends.spinnaker2.tables import (
    DELAYED,
    FILTERED,
    Convolution,
    Input,
    Output,
    Population,
    Projection,
    Tables,
)
from nirc.mapping.tables import Tables as Routing
from nirc.mapping.tables.keys import allocate


def population(
    rng: np.random.Generator, name: str, model: str, n: int, **fields: object
) -> Population:
    """Return neurons that fire now and then. Some have parameters of their own."""
    some = n if rng.random() < 0.6 else 1
    filtered = model in FILTERED
    values = {
        "threshold": rng.integers(8, 40, some),
        "alpha_decay": rng.random(some) if rng.random() < 0.8 else np.ones(some),
        "i_offset": rng.normal(0, 2, n),
        "v_init": rng.normal(0, 4, 1),
        "v_reset": rng.normal(0, 3, some),
        "exc_decay": rng.random(some) if filtered else None,
        "inh_decay": rng.random(1) if filtered else None,
    }
    arrays = {k: None if v is None else np.asarray(v, np.float32) for k, v in values.items()}
    reset = ("reset_to_v_reset", "reset_by_subtraction")[rng.integers(2)]
    atoms = int(rng.integers(max(1, n // 3), n + 1))
    return Population(name, model, n, atoms, reset, **(arrays | fields))


def projection(
    rng: np.random.Generator, name: str, source: str, n: int, target: Population, *, p: float
) -> Projection:
    """Return random synapses over the full range of the target's model."""
    delayed = target.model in DELAYED
    most, delays = (15, 8) if delayed else (127, 1)
    held = rng.random((n, target.n, delays)) < p / delays
    pre, post, delay = (a.astype(np.int64) for a in np.nonzero(held))
    return Projection(
        name, source, target.name, pre, post, rng.integers(-most // 2, most + 1, len(pre)), delay
    )


def network(seed: int) -> Tables:
    """Return two inputs that share channels, three populations of any models, and two outputs."""
    rng = np.random.default_rng(seed)
    models = rng.choice(["lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay"], 3)
    inputs = (Input("in", np.array([2, 0, 1, 2]), 3), Input("other in", np.array([3]), 1))
    a, b, c = (
        population(rng, f"pop {i}", str(m), int(rng.integers(2, 9))) for i, m in enumerate(models)
    )
    wires = [
        ("in", 4, a),
        ("other in", 1, b),
        ("in", 4, c),
        (a.name, a.n, b),
        (b.name, b.n, c),
        (b.name, b.n, b),
    ]
    projections = tuple(
        projection(rng, f"{source} to {target.name}, {i}", source, n, target, p=0.6)
        for i, (source, n, target) in enumerate(wires)
    )
    outputs = (Output(c.name, np.arange(c.n)[::-1]), Output(a.name, np.array([1])))
    return Tables(4, inputs, (a, b, c), projections, (), outputs)


def convolutional(*, pool: tuple[int, int] = (1, 1), stride: tuple[int, int] = (1, 1)) -> Tables:
    """Return 2 x 6 x 8 inputs, a pooling, a convolution, a list of synapses and a readout."""
    rng = np.random.default_rng(5)
    shape = (2, 6, 8)
    n = math.prod(shape)
    fields = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1)
    convolution = Convolution(
        "conv",
        "pixels",
        "map",
        6,
        8,
        stride[1],
        stride[0],
        pool[1],
        pool[0],
        **fields,
        weight=rng.integers(-60, 100, (2, 3, 3, 2)),
    )
    cells = population(
        rng, "map", "lif_conv2d", math.prod(convolution.shape_out), threshold=one(150)
    )
    last = population(rng, "last", "lif_no_delay", 4, threshold=one(1e30), spikes=False)
    wires = projection(rng, "dense", "map", cells.n, last, p=0.5)
    return Tables(
        n,
        (Input("pixels", np.arange(n), 50),),
        (cells, last),
        (wires,),
        (convolution,),
        outputs_of(last),
    )


def outputs_of(last: Population) -> tuple[Output, ...]:
    return (Output(last.name, np.arange(last.n)),)


def one(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def mapping(tables: Tables, *, tick: float = 1e-3, steps: int = 1000) -> Mapping:
    """Return a mapping to one chip, with an entry for every source."""
    blocks = [*tables.inputs, *tables.populations]
    spans = [
        (i, begin, end) for i, b in enumerate(blocks) for begin, end in pairwise(cuts(b.n, b.atoms))
    ]
    owner, begin, end = (np.array(column) for column in zip(*spans, strict=True))
    keys = allocate(owner, end - begin)
    cores = 1 + np.arange(len(spans))
    slices = tuple(
        Slice(blocks[i].name, b, e, 0, int(core), int(key), int(mask))
        for (i, b, e), core, key, mask in zip(spans, cores, keys.key, keys.mask, strict=True)
    )
    return Mapping(
        slices,
        routing(tables, slices, keys.key, keys.mask),
        Tick(tick, "as users' scripts"),
        steps,
    )


def cuts(n: int, atoms: int) -> list[int]:
    """Return 0, atoms, 2 atoms, ... n."""
    return [*range(0, n, atoms), n]


def routing(
    tables: Tables, slices: tuple[Slice, ...], key: np.ndarray, mask: np.ndarray
) -> Routing:
    """Return routes from each slice to all PEs of all targets of its population."""
    words = (LINKS + CORES) // 64 + 1
    routes = np.zeros((len(slices), words), np.uint64)
    wires = {(p.source, p.target) for p in (*tables.projections, *tables.convolutions)}
    for i, source in enumerate(slices):
        for target in slices:
            if (source.population, target.population) in wires:
                bit = LINKS + target.core
                routes[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    order = np.argsort(key)
    return Routing(np.array([0, len(slices)]), key[order], mask[order], order, routes, LINKS)
