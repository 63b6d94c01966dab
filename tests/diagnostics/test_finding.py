"""A diagnostic is one class: its fields are checked, its severity follows from its values."""

from __future__ import annotations

import pytest

from nirc.diagnostics.dynamics import LoopTakesLonger
from nirc.diagnostics.errors import InputError
from nirc.diagnostics.file import DamagedFile, FileFinding
from nirc.diagnostics.finding import MOST_OF_A_CODE, Finding, Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import WeightsVanish
from nirc.diagnostics.passes import NothingToCompile


def vanished(lost: int) -> WeightsVanish:
    return WeightsVanish(where="nodes/b", lost=lost, of=10, which="into `b`", limit="8 bits")


@pytest.mark.parametrize(
    ("lost", "severity"), [(1, "note"), (4, "note"), (5, "warning"), (9, "warning")]
)
def test_weights_that_vanish_are_a_warning_from_one_half_on(lost: int, severity: str) -> None:
    log = Log()
    log.add(vanished(lost))
    (found,) = log.diagnostics
    assert (found.code, found.severity, found.where) == ("D410", severity, "nodes/b")
    assert found.message == f"{lost} of 10 weights into `b` round to zero"
    assert (found.found, found.limit) == (f"{lost * 10}.0%", "8 bits")
    assert bool(found.help) == (severity == "warning")


def test_a_field_that_is_missing_or_unknown_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="lacks limit, which"):
        WeightsVanish(lost=1, of=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="has no field weights"):
        NothingToCompile(weights=3)  # type: ignore[call-arg]


def test_two_classes_cannot_share_a_code() -> None:
    with pytest.raises(TypeError, match="have one code, D410"):

        class Other(Finding):
            code = "D410"


def test_a_subclass_may_word_a_diagnostic_otherwise() -> None:
    class NothingAtAll(NothingToCompile):
        def words(self) -> Words:
            return Words("there is nothing")

    assert NothingAtAll().diagnostic().code == "P311"
    assert NothingAtAll().diagnostic().message == "there is nothing"


@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_a_difference_of_dynamics_is_an_error_under_strict(strict: bool, severity: str) -> None:
    class Differs(NothingToCompile):
        severity = "differs"

    log = Log(strict=strict)
    log.add(Differs())
    assert [d.severity for d in log.diagnostics] == [severity]


def test_a_finding_has_the_fields_of_all_its_bases() -> None:
    found = DamagedFile(problem="it ends early", limit="9 bytes").placed("nodes/a")
    assert found.diagnostic().message == "it ends early"
    assert (found.where, found.placed("edges").where) == ("nodes/a", "nodes/a")


def test_a_refusal_is_of_the_class_that_the_finding_names() -> None:
    class Refused(FileFinding):
        def words(self) -> Words:
            return Words("no")

    Refused.code = "F104"
    assert isinstance(Refused().refusal(), InputError)


def loops(n: int) -> list[LoopTakesLonger]:
    return [LoopTakesLonger(source=f"a{i}", target="b", steps=1, rule="") for i in range(n)]


def test_of_very_many_findings_the_first_are_reported_and_the_others_counted() -> None:
    few = loops(MOST_OF_A_CODE)
    assert LoopTakesLonger.some(few) == few
    some = LoopTakesLonger.some(loops(MOST_OF_A_CODE + 7))
    assert len(some) == MOST_OF_A_CODE
    assert "other" not in some[-2].words().message
    assert some[-1].source == f"a{MOST_OF_A_CODE - 1}"
    assert some[-1].words().message.endswith("than in the model; so do 7 other paths")
