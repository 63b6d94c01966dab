"""Many small populations share PEs: the same answers, in fewer PEs and smaller files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.spinnaker2.fit import cannot_fit
from nirc.backends.spinnaker2.joined import joined, owner
from nirc.backends.spinnaker2.limits import VARIANTS
from nirc.backends.spinnaker2.tables import Projection, Tables, to_npz
from nirc.certificate.certificate import reader_of
from nirc.checker.compare import check
from nirc.diagnostics.log import Log
from nirc.files.bundle import contents
from nirc.ir import program
from tests.models import DT, graph, lif

POPS = [f"pop{i}" for i in range(6)]
SIZES = dict(zip(POPS, (1, 2, 1, 1, 2, 1), strict=True))


def all_to_all() -> nir.NIRGraph:
    """Populations of one or two neurons, weights between each pair, one edge delayed."""
    rng = np.random.default_rng(2)
    nodes: dict[str, Any] = {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    nodes |= {name: lif(n, threshold=1.0 + n / 4) for name, n in SIZES.items()}
    nodes["slow"] = nir.Delay(np.full(2, 3 * DT))
    edges = [("pop4", "out"), ("pop1", "slow"), ("slow", "pop4")]
    for target, n_out in SIZES.items():
        nodes[f"in_{target}"] = nir.Linear(rng.uniform(0.5, 1.5, (n_out, 2)))
        edges += [("in", f"in_{target}"), (f"in_{target}", target)]
        for source, n_in in SIZES.items():
            nodes[f"{source}_{target}"] = nir.Linear(rng.normal(-0.1, 0.5, (n_out, n_in)))
            edges += [(source, f"{source}_{target}"), (f"{source}_{target}", target)]
    return graph(nodes, edges)


MODEL = all_to_all()
ALONE = compile_model(MODEL, "spinnaker2", Options(dt_s=DT))


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """The model with its populations joined."""
    monkeypatch.setattr(program, "MANY_EDGES", 1)
    return compile_model(MODEL, "spinnaker2", Options(dt_s=DT))


def parts(made: Compiled) -> list[str]:
    return [population.name for population in made.mapped.chip.tables.populations]


def test_joined_populations_answer_as_populations_apart(together: Compiled) -> None:
    assert parts(together) == ["pop0", "pop1 and 4 more"]  # all inputs of pop0 come in one step
    inputs = np.random.default_rng(4).random((3, 60, 2)) < 0.4
    apart = ALONE.bundle.run(inputs, record="all")
    found = together.bundle.run(inputs, record="all")
    assert found.outputs.tolist() == apart.outputs.tolist()
    assert [*found.spikes] == [*apart.spikes] and {*POPS} == {*found.spikes}
    for each, spikes in apart.spikes.items():
        assert found.spikes[each].tolist() == spikes.tolist(), each
        assert found.v[each].tolist() == apart.v[each].tolist(), each
    assert apart.spikes["pop4"].any() and not apart.spikes["pop4"].all()


def test_joined_populations_take_fewer_elements(together: Compiled) -> None:
    pes = "processing elements"
    assert ALONE.mapped.utilisation[pes][0] == 7
    assert together.mapped.utilisation[pes][0] == 3
    for name in ("network.npz", "network.nir"):
        assert len(together.bundle.files[name]) < len(ALONE.bundle.files[name]) / 2, name


def kinds(made: Compiled, tables: Tables | None = None) -> set[str]:
    """Return the kinds of findings of the checker, with other ``tables`` in network.npz."""
    files = contents(made.bundle.manifest, made.bundle.files)
    if tables is not None:
        files["network.npz"] = to_npz(tables)
    return {finding.kind for finding in check(files.__getitem__, reader_of("spinnaker2"))}


def test_a_joined_network_is_checked_synapse_by_synapse(together: Compiled) -> None:
    tables = together.mapped.chip.tables
    assert kinds(together) <= {"overflow"}
    weight = tables.projections[-1].weight.copy()
    weight[0] += 1 if weight[0] < 0 else -1
    changed = replace(tables.projections[-1], weight=weight)
    other = replace(tables, projections=(*tables.projections[:-1], changed))
    assert "network" in kinds(together, other)


def test_atoms_that_are_asked_for_keep_a_population_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MANY_EDGES", 1)
    options = Options(dt_s=DT, chip=(("atoms", "pop1:1"),))
    made = compile_model(MODEL, "spinnaker2", options)
    assert parts(made) == ["pop0", "pop1", "pop2 and 3 more"]


def test_as_many_neurons_fit_as_they_fill_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 populations of a neuron do not fit the 152 PEs of a chip, unless they are joined."""
    chip = [target for target in VARIANTS if target.variant == "chip"]
    nodes: dict[str, Any] = {"in": nir.Input(np.array([1])), "out": nir.Output(np.array([1]))}
    nodes |= {f"pop{i}": lif(1) for i in range(200)}
    edges = [("in", f"pop{i}") for i in range(200)]
    edges += [(f"pop{i}", "pop199") for i in range(200)]
    model = graph(nodes, [*edges, ("pop199", "out")])
    discrete = compile_model(model, "loihi2", Options(dt_s=DT)).stages.discrete
    assert cannot_fit(discrete, chip, None, Log())
    monkeypatch.setattr(program, "MANY_EDGES", 1)
    assert not cannot_fit(discrete, chip, None, Log())


