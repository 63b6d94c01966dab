"""What no stock model can be is refused, with the place and what would help; what is lost is
said.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirc import api
from nirc.api import Options
from nirc.backends.spinnaker2.tables import from_npz
from nirc.diagnostics.errors import CompileError, Diagnostic
from nirc.diagnostics.log import Log
from tests.spinnaker2.test_meaning import DT_S, Nodes, filters, fires, graph, integers, leaks

Edges = list[tuple[str, str]]


def port(n: int, kind: Any = nir.Input, name: str = "input") -> Any:
    return kind({name: np.array([n])})


def out(n: int) -> Any:
    return port(n, nir.Output, "output")


def refused(nodes: Nodes, edges: Edges) -> Diagnostic:
    with pytest.raises(CompileError) as refusal:
        api.compile_model(graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S))
    (error,) = [d for d in refusal.value.diagnostics if d.severity == "error"]
    return error


def test_two_filters_of_one_sign() -> None:
    fast, slow = (nir.LI(np.full(3, k * DT_S), np.full(3, float(k)), np.zeros(3)) for k in (2, 4))
    nodes = {
        "in": port(3),
        "w": nir.Linear(integers(3, 3)),
        "a": fast,
        "b": slow,
        "n": leaks(3),
        "out": out(3),
    }
    edges = [("in", "w"), ("w", "a"), ("w", "b"), ("a", "n"), ("b", "n"), ("n", "out")]
    error = refused(nodes, edges)
    assert (error.code, error.where) == ("N905", "nodes/n") and error.help


def test_a_threshold_below_zero() -> None:
    nodes = {
        "in": port(3),
        "w": nir.Linear(integers(3, 3)),
        "n": fires(3, threshold=-1),
        "out": out(3),
    }
    error = refused(nodes, [("in", "w"), ("w", "n"), ("n", "out")])
    assert (error.code, error.where, error.found) == ("N906", "nodes/n/v_threshold", "-1")


def test_a_membrane_that_feeds_neurons() -> None:
    readout = nir.LI(4 * DT_S * np.ones(3), 4 * np.ones(3), np.ones(3))
    nodes = {
        "in": port(3),
        "w": nir.Linear(integers(3, 3)),
        "a": readout,
        "x": nir.Linear(integers(2, 3)),
        "n": fires(2),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "x"), ("x", "n"), ("n", "out")]
    assert refused({**nodes, "out": out(2)}, edges).code == "P306"


def test_an_output_that_is_a_sum() -> None:
    nodes = {
        "in": port(3),
        "w": nir.Linear(integers(3, 3)),
        "a": fires(3),
        "b": leaks(3),
        "out": out(3),
    }
    edges = [("in", "w"), ("w", "a"), ("w", "b"), ("a", "out"), ("b", "out")]
    assert refused(nodes, edges).code == "P308"


def test_no_neurons() -> None:
    nodes = {"in": port(3), "w": nir.Linear(integers(3, 3)), "out": out(3)}
    assert refused(nodes, [("in", "w"), ("w", "out")]).code == "P311"


def test_weights_that_vanish_are_counted() -> None:
    weight = np.array([[1.0, 0.001, 0.7], [0.3, 0.2, 0.11]])
    log = Log()
    nodes = {"in": port(3), "w": nir.Linear(weight), "n": fires(2), "out": out(2)}
    api.compile_model(
        graph(nodes, [("in", "w"), ("w", "n"), ("n", "out")]),
        "spinnaker2:chip",
        Options(dt_s=DT_S),
        log=log,
    )
    (lost,) = [d for d in log.diagnostics if d.code == "D410"]
    assert lost.found == "16.7%" and "1 of 6 weights" in lost.message


def test_several_spikes_of_an_input_are_a_warning_of_the_run() -> None:
    nodes = {"in": port(2), "w": nir.Linear(np.eye(2)), "n": fires(2, threshold=1.5), "out": out(2)}
    made = api.compile_model(
        graph(nodes, [("in", "w"), ("w", "n"), ("n", "out")]), "spinnaker2:chip", Options(dt_s=DT_S)
    )
    log = Log()
    run = made.bundle.run(np.array([[[1, 2]]]), log=log)
    assert run.outputs.tolist() == [[[0, 1]]]
    assert [d.code for d in log.diagnostics] == ["N911"]


def test_a_membrane_that_cannot_start_where_it_should() -> None:
    """Behind a filter and far below rest: the value that would make up for the leak is itself above
    the threshold.
    """
    slow = nir.CubaLIF(
        tau_mem=np.full(2, 2 * DT_S),
        tau_syn=np.full(2, 2 * DT_S),
        r=np.full(2, 2.0),
        w_in=np.full(2, 2.0),
        v_leak=np.full(2, -3.0),
        v_threshold=np.full(2, 2.0),
        v_reset=np.zeros(2),
    )
    nodes = {
        "in": port(2),
        "w": nir.Linear(integers(2, 2)),
        "a": fires(2),
        "b": fires(2),
        "n": slow,
        "out": out(2),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "b"), ("b", "n"), ("n", "out")]
    log = Log()
    api.compile_model(
        graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S, allow_silent=True), log=log
    )
    assert "D432" in {d.code for d in log.diagnostics}
    with pytest.raises(CompileError):
        api.compile_model(
            graph(nodes, edges),
            "spinnaker2:chip",
            Options(dt_s=DT_S, strict=True, allow_silent=True),
        )


def test_two_filters_that_both_excite_and_inhibit() -> None:
    """One weight of the other sign is enough."""
    for sign in (1, -1):
        first, second = sign * np.ones((3, 3)), -sign * np.ones((3, 3))
        nodes: Nodes = {"in": port(3), "wa": nir.Linear(first), "wb": nir.Linear(second)}
        for name, k in (("a", 2), ("b", 4)):
            nodes |= {name: nir.LI(np.full(3, k * DT_S), np.full(3, float(k)), np.zeros(3))}
        nodes |= {"n": leaks(3), "out": out(3)}
        edges = [("in", "wa"), ("in", "wb"), ("wa", "a"), ("wb", "b"), ("a", "n"), ("b", "n")]
        edges.append(("n", "out"))
        api.compile_model(graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S))
        for weight in (first, second):
            weight[1, 2] *= -1
            assert refused(nodes, edges).code == "N905"
            weight[1, 2] *= -1


def test_an_output_of_membranes_has_no_delay() -> None:
    """py-spinnaker2 shows the membrane of a population as it is, or not at all."""
    readout = nir.LI(4 * DT_S * np.ones(3), 4 * np.ones(3), np.ones(3))
    nodes = {"in": port(3), "w": nir.Linear(integers(3, 3)), "a": readout, "out": out(3)}
    nodes["d"] = nir.Delay(np.full(3, 2 * DT_S))
    shown = [("in", "w"), ("w", "a"), ("a", "out")]
    api.compile_model(graph(nodes, shown), "spinnaker2:chip", Options(dt_s=DT_S))
    error = refused(nodes, [*shown[:2], ("a", "d"), ("d", "out")])
    assert (error.code, error.where) == ("P306", "nodes/a")


def test_a_connection_without_weight_is_no_connection() -> None:
    """Neuron 0 alone may be connected with neuron 0. A weight of 0 is no synapse anywhere."""
    nodes = {"in": port(1), "w": nir.Linear(np.ones((1, 1))), "n": fires(1), "out": out(1)}
    edges = [("in", "w"), ("w", "n"), ("n", "out")]
    made = api.compile_model(graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S))
    (p,) = from_npz(made.bundle.files["network.npz"]).projections
    assert (p.pre.tolist(), p.post.tolist()) == ([0], [0])


def test_no_synapse_of_weight_zero_is_stored() -> None:
    weight = np.array([[0.0, 1.0, 127.0], [0.001, -127.0, 1.0]])
    for neuron in (filters(2), fires(2)):
        nodes = {"in": port(3), "w": nir.Linear(weight), "n": neuron, "out": out(2)}
        edges = [("in", "w"), ("w", "n"), ("n", "out")]
        made = api.compile_model(graph(nodes, edges), "spinnaker2:chip", Options(dt_s=DT_S))
        stored = [from_npz(made.bundle.files["network.npz"]).projections]
        assert all((p.weight != 0).all() for p in stored[0])
        assert sum(p.weight.size for p in stored[0]) == 4
