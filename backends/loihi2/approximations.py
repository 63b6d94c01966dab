"""What-if programs: each difference between NIR's dynamics and Loihi 2's alone, still in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.loihi2.rule import DECAY_UNITY
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    made = [("decays: whole 4096ths", _rounded(discrete))]
    if discrete.reset == "subtract":
        made.insert(0, ("reset: to zero", discrete.having(reset="zero")))
    return made


def _rounded(program: Program) -> Program:
    nodes = {}
    for name, p in program.nodes(Population).items():
        d = p.dynamics
        if isinstance(d, Discrete):
            syn = None if d.decay_syn is None else _whole(d.decay_syn, 1)
            nodes[name] = replace(p, dynamics=replace(d, decay_mem=_whole(d.decay_mem, 0), decay_syn=syn))
    return program.mapped(nodes)


def _whole(decay: Float, least: int) -> Float:
    return frozen(1 - np.maximum(np.rint((1 - decay) * DECAY_UNITY), least) / DECAY_UNITY)
