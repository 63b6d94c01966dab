"""From a model to a torch module, and back to a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack, overload

from nirc.api import Bundle, Compiled, compile_model, lower, recompiled
from nirc.asked import Asked, given
from nirc.diagnostics.errors import warn
from nirc.diagnostics.log import Log
from nirc.diagnostics.training import NoTraining
from nirc.diagnostics.usage import WrongType
from nirc.stages import Stages
from nirc.torch.module import ProgramModule
from nirc.torch.reference import ReferenceTraining


class ReferenceModule(ProgramModule):
    """The reference, as the network's simulator computes it: real numbers, and no chip."""

    def __init__(self, stages: Stages) -> None:
        super().__init__(stages.reference, ReferenceTraining())
        self.stages = stages


class ChipModule(ProgramModule):
    """The integer form of a network for a chip."""

    def __init__(self, compiled: Compiled) -> None:
        training = compiled.backend.training()
        if training is None:
            raise NoTraining(target=compiled.backend.name).refusal()
        super().__init__(compiled.integer, training)
        self.compiled = compiled

    def compile(self, *, log: Log | None = None) -> Bundle:  # type: ignore[override, unused-ignore]
        """Return the bundle of the present parameters, without another rounding.

        Raises ``CompileError`` if they do not fit the chip. Warnings are Python warnings, unless a
        ``log`` takes them.
        """
        kept = log or Log()
        made = recompiled(self.compiled, self.program, log=kept).bundle
        if log is None:
            warn(kept.diagnostics)
        return made


@overload
def module(model: object, target: str, **asked: Unpack[Asked]) -> ChipModule: ...
@overload
def module(model: object, target: None, **asked: Unpack[Asked]) -> ReferenceModule: ...


def module(model: object, target: str | None, **asked: Unpack[Asked]) -> ProgramModule:
    """Return a model as a torch module, by the rule of ``target``, or of its simulator for None.

    Arguments are those of ``nirc.compile``. Raises ``NircError`` as ``nirc.compile`` does, and
    U642 for a backend that does not describe its numbers.
    """
    log = Log()
    made: ProgramModule
    with given(model, asked) as (known, options, sample):
        if target is None:
            log.strict = options.strict
            options.checked(log)
            made = ReferenceModule(lower(known, options, log=log))
        else:
            made = ChipModule(compile_model(known, target, options, log=log, calibration=sample))
    warn(log.diagnostics)
    return made


def module_of(compiled: Compiled) -> ChipModule:
    """Return the integer form of a compilation as a torch module."""
    return ChipModule(compiled)


def bundle(module: ProgramModule, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the bundle of a module's present parameters. Raises as ``Bundle.save`` does."""
    if not isinstance(module, ChipModule):
        limit = "a module of a chip"
        raise WrongType(argument="module", value=module, limit=limit).refusal()
    return module.compile().save(Path(path), force=force)
