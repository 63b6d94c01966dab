"""toychip: 64 leaky neurons, every one connected to every other. The backend on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nirc.analysis import rule_differences
from nirc.chip.backend import Backend, Block, Emulation, Mapped, Search
from nirc.chip.target import Target, excesses
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from nirc.semantics.variations import ruled
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
        """Populations one after the other."""
        for f in excesses(program, target):
            log.error(
                f.limit.code,
                f"too many {f.limit.name}",
                found=f.found,
                limit=f.limit.max,
                source=f.limit.source,
            )
        if log.errors:
            return None
        rule_differences.report(discrete, chip_rule, SHEET, log)
        chip = network.assemble(program)
        blocks = {
            n: Block("all", tuple(range(a, b)), (1.0,) * (b - a))
            for n, (a, b) in chip.places.items()
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
        """One file."""
        return {"network.json": network.to_json(mapped.chip)}

    def emulate(
        self, files: Mapping[str, bytes], raster: np.ndarray, asked: Emulation, log: Log
    ) -> Run:
        """Run the file, and know nothing else."""
        return network.emulate(network.from_json(files["network.json"]), raster)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Rounded weights, and another reset: each alone."""
        integer = ToyQuantise().run(discrete, Log())
        return [
            ("weights: 8 bits", in_volts(integer, discrete)),
            (
                "reset: subtract the threshold",
                ruled(discrete, lambda rule: rule.at_once("subtract")),
            ),
        ]


BACKEND = ToyChip()
