"""CP-SAT behind one function: the same answer twice, and conflicts by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ortools.sat.python import cp_model
from ortools.sat.python.cp_model import IntVar

from nirc.mapping.cp_sat import CpModel
from nirc.mapping.solver import solve


def cheapest_cover(items: int) -> CpModel:
    """Many equally good answers: which one comes out shows whether the search is repeatable."""
    model = CpModel()
    chosen = [model.new_bool_var(f"chosen {i}") for i in range(items)]
    for i in range(items):
        model.add_bool_or(chosen[i], chosen[(7 * i + 3) % items], chosen[(3 * i + 1) % items])
    model.minimize(sum(chosen))
    return model


def bounded(**bounds: tuple[int, int]) -> tuple[CpModel, dict[str, IntVar]]:
    """One number x in 0..10; under the assumption called NAME it lies in bounds[NAME]."""
    model = CpModel()
    x = model.new_int_var(0, 10, "x")
    rules = {name: model.new_bool_var(name) for name in bounds}
    for name, (low, high) in bounds.items():
        model.add_linear_constraint(x, low, high).only_enforce_if(rules[name])
    model.minimize(x)
    return model, rules


def test_the_optimum_is_read_by_variable() -> None:
    model = CpModel()
    x = model.new_int_var(0, 10, "x")
    y = model.new_int_var(0, 10, "y")
    model.add(x + 2 * y >= 7)
    model.minimize(x + y)
    solution = solve(model)
    assert (solution.status, solution.objective, solution.bound) == ("optimal", 4, 4)
    assert solution.value(x) + 2 * solution.value(y) >= 7
    assert solution.found


def test_a_model_without_objective_has_no_bound() -> None:
    model = CpModel()
    x = model.new_int_var(3, 3, "x")
    solution = solve(model)
    assert (solution.value(x), solution.objective, solution.bound) == (3, None, None)


def test_the_same_answer_twice() -> None:
    first, again = (solve(cheapest_cover(20), seed=5) for _ in range(2))
    assert first == again
    assert first.status == "optimal"


def test_the_same_answer_twice_when_the_work_runs_out() -> None:
    first, again = (solve(cheapest_cover(100), seed=5, work=0.1) for _ in range(2))
    assert first == again
    assert first.status == "feasible"


def test_too_little_work_finds_nothing_and_says_so() -> None:
    solution = solve(cheapest_cover(60), work=1e-9)
    assert solution.status == "unknown"
    assert not solution.found


def test_seconds_replace_work() -> None:
    assert solve(cheapest_cover(20), work=1e-9, seconds=60).status == "optimal"


def test_assumptions_hold_in_the_answer() -> None:
    model, rules = bounded(large=(4, 10), even_larger=(6, 10))
    assert solve(model, assumptions=rules).objective == 6
    assert solve(model).objective == 0


def test_a_conflict_names_what_cannot_hold_together_and_nothing_else() -> None:
    model, rules = bounded(harmless=(0, 9), large=(7, 10), small=(0, 3), also_harmless=(1, 10))
    assert solve(model, assumptions=rules).conflict == ("large", "small")


def test_an_assumption_can_be_impossible_alone() -> None:
    model, rules = bounded(large=(7, 10), impossible=(11, 12), small=(0, 8))
    assert solve(model, assumptions=rules).conflict == ("impossible",)


def test_three_rules_conflict_though_any_two_agree() -> None:
    model = CpModel()
    x, y = (model.new_int_var(0, 10, name) for name in "xy")
    rules = {name: model.new_bool_var(name) for name in ("sum", "x", "y")}
    model.add(x + y >= 15).only_enforce_if(rules["sum"])
    model.add(x <= 7).only_enforce_if(rules["x"])
    model.add(y <= 7).only_enforce_if(rules["y"])
    assert solve(model, assumptions=rules).conflict == ("sum", "x", "y")


def test_no_assumption_is_blamed_for_a_model_that_cannot_hold() -> None:
    model, rules = bounded(small=(0, 3))
    model.add_bool_or([])
    solution = solve(model, assumptions=rules)
    assert (solution.status, solution.conflict) == ("infeasible", ())


def test_the_model_is_left_as_it_was() -> None:
    model, rules = bounded(large=(7, 10), small=(0, 3))
    before = str(model)
    solve(model, assumptions=rules)
    assert str(model) == before


def test_an_invalid_model_is_refused() -> None:
    model = CpModel()
    x = model.new_int_var(0, 10, "x")
    model.proto.variables[x.index].domain[0] = 11
    with pytest.raises(ValueError, match="invalid"):
        solve(model)


def test_importing_the_module_does_not_load_ortools() -> None:
    code = "import sys, nirc.mapping.solver; sys.exit('ortools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def every_constraint(model: CpModel) -> CpModel:
    """A model with everything that nirc's models have."""
    x, y = (model.new_int_var(0, 9, name) for name in "xy")
    on = [model.new_bool_var(f"on {i}") for i in range(4)]
    model.add(x + 2 * y >= sum(on)).only_enforce_if(on[0])
    model.add(x - y <= 3).only_enforce_if(~on[1])
    model.add(x != 7)
    model.add(sum(on) == 2)
    model.add(True)
    model.add(False).only_enforce_if(on[3])
    model.add_linear_constraint(3 * x, 2, 25)
    model.add_bool_or(on[0], ~on[1])
    model.add_at_most_one(on[2:])
    model.add_exactly_one([on[0], on[2]])
    model.add_element(x, [5, 4, 3, 2, 1, 0, 9, 8, 7, 6], y)
    model.add_min_equality(x, [y, 4 + 1 * y, 8])
    model.add_max_equality(y, [0, x])
    model.add_hint(x, 2)
    model.add_hint(on[1], True)
    model.minimize(2 * x + 3 * y - 4)
    return model


def test_a_model_is_that_of_ortools() -> None:
    ours, theirs = every_constraint(CpModel()), every_constraint(cp_model.CpModel())
    assert str(ours.proto) == str(theirs.proto) and not ours.validate()
    assert str(ours.clone().proto) == str(theirs.proto) and ours.has_objective()
    ours.minimize(5)
    theirs.minimize(5)
    assert str(ours.proto) == str(theirs.proto)


def test_a_model_of_ortools_has_the_same_answer() -> None:
    assert solve(every_constraint(CpModel())) == solve(every_constraint(cp_model.CpModel()))


WITHOUT = """
import sys
{hidden}
from nirc.mapping.cp_sat import CpModel
from nirc.mapping.solver import solve
model = CpModel()
x = model.new_int_var(0, 9, "x")
model.add(2 * x >= 5)
model.minimize(x)
print(solve(model).value(x), "pandas" in sys.modules)
"""


def test_pandas_is_not_imported() -> None:
    command = [sys.executable, "-c", WITHOUT.format(hidden="")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3 False\n"


def test_another_compiled_half_of_ortools_is_left_alone() -> None:
    hidden = "from ortools.sat.python import cp_model, cp_model_helper; "
    hidden += "del cp_model_helper.BoolArgumentConstraint"
    command = [sys.executable, "-c", WITHOUT.format(hidden=hidden)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3 True\n"
