"""Integers that a model's file carries for the chip it is compiled for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nirc.chip import trained
from nirc.chip.backend import Backend
from nirc.chip.running import Samples
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.training import (
    TrainedIntegersDamaged,
    TrainedIntegersUnused,
    TrainedIntegersUsed,
)
from nirc.files.bounds import printable
from nirc.ir.program import Program
from nirc.passes.pipeline import run_passes


def carried_integers(
    carried: bytes, legal: Program, backend: Backend, calibration: Samples | None, log: Log
) -> Program | None:
    """Return the integers that the file carries for this chip, None without (U643, U644).

    Raises ``CompileError`` where the network has no integers on this chip.
    """
    training = backend.training()
    if not carried or training is None:
        return None
    try:
        target = trained.target_of(carried)
        if target != backend.name:
            raise trained.UnusableNoteError(f"they are for {printable(target)}")
        if calibration is not None:
            raise trained.UnusableNoteError("a calibration rounds the network itself")
        integer = trained.unpacked(carried, legal, training)
        trained.check_timing(integer, run_passes(legal, (backend.quantise(),), Log()))
    except trained.UnusableNoteError as error:
        log.add(TrainedIntegersUnused(reason=str(error)))
        return None
    log.add(TrainedIntegersUsed(target=target))
    return integer


@contextmanager
def numbers_of_a_file(of_file: bool) -> Iterator[None]:
    """Refuse as U645 what fails on integers that a file carries: no compilation made them."""
    try:
        yield
    except NircError:
        raise
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
        if not of_file:
            raise
        raise TrainedIntegersDamaged().refusal() from None
