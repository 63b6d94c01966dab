"""Which mutants are tried, and which tests judge one."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache

from tests.mutants.mutant import ROOT, Mutant, mutants
from tests.mutants.rooms import Room
from tests.mutants.trace import AT_IMPORT, Trace, Traces


def chosen(room: Room, count: int, seed: int, only: str = "", skip: int = 0) -> list[Mutant]:
    """Return so many mutants of a room, drawn by seed. ``only``: a part of their keys."""
    found = [m for file in room.paths() for m in mutants(file) if only in m.key]
    found.sort(key=lambda m: m.rank(seed))
    return found[skip : skip + count] if count else found[skip:]


def tests_of(mutant: Mutant, traces: Traces, room: Room, seconds: float) -> list[str]:
    """Return the tests that run the mutant's line, the quickest first, at least one of them.

    Code that runs at import, or that no test runs, gets the room's tests of such code too.
    """
    lines = lines_of(mutant) if mutant.in_function else lines_that_use(mutant, room)
    tests = {name: trace for name, trace in traces.items() if name != AT_IMPORT}
    found = {name: trace for name, trace in tests.items() if not lines.isdisjoint(trace.lines)}
    at_import = not mutant.in_function or not lines.isdisjoint(traces[AT_IMPORT].lines)
    if not found and at_import:
        found = {n: t for n, t in tests.items() if any(f == mutant.file for f, _ in t.lines)}
    names = _quickest(found, seconds)
    added = room.imported if not names or at_import else ()
    names += [name for name in _of_scripts(mutant, tests) if name not in names]
    return [*(name for name in names if name not in added), *added]


def _of_scripts(mutant: Mutant, tests: Iterable[str]) -> list[str]:
    """Return the tests of deploy.py, which holds the text of the chip's checks."""
    folder, _, name = mutant.file.rpartition("/")
    if name != "checks.py":
        return []
    begin, chip = "tests/deploy/test_check.py::test_each_known", f"[{folder.rpartition('/')[2]}"
    return [test for test in tests if test.startswith(begin) and chip in test]


def _quickest(traces: dict[str, Trace], seconds: float) -> list[str]:
    names: list[str] = []
    spent = 0.0
    for name in sorted(traces, key=lambda n: (traces[n].seconds, n)):
        spent += traces[name].seconds
        if names and spent > seconds:
            break
        names.append(name)
    return names


def lines_of(mutant: Mutant) -> set[tuple[str, int]]:
    """Return the lines of the mutant's statement."""
    first, last = mutant.lines
    return {(mutant.file, line) for line in range(first, last + 1)}


def lines_that_use(mutant: Mutant, room: Room) -> set[tuple[str, int]]:
    """Return the lines of the room that name what the mutant's statement defines."""
    first, last = mutant.lines
    defined: set[str] = set()
    for node in ast.walk(_tree(mutant.file)):
        if isinstance(node, ast.stmt) and first <= node.lineno <= last:
            defined |= _defined(node)
    return {
        (file, node.lineno)
        for file in room.paths()
        for node in ast.walk(_tree(file))
        if getattr(node, "id", getattr(node, "attr", "")) in defined
        and isinstance(node, ast.Name | ast.Attribute)
    }


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        return {t.id for t in node.targets if isinstance(t, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return set()


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_bytes())
