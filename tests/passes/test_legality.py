"""What the legalisers of several chips refuse, and the neurons that they add."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawNode
from nirc.ir.program import Program
from nirc.passes.legality import OutputRule, refuse_membranes, refuse_outputs, relay
from tests.build import DT, cuba, delay, graph, if_, inp, lowered, node, out, scale

NODES: dict[str, RawNode] = {"in": inp(1), "a": if_(1), "b": if_(1), "out": out(1)}


def built(*ways: str, **more: RawNode) -> Program:
    return lowered(graph({**NODES, **more}, *ways)).discrete


@pytest.mark.parametrize(
    ("program", "allowed", "problem"),
    [
        (built("in a out", "in b out"), {}, "is a sum of 2 signals"),
        (built("in a out", "in b out"), {"sums": True}, ""),
        (built("in a s out", "in b out", s=scale(2.0)), {"sums": True}, "linear layers behind"),
        (built("in a d out", "in b out", d=delay(DT)), {"sums": True}, "is delayed behind"),
        (built("in a d out", "in b out", d=delay(DT)), {"sums": True, "delays": True}, ""),
        (built("in a b", "in b", "in out"), {}, "is an input of the network"),
        (built("in a out", "in out"), {"sums": True}, "is an input of the network"),
        (built("in a out", "in out"), {"sums": True, "inputs": True}, ""),
    ],
)
def test_an_output_that_a_chip_does_not_have_is_refused_with_the_reason(
    program: Program, allowed: dict[str, bool], problem: str
) -> None:
    log = Log()
    refuse_outputs(program, OutputRule("a sheet", help="do otherwise", **allowed), log)
    assert [d.code for d in log.diagnostics] == ["P308"] * bool(problem)
    for refusal in log.diagnostics:
        assert problem in refusal.message and refusal.where == "nodes/out"
        assert (refusal.source, refusal.help) == ("a sheet", "do otherwise")


def test_membranes_go_to_outputs_only() -> None:
    li = node("LI", tau=[8 * DT], r=[8.0], v_leak=[0.0])
    shown, sent = built("in a m out", m=li), built("in m c out", m=li, c=cuba(1))
    scaled = built("in a m s out", m=li, s=scale(2.0))
    added = built("in a m out", "in b out", m=li)
    for program, by_wire, refused in (
        (shown, True, []),
        (scaled, False, []),
        (scaled, True, ["nodes/m"]),
        (added, False, []),
        (added, True, ["nodes/m"]),
        (sent, False, ["nodes/m"]),
    ):
        log = Log()
        refuse_membranes(program, "a sheet", log, by_wire=by_wire)
        assert [(d.code, d.where) for d in log.diagnostics] == [("P306", w) for w in refused]
    log = Log()
    refuse_membranes(scaled, "a sheet", log)
    assert log.diagnostics == []


def test_a_relay_repeats_what_it_gets() -> None:
    d = relay(2, ("nodes/a",), threshold=0.25).dynamics
    assert (d.decay_mem.tolist(), d.gain_mem.tolist(), d.drift.tolist()) == ([0, 0], [1, 1], [0, 0])
    assert d.threshold is not None and d.threshold.tolist() == [0.25, 0.25]
    assert d.v_reset is not None and np.array_equal(d.v_reset, [0.0, 0.0])
