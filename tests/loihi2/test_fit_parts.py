"""The parts of fitting, each alone: rates, reports, the places of populations, what is used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2 import fit
from nirc.backends.loihi2.cores import DEFAULT_RATE
from nirc.backends.loihi2.emulate import NEURONS, READOUT
from nirc.backends.loihi2.findings import CORE_LIMITS
from nirc.backends.loihi2.limits import HALA_POINT, KAPOHO_POINT, OHEO_GULCH, VARIANTS, WRAP
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.processes import Piece
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Projection, Sink
from nirc.ir.program import Form, Program
from tests.reports import Reports


def neuron(n: int, *, latency: int = 0, spikes: bool = True, rate: Any = None) -> LoihiNeuron:
    one = np.ones(n, np.int64)
    return LoihiNeuron(
        *(one, one, one, 0 * one, 0 * one, 0 * one, 0 * one, np.arange(1.0, n + 1)),
        *(latency, spikes, rate),
    )


def program(**neurons: LoihiNeuron) -> Program:
    """Populations, each with an output of its own, in the other order."""
    nodes: dict[str, object] = {
        name: Population((d.du.size,), d, (f"nodes/{name}",)) for name, d in neurons.items()
    }
    edges = []
    for name in reversed(neurons):
        nodes[f"out-{name}"] = Sink((neurons[name].du.size,), (f"nodes/out-{name}",))
        edges.append((name, f"out-{name}", Projection()))
    return Program.of(Form.INTEGER, nodes, edges)


def piece(process: str, *index: int, at: list[int] | None = None) -> Piece:
    return Piece(process, np.array(index), None if at is None else np.array(at))


def lowered(
    pieces: dict[str, tuple[Piece, ...]], output_map: tuple[int, ...] = (), **sizes: int
) -> Any:
    populations = [SimpleNamespace(name=name, n=n) for name, n in sizes.items()]
    tables = SimpleNamespace(sizes=lambda: sizes, populations=populations)
    return SimpleNamespace(pieces=pieces, tables=tables, output_map=output_map)


def test_rates_that_were_measured_stand_at_their_places_beside_usual_ones() -> None:
    """Populations a and b share the first process. Nothing was measured for b and c."""
    rate = np.array([0.5, 0.25, 0.75])
    model = program(a=neuron(3, rate=rate), b=neuron(1), c=neuron(2))
    cut = {
        "a": (piece("p", 2, 0, at=[3, 1]), piece("q", 1)),
        "b": (piece("p", 0, at=[0]),),
        "c": (piece("r", 0, 1),),
    }
    found = fit._rates(lowered(cut, p=4, q=1, r=2), model)
    usual = DEFAULT_RATE
    assert {name: rates.tolist() for name, rates in found.items()} == {
        **{"p": [usual, 0.5, usual, 0.75], "q": [0.25]}
    }


@pytest.mark.parametrize(
    ("cores", "roomier"),
    [
        (OHEO_GULCH.max("cores") + 1, KAPOHO_POINT),
        (KAPOHO_POINT.max("cores"), KAPOHO_POINT),
        (KAPOHO_POINT.max("cores") + 1, HALA_POINT),
        (HALA_POINT.max("cores") + 1, None),
    ],
)
def test_the_smallest_system_with_so_many_cores_is_named(cores: int, roomier: Any) -> None:
    reports: Any = Reports()
    fit._report_cores(cores, OHEO_GULCH, "because", reports)
    (found,) = reports.found
    limit = next(each for each in OHEO_GULCH.limits if each.name == "cores")
    assert vars(found) == {
        **{"where": "the whole network", "target": OHEO_GULCH, "limit": limit, "cores": cores},
        **{"reason": "because", "roomier": roomier},
    }


def test_systems_are_full_if_each_has_fewer_places_than_neurons() -> None:
    of_a_core = OHEO_GULCH.max("neurons of a core")
    for targets, n, refused in (
        ([OHEO_GULCH], of_a_core * OHEO_GULCH.max("cores"), 0),
        ([OHEO_GULCH], of_a_core * OHEO_GULCH.max("cores") + 1, 1),
        (VARIANTS[:2], of_a_core * OHEO_GULCH.max("cores") + 1, 0),
        (VARIANTS[:2], of_a_core * KAPOHO_POINT.max("cores") + 1, 2),
    ):
        one = np.broadcast_to(1.0, n)
        half = n // 2
        nodes = {
            name: Population((size,), Discrete(one[:size], one[:size], one[:size]), (name,))
            for name, size in (("a", half), ("b", n - half))
        }
        log = Log()
        cannot = fit.cannot_fit(Program.of(Form.DISCRETE, nodes, ()), targets, log)
        assert cannot == bool(refused)
        assert [d.code for d in log.diagnostics] == ["L801"] * refused
        if refused == 1:
            assert str(OHEO_GULCH.max("cores") + 1) in log.diagnostics[0].found
            assert f"{n} neurons need at least so many" in str(log.diagnostics[0])


def test_membranes_that_may_wrap_around_are_told_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "wraps_after", lambda tables: {"p": 9, "q": 4, "r": 7})
    cut = {"a": (piece("p", 0), piece("q", 1)), "b": (piece("s", 0),), "c": (piece("r", 0),)}
    reports: Any = Reports()
    fit._report_wraps(lowered(cut), program(a=neuron(2), b=neuron(1), c=neuron(1)), reports)
    assert [vars(f) for f in reports.found] == [
        {"where": "nodes/a", "population": "a", "steps": 4, "largest": WRAP - 1},
        {"where": "nodes/c", "population": "c", "steps": 7, "largest": WRAP - 1},
    ]


def test_a_population_of_several_processes_is_reported_with_their_number() -> None:
    cut = {"a": (piece("p", 0), piece("q", 1)), "b": (piece("s", 0),)}
    reports: Any = Reports()
    fit._report_split(lowered(cut), program(a=neuron(2), b=neuron(1)), OHEO_GULCH, reports)
    most = OHEO_GULCH.max("neuron groups of a core")
    assert [vars(f) for f in reports.found] == [
        {"where": "nodes/a", "population": "a", "groups": 2, "most": most}
    ]


def test_a_population_lies_among_all_neurons_or_among_the_columns_of_the_output() -> None:
    """Processes p, q and r begin at 0, 4 and 5. The readout is the last of the outputs."""
    model = program(
        a=neuron(3, latency=1), b=neuron(1, latency=2), c=neuron(2, latency=3, spikes=False)
    )
    cut = {
        "a": (piece("p", 2, 0, at=[3, 1]), piece("q", 1)),
        "b": (piece("p", 0, at=[0]),),
        "c": (piece("r", 1, 0),),
    }
    outputs = (8, 7, 0, 5, 4, 3)  # of c, b and a
    found = fit._blocks(model, lowered(cut, outputs, p=4, q=1, r=2))
    assert {n: (b.part, b.index, b.scale, b.latency_steps) for n, b in found.items()} == {
        "a": (NEURONS, (1, 4, 3), (1.0, 2.0, 3.0), 1),
        "b": (NEURONS, (0,), (1.0,), 2),
        "c": (READOUT, (8, 7), (1.0, 2.0), 3),
    }


def test_what_is_used_is_the_most_of_any_core() -> None:
    resources = [
        SimpleNamespace(name="axons", capacity=9),
        SimpleNamespace(name="words", capacity=70),
    ]
    partition = SimpleNamespace(
        count=3,
        usage=np.array([[1, 60], [5, 2], [3, 3]]),
        cores=SimpleNamespace(resources=resources),
    )
    plan = SimpleNamespace(cores=[SimpleNamespace(chip=chip) for chip in (0, 4, 0)])
    placed: Any = SimpleNamespace(partition=partition, floorplan=plan)
    assert fit._utilisation(placed, KAPOHO_POINT) == {
        "cores": (3, KAPOHO_POINT.max("cores")),
        "chips": (2, KAPOHO_POINT.max("chips")),
        "axons": (5, 9),
        "words": (60, 70),
    }


def test_the_neuron_that_needs_too_much_is_named_as_the_model_names_it() -> None:
    """Neuron 3 of process p is neuron 0 of population a. That of an unknown process stays."""
    limit = next(each for each in OHEO_GULCH.limits if each.code in CORE_LIMITS)
    resource = SimpleNamespace(name=limit.name)
    cut = {"a": (piece("p", 2, 0, at=[0, 3]),)}
    reports: Any = Reports()
    given: Any = [
        SimpleNamespace(population=name, neuron=3, resource=resource, need=77)
        for name in ("p", "x")
    ]
    fit._report_oversized(given, lowered(cut), OHEO_GULCH, reports)
    assert [type(f).code for f in reports.found] == [limit.code] * 2
    assert [vars(f) for f in reports.found] == [
        {"where": where, "target": OHEO_GULCH, "limit": limit, "need": 77}
        for where in ("`a`, neuron 0", "`x`, neuron 3")
    ]
