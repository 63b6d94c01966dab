"""Remarks of the analysis of shapes: implicit readings, and contradictions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """A reading that is implicit in the file, or (in a ``MisfitError``) a contradiction.

    ``overrules``: the reading contradicts a number of values that the node states.
    ``harmless``: the reading cannot be wrong. A user sees it with -v only.
    ``own``: the contradiction lies inside the node, whatever its neighbours claim.
    """

    code: str
    message: str
    field: str = ""
    found: str = ""
    limit: str = ""
    overrules: bool = False
    harmless: bool = False
    own: bool = False


class MisfitError(Exception):
    """No single reading makes a layer take the arriving signal."""

    def __init__(self, remark: Remark) -> None:
        super().__init__(remark.message)
        self.remark = remark
