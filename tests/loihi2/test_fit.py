"""Cores, chips, places and ways: what fits is placed within every limit, what does not is refused
by its number.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import BACKEND
from nirc.backends.loihi2.calibrate import LoihiMeasure
from nirc.backends.loihi2.cores import cells_of
from nirc.backends.loihi2.findings import CORE_LIMITS
from nirc.backends.loihi2.fit import report_first_neurons
from nirc.backends.loihi2.limits import CHIP, OHEO_GULCH, VARIANTS
from nirc.chip.backend import Search
from nirc.chip.target import Limit
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.mapping.floorplan import floorplan_in
from nirc.passes.pipeline import Calibration
from tests.models import DATA, DT, chain, graph, lif, linear, recurrent

RNG = np.random.default_rng(0)
CNN = DATA / "paper/cnn_sinabs.nir"


def compiled(model: Any, target: str = "loihi2", **options: Any) -> Compiled:
    return compile_model(model, target, Options(dt_s=DT, **options))


def mapping(made: Compiled) -> dict[str, Any]:
    """Return what mapping.json and floorplan.json hold."""
    files = made.bundle.files
    tree: dict[str, Any] = json.loads(files["floorplan.json"])
    return tree | json.loads(files["mapping.json"])


def refused(model: Any, target: str) -> dict[str, Any]:
    """The errors by code."""
    with pytest.raises(CompileError) as refusal:
        compiled(model, target)
    return {d.code: d for d in refusal.value.diagnostics if d.severity == "error"}


def wide(n_in: int, n: int) -> nir.NIRGraph:
    return chain(n_in, nir.Linear(weight=np.full((n, n_in), 0.01)), lif(n), n_out=n)


def test_a_small_network_takes_one_core() -> None:
    tree = mapping(compiled(recurrent(RNG, 3, 8, 2)))
    (core,) = tree["floorplan"]["cores"]
    assert core["at"] == [0, 0, 0] and not tree["floorplan"]["links"]
    assert tree["cores"] == {"used": 1, "bound": 1}


def test_every_neuron_is_on_one_core_and_no_core_is_above_a_limit() -> None:
    made = compiled(CNN)
    plan = floorplan_in(made.bundle.files["floorplan.json"])
    held: dict[str, int] = {}
    for core in plan.cores:
        for part in core.parts:
            held[part.population] = held.get(part.population, 0) + part.neurons
        for name, used in core.usage.items():
            assert used <= plan.limits[name][0]
    assert held == {p.name: p.n for p in made.mapped.chip.tables.populations}


def test_links_carry_what_leaves_a_core_and_every_target_is_reached() -> None:
    tree = mapping(compiled(CNN))
    cores, parts = tree["floorplan"]["cores"], tree["parts"]
    places = [tuple(core["at"]) for core in cores]
    leaves = {places[p["core"]] for p in parts if set(p["targets"]) - {p["core"]}}
    arrives = {places[t] for p in parts for t in p["targets"] if t != p["core"]}
    links = {(tuple(k["from"]), tuple(k["to"])) for k in tree["floorplan"]["links"]}
    assert leaves <= {a for a, _ in links} and arrives <= {b for _, b in links}
    assert all(sum(abs(x - y) for x, y in zip(a, b, strict=True)) == 1 for a, b in links)
    assert tree["floorplan"]["bound"] <= tree["floorplan"]["cost"]


def test_a_spike_is_sent_once_to_each_core() -> None:
    """Two parts behind one population: each gets all its spikes, and the sender's own core is
    free.
    """
    model = chain(4, linear(RNG, 700, 4), lif(700), linear(RNG, 900, 700), lif(900), n_out=900)
    log = Log()
    made = compile_model(model, "loihi2", Options(dt_s=DT), log=log)
    tree = mapping(made)
    (note,) = [d for d in log.diagnostics if d.code == "P322"]
    assert note.found.startswith(f"{tree['floorplan']['cost']:g}, gap")
    assert note.limit == f"at least {tree['floorplan']['bound']:g}"
    senders = [p for p in tree["parts"] if p["population"] == "lif1"]
    assert len(tree["floorplan"]["cores"]) > 3
    assert all(p["targets"] == sorted(set(p["targets"])) for p in senders)


@pytest.mark.parametrize(("n", "cores", "hops"), [(500, 2, 1), (800, 3, 2)])
def test_few_cores_are_placed_in_the_best_of_all_orders(n: int, cores: int, hops: int) -> None:
    """The core that sends lies beside all that it sends to: nothing can be cheaper."""
    made = compiled(chain(4, linear(RNG, 100, 4), lif(100), linear(RNG, n, 100), lif(n), n_out=n))
    plan = mapping(made)["floorplan"]
    assert len(plan["cores"]) == cores
    assert plan["cost"] == plan["bound"] == hops * 100 * 0.1


def test_measured_rates_weigh_the_traffic() -> None:
    made = compiled(
        chain(4, linear(RNG, 500, 4), lif(500), linear(RNG, 300, 500), lif(300), n_out=300)
    )
    assert made.mapped.chip.placed.partition.traffic > 0
    quiet = LoihiMeasure(Calibration(np.zeros((1, 5, 4)), made.legal)).run(made.integer, Log())
    mapped = BACKEND.fit(quiet, made.legal, made.mapped.target, Search(), Log())
    assert mapped is not None and mapped.chip.placed.partition.traffic == 0


# Limits.


def test_too_many_inputs_of_one_neuron_are_refused_by_every_limit_that_they_break() -> None:
    found = refused(wide(16_001, 1), "loihi2:oheogulch")
    assert {"L804", "L807", "L808"} == set(found)
    assert found["L804"].found == "16001" and found["L804"].limit == "16000"


@pytest.mark.parametrize("limit", [each for each in OHEO_GULCH.limits if each.code in CORE_LIMITS])
def test_a_neuron_that_alone_is_above_a_limit_of_a_core_is_refused_by_its_code(
    limit: Limit,
) -> None:
    """A map of one pixel that feeds two convolutions, on a chip with room for one thing less."""
    kernel = nir.Conv2d((1, 1), np.full((1, 1, 1, 1), 2.0), 1, 0, 1, 1, np.zeros(1))
    pixel = nir.IF(r=np.ones((1, 1, 1)), v_threshold=np.ones((1, 1, 1)))
    nodes = dict.fromkeys(("a", "b", "c"), pixel) | {"in": nir.Input(np.array([1, 1, 1]))}
    nodes |= {f"k{name}": kernel for name in nodes if name != "in"}
    edges = [("in", "ka"), ("ka", "a"), ("a", "kb"), ("a", "kc"), ("kb", "b"), ("kc", "c")]
    for name in "bc":
        nodes[f"out{name}"] = nir.Output(np.array([1, 1, 1]))
        edges.append((name, f"out{name}"))
    integer = compiled(graph(nodes, edges)).integer
    needs = {"L804": 2, "L805": 4, "L806": 2, "L807": 1, "L808": 62}
    for most in (needs[limit.code], needs[limit.code] - 1):
        lowered = replace(limit, max=most)
        limits = tuple(lowered if each is limit else each for each in OHEO_GULCH.limits)
        log = Log()
        report_first_neurons(integer, replace(OHEO_GULCH, limits=limits), log)
        found = {(d.code, d.found, d.where) for d in log.diagnostics if "`a`" in d.where}
        above = {(limit.code, str(needs[limit.code]), "`a`, neuron 0")}
        assert found == (above if most < needs[limit.code] else set())


def test_at_the_limit_of_the_shared_memory() -> None:
    """One neuron with n inputs takes 12 bytes for itself and its map, and 14 for each input."""
    n = (120_000 - 12) // 14
    assert compiled(wide(n, 1)).mapped.utilisation["shared memory of a core"] == (
        12 + 14 * n,
        120_000,
    )
    assert set(refused(wide(n + 1, 1), "loihi2:oheogulch")) == {"L808"}


def test_a_network_that_one_chip_cannot_hold_goes_to_the_next_system() -> None:
    model = wide(2000, 2600)
    found = refused(model, "loihi2:oheogulch")
    assert set(found) == {"L801"} and "kapohopoint" in found["L801"].help
    made = compiled(model)
    assert made.mapped.target.variant == "kapohopoint" and made.mapped.utilisation["chips"] == (
        2,
        8,
    )
    assert {core.chip for core in made.mapped.chip.placed.floorplan.cores} == {0, 1}


def test_more_neurons_than_places_are_refused_before_anything_is_searched() -> None:
    n = 120 * 4096 + 1
    model = chain(n, lif(n), n_out=n)
    assert "neurons need at least so many" in refused(model, "loihi2:oheogulch")["L801"].found


@pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)
def test_a_system_has_its_cores(target: Any) -> None:
    cells = cells_of(target, target.max("cores"))
    assert cells.count == target.max("cores") and cells.tile == CHIP
    assert cells_of(target, 1).count in (120, 122)


def test_every_limit_is_asked_for_by_its_code() -> None:
    """What the partition counts are the limits that `nirc targets` prints."""
    made = compiled(recurrent(RNG, 3, 8, 2))
    names = {limit.name for limit in VARIANTS[0].limits} - {"delay"}
    assert set(made.mapped.utilisation) == names
