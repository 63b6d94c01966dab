"""Neurons get places by which slices send to few others. Nobody who reads answers can tell."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.api import Compiled, Options, compile_model
from nirc.backends.spinnaker2 import order as ordering
from nirc.backends.spinnaker2.bundle import pairs
from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.limits import Prices
from nirc.backends.spinnaker2.mapping import from_json
from nirc.backends.spinnaker2.order import _joins, in_order, regrouped
from nirc.backends.spinnaker2.slices import Memory, split
from nirc.backends.spinnaker2.tables import Population, Projection, Tables, from_npz, to_npz
from nirc.diagnostics.log import Log
from nirc.native.library import SWITCH
from tests.models import DT, chain, cuba, graph, linear
from tests.spinnaker2.bundles import deploy
from tests.spinnaker2.networks import network

SIDE = 16
N = SIDE * SIDE
NUMBER = np.random.default_rng(0).permutation(N)  # in the shuffled network, of each neuron
ATOMS = 32  # of a PE: a stripe of two rows


def sheet(number: np.ndarray) -> nir.NIRGraph:
    """A sheet of neurons with synapses to their neighbours, an input each, and each an output."""
    rng = np.random.default_rng(1)
    y, x = np.divmod(np.arange(N), SIDE)
    near = (abs(y[:, None] - y) <= 1) & (abs(x[:, None] - x) <= 1)
    forward, back = np.diag(rng.normal(3, 2, N)), np.where(near, rng.normal(0, 0.4, (N, N)), 0)
    old = np.argsort(number)
    nodes = {
        "in": nir.Input(np.array([N])),
        "w": nir.Linear(weight=forward[old]),
        "pop": cuba(N),
        "rec": nir.Linear(weight=back[np.ix_(old, old)]),
        "out": nir.Output(np.array([N])),
    }
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    return graph(nodes, edges)


@cache
def compiled(shuffled: bool, order: str = "regrouped") -> Compiled:
    chip = (("atoms", f"in:{ATOMS},pop:{ATOMS}"), ("order", order))
    model = sheet(NUMBER if shuffled else np.arange(N))
    return compile_model(model, "spinnaker2:chip", Options(dt_s=DT, reset="zero", chip=chip))


def traffic(made: Compiled) -> int:
    """Packets times the other slices that each reaches, if each neuron fires once."""
    tables = from_npz(made.bundle.files["network.npz"])
    slices = from_json(made.bundle.files["mapping.json"], tables).slices
    size = np.array([s.end - s.begin for s in slices])
    source, target = pairs(tables, slices)
    return int(size[source[source != target]].sum())


def raster() -> np.ndarray:
    return np.random.default_rng(2).random((2, 25, N)) < 0.3


def test_no_order_is_tried_where_none_saves_a_twentieth_of_the_packets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A matrix that lacks a few synapses sends everything everywhere in any order."""
    tried: list[int] = []

    def noted(nodes: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        tried.append(nodes)
        return np.arange(nodes)

    monkeypatch.setattr(ordering, "band_order", noted)
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.2, 1, (N, N)) * rng.choice([-1, 1], (N, N))
    weights[np.eye(N, k=3) > 0] = 0
    even = np.arange(N) % 2
    halves = even[:, None] == even
    options = Options(dt_s=DT, reset="zero", chip=(("atoms", f"in:{ATOMS},cubalif1:{ATOMS}"),))
    compile_model(
        chain(N, nir.Linear(weight=weights), cuba(N), n_out=N), "spinnaker2:chip", options
    )
    assert not tried
    compile_model(
        chain(N, nir.Linear(weight=weights * halves), cuba(N), n_out=N), "spinnaker2:chip", options
    )
    assert tried


def test_a_shuffled_sheet_sends_little_more_than_the_sheet() -> None:
    in_order_, regrouped, index = (
        traffic(compiled(*case)) for case in ((False,), (True,), (True, "index"))
    )
    assert regrouped <= 1.02 * in_order_
    assert regrouped < 0.4 * index
    assert len(compiled(True).mapped.chip.mapping.slices) == 2 * N // ATOMS


def test_a_module_gets_a_slice_of_its_own() -> None:
    """Modules of 30 neurons on PEs of 31: the smallest module fills what the others lack."""
    size, count = 30, 6
    n = size * count - 5
    rng = np.random.default_rng(0)
    number = rng.permutation(n)
    module = np.arange(n) // size
    inside = np.where(module[:, None] == module, rng.normal(0.3, 0.2, (n, n)), 0.0)
    weight = inside[np.ix_(np.argsort(number), np.argsort(number))]
    nodes = {"in": nir.Input(np.array([2])), "w": linear(rng, n, 2), "pop": cuba(n)}
    nodes |= {"rec": nir.Linear(weight), "out": nir.Output(np.array([n]))}
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    costs = {}
    for effort in ("quick", "normal"):
        options = Options(dt_s=DT, reset="zero", effort=effort, chip=(("atoms", f"pop:{size}"),))
        costs[effort] = traffic(compile_model(graph(nodes, edges), "spinnaker2", options))
    dense_input = 2 * count
    assert costs["normal"] == dense_input < costs["quick"]


