"""Models and searches of CP-SAT, with the names of ``ortools.sat.python.cp_model``.

That module imports pandas for methods that take its series, which is most of its import time. Its
compiled half does the work, and is enough for nirc. Where an ortools has another compiled half,
nirc uses the whole module.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

__all__ = ["CpModel", "CpSolver", "CpSolverStatus"]

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, CpSolver, CpSolverStatus
else:
    try:
        from ortools.sat.python import cp_model_helper as cp
        from ortools.util.python.sorted_interval_list import Domain

        Arguments, Linear = cp.BoolArgumentConstraint, cp.LinearArgumentConstraint
        needed = (
            cp.CpBaseModel,
            cp.SolveWrapper,
            cp.SatParameters,
            cp.ResponseHelper,
            cp.FlatIntExpr,
        )
    except (ImportError, AttributeError):
        cp = None

    if cp is None:
        from ortools.sat.python.cp_model import CpModel, CpSolver, CpSolverStatus
    else:
        CpSolverStatus = cp.CpSolverStatus

        class CpModel(cp.CpBaseModel):
            """Variables, constraints and an objective in integers."""

            def __init__(self) -> None:
                super().__init__(None)

            @property
            def proto(self) -> Any:
                """The model as CP-SAT reads it."""
                return self.model_proto

            def new_int_var(self, low: int, high: int, name: str) -> Any:
                """Return a variable from ``low`` to ``high``."""
                return cp.IntVar(self.model_proto).with_name(name).with_domain(Domain(low, high))

            def new_bool_var(self, name: str) -> Any:
                """Return a literal."""
                return self.new_int_var(0, 1, name)

            def add(self, constraint: Any) -> Any:
                """Add a linear inequality or equation. A truth value is a constraint, too."""
                if isinstance(constraint, cp.BoundedLinearExpression):
                    return self._add_bounded_linear_expression(constraint)
                return self.add_bool_or([True] if constraint else [])

            def add_linear_constraint(self, expression: Any, low: int, high: int) -> Any:
                """Add ``low <= expression <= high``."""
                return self.add(cp.BoundedLinearExpression(expression, Domain(low, high)))

            def add_bool_or(self, *literals: Any) -> Any:
                """Add that one literal or more is true."""
                return self._add_bool_argument_constraint(Arguments.bool_or, *literals)

            def add_at_most_one(self, *literals: Any) -> Any:
                """Add that no two literals are true."""
                return self._add_bool_argument_constraint(Arguments.at_most_one, *literals)

            def add_exactly_one(self, *literals: Any) -> Any:
                """Add that one literal is true, and no other."""
                return self._add_bool_argument_constraint(Arguments.exactly_one, *literals)

            def add_element(self, index: Any, expressions: Sequence[Any], target: Any) -> Any:
                """Add ``expressions[index] == target``."""
                return self._add_element(index, expressions, target)

            def add_min_equality(self, target: Any, *expressions: Any) -> Any:
                """Add ``target == min(expressions)``."""
                return self._add_linear_argument_constraint(Linear.min, target, *expressions)

            def add_max_equality(self, target: Any, *expressions: Any) -> Any:
                """Add ``target == max(expressions)``."""
                return self._add_linear_argument_constraint(Linear.max, target, *expressions)

            def add_hint(self, variable: Any, value: int) -> None:
                """Suggest a value. The variable is no negation."""
                self.model_proto.solution_hint.vars.append(variable.index)
                self.model_proto.solution_hint.values.append(int(value))

            def minimize(self, objective: Any) -> None:
                """Set the objective, with integer coefficients."""
                self.model_proto.clear_objective()
                goal = self.model_proto.objective
                goal.scaling_factor = 1.0
                if isinstance(objective, int):
                    goal.offset = objective
                    return
                flat = cp.FlatIntExpr(objective)
                for variable in flat.vars:
                    goal.vars.append(variable.index)
                goal.offset = flat.offset
                goal.coeffs.extend(flat.coeffs)

            def has_objective(self) -> bool:
                """Return True if there is an objective."""
                return self.model_proto.has_objective()

            def validate(self) -> str:
                """Return the fault of the model, "" for none."""
                return cp.CpSatHelper.validate_model(self.model_proto)

            def clone(self) -> CpModel:
                """Return a copy."""
                copy = CpModel()
                copy.proto.copy_from(self.proto)
                copy.rebuild_constant_map()
                return copy

            def add_assumptions(self, literals: Iterable[Any]) -> None:
                """Assume that literals are true."""
                for literal in literals:
                    self.model_proto.assumptions.append(self.get_or_make_boolean_index(literal))

            def clear_assumptions(self) -> None:
                """Assume nothing."""
                self.model_proto.assumptions.clear()

        class CpSolver:
            """A search, and its answer."""

            def __init__(self) -> None:
                self.parameters = cp.SatParameters()
                self.response_proto: Any = None
                self._search: Any = None
                self._lock = threading.Lock()

            def solve(self, model: CpModel) -> CpSolverStatus:
                """Search, and keep the response."""
                with self._lock:
                    self._search = cp.SolveWrapper()
                self._search.set_parameters(self.parameters)
                self.response_proto = self._search.solve(model.proto)
                with self._lock:
                    self._search = None
                return self.response_proto.status

            def stop_search(self) -> None:
                """Stop the search of another thread."""
                with self._lock:
                    if self._search is not None:
                        self._search.stop_search()

            @property
            def objective_value(self) -> float:
                """The objective of the solution."""
                return self.response_proto.objective_value

            @property
            def best_objective_bound(self) -> float:
                """No solution is better."""
                return self.response_proto.best_objective_bound

            def sufficient_assumptions_for_infeasibility(self) -> Sequence[int]:
                """Return indices of assumptions that cannot hold together."""
                response = self.response_proto
                return cp.ResponseHelper.sufficient_assumptions_for_infeasibility(response)
