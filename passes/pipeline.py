"""The table of common passes, and the runner that verifies each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.ir.arrays import digest
from nirc.ir.program import Form, Program
from nirc.ir.verify import verify
from nirc.semantics.raster import Progress


class Pass(Protocol):
    """A program in, a program out. Findings go to the log."""

    name: ClassVar[str]

    def run(self, program: Program, log: Log) -> Program:
        """Return the new program. The argument never changes."""


@runtime_checkable
class ReportingPass(Pass, Protocol):
    """A pass that reports its choices, as plain values. The manifest keeps them."""

    report: dict[str, Any]


@dataclass(frozen=True)
class Calibration:
    """The data of calibrating passes.

    ``inputs``: (samples, steps, channels) spike counts. ``model``: the discrete program that the
    chip should imitate. ``progress`` gets the percentage that is done.
    """

    inputs: NDArray[Any]
    model: Program
    seed: int = 0
    progress: Progress | None = None

    @staticmethod
    def without_inputs() -> Calibration:
        """Return a calibration for creating passes, not for running them."""
        return Calibration(np.zeros((0, 0, 0), dtype=np.int64), Program.of(Form.DISCRETE, {}, ()))


Stage = Literal["layers", "continuous", "reference", "discrete"]


@dataclass(frozen=True)
class Entry:
    """A pass of the table: the stage of its result, its class, and its options."""

    name: str
    stage: Stage
    path: str
    options: tuple[str, ...] = ()

    @property
    def pass_class(self) -> type[Pass]:
        """The class. Its module is imported on first use."""
        module, _, name = self.path.partition(":")
        pass_class: type[Pass] = getattr(import_module(module), name)
        return pass_class


# In the order in which a compilation runs them. A backend adds its own passes after these.
PIPELINE = (
    Entry("flatten-nesting", "layers", "nirc.passes.flatten_nesting:FlattenNesting"),
    Entry("complete-ports", "layers", "nirc.passes.complete_ports:CompletePorts"),
    Entry("remove-dead", "layers", "nirc.passes.remove_dead:RemoveDead"),
    Entry("infer-shapes", "layers", "nirc.passes.infer_shapes:InferShapes"),
    Entry("canonicalise", "layers", "nirc.passes.canonicalise:Canonicalise"),
    Entry("to-populations", "continuous", "nirc.passes.to_populations:ToPopulations"),
    Entry("fuse-linear", "continuous", "nirc.passes.fuse_linear:FuseLinear"),
    Entry(
        "infer-dt", "continuous", "nirc.passes.infer_dt:InferDt", ("dt_s", "reading", "data_dt_s")
    ),
    Entry("discretise", "reference", "nirc.passes.discretise:Discretise", ("reading",)),
    Entry("normalise-rules", "reference", "nirc.passes.normalise_rules:NormaliseRules"),
    Entry("add-readout", "reference", "nirc.passes.add_readout:AddReadout", ("readout",)),
    Entry("fold-synapses", "discrete", "nirc.passes.fold_synapses:FoldSynapses"),
)


def passes_to(stage: Stage, **options: Any) -> list[Pass]:
    """Return the passes that lead to ``stage``, with the ``options`` of each."""
    entries = [entry for entry in PIPELINE if entry.stage == stage]
    return [entry.pass_class(**{key: options[key] for key in entry.options}) for entry in entries]


@dataclass(frozen=True)
class Step:
    """The data for an observer after each pass, or after another stage, without a program."""

    name: str
    program: Program | None = None


Observer = Callable[[Step], None]


def ended(observe: Observer | None, stage: str) -> None:
    """Report the end of a stage that is no pass."""
    if observe is not None:
        observe(Step(stage))


def run_passes(
    program: Program, passes: Sequence[Pass], log: Log, observe: Observer | None = None
) -> Program:
    """Run ``passes`` in order and verify every result. A finding of the verifier is a bug."""
    for each in passes:
        with np.errstate(over="ignore", invalid="ignore"):  # `discretise` reports overflows
            program = each.run(program, log)
        verify(program)
        if observe is not None:
            observe(Step(each.name, program))
    return program


def choices_of(passes: Sequence[Pass], inputs: NDArray[np.generic]) -> dict[str, Any]:
    """Return the shape and digest of the inputs to calibrate with, and the choices of passes."""
    report: dict[str, Any] = {"inputs": list(inputs.shape), "inputs_sha256": digest(inputs)}
    for each in passes:
        if isinstance(each, ReportingPass):
            report |= each.report
    return report
