"""Slices, memory, places and routes of compiled networks, and how what does not fit is refused."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nirc
from nirc import api
from nirc.api import Compiled, Options
from nirc.backends.spinnaker2.fit import Chip, assign
from nirc.backends.spinnaker2.limits import DYN_BYTES, PES, Prices
from nirc.backends.spinnaker2.scales import row_scales
from nirc.backends.spinnaker2.slices import TERMS, Memory, Split, split
from nirc.backends.spinnaker2.system import Faults, System
from nirc.backends.spinnaker2.tables import Input, Output, Projection, Tables
from nirc.diagnostics.errors import CompileError, InputError, UsageError
from nirc.diagnostics.log import Log
from nirc.mapping.tables.walk import walk
from nirc.rounding.rule import sums_kept
from nirc.verification.laws import network
from tests.models import DATA
from tests.spinnaker2.networks import one, population

CNN = DATA / "paper/cnn_sinabs.nir"


def compiled(model: object, target: str = "spinnaker2", **chip: str) -> Compiled:
    return api.compile_model(
        model, target, Options(reset="subtract", chip=tuple(sorted(chip.items())))
    )


def slices(made: Compiled) -> Counter[str]:
    chip: Chip = made.mapped.chip
    return Counter(s.population for s in chip.mapping.slices)


def codes(model: object, target: str = "spinnaker2", **chip: str) -> set[str]:
    with pytest.raises(CompileError) as refusal:
        compiled(model, target, **chip)
    return {d.code for d in refusal.value.diagnostics if d.severity == "error"}


# The paper's network.


@pytest.fixture(scope="module")
def cnn() -> Compiled:
    return compiled(CNN)


def test_the_papers_splits(cnn: Compiled) -> None:
    """16 + 4 + 16 PEs for these three layers; by default as few as memory allows."""
    paper = compiled(CNN, atoms="3:256,6:128,10:16")
    assert [slices(paper)[name] for name in ("3", "6", "10")] == [16, 4, 16]
    ours, theirs = slices(cnn), slices(paper)
    assert all(ours[name] <= theirs[name] for name in theirs)
    assert (sum(ours.values()), sum(theirs.values())) == (58, 63)


def test_rows_of_the_dense_layer_cost_what_the_sheet_says() -> None:
    """512 sources with 16 targets each: 512 * (4 + 4 * 16) bytes, less 4 for each weight that
    rounds to 0.
    """
    made = compiled(CNN, atoms="10:16")
    chip: Chip = made.mapped.chip
    (lost,) = [
        int(d.message.split()[0])
        for d in made.bundle.diagnostics
        if d.code == "D410" and "to `10`" in d.message
    ]
    cores = [c for c in chip.mapping.floorplan.cores if c.parts[0].population == "10"]
    assert sum(34_816 - int(c.usage["rows"]) for c in cores) == 4 * lost > 0
    assert "N903" in codes(CNN, "spinnaker2:chip", atoms="10:32")  # 67,584 bytes


def test_memory_is_the_sum_of_its_terms_and_never_above_the_limit(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    for core in chip.mapping.floorplan.cores:
        assert core.usage["memory"] == sum(core.usage.get(term, 0) for term in TERMS) <= DYN_BYTES


def test_busy_slices_are_near_the_router(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    cores = chip.mapping.floorplan.cores
    near = [abs(c.at[0] - 4) + min(abs(c.at[1] - 3), abs(c.at[1] - 4)) for c in cores]
    assert len({c.at for c in cores}) == len(cores)
    assert max(near) <= 4, "58 of 148 PEs are within four hops"


def test_the_tick_grows_with_the_busiest_pe(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    assert chip.mapping.tick.seconds == pytest.approx(2.1e-3)
    hurried: Chip = compiled(CNN, tick="1e-3").mapped.chip
    assert (hurried.mapping.tick.seconds, hurried.mapping.tick.late_cores) == (1e-3, 2)


# Limits.


def test_a_network_too_large_for_a_chip_goes_to_the_board() -> None:
    wide = network(inputs=1, hidden=250 * PES, outputs=400, neuron="IF")
    made = compiled(wide)
    assert made.mapped.target.name == "spinnaker2:board"
    assert "N901" in {d.code for d in made.bundle.diagnostics}
    assert codes(wide, "spinnaker2:chip") == {"N901"}
    assert made.bundle.run(np.ones((1, 3, 1), int)).output.shape == (1, 3, 400)


def test_one_neuron_with_too_many_inputs() -> None:
    with pytest.raises(CompileError) as refusal:
        compiled(network(inputs=6000, hidden=1, outputs=1, neuron="IF"), "spinnaker2:chip")
    (found,) = [d for d in refusal.value.diagnostics if d.code == "N903"]
    assert "rows 47,624" in found.found and "neuron 0 alone" in found.message


def test_recordings_take_memory() -> None:
    small = network(hidden=200, outputs=200, neuron="IF")
    few, many = (slices(compiled(small, steps=steps)) for steps in ("100", "4000"))
    assert few["last"] == 1 and many["last"] > 1
    assert "N903" in codes(small, "spinnaker2:chip", steps="100000")


def test_prices_and_memory_can_be_stated() -> None:
    assert slices(compiled(CNN, prices="synapse_bytes:2"))["10"] < slices(compiled(CNN))["10"]
    assert slices(compiled(CNN, memory="90000"))["10"] < slices(compiled(CNN))["10"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("atoms", "3:0"), ("atoms", "3:257"), ("atoms", "3"), ("atoms", "3:4,3:5"), ("steps", "0"),
        ("steps", "x"),
        ("tick", "0"), ("tick", "nan"), ("tick", "-1"), ("memory", "131073"), ("prices", "gold:1"),
        ("bad", "0:153"),
        ("bad", "7"), ("bad", "9>6"), ("bad", ""), ("delays", "none"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(name: str, value: str) -> None:
    with pytest.raises(UsageError) as refusal:
        compiled(CNN, **{name: value})
    assert refusal.value.diagnostics[0].code == "U607"


def test_a_population_that_is_not_there_or_too_many_atoms_of_it() -> None:
    assert codes(CNN, atoms="nobody:3") == {"N902"}
    assert codes(CNN, atoms="10:256") == {"N902"}


# Broken hardware.


def test_bad_pes_stay_free() -> None:
    small = network(neuron="IF")
    chip: Chip = compiled(small).mapped.chip
    used = {s.core for s in chip.mapping.slices}
    other: Chip = compiled(small, bad=",".join(f"0:{core}" for core in used)).mapped.chip
    assert not used & {s.core for s in other.mapping.slices}
    assert len(other.mapping.floorplan.faulty) == len(used)


def test_bad_chips_and_links_of_a_board() -> None:
    wide = network(inputs=1, hidden=400 * PES, outputs=400, neuron="IF")
    made = compiled(wide, "spinnaker2:board", bad="0,1:7,2>0,3>3")
    chip: Chip = made.mapped.chip
    assert not {
        (s.chip, s.core) for s in chip.mapping.slices if s.chip == 0 or (s.chip, s.core) == (1, 7)
    }
    used = {(link.source, link.target) for link in chip.mapping.floorplan.links}
    assert used and not used & {((2, 0, 0), (3, 0, 0)), ((3, 0, 0), (2, 0, 0))}
    made.bundle.run(np.ones((1, 2, 1), int))  # every packet is followed before


# Delivery.


def test_packets_that_go_astray_are_found() -> None:
    bundle = compiled(network(neuron="IF")).bundle
    whole = bundle.files["mapping.json"]
    for change in (_without_a_core, _with_a_core_more, _without_an_entry):
        bundle.files["mapping.json"] = change(json.loads(whole))
        with pytest.raises(InputError) as refusal:
            bundle.run(np.ones((1, 2, 3), int))
        assert refusal.value.diagnostics[0].code == "U605"


def _without_a_core(tree: dict[str, Any]) -> bytes:
    next(route for route in tree["routes"] if route["cores"])["cores"].pop()
    return json.dumps(tree).encode()


def _with_a_core_more(tree: dict[str, Any]) -> bytes:
    next(route for route in tree["routes"] if route["cores"])["cores"].append(99)
    return json.dumps(tree).encode()


def _without_an_entry(tree: dict[str, Any]) -> bytes:
    del tree["routers"][0]["entries"][0]
    return json.dumps(tree).encode()


@pytest.mark.parametrize("board", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_packet_of_random_graphs_arrives(seed: int, board: bool) -> None:
    """Populations of random sizes, connected at random, in slices as small as memory is made."""
    tables = random_graph(seed, populations=12 if board else 4)
    log = Log()
    parts = split(Memory(tables, Prices(dyn_bytes=4000 if board else 9000), 16), {}, log)
    assert parts is not None, log.errors
    system = System(board=board, faults=Faults(cores=((0, 5),)))
    placed = assign(parts, system, 1e-3, log)
    assert placed is not None
    assert len(set(zip(placed.chip.tolist(), placed.core.tolist(), strict=True))) == parts.count
    assert walk(placed.routing, placed.nets, system.links, placed.keys, placed.local_cores) == []
    assert placed.entries[1] <= placed.entries[0]
    assert pairs(parts) == pairs_one_by_one(tables, parts)


def test_a_board_is_filled_along_the_network_whatever_the_names_are() -> None:
    """A chain through 40 populations of 10 PEs each: every packet stays on its chip or goes to the
    next.
    """
    hops = []
    for turn in (1, 7):
        rng = np.random.default_rng(0)
        names = [f"p{i * turn % 40}" for i in range(40)]
        made = {name: population(rng, name, "lif_no_delay", 500) for name in sorted(names)}
        every, zeros = np.arange(500), np.zeros(500, int)
        wires = [Projection("in", "in", names[0], zeros[:1], zeros[:1], zeros[:1] + 1, zeros[:1])]
        wires += [
            Projection(f"{a} {b}", a, b, every, every, zeros + 1, zeros) for a, b in pairwise(names)
        ]
        outputs = (Output(names[-1], every),)
        tables = Tables(
            1, (Input("in", zeros[:1], 1),), tuple(made.values()), tuple(wires), (), outputs
        )
        parts = split(Memory(tables, Prices(), 16), dict.fromkeys(names, 50), Log())
        assert parts is not None
        placed = assign(parts, System(board=True, faults=Faults()), 1e-3, Log())
        assert placed is not None
        hops.append(int(placed.routes.hops.sum()))
    assert hops[0] == hops[1] <= 20, "two borders between three chips, ten slices cross each"


def random_graph(seed: int, populations: int) -> Tables:
    rng = np.random.default_rng(seed)
    models = rng.choice(["lif", "lif_no_delay", "lif_curr_exp"], populations)
    made = [
        population(rng, f"p{i}", str(m), int(rng.integers(20, 700))) for i, m in enumerate(models)
    ]
    wires = []
    for i, target in enumerate(made):
        source = made[int(rng.integers(populations))]
        key = np.unique(rng.integers(0, source.n * target.n, int(rng.integers(1, 4000))))
        zeros = np.zeros(len(key), np.int64)
        wires.append(
            Projection(
                f"w{i}", source.name, target.name, key // target.n, key % target.n, zeros + 1, zeros
            )
        )
    first = made[0]
    wires.append(
        Projection(
            "in", "in", "p0", np.zeros(1, int), np.zeros(1, int), np.ones(1, int), np.zeros(1, int)
        )
    )
    outputs = (Output(first.name, np.arange(first.n)),)
    return Tables(1, (Input("in", np.zeros(1, int), 1),), tuple(made), tuple(wires), (), outputs)


def pairs(parts: Split) -> set[tuple[int, int]]:
    return set(zip(parts.pair_source.tolist(), parts.pair_target.tolist(), strict=True))


def pairs_one_by_one(tables: Tables, parts: Split) -> set[tuple[int, int]]:
    """The same from every synapse."""
    first = {name: int(np.flatnonzero(parts.owner == i)[0]) for i, name in enumerate(parts.names)}
    found = set()
    for p in tables.projections:
        for pre, post in zip(p.pre.tolist(), p.post.tolist(), strict=True):
            source, target = (
                first[n] + k // parts.atoms[n] for n, k in ((p.source, pre), (p.target, post))
            )
            found.add((source, target))
    return found


def test_the_same_bytes_whatever_the_order_of_options() -> None:
    first, second = (
        nirc.compile(network(neuron="IF"), "spinnaker2", chip=chip).files
        for chip in ({"steps": "99", "memory": "40000"}, {"memory": "40000", "steps": "99"})
    )
    assert first == second
    assert one(1).dtype == np.float32


@given(st.lists(st.integers(-15, 15), min_size=1, max_size=12), st.floats(0.01, 100))
def test_whole_weights_stay_what_they_are(weights: list[int], unit: float) -> None:
    value = np.array(weights) * unit
    row = np.zeros(len(weights), np.int64)
    kept = value != 0
    scale = row_scales(row[kept], value[kept], 1, 15)
    exact = value * scale[row]
    np.testing.assert_allclose(sums_kept(exact, row, 1, -15, 15), exact, atol=1e-3)
    assert np.gcd.reduce(np.abs(np.rint(exact)).astype(int)) in {0, 1}, (
        "the smallest of such scales"
    )
