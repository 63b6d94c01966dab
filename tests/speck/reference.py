"""A configured Speck, written for reading: plain Python numbers, one synapse at a time.

From the targets sheet, section 2, and the order of input events in ``nirc.backends.speck.events``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, InputRoute

Place = tuple[int, int, int]  # channel, y, x
TICK = -1


@dataclass
class Trace:
    """Flat lists over all neurons by step, by rising core. ``output``: monitored cores only."""

    spikes: list[list[int]] = field(default_factory=list)
    v: list[list[int]] = field(default_factory=list)
    output: list[list[int]] = field(default_factory=list)

    def keep(self, configuration: Configuration, spikes: dict[int, Any], v: dict[int, Any]) -> None:
        layers = sorted(configuration.layers, key=lambda layer: layer.core)
        self.spikes.append([n for layer in layers for n in flat(layer, spikes[layer.core])])
        self.v.append([n for layer in layers for n in flat(layer, v[layer.core])])
        self.output.append(
            [n for layer in layers if layer.monitor for n in flat(layer, spikes[layer.core])]
        )


def places(shape: Place) -> list[Place]:
    return [(c, y, x) for c in range(shape[0]) for y in range(shape[1]) for x in range(shape[2])]


def flat(layer: CoreLayer, values: dict[Place, int]) -> list[int]:
    return [values[p] for p in places(layer.shape_out)]


def feeding(configuration: Configuration, core: int) -> list[CoreLayer]:
    return [s for s in configuration.layers if any(d.layer == core for d in s.destinations)]


def in_order(configuration: Configuration) -> list[CoreLayer]:
    done: list[CoreLayer] = []
    while len(done) < len(configuration.layers):
        for layer in configuration.layers:
            if layer not in done and all(
                source in done for source in feeding(configuration, layer.core)
            ):
                done.append(layer)
    return done


def weight(layer: CoreLayer, out: Place, arriving: Place) -> int | None:
    """None if no kernel position connects the two."""
    ky = arriving[1] + layer.padding[0] - out[1] * layer.stride[0]
    kx = arriving[2] + layer.padding[1] - out[2] * layer.stride[1]
    if 0 <= ky < layer.kernel.shape[2] and 0 <= kx < layer.kernel.shape[3]:
        return int(layer.kernel[out[0], arriving[0], ky, kx])
    return None


def initial(configuration: Configuration) -> dict[int, dict[Place, int]]:
    return {
        s.core: {p: int(s.initial[p]) for p in places(s.shape_out)} for s in configuration.layers
    }


# ---------------------------------------------------------------- frame by frame, as sinabs


def run_synchronous(configuration: Configuration, raster: np.ndarray) -> Trace:
    """``raster`` (steps, channels) counts of one sample."""
    v = initial(configuration)
    trace = Trace()
    for frame in raster.tolist():
        spikes: dict[int, dict[Place, int]] = {}
        for layer in in_order(configuration):
            spikes[layer.core] = {}
            arriving = frame_arrivals(configuration, layer, frame, spikes)
            for p in places(layer.shape_out):
                now = v[layer.core][p] + int(layer.bias[p[0]])
                now += sum((weight(layer, p, a) or 0) * n for a, n in arriving.items())
                n = now // layer.threshold_high if now > 0 else 0
                if layer.return_to_zero:
                    now = 0 if n else now
                else:
                    now -= n * layer.threshold_high
                v[layer.core][p] = max(now, layer.threshold_low)
                spikes[layer.core][p] = n
        trace.keep(configuration, spikes, v)
    return trace


def frame_arrivals(
    configuration: Configuration,
    layer: CoreLayer,
    frame: list[int],
    spikes: dict[int, dict[Place, int]],
) -> dict[Place, int]:
    arriving = dict.fromkeys(places(layer.shape_in), 0)

    def add(p: Place, shape: Place, pooling: tuple[int, int], shift: int, n: int) -> None:
        y, x = p[1] // pooling[0], p[2] // pooling[1]
        whole = (
            y < shape[1] // pooling[0] and x < shape[2] // pooling[1]
        )  # average pooling drops the remainder
        if whole and (p[0] + shift, y, x) in arriving:
            arriving[p[0] + shift, y, x] += n

    for route in configuration.inputs:
        if route.layer == layer.core:
            for i, p in enumerate(places(route.shape)):
                add(p, route.shape, route.pooling, route.feature_shift, frame[route.first + i])
    for source in feeding(configuration, layer.core):
        for d in source.destinations:
            if d.layer == layer.core:
                for p, n in spikes[source.core].items():
                    add(p, source.shape_out, (d.pooling, d.pooling), d.feature_shift, n)
    return arriving


# ---------------------------------------------------------------- event by event, as the chip

Event = tuple[int, Place]  # root (TICK or the ordinal of the input event), where


def run_events(configuration: Configuration, raster: np.ndarray) -> Trace:
    """``raster`` (steps, channels) counts of one sample."""
    v = initial(configuration)
    trace = Trace()
    for frame in raster.tolist():
        roots = [channel for channel, n in enumerate(frame) for _ in range(n)]
        sent: dict[int, list[Event]] = {}
        for layer in in_order(configuration):
            state = v[layer.core]
            sent[layer.core] = []
            if any(layer.bias.tolist()):
                for p in by_pixel(layer):
                    if update(layer, state, p, int(layer.bias[p[0]])):
                        sent[layer.core].append((TICK, p))
            for root in range(TICK, len(roots)):
                for a in arrivals_of(configuration, layer, root, roots, sent):
                    for p in by_pixel(layer):
                        w = weight(layer, p, a)
                        if w is not None and update(layer, state, p, w):
                            sent[layer.core].append((root, p))
        counts = {s.core: dict.fromkeys(places(s.shape_out), 0) for s in configuration.layers}
        for core, events in sent.items():
            for _, p in events:
                counts[core][p] += 1
        trace.keep(configuration, counts, v)
    return trace


def by_pixel(layer: CoreLayer) -> list[Place]:
    return sorted(places(layer.shape_out), key=lambda p: (p[1], p[2], p[0]))


def update(layer: CoreLayer, state: dict[Place, int], p: Place, w: int) -> bool:
    state[p] = min(max(state[p] + w, layer.threshold_low), 32767)
    if state[p] < layer.threshold_high:
        return False
    state[p] = 0 if layer.return_to_zero else state[p] - layer.threshold_high
    return True


def arrivals_of(
    configuration: Configuration,
    layer: CoreLayer,
    root: int,
    roots: list[int],
    sent: dict[int, list[Event]],
) -> list[Place]:
    """Return the places of one root's events in the core's input map, in order."""
    arriving: list[Place] = []

    def add(p: Place, pooling: tuple[int, int], shift: int) -> None:
        there = (p[0] + shift, p[1] // pooling[0], p[2] // pooling[1])
        if all(i < n for i, n in zip(there, layer.shape_in, strict=True)):
            arriving.append(there)

    for route in configuration.inputs:
        inside = places(route.shape)
        if (
            route.layer == layer.core
            and root != TICK
            and 0 <= roots[root] - route.first < len(inside)
        ):
            add(inside[roots[root] - route.first], route.pooling, route.feature_shift)
    for source in sorted(feeding(configuration, layer.core), key=lambda s: s.core):
        for its_root, p in sent[source.core]:
            for d in source.destinations:
                if its_root == root and d.layer == layer.core:
                    add(p, (d.pooling, d.pooling), d.feature_shift)
    return arriving


# ---------------------------------------------------------------- configurations


def one_neuron(
    *weights: int,
    threshold: int,
    low: int = -32768,
    bias: int = 0,
    return_to_zero: bool = False,
    core: int = 0,
) -> Configuration:
    """A neuron with one synapse for each channel of the raster."""
    one = (1, 1)
    layer = CoreLayer(
        core=core,
        shape_in=(len(weights), 1, 1),
        shape_out=(1, 1, 1),
        kernel=np.array(weights, np.int64).reshape(1, -1, 1, 1),
        stride=one,
        padding=(0, 0),
        bias=np.array([bias], np.int64),
        threshold_high=threshold,
        threshold_low=low,
        return_to_zero=return_to_zero,
        initial=np.zeros((1, 1, 1), np.int64),
        monitor=True,
    )
    return Configuration("2f", (layer,), (InputRoute(0, (len(weights), 1, 1), core),))


def random_configuration(rng: np.random.Generator) -> Configuration:
    """Return 1 to 4 cores in any order, with all that a core can do. Every core has an input."""
    numbers = rng.permutation(9)[: rng.integers(1, 5)].tolist()
    shapes = [random_layer(rng, core) for core in numbers]
    routes, first = [], 0
    layers = []
    for i, layer in enumerate(shapes):
        into = shapes[i + 1 :]
        chosen = [into[rng.integers(len(into))] for _ in range(rng.integers(1, 3))] if into else []
        destinations = tuple(
            Destination(t.core, int(rng.choice([1, 1, 2])), int(rng.integers(t.shape_in[0])))
            for t in chosen
        )
        layers.append(
            replace(layer, destinations=destinations, monitor=not into or bool(rng.random() < 0.3))
        )
        fed = any(d.layer == layer.core for earlier in layers[:i] for d in earlier.destinations)
        for _ in range(int(rng.integers(0 if fed else 1, 3))):
            pooling = (int(rng.choice([1, 2])), int(rng.choice([1, 2])))
            c, y, x = layer.shape_in
            near = [
                max(1, n * p + int(rng.integers(-1, 2)))
                for n, p in ((y, pooling[0]), (x, pooling[1]))
            ]
            shape = (int(rng.integers(1, 3)), near[0], near[1])
            start = int(rng.integers(first + 1))  # routes may share channels
            routes.append(InputRoute(start, shape, layer.core, pooling, int(rng.integers(c))))
            first = max(first, start + shape[0] * shape[1] * shape[2])
    return Configuration("2f", tuple(sorted(layers, key=lambda layer: layer.core)), tuple(routes))


def random_layer(rng: np.random.Generator, core: int) -> CoreLayer:
    while True:
        kernel = int(rng.integers(1, 4))
        stride, padding = rng.choice([1, 1, 2], 2), rng.integers(0, 3, 2)
        c, y, x = (int(n) for n in rng.integers(1, 5, 3))
        out = [
            (n + 2 * p - kernel) // s + 1 for n, p, s in zip((y, x), padding, stride, strict=True)
        ]
        if min(out) >= 1:
            break
    shape_out = (int(rng.integers(1, 4)), *(int(n) for n in out))
    threshold = int(rng.choice([1, 3, 8, 20]))
    weights = rng.integers(-6, 10, (shape_out[0], c, kernel, kernel))
    return CoreLayer(
        core=core,
        shape_in=(c, y, x),
        shape_out=shape_out,
        kernel=weights * (rng.random(weights.shape) < 0.8),
        stride=(int(stride[0]), int(stride[1])),
        padding=(int(padding[0]), int(padding[1])),
        bias=rng.integers(-3, 5, shape_out[0]) * int(rng.random() < 0.5),
        threshold_high=threshold,
        threshold_low=int(rng.choice([-1, -10, -32768])),
        return_to_zero=bool(rng.random() < 0.4),
        initial=rng.integers(-4, 2 * threshold, shape_out) * int(rng.random() < 0.4),
    )


def random_raster(
    rng: np.random.Generator, configuration: Configuration, *, samples: int, steps: int
) -> np.ndarray:
    """Mostly nothing, sometimes several events of a channel."""
    return rng.poisson(rng.choice([0.1, 0.4, 0.8]), (samples, steps, configuration.input_channels))