def test_groups_are_made_again_for_fewer_slices() -> None:
    """Modules in a ring fill PEs. The shuffled order needs more PEs, and so other groups."""
    rng = np.random.default_rng(3)
    count, size = 8, 60
    n = count * size
    pre = np.repeat(np.arange(n), 20)
    module = (pre // size + (rng.random(pre.size) < 0.1)) % count
    pre, post = np.unique([pre, module * size + rng.integers(0, size, pre.size)], axis=1)

    def memory(number: np.ndarray, prices: Prices) -> Memory:
        key = np.lexsort((number[post], number[pre]))
        ones, zeros = np.ones(len(key), np.int16), np.zeros(len(key), np.int16)
        neurons = Population("p", "lif_no_delay", n, 250, "reset_to_v_reset", *[ones[:1]] * 5)
        joins = Projection("p -> p", "p", "p", number[pre][key], number[post][key], ones, zeros)
        return Memory(Tables(0, (), (neurons,), (joins,), (), ()), prices, 1)

    in_order_ = np.arange(n)
    full = int(memory(in_order_, Prices()).total("p", size, {"p": size}).max())
    prices = replace(Prices(), dyn_bytes=full * 11 // 10)
    shuffled = memory(rng.permutation(n), prices)
    index = split(shuffled, {}, Log())
    assert index is not None
    assert index.count > count
    _, parts, _ = regrouped(shuffled, index, {}, "normal", 0)
    away = parts.pair_source != parts.pair_target
    assert (parts.count, int(away.sum())) == (count, count)


def test_a_good_order_is_kept() -> None:
    files = compiled(False).bundle.files
    assert files["network.npz"] == compiled(False, "index").bundle.files["network.npz"]
    assert compiled(False).mapped.blocks["pop"].index == tuple(range(N))


def test_outputs_and_records_are_in_the_order_of_the_model() -> None:
    plain, regrouped = (
        compiled(*case).bundle.run(raster(), record=["pop"]) for case in ((True, "index"), (True,))
    )
    assert compiled(True).mapped.blocks["pop"].index != tuple(range(N))
    assert plain.outputs.any()
    np.testing.assert_array_equal(regrouped.outputs, plain.outputs)
    np.testing.assert_array_equal(regrouped.spikes["pop"], plain.spikes["pop"])
    np.testing.assert_array_equal(regrouped.v["pop"], plain.v["pop"])


def test_a_lab_gets_answers_in_the_order_of_the_model(tmp_path: Path) -> None:
    """deploy.py runs the regrouped network in the stand-in of the vendor's tools."""
    bundle = compiled(True).bundle
    directory = bundle.save(tmp_path / "b")
    assert deploy(directory, "--check", vendor=False).returncode == 0
    np.save(tmp_path / "in.npy", raster()[:1].astype(int))
    data = ("--data", tmp_path / "in.npy", "--out", tmp_path / "o")
    done = deploy(directory, "--chip", "a", *data, "--record", "pop")
    assert done.returncode == 0, done.stderr
    wanted = compiled(True, "index").bundle.run(raster()[:1], record=["pop"])
    with np.load(tmp_path / "o") as saved:
        np.testing.assert_array_equal(saved["spikes"], wanted.outputs)
        np.testing.assert_array_equal(saved["spikes/pop"], wanted.spikes["pop"])
        np.testing.assert_array_equal(saved["v/pop"], wanted.v["pop"])


def test_membranes_of_a_regrouped_readout_are_in_volts_and_in_order() -> None:
    rng = np.random.default_rng(3)
    band = np.where(abs(np.subtract.outer(np.arange(N), np.arange(N))) < 3, 1.0, 0.0)
    mixed = (band * rng.normal(0.5, 0.2, (N, N)))[NUMBER]
    readout = nir.LI(tau=np.full(N, 8 * DT), r=np.ones(N), v_leak=np.zeros(N))
    layers = [nir.Linear(mixed), cuba(N), nir.Linear(mixed.T), readout]
    model = chain(N, *layers, n_out=N)
    runs = []
    for order in ("index", "regrouped"):
        chip = (
            ("atoms", ",".join(f"{n}:{ATOMS}" for n in ("in", "cubalif1", "li3"))),
            ("order", order),
        )
        made = compile_model(model, "spinnaker2:chip", Options(dt_s=DT, reset="zero", chip=chip))
        runs.append((traffic(made), made.bundle.run(raster()).outputs))
    assert runs[1][0] < runs[0][0]
    assert runs[0][1].any()
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_dense_layers_and_kernels_keep_the_models_order() -> None:
    rng = np.random.default_rng(0)
    model = chain(2, linear(rng, 300, 2), cuba(300), linear(rng, 300, 300), cuba(300), n_out=300)
    made = compile_model(model, "spinnaker2", Options(dt_s=DT, reset="zero"))
    assert made.mapped.chip.order == {}


@pytest.mark.parametrize("native", ["1", "0"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_any_order_gives_the_same_answers(native: str, seed: int) -> None:
    """Random recurrent networks of all models, with delays. Answers are equal to the bit."""
    tables = network(seed)
    rng = np.random.default_rng(seed)
    sizes = {**{i.name: i.n for i in tables.inputs}, **{p.name: p.n for p in tables.populations}}
    order = {name: rng.permutation(n) for name, n in sizes.items()}
    raster = rng.integers(0, 3, (2, 15, tables.channels))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, native)
        plain = emulate(tables, raster, record=True)
        other = in_order(tables, order)
        data = to_npz(other)
        assert data == to_npz(in_order(tables, order))
        regrouped = emulate(from_npz(data), raster, record=True)
    np.testing.assert_array_equal(regrouped.outputs, plain.outputs)
    for population in tables.populations:
        name = population.name
        np.testing.assert_array_equal(regrouped.spikes[name], plain.spikes[name][:, :, order[name]])
        np.testing.assert_array_equal(regrouped.v[name], plain.v[name][:, :, order[name]])


def test_the_same_bytes_twice() -> None:
    first = compiled(True).bundle.files
    again = compiled.__wrapped__(True).bundle.files
    assert {name: first[name] for name in first} == dict(again)


def test_the_order_is_in_the_manifest() -> None:
    index = compiled(True).bundle.manifest["populations"]["pop"]["index"]
    assert sorted(index) == list(range(N)) and index != sorted(index)


def test_only_synapses_that_leave_some_out_ask_for_an_order() -> None:
    def joins(source: str, target: str, synapses: int) -> bool:
        number = np.arange(synapses)
        p: Any = SimpleNamespace(source=source, target=target, pre=number)
        return _joins(p, {"a": 3, "b": 2})

    assert joins("a", "b", 5) and not joins("a", "b", 6)
    assert not joins("a", "c", 1) and not joins("c", "a", 1) and not joins("c", "c", 1)


def ring(number: np.ndarray) -> nir.NIRGraph:
    """A ring of neurons with synapses to their neighbours, an input each, and each an output."""
    n = len(number)
    rng = np.random.default_rng(4)
    apart = abs(np.arange(n)[:, None] - np.arange(n))
    near = np.minimum(apart, n - apart) <= 1
    back = np.where(near, rng.normal(0, 0.4, (n, n)), 0)
    old = np.argsort(number)
    nodes = {
        "in": nir.Input(np.array([n])),
        "w": nir.Linear(weight=np.diag(rng.uniform(2, 5, n))[old]),
        "pop": cuba(n),
        "rec": nir.Linear(weight=back[np.ix_(old, old)]),
        "out": nir.Output(np.array([n])),
    }
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    return graph(nodes, edges)


def test_calibrated_gains_are_of_the_models_neurons_whatever_their_places() -> None:
    n, atoms = 24, 6
    number = np.random.default_rng(5).permutation(n)
    spikes = np.random.default_rng(6).random((2, 15, n)) < 0.3
    options = Options(dt_s=DT, reset="zero", chip=(("atoms", f"in:{atoms},pop:{atoms}"),))
    made = {
        name: compile_model(ring(numbers), "spinnaker2:chip", options, calibration=spikes)
        for name, numbers in (("in order", np.arange(n)), ("shuffled", number))
    }
    assert made["shuffled"].mapped.blocks["pop"].index != tuple(range(n))
    plain, other = (one.bundle.run(spikes, record=["pop"]) for one in made.values())
    assert plain.outputs.any()
    np.testing.assert_array_equal(other.outputs[:, :, number], plain.outputs)
    np.testing.assert_array_equal(other.spikes["pop"][:, :, number], plain.spikes["pop"])


@pytest.mark.parametrize("target", ["spinnaker2:chip", "spinnaker2:board"])
def test_the_cost_of_places_and_its_bound_are_reported_and_kept(target: str) -> None:
    options = Options(dt_s=DT, reset="zero", chip=(("atoms", "in:6,pop:6"),))
    log = Log()
    made = compile_model(ring(np.arange(24)), target, options, log=log)
    plan = json.loads(made.bundle.files["floorplan.json"])["floorplan"]
    assert 0 < plan["bound"] <= plan["cost"]
    (note,) = [d for d in log.diagnostics if d.code == "P322"]
    assert note.found.split(",")[0] == f"{plan['cost']:g}"
    assert plan["bound"] == plan["cost"] or note.limit == f"at least {plan['bound']:g}"
