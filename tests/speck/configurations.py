"""Random legal configurations: branches, concatenation, sums, splits, camera, readout layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from hypothesis import strategies as st

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.geometry import Map, kernel_words, neuron_words, output_size
from nirc.backends.speck.limits import BIAS, CORES, DVS_SIZE, READOUT, STATE, WEIGHT


def configurations() -> st.SearchStrategy[Configuration]:
    """Small configurations of every kind. They shrink to a smaller seed only."""
    return st.integers(0, 1 << 32).map(
        lambda seed: random_configuration(np.random.default_rng(seed))
    )


@dataclass
class _Source:
    """A map for other layers, and its targets. ``free``: destinations that are left."""

    name: int  # -1 - i: input i; else the core
    shape: Map
    free: int
    ends: list[Destination] = field(default_factory=list)


def random_configuration(
    rng: np.random.Generator,
    *,
    cores: int | None = None,
    dvs: bool | None = None,
    readout: bool | None = None,
) -> Configuration:
    """Return up to ``cores`` layers on small maps. ``dvs``, ``readout``: None for either.

    Weights are mostly positive and thresholds low, so that spikes come through; some layers use
    whole ranges.
    """
    dvs = bool(rng.integers(4) == 0) if dvs is None else dvs
    readout = bool(rng.integers(4) == 0) if readout is None else readout
    left = [int(core) for core in rng.permutation(len(CORES))[: cores or int(rng.integers(1, 7))]]
    sources, camera = _inputs(rng, dvs)
    layers: dict[int, CoreLayer] = {}
    chip: list[_Source] = list(sources)
    while left:
        last = len(left) == 1
        heard = _heard(rng, chip, parts=1)
        split = (
            not last and len(left) > 2 and rng.integers(3) == 0 and all(s.free >= 2 for s in heard)
        )
        parts = [left.pop() for _ in range(2 if split else 1)]
        pooling = [
            camera.pooling if camera and s.name < 0 else int(rng.choice([1, 1, 2, 4]))
            for s in heard
        ]
        shape_in, shifts = _together(rng, heard, pooling)
        template = _layer(rng, parts[0], shape_in, classes=readout and last)
        for source, pool, shift in zip(heard, pooling, shifts, strict=True):
            source.free -= len(parts)
            source.ends += [Destination(core, pool, shift) for core in parts]
        for core in (
            parts
        ):  # both parts of a split have the same geometry and threshold, and their own kernels
            layers[core] = _filled(rng, template, core)
            chip.append(_Source(core, layers[core].shape_out, 2))
    for source in chip[len(sources) :]:
        own = layers[source.name]
        read = readout and source.name == list(layers)[-1]
        ends = (*source.ends, Destination(READOUT)) if read else tuple(source.ends)
        monitor = read or not ends or bool(rng.integers(4) == 0)
        layers[source.name] = replace(own, destinations=ends, monitor=monitor)
    return Configuration(
        variant=str(rng.choice(["2e", "2f"])),
        layers=tuple(layers[core] for core in sorted(layers)),
        inputs=_routes(sources),
        slow_clock_hz=float(rng.choice([10, 62.5, 1000, 10_000])) if rng.integers(2) else None,
        dvs=camera,
        readout=list(layers)[-1] if readout else None,
    )


def _inputs(rng: np.random.Generator, dvs: bool) -> tuple[list[_Source], Dvs | None]:
    """One or two inputs from the host, or the window in the middle of the camera."""
    if not dvs:
        return [_Source(-1 - i, _map(rng, 3), 9) for i in range(int(rng.integers(1, 3)))], None
    pool = int(rng.choice([1, 2, 4]))
    channels, y, x = _map(rng, 2)
    top, side = ((DVS_SIZE // pool - n) // 2 for n in (y, x))
    camera = Dvs((top, side), (top + y - 1, side + x - 1), pool, merge=channels == 1)
    return [_Source(-1, (channels, y * pool, x * pool), 2)], camera


def _map(rng: np.random.Generator, channels: int) -> Map:
    return int(rng.integers(1, channels + 1)), int(rng.integers(3, 9)), int(rng.integers(3, 9))


def _heard(rng: np.random.Generator, chip: Sequence[_Source], *, parts: int) -> list[_Source]:
    """Return one to three maps with a free destination, those without a target first."""
    free = [s for s in chip if s.free >= parts]
    unheard = [s for s in free if not s.ends]
    first = unheard or free
    chosen = [first[int(rng.integers(len(first)))]]
    others = [s for s in free if s is not chosen[0]]
    more = min(len(others), int(rng.choice([0, 0, 1, 2])))
    return (
        chosen + [others[int(i)] for i in rng.choice(len(others), more, replace=False)]
        if more
        else chosen
    )


def _together(
    rng: np.random.Generator, heard: Sequence[_Source], pooling: Sequence[int]
) -> tuple[Map, list[int]]:
    """Return the map of all sources, summed or concatenated, maybe with a remainder."""
    spare = int(rng.integers(2))
    y, x = (
        max(
            max(1, (s.shape[axis] + spare * (p - 1)) // p)
            for s, p in zip(heard, pooling, strict=True)
        )
        for axis in (1, 2)
    )
    channels = [s.shape[0] for s in heard]
    if rng.integers(2):
        return (max(channels), y, x), [0] * len(heard)
    return (sum(channels), y, x), [sum(channels[:i]) for i in range(len(heard))]


def _layer(rng: np.random.Generator, core: int, shape_in: Map, *, classes: bool) -> CoreLayer:
    """Return geometry, thresholds and flags. Arrays have the right shape only."""
    _, y, x = shape_in
    if classes:  # a stride above the difference of the sides: one window
        k, stride, padding = min(y, x, 4), (8, 8), (0, 0)
        channels = 4 * int(rng.integers(0, 15)) + 1
    else:
        k = int(rng.integers(1, min(y, x, 5) + 1))
        stride = (int(rng.choice([1, 1, 2])), int(rng.choice([1, 1, 2, 4])))
        most = 2 if max(y, x) <= 4 else (k - 1) // 2  # maps stay within 8 pixels
        padding = (int(rng.integers(0, most + 1)), int(rng.integers(0, most + 1)))
        channels = int(rng.integers(1, 6))
    sides = (output_size(y, k, stride[0], padding[0]), output_size(x, k, stride[1], padding[1]))
    shape_out = (channels, *sides)
    memory = CORES[core]
    assert (
        kernel_words(shape_in[0], channels, (k, k)) <= memory.kernel
        and neuron_words(shape_out) <= memory.neuron
    )
    return CoreLayer(
        core=core,
        shape_in=shape_in,
        shape_out=shape_out,
        kernel=np.zeros((channels, shape_in[0], k, k), np.int64),
        stride=stride,
        padding=padding,
        bias=np.zeros(channels, np.int64),
        threshold_high=int(rng.integers(1, 120)),
        threshold_low=int(rng.choice([-1, -50, -32768])),
        return_to_zero=bool(rng.integers(2)),
        initial=np.zeros(shape_out, np.int64),
    )


def _filled(rng: np.random.Generator, layer: CoreLayer, core: int) -> CoreLayer:
    """The layer on ``core`` with values: those of trained layers, or of the whole range."""
    wide = rng.integers(4) == 0
    weights = (WEIGHT[0], WEIGHT[1] + 1) if wide else (-12, 30)
    biases = (BIAS[0], BIAS[1] + 1) if wide else (-4, 6)
    states = (STATE[0], STATE[1] + 1) if wide else (-1, 2)
    return replace(
        layer,
        core=core,
        kernel=rng.integers(*weights, layer.kernel.shape),
        bias=rng.integers(*biases, layer.bias.shape) * rng.integers(2),
        initial=rng.integers(*states, layer.initial.shape) * rng.integers(2),
    )


def _routes(sources: Sequence[_Source]) -> tuple[InputRoute, ...]:
    routes, first = [], 0
    for source in sources:
        routes += [
            InputRoute(first, source.shape, d.layer, (d.pooling,) * 2, d.feature_shift)
            for d in source.ends
        ]
        first += int(np.prod(source.shape))
    return tuple(routes)


def assert_same(got: Configuration, expected: Configuration) -> None:
    """Assert that two are equal in every field, arrays by value and type."""
    assert [layer.core for layer in got.layers] == [layer.core for layer in expected.layers]
    for layer, other in zip(got.layers, expected.layers, strict=True):
        for f in fields(CoreLayer):
            a, b = getattr(layer, f.name), getattr(other, f.name)
            if isinstance(b, np.ndarray):
                assert a.dtype == b.dtype == np.int64
                np.testing.assert_array_equal(a, b, err_msg=f"core {layer.core}: {f.name}")
            else:
                assert (type(a), a) == (type(b), b), f"core {layer.core}: {f.name}"
    for f in fields(Configuration):
        if f.name != "layers":
            assert getattr(got, f.name) == getattr(expected, f.name), f.name


def full_chip(rng: np.random.Generator) -> Configuration:
    """All nine cores with kernel and neuron memories full, as far as 8-pixel inputs allow."""
    layers = []
    for core in CORES:
        channels = min(1024, core.neuron // 64)  # maps of 8 x 8
        shape_in = (core.kernel // channels if core.kernel > channels else 1, 8, 8)
        kernel = rng.integers(-128, 128, (channels, shape_in[0], 1, 1))
        layers.append(
            CoreLayer(
                core=core.number,
                shape_in=shape_in,
                shape_out=(channels, 8, 8),
                kernel=kernel,
                stride=(1, 1),
                padding=(0, 0),
                bias=rng.integers(-32768, 32768, channels),
                threshold_high=32767,
                threshold_low=-32768,
                return_to_zero=True,
                initial=rng.integers(-32768, 32768, (channels, 8, 8)),
                destinations=(),
                monitor=True,
            )
        )
    return Configuration("2f", tuple(layers), (InputRoute(0, (1, 8, 8), 0),))
