"""Neurons of a program that repeat an input and are no neurons of the chip."""

from __future__ import annotations

from dataclasses import replace

from nirc.ir.linear import composed
from nirc.ir.populations import Population
from nirc.ir.program import Program

MOST = 1 << 28  # synapses


def without_relays(program: Program) -> Program:
    """Return ``program`` without populations that only repeat an input (``repeats_input``).

    Their projections start at the input itself.
    """
    relays = {
        name: program.into(name)[0]
        for name, p in program.nodes(Population).items()
        if getattr(p.dynamics, "repeats_input", False)
    }
    if not relays:
        return program
    edges = []
    for source, target, projection in program.edges():
        if target in relays:
            continue
        first, before = relays.get(source, (source, None))
        if before is None or not before.ops:
            edges.append((first, target, projection))
            continue
        op = composed((*before.ops, *projection.ops), max_entries=MOST)
        assert op is not None, f"{source} -> {target} is too large"
        edges.append((first, target, replace(projection, ops=(op,))))
    nodes = {name: program[name] for name in program.graph if name not in relays}
    return Program.of(program.form, nodes, edges, name=program.name, dt_s=program.dt_s)
