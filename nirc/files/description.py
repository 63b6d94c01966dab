"""Describe a file that a chip reads, and check a file against its description.

nirc's readers import this module. Every deploy.py holds its text. So it needs Python 3.9 and the
standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nirc.files.faults import Faults, join
from nirc.files.kinds import Array, Const, Integers, Kind, Many, Object, Size, Switch
from nirc.files.runs import Runs, Unpacking

Tree = Any  # what JSON can hold, and arrays


@dataclass(frozen=True)
class File:
    """A file of a bundle.

    ``rules`` check fields against each other. They get the tree, this description, the trees of
    the files before this one, and the faults. ``numbers`` are for them.
    ``finding`` is the class of diagnostics for values that the chip does not take, ``source`` the
    origin of most ranges.
    """

    name: str
    root: Object
    rules: Callable[[Tree, File, Mapping[str, Tree], Faults], None]
    numbers: Mapping[str, Any]
    most_bytes: int
    finding: Any = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    @property
    def variant(self) -> str:
        """The chip's variant, if the file names it."""
        named = self.root.fields.get("variant")
        return str(named.value) if isinstance(named, Const) else ""

    def item(self, name: str) -> Kind | None:
        """Return the kind of the entries of a list that is a field of the root."""
        many = self.root.fields[name]
        return many.item if isinstance(many, Many) else None

    def parse(self, data: bytes, faults: Faults) -> Tree:
        """Return the tree of a file that may hold anything. Its lists are in full."""
        tree = parse_json(data, self.most_bytes, faults)
        return Unpacking(faults).tree(self.root, tree, "")

    def check(self, tree: Tree, trees: Mapping[str, Tree], faults: Faults) -> None:
        """Note all faults. Rules are checked only if each field is what it should be."""
        self.root.check(tree, "", faults)
        if not faults:
            self.rules(tree, self, trees, faults)


def parse_json(data: bytes, most: int, faults: Faults) -> Tree:
    """Return the tree in JSON text, or None."""
    if len(data) > most:
        faults.damaged("", "the file is too large", len(data), f"{most} bytes")
        return None
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        faults.damaged(
            "", f"the file is not JSON: {str(error)[:100]!a}", data[:30], "JSON in UTF-8"
        )
        return None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object in which no key appears twice. Of two values readers take either."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("an object has the same key twice")
    return tree


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def check_shapes(
    kind: Kind | None, block: dict[str, Any], path: str, sizes: Mapping[str, int], faults: Faults
) -> None:
    """Compare the lengths of the axes of a block's arrays with ``sizes``, by name."""
    if isinstance(kind, Switch):
        kind = kind.case(block)
    for name, field_kind in kind.fields.items() if isinstance(kind, Object) else ():
        inner = field_kind.kind if isinstance(field_kind, Runs) else field_kind
        if isinstance(inner, (Integers, Array)) and name in block:
            named = [axis.name if isinstance(axis, Size) else axis for axis in inner.shape]
            shape = tuple(axis if isinstance(axis, int) else sizes[axis] for axis in named)
            if isinstance(inner, Array) or not inner.has_shape(block[name], shape):
                replace(inner, shape=shape).check(block[name], join(path, name), faults)
