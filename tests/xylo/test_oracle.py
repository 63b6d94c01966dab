"""The emulator against the vendor's simulator: every state of every neuron, no difference
allowed.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings

from nirc.backends.xylo.config import IntArray, Specification, read_config
from nirc.backends.xylo.emulate import emulate
from nirc.semantics.raster import Run
from tests.xylo.networks import (
    FLAVOURS,
    as_json,
    config_tree,
    networks_and_rasters,
    random_network,
    random_raster,
)
from tests.xylo.oracle import Oracle, require_xylosim

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def v2() -> ModuleType:
    return require_xylosim()


def assert_equals_oracle(run: Run, oracle: Oracle, raster: IntArray) -> None:
    states = {**run.spikes, **{f"v/{name}": v for name, v in run.v.items()}, **run.extra}
    expected = oracle.trace(raster)
    assert sorted(states) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(states[name], values, err_msg=name)
    np.testing.assert_array_equal(run.outputs, expected["readout"])


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(case=networks_and_rasters(max_hidden=25, max_samples=3, max_steps=20))
def test_random_networks(v2: ModuleType, case: tuple[Specification, IntArray]) -> None:
    spec, raster = case
    assert_equals_oracle(emulate(spec, raster, record=True), Oracle(v2, spec), raster)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(case=networks_and_rasters(max_hidden=25, max_samples=2, max_steps=15))
def test_random_networks_from_their_file(
    v2: ModuleType, case: tuple[Specification, IntArray]
) -> None:
    spec, raster = case
    read = read_config(as_json(config_tree(spec, "audio3")))
    assert_equals_oracle(emulate(read, raster, record=True), Oracle(v2, spec), raster)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(case=networks_and_rasters(max_hidden=10, max_samples=2, max_steps=15))
def test_switched_off_biases(v2: ModuleType, case: tuple[Specification, IntArray]) -> None:
    spec, raster = case
    read = read_config(as_json({**config_tree(spec), "bias_enable": False}))
    assert_equals_oracle(
        emulate(read, raster, record=True), Oracle(v2, spec, has_bias=False), raster
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_300_hidden_neurons(v2: ModuleType, flavour: str) -> None:
    rng = np.random.default_rng(300)
    spec = random_network(rng, inputs=16, hidden=300, outputs=8, flavour=flavour)
    raster = random_raster(rng, 3, 12, 16)
    assert_equals_oracle(emulate(spec, raster, record=True), Oracle(v2, spec), raster)


def test_a_full_chip(v2: ModuleType) -> None:
    rng = np.random.default_rng(1000)
    spec = random_network(rng, inputs=16, hidden=1000, outputs=8)
    sparse = rng.random(spec.weights_rec.shape) < 0.03
    spec = replace(spec, weights_rec=spec.weights_rec * sparse)
    raster = random_raster(rng, 2, 10, 16)
    assert_equals_oracle(emulate(spec, raster, record=True), Oracle(v2, spec), raster)


def test_the_lowest_membrane_with_dash_zero(v2: ModuleType) -> None:
    """Driven to -32768 the membrane stays there: its leak overflows when negated."""
    weights_in = np.zeros((1, 1, 2), np.int64)
    weights_in[0, 0] = [-128, -128]
    one, zero = np.array([1]), np.array([0])
    spec = Specification(
        weights_in=weights_in, weights_rec=np.zeros((1, 1, 2), np.int64),
        weights_out=np.array([[1]]),
        dash_mem=zero, dash_mem_out=one, dash_syn=one + 14, dash_syn_2=one + 14, dash_syn_out=one,
        threshold=one, threshold_out=one, bias_hidden=one * 100, bias_out=zero,
        weight_shift_in=7, weight_shift_rec=0, weight_shift_out=0, aliases=one * -1,
    )  # fmt: skip
    raster = np.array([[[15]] * 3 + [[0]] * 5])
    run = emulate(spec, raster, record=True)
    assert run.v["hidden"][0, -1, 0] < -32000
    assert_equals_oracle(run, Oracle(v2, spec), raster)
