"""Network files: blocks of named fields and arrays in one .npz. deploy.py holds this module's text.

The file has ``network``, the structure as JSON text in bytes. Each field of a block is an array,
such as ``populations/0/threshold``. No member is compressed, so that a reader needs no more memory
than the file.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.files.description import File, Tree, parse_json
from nirc.files.faults import Faults, join
from nirc.files.kinds import Many

STRUCTURE = "network"
MAX_STRUCTURE_BYTES = 1 << 24
MAX_POINTER = (1 << 31) - 1


@dataclass(frozen=True)
class NetworkFile(File):
    """A network file. Its tree is the structure, with the arrays in the blocks that list them."""

    def parse(self, data: bytes, faults: Faults) -> Tree:
        """Return the tree of a file that may hold anything."""
        if len(data) > self.most_bytes:
            faults.damaged("", "the file is too large", len(data), f"{self.most_bytes} bytes")
            return None
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                blocks = [name for name, kind in self.root.fields.items() if isinstance(kind, Many)]
                return Members(archive, len(data), faults).tree(blocks)
        except Exception as error:  # the parsers of numpy and zipfile raise a dozen classes
            message = f"the file is damaged: {str(error)[:100]!a}"
            faults.damaged("", message, data[:8], "a file that nirc wrote")
            return None


class Members:
    """Takes the members of an archive, one after the other."""

    def __init__(self, archive: zipfile.ZipFile, size: int, faults: Faults) -> None:
        self.archive = archive
        self.faults = faults
        infos = archive.infolist()
        self.unread = {info.filename: info for info in infos}
        if len(self.unread) < len(infos) or sum(info.file_size for info in infos) > size:
            raise ValueError("members of the archive overlap")

    def tree(self, kinds: Sequence[str]) -> Tree:
        """Return the structure, with the arrays of its blocks. ``kinds`` are lists of blocks."""
        structure = self.member(STRUCTURE, STRUCTURE)
        if structure is None:
            return None
        tree = parse_json(structure.tobytes(), MAX_STRUCTURE_BYTES, self.faults)
        if not isinstance(tree, dict):
            return tree
        lists = {kind: tree[kind] for kind in kinds if isinstance(tree.get(kind), list)}
        known = len(lists) == len(kinds)
        for kind, blocks in lists.items():
            for i, block in enumerate(blocks):
                if isinstance(block, dict) and "arrays" in block:
                    self.block(block, f"{kind}[{i}]", f"{kind}/{i}")
                else:
                    known = False
        for name in sorted(self.unread) if known else ():
            message = "a member of the archive is unknown"
            self.faults.damaged(ascii(name)[1:-1], message, None, "no such member")
        return tree

    def block(self, block: dict[str, Any], path: str, place: str) -> None:
        """Put the arrays of a block into it."""
        listed = block["arrays"]
        good = isinstance(listed, list) and all(isinstance(name, str) for name in listed)
        if not good or len(set(listed)) < len(listed) or set(listed) & set(block):
            message = "the names of arrays are missing"
            self.faults.damaged(f"{path}.arrays", message, listed, "names, each once")
            return
        for name in listed:
            array = self.member(f"{place}/{name}", join(path, name))
            if array is not None:
                block[name] = array

    def member(self, name: str, path: str) -> Any:
        """Return an array. Pickled objects are never opened."""
        info = self.unread.pop(f"{name}.npy", None)
        if info is None:
            self.faults.damaged(path, "an array is missing", None, f"member {name!a}.npy")
            return None
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError("an array is compressed")
        stream = io.BytesIO(self.archive.read(info))
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("the format version of an array is unknown")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if fortran or dtype.hasobject:
            raise ValueError(f"an array holds {dtype.str}, or is in another order")
        return np.frombuffer(stream.read(), dtype).reshape(shape)  # raises on a wrong size


# Parts of the rules of a network.


def check_pointers(path: str, pointers: Any, end: int, faults: Faults) -> None:
    """Note an array without a number, or with one that is not below ``end``."""
    if not pointers.size:
        faults.damaged(path, "an array is empty", pointers.shape, "one or more numbers")
    elif not 0 <= int(pointers.min()) <= int(pointers.max()) < end:
        found = f"{pointers.min()}..{pointers.max()}"
        faults.damaged(path, "a number points to nothing", found, f"0..{end - 1}")


def check_names(blocks: Sequence[Tree], what: str, faults: Faults) -> None:
    """Note names that are given twice."""
    count = Counter(block["name"] for block in blocks)
    for name in sorted(name for name, n in count.items() if n > 1):
        faults.damaged("", f"two of {what} have the same name", name, "names that differ")


def check_known(path: str, name: str, sizes: Mapping[str, int], faults: Faults) -> int:
    """Return the size of a block that exists, else 0."""
    if name not in sizes:
        allowed = "a block of the network; readouts only end"
        faults.damaged(path, "there is no such block to connect", name, allowed)
    return sizes.get(name, 0)


def check_outputs(tree: Tree, sizes: Mapping[str, int], faults: Faults) -> None:
    """Note outputs that are not neurons of a population, or that there is none."""
    if not tree["outputs"]:
        faults.damaged("outputs", "the network has no outputs", None, "one or more")
    for i, output in enumerate(tree["outputs"]):
        n = check_known(f"outputs[{i}].population", output["population"], sizes, faults)
        if output["population"] in sizes:
            check_pointers(f"outputs[{i}].neurons", output["neurons"], n, faults)
