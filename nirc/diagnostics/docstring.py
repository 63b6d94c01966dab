"""Docstrings that users see. `python -OO` has none, so then they are read from the source."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap

STRIPPED = 2  # the level of optimisation from which Python drops docstrings


def docstring(described: type | object) -> str:
    """Return the docstring of a class or a function that was written in a file."""
    text = described.__doc__
    if sys.flags.optimize >= STRIPPED:
        source = textwrap.dedent(inspect.getsource(described))  # type: ignore[arg-type]
        node = ast.parse(source).body[0]
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
    return inspect.cleandoc(text or "")
