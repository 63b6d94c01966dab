"""Reads fields out of a JSON file that may hold anything: the chip's configuration files of a bundle.

Damage to the structure (U605) stops the reading; values outside the chip's ranges (the backend's own code) are all
collected first. Every diagnostic names the JSON path, the value and what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log

Tree = dict[str, Any]
IntArray = NDArray[np.int64]


class JsonReader:
    """Takes fields out of a tree; ``path`` is always the JSON path of the object that a field belongs to."""

    def __init__(self, file: str, *, outside_code: str, source: str, max_bytes: int) -> None:
        self.log = Log(file=file)
        self.outside_code, self.source, self.max_bytes = outside_code, source, max_bytes

    def parse(self, text: bytes) -> Tree:
        """The JSON object, without looking into it."""
        if len(text) > self.max_bytes:
            self.damaged("the configuration is too large", "", len(text), f"{self.max_bytes} bytes")
        try:
            tree = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            reason = str(error)[:100]
            self.damaged(f"the configuration is not JSON: {reason}", "", text[:30], "JSON in UTF-8")
        return self.as_object(tree, "")

    def child(self, tree: Tree, key: str, path: str = "") -> Tree:
        """The object in a field."""
        return self.as_object(tree.get(key), join(path, key))

    def items(self, tree: Tree, key: str, path: str = "") -> list[Any]:
        """The list in a field."""
        return self.as_list(tree.get(key), join(path, key))

    def flag(self, tree: Tree, key: str, path: str = "") -> bool:
        """A field that is true or false."""
        value = tree.get(key)
        if not isinstance(value, bool):
            self.damaged("a flag is neither true nor false", join(path, key), value, "true or false")
        return value

    def integer(self, tree: Tree, key: str, path: str, allowed: tuple[int, int]) -> int:
        """A field that is one integer within ``allowed``."""
        where = join(path, key)
        return int(self.integers([tree.get(key)], allowed, lambda _: where)[0])

    def integers(
        self, values: Sequence[Any], allowed: tuple[int, int], where: Callable[[int], str], source: str = ""
    ) -> IntArray:
        """``values`` as int64, each an integer (true, 1.0 and "1" are not) within ``allowed``.

        ``where`` gives the path of a value. Several values outside are one finding.
        """
        if not set(map(type, values)) <= {int}:
            i = next(i for i, value in enumerate(values) if type(value) is not int)
            self.damaged("a value is not an integer", where(i), values[i], f"{allowed[0]}..{allowed[1]}")
        if values and not (allowed[0] <= min(values) and max(values) <= allowed[1]):
            bad = [i for i, value in enumerate(values) if not allowed[0] <= value <= allowed[1]]
            others = f"; so are {len(bad) - 1} more values of this field" if len(bad) > 1 else ""
            message = f"a value is outside the chip's range{others}"
            self.outside(where(bad[0]), values[bad[0]], allowed, message, source)
            return np.clip(np.zeros(len(values), np.int64), *allowed)
        return np.array(values, np.int64)

    def nested(
        self, tree: Tree, key: str, path: str, shape: tuple[int, ...], allowed: tuple[int, int], source: str = ""
    ) -> IntArray:
        """Lists in lists of exactly ``shape``, as int64; lengths are checked before anything is made of them."""
        where = join(path, key)
        rows: list[Any] = [tree.get(key)]
        for depth, n in enumerate(shape):
            for i, row in enumerate(rows):
                at = where + _index(i, shape[:depth])
                if len(self.as_list(row, at)) != n:
                    self.damaged("a list has the wrong length", at, len(row), n)
            rows = [item for row in rows for item in row]
        return self.integers(rows, allowed, lambda i: where + _index(i, shape), source).reshape(shape)

    def as_object(self, value: Any, path: str) -> Tree:
        """``value`` if it is a JSON object."""
        if not isinstance(value, dict):
            self.damaged("a JSON object is missing", path, value, "an object")
        return value

    def as_list(self, value: Any, path: str) -> list[Any]:
        """``value`` if it is a JSON list."""
        if not isinstance(value, list):
            self.damaged("a list is missing", path, value, "a list")
        return value

    def outside(self, path: str, found: object, allowed: object, message: str, source: str = "") -> None:
        """Note a value outside its range; ``allowed`` is a pair (smallest, largest) or says what is."""
        limit = f"{allowed[0]}..{allowed[1]}" if isinstance(allowed, tuple) else allowed
        self.log.error(
            self.outside_code, message, where=path, found=_shown(found), limit=limit, source=source or self.source
        )

    def damaged(self, message: str, path: str, found: object, expected: object) -> Never:
        """Stop: the rest of the file cannot be understood."""
        help_ = "compile the model again; a bundle's files are not meant to be edited"
        self.log.error("U605", message, where=path, found=_shown(found), limit=expected, help=help_)
        self.log.raise_if_errors()
        raise AssertionError("an error was logged")


def join(path: str, key: str) -> str:
    """The path of a field."""
    return f"{path}.{key}" if path else key


def _index(i: int, shape: tuple[int, ...]) -> str:
    """Flat index ``i`` as ``[2][0]``."""
    return "".join(f"[{n}]" for n in np.unravel_index(i, shape)) if shape else ""


def _shown(value: object) -> str:
    """A few characters of a value that may be huge."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else repr(value)[:60]


def _unique(pairs: Sequence[tuple[str, Any]]) -> Tree:
    """A JSON object in which no key appears twice (readers disagree on which one counts)."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("an object has the same key twice")
    return tree


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not a number")
