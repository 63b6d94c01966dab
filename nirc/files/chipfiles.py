"""Files that backends write and read: archives, network files, scripts.

A file that is read is checked against its description.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bounds import MAX_NAME, printable
from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Array, Integer, Kind, Many, Object, Switch, Text
from nirc.files.members import MAX_POINTER, STRUCTURE, NetworkFile

if TYPE_CHECKING:
    pass

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold
ROOM = 20  # characters that a label leaves for a number


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a compressed .npz without time stamps, members sorted by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            npy.write_array(member, arrays[name], version=(1, 0))
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


# Reading.


def read(data: bytes, *files: File, trees: Mapping[str, Tree] | None = None) -> tuple[File, Tree]:
    """Read a file that may hold anything. Return its description and its tree.

    Several ``files`` describe the variants of a chip. ``trees`` are other files of the bundle, by
    name. Raises ``InputError`` (U605) if the file is damaged. Raises an error of the description's
    code if the chip does not take a value.
    """
    faults = Faults()
    file = files[0]
    tree = file.parse(data, faults)
    if not faults:
        file = _of_variant(tree, files, faults)
    if not faults:
        file.check(tree, trees or {}, faults)
    raise_faults(file, faults)
    return file, tree


def _of_variant(tree: Tree, files: Sequence[File], faults: Faults) -> File:
    """Return the description of the tree's variant."""
    if len(files) == 1:
        return files[0]
    variant = tree.get("variant") if isinstance(tree, dict) else None
    variants = {file.variant: file for file in files}
    if not isinstance(variant, str) or variant not in variants:
        faults.damaged("variant", "the variant is unknown", variant, ", ".join(variants))
        return files[0]
    return variants[variant]


def raise_faults(file: File, faults: Faults) -> None:
    """Raise an error if there are faults. Of a damaged file, report the first damage only."""
    log = Log(file=file.name)
    damaged = [fault for fault in faults.all if fault.damaged]
    for fault in damaged[:1]:
        finding = UnusableBundle(
            where=fault.path,
            problem=fault.text,
            found=fault.found,
            limit=fault.allowed,
            help="compile the model again; a bundle's files are not meant to be edited",
        )
        log.add(finding)
    for fault in [] if damaged else faults.all:
        finding = file.finding(
            where=fault.path,
            problem=fault.text,
            found=fault.found,
            limit=fault.allowed,
            source=fault.source or file.source,
        )
        log.add(finding)
    log.raise_if_errors()


def assert_good(file: File, tree: Tree, trees: Mapping[str, Tree] | None = None) -> None:
    """Raise ``AssertionError`` if nirc is about to write a file that it would not read."""
    faults = Faults(exact=False)
    file.check(tree, trees or {}, faults)
    if faults:
        raise AssertionError(f"{file.name}: {faults.all[0]}")


# Network files as dataclasses. Plain numpy reads them. No time is in a file, so that its bytes
# depend on the tables alone.


class Labels:
    """Makes printable, short names of blocks from names of a program, none twice."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def new(self, name: str, most: int = MAX_NAME - ROOM) -> str:
        """Return ``name``, cut to ``most`` characters, with a number if it is taken."""
        base = label = printable(name, most) or "unnamed"
        number = 1
        while label in self.taken:
            number += 1
            label = f"{base}~{number}"
        self.taken.add(label)
        return label


@dataclass(frozen=True)
class Output:
    """Columns of the output: spikes of ``neurons`` (k,) of a population, or v of a readout."""

    population: str
    neurons: NDArray[np.signedinteger[Any]]


class Network:
    """Base of a chip's tables: ``channels`` of the raster, and a tuple of blocks for each kind."""

    channels: int
    inputs: tuple[Any, ...]
    populations: tuple[Any, ...]
    outputs: tuple[Output, ...]

    def sizes(self) -> dict[str, int]:
        """Return the lines of each input and the neurons of each population, by name."""
        return {block.name: block.n for block in (*self.inputs, *self.populations)}


N = TypeVar("N", bound=Network)


def pointers(axis: str, doc: str) -> Array:
    """Describe an array of numbers that point to something."""
    return Array("<i4", (axis,), 0, MAX_POINTER, points=True, doc=doc)


CHANNELS = Integer(0, MAX_POINTER, doc="width of the raster")
OUTPUTS = Many(
    Object(
        {
            "population": Text(MAX_NAME),
            "neurons": pointers("k", "outputs stand side by side, in order"),
        }
    ),
    "outputs",
)


def tree_of(file: NetworkFile, network: Network) -> Tree:
    """Return the tree of a network file. An array that is None is left out."""
    tree: Tree = {"format": vars(file.root.fields["format"])["value"], "channels": network.channels}
    for kind, rows in vars(network).items():
        if kind == "channels":
            continue
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
    """Return all arrays that a block may have, by name."""
    cases: list[Kind | None] = [kind]
    if isinstance(kind, Switch):
        cases = [case for _, case in kind.cases]
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


def to_npz(file: NetworkFile, network: Network) -> bytes:
    """Return the bytes of the file. Raises as ``read`` does if nirc would not read them."""
    tree = tree_of(file, network)
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
    """Return the archive of a tree, the same for the same tree on every machine."""
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
    file: NetworkFile, data: bytes, tables: Callable[..., N], makers: Mapping[str, Any]
) -> N:
    """Return a network with read-only arrays. ``makers``: of a block of each kind.

    Raises as ``read`` does.
    """
    _, tree = read(data, file)
    blocks = {}
    for kind, make in makers.items():
        blocks[kind] = tuple(
            make(**{name: value for name, value in block.items() if name != "arrays"})
            for block in tree[kind]
        )
    return tables(channels=tree["channels"], **blocks)
