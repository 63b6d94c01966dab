"""What Loihi 2's public rule computes, written for reading: plain Python numbers, one synapse at a
time.

The sheet's wording (targets/loihi2.md, section 2) without the 32-bit words of Lava's program.
Random networks for this and for Lava are made here, too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.tables import (
    Geometry,
    Input,
    Kind,
    Output,
    Population,
    Projection,
    SignMode,
    Tables,
)

Lists = list[list[int]]
STATE_MAX = 2**23 - 1


def towards_zero(x: int, loss: int) -> int:
    """x * (4096 - loss) / 4096."""
    kept = abs(x) * (4096 - loss) // 4096
    return kept if x >= 0 else -kept


def neuron(
    u: int, v: int, a: int, *, du: int, dv: int, vth: int, bias: int
) -> tuple[int, int, int]:
    """u, v and spike after a step in which ``a`` arrived."""
    u = towards_zero(u, du + 1) + a * 64
    if u > 2**23:
        u -= 2**24
    elif u <= -(2**23):
        u += 2**24
    v = towards_zero(v, dv) + u + bias
    v = max(-STATE_MAX, min(STATE_MAX, v))
    return (u, 0, 1) if v > vth * 64 else (u, v, 0)


def weight(w: int, mode: SignMode, bits: int) -> int:
    """The stored weight."""
    if mode == "mixed":
        unit = 2 ** (9 - bits)
        return max(-256, min(255, w)) // unit * unit
    unit, sign = 2 ** (8 - bits), -1 if mode == "inhibitory" else 1
    magnitude = max(0, min(255, w * sign))
    return sign * (magnitude // unit * unit)


def scaled(total: int, exponent: int) -> int:
    """total * 2^exponent, rounded down."""
    return total * 2**exponent if exponent > 0 else total // 2**-exponent


def synapses(p: Projection) -> list[tuple[int, int, int, int]]:
    """(target, source, stored weight, delay) of each."""
    if p.geometry is not None:
        return convolution(p.weights.tolist(), p.geometry)
    if p.kind == "dense":
        at = list(np.ndindex(p.weights.shape))
    else:
        assert p.rows is not None and p.cols is not None
        at = list(zip(p.rows.tolist(), p.cols.tolist(), strict=True))
    weights = p.weights.ravel().tolist()
    delays = [0] * len(weights) if p.delays is None else p.delays.ravel().tolist()
    stored = [weight(w, p.sign_mode, p.num_weight_bits) for w in weights]
    return [(row, col, w, d) for (row, col), w, d in zip(at, stored, delays, strict=True)]


def convolution(kernel: list[Any], g: Geometry) -> list[tuple[int, int, int, int]]:
    """The synapses of a kernel that every output looks at its part of the map with."""
    (channels, height, width), (features, rows, columns) = g.shape_in, g.shape_out
    found = []
    for f, y, x in np.ndindex(features, rows, columns):
        group = f // (features // g.groups)
        for c, taps in enumerate(kernel[f]):
            for ky, row in enumerate(taps):
                for kx, w in enumerate(row):
                    at_y = y * g.stride[0] - g.padding[0] + ky * g.dilation[0]
                    at_x = x * g.stride[1] - g.padding[1] + kx * g.dilation[1]
                    if 0 <= at_y < height and 0 <= at_x < width:
                        source = (
                            (group * (channels // g.groups) + c) * height + at_y
                        ) * width + at_x
                        found.append(((f * rows + y) * columns + x, source, w, 0))
    return found


def run_sample(tables: Tables, raster: NDArray[Any]) -> dict[str, dict[str, Lists]]:
    """``raster`` (steps, channels). "u", "v", "spikes" by population: lists over steps of lists
    over neurons.
    """
    wires = [(p, synapses(p)) for p in tables.projections]
    due: dict[tuple[int, str, int], int] = {}  # (row, population, neuron): the sum that arrives
    now = {p.name: [(0, v) for v in p.v_init.tolist()] for p in tables.populations}
    trace: dict[str, dict[str, Lists]] = {
        p.name: {"u": [], "v": [], "spikes": []} for p in tables.populations
    }
    for row, column in enumerate(raster.tolist()):
        sent = {i.name: [column[c] > 0 for c in i.channels.tolist()] for i in tables.inputs}
        for p in tables.populations:
            after = []
            for i, (u, v) in enumerate(now[p.name]):
                bias = int(p.bias_mant[i]) * 2 ** int(p.bias_exp[i])
                after.append(
                    neuron(
                        u, v, due.get((row, p.name, i), 0), du=p.du, dv=p.dv, vth=p.vth, bias=bias
                    )
                )
            now[p.name] = [(u, v) for u, v, _ in after]
            sent[p.name] = [s == 1 for _, _, s in after]
            for k, state in enumerate(("u", "v", "spikes")):
                trace[p.name][state].append([values[k] for values in after])
        for projection, wire in wires:
            sums: dict[tuple[int, int], int] = {}
            for target, source, w, delay in wire:
                if sent[projection.source][source]:
                    sums[target, delay] = sums.get((target, delay), 0) + w
            for (target, delay), total in sums.items():
                key = (row + 1 + delay, projection.target, target)
                due[key] = due.get(key, 0) + scaled(total, projection.weight_exp)
    return trace


# Random networks.

FLAVOURS = ("feed-forward", "recurrent", "delayed", "overflowing")


def random_tables(rng: np.random.Generator, flavour: str) -> Tables:
    """A small network of one to four populations that uses every field; ``overflowing`` leaves the
    24 bits.
    """
    channels = int(rng.integers(1, 7))
    inputs = [_input(rng, f"in{i}", channels) for i in range(rng.integers(1, 3))]
    populations = [_population(rng, f"pop{i}", flavour) for i in range(rng.integers(1, 5))]
    ends = [(inputs[0].name, populations[0].name)]
    ends += [(a.name, b.name) for a, b in pairwise(populations)]
    ends += [(rng.choice([i.name for i in inputs]), rng.choice([p.name for p in populations]))]
    if flavour != "feed-forward":
        spiking = [p.name for p in populations if p.spikes]
        ends += [
            (rng.choice(spiking), rng.choice(spiking)) for _ in range(rng.integers(1, 3)) if spiking
        ]
    readouts = {p.name for p in populations if not p.spikes}
    ends = [(str(a), str(b)) for a, b in ends if a not in readouts]
    sizes = {block.name: block.n for block in (*inputs, *populations)}
    projections = [_projection(rng, f"w{i}", a, b, sizes, flavour) for i, (a, b) in enumerate(ends)]
    outputs = [
        Output(p.name, rng.permutation(p.n)[: 1 + rng.integers(p.n)]) for p in populations[-2:]
    ]
    return Tables(channels, tuple(inputs), tuple(populations), tuple(projections), tuple(outputs))


def random_convolutions(rng: np.random.Generator) -> Tables:
    """An input map, one or two convolutions after each other, and a dense readout."""
    groups = int(rng.integers(1, 4))
    shape = (groups * int(rng.integers(1, 3)), int(rng.integers(3, 9)), int(rng.integers(3, 9)))
    populations: list[Population] = []
    projections = []
    inputs = (Input("in", rng.permutation(shape[0] * shape[1] * shape[2])),)
    before, n = "in", inputs[0].n
    channels = n
    for i in range(rng.integers(1, 3)):
        kernel, geometry = _convolution(rng, shape, groups)
        mant = rng.integers(-30, 30, geometry.n_out)
        name, zeros = f"pop{i}", np.zeros(geometry.n_out, np.int64)
        neurons = Population(
            name, int(rng.integers(4096)), int(rng.integers(4096)), 150, mant, zeros, zeros
        )
        populations.append(neurons)
        projections.append(
            Projection(f"w{i}", before, name, "conv", kernel, "mixed", geometry=geometry)
        )
        before, n, shape = name, geometry.n_out, geometry.shape_out
        groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0]))
    projections.append(
        Projection("out", before, "last", "dense", rng.integers(-256, 256, (3, n)), "mixed")
    )
    zero = np.zeros(3, np.int64)
    last = Population("last", 4095, 100, 131071, zero, zero, zero, spikes=False)
    return Tables(
        channels, inputs, (*populations, last), tuple(projections), (Output("last", np.arange(3)),)
    )


def _convolution(
    rng: np.random.Generator, shape: tuple[int, int, int], groups: int
) -> tuple[NDArray[np.int64], Geometry]:
    """A kernel that fits on ``shape``."""
    per_axis = []
    for n in shape[1:]:
        padding, stride, dilation = (int(rng.integers(low, 4)) for low in (0, 1, 1))
        kernel = int(rng.integers(1, min(4, (n + 2 * padding - 1) // dilation + 1) + 1))
        per_axis.append(
            (
                (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1,
                stride,
                padding,
                dilation,
                kernel,
            )
        )
    outs, strides, paddings, dilations, kernels = zip(*per_axis, strict=True)
    features = groups * int(rng.integers(1, 4))
    weights = 2 * rng.integers(-128, 128, (features, shape[0] // groups, *kernels))
    return weights, Geometry(shape, (features, *outs), strides, paddings, dilations, groups)


def random_raster(
    rng: np.random.Generator, samples: int, steps: int, channels: int
) -> NDArray[np.int64]:
    """Spike counts 0 to 2, of a density that differs by sample."""
    density = rng.choice([0.1, 0.4, 0.9], (samples, 1, 1))
    return (rng.random((samples, steps, channels)) < density) * rng.integers(
        1, 3, (samples, steps, channels)
    )


def _input(rng: np.random.Generator, name: str, channels: int) -> Input:
    return Input(name, rng.integers(0, channels, rng.integers(1, channels + 2)))


def _population(rng: np.random.Generator, name: str, flavour: str) -> Population:
    n = int(rng.integers(1, 9))
    wild = flavour == "overflowing"
    biased = rng.random() < 0.5
    return Population(
        name,
        du=int(rng.choice([0, 1, 2048, 4095, rng.integers(4096)])),
        dv=int(rng.choice([0, 1, 163, 4095, 4096, rng.integers(4096)])),
        vth=131071 if wild else int(2 ** rng.uniform(0, 14)) - 1,
        bias_mant=rng.integers(-4096, 4096, n) * biased,
        bias_exp=rng.integers(0, 8, n) if biased else np.zeros(n, np.int64),
        v_init=rng.integers(-(2**23) + 1, 2**23, n)
        // (1 if wild else rng.choice([1, 2**12, 2**22])),
        spikes=bool(rng.random() < 0.8),
    )


def _projection(
    rng: np.random.Generator,
    name: str,
    source: str,
    target: str,
    sizes: dict[str, int],
    flavour: str,
) -> Projection:
    shape = (sizes[target], sizes[source])
    mode: SignMode = rng.choice(["mixed", "excitatory", "inhibitory"], p=[0.5, 0.3, 0.2])
    kind: Kind = rng.choice(["dense", "sparse"])
    mostly = {"mixed": (-256, 256), "excitatory": (-20, 256), "inhibitory": (-256, 20)}[mode]
    weights = rng.integers(*mostly, shape)
    delayed = rng.random() < (0.8 if flavour == "delayed" else 0.2)
    delays = (
        np.where(rng.random(shape) < 0.05, 63, rng.integers(0, rng.integers(1, 8), shape))
        if delayed
        else None
    )
    rows = cols = None
    if kind == "sparse":
        rows, cols = np.nonzero(rng.random(shape) < rng.choice([0.05, 0.5, 1.0]))
        weights = weights[rows, cols]
        delays = delays[rows, cols] if delays is not None else None
    return Projection(
        name,
        source,
        target,
        str(kind),
        weights,
        str(mode),
        rows,
        cols,
        delays,
        # type: ignore[arg-type]
        num_weight_bits=int(rng.integers(1, 9)),
        weight_exp=7 if flavour == "overflowing" else int(rng.integers(-8, 8)),
    )
