"""Plain words: the measurable rules hold in every room, except for faults in a table that only
shrinks.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("nirc", "passes", "backends")
KERNEL = "in_c"  # the decorator of loops, which may be long and complex
MOST_FUNCTION_LINES = 60
MOST_COMPLEXITY = 15
MOST_FILE_LINES = 400
PAGES = ("meaning", "example", "what_to_do", "sources")  # of a diagnostic

OPENER = re.compile(r"(What|How|Whether|Where|Who|Which|When|Why)\b")
CODE = re.compile(r"(`+)[^`]*\1")
DECISIONS = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.match_case)
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)

# Rooms that are not clean yet, with their numbers of faults. A number may only fall. A room without
# a line has none.
LEFT: dict[str, dict[str, int]] = {
    "backends/speck": {"long_files": 1},  # its diagnostics
}


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def semicolons(tree: ast.Module) -> Iterator[int]:
    """A docstring has no semicolon outside of code."""
    for line, text in _docstrings(tree):
        yield from [line] * CODE.sub("", text).count(";")


def openers(tree: ast.Module) -> Iterator[int]:
    """A docstring does not begin with a question word."""
    return (line for line, text in _docstrings(tree) if OPENER.match(text))


def double_comprehensions(tree: ast.Module) -> Iterator[int]:
    """A comprehension has one ``for``."""
    return (
        n.lineno for n in ast.walk(tree) if isinstance(n, Comprehension) and len(n.generators) > 1
    )


def nested_conditionals(tree: ast.Module) -> Iterator[int]:
    """A conditional expression is no branch of another."""
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp) and ast.IfExp in (type(node.body), type(node.orelse)):
            yield node.lineno


def _is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(d).startswith(f"{KERNEL}(") for d in function.decorator_list)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, Functions) and not _is_kernel(node):
            yield node


def long_functions(tree: ast.Module) -> Iterator[int]:
    """A function has at most 60 lines. Kernels may be longer."""
    return (
        f.lineno for f in _functions(tree) if (f.end_lineno or 0) - f.lineno >= MOST_FUNCTION_LINES
    )


def complex_functions(tree: ast.Module) -> Iterator[int]:
    """A function has at most 15 paths (McCabe's complexity). Kernels may have more."""
    for function in _functions(tree):
        if 1 + sum(isinstance(node, DECISIONS) for node in ast.walk(function)) > MOST_COMPLEXITY:
            yield function.lineno


def long_files(tree: ast.Module) -> Iterator[int]:
    """A file has at most 400 lines, without the pages of diagnostics."""
    lines = max((getattr(node, "end_lineno", 0) for node in tree.body), default=0)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in PAGES:
            lines -= (node.end_lineno or 0) - node.lineno + 1
    return iter([lines] if lines > MOST_FILE_LINES else [])


Rule = Callable[[ast.Module], Iterator[int]]
RULES: tuple[Rule, ...] = (
    semicolons, openers, double_comprehensions, nested_conditionals, long_functions,
    complex_functions, long_files,
)  # fmt: skip


def room_of(file: Path) -> str:
    """Return the folder of a file two levels below the root:

    ``nirc/mapping``, ``backends/xylo``, ``passes``.
    """
    return "/".join(file.relative_to(ROOT).parent.parts[:2])


@cache
def faults() -> dict[tuple[str, str], list[str]]:
    """Return the faults as ``file:line``, by room and rule."""
    found: dict[tuple[str, str], list[str]] = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if any(part.is_symlink() for part in (file, *file.parents)):
                continue  # nirc/passes and nirc/backends are links to the other packages
            tree = ast.parse(file.read_text())
            for rule in RULES:
                places = [f"{file.relative_to(ROOT)}:{line}" for line in rule(tree)]
                found.setdefault((room_of(file), rule.__name__), []).extend(places)
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_room_has_more_faults_than_its_line_allows(rule: Rule) -> None:
    more = {
        room: places
        for (room, name), places in faults().items()
        if name == rule.__name__ and len(places) > LEFT.get(room, {}).get(name, 0)
    }
    assert not more, f"{rule.__doc__}\n" + "\n".join(
        f"{room}: {', '.join(more[room])}" for room in more
    )


def test_the_table_is_lowered_when_a_number_falls() -> None:
    now = Counter({key: len(places) for key, places in faults().items()})
    lower = [
        f"LEFT[{room!r}][{name!r}] = {now[room, name]}"
        for room, allowed in LEFT.items()
        for name, number in allowed.items()
        if now[room, name] < number or not number
    ]
    assert not lower, (
        "numbers have fallen, lower them in tests/test_words.py (0: take the entry out):\n"
        + "\n".join(lower)
    )


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (semicolons, '"""One; two."""', '"""Code ``a; b`` is exempt."""'),
        (openers, 'def f():\n    """Whether it is."""', 'def f():\n    """Return it."""'),
        (double_comprehensions, "x = [a for b in c for a in b]", "x = [[a for a in b] for b in c]"),
        (
            nested_conditionals,
            "x = a if b else c if d else e",
            "x = (a if b else c) + (d if e else f)",
        ),
        (
            long_functions,
            "def f():\n" + 60 * "    x = 1\n",
            "@in_c('f', '')\ndef f():\n" + 60 * "    x = 1\n",
        ),
        (
            complex_functions,
            "def f():\n" + 15 * "    if x: y\n",
            "def f():\n" + 14 * "    if x: y\n",
        ),
        (long_files, 401 * "x = 1\n", 400 * "x = 1\n"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_rule_finds_its_fault(rule: Rule, bad: str, good: str) -> None:
    assert len(list(rule(ast.parse(bad)))) == 1
    assert not list(rule(ast.parse(good)))
