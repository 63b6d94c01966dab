"""A file operation or an allocation of a compilation fails: no half bundle, no bug.

`python -m tests.faults` lets every one of them fail. Here each place in the code fails once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import (
    ALLOCATION,
    CHIPS,
    all_faults,
    of_the_commit,
    older_bundle,
    operations_of,
)


def test_each_fault_ends_with_a_diagnostic_and_without_a_bundle() -> None:
    sites, wrong = all_faults("xylo")
    assert not wrong, "\n".join(wrong)
    assert len(sites) > 40
    kinds = {"open", "read", "write", "fsync", "rename", "mkdir", ALLOCATION}
    assert {kind for kind, _, _ in sites} == kinds


@pytest.mark.parametrize("chip", [chip for chip in CHIPS if chip != "xylo"])
def test_so_does_each_fault_where_only_another_chip_comes_along(chip: str, tmp_path: Path) -> None:
    of_xylo, _ = operations_of("xylo", tmp_path)
    sites, wrong = all_faults(chip, part=lambda sites: {*sites} - {*of_xylo})
    assert not wrong, "\n".join(wrong)
    assert len([file for _, file, _ in sites if f"backends/{chip}/" in file]) > 10


def test_an_older_bundle_survives_each_fault() -> None:
    sites, wrong = all_faults("xylo", older_bundle(), of_the_commit)
    assert not wrong, "\n".join(wrong)
    assert {"write", "fsync", "rename", "mkdir"} <= {kind for kind, _, _ in sites}
