"""Frame by frame: equal to the slow definition, and small stories of a membrane's step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck import emulate as emulation
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, InputRoute
from nirc.backends.speck.emulate import emulate
from nirc.backends.speck.neuron import fire
from nirc.diagnostics.errors import InputError
from tests.speck import reference
from tests.speck.reference import one_neuron, random_configuration, random_raster


def run(configuration: Configuration, *counts: int) -> tuple[list[int], list[int]]:
    """Spikes and membranes of a single neuron over the steps of one channel."""
    answer = emulate(configuration, np.array(counts).reshape(1, -1, 1), record=True)
    return answer.outputs[0, :, 0].tolist(), answer.v["neurons"][0, :, 0].tolist()


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_the_slow_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=2, steps=3)
    answer = emulate(configuration, raster, record=True)
    expected = [reference.run_synchronous(configuration, sample) for sample in raster]
    np.testing.assert_array_equal(answer.outputs, [trace.output for trace in expected])
    np.testing.assert_array_equal(answer.spikes["neurons"], [trace.spikes for trace in expected])
    np.testing.assert_array_equal(answer.v["neurons"], [trace.v for trace in expected])
    np.testing.assert_array_equal(emulate(configuration, raster).outputs, answer.outputs)


def test_the_random_networks_are_busy() -> None:
    spikes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        configuration = random_configuration(rng)
        spikes.append(
            emulate(configuration, random_raster(rng, configuration, samples=2, steps=3)).outputs
        )
    assert sum(bool(s.any()) for s in spikes) > 30
    assert max(s.max() for s in spikes) > 1


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=5, steps=7)
    at_once = emulate(configuration, raster, record=True)
    monkeypatch.setattr(emulation, "BLOCK_BYTES", 1)
    finished: list[int] = []
    parts = emulate(configuration, raster, record=True, progress=finished.append)
    np.testing.assert_array_equal(parts.outputs, at_once.outputs)
    np.testing.assert_array_equal(parts.v["neurons"], at_once.v["neurons"])
    assert len(finished) == 35 and finished == sorted(finished) and finished[-1] == 5  # samples


def test_a_step_gives_several_spikes_and_keeps_the_remainder() -> None:
    assert run(one_neuron(5, threshold=4), 2, 0, 1) == ([2, 0, 1], [2, 2, 3])


def test_return_to_zero_forgets_the_remainder() -> None:
    assert run(one_neuron(5, threshold=4, return_to_zero=True), 2, 0, 1) == ([2, 0, 1], [0, 0, 0])


def test_the_lower_bound_comes_after_the_sum() -> None:
    both = one_neuron(5, -9, threshold=4, low=-1)
    answer = emulate(both, [[[2, 1], [0, 1]]], record=True)
    assert answer.v["neurons"].tolist() == [[[1], [-1]]]  # 10 - 9; then 1 - 9


def test_order_within_a_step_does_not_matter() -> None:
    for weights in ((5, -5), (-5, 5)):
        assert not emulate(one_neuron(*weights, threshold=4), [[[1, 1]]]).outputs.any()


def test_a_bias_is_added_once_a_step() -> None:
    assert run(one_neuron(0, threshold=4, bias=3), 0, 0, 0) == ([0, 1, 1], [3, 2, 1])


def test_weight_127_at_threshold_127_fires_once() -> None:
    assert run(one_neuron(127, threshold=127), 1) == ([1], [0])


def test_nothing_saturates() -> None:
    assert run(one_neuron(127, threshold=1), 1000) == ([127_000], [0])


def test_fire_on_any_shape_and_type() -> None:
    v = np.array([[[-9, -1], [3, 4]], [[7, 8], [9, 0]]])
    for kind in (np.int32, np.int64, np.float64):
        spikes, after = fire(v.astype(kind), 4, -3, False)
        assert spikes.tolist() == [[[0, 0], [0, 1]], [[1, 2], [2, 0]]]
        assert after.tolist() == [[[-3, -1], [3, 0]], [[3, 0], [1, 0]]]
        assert spikes.dtype == after.dtype == kind
        assert fire(v.astype(kind), 4, -3, True)[1].tolist() == [
            [[-3, -1], [3, 0]],
            [[0, 0], [0, 0]],
        ]


def test_outputs_are_monitored_cores_by_rising_number() -> None:
    first = one_neuron(5, threshold=5, core=7).layers[0]
    routes = (InputRoute(0, (1, 1, 1), 7), InputRoute(1, (1, 1, 1), 2))
    second = one_neuron(5, threshold=5, core=2).layers[0]
    both = Configuration("2f", (second, first), routes)
    assert emulate(both, [[[1, 0]]]).outputs.tolist() == [[[0, 1]]]


def test_a_loop_of_cores_is_refused() -> None:
    layer = one_neuron(5, threshold=4).layers[0]
    loop = CoreLayer(**{**vars(layer), "destinations": (Destination(layer.core),)})
    for mode in emulation.MODES:
        with pytest.raises(ValueError, match="cycle"):
            emulate(
                Configuration("2f", (loop,), (InputRoute(0, (1, 1, 1), 0),)), [[[1]]], mode=mode
            )


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="synchronous, events"):
        emulate(one_neuron(5, threshold=4), [[[1]]], mode="both")


@pytest.mark.parametrize(
    "raster",
    [[[1]], [[[1, 1]]], [[[-1]]], [[[0.5]]], [[["1"]]], [[[float("nan")]]], [[[float("inf")]]]],
)
def test_a_raster_that_does_not_fit_is_refused(raster: object) -> None:
    with pytest.raises(InputError) as caught:
        emulate(one_neuron(5, threshold=4), raster)
    assert [d.code for d in caught.value.diagnostics] == ["U604"]


@pytest.mark.parametrize("mode", emulation.MODES)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_nothing_in_nothing_out(mode: str, shape: tuple[int, int]) -> None:
    answer = emulate(one_neuron(5, threshold=4), np.zeros((*shape, 1)), mode=mode, record=True)
    assert answer.outputs.shape == answer.v["neurons"].shape == (*shape, 1)


@pytest.mark.parametrize(("high", "fits"), [((1 << 30) - 1 - 5 - 21 - 9, True), (1 << 30, False)])
def test_sums_of_a_step_are_kept_below_a_quarter_of_32_bits(high: int, fits: bool) -> None:
    """The largest channel takes 3 arrivals of weight 7 in all, and a bias of 9."""
    kernel = np.array([[1, 1], [3, -4]]).reshape(2, 1, 1, 2)
    layer: Any = SimpleNamespace(
        kernel=kernel, bias=np.array([2, -9]), threshold_high=high, threshold_low=-5
    )
    arrivals = np.array([[0.0, 3.0]])
    assert emulation._fits(layer, arrivals) == fits
    layer.threshold_high += 1 if fits else -1000
    assert emulation._fits(layer, arrivals) != fits


def test_a_block_has_so_many_steps_that_its_arrays_fill_the_budget() -> None:
    """A layer of 2 x 4 neurons: spikes and counts twice, padded input, windows, output twice."""
    one: Any = SimpleNamespace(
        shape_in=(3, 5, 7), shape_out=(2, 2, 2), kernel=np.zeros((2, 3, 4, 6)), neurons=8
    )
    values = 4 * 3 * 5 * 7 + 3 * 4 * 6 * 2 * 2 + 2 * 8
    assert emulation._working_values(one) == values
    small: Any = SimpleNamespace(**{**vars(one), "shape_in": (1, 1, 1), "neurons": 5})
    raster = np.zeros((1, 1, 105))
    for layers in ((one, small), (small, one)):
        chip: Any = SimpleNamespace(layers=layers, input_channels=105)
        step = 8 * (2 * (8 + 5 + 105) + values)
        assert emulation.Synchronous.rows(chip, raster) == (1 << 25) // step
    chip.input_channels = 1 << 30
    assert emulation.Synchronous.rows(chip, raster) == 1


@pytest.mark.parametrize("seed", range(40, 48))
def test_without_the_library_in_c_frames_are_those_of_the_slow_definition(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(emulation, "library", lambda: None)
    rng = np.random.default_rng(seed)
    configuration = random_configuration(rng)
    raster = random_raster(rng, configuration, samples=2, steps=3)
    answer = emulate(configuration, raster, record=True)
    expected = [reference.run_synchronous(configuration, sample) for sample in raster]
    np.testing.assert_array_equal(answer.outputs, [trace.output for trace in expected])
    np.testing.assert_array_equal(answer.v["neurons"], [trace.v for trace in expected])
