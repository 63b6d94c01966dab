"""A finding says where: every test fails that meets one without a place in the model."""

from __future__ import annotations

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.log import Log

FAMILIES = "GPDXSLN"  # of what is said about models
# What is said about the whole network, its time step, or the chip.
WITHOUT_PLACE = frozenset(
    {"P302", "P310", "P312", "P315", "P316", "P319", "P320", "P322", "P325", "P326", "P327", "P328"}
    | {"P329", "P330"}
    | {"X502", "X506", "X507", "X508", "X511", "X513", "X514", "X515"}
    | {"S722", "L811", "L813", "P323", "N902", "N904", "N911", "N912", "N920", "N921"}
)


def demand() -> None:
    """Let the log refuse findings without a place."""
    add = Log.add

    def placed(log: Log, finding: Finding | Diagnostic) -> None:
        own = type(finding).__module__.startswith("nirc.")
        if isinstance(finding, Finding) and own and finding.code[0] in FAMILIES:
            where = finding.where or finding.code in WITHOUT_PLACE
            assert where, f"{finding.code} does not say where: {finding.words().message}"
        add(log, finding)

    Log.add = placed  # type: ignore[method-assign]
