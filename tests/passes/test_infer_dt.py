"""infer-dt: the time step as given, else as the parameters imply, else a refusal that says so."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.api import Options, lower_layers
from nirc.diagnostics.errors import CompileError, Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.frontend.raw import RawGraph, RawNode
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.writer import Reading
from tests.build import (
    DT,
    changed,
    cuba,
    delay,
    findings,
    graph,
    if_,
    inp,
    layers,
    lif,
    lowered,
    node,
    out,
    refusals,
    said,
    written_by,
)  # fmt: skip


def alone(item: RawNode, *more: RawNode) -> RawGraph:
    """Input, the node `x`, further nodes, Output."""
    nodes = {"x": item} | {f"y{i}": each for i, each in enumerate(more)}
    return graph({"in": inp(1), **nodes, "out": out(1)}, " ".join(["in", *nodes, "out"]))


def only(code: str, raw: RawGraph, dt: float | None = None) -> Diagnostic:
    (found,) = [d for d in said(raw, dt=dt) if d.code == code]
    return found


def test_dt_comes_from_tau_and_r() -> None:
    made = lowered(alone(lif(1)), dt=None)
    assert made.discrete.dt_s == DT
    note = only("P309", alone(lif(1)))
    assert (note.where, note.severity) == ("nodes/x/r", "note") and "0.0001 s" in note.message


def test_a_synapse_tells_it_too() -> None:
    item = cuba(1, r=[1.0])  # only w_in says anything
    assert lowered(alone(item), dt=None).discrete.dt_s == DT
    assert only("P309", alone(item)).where == "nodes/x/w_in"


def test_a_given_step_wins_and_a_disagreement_is_said() -> None:
    made = lowered(alone(lif(1)), dt=2e-4)
    assert made.discrete.dt_s == 2e-4
    warning = only("P310", alone(lif(1)), dt=2e-4)
    assert (warning.found, warning.where) == ("0.0002 s", "nodes/x/r") and warning.limit.startswith(
        "0.0001 s"
    )


def test_who_follows_the_warning_of_a_long_step_is_not_warned_of_the_other() -> None:
    doubtful = alone(lif(1, tau=[2e-2], r=[2.0]))
    assert "such as --dt 0.001" in only("P309", doubtful).help
    note = only("P310", doubtful, dt=1e-3)
    assert note.severity == "note" and note.message.endswith("and r as a gain")
    sure = only("P310", alone(lif(1)), dt=1e-3)
    assert (
        sure.severity == "warning"
        and "leave --dt away" in sure.help
        and "10 times as much" in sure.help
    )


def test_a_given_step_that_agrees_is_taken_without_a_word() -> None:
    assert findings(alone(lif(1)), dt=DT) == []


def test_nodes_that_disagree_are_refused_with_what_each_says() -> None:
    raw = alone(lif(1), changed(lif(1), tau=[8e-3]))
    refusal = only("P302", raw)
    assert (
        "nodes/x/r: tau / r = 0.0001 s" in refusal.found
        and "nodes/y0/r: tau / r = 0.001 s" in refusal.found
    )
    assert refusals(raw, dt=DT) == []


@pytest.mark.parametrize(
    ("item", "where"),
    [
        (lif(1, r=[1.0]), "nodes/x"),
        (node("LI", tau=[1e-3], r=[0.5], v_leak=[0.0]), "nodes/x"),
        (cuba(1, r=[1.0], w_in=[1.0]), "nodes/x"),
        (changed(if_(1), r=[1e4]), "nodes/x"),  # a gain per second
        (node("I", r=[-1e3]), "nodes/x"),
    ],
)
def test_without_evidence_it_must_be_given(item: RawNode, where: str) -> None:
    assert refusals(alone(item), dt=None) == [("P301", where)]
    assert "--dt" in only("P301", alone(item)).help
    assert refusals(alone(item), dt=1e-6) == []


def test_a_delay_needs_a_time_step() -> None:
    assert refusals(alone(if_(1), delay(1e-3)), dt=None) == [("P301", "nodes/y0")]


@pytest.mark.parametrize("writer", ["sinabs", "spyx"])
def test_a_delay_needs_one_also_where_the_simulator_counts_steps(writer: str) -> None:
    """It once became no delay at all."""
    net = alone(if_(1), delay(2e-3))
    with pytest.raises(NircError) as refusal:
        written_by(writer, net)
    assert [d.code for d in refusal.value.diagnostics if d.severity == "error"] == ["P301"]
    made = written_by(writer, net, dt=1e-3)
    assert [p.delay_steps for *_, p in made.discrete.edges() if p.delay_s] == [2]


def test_what_has_no_time_needs_none() -> None:
    made = lowered(alone(if_(1), node("Threshold", threshold=[0.5])), dt=None)
    assert made.discrete.dt_s is None and not [d for d in made.said if d.severity == "error"]


@pytest.mark.parametrize(
    ("r", "dt", "gain", "said_so"),
    [(1.0, None, 1.0, True), (1.0, 1e-4, 1.0, True), (1e4, 1e-4, 1.0, False),
    (2e3, 1e-3, 2.0, False),
     (0.5, 1e-3, 0.5, True)],
)  # fmt: skip
def test_an_integrator_s_gain_is_per_step_or_per_second(
    r: float, dt: float | None, gain: float, said_so: bool
) -> None:
    raw = alone(changed(if_(1), r=[r]))
    made = lowered(raw, dt=dt)
    assert made.discrete["x"].dynamics.gain_mem.item() == pytest.approx(gain)
    assert [d.where for d in made.said if d.code == "G217"] == ["nodes/x/r"] * said_so


def test_rockpool_s_exponential_gain_tells_its_step_to_rockpool_s_reading_only() -> None:
    tau = np.array([2e-2])
    item = lif(1, tau=tau, r=tau / 1e-3 * np.exp(-1e-3 / tau))
    assert written_by("rockpool", alone(item)).discrete.dt_s == 1e-3
    assert lowered(alone(item), dt=None).discrete.dt_s == pytest.approx(
        1e-3 * np.exp(1e-3 / 2e-2), rel=1e-5
    )


def test_a_writer_s_own_step_stays_when_the_user_names_another() -> None:
    """The step that is given names the time.

    The decay is the one that the network was trained with.
    """
    made = written_by("snntorch", alone(lif(1)), dt=2e-4)
    assert made.discrete.dt_s == 2e-4 and made.discrete[
        "x"
    ].dynamics.decay_mem.item() == pytest.approx(1 - 1 / 8)
    (warning,) = [d for d in made.said if d.code == "P310"]
    assert (warning.found, warning.limit) == ("0.0002 s", "0.0001 s")
    for dt, differs in ((1.0009e-4, False), (1.0011e-4, True)):
        made = written_by("snntorch", alone(lif(1)), dt=dt)
        assert ("P310" in {d.code for d in made.said}) == differs


@pytest.mark.parametrize(
    ("tau_steps", "severity"), [(3.1, "note"), (3.0, "note"), (2.9, "warning")]
)
def test_a_step_that_is_long_beside_a_time_constant_is_warned_of(
    tau_steps: float, severity: str
) -> None:
    said_so = only("P309", alone(lif(1, steps=tau_steps)))
    assert said_so.severity == severity
    assert (severity == "note") or ("--dt" in said_so.help and said_so.limit.startswith("3 steps"))


@pytest.mark.parametrize(
    ("tau_s", "advice"),
    [(20.0, "--from sinabs"), (5e-5, "--from norse,dt=1e-3"), (2e-2, "--dt SECONDS")],
)
def test_the_advice_for_a_missing_step_fits_the_time_constants(tau_s: float, advice: str) -> None:
    assert advice in only("P301", alone(lif(1, tau=[tau_s], r=[1.0]))).help


def test_the_advice_looks_at_the_shortest_and_the_longest_of_all_time_constants() -> None:
    neurons = lif(2, tau=[5e-5, 2e-2], r=[1.0, 1.0])
    raw = graph({"in": inp(2), "x": neurons, "out": out(2)}, "in x out")
    assert "below 5e-05, the shortest time constant" in only("P301", raw).help


@pytest.mark.parametrize(
    ("tau_s", "help_"),
    [
        (5e-3, "Nengo 4.1.0 steps by 1e-3 s: --from nengo, or --dt 1e-3 by NIR's letter"),
        (5e-4, "Nengo 4.1.0 steps by 1e-3 s: --from nengo"),  # by the letter it would be P303
    ],
)
def test_where_the_file_may_be_by_a_writer_its_usual_step_is_named(
    tau_s: float, help_: str
) -> None:
    raw, log = alone(lif(1, tau=[tau_s], r=[1.0])), Log()
    with pytest.raises(CompileError):
        lower_layers(
            layers(raw),
            Reading(LETTER, LETTER.defaults(), candidates=("nengo",)),
            Options(),
            log=log,
        )
    assert [d.help for d in log.errors] == [help_]


def test_the_step_of_the_data_is_taken_where_nothing_else_tells_one() -> None:
    data = Data(np.zeros((1, 2, 1), np.int64), dt_s=1e-3)
    options = Options().with_data(None, np.zeros(3), Data(data.inputs), data)
    reading, log = Reading(LETTER, LETTER.defaults()), Log()
    assert (
        lower_layers(
            layers(alone(lif(1, r=[1.0], tau=[5e-3]))), reading, options, log=log
        ).discrete.dt_s
        == 1e-3
    )
    assert [(d.code, d.severity) for d in log.diagnostics] == [("P309", "note")]
    assert (
        lower_layers(layers(alone(lif(1))), reading, options, log=Log()).discrete.dt_s == DT
    )  # the file tells it
    assert (
        lower_layers(layers(alone(if_(1))), reading, options, log=Log()).discrete.dt_s is None
    )  # no time in it


def test_numbers_at_the_edge_of_what_floats_hold_do_no_harm() -> None:
    tiny = lif(1, tau=[5e-324], r=[1e308])
    assert refusals(alone(tiny), dt=None) == [("P301", "nodes/x")]
    huge = lif(1, tau=[1e308], r=[2.0])  # no time step that anyone chose
    assert refusals(alone(huge), dt=None) == [("P301", "nodes/x")]
