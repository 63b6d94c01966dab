"""toychip: 64 leaky neurons, each connected to all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nirc.analysis import rule_differences
from nirc.chip.backend import Backend, Block, Emulation, Mapped, Search
from nirc.chip.target import Target, excesses
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ChipLacks
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from nirc.semantics.variations import with_chip_rule
from toychip import network
from toychip.legalise import ToyLegalise
from toychip.limits import SHEET, TOY
from toychip.quantise import ToyQuantise, chip_rule, in_volts


@dataclass(frozen=True)
class ToyChip(Backend):
    """The backend `toychip`."""

    name = "toychip"
    targets = (TOY,)

    def legalise(self) -> Sequence[ToyLegalise]:
        """Refuse what the chip does not have."""
        return (ToyLegalise(),)

    def quantise(self) -> ToyQuantise:
        """Round weights to 8 bits."""
        return ToyQuantise()

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Put populations one after the other."""
        for each in excesses(program, target):
            limit = each.limit
            problem = f"too many {limit.name}"
            log.add(
                ChipLacks(problem=problem, found=each.found, limit=limit.max, source=limit.source)
            )
        if log.errors:
            return None
        rule_differences.report(discrete, chip_rule, SHEET, log)
        chip = network.assemble(program)
        blocks = {
            name: Block("all", tuple(range(start, stop)), (1.0,) * (stop - start))
            for name, (start, stop) in chip.places.items()
        }
        used = {
            limit.name: (max(n for _, n in limit.measure(program)), limit.max)
            for limit in target.limits
        }
        latency = (0,) * len(chip.outputs)
        return Mapped(
            target,
            chip,
            tuple(range(chip.inputs)),
            tuple(range(len(latency))),
            latency,
            blocks,
            used,
        )

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return the chip's only file."""
        return {"network.json": network.to_json(mapped.chip)}

    def emulate(
        self, files: Mapping[str, bytes], raster: np.ndarray, asked: Emulation, log: Log
    ) -> Run:
        """Run the file. The emulator has nothing else."""
        return network.emulate(network.from_json(files["network.json"]), raster)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return the model with rounded weights, and with the chip's reset."""
        integer = ToyQuantise().run(discrete, Log())
        return [
            ("weights: 8 bits", in_volts(integer, discrete)),
            ("reset: subtract the threshold", with_chip_rule(discrete, chip_rule, reset=True)),
        ]


BACKEND = ToyChip()
