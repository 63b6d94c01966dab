"""The library in C computes what the definitions in numpy compute, to the bit, on every chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.backends.loihi2.emulate import emulate as run_loihi2
from nirc.backends.speck.emulate import emulate as run_speck
from nirc.backends.spinnaker2.emulate import emulate as run_spinnaker2
from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.emulate import emulate as run_xylo
from nirc.native.library import SWITCH, library
from nirc.native.networks import Lines
from nirc.semantics.raster import Run
from tests.loihi2.reference import random_convolutions
from tests.loihi2.test_emulate import FLAVOURS, random_network
from tests.speck.configurations import random_configuration
from tests.spinnaker2.networks import convolutional, network

Emulate = Callable[[], Run]


@pytest.fixture(autouse=True)
def _compiled() -> None:
    assert library() is not None, "the tests need the library: install with a C compiler"


def assert_equal(emulate: Emulate, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run with and without the library."""
    fast = emulate()
    monkeypatch.setenv(SWITCH, "0")
    slow = emulate()
    monkeypatch.delenv(SWITCH)
    assert fast.outputs.dtype == slow.outputs.dtype
    np.testing.assert_array_equal(fast.outputs, slow.outputs)
    for kind in ("spikes", "v", "extra"):
        ours, theirs = getattr(fast, kind), getattr(slow, kind)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            np.testing.assert_array_equal(ours[name], values, f"{kind} of {name}")
    return slow


def counts(rng: np.random.Generator, channels: int, most: int) -> NDArray[np.int64]:
    busy = rng.random((3, 40, channels)) < rng.uniform(0.05, 0.6)
    return rng.integers(0, most + 1, (3, 40, channels)) * busy


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("pool", [0, 1, 2])
def test_spinnaker2(seed: int, pool: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = convolutional(pool=(pool, pool)) if pool else network(seed)
    raster = counts(np.random.default_rng(seed), tables.channels, 3)
    assert_equal(lambda: run_spinnaker2(tables, raster, record=True), monkeypatch)


@pytest.mark.parametrize("mode", ["events", "synchronous"])
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("samples", [1, 3])
def test_speck(seed: int, samples: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    configuration = random_configuration(rng)
    raster = counts(rng, configuration.input_channels, 3)[:samples]
    assert_equal(lambda: run_speck(configuration, raster, mode=mode, record=True), monkeypatch)


def specification(rng: np.random.Generator, synapses: int, shift: int) -> Specification:
    inputs, hidden, outputs = (int(n) for n in rng.integers(1, 30, 3))
    weights_in = np.zeros((inputs, hidden, 2), np.int64)
    weights_rec = np.zeros((hidden, hidden, 2), np.int64)
    weights_in[..., :synapses] = rng.integers(-128, 128, (inputs, hidden, synapses))
    weights_rec[..., :synapses] = rng.integers(-60, 64, (hidden, hidden, synapses))
    return Specification(
        weights_in=weights_in,
        weights_rec=weights_rec * (rng.random(weights_rec.shape) < 0.3),
        weights_out=rng.integers(-128, 128, (hidden, outputs)),
        dash_mem=rng.integers(0, 8, hidden),
        dash_mem_out=rng.integers(0, 8, outputs),
        dash_syn=rng.integers(0, 8, hidden),
        dash_syn_2=rng.integers(0, 8, hidden),
        dash_syn_out=rng.integers(0, 8, outputs),
        threshold=rng.integers(1, 3000, hidden),
        threshold_out=rng.integers(1, 3000, outputs),
        bias_hidden=rng.integers(-30, 30, hidden),
        bias_out=rng.integers(-30, 30, outputs),
        weight_shift_in=shift,
        weight_shift_rec=shift,
        weight_shift_out=shift,
        aliases=np.full(hidden, -1),
    )


@pytest.mark.parametrize("shift", [0, 7])  # 7: most additions saturate
@pytest.mark.parametrize("synapses", [1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_xylo(seed: int, synapses: int, shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    spec = specification(rng, synapses, shift)
    raster = counts(rng, len(spec.weights_in), 20)
    run = assert_equal(lambda: run_xylo(spec, raster, record=True), monkeypatch)
    assert run.spikes["hidden"].any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flavour", [*FLAVOURS, "convolutional"])
def test_loihi2(seed: int, flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    conv = flavour == "convolutional"
    tables = random_convolutions(rng) if conv else random_network(seed, flavour)
    raster = counts(rng, tables.channels, 3)
    assert_equal(lambda: run_loihi2(tables, raster, record=True), monkeypatch)


def test_a_count_that_32_bits_do_not_hold_is_a_spike_on_loihi2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = random_network(0, FLAVOURS[0])
    raster = np.full((1, 9, tables.channels), 1 << 32)
    run = assert_equal(lambda: run_loihi2(tables, raster, record=True), monkeypatch)
    assert any(spikes.any() for spikes in run.spikes.values())


def test_sums_beyond_32_bits_are_left_to_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = network(0)
    raster = np.full((1, 9, tables.channels), 1 << 40)
    assert_equal(lambda: run_spinnaker2(tables, raster, record=True), monkeypatch)


def test_sums_of_all_wires_into_a_neuron_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two projections stay below 32 bits each, and not together."""
    tables = network(0)
    first = tuple(replace(p, weight=np.abs(p.weight)) for p in tables.projections)
    second = tuple(replace(p, name=f"{p.name}2") for p in first)
    reach = max(np.bincount(p.post, np.abs(p.weight)).max() for p in tables.projections)
    raster = np.full((1, 9, tables.channels), ((1 << 31) - 1) // int(reach))
    both = replace(tables, projections=first + second)
    assert_equal(lambda: run_spinnaker2(both, raster, record=True), monkeypatch)


@pytest.mark.parametrize("density", [0.05, 0.4, 0.9, 1.0])
@pytest.mark.parametrize("largest", [100, 1000, 100_000])
def test_lines_hold_every_weight_once(density: float, largest: int) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(-largest, largest + 1, (7, 90)) * 4 * (rng.random((7, 90)) < density)
    line, place = np.nonzero(matrix)
    shuffled = rng.permutation(line.size)
    lines = Lines(line[shuffled], place[shuffled], matrix[line, place][shuffled], 7)
    again = np.zeros_like(matrix)
    for i in range(7):
        for run in range(lines.run_begin[i], lines.run_begin[i + 1]):
            at, n = lines.run_place[run], lines.run_length[run]
            again[i, at : at + n] = lines.weight[lines.run_weight[run] :][:n]
        ones = slice(lines.one_begin[i], lines.one_begin[i + 1])
        again[i, lines.one_place[ones]] += lines.one_weight[ones]
    assert lines.shift >= 2
    np.testing.assert_array_equal(again << lines.shift, matrix)


def test_two_weights_from_one_line_to_one_place_are_added() -> None:
    lines = Lines(np.array([0, 0]), np.array([3, 3]), np.array([5, 7]), 1, divide=False)
    assert (lines.one_place.tolist(), lines.one_weight.tolist()) == ([3], [12])


def test_the_lines_of_a_channel_that_two_places_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = network(1)
    twice = replace(
        tables, inputs=tuple(replace(i, channels=i.channels * 0) for i in tables.inputs)
    )
    raster = counts(np.random.default_rng(1), tables.channels, 3)
    assert_equal(lambda: run_spinnaker2(twice, raster, record=True), monkeypatch)
