"""Convolutional NIR graphs in a line, for tests of Speck."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np

from tests.models import graph


def conv(
    rng: np.random.Generator,
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int] = 3,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    size: tuple[int, int] | None = None,
    bias: bool = False,
) -> nir.Conv2d:
    """A convolution with random weights, more positive than negative."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    weight = rng.normal(0.1, 0.4, (c_out, c_in // groups, *kernel))
    return nir.Conv2d(
        input_shape=size,
        weight=weight,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=rng.normal(0, 0.1, c_out) if bias else np.zeros(c_out),
    )


def fire(*shape: int, threshold: float | np.ndarray = 1.0) -> nir.IF:
    """Integrate-and-fire neurons on a map."""
    one = np.ones(shape)
    return nir.IF(r=one, v_threshold=one * threshold, v_reset=0 * one)


def pool(
    kernel: int | tuple[int, int] = 2,
    *,
    stride: int | None = None,
    padding: int = 0,
    avg: bool = False,
) -> nir.NIRNode:
    """A sum (or average) pool, by default with windows side by side."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    steps = kernel if stride is None else (stride, stride)
    make = nir.AvgPool2d if avg else nir.SumPool2d
    return make(np.array(kernel), np.array(steps), np.array((padding, padding)))


def flatten(*shape: int) -> nir.Flatten:
    """Maps to a vector."""
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)


def along(*paths: str) -> list[tuple[str, str]]:
    """Return the edges along paths, each the names of its nodes in order."""
    edges: list[tuple[str, str]] = []
    for path in paths:
        edges += pairwise(path.split())
    return edges


def line(shape: tuple[int, ...], *layers: nir.NIRNode, out: tuple[int, ...]) -> nir.NIRGraph:
    """Input, the layers one after the other, named n0, n1, ..., Output."""
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array(shape))}
    nodes |= {f"n{i}": layer for i, layer in enumerate(layers)}
    nodes["out"] = nir.Output(np.array(out))
    return graph(nodes, list(pairwise(nodes)))


def small(rng: np.random.Generator) -> nir.NIRGraph:
    """Two convolutions, a pool between, a linear readout: 1 x 8 x 8 to 5."""
    return line(
        (1, 8, 8),
        conv(rng, 1, 4, padding=1),
        fire(4, 8, 8),
        pool(),
        conv(rng, 4, 6, padding=1),
        fire(6, 4, 4),
        pool(avg=True),
        flatten(6, 2, 2),
        nir.Linear(rng.normal(0.1, 0.5, (5, 24))),
        fire(5),
        out=(5,),
    )


def skipping(rng: np.random.Generator, *, kernels: tuple[int, int] = (1, 3)) -> nir.NIRGraph:
    """Return three layers on 2 x 8 x 8. The last gets both others, through these kernel sizes."""
    nodes = {
        "in": nir.Input(np.array([2, 8, 8])),
        "a": conv(rng, 2, 4, padding=1),
        "first": fire(4, 8, 8),
        "b": conv(rng, 4, 4, padding=1),
        "second": fire(4, 8, 8),
        "c": conv(rng, 4, 3, kernels[0], padding=kernels[0] // 2),
        "d": conv(rng, 4, 3, kernels[1], padding=kernels[1] // 2),
        "last": fire(3, 8, 8),
        "out": nir.Output(np.array([3, 8, 8])),
    }
    return graph(nodes, along("in a first b second c last", "first d last out"))
