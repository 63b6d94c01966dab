"""`--set copies`: channels of inputs that several spike sources play, so that weights may be sums
of integers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nirc import api
from nirc.api import Compiled, Options
from nirc.backends.spinnaker2 import calibrate as module
from nirc.backends.spinnaker2.approximations import approximations
from nirc.backends.spinnaker2.limits import DELAYED_WEIGHT, WEIGHT
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.backends.spinnaker2.spike_sources import Copy, Summed
from nirc.backends.spinnaker2.tables import DELAYED, Tables, from_npz
from nirc.chip.estimate import Activity
from nirc.diagnostics.log import Log
from nirc.ir.linear import sparse
from nirc.ir.populations import Population, Projection
from nirc.semantics.run import run
from nirc.verification.populations import rounded_to_zero
from tests.models import DT, chain, graph, lif
from tests.smith.check import compiled as smithed
from tests.smith.grow import CHIPS, grown
from tests.spinnaker2.bundles import deploy

RNG = np.random.default_rng(3)
MODEL = chain(  # few inputs with large weights, and a layer behind them with small ones
    4,
    nir.Linear(RNG.normal(0.5, 1.0, (24, 4))),
    lif(24),
    nir.Linear(RNG.normal(0.03, 0.1, (3, 24))),
    lif(3),
    n_out=3,
)
INPUTS = RNG.poisson(0.3, (40, 40, 4)).clip(0, 1)


def compiled(
    model: Any = MODEL, samples: int | None = None, log: Log | None = None, **chip: str
) -> Compiled:
    options = Options(dt_s=DT, reset="subtract", chip=tuple(sorted(chip.items())))
    return api.compile_model(
        model,
        "spinnaker2:chip",
        options,
        log=log or Log(),
        calibration=None if samples is None else INPUTS[:samples],
    )


def tables_of(made: Compiled) -> Tables:
    return from_npz(made.bundle.files["network.npz"])


# A weight as a sum.


@given(
    st.lists(st.integers(-8 * 127, 8 * 127).filter(bool), min_size=1, max_size=12),
    st.sampled_from([15, 127]),
)
def test_parts_add_up_and_stay_in_range(weights: list[int], limit: int) -> None:
    n = len(weights)
    target, source = np.arange(n) % 3, np.arange(n) // 3
    op = sparse(target, source, np.array(weights, float), -(-n // 3), 3)
    split = Summed.of(("in", "hidden", Projection()), op, limit)
    assert (np.abs(split.parts) <= limit).all()
    np.testing.assert_array_equal(np.sum(split.parts, axis=0), op.value)
    needed = split.copies
    assert needed.any() == (max(map(abs, weights)) > limit)
    if not needed.any():
        return
    first = np.cumsum(needed) - needed
    rest = split.rest(first, int(needed.sum())).ops[0]
    channel = np.repeat(np.arange(op.n_in), needed)
    _, _, kept = split.arc
    total = np.zeros((3, op.n_in))
    np.add.at(total, (kept.ops[0].target, kept.ops[0].source), kept.ops[0].value)
    np.add.at(total, (rest.target, channel[rest.source]), rest.value)
    np.testing.assert_array_equal(total[op.target, op.source], op.value)
    assert all((rest.source == k).any() for k in range(rest.n_in)), "a copy that nobody needs"


# The chip.


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 1 << 31),
    st.sampled_from(["model", "zero", "subtract"]),
    st.sampled_from(["synapses", "relays"]),
    st.sampled_from(["2", "4", "8"]),
)
def test_device_and_integer_form_are_one(seed: int, reset: str, delays: str, copies: str) -> None:
    case = grown(np.random.default_rng(seed), CHIPS["spinnaker2"])
    chip = {"spinnaker2": (("copies", copies), ("delays", delays))}
    made = smithed(replace(case, reset=reset, chip=chip), "spinnaker2")
    assume(not isinstance(made, str))  # an output of a membrane that also feeds neurons
    integer = run(made.integer, case.inputs).outputs
    np.testing.assert_array_equal(made.bundle.run(case.inputs).outputs, integer)


def test_a_channel_has_the_copies_that_its_weights_need() -> None:
    weight = np.array([[1.0, 0.0201, 0.3337], [0.2113, -0.3719, 0.0103]])
    log = Log()
    made = compiled(chain(3, nir.Linear(weight), lif(2), n_out=2), log=log, copies="4")
    quantised = Spinnaker2Quantise(copies=4).planned(made.legal, Log())["lif1"]
    integers = quantised.stored(quantised.into[0])[1].value.reshape(2, 3)
    first, more = tables_of(made).inputs
    np.testing.assert_array_equal(first.channels, [0, 1, 2])
    needed = -(-np.abs(integers).max(axis=0).astype(int) // 127) - 1
    np.testing.assert_array_equal(more.channels, np.repeat([0, 1, 2], needed))
    assert needed.tolist() == [3, 3, 1]
    assert more.name == f"{first.name}.copies"
    (note,) = [d for d in log.diagnostics if d.code == "N913"]
    assert note.message.startswith("7 spike source(s)") and note.found == "up to 4 for a channel"


@pytest.mark.parametrize("delayed", [False, True])
def test_weights_are_within_what_the_model_stores_and_finer_than_with_one(delayed: bool) -> None:
    delays = nir.Delay(DT * np.arange(4.0))
    model = (
        chain(4, delays, nir.Linear(RNG.normal(0.5, 1.0, (24, 4))), lif(24), n_out=24)
        if delayed
        else MODEL
    )
    off = {}
    for copies in (1, 4):
        tables = tables_of(compiled(model, copies=str(copies)))
        kinds = {p.name: p.model for p in tables.populations}
        for p in tables.projections:
            low, high = DELAYED_WEIGHT if kinds[p.target] in DELAYED else WEIGHT
            assert ((p.weight >= low) & (p.weight <= high)).all()
        assert (set(kinds.values()) <= set(DELAYED)) == delayed
        off[copies] = _error(compiled(model), copies)
    assert off[4] < 0.5 * off[1]


def _error(compilation: Compiled, copies: int) -> float:
    """Root mean square of what rounding does to the weights of inputs, in volts."""
    made = Spinnaker2Quantise(copies=copies).planned(compilation.legal, Log())
    drives = [
        (q, d)
        for q in made.values()
        for d in q.into
        if q._times(d) == copies and d.source.startswith("in")
    ]
    wrong = [q.in_volts(d)[0].value - d.entries.value for q, d in drives]
    return float(np.sqrt(np.mean(np.concatenate(wrong) ** 2)))


def test_the_what_if_counts_what_is_lost_with_copies() -> None:
    discrete = compiled().stages.discrete
    exact = run(discrete, INPUTS).outputs
    wrong = []
    for copies in (1, 8):
        named = dict(approximations(discrete, Spinnaker2Quantise(copies=copies)))
        wrong.append(np.abs(run(named["weights: 8 bits"], INPUTS).outputs - exact).sum())
    assert wrong[1] < wrong[0]


def test_deploy_py_plays_copies_as_nirc_runs_them(tmp_path: Path) -> None:
    bundle = compiled(copies="8").bundle
    assert ".copies" in "".join(p.name for p in from_npz(bundle.files["network.npz"]).inputs)
    directory = bundle.save(tmp_path / "b")
    np.savez(tmp_path / "in.npz", inputs=INPUTS[:2])
    done = deploy(directory, "--chip", "a", "--data", tmp_path / "in.npz", "--out", tmp_path / "o")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = bundle.run(INPUTS[:2])
    assert wanted.outputs.any()
    with np.load(tmp_path / "o") as saved:
        np.testing.assert_array_equal(saved["spikes"], wanted.outputs)


def test_weights_that_vanish_are_counted_as_they_are_stored() -> None:
    weight = np.where(RNG.random((5, 4)) < 0.4, 1e-4, RNG.uniform(0.5, 1.0, (5, 4)))
    made = compiled(chain(4, nir.Linear(weight), lif(5), n_out=5), copies="8")
    assert any(isinstance(p.dynamics, Copy) for p in made.integer.nodes(Population).values())
    (row,) = rounded_to_zero(made)
    assert (row["synapses"], row["zero"]) == (20, (weight == 1e-4).sum())


def test_the_estimate_counts_what_copies_bring() -> None:
    made = compiled(copies="8")
    joules = []
    for tables in (tables_of(compiled(copies="1")), tables_of(made)):
        busy = Activity({"in": 2.0}, {"a": 0.5 * 96}, {}, "")
        mapped = replace(made.mapped, chip=replace(made.mapped.chip, tables=tables))
        joules.append(next(iter(made.backend.estimate(mapped, busy, None))).value)
    synapses = sum(p.pre.size for p in tables_of(made).projections if p.source == "in.copies")
    assert joules[1] - joules[0] == pytest.approx(0.5 * synapses * 10e-12)
    assert synapses > 96


# Unasked.


@pytest.mark.usefixtures("small_calibration")
def test_with_sample_inputs_a_small_network_gets_as_many_as_it_may_have() -> None:
    one, auto = compiled(samples=8, copies="1"), compiled(samples=8)
    assert auto.bundle.manifest["calibration"]["copies"] == 8
    assert "copies" not in one.bundle.manifest["calibration"]
    rest = INPUTS[8:]
    model = run(auto.stages.reference, rest).outputs.sum(axis=1)
    off = [np.abs(made.bundle.run(rest).outputs.sum(axis=1) - model).mean() for made in (auto, one)]
    assert off[0] < off[1]


@pytest.mark.usefixtures("small_calibration")
def test_kernels_take_no_copies_and_none_are_reported() -> None:
    weight = RNG.normal(0.3, 0.4, (2, 1, 2, 2))
    tau, r, leak, threshold = (np.full((2, 1, 1), v) for v in (8 * DT, 8.0, 0.0, 1.0))
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array([1, 2, 2]))}
    nodes["conv"] = nir.Conv2d((2, 2), weight, 1, 0, 1, 1, np.zeros(2))
    nodes["lif"] = nir.LIF(tau, r, leak, threshold)
    nodes["out"] = nir.Output(np.array([2, 1, 1]))
    made = compiled(graph(nodes, list(pairwise(nodes))), samples=8)
    assert [p.model for p in tables_of(made).populations] == ["lif_conv2d"]
    assert "copies" not in made.bundle.manifest["calibration"]


def test_without_sample_inputs_nothing_changes() -> None:
    plain = compiled()
    assert plain.bundle.files["network.npz"] == compiled(copies="1").bundle.files["network.npz"]
    assert not any(isinstance(p.dynamics, Copy) for p in plain.integer.nodes(Population).values())


@pytest.mark.parametrize(
    ("name", "most", "copies"), [("MOST_FAN_IN", 24, 4), ("MOST_SYNAPSES", 300, 2)]
)
def test_a_large_network_gets_fewer(
    monkeypatch: pytest.MonkeyPatch, name: str, most: int, copies: int
) -> None:
    """4 channels with 96 synapses, and 72 behind them."""
    legal = compiled().legal
    assert module.roomy(legal) == 8
    monkeypatch.setattr(module, name, most)
    assert module.roomy(legal) == copies
    monkeypatch.setattr(module, "MOST_SLICES", 3)
    assert module.roomy(legal) == 1


def test_integer_weights_need_no_copies() -> None:
    model = chain(2, nir.Linear(np.array([[1.0, -2.0], [3.0, 100.0]])), lif(2), n_out=2)
    assert (
        compiled(model, copies="8").bundle.files["network.npz"]
        == compiled(model).bundle.files["network.npz"]
    )
