"""Learning the weights: loops are told what the model sends, then run free, and the mean of the
last rounds stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nirc.calibration import distil
from nirc.calibration.chip import Parameters
from nirc.calibration.distil import Distillation
from nirc.ir.linear import Dense
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.calibration.test_unrolled import network, resetting

Learn = Callable[[Program], Program]


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Distillation, Program]]:
    """A network that subtracts, on its way to the same one that goes to zero."""
    monkeypatch.setattr(distil, "ROUNDS", 40)

    def made(*, loop: bool, readout: bool = True) -> tuple[Distillation, Program]:
        model = resetting(network(loop=loop), "set")
        if readout:  # `b` answers to the loop and sends nothing back
            kept = [(s, t, p) for s, t, p in model.edges() if (s, t) != ("b", "a")]
            model = model.rebuilt(dict(model.graph.nodes(data="payload")), kept)
        inputs = (np.random.default_rng(7).random((40, 20, 4)) < 0.3).astype(np.int64)
        taught = run(model, inputs, record=["a", "b"]).spikes
        parameters = {"a": Parameters(drift=True), "b": Parameters()}
        chip = resetting(model, "subtract")
        return Distillation(
            chip, parameters, {}, inputs, taught, np.random.default_rng(0), 20
        ), model

    return made


def weights(program: Program, target: str) -> list[np.ndarray]:
    return [
        p.ops[0].weight
        for _, t, p in program.edges()
        if t == target and p.ops and isinstance(p.ops[0], Dense)
    ]


def test_populations_of_loops_settle_first_and_the_others_go_on(
    learning: Callable[..., tuple[Distillation, Program]], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, model = learning(loop=True)
    settled: list[Program] = []
    settle = Distillation._settle
    monkeypatch.setattr(
        Distillation, "_settle", lambda self: (settled.append(self.now()), settle(self))[1]
    )
    assert learner.looped == ["a"]
    done = learner.run(lambda _: None)
    for name in ("a", "b"):
        before, after, first = (weights(p, name) for p in (settled[0], done, model))
        assert any((x != y).any() for x, y in zip(after, first, strict=True))  # it has learnt
        stayed = all((x == y).all() for x, y in zip(before, after, strict=True))
        assert stayed == (name == "a")


def test_the_share_that_is_done_grows_to_one(
    learning: Callable[..., tuple[Distillation, Program]],
) -> None:
    for loop, readout in ((False, True), (True, True), (True, False)):
        shares: list[float] = []
        learning(loop=loop, readout=readout)[0].run(shares.append)
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0) and len(shares) == 40
