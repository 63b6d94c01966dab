"""A file operation or an allocation of a compilation fails: no half bundle, no bug.

`python -m tests.faults` lets every one of them fail. Here each place in the code fails once.
"""

from __future__ import annotations

import pytest

from tests.faults import ALLOCATION, CHIPS, all_faults, of_the_commit, older_bundle


@pytest.mark.parametrize("chip", CHIPS)
def test_each_fault_ends_with_a_diagnostic_and_without_a_bundle(chip: str) -> None:
    sites, wrong = all_faults(chip)
    assert not wrong, "\n".join(wrong)
    assert len(sites) > 40
    kinds = {"open", "read", "write", "fsync", "rename", "mkdir", ALLOCATION}
    assert {kind for kind, _, _ in sites} == kinds


def test_an_older_bundle_survives_each_fault() -> None:
    sites, wrong = all_faults("xylo", older_bundle(), of_the_commit)
    assert not wrong, "\n".join(wrong)
    assert {"write", "fsync", "rename", "mkdir"} <= {kind for kind, _, _ in sites}
