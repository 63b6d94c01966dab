"""Random networks that netx can hold: chains of dense, recurrent, delayed and convolutional
layers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.tables import Geometry, Input, Output, Population, Projection, Tables

FLAVOURS = ("dense", "recurrent", "delayed", "convolutional")


def random_chain(rng: np.random.Generator, flavour: str) -> Tables:
    """Two or three populations; they fire, since weights lean to the positive and thresholds are
    low.
    """
    populations: list[Population] = []
    projections: list[Projection] = []
    before, n = "in", int(rng.integers(3, 9))
    channels = n
    if flavour == "convolutional":
        kernel = 2 * rng.integers(-30, 100, (4, 1, 3, 2))
        plain = Geometry((2, 6, 5), (4, 1, 1), (2, 1), (1, 0), (1, 2), groups=2)
        geometry = Geometry(
            plain.shape_in, (4, *plain.covers((3, 2))), plain.stride, (1, 0), (1, 2), groups=2
        )
        channels = int(np.prod(geometry.shape_in))
        populations.append(_population(rng, "maps", geometry.n_out))
        projections.append(
            Projection("kernel", "in", "maps", "conv", kernel, "mixed", geometry=geometry)
        )
        before, n = "maps", geometry.n_out
    for i in range(2):
        name, size = f"layer{i}", int(rng.integers(3, 9))
        weights, exponent = _weights(rng, (size, n))
        delays = rng.integers(0, 9, weights.shape) if flavour == "delayed" else None
        populations.append(_population(rng, name, size))
        way = Projection(
            f"to {name}",
            before,
            name,
            "dense",
            weights,
            "mixed",
            delays=delays,
            weight_exp=exponent,
        )
        projections.append(_perhaps_sparse(rng, way))
        if flavour == "recurrent":
            loop = Projection(
                f"in {name}", name, name, "dense", rng.integers(-60, 60, (size, size)) * 2, "mixed"
            )
            projections.append(loop)
        before, n = name, size
    inputs = (Input("in", np.arange(channels)),)
    return Tables(
        channels,
        inputs,
        tuple(populations),
        tuple(projections),
        (Output(before, rng.permutation(n)),),
    )


def _population(rng: np.random.Generator, name: str, n: int) -> Population:
    bias, zeros = rng.integers(0, 40, n) * (rng.random() < 0.5), np.zeros(n, np.int64)
    dynamics = {
        "du": int(rng.integers(800, 4096)),
        "dv": int(rng.integers(0, 2000)),
        "vth": int(rng.integers(15, 60)),
    }
    return Population(name, **dynamics, bias_mant=bias, bias_exp=zeros + 6, v_init=zeros)


def _weights(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    """Weights and an exponent by which they are integers that 8 bits hold."""
    exponent = int(rng.choice([-2, -1, 0]))
    return rng.integers(-60, 127, shape) // 2 ** (1 - exponent) * 2 ** (1 - exponent), exponent


def _perhaps_sparse(rng: np.random.Generator, p: Projection) -> Projection:
    if rng.random() < 0.5:
        return p
    rows, cols = np.nonzero(rng.random(p.weights.shape) < 0.8)
    delays = None if p.delays is None else p.delays[rows, cols]
    return Projection(
        p.name,
        p.source,
        p.target,
        "sparse",
        p.weights[rows, cols],
        "mixed",
        rows,
        cols,
        delays,
        weight_exp=p.weight_exp,
    )
