"""`nirc export`: a stage of a compilation as a NIR file."""

from __future__ import annotations

from collections.abc import Callable

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.log import Log
from nirc.export.file import nir_bytes
from nirc.export.graph import to_graph
from nirc.running import Samples

STAGES = ("float", "discrete", "legal", "integer")


def export(
    model: object,
    stage: str,
    target: str | None,
    options: Options,
    *,
    log: Log,
    calibration: Samples | None = None,
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """The file. ``float`` and ``discrete`` need no target; ``legal`` is what the backend quantises.

    At ``integer`` weights, thresholds and decays are those that the chip uses, in its own units: a simulator that
    reads the file sees the rounding, but not what NIR cannot say (P315). Raises ``NircError``.
    """
    if stage in ("float", "discrete") and target is None:
        options.checked(log)
        stages = lower(model, options, log=log)
        return nir_bytes(to_graph(stages.continuous if stage == "float" else stages.discrete, log))
    if target is None:
        log.error("U607", f"stage `{stage}` depends on the chip", found="no --target", help="nirc targets lists them")
        log.raise_if_errors()
    made = compile_model(model, str(target), options, log=log, calibration=calibration, progress=progress)
    programs = {"float": made.stages.continuous, "discrete": made.stages.discrete}
    programs |= {"legal": made.legal, "integer": made.integer}
    return nir_bytes(to_graph(programs[stage], log))
