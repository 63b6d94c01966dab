"""Many small populations are few processes: the same answers, in fewer cores and smaller files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import processes
from nirc.backends.loihi2.lists import Lists
from nirc.backends.loihi2.lower import Lowered, lower
from nirc.backends.loihi2.processes import Piece, owners
from nirc.backends.loihi2.tables import Tables, to_npz
from nirc.certificate.certificate import reader_of
from nirc.checker.compare import check
from nirc.files.bundle import contents
from nirc.ir import program
from nirc.ir.linear import Dense
from nirc.neurobench.network import network_of
from tests.models import DT, graph, lif

POPS = [f"pop{i}" for i in range(6)]


def all_to_all(n: int) -> nir.NIRGraph:
    """Populations of one neuron, an edge between each pair, one delayed, and one that inhibits."""
    pops = [f"pop{i}" for i in range(n)]
    nodes: dict[str, Any] = {"in": nir.Input(np.array([1])), "out": nir.Output(np.array([1]))}
    nodes |= {name: lif(1, threshold=2.0) for name in pops}
    nodes |= {"w": nir.Linear(np.full((1, 1), 2.0)), "down": nir.Linear(np.full((1, 1), -4.0))}
    nodes |= {"calm": lif(1, threshold=3.0), "slow": nir.Delay(np.array([3 * DT]))}
    edges = [("in", "w"), *(("w", name) for name in pops), (pops[-1], "out")]
    edges += [(source, target) for source in pops for target in pops]
    edges += [("pop0", "slow"), ("slow", "pop1"), ("calm", "down")]
    edges += [(name, "calm") for name in pops] + [("down", name) for name in pops]
    return graph(nodes, edges)


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Join populations in every network."""
    monkeypatch.setattr(program, "MANY_EDGES", 1)


MODEL = all_to_all(6)
ALONE = compile_model(MODEL, "loihi2", Options(dt_s=DT))


def joined() -> Compiled:
    return compile_model(MODEL, "loihi2", Options(dt_s=DT))


def processes_of(made: Compiled) -> list[str]:
    return [population.name for population in made.mapped.chip.tables.populations]


def kinds(made: Compiled, tables: Tables | None = None) -> set[str]:
    """Return the kinds of findings of the checker, with other ``tables`` in network.npz."""
    files = contents(made.bundle.manifest, made.bundle.files)
    if tables is not None:
        files["network.npz"] = to_npz(tables)
    return {finding.kind for finding in check(files.__getitem__, reader_of("loihi2"))}


def with_change(tables: Tables, **fields: Any) -> Tables:
    """Change the longest list."""
    longest = max(tables.projections, key=lambda p: p.weights.size)
    changed = replace(longest, **{key: change(longest) for key, change in fields.items()})
    others = (changed if p is longest else p for p in tables.projections)
    return replace(tables, projections=tuple(others))


def test_joined_populations_answer_as_populations_apart(joins: None) -> None:
    together = joined()
    assert processes_of(ALONE) == ["calm", *POPS]
    assert processes_of(together) == ["calm", "pop0 and 5 more"]
    inputs = np.random.default_rng(4).random((3, 60, 1)) < 0.4
    apart = ALONE.bundle.run(inputs, record="all")
    found = together.bundle.run(inputs, record="all")
    assert apart.outputs.any() and found.outputs.tolist() == apart.outputs.tolist()
    assert [*found.spikes] == [*apart.spikes] and {*POPS} < {*found.spikes}
    for name, spikes in apart.spikes.items():
        assert found.spikes[name].tolist() == spikes.tolist(), name
        assert found.v[name].tolist() == apart.v[name].tolist(), name
    assert apart.spikes["pop3"].any() and not apart.spikes["pop3"].all()


def test_joined_populations_take_fewer_groups_and_arrays(joins: None) -> None:
    together = joined()
    for name in ("neuron groups of a core", "input axons of a core"):
        assert together.mapped.utilisation[name] < ALONE.mapped.utilisation[name]
    assert len(together.bundle.files["network.npz"]) < len(ALONE.bundle.files["network.npz"]) / 2
    assert len(together.bundle.files["network.nir"]) < len(ALONE.bundle.files["network.nir"]) / 2


