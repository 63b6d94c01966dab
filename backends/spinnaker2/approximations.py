"""What-if programs: each difference between NIR's dynamics and the chip's alone, still in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.spinnaker2.drives import drives
from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise
from nirc.backends.spinnaker2.limits import DELAYED_WEIGHT, WEIGHT
from nirc.backends.spinnaker2.scales import rounded, row_scales
from nirc.diagnostics.log import Log
from nirc.errors import NircError
from nirc.ir.arrays import frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    return [
        ("weights: 8 bits", _rounded(discrete, WEIGHT[1])),
        ("weights: 4 bits and a sign, as with delays", _rounded(discrete, DELAYED_WEIGHT[1])),
    ]


def _rounded(discrete: Program, limit: int) -> Program:
    """All weights whole multiples of each neuron's unit, at most ``limit`` of them."""
    try:
        program = Spinnaker2Legalise().run(discrete, Log())
        found = [replace(d, ops=(d.entries,)) for d in drives(program, Log(), unroll=program.nodes(Population))]
    except NircError:  # then it was not compiled either
        return discrete
    edges = [(s, t, p) for s, t, p in program.edges() if not isinstance(program[t], Population)]
    known = {id(d.projection): d for d in found}
    for name, population in program.nodes(Population).items():
        d = population.dynamics
        assert isinstance(d, Discrete)
        mine = [drive.entries for drive in found if drive.target == name]
        row = np.concatenate([np.zeros(0, np.int64), *(op.target for op in mine)])
        value = np.concatenate([np.zeros(0), *(op.value for op in mine)])
        scale = row_scales(row, value, population.n, limit)
        for source, projection in program.into(name):
            if (drive := known.get(id(projection))) is None:
                edges.append((source, name, projection))
                continue
            op = drive.entries
            weight = rounded(op.value * scale[op.target], op.target, population.n, limit) / scale[op.target]
            whole = Sparse(op.target, op.source, frozen(weight), op.n_in, op.n_out)
            edges.append((source, name, replace(projection, ops=(whole,))))
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
