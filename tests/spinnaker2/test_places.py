"""Keys and tables are refused one above their limit and accepted at it."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.spinnaker2 import fit as module
from nirc.backends.spinnaker2.fit import Assignment, assign
from nirc.backends.spinnaker2.slices import Split
from nirc.backends.spinnaker2.system import Faults, System
from nirc.diagnostics.log import Log


def slices(atoms: list[int], pairs: list[tuple[int, int]]) -> Split:
    """A population of one slice for each number of atoms; pairs (source, target) that send."""
    source, target = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    names = tuple(f"p{i}" for i in range(len(atoms)))
    size = np.array(atoms, np.int64)
    return Split(
        names, dict(zip(names, atoms, strict=True)), np.arange(len(atoms)), np.zeros_like(size),
        size, source, target,
        np.ones_like(source), {},
    )  # fmt: skip


def assigned(parts: Split, system: System | None = None) -> tuple[Assignment | None, list[str]]:
    log = Log()
    made = assign(parts, system or System(board=False, faults=Faults()), 1e-3, log)
    return made, [d.code for d in log.errors]


def test_a_table_may_be_as_long_as_the_router_has_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = slices(
        [10] * 20, [(i, (7 * i + 1) % 20) for i in range(20)]
    )  # each to another: no two share a route
    monkeypatch.setattr(module, "ROUTER_ENTRIES", 20)
    made, codes = assigned(parts)
    assert made is not None and made.routing.sizes.tolist() == [20] and not codes
    monkeypatch.setattr(module, "ROUTER_ENTRIES", 19)
    assert assigned(parts) == (None, ["N904"])


def test_keys_may_be_used_up() -> None:
    assert assigned(slices([1 << 31, 1 << 31], [(0, 1)]))[1] == []
    assert assigned(slices([1 << 31, 1 << 31, 1], [(0, 1)])) == (None, ["N920"])


def test_a_chip_that_faults_cut_off_is_named() -> None:
    parts = slices(
        [10] * 149, [(0, i) for i in range(1, 149)]
    )  # more than a chip takes, whatever the order
    whole = System(board=True, faults=Faults())
    assert assigned(parts, whole)[1] == []
    first = int(whole.chips[0])
    cut = Faults(links=tuple((first, direction) for direction in range(6)))
    assert assigned(parts, System(board=True, faults=cut)) == (None, ["N921"])
