"""The kept texts, and how to make them.

A text shows a network after the passes, or in a chip's integers, and what was said about it. It
leaves out what the libraries of the searches decide: places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from nirc.api import compile_model, lower
from nirc.chip import registry
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.ir.text import text
from tests.expected.slices import slices
from tests.smith.case import Case, as_object
from tests.smith.grow import ANY, CHIPS, grown

FOLDER = Path(__file__).parent
NETWORKS = {"passes": 16, "loihi2": 12, "speck": 12, "spinnaker2": 12, "xylo": 12}
SLICES = "spinnaker2-slices"  # every second on a board
NETWORKS[SLICES] = 8
KERNELS = (6, 7)  # numbers of networks that convolve there
OF_PLACES = ("P322", "P323", "X513", "S722")  # codes of notes about places


def shown(name: str, seed: int) -> str:
    """Return the text of a network: ``name`` is a chip, or "passes", or ``SLICES``."""
    like = "speck" if name == SLICES and seed in KERNELS else name.removesuffix("-slices")
    wishes = replace(CHIPS.get(like, ANY), exact=True)  # the same on every processor
    case = grown(np.random.default_rng(seed), wishes)
    log = Log()
    try:
        parts = list(_forms(name, case, log, board=seed % 2 > 0))
    except NircError as refusal:
        parts = [f"{type(refusal).__name__}\n"]
        log.add_all(refusal.diagnostics)
    said = [
        " | ".join((f"{d.severity}[{d.code}]", d.where, d.message, d.found, d.limit, d.help))
        for d in log.diagnostics
        if d.code not in OF_PLACES and (d.code[0] != "C" or d.severity != "note")
    ]
    return "".join([*parts, *(f"{line}\n" for line in said)])


def _forms(name: str, case: Case, log: Log, *, board: bool) -> Iterator[str]:
    model = as_object(case.graph)
    if name == SLICES:
        yield from slices(case, log, board=board)
        return
    if name == "passes":
        stages = lower(model, case.options(), log=log)
        for program in (stages.layers, stages.continuous, stages.reference, stages.discrete):
            yield text(program)
        return
    made = compile_model(model, name, case.options(name), log=log)
    yield text(made.integer)
    for what, program in registry.backend(name).approximations(made.stages.discrete):
        yield f"what if {what}: {sha256(text(program).encode()).hexdigest()[:8]}\n"


def kept(name: str) -> dict[int, str]:
    """Return the texts in a file, by the network's number."""
    found = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").split("== network ")[1:]
    parts = [part.partition("\n") for part in found]
    return {int(number): body for number, _, body in parts}


def write(name: str) -> None:
    """Keep the texts as they are now."""
    parts = [f"== network {seed}\n{shown(name, seed)}" for seed in range(NETWORKS[name])]
    (FOLDER / f"{name}.txt").write_text("".join(parts), encoding="utf-8")
