"""From a model to a torch module, and back to a bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
from torch import Tensor

from nirc.api import Bundle, Compiled, compile_model, emulated, lower, recompiled
from nirc.asked import Asked, given, path_of
from nirc.diagnostics.log import Log
from nirc.diagnostics.training import NoTraining
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.exporting.export import with_integers
from nirc.files.bundle import save_bytes
from nirc.frontend.raw import FROM_KEY
from nirc.nirfile.graph import nir_bytes, to_graph
from nirc.stages import Stages
from nirc.torch import saved
from nirc.torch.module import ProgramModule
from nirc.torch.neurons import Seen
from nirc.torch.reference import ReferenceTraining


class ReferenceModule(ProgramModule):
    """The reference, as the network's simulator computes it: real numbers, and no chip."""

    def __init__(self, stages: Stages) -> None:
        super().__init__(stages.reference, ReferenceTraining())
        self.stages = stages

    def __reduce__(self) -> tuple[Any, ...]:
        packed = saved.packed_parts(self.stages)
        return _reference_again, (type(self), *packed), saved.state_of(self)


class ChipModule(ProgramModule):
    """The integer form of a network for a chip.

    ``mode``: of the chip's emulator, which computes the answer, such as ``events`` of Speck. None:
    the integer form.
    """

    def __init__(self, compiled: Compiled, mode: str | None = None) -> None:
        modes = compiled.backend.modes
        if mode not in (None, *modes):
            problem = f"{compiled.backend.name} has no mode `{mode}`"
            limit = ", ".join(modes)
            raise OptionMakesNoSense(problem=problem, found=mode, limit=limit).refusal()
        training = compiled.backend.training()
        if training is None:
            raise NoTraining(target=compiled.backend.name).refusal()
        super().__init__(compiled.integer, training)
        self.compiled = compiled
        self.mode = None if mode == modes[0] else mode

    def __reduce__(self) -> tuple[Any, ...]:
        packed = saved.packed(self.compiled)
        return _chip_again, (type(self), *packed, self.mode), saved.state_of(self)

    def extra_repr(self) -> str:
        """Return the chip, the populations with their shapes, and the parameters."""
        mode = f", mode {self.mode}" if self.mode else ""
        return f"{self.compiled.mapped.target.name}{mode}\n{super().extra_repr()}"

    def seen(self, inputs: Tensor) -> Mapping[str, Seen]:
        """Return the spikes and membranes of the emulator, if a mode was asked for."""
        if self.mode is None or not inputs.numel():
            return {}
        raster = inputs.cpu().numpy().astype(np.int64)
        run = emulated(self.compiled, self.program, raster, self.mode)
        return {
            name: Seen(_by_step(run.spikes[name], inputs), _by_step(run.v[name], inputs))
            for name in run.spikes
        }

    def compile(self, *, log: Log | None = None) -> Bundle:  # type: ignore[override, unused-ignore]
        """Return the bundle of the present parameters, without another rounding.

        Raises ``CompileError`` if they do not fit the chip. Warnings are Python warnings, unless a
        ``log`` takes them.
        """
        kept = log or Log()
        made = recompiled(self.compiled, self.program, log=kept).bundle
        if log is None:
            self.tell(kept.diagnostics)
        return made


def _by_step(values: Any, like: Tensor) -> Tensor:
    """Return (steps, samples, n) of an array (samples, steps, n)."""
    array = np.ascontiguousarray(np.swapaxes(values, 0, 1), np.float64)
    return torch.from_numpy(array).to(like.device)


@overload
def module(
    model: object, target: str, *, mode: str | None = None, **asked: Unpack[Asked]
) -> ChipModule: ...
@overload
def module(
    model: object, target: None, *, mode: None = None, **asked: Unpack[Asked]
) -> ReferenceModule: ...


def module(
    model: object, target: str | None, *, mode: str | None = None, **asked: Unpack[Asked]
) -> ProgramModule:
    """Return a model as a torch module, by the rule of ``target``, or of its simulator for None.

    ``mode``: of the chip's emulator: ``events`` runs Speck event by event. Other arguments are
    those of ``nirc.compile``. Raises ``NircError`` as ``nirc.compile`` does, and
    U642 for a backend that does not describe its numbers.
    """
    log = Log()
    made: ProgramModule
    with given(model, asked) as (known, options, sample):
        if target is None:
            if mode is not None:
                problem = "a reference has no modes"
                raise OptionMakesNoSense(problem=problem, found=mode).refusal()
            log.strict = options.strict
            options.checked(log)
            made = ReferenceModule(lower(known, options, log=log))
        else:
            compiled = compile_model(known, target, options, log=log, calibration=sample)
            made = ChipModule(compiled, mode)
    made.tell(log.diagnostics)
    return made


def module_of(compiled: object, mode: str | None = None) -> ChipModule:
    """Return the integer form of a compilation as a torch module. ``mode``: see ``module``."""
    if not isinstance(compiled, Compiled):
        limit = "a compilation, as nirc.api.compile_model returns"
        raise WrongType(argument="compiled", value=compiled, limit=limit).refusal()
    return ChipModule(compiled, mode)


def _chip_again(kind: type[ChipModule], data: bytes, version: str, mode: str | None) -> ChipModule:
    made = kind.__new__(kind)
    ChipModule.__init__(made, saved.unpacked(data, version), mode)
    return made


def _reference_again(kind: type[ReferenceModule], data: bytes, version: str) -> ReferenceModule:
    made = kind.__new__(kind)
    ReferenceModule.__init__(made, saved.unpacked_parts(data, version))
    return made


def bundle(module: ProgramModule, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the bundle of a module's present parameters. Raises as ``Bundle.save`` does."""
    if not isinstance(module, ChipModule):
        limit = "a module of a chip"
        raise WrongType(argument="module", value=module, limit=limit).refusal()
    log, place = Log(), path_of(path, "path")
    made = module.compile(log=log)
    module.tell(log.diagnostics)
    return made.save(place, force=force)


def to_nir(module: ProgramModule, path: str | os.PathLike[str] | None = None) -> bytes:
    """Return a NIR file with the present parameters. ``path``: also write the file there.

    Of a chip's module: the model, and beside it the integers for the chip, which `nirc.compile`
    takes as they are for this chip. Of the reference: the network with its parameters.
    """
    log = Log()
    place = None if path is None else path_of(path, "path")
    if isinstance(module, ChipModule):
        data = with_integers(module.compiled, module.program, log)
    elif isinstance(module, ReferenceModule):
        graph = to_graph(module.program, log)
        data = nir_bytes(graph, {FROM_KEY: module.stages.reading.text})
    else:
        limit = "a module of nirc.torch"
        raise WrongType(argument="module", value=module, limit=limit).refusal()
    log.raise_if_errors()
    if place is not None:
        save_bytes(place, data, log)
    module.tell(log.diagnostics)
    return data
