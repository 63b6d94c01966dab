"""Network files as dataclasses: written the same way for the same tables, and read as if hostile.

Plain numpy reads them, ``allow_pickle=False``. No time is in a file, so that its bytes depend on
the tables alone.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy

from nirc.files.bounds import MAX_NAME, printable
from nirc.files.chipfiles import EPOCH, raise_faults, read
from nirc.files.description import Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Array, Kind, Many, Object, Switch
from nirc.files.members import STRUCTURE, NetworkFile

ROOM = 20  # characters that a label leaves for a number


class Labels:
    """Names of blocks, made from names of a program: printable, not too long, none twice, none of
    ``taken``.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def new(self, name: str, most: int = MAX_NAME - ROOM) -> str:
        """``name``, cut to ``most`` characters, with a number if it is taken."""
        base = label = printable(name, most) or "unnamed"
        number = 1
        while label in self.taken:
            number += 1
            label = f"{base}~{number}"
        self.taken.add(label)
        return label


def tree_of(file: NetworkFile, channels: int, blocks: Mapping[str, Iterable[Any]]) -> Tree:
    """The tree of a network file.

    ``blocks`` are dataclasses, by kind. An array that is None is left out.
    """
    tree: Tree = {"format": vars(file.root.fields["format"])["value"], "channels": channels}
    for kind, rows in blocks.items():
        item = file.item(kind)
        tree[kind] = []
        for row in rows:
            block = {name: _plain(value) for name, value in vars(row).items()}
            block = {
                name: value
                for name, value in block.items()
                if value is not None or name not in _arrays(item)
            }
            case = item.case(block) if isinstance(item, Switch) else item
            tree[kind].append(
                {**block, "arrays": case.arrays_of(block) if isinstance(case, Object) else []}
            )
    return tree


def _arrays(kind: Kind | None) -> dict[str, Array]:
    """All arrays that a block may have, by name."""
    cases: list[Kind | None] = (
        [case for _, case in kind.cases] if isinstance(kind, Switch) else [kind]
    )
    arrays: dict[str, Array] = {}
    for case in cases:
        fields = case.fields if isinstance(case, Object) else {}
        arrays |= {name: inner for name, inner in fields.items() if isinstance(inner, Array)}
    return arrays


def _plain(value: Any) -> Any:
    """Return numbers, lists and dicts, as in JSON. Arrays stay as they are."""
    if is_dataclass(value):
        return {name: _plain(inner) for name, inner in vars(value).items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def to_npz(file: NetworkFile, tree: Tree) -> bytes:
    """The bytes of the file. Raises as ``read`` does if nirc would not read them."""
    faults = Faults(exact=False)
    file.check(tree, {}, faults)
    raise_faults(file, faults)
    narrow = dict(tree)
    for kind, many in file.root.fields.items():
        if isinstance(many, Many):
            types = {name: array.dtype for name, array in _arrays(many.item).items()}
            narrow[kind] = [
                block | {name: block[name].astype(types[name]) for name in block["arrays"]}
                for block in tree[kind]
            ]
    return pack(narrow)


def pack(tree: Tree) -> bytes:
    """The archive of a tree: the same for the same tree, whatever the machine."""
    structure: Tree = dict(tree)
    members: dict[str, Any] = {}
    for kind, blocks in tree.items():
        if isinstance(blocks, list):
            structure[kind] = []
            for i, block in enumerate(blocks):
                arrays = {
                    name: value for name, value in block.items() if isinstance(value, np.ndarray)
                }
                structure[kind].append(
                    {name: value for name, value in block.items() if name not in arrays}
                )
                members |= {f"{kind}/{i}/{name}": arrays[name] for name in block["arrays"]}
    text = json.dumps(structure, sort_keys=True).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {STRUCTURE: np.frombuffer(text, np.uint8), **members}.items():
            member = io.BytesIO()
            npy.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    return packed.getvalue()


def from_npz(
    file: NetworkFile, data: bytes, makers: Mapping[str, Any]
) -> tuple[int, dict[str, tuple[Any, ...]]]:
    """Return the channels, and blocks by kind, made by ``makers``. Their arrays are read-only.

    Raises as ``read`` does.
    """
    _, tree = read(data, file)
    made = {}
    for kind, make in makers.items():
        made[kind] = tuple(
            make(**{name: value for name, value in block.items() if name != "arrays"})
            for block in tree[kind]
        )
    return tree["channels"], made
