"""The choice between orders of neurons: less traffic, and no more cores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2 import regrouped as module
from nirc.backends.loihi2.processes import Piece
from nirc.backends.loihi2.regrouped import Ordered
from nirc.chip.backend import Search
from nirc.mapping.partition import PartitionError

OLD = np.array([0, 1])
NEW = np.array([1, 0])


def answer(count: int, traffic: float) -> Any:
    return SimpleNamespace(count=count, traffic=traffic)


def choice(monkeypatch: pytest.MonkeyPatch, *answers: list[Any]) -> tuple[Any, int]:
    """What is taken of the answers to each order, and the number of orders that were tried."""
    tried = []

    def lowered(program: Any, order: dict[str, Any]) -> Any:
        tried.append({name: neurons.tolist() for name, neurons in order.items()})
        return pieces(order["a"])

    def pieces(neurons: Any) -> Any:
        return SimpleNamespace(pieces={"a": (Piece("a", neurons),), "b": (Piece("b", OLD),)})

    populations = [SimpleNamespace(name="b"), SimpleNamespace(name="a")]
    found: Any = SimpleNamespace(
        problem=SimpleNamespace(populations=populations), count=3, traffic=10.0
    )
    changed = {1: SimpleNamespace(neurons=NEW)}
    left = iter(answers)
    monkeypatch.setattr(module, "orders", lambda *x, **how: [changed] * len(answers))
    monkeypatch.setattr(module, "lower", lowered)
    monkeypatch.setattr(module, "_answers", lambda *x: next(left))
    start = pieces(OLD)
    program: Any = None
    known = Ordered({}, start, found)
    best = module._with_less_traffic(program, known, lambda x: (None, None), Search())  # type: ignore[arg-type,return-value]
    assert (best is known) == (best.partition is found) == (best.lowered is start)
    assert best is known or best.order["a"].tolist() == [1, 0]
    assert tried == [{"a": [1, 0]}] * len(tried)
    return best.partition, len(tried)


def test_an_order_is_taken_for_less_traffic_on_no_more_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for worse in (answer(4, 1.0), answer(3, 10.0), answer(2, 11.0)):
        taken, tried = choice(monkeypatch, [worse], [worse])
        assert (taken.traffic, tried) == (10, 2)
    good = answer(3, 9.0)
    for answers in ([good, answer(2, 9.5)], [answer(3, 9.5), good], [answer(4, 1.0), good]):
        taken, tried = choice(monkeypatch, answers, [answer(1, 1.0)])
        assert taken is good and tried == 1  # a better order after it is not looked for
    taken, tried = choice(monkeypatch, [answer(3, 10.0)], [answer(2, 9.5), good])
    assert taken.count == 2 and tried == 2


def test_groups_stay_as_they_are_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the engine cuts the new order, in the groups' parts and then in its own."""
    asked = []

    def cut(problem: Any, cores: Any, *, pinned: Any, effort: str, seed: int) -> str:
        asked.append((pinned, effort, seed))
        if pinned:
            raise PartitionError("these groups do not fit")
        return "free"

    problem: Any = SimpleNamespace(populations=[SimpleNamespace(name="a")])
    changed: Any = {0: SimpleNamespace(parts=[3, 4])}
    search = Search(effort="quick", seed=5)
    anything: Any = None
    monkeypatch.setattr(module, "partition", cut)
    for direct, answers, calls in (
        ("direct", ["direct"], []),
        (None, ["free"], [({"a": [3, 4]}, "quick", 5), ({}, "quick", 5)]),
    ):
        monkeypatch.setattr(module, "in_order", lambda *x, answer=direct: answer)
        asked.clear()
        found = module._answers(anything, problem, anything, changed, search)
        assert list(found) == answers and asked == calls