def test_a_joined_network_is_checked_synapse_by_synapse(joins: None) -> None:
    together = joined()
    tables = together.mapped.chip.tables
    assert kinds(together) <= {"overflow"}
    weaker = with_change(tables, weights=lambda p: np.append(p.weights[:-1], p.weights[-1] // 2))
    later = with_change(tables, delays=lambda p: np.full(p.weights.size, 9))
    for wrong in (weaker, later):
        assert "network" in kinds(together, wrong)


def matrices(made: Compiled) -> dict[tuple[str, str, int], list[list[float]]]:
    """Return the weights that NeuroBench counts, by source, target and steps."""
    chip = network_of(made.bundle)
    found: dict[tuple[str, str, int], list[list[float]]] = {}
    for p in chip.projections:
        (op,) = p.operators
        matrix = np.zeros((1, 1))
        if op.type == "synapses":
            np.add.at(matrix, (op.fields["target"], op.fields["source"]), op.fields["weight"])
        else:
            matrix += op.fields["weight" if op.type == "Linear" else "scale"]
        found[p.source, p.target, p.lag] = matrix.tolist()
    return found


def test_the_list_holds_the_projections_of_the_nodes(joins: None) -> None:
    together = matrices(joined())
    assert len(together) > 40 and together == matrices(ALONE)


def test_neurons_of_a_joined_process_may_be_regrouped(joins: None) -> None:
    program = joined().integer
    plain = lower(program)
    (process,) = (p for p in plain.tables.populations if p.name.endswith("more"))
    backwards = lower(program, {process.name: np.arange(process.n)[::-1]})
    place = {name: piece[0].places for name, piece in plain.pieces.items()}
    for name, (piece,) in backwards.pieces.items():
        if piece.name == process.name:
            assert piece.places.tolist() == (process.n - 1 - place[name]).tolist()
    assert ends(backwards, process.name) == ends(plain, process.name)


def ends(lowered: Lowered, process: str) -> set[tuple[str, int, str, int, int]]:
    """Population and neuron at both ends of each synapse within a process, and its weight."""
    of = owners(lowered.pieces)
    found = set()
    for p in lowered.tables.projections:
        if p.source == p.target == process and p.places is not None:
            for row, col, weight in zip(*p.places, p.weights.tolist(), strict=True):
                found.add((*of[process, int(col)], *of[process, int(row)], weight << p.weight_exp))
    return found


def piece(start: int, n: int) -> Piece:
    return Piece("p", np.arange(n), np.arange(start, start + n))


def gathered(*operators: tuple[Dense, int, bool]) -> list[tuple[list[int], int, str]]:
    """Weights, delay and sign of each list, of projections from neurons 0 and 1 to themselves."""
    lists = Lists()
    for op, delay, itself in operators:
        lists.add(piece(0, 2), piece(0, 2), op, delay, itself=itself)
    return [
        (p.weights.tolist(), 0 if p.delays is None else int(p.delays[0]), p.sign_mode)
        for p in lists.projections(0)
    ]


ONE, TWO = Dense(np.array([[0.0, 3.0], [4.0, 0.0]])), Dense(np.array([[0.0, 5.0], [6.0, 7.0]]))
ITSELF = Dense(np.diag([-8.0, -9.0]))


def test_a_second_synapse_between_two_neurons_goes_to_a_second_list() -> None:
    assert gathered((ONE, 0, False), (TWO, 0, False)) == [
        ([3, 4, 7], 0, "excitatory"),
        ([5, 6], 0, "excitatory"),
    ]


def test_an_operator_that_is_made_for_one_projection_keeps_its_synapses() -> None:
    """Python gives the id of an operator that is gone to the next one."""
    lists = Lists()
    for weight in range(1, 20):
        lists.add(
            piece(0, 1), piece(weight, 1), Dense(np.full((1, 1), 1.0 * weight)), 0, itself=False
        )
    (found,) = lists.projections(0)
    assert found.weights.tolist() == [*range(1, 20)]


def test_synapses_of_another_delay_are_another_list() -> None:
    assert gathered((ONE, 0, False), (ONE, 2, False)) == [
        ([3, 4], 0, "excitatory"),
        ([3, 4], 2, "excitatory"),
    ]


def test_self_inhibition_stands_apart_since_it_bounds_u() -> None:
    none = Dense(np.zeros((2, 2)))
    inhibits = Dense(np.array([[0.0, -2.0], [0.0, 0.0]]))
    assert gathered((ITSELF, 0, True), (inhibits, 0, False), (none, 0, False)) == [
        ([-8, -9], 0, "inhibitory"),
        ([-2], 0, "inhibitory"),
    ]


def test_large_populations_stay_apart(joins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SMALL_POPULATION", 0)
    assert processes_of(joined()) == ["calm", *POPS]


def test_maps_of_a_kernel_stay_apart(joins: None) -> None:
    kernel = nir.Conv2d((4, 4), np.full((1, 1, 3, 3), 0.5), 1, 1, 1, 1, np.zeros(1))
    cell = lif(16)
    maps = nir.LIF(*(value.reshape(1, 4, 4) for value in (cell.tau, cell.r, cell.v_leak, cell.r)))
    nodes = {"in": nir.Input(np.array([1, 4, 4])), "conv1": kernel, "a": maps, "conv2": kernel}
    nodes |= {"b": maps, "out": nir.Output(np.array([1, 4, 4]))}
    made = compile_model(graph(nodes, [*pairwise(nodes)]), "loihi2", Options(dt_s=DT))
    assert processes_of(made) == ["a", "b"]
