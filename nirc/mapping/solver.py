"""CP-SAT, bounded by work. Only this module sets its parameters.

One worker and a limit in CP-SAT's deterministic time give the same answer on every machine. The
author promises this within one version of ortools only. So the manifest names the version.
CP-SAT's own handler of Ctrl-C is off: it would stay behind and take Ctrl-C from the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import IntVar

    from nirc.mapping.cp_sat import CpModel, CpSolver, CpSolverStatus

WORKERS = 1  # a constant: several workers answer by speed, and blame every assumption of a conflict

Status = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass(frozen=True)
class Solution:
    """The answer of the solver. Two runs with the same model and parameters give equal solutions.

    ``status``: "feasible" and "unknown" mean that the work ran out. ``values``: of all variables,
    by index, empty without a solution. ``objective`` and ``bound``: None without an objective or a
    solution.
    ``conflict``: for "infeasible", names of assumptions that cannot hold together, in the caller's
    order. None of them can be left out. The conflict is empty if the model is infeasible even
    without assumptions.
    """

    status: Status
    values: tuple[int, ...] = ()
    objective: float | None = None
    bound: float | None = None
    conflict: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """True if there are values to read."""
        return self.status in ("optimal", "feasible")

    def value(self, variable: IntVar) -> int:
        """Return the value of ``variable`` (not of an expression or a negation).

        Raises ``IndexError`` if there is no solution.
        """
        return self.values[variable.index]


def solve(
    model: CpModel,
    *,
    seed: int = 0,
    work: float = 10.0,
    seconds: float | None = None,
    assumptions: Mapping[str, IntVar] | None = None,
) -> Solution:
    """Solve ``model`` under ``assumptions`` (name -> literal that shall be true).

    The model stays as is. ``work``: the most deterministic time for one search. ``seconds``: wall
    time instead of work. The answer then depends on the machine. A conflict costs one further
    search for each of its names. A name stays in the conflict if its search runs out of work.
    Raises ``ValueError`` if CP-SAT calls the model invalid.
    """
    assumed = dict(assumptions or {})
    solver = _solver(seed, work, seconds)
    status = _search(solver, model, assumed.values())
    if status == "infeasible":
        return Solution(status, conflict=_conflict(solver, model, assumed))
    if status == "unknown":
        return Solution(status)
    return Solution(
        status,
        values=tuple(solver.response_proto.solution),
        objective=solver.objective_value if model.has_objective() else None,
        bound=solver.best_objective_bound if model.has_objective() else None,
    )


def _solver(seed: int, work: float, seconds: float | None) -> CpSolver:
    from nirc.mapping.cp_sat import CpSolver

    solver = CpSolver()
    solver.parameters.num_workers = WORKERS
    solver.parameters.random_seed = seed
    solver.parameters.catch_sigint_signal = False
    if seconds is None:
        solver.parameters.max_deterministic_time = work
    else:
        solver.parameters.max_time_in_seconds = seconds
    return solver


def _search(solver: CpSolver, model: CpModel, literals: Iterable[IntVar]) -> Status:
    from nirc.mapping.cp_sat import CpSolverStatus

    assuming = model.clone()
    assuming.clear_assumptions()
    assuming.add_assumptions(literals)
    status = _solved(solver, assuming)
    if status == CpSolverStatus.MODEL_INVALID:
        raise ValueError(f"CP-SAT calls the model invalid: {model.validate()}")
    names: dict[object, Status] = {
        CpSolverStatus.OPTIMAL: "optimal",
        CpSolverStatus.FEASIBLE: "feasible",
        CpSolverStatus.INFEASIBLE: "infeasible",
    }
    return names.get(status, "unknown")


def _solved(solver: CpSolver, model: CpModel) -> CpSolverStatus:
    """Return the status of a search in a thread of its own, so that Ctrl-C can stop the search."""
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(solver.solve, model)
        try:
            return answer.result()
        except BaseException:
            solver.stop_search()
            raise


def _conflict(solver: CpSolver, model: CpModel, assumed: Mapping[str, IntVar]) -> tuple[str, ...]:
    """Drop each name without which the others still conflict, the last name first.

    CP-SAT's set is sufficient but far from minimal: presolve alone blames every assumption.
    """
    blamed = set(solver.sufficient_assumptions_for_infeasibility())
    names = [name for name, literal in assumed.items() if literal.index in blamed] or list(assumed)
    question = model.clone()
    question.proto.clear_objective()
    for name in reversed(names):
        others = [n for n in names if n != name]
        if _search(solver, question, [assumed[n] for n in others]) == "infeasible":
            names = others
    return tuple(names)
