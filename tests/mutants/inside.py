"""Put a mutant into a running process, or into one that has not imported the file yet."""

from __future__ import annotations

import ast
import gc
import importlib.machinery
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from tests.mutants.mutant import ROOT, Mutant

Place = tuple[str, int]  # qualified name, first line
Functions = dict[str, dict[Place, list[FunctionType]]]  # by file


def functions_of(files: list[str]) -> Functions:
    """Return all functions that live, by file."""
    found: Functions = {str((ROOT / file).resolve()): {} for file in files}
    resolved: dict[str, str] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            code = thing.__code__
            name = code.co_filename
            if name not in resolved:
                resolved[name] = str(Path(name).resolve())
            if resolved[name] in found:
                places = found[resolved[name]]
                places.setdefault((code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


def put(mutant: Mutant, functions: Functions) -> bool:
    """Give the mutant's code to the functions of its file. Return False where none changes."""
    path = str((ROOT / mutant.file).resolve())
    new = {
        (c.co_qualname, c.co_firstlineno): c for c in _codes(compile(mutant.tree(), path, "exec"))
    }
    done = False
    for place, live in functions[path].items():
        for function in live:
            code = new.get(place)
            if code is None or code.co_freevars != function.__code__.co_freevars:
                return False
            if code.replace(co_filename="") != function.__code__.replace(co_filename=""):
                function.__code__ = code
                done = True
    return done


def put_into_scripts(mutant: Mutant) -> None:
    """Let the scripts of bundles hold the mutant's text."""
    from nirc.files import scripts

    own, text = mutant.module, ast.unparse(mutant.tree())
    text_of = scripts._text_of
    scripts._text_of = lambda name: text if name == own else text_of(name)  # type: ignore[assignment]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def put_before_import(mutant: Mutant) -> None:
    """Compile the mutant when its file is imported, without the cache of bytecode."""
    loader = importlib.machinery.SourceFileLoader
    path = (ROOT / mutant.file).resolve()
    code = compile(mutant.tree(), str(path), "exec")
    own = loader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        if Path(self.path).resolve() == path:
            return code
        return own(self, fullname)

    assert not [
        m for m in sys.modules.values() if Path(getattr(m, "__file__", "") or ".").resolve() == path
    ]
    loader.get_code = get_code  # type: ignore[method-assign]
