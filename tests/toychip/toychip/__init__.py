"""toychip: 64 leaky neurons, every one connected to every other. The backend on a screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nirc.chip.backend import Backend, Block, ChipOption, Mapped, Search
from nirc.chip.target import Target, findings
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.passes.pipeline import Pass
from nirc.semantics.raster import Run
from nirc.semantics.variations import ruled
from toychip import network
from toychip.limits import TOY
from toychip.quantise import ToyQuantise, in_volts


class ToyChip:
    """The backend `toychip`."""

    name = "toychip"
    targets: tuple[Target, ...] = (TOY,)
    options: tuple[ChipOption, ...] = ()
    modes: tuple[str, ...] = ("synchronous",)
    law_neuron = "CubaLIF"

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """No options: itself."""
        return self

    def passes(self, calibration: Any = None, model: Program | None = None, progress: Any = None) -> Sequence[Pass]:
        """Nothing to legalise: the first pass does nothing."""
        return (Keep(), ToyQuantise())

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """``fit`` says it all."""
        return False

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Populations one after the other."""
        for f in findings(program, target):
            log.error(f.limit.code, f"too many {f.limit.name}", found=f.found, limit=f.limit.max, source=f.limit.source)
        if log.errors:
            return None
        chip = network.assemble(program)
        blocks = {n: Block("all", tuple(range(a, b)), (1.0,) * (b - a), 0) for n, (a, b) in chip.places.items()}
        used = {limit.name: (max(n for _, n in limit.measure(program)), limit.max) for limit in target.limits}
        latency = tuple(0 for _ in chip.outputs)
        return Mapped(target, chip, tuple(range(chip.inputs)), tuple(range(len(latency))), latency, blocks, used)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """One file."""
        return {"network.json": network.to_json(mapped.chip)}

    def emulate(
        self,
        files: Mapping[str, bytes],
        raster: np.ndarray,
        *,
        mode: str | None = None,
        record: bool = False,
        progress: Callable[[int], None] | None = None,
        log: Log,
    ) -> Run:
        """Runs the file, and knows nothing else."""
        return network.emulate(network.from_json(files["network.json"]), raster)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """The reset is the only difference in kind; the weights are rounded."""
        integer = ToyQuantise().run(discrete, Log())
        return [
            ("weights: 8 bits", in_volts(integer, discrete)),
            ("reset: subtract the threshold", ruled(discrete, lambda rule: rule.at_once("subtract"))),
        ]


class Keep:
    """Leave the program as it is."""

    name = "toychip-keep"

    def run(self, program: Program, log: Log) -> Program:
        """Nothing to do."""
        return program


BACKEND = ToyChip()
