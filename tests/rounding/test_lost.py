"""One severity for weights that round to zero, on every chip."""

from __future__ import annotations

import pytest

from nirc.diagnostics.log import Log
from nirc.rounding.lost import report_lost


@pytest.mark.parametrize(
    ("lost", "severity"), [(0, None), (1, "note"), (4, "note"), (5, "warning"), (9, "warning")]
)
def test_from_one_half_on_it_is_a_warning(lost: int, severity: str | None) -> None:
    log = Log()
    report_lost(lost, 10, "into `b`", "nodes/b", "8 bits", log)
    assert [d.severity for d in log.diagnostics] == ([] if severity is None else [severity])
    if severity is not None:
        assert log.diagnostics[0].message == f"{lost} of 10 weights into `b` round to zero"
        assert log.diagnostics[0].found == f"{lost * 10}.0%"