def synapses(*rows: tuple[int, int, int, int]) -> Projection:
    """A projection from ``a`` to ``b``."""
    pre, post, weight, delay = (np.array(column) for column in zip(*rows, strict=True))
    return Projection("a -> b", "a", "b", pre, post, weight, delay)


def test_synapses_that_excite_and_inhibit_one_neuron_stay_apart() -> None:
    tables = ALONE.mapped.chip.tables
    a, b = (replace(tables.populations[i], name=name) for i, name in ((1, "a"), (2, "b")))
    both = synapses((0, 0, 3, 0)), synapses((0, 0, -4, 0), (0, 1, 5, 0))
    small = replace(tables, populations=(a, b), projections=both, outputs=())
    found, places = joined(small, ())
    assert places == {"a": ("a and 1 more", 0), "b": ("a and 1 more", a.n)}
    rows = [(p.pre.tolist(), p.post.tolist(), p.weight.tolist()) for p in found.projections]
    assert rows == [([0, 0], [a.n, a.n + 1], [3, 5]), ([0], [a.n], [-4])]
    assert len({p.name for p in found.projections}) == 2


def test_neurons_with_and_without_a_leak_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MANY_EDGES", 1)
    one = np.ones(1)
    leaks = nir.LIF(8 * DT * one, 8 * one, 0.1 * one, one)
    nodes: dict[str, Any] = {"in": nir.Input(np.array([1])), "out": nir.Output(np.array([1]))}
    nodes |= dict.fromkeys("ab", leaks)
    nodes |= {name: nir.IF(one / DT, one) for name in "cd"}
    edges = [("in", "a"), *pairwise("abcd"), ("d", "out")]
    made = compile_model(graph(nodes, edges), "spinnaker2", Options(dt_s=DT))
    assert parts(made) == ["a and 1 more", "c and 1 more"]
    assert kinds(made) <= {"overflow"}


def test_populations_of_another_form_in_nir_stay_apart() -> None:
    """NIR's fields of a population depend on decays of 1, and on equal decays of its currents."""
    tables = ALONE.mapped.chip.tables
    half, one, mixed = (np.array(each, np.float32) for each in ([0.5], [1], [0.5, 1]))
    decays = {  # of the membrane and of both currents
        "leaks": (half, None, None),
        "leaks too": (half / 2, None, None),
        "some leak": (mixed, None, None),
        "none leaks": (one, None, None),
        "none leaks too": (one, None, None),
        "alike": (half, half, half),
        "alike too": (half, mixed, mixed),
        "not alike": (half, half, mixed),
    }
    cell = tables.populations[1]
    populations = tuple(
        replace(cell, name=name, alpha_decay=membrane, exc_decay=exc, inh_decay=inh)
        for name, (membrane, exc, inh) in decays.items()
    )
    found, places = joined(replace(tables, populations=populations, projections=(), outputs=()), ())
    together = ["leaks and 1 more", "none leaks and 1 more", "alike and 1 more"]
    assert [p.name for p in found.populations if " more" in p.name] == together
    assert {*decays} - {*places} == {"some leak", "not alike"}


def test_a_neuron_of_a_joined_population_has_its_own_name() -> None:
    places = {"a": ("a and 2 more", 0), "b": ("a and 2 more", 2), "c": ("a and 2 more", 5)}
    assert owner(places, "a and 2 more", 4) == ("b", 2)
    assert owner(places, "a and 2 more", 5) == ("c", 0)
    assert owner(places, "other", 3) == ("other", 3)
