"""Tests notice faults: a sample of mutants is killed, and those that survive are argued."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.mutants import judge
from tests.mutants.mutant import ROOT, mutants
from tests.mutants.rooms import ROOMS
from tests.mutants.survivors import arguments


def test_every_argued_survivor_is_a_mutant_of_the_code_as_it_is() -> None:
    """A line that changed takes its argument with it."""
    listed = arguments()
    assert not [gone for each in listed for gone in each.lacks(mutants(each.file))]
    assert not [each for each in listed if len(each.why.split()) < 4]
    assert {each.file for each in listed} <= {f for room in ROOMS.values() for f in room.paths()}


def test_a_fault_is_in_one_line_of_its_file() -> None:
    for mutant in mutants("nirc/analysis/time_step.py")[::9]:
        before = ast.unparse(ast.parse((ROOT / mutant.file).read_bytes())).splitlines()
        after = ast.unparse(mutant.tree()).splitlines()
        assert len([1 for a, b in zip(before, after, strict=True) if a != b]) == 1, mutant.key


def test_tests_that_cannot_run_kill_no_mutant() -> None:
    """A test of another name is no judge. A file that cannot be imported is a fault."""
    mutant = next(each for each in mutants("nirc/analysis/time_step.py") if each.in_function)
    with pytest.raises(RuntimeError, match="do not pass without a mutant"):
        judge.fresh(mutant, ["tests/analysis/test_time_step.py::test_of_another_name"], 5.0)


def test_a_sample_of_mutants_is_killed_or_argued() -> None:
    """``python -m tests.mutants`` tries more of them, in all rooms."""
    command = [sys.executable, "-m", "tests.mutants", "sample", "--count", "15", "--seconds", "2"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
