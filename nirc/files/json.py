"""Reads fields out of a JSON file that may hold anything: the chip's configuration files of a bundle.

Damage to the structure (U605) stops the reading; values outside the chip's ranges (the backend's own code) are all
collected first. Every diagnostic names the JSON path, the value and what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log

Tree = dict[str, Any]
Range = tuple[int, int]
Int = NDArray[np.int64]


class JsonReader:
    """Takes values out of a tree; ``path`` is always the JSON path of what is being read.

    ``code`` and ``source``: of the chip's ranges; ``max_bytes``: of a file.
    """

    def __init__(self, file: str, *, code: str, source: str, max_bytes: int) -> None:
        self.log = Log(file=file)
        self.code, self.source, self.max_bytes = code, source, max_bytes

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

    def array(self, value: Any, shape: tuple[int, ...], allowed: Range, path: str) -> Int:
        """Nested lists of exactly ``shape``, as int64."""
        flat: list[Any] = [value]
        for depth, n in enumerate(shape):
            for i, row in enumerate(flat):
                if type(row) is not list or len(row) != n:
                    at = path + _index(i, shape[:depth])
                    self.damaged("a list is missing or of the wrong length", at, row, f"a list of {n}")
            flat = list(chain.from_iterable(flat))
        return self.integers(flat, allowed, lambda i: path + _index(i, shape)).reshape(shape)

    def integers(self, values: Sequence[Any], allowed: Range, where: Callable[[int], str]) -> Int:
        """``values`` as int64, each an integer (true, 1.0 and "1" are not) within ``allowed``.

        ``where`` gives the path of a value. Several values outside are one finding.
        """
        if not set(map(type, values)) <= {int}:
            i = next(i for i, value in enumerate(values) if type(value) is not int)
            self.damaged("a value is not an integer", where(i), values[i], f"{allowed[0]}..{allowed[1]}")
        if values and not allowed[0] <= min(values) <= max(values) <= allowed[1]:
            bad = [i for i, value in enumerate(values) if not allowed[0] <= value <= allowed[1]]
            others = f"; so are {len(bad) - 1} more values of this field" if len(bad) > 1 else ""
            message = f"a value is outside the chip's range{others}"
            self.outside(where(bad[0]), values[bad[0]], allowed, message)
            return np.clip(np.zeros(len(values), np.int64), *allowed)
        return np.array(values, np.int64)

    def integer(self, value: Any, allowed: Range, path: str) -> int:
        """One integer."""
        return int(self.integers([value], allowed, lambda _: path)[0])

    def flag(self, value: Any, path: str) -> bool:
        """A field that is true or false."""
        if not isinstance(value, bool):
            self.damaged("a flag is neither true nor false", path, value, "true or false")
        return value

    def same(self, value: Any, expected: Any, path: str) -> None:
        """A field that nirc always writes in the same way: of the same type, too (1 is not true)."""
        if isinstance(expected, dict):
            for name, inner in self.as_object(value, path, expected).items():
                self.same(inner, expected[name], f"{path}.{name}")
        elif isinstance(expected, list):
            for i, inner in enumerate(self.as_list(value, path, len(expected))):
                self.same(inner, expected[i], f"{path}[{i}]")
        elif type(value) is not type(expected) or value != expected:
            self.damaged("the setting is unknown to the emulator", path, value, json.dumps(expected))

    def as_object(self, value: Any, path: str, names: Collection[str] | None = None) -> Tree:
        """``value`` if it is a JSON object, of exactly these fields if told."""
        if not isinstance(value, dict):
            self.damaged("a JSON object is missing", path, value, "an object")
        if names is not None:
            self.keys(value, path, names)
        return value

    def keys(self, block: Tree, path: str, names: Collection[str]) -> None:
        """All of ``names`` and no other: what is not read could mean something to the chip."""
        for name in names:
            if name not in block:
                self.damaged("a field is missing", join(path, name), None, "this field")
        for name in block:
            if name not in names:
                self.damaged(
                    "a field is unknown",
                    join(path, name if name.isidentifier() else repr(name))[:100],
                    block[name],
                    "no such field",
                )

    def as_list(self, value: Any, path: str, n: int | None = None) -> list[Any]:
        """``value`` if it is a JSON list, of ``n`` entries if told."""
        if not isinstance(value, list) or (n is not None and len(value) != n):
            expected = "a list" if n is None else f"a list of {n}"
            self.damaged("a list is missing or of the wrong length", path, value, expected)
        return value

    def stop_if_more(self, errors: int) -> None:
        """Raise if there are more findings now; those of other cores do not matter here."""
        if len(self.log.errors) > errors:
            self.log.raise_if_errors()

    def outside(self, path: str, found: object, allowed: Sequence[float], message: str, source: str = "") -> None:
        """Note a value that the chip does not take; ``allowed`` is (least, most), or a list of single values."""
        span = isinstance(allowed, tuple) and len(allowed) == 2
        limit = f"{allowed[0]}..{allowed[1]}" if span else ", ".join(map(str, allowed))
        shown = found if isinstance(found, str) else _shown(found)
        self.log.error(self.code, message, where=path, found=shown, limit=limit, source=source or self.source)

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
    """The place of entry ``i`` in nested lists of ``shape``: "[2][0]"."""
    return "".join(f"[{n}]" for n in np.unravel_index(i, shape))


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
