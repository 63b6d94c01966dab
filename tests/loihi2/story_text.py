"""The text of a story: integers, tables, cores, what ifs, and what was said.

``python -m tests.loihi2.story_text`` keeps the texts as they are now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2.lower import largest_u, wraps_after
from nirc.backends.loihi2.netx import _contents, why_no_net
from nirc.backends.loihi2.tables import Tables
from nirc.chip import registry
from nirc.chip.backend import Mapped
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.ir.arrays import describe
from nirc.ir.text import text
from nirc.mapping.floorplan import Floorplan
from tests.loihi2.stories import STORIES, Story
from tests.models import DT

FILE = Path(__file__).with_name("stories.txt")


def shown(name: str) -> str:
    """Return the text of a story."""
    story, log = STORIES[name], Log()
    options = Options(
        dt_s=DT,
        writer="nir",
        reset=story.reset,
        chip=story.chip,
        weight_bits=story.bits,
        allow_silent=True,
    )
    try:
        made = compile_model(story.model(), "loihi2:oheogulch", options, log=log)
    except NircError as refusal:
        lines = [type(refusal).__name__]
        log.add_all(refusal.diagnostics)
    else:
        placed = made.mapped.chip.placed
        lines = [text(made.integer).rstrip(), *_tables(made.mapped.chip.tables)]
        lines += [*_cores(placed.floorplan), *_mapped(made.mapped), *_what_if(made, story)]
    lines += [
        " | ".join((f"{d.severity}[{d.code}]", d.where, d.message, d.found, d.limit, d.help))
        for d in log.diagnostics
        if d.code[0] != "C"
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _tables(tables: Tables) -> Iterator[str]:
    for source in tables.inputs:
        yield f"input {source.name}: {source.channels.tolist()[:20]}"
    for p in tables.populations:
        start = describe(p.v_init)
        yield f"process {p.name}: {p.n} {(p.du, p.dv, p.vth)} spikes={p.spikes} v_init={start}"
    for w in tables.projections:
        parts = [describe(w.weights), w.sign_mode, f"2^{w.weight_exp}"]
        for name in ("rows", "cols", "delays"):
            array = getattr(w, name)
            parts += [] if array is None else [f"{name}={describe(array)}"]
        parts += [] if w.geometry is None else [str(w.geometry)]
        yield f"{w.name} {w.source} -> {w.target} {w.kind}: {' '.join(parts)}"
    yield f"largest u {largest_u(tables)}, wraps around after {wraps_after(tables)}"
    yield f"outputs: {[(o.population, o.neurons.tolist()) for o in tables.outputs]}"
    if reason := why_no_net(tables):
        yield f"no chain: {reason}"
        return
    for layer in _contents(tables):
        fields = [
            f"{name}={describe(np.asarray(value)) if not isinstance(value, str) else value}"
            for name, value in layer.items()
        ]
        yield f"layer {' '.join(fields)}"


def _cores(plan: Floorplan) -> Iterator[str]:
    for core in plan.cores:
        parts = ", ".join(f"{p.population}{list(p.box)}" for p in core.parts)
        yield f"core {core.chip} {core.at}: {parts} {list(core.usage.values())}"
    for link in plan.links:
        yield f"{link}"
    yield f"cost {plan.cost:g}, at least {plan.bound:g}"


def _mapped(mapped: Mapped) -> Iterator[str]:
    for name, block in mapped.blocks.items():
        places = np.array(block.index)
        yield f"block {name}: {block.part} {describe(places)} {block.latency_steps} late"
    yield f"columns {mapped.output_map} {mapped.latency_steps} late"
    yield f"used {[used for used, _ in mapped.utilisation.values()]}"


def _what_if(made: Compiled, story: Story) -> Iterator[str]:
    backend = registry.backend("loihi2").with_options(story.chip, Log())
    backend = backend.with_weight_bits(story.bits, Log())
    for name, program in backend.approximations(made.stages.discrete):
        # A what-if may hold functions, which are shown with their place in memory.
        stable = re.sub("0x[0-9a-f]+", "", text(program))
        yield f"what if {name}: {sha256(stable.encode()).hexdigest()[:8]}"


def kept() -> dict[str, str]:
    """Return the texts in the file, by the story's name."""
    found = FILE.read_text(encoding="utf-8").split("== ")[1:]
    parts = [part.partition("\n") for part in found]
    return {name: body for name, _, body in parts}


if __name__ == "__main__":
    FILE.write_text("".join(f"== {name}\n{shown(name)}" for name in STORIES), encoding="utf-8")
