"""What the checker finds is reported under the code of its kind, with place, value and limit."""

from __future__ import annotations

import pytest

from nirc.certificate import checking
from nirc.checker.values import Finding
from nirc.diagnostics.check import OF_KIND
from nirc.diagnostics.log import Log

CODES = {"network": "C901", "unreadable": "C902", "limit": "C903", "route": "C904"}


@pytest.mark.parametrize(("kind", "code"), [*CODES.items(), ("overflow", "C905")])
def test_a_finding_has_the_code_of_its_kind_and_is_said_once(kind: str, code: str) -> None:
    found = Finding(kind, "mapping.json", "slices[1]", "there is a fault", 7, "0..3")
    log = Log()
    checking._report([found, found], log)
    (said,) = log.diagnostics
    assert (said.code, said.where) == (code, "mapping.json: slices[1]")
    assert (said.message, said.found) == ("there is a fault", "7")
    assert (said.limit or said.expected) == "0..3"
    assert said.severity == ("note" if kind == "overflow" else "error")


def test_each_kind_has_a_code() -> None:
    assert {*OF_KIND} == {*CODES, "overflow"}
