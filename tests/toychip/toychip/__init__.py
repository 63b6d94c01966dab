"""toychip: 64 leaky neurons, every one connected to every other. The backend on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nirc.chip.backend import Backend, Block, Emulation, Mapped, Search
from nirc.chip.target import Target, findings
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from nirc.semantics.variations import ruled
from toychip import network
from toychip.limits import TOY
from toychip.quantise import ToyQuantise, in_volts


class ToyChip(Backend):
    """The backend `toychip`."""

    name = "toychip"
    targets = (TOY,)

    def quantise(self) -> ToyQuantise:
        """Weights of 8 bits."""
        return ToyQuantise()

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

    def emulate(self, files: Mapping[str, bytes], raster: np.ndarray, asked: Emulation, log: Log) -> Run:
        """Runs the file, and knows nothing else."""
        return network.emulate(network.from_json(files["network.json"]), raster)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """The reset is the only difference in kind; the weights are rounded."""
        integer = ToyQuantise().run(discrete, Log())
        return [
            ("weights: 8 bits", in_volts(integer, discrete)),
            ("reset: subtract the threshold", ruled(discrete, lambda rule: rule.at_once("subtract"))),
        ]


BACKEND = ToyChip()
