"""Runs passes one after the other: verify, print and time after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.ir.verify import verify


class Pass(Protocol):
    """A program in, a program out; findings go to the log."""

    name: ClassVar[str]

    def run(self, program: Program, log: Log) -> Program:
        """Never changes its argument."""


@dataclass(frozen=True)
class Step:
    """What an observer learns after each pass."""

    name: str
    program: Program
    seconds: float


Observer = Callable[[Step], None]


def run_passes(program: Program, passes: Sequence[Pass], log: Log, observe: Observer | None = None) -> Program:
    """Run ``passes`` in order. The verifier looks at every result: a finding there is a bug of the pass."""
    for each in passes:
        start = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is a finding of `discretise`
            program = each.run(program, log)
        verify(program)
        if observe is not None:
            observe(Step(each.name, program, time.perf_counter() - start))
    return program
