"""Neurons that legalisation adds: without memory, and the one that fires in every step and so
brings constants.
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense
from nirc.ir.populations import Discrete, Population, Projection, Role
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, MEMBRANE

Arc = tuple[str, str, Projection]


class Clock:
    """The neuron that always fires, made when it is wanted:

    ``nodes`` to be added to ``program``.
    """

    def __init__(self, program: Program) -> None:
        clocks = (name for name, p in program.nodes(Population).items() if p.role is Role.CLOCK)
        self.name = next(clocks, None) or program.fresh_name("always")
        self.nodes: dict[str, Population[Discrete]] = {}

    def edge(self, target: str, value: Float, onset_steps: int, origins: tuple[str, ...]) -> Arc:
        """``value`` (n,) in every step from ``onset_steps`` on."""
        clock = memoryless(1, origins or (target,), 0.5, drift=1.0, role=Role.CLOCK)
        self.nodes.setdefault(self.name, clock)
        op = Dense(frozen(value[:, None]))
        return self.name, target, Projection(ops=(op,), delay_steps=onset_steps, origins=origins)


def memoryless(
    n: int,
    origins: tuple[str, ...],
    threshold: float | None,
    drift: float = 0.0,
    role: Role = Role.MODEL,
) -> Population[Discrete]:
    """Neurons whose v is the input of the step plus ``drift``; they fire above ``threshold``."""
    zeros, ones = frozen(np.zeros(n)), frozen(np.ones(n))
    fires = None if threshold is None else frozen(ones * threshold)
    rule = MEMBRANE if fires is None else LETTER
    made = Discrete(zeros, ones, frozen(ones * drift), threshold=fires, v_reset=zeros, rule=rule)
    return Population((n,), made, origins, role)
