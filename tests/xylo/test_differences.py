"""The chip's timing: steps by the longest path, whatever the nodes are called."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.backends.xylo.differences import earliest, hop, latencies, report_timing, retimed
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from tests.build import delay, graph, inp, lif, linear, lowered, out
from tests.models import DT
from tests.smith.case import as_object
from tests.smith.grow import CHIPS, grown

ONE = [[1.0]]


def delayed(names: tuple[str, ...], steps: int) -> object:
    """Populations a, b and c, one behind the other, and d some steps behind c."""
    a, b, c, d = names
    nodes = {"in": inp(1), "out": out(1), "wait": delay(steps * DT)}
    nodes |= {f"{name}-w": linear(ONE) for name in names} | {name: lif() for name in names}
    return graph(nodes, f"in {a}-w {a} {b}-w {b} {c}-w {c} wait {d}-w {d} out")


@pytest.mark.parametrize(
    ("steps", "latency", "extra"), [(0, 3, 0), (1, 2, 0), (3, 0, 0), (5, 0, -2)]
)
def test_a_delay_makes_up_for_hops_whatever_the_populations_are_called(
    steps: int, latency: int, extra: int
) -> None:
    for names in [*permutations("hijk"), tuple("HIJK"), tuple("wxyz")]:
        program = XyloLegalise().run(lowered(delayed(names, steps)).discrete, Log())
        found = latencies(program)
        assert [found[name] for name in (*names, "out")] == [0, 1, 2, latency, latency]
        log = Log()
        report_timing(program, found, log)
        assert [d.code for d in log.diagnostics] == (["D407"] if extra else [])
        assert retimed(program, found) == (((names[2], names[3], extra),) if extra else ())


def test_the_chip_answers_alike_whatever_the_populations_are_called() -> None:
    inputs = np.zeros((1, 24, 1), int)
    inputs[0, :8] = 2
    answers = []
    for names in ("abcd", "zyxw", "6789"):
        model = as_object(delayed(tuple(names), 1))
        made = compile_model(model, "xylo", Options(dt_s=DT, reset="subtract"))
        answers.append(made.bundle.run(inputs).outputs.tolist())
    assert np.any(answers[0]) and answers[0] == answers[1] == answers[2]


def legal(seed: int) -> Program:
    case = grown(np.random.default_rng(seed), CHIPS["xylo"])
    return XyloLegalise().run(lowered(case.graph, reset="subtract").discrete, Log())


@pytest.mark.parametrize("seed", range(12))
def test_a_signal_comes_by_the_longest_path_and_not_before_the_shortest(seed: int) -> None:
    program = legal(seed)
    arcs = [(s, t, p, hop(program, s, t)) for s, t, p in program.edges()]
    latest, first = latencies(program), earliest(program)
    loops = {(s, t) for s, t, p, _ in arcs if p.feedback}
    for node in program.graph:
        forward = [latest[s] + h - p.lag for s, t, p, h in arcs if t == node and not p.feedback]
        assert latest[node] == max([0, *forward])
        into = [first[s] + h for s, t, _, h in arcs if t == node]
        assert first[node] == (min(into) if into else 0)
    log = Log()
    report_timing(program, latest, log)
    late = [(s, t) for s, t, p, h in arcs if latest[s] + h - latest[t] > p.lag]
    assert sum(d.code == "D406" for d in log.diagnostics) == len(late) and set(late) <= loops
