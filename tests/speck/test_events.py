"""Event by event: equal to the slow definition. Small stories differ from the sum of a step."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck import events
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, InputRoute
from nirc.backends.speck.emulate import emulate
from tests.speck import reference
from tests.speck.reference import one_neuron, random_configuration, random_raster


def run(configuration: Configuration, *frames: list[int]) -> tuple[list[int], list[int]]:
    """Spikes and membranes of a single neuron over steps."""
    answer = emulate(configuration, [frames], mode="events", record=True)
    return answer.outputs[0, :, 0].tolist(), answer.v["neurons"][0, :, 0].tolist()


@pytest.mark.parametrize("seed", range(60))
def test_equal_to_the_slow_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=2, steps=3)
    answer = emulate(configuration, raster, mode="events", record=True)
    expected = [reference.run_events(configuration, sample) for sample in raster]
    np.testing.assert_array_equal(answer.outputs, [trace.output for trace in expected])
    np.testing.assert_array_equal(answer.spikes["neurons"], [trace.spikes for trace in expected])
    np.testing.assert_array_equal(answer.v["neurons"], [trace.v for trace in expected])
    np.testing.assert_array_equal(
        emulate(configuration, raster, mode="events").outputs, answer.outputs
    )


def test_the_random_networks_tell_the_modes_apart() -> None:
    differ = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        configuration = random_configuration(rng)
        raster = random_raster(rng, configuration, samples=2, steps=3)
        differ += bool(
            (
                emulate(configuration, raster, mode="events").outputs
                != emulate(configuration, raster).outputs
            ).any()
        )
    assert differ > 30


@pytest.mark.parametrize("updates", [1, 7])
def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, updates: int) -> None:
    rng = np.random.default_rng(3)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=3, steps=5)
    at_once = emulate(configuration, raster, mode="events", record=True)
    monkeypatch.setattr(events, "BLOCK_EVENTS", 1)
    monkeypatch.setattr(events, "BLOCK_UPDATES", updates)
    parts = emulate(configuration, raster, mode="events", record=True)
    np.testing.assert_array_equal(parts.spikes["neurons"], at_once.spikes["neurons"])
    np.testing.assert_array_equal(parts.v["neurons"], at_once.v["neurons"])


def test_more_rows_than_sixteen_bits() -> None:
    """Samples times positions above 65536: another sort of the same updates."""
    rng = np.random.default_rng(5)
    wide = CoreLayer(
        core=0,
        shape_in=(1, 40, 40),
        shape_out=(1, 40, 40),
        kernel=rng.integers(-3, 9, (1, 1, 3, 3)),
        stride=(1, 1),
        padding=(1, 1),
        bias=np.zeros(1, np.int64),
        threshold_high=6,
        threshold_low=-3,
        return_to_zero=False,
        initial=np.zeros((1, 40, 40), np.int64),
        monitor=True,
    )
    configuration = Configuration("2f", (wide,), (InputRoute(0, (1, 40, 40), 0),))
    raster = rng.poisson(0.5, (64, 1, 1600))
    together = emulate(configuration, raster, mode="events").outputs
    alone = [
        emulate(configuration, sample[None], mode="events").outputs[0] for sample in raster[:3]
    ]
    assert 64 * 1600 > 1 << 16
    np.testing.assert_array_equal(together[:3], alone)


def test_the_order_of_events_decides() -> None:
    assert run(one_neuron(5, -5, threshold=4), [1, 1])[0] == [1]
    assert run(one_neuron(-5, 5, threshold=4, low=-32768), [1, 1])[0] == [0]


def test_one_spike_per_update_and_the_remainder_stays() -> None:
    # 10 - 4 = 6 stays above the threshold; a weight of 0 is an update too, and so is a second one
    assert run(one_neuron(10, 0, threshold=4), [1, 0], [0, 0], [0, 1], [0, 1]) == (
        [1, 0, 1, 0],
        [6, 6, 2, 2],
    )


def test_return_to_zero_forgets_the_remainder() -> None:
    assert run(one_neuron(10, 0, threshold=4, return_to_zero=True), [1, 0], [0, 1]) == (
        [1, 0],
        [0, 0],
    )


def test_the_lower_bound_holds_at_every_event() -> None:
    assert run(one_neuron(-9, 3, threshold=4, low=-1), [2, 1]) == ([0], [2])


def test_the_membrane_stops_at_16_bits() -> None:
    assert run(one_neuron(127, threshold=1), [300]) == ([300], [32766])


def test_a_tick_fires_before_the_events_of_its_step() -> None:
    assert run(one_neuron(-5, threshold=4, bias=4), [1], [0]) == ([1, 0], [-5, -1])


def test_weight_127_at_threshold_127_fires_once() -> None:
    assert run(one_neuron(127, threshold=127), [1]) == ([1], [0])


def test_pooling_merges_four_addresses_and_drops_the_remainder() -> None:
    """A 3 x 3 map is pooled into one pixel. Its last row and column have no address."""
    layer = one_neuron(1, threshold=1).layers[0]
    first = replace(
        layer,
        shape_in=(1, 3, 3),
        shape_out=(1, 3, 3),
        initial=np.zeros((1, 3, 3), np.int64),
        monitor=False,
        destinations=(Destination(1, pooling=2),),
    )
    second = replace(layer, core=1)
    configuration = Configuration("2f", (first, second), (InputRoute(0, (1, 3, 3), 0),))
    each = emulate(configuration, np.eye(9, dtype=int)[:, None], mode="events").outputs.reshape(
        3, 3
    )
    assert each.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert emulate(configuration, np.ones((1, 1, 9), int), mode="events").outputs.item() == 4


def test_one_event_takes_all_its_routes_before_the_next() -> None:
    """Channel 0 twice, as +5 and as -5: never are two of a kind in a row."""
    neuron = one_neuron(5, -5, threshold=6).layers[0]
    routes = (
        InputRoute(0, (1, 1, 1), 0, feature_shift=0),
        InputRoute(0, (1, 1, 1), 0, feature_shift=1),
    )
    assert (
        emulate(Configuration("2f", (neuron,), routes), [[[2]]], mode="events").outputs.item() == 0
    )


def test_a_tick_that_is_passed_on_comes_before_the_events() -> None:
    """Core 0 fires on every tick and lowers core 1 to its bound, before its input of +5 arrives."""
    clock = replace(
        one_neuron(0, threshold=1, bias=1).layers[0], monitor=False, destinations=(Destination(1),)
    )
    neuron = replace(one_neuron(-5, 5, threshold=5, low=-1).layers[0], core=1)
    both = Configuration("2f", (clock, neuron), (InputRoute(0, (1, 1, 1), 1, feature_shift=1),))
    answer = emulate(both, [[[1]]], mode="events", record=True)
    assert (answer.outputs.item(), answer.v["neurons"][0, 0].tolist()) == (0, [0, 4])


@pytest.mark.parametrize(
    ("choice", "configuration", "frame", "spikes"),
    [
        ("FIRES_AT_THRESHOLD", one_neuron(4, threshold=4), [1], 1),
        ("BIAS_TICK_FIRES", one_neuron(0, threshold=4, bias=4), [0], 1),
        ("ZERO_WEIGHT_UPDATES", one_neuron(9, 0, threshold=4), [1, 1], 2),
    ],
)
def test_the_choices_in_limits_are_heeded(
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    configuration: Configuration,
    frame: list[int],
    spikes: int,
) -> None:
    assert run(configuration, frame)[0] == [spikes]
    monkeypatch.setattr(events, choice, False)
    assert run(configuration, frame)[0] == [spikes - 1]


def test_a_round_has_one_update_of_each_row_that_is_still_busy() -> None:
    row = np.array([2, 0, 2, 2, 1, 1])
    rounds = events._Rounds.of(row, 5)
    assert rounds.rows.tolist() == [2, 1, 0]  # the busiest first
    of_round = [
        rounds.update[start:stop].tolist()
        for start, stop in zip(rounds.starts, rounds.starts[1:], strict=False)
    ]
    assert of_round == [[0, 4, 1], [2, 5], [3]]


@pytest.mark.parametrize(
    ("events_of_a_step", "steps", "channels", "rows"),
    [
        (0, 0, 3, 100),
        (0, 4, 3, 100),
        (1, 4, 3, 100),
        (40, 6, 3, 25),
        (1 << 40, 1, 3, 1),
        (0, 4, 1 << 40, 1),
        (0, 4, 0, 160),
    ],
)
def test_a_block_has_so_many_steps_as_its_events_and_its_values_allow(
    monkeypatch: pytest.MonkeyPatch, events_of_a_step: int, steps: int, channels: int, rows: int
) -> None:
    """Two cores of 2 and 3 neurons."""
    monkeypatch.setattr(events, "BLOCK_EVENTS", 1000)
    monkeypatch.setattr(events, "BLOCK_VALUES", 800)
    raster = np.zeros((2, steps, 1), np.int64)
    raster[:] = events_of_a_step
    layers = (SimpleNamespace(neurons=2), SimpleNamespace(neurons=3))
    chip: Any = SimpleNamespace(layers=layers, input_channels=channels)
    assert events.EventByEvent.rows(chip, raster) == rows


@pytest.mark.parametrize("seed", range(60, 72))
def test_without_the_library_in_c_events_are_those_of_the_slow_definition(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(events, "library", lambda: None)
    rng = np.random.default_rng(seed)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=2, steps=3)
    answer = emulate(configuration, raster, mode="events")
    expected = [reference.run_events(configuration, sample) for sample in raster]
    np.testing.assert_array_equal(answer.outputs, [trace.output for trace in expected])
