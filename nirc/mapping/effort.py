"""The work that a search may do, in three steps. More work finds better answers.

Every search says in its own module what the steps mean. All are bounded by work, not by time, so
the answer is the same on every machine.
"""

from __future__ import annotations

from typing import Literal, get_args

Effort = Literal["quick", "normal", "thorough"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)

# CP-SAT's deterministic time of one search.
SOLVER_WORK: dict[Effort, float] = {"quick": 1.0, "normal": 10.0, "thorough": 100.0}
