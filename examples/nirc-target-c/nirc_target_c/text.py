"""Pieces of C text: tables of numbers, loops, functions, names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from textwrap import indent

import numpy as np
from numpy.typing import NDArray

WIDTH = 96  # characters of a line of numbers
# Words of C and C++, and fields of the struct that are no population.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        """auto bool break case char class const continue default delete do double else enum extern
        false float for friend goto if inline int linux long namespace new operator private
        protected public register restrict return short signed sizeof static steps struct switch
        template this throw true try typedef typename union unix unsigned using virtual void
        volatile while x x_2""",
    )
)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return a C identifier for each name, none twice."""
    found: dict[str, str] = {}
    taken = set(RESERVED)
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removesuffix("_t")
        stem = plain if plain[:1].isalpha() else f"n{plain}"
        identifier = stem
        number = 1
        while identifier in taken:
            number += 1
            identifier = f"{stem}_{number}"
        taken.add(identifier)
        found[name] = identifier
    return found


def table(kind: str, name: str, values: NDArray[np.generic]) -> str:
    """Return a constant array."""
    texts = [str(value) for value in values.ravel().tolist()]
    each = WIDTH // (2 + max(map(len, texts)))
    rows = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    body = ",\n    ".join(rows)
    return f"static const {kind} {name}[{len(texts)}] = {{\n    {body}\n}};\n"


def loop(n: int, statements: list[str]) -> list[str]:
    """Return the lines of a loop over ``i`` from 0 to n - 1."""
    lines = [f"    {line}" for line in statements]
    if len(statements) == 1:
        return [f"for (i = 0; i < {n}; i++)", *lines]
    return [f"for (i = 0; i < {n}; i++) {{", *lines, "}"]


def function(head: str, lines: list[str]) -> str:
    """Return a function."""
    body = indent("\n".join(lines), "    ")
    return f"{head}\n{{\n{body}\n}}\n"


@cache
def kernel(name: str) -> str:
    """Return a piece of C from the folder ``kernels``."""
    return (files("nirc_target_c") / "kernels" / f"{name}.c").read_text(encoding="utf-8")
