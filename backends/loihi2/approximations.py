"""What-if programs: each difference between NIR's dynamics and Loihi 2's alone, still in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.loihi2.legalise import LoihiLegalise
from nirc.backends.loihi2.limits import STATE_SHIFT
from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.backends.loihi2.rule import DECAY_UNITY
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, LinearOp, Sparse
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    made = [("decays: whole 4096ths", _rounded(discrete))]
    if (stored := _stored(discrete)) is not None:
        made.insert(0, ("weights: 8 bits", stored))
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


def _stored(discrete: Program) -> Program | None:
    """The legal program with the weights that the chip stores, in volts; None where they were taken apart."""
    legal = LoihiLegalise().run(discrete, Log())
    integer = LoihiQuantise().run(legal, Log())
    edges = [(s, t, p) for s, t, p in legal.edges() if not isinstance(legal[t], Population)]
    for name, population in legal.nodes(Population).items():
        d, before, after = population.dynamics, legal.into(name), integer.into(name)
        if len(before) != len(after):
            return None
        assert isinstance(d, Discrete)
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        volts = (1 << STATE_SHIFT) / (integer[name].dynamics.scale * gain)
        edges += [
            (s, name, replace(p, ops=(_times(q.ops[0], volts),))) for (s, p), (_, q) in zip(before, after, strict=True)
        ]
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _times(op: LinearOp, factor: Float) -> LinearOp:
    """``factor`` (n_out,) on every output; of a kernel it is the same over a map."""
    if isinstance(op, Dense):
        return replace(op, weight=op.weight * factor[:, None])
    if isinstance(op, Sparse):
        return replace(op, value=op.value * factor[op.target])
    assert isinstance(op, Conv)
    channel = factor.reshape(op.shape_out[0], -1)[:, 0]
    return replace(op, weight=op.weight * channel.reshape(-1, *[1] * (op.weight.ndim - 1)))


def _whole(decay: Float, least: int) -> Float:
    return frozen(1 - np.maximum(np.rint((1 - decay) * DECAY_UNITY), least) / DECAY_UNITY)
