"""Random networks in slices on SpiNNaker2, as text: tables, cores, keys and routes.

No search runs: neurons keep their order, and slices fill chips along a snake. So the text is the
same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, fields, replace

import numpy as np

from nirc.api import compile_model
from nirc.backends.spinnaker2.fit import Chip
from nirc.backends.spinnaker2.system import CORES, System
from nirc.chip.backend import Mapped
from nirc.diagnostics.log import Log
from nirc.ir.arrays import describe
from tests.smith.case import Case, as_object

SLICE = ("population", "from", "to", "chip", "core", "key", "mask")
# Broken PEs: three are left on each chip.
FEW = ",".join(f"{c}:{pe}" for c in System(board=True).chips for pe in range(4, CORES + 1))


def slices(case: Case, log: Log, *, board: bool) -> Iterator[str]:
    """Yield the lines of a network in small slices, on a chip or on a board of small chips."""
    chosen = {"steps": "40", **dict(case.options("spinnaker2").chip), "order": "index"}
    if board:
        chosen["bad"] = FEW
    options = replace(case.options("spinnaker2"), effort="quick")
    model = as_object(case.graph)
    chip = compile_model(model, "spinnaker2:chip", options, log=Log()).mapped.chip
    sizes = {block.name: block.n for block in (*chip.tables.inputs, *chip.tables.populations)}
    halves = [f"{name}:{-(-sizes[label] // 2)}" for name, label in chip.labels.items()]
    chosen["atoms"] = ",".join(halves)
    options = replace(options, chip=tuple(sorted(chosen.items())))
    target = "spinnaker2:board" if board else "spinnaker2:chip"
    made = compile_model(model, target, options, log=log)
    yield from _tables(made.mapped.chip)
    yield from _mapping(made.mapped.chip)
    yield from _mapped(made.mapped)


def _tables(chip: Chip) -> Iterator[str]:
    tables = chip.tables
    for row in (*tables.inputs, *tables.populations, *tables.projections, *tables.convolutions):
        values = {field.name: getattr(row, field.name) for field in fields(row)}
        shown = [
            f"{name}={describe(value) if isinstance(value, np.ndarray) else value}"
            for name, value in values.items()
        ]
        yield f"{type(row).__name__} {' '.join(shown)}\n"
    for output in tables.outputs:
        yield f"output {output.population} {output.neurons.tolist()}\n"


def _mapping(chip: Chip) -> Iterator[str]:
    mapping, plan = chip.mapping, chip.floorplan
    yield f"grid {plan.size} of {plan.chip}, routers {plan.router}, limits {dict(plan.limits)}\n"
    yield f"cells {len(plan.faulty)} broken, {len(plan.absent)} absent\n"
    yield f"cost {plan.cost:.6g}, at least {plan.bound:.6g}\n"
    for core, piece in zip(plan.cores, mapping.slices, strict=True):
        parts = ", ".join(f"{part.population} {part.box}" for part in core.parts)
        yield f"core {core.chip} {core.at} {parts} {dict(core.usage)}\n"
        yield f"  {dict(zip(SLICE, astuple(piece), strict=True))}\n"
    for link in plan.links:
        yield f"link {link.source} {link.target} {link.load:.6g} of {link.capacity:.6g}\n"
    entries = zip(mapping.tables.key, mapping.tables.mask, mapping.tables.route, strict=True)
    yield f"tables {mapping.tables.first.tolist()}\n"
    for key, mask, route in entries:
        yield f"entry {key:08x} {mask:08x} {mapping.tables.links_and_cores(route)}\n"
    yield f"{mapping.tick}, {mapping.steps} steps\n"


def _mapped(mapped: Mapped) -> Iterator[str]:
    yield f"inputs {mapped.input_map}, outputs {mapped.output_map}\n"
    yield f"latency {mapped.latency_steps}, membranes {mapped.silent_outputs}\n"
    yield f"used {dict(mapped.utilisation)}\n"
    for name, block in mapped.blocks.items():
        scale = describe(np.array(block.scale))
        yield f"{name}: {block.part} {block.index} scale {scale}, {block.latency_steps} steps\n"
