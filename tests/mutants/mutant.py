"""One fault in one file, known by what it changes and not by a line number."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.mutants.changes import KEPT_KEYWORDS, changed

ROOT = Path(__file__).parents[2]
Functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Scope = tuple[str, bool, ast.stmt | None]  # qualified name, in a function, statement
SHOWN = 100  # characters of a line


@dataclass(frozen=True)
class Mutant:
    """A fault. ``nth`` counts equal faults of equal statements, from 0."""

    file: str  # from the root of the repository
    where: str  # qualified name of the function or class, empty for the module
    line: str  # the statement
    change: str  # "before -> after"
    nth: int = 0
    lines: tuple[int, int] = field(default=(0, 0), compare=False)  # of the statement's head
    in_function: bool = field(default=True, compare=False)
    node: int = field(default=0, compare=False)  # in the order of ``sites``
    variant: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """The mutant in one line."""
        return f"{self.file}::{self.where}: {self.line} | {self.numbered_change}"

    @property
    def numbered_change(self) -> str:
        """The change, with its number from the second of equal ones on."""
        return f"{self.change} #{self.nth}" if self.nth else self.change

    @property
    def module(self) -> str:
        """The name by which nirc imports the file."""
        return f"nirc.{self.file.removeprefix('nirc/').removesuffix('.py').replace('/', '.')}"

    def rank(self, seed: int) -> bytes:
        """Return the place in the draw of this seed. Other mutants do not change it."""
        return hashlib.sha256(f"{seed} {self.key}".encode()).digest()

    def tree(self) -> ast.Module:
        """Return the file's syntax tree with the fault."""
        module = ast.parse((ROOT / self.file).read_bytes())
        site = list(_sites(module))[self.node]
        parent, name, index, node = site[0], site[1], site[2], site[3]
        new = list(changed(node))[self.variant]
        if index is None:
            setattr(parent, name, new)
        else:
            getattr(parent, name)[index] = new
        return ast.fix_missing_locations(module)


@cache
def mutants(file: str) -> tuple[Mutant, ...]:
    """Return all mutants of a file, in the order of its text."""
    return tuple(_mutants(file))


def _mutants(file: str) -> Iterator[Mutant]:
    seen: dict[tuple[str, str, str], int] = {}
    module = ast.parse((ROOT / file).read_bytes())
    for number, (_, _, _, node, (where, in_function, statement)) in enumerate(_sites(module)):
        for variant, new in enumerate(changed(node)):
            change = f"{_text(node)} -> {_text(new)}"
            line = "" if statement is None else _text(statement)
            nth = seen.get((where, line, change), 0)
            seen[where, line, change] = nth + 1
            lines = _head(statement)
            yield Mutant(file, where, line, change, nth, lines, in_function, number, variant)


def _text(node: ast.AST) -> str:
    """Return the node's code, of a block its first line."""
    line = ast.unparse(node).split("\n")[0]
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def _head(statement: ast.stmt | None) -> tuple[int, int]:
    """Return the first and the last line of a statement, without its block."""
    if statement is None:
        return (0, 0)
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        return statement.lineno, max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, statement.end_lineno or statement.lineno


Site = tuple[ast.AST, str, int | None, ast.AST, Scope]


def _sites(module: ast.Module) -> Iterator[Site]:
    """Yield (parent, field, index, node, scope) of every node that may be changed."""
    yield from _below(module, ("", False, None))


def _below(parent: ast.AST, scope: Scope) -> Iterator[Site]:
    for name, value in ast.iter_fields(parent):
        if _kept(parent, name):
            continue
        inside = _scope(parent, name, scope)
        many = isinstance(value, list)
        for i, node in enumerate(value if many else [value]):
            if isinstance(node, ast.AST) and not _alike(node):
                own = (inside[0], inside[1], node) if isinstance(node, ast.stmt) else inside
                yield parent, name, i if many else None, node, own
                yield from _below(node, own)


def _scope(parent: ast.AST, name: str, scope: Scope) -> Scope:
    """Return the scope of a field's nodes: defaults belong to the outer one."""
    if isinstance(parent, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and name == "body":
        where = f"{scope[0]}.{parent.name}".lstrip(".")
        return where, not isinstance(parent, ast.ClassDef), scope[2]
    return scope


def _kept(parent: ast.AST, name: str) -> bool:
    """Return True for fields without behaviour: types, decorators, messages of errors."""
    types = name in ("annotation", "returns", "decorator_list", "bases", "keywords", "type")
    message = isinstance(parent, ast.Raise)
    if isinstance(parent, ast.Call) and name == "args" and _called(parent) == "reshape":
        return True  # all negative sizes mean the same
    if isinstance(parent, ast.If) and ast.unparse(parent.test) == "TYPE_CHECKING":
        return True
    return message or (types and not isinstance(parent, ast.Call))


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "")


def _alike(node: ast.AST) -> bool:
    """Return True for code whose faults nobody sees: text, imports, ``strict=True``."""
    if isinstance(node, ast.keyword):
        return node.arg in KEPT_KEYWORDS
    lone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return lone or isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)
