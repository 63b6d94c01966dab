"""The emulator against Intel's fixed-point models: every u, v and spike of every neuron, no
difference allowed.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.tables import (
    Input,
    Output,
    Population,
    Projection,
    Tables,
    from_npz,
    to_npz,
)
from tests.loihi2.oracle import Network, require_lava, run_lava
from tests.loihi2.reference import FLAVOURS, random_convolutions, random_raster, random_tables

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Changing the sparsity structure"),  # in Lava
]

NETWORKS = 28  # of each flavour
STEPS = 40
TOGETHER = 7
ZERO = np.zeros(1, np.int64)


@pytest.fixture(scope="module", autouse=True)
def lava() -> SimpleNamespace:
    return require_lava()


def assert_equals_lava(tables: Tables, raster: np.ndarray) -> None:
    """``raster`` (steps, channels)."""
    run = emulate(tables, raster[None], record=True)
    for name, states in run_lava(tables, raster).items():
        got = {"u": run.extra[f"u/{name}"], "v": run.v[name], "spikes": run.spikes[name]}
        for state, values in states.items():
            np.testing.assert_array_equal(got[state][0], values, err_msg=f"{state} of {name}")


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("first", range(0, NETWORKS, TOGETHER))
def test_random_networks(flavour: str, first: int) -> None:
    for seed in range(first, first + TOGETHER):
        rng = np.random.default_rng(seed)
        tables = random_tables(rng, flavour)
        assert_equals_lava(tables, random_raster(rng, 1, STEPS, tables.channels)[0])


@pytest.mark.parametrize("seed", range(6))
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = random_convolutions(rng)
    assert_equals_lava(tables, random_raster(rng, 1, 8, tables.channels)[0])


def test_a_network_from_its_file() -> None:
    tables = random_tables(np.random.default_rng(100), "delayed")
    raster = random_raster(np.random.default_rng(100), 1, STEPS, tables.channels)[0]
    assert_equals_lava(from_npz(to_npz(tables)), raster)


def population(name: str, n: int, **fields: Any) -> Population:
    zeros = np.zeros(n, np.int64)
    return replace(Population(name, 4095, 0, 100, zeros, zeros, zeros), **fields)


def test_every_sign_mode_with_every_number_of_bits() -> None:
    """All weights from -300 to 300 at once: Lava's clipping is ours, too."""
    weights = np.arange(-300, 301)[:, None]
    neurons = population("lif", len(weights), vth=131071, dv=4096)
    for mode in rule.SIGN_MODES:
        for bits in range(1, 9):
            p = Projection("w", "in", "lif", "dense", weights, mode, num_weight_bits=bits)
            tables = Tables(1, (Input("in", ZERO),), (neurons,), (p,), (Output("lif", ZERO),))
            assert_equals_lava(tables, np.ones((3, 1), np.int64))


@pytest.mark.parametrize("exponent", [-8, -1, 0, 1, 7])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_sums_far_beyond_24_bits(exponent: int, kind: Any) -> None:
    """3000 inputs of 255 at once, which no chip takes: the emulator wraps around as Lava."""
    n = 3000
    places: dict[str, Any] = {}
    weights = np.full((2, n), 255)
    weights[1] = np.random.default_rng(exponent + 8).integers(-256, 256, n)
    if kind == "sparse":
        rows, cols = np.nonzero(weights)
        weights, places = weights[rows, cols], {"rows": rows, "cols": cols}
    p = Projection("w", "in", "lif", kind, weights, "mixed", weight_exp=exponent, **places)
    source = Input("in", np.zeros(n, np.int64))
    neurons = population("lif", 2, du=100, dv=10, vth=131071)
    tables = Tables(1, (source,), (neurons,), (p,), (Output("lif", ZERO),))
    assert_equals_lava(tables, np.array([[1], [1], [0], [1], [0], [0], [1], [1]]))


def test_a_larger_recurrent_network_with_delays() -> None:
    rng = np.random.default_rng(5)
    n = 120
    hidden = population("hidden", n, du=1500, dv=200, vth=900, bias_mant=rng.integers(0, 40, n))
    readout = population("readout", 10, du=4095, dv=100, vth=131071, spikes=False)
    rows, cols = np.nonzero(rng.random((n, n)) < 0.1)
    projections = (
        Projection(
            "in",
            "raster",
            "hidden",
            "dense",
            rng.integers(-50, 100, (n, 20)),
            "mixed",
            weight_exp=1,
        ),
        Projection(
            "rec",
            "hidden",
            "hidden",
            "sparse",
            rng.integers(-255, 256, len(rows)),
            "mixed",
            rows,
            cols,
            rng.integers(0, 64, len(rows)),
        ),
        Projection(
            "out",
            "hidden",
            "readout",
            "dense",
            rng.integers(-256, 256, (10, n)),
            "mixed",
            weight_exp=-3,
        ),
    )
    source = Input("raster", np.arange(20))
    tables = Tables(
        20, (source,), (hidden, readout), projections, (Output("readout", np.arange(10)),)
    )
    raster = (rng.random((90, 20)) < 0.2).astype(np.int64)
    run = emulate(tables, raster[None], record=True)
    assert 0.02 < run.spikes["hidden"].mean() < 0.7
    assert_equals_lava(tables, raster)


def test_lavas_own_choice_of_models_and_its_monitors_agree(lava: SimpleNamespace) -> None:
    """The oracle's three short cuts change nothing."""
    rng = np.random.default_rng(1)
    cells = tuple(population(name, 4, du=900, dv=300) for name in ("first", "second"))
    ways = (("raster", "first"), ("first", "first"), ("first", "second"))
    weights = rng.integers(-100, 256, (3, 4, 4))
    rows, cols = np.nonzero(weights[2])
    places: list[dict[str, Any]] = [
        {},
        {"delays": np.eye(4, dtype=np.int64)},
        {"rows": rows, "cols": cols},
    ]
    kinds: list[Any] = ["dense", "dense", "sparse"]
    shapes = [weights[0], weights[1], weights[2][rows, cols]]
    projections = tuple(
        Projection(f"{a} {b}", a, b, kind, w, "mixed", **place)
        for (a, b), kind, w, place in zip(ways, kinds, shapes, places, strict=True)
    )
    tables = Tables(
        4, (Input("raster", np.arange(4)),), cells, projections, (Output("second", ZERO),)
    )
    raster = random_raster(rng, 1, 20, 4)[0]
    expected = run_lava(tables, raster)
    assert expected["second"]["spikes"].any()
    network = Network(tables, raster)
    monitors = {}
    for name, neurons in network.neurons.items():
        for state, probed in (("u", neurons.u), ("v", neurons.v), ("spikes", neurons.s_out)):
            monitors[name, state] = (lava.Monitor(), neurons, probed)
            monitors[name, state][0].probe(probed, len(raster))
    first = network.neurons["first"]
    first.run(
        condition=lava.RunSteps(num_steps=len(raster)),
        run_cfg=lava.Loihi2SimCfg(select_tag="fixed_pt"),
    )
    for (name, state), (monitor, neurons, probed) in monitors.items():
        recorded = monitor.get_data()[neurons.name][probed.name]
        np.testing.assert_array_equal(recorded, expected[name][state], err_msg=f"{state} of {name}")
    first.stop()
