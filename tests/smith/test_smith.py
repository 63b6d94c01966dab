"""Graphs of the generator pass all checks. A fault in nirc is found and made small."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nirc.ir.linear import Pool
from tests.frontend.test_primitives import VALID
from tests.smith.case import Case, opened, save
from tests.smith.check import CHIPS, Checks, Tally, failures_of
from tests.smith.grow import case
from tests.smith.reduce import reduced


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_a_graph_passes_all_checks(seed: int) -> None:
    """`python -m tests.smith --forever` goes on, with all chips and the vendors' software."""
    tally = Tally()
    chips = [CHIPS[seed % 4]]
    failures = Checks(case(seed), tally, seed=seed, chips=chips, vendors=False, share=0.3).all()
    assert failures == []
    assert sum(tally.comparisons.values()) > 10


def test_the_generator_uses_what_nir_has() -> None:
    cases = [case(seed) for seed in range(300)]
    kinds = Counter(node.type for c in cases for node in c.graph.nodes.values())
    assert kinds.keys() == VALID.keys() and min(kinds.values()) >= 5
    fields = [node.fields for c in cases for node in c.graph.nodes.values()]
    assert any(isinstance(f.get("padding"), str) for f in fields)
    assert any(np.ptp(f["delay"]) > 0 for f in fields if "delay" in f)
    ends = {(len(c.of_kind("Input")), len(c.of_kind("Output"))) for c in cases}
    assert {(1, 1), (3, 1), (2, 2), (1, 3)} <= ends
    assert sum(c.order_matters for c in cases) >= 10
    alone = [part for c in cases for part in c.loops() if len(part & set(c.populations)) == 1]
    assert len(alone) > 20


def test_halves_of_a_population_leave_the_order_of_names_where_it_decides_about_loops() -> None:
    grown = case(7100049)
    assert grown.order_matters
    assert failures_of(grown, "split", seed=7100049) == []


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools that lose their factor: averages become sums."""
    apply = Pool.apply
    monkeypatch.setattr(Pool, "apply", lambda op, x: apply(dataclasses.replace(op, factor=1.0), x))


def first_failing() -> tuple[int, Case]:
    for seed in range(40):
        grown = case(seed)
        if grown.of_kind("AvgPool2d") and failures_of(grown, "slow definition", seed=seed):
            return seed, grown
    raise AssertionError("no graph shows the fault")


def test_a_fault_is_found_and_made_small(faulty: None, tmp_path: Path) -> None:
    seed, grown = first_failing()
    small = reduced(grown, lambda c: bool(failures_of(c, "slow definition", seed=seed)), tries=300)
    kinds = Counter(node.type for node in small.graph.nodes.values())
    assert kinds["AvgPool2d"] == 1 and sum(kinds.values()) <= 5 < len(grown.graph.nodes)
    assert small.inputs.size < grown.inputs.size / 4
    save(small, tmp_path / "found", {"check": "slow definition", "seed": seed})
    again, why = opened(tmp_path / "found")
    assert failures_of(again, why["check"], seed=why["seed"])
