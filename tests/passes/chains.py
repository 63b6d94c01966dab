"""Random networks of linear nodes between neurons, with values that binary fractions hold exactly.

So sums come out the same in any order, and spikes must agree exactly.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from nirc.frontend.raw import RawGraph, RawNode
from tests.build import DT, affine, delay, graph, if_, inp, lif, linear, node, out, scale

Shape = tuple[int, ...]


def quarters(dice: np.random.Generator, *shape: int) -> np.ndarray:
    """-1, -0.75, ... 1."""
    return dice.integers(-4, 5, shape) / 4


def _conv(dice: np.random.Generator, shape: Shape) -> tuple[RawNode, Shape]:
    groups = int(dice.choice([g for g in (1, 2) if shape[0] % g == 0]))
    channels = groups * int(dice.integers(1, 3))
    pad, stride = int(dice.integers(0, 2)), int(dice.integers(1, 3))
    kernel = 3 if pad else 2
    weight = quarters(dice, channels, shape[0] // groups, kernel, kernel)
    fields = {
        "stride": stride,
        "padding": pad,
        "dilation": 1,
        "groups": groups,
        "input_shape": shape[1:],
    }
    sizes = [(n + 2 * pad - kernel) // stride + 1 for n in shape[1:]]
    return node("Conv2d", weight=weight, bias=quarters(dice, channels), **fields), (
        channels,
        *sizes,
    )


def _pool(dice: np.random.Generator, shape: Shape) -> tuple[RawNode, Shape]:
    kind = str(dice.choice(["SumPool2d", "AvgPool2d"]))
    return node(kind, kernel_size=2, stride=2, padding=0), (shape[0], shape[1] // 2, shape[2] // 2)


def _step(dice: np.random.Generator, shape: Shape) -> tuple[RawNode, Shape]:
    """A random linear node that takes ``shape``."""
    n = math.prod(shape)
    kinds = ["scale", "scalar", "delay", "delays"] + (
        ["dense", "affine"] if len(shape) == 1 else ["flatten"]
    )
    if len(shape) == 3 and min(shape[1:]) >= 2:
        kinds += ["conv", "conv", "pool"]
    match str(dice.choice(kinds)):
        case "scale":
            return scale(quarters(dice, *shape)), shape
        case "scalar":
            return scale(quarters(dice)), shape
        case "delay":
            return delay(int(dice.integers(0, 3)) * DT), shape
        case "delays":
            return delay(dice.integers(0, 3, shape) * DT), shape
        case "dense":
            m = int(dice.integers(1, 5))
            return linear(quarters(dice, m, n)), (m,)
        case "affine":
            m = int(dice.integers(1, 5))
            return affine(quarters(dice, m, n), quarters(dice, m)), (m,)
        case "flatten":
            return node("Flatten", start_dim=0, end_dim=-1, input_type=shape), (n,)
        case "conv":
            return _conv(dice, shape)
    return _pool(dice, shape)


def network(seed: int) -> tuple[RawGraph, int]:
    """A graph and its number of input channels: two populations, each behind up to five linear
    nodes.

    Some nodes are doubled (a diamond), some populations feed themselves, through a Delay or at
    once; node names are in no order.
    """
    dice = np.random.default_rng(seed)
    shape: Shape = (
        (int(dice.integers(1, 3)), 4, 4) if dice.random() < 0.7 else (int(dice.integers(1, 6)),)
    )
    start = math.prod(shape)
    nodes, ways, last = {"in": inp(*shape)}, [], "in"
    names = [f"n{i:02}" for i in dice.permutation(40)]
    for _ in range(2):
        for _ in range(int(dice.integers(0, 5))):
            item, after = _step(dice, shape)
            twin = names.pop() if dice.random() < 0.2 else ""
            name = names.pop()
            nodes[name] = item
            ways.append((last, name))
            if twin:  # a second way round, joined again by a scale of one
                nodes[twin], junction = item, names.pop()
                nodes[junction] = scale(1.0)
                ways += [(last, twin), (name, junction), (twin, junction)]
                name = junction
            last, shape = name, after
        name, n = names.pop(), math.prod(shape)
        flat = if_(n, 0.6) if dice.random() < 0.5 else lif(n, 4, 0.6)
        nodes[name] = RawNode(
            "", flat.type, {k: np.reshape(v, shape) for k, v in flat.fields.items()}
        )
        ways.append((last, name))
        if dice.random() < 0.4:
            back = names.pop()
            nodes[back] = scale(quarters(dice, *shape)) if dice.random() < 0.5 else delay(DT)
            ways += [(name, back), (back, name)]
        last = name
    nodes["out"] = out(*shape)
    ways.append((last, "out"))
    return graph(nodes, *ways), start


networks = st.integers(0, 1 << 20).map(network)


def raster(seed: int, steps: int, channels: int) -> np.ndarray:
    """(1, steps, channels) spike counts from 0 to 2."""
    return np.random.default_rng(seed).integers(0, 3, (1, steps, channels)).astype(float)
