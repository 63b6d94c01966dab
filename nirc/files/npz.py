"""Network files: blocks of named fields and arrays in one .npz, written the same way and read as if hostile.

The file holds ``network``, the structure as JSON text in bytes, and one array a field under ``populations/0/threshold``
and so on; plain numpy reads it, ``allow_pickle=False``. Nothing in it is compressed and no time is in it, so that its
bytes depend on the tables alone and a reader needs no more memory than the file. A file that is not as nirc writes it
is refused (U605); values that the chip does not take (the backend's code) are all collected.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.diagnostics.errors import NircError
from nirc.files.bounds import MAX_NAME, MAX_TOTAL_BYTES, printable
from nirc.files.chipfiles import EPOCH
from nirc.files.json import JsonReader, Tree

STRUCTURE = "network"
MAX_STRUCTURE_BYTES = 1 << 24
MAX_INDEX = (1 << 31) - 1

ROOM = 20  # characters that a label leaves for a number

Allowed = tuple[float, float]
Numbers = NDArray[Any]


@dataclass(frozen=True)
class ArrayField:
    """An array of a block: exact type, range of its values and the source of that range."""

    dtype: str
    allowed: Allowed
    source: str = ""
    optional: bool = False


@dataclass(frozen=True)
class BlockKind:
    """What each block of a kind holds. ``make``: the dataclass with all these fields.

    ``nested``: fields that are a dataclass of their own or None; each with what reads it, given JSON and its path.
    """

    make: Any
    words: tuple[str, ...] = ("name",)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    numbers: Mapping[str, tuple[tuple[int, int], str]] = field(default_factory=dict)  # range, source
    nested: Mapping[str, Callable[[JsonReader, Any, str], Any]] = field(default_factory=dict)
    arrays: Mapping[str, ArrayField] = field(default_factory=dict)


class Labels:
    """Names of blocks, made from names of a program: printable, not too long, none twice, none of ``taken``."""

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


class NpzFormat(JsonReader):
    """Packs blocks and takes them apart. ``kinds``: by name, in the order of the file. One object a file.

    ``code`` and ``source``: of the chip's ranges.
    """

    def __init__(self, file: str, form: str, kinds: Mapping[str, BlockKind], *, code: str, source: str) -> None:
        super().__init__(file, code=code, source=source, max_bytes=MAX_STRUCTURE_BYTES)
        self.form, self.kinds = form, kinds

    def pack(self, channels: int, blocks: Mapping[str, Iterable[Any]]) -> bytes:
        """The bytes of the file: the same for the same blocks, whatever the machine."""
        structure: Tree = {"format": self.form, "channels": channels}
        members: dict[str, Numbers] = {}
        for kind, described in self.kinds.items():
            structure[kind] = []
            for i, block in enumerate(blocks[kind]):
                fields = dict(vars(block))
                arrays = {name: fields.pop(name) for name in described.arrays}
                fields |= {name: asdict(fields[name]) for name in described.nested if fields[name] is not None}
                present = [name for name, array in arrays.items() if array is not None]
                members |= {f"{kind}/{i}/{name}": arrays[name].astype(described.arrays[name].dtype) for name in present}
                structure[kind].append({**fields, "arrays": present})
        text = json.dumps(structure, sort_keys=True, default=int).encode()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name, array in {STRUCTURE: np.frombuffer(text, np.uint8), **members}.items():
                member = io.BytesIO()
                npy.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
        return packed.getvalue()

    def unpack(self, data: bytes) -> tuple[int, dict[str, tuple[Any, ...]]]:
        """Channels and blocks by kind, each field of the right type, arrays read-only; nothing compared yet.

        Raises ``InputError`` (U605) if the file is damaged.
        """
        if len(data) > MAX_TOTAL_BYTES:
            self.damaged("the file is too large", "", len(data), f"{MAX_TOTAL_BYTES} bytes")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return self._unpacked(archive, len(data))
        except NircError:
            raise
        except Exception as error:  # the parsers of numpy and zipfile raise a dozen classes
            reason = printable(str(error), 120)
            self.damaged(f"the file is damaged: {reason}", "", data[:8], "a file that nirc wrote")

    def _unpacked(self, archive: zipfile.ZipFile, size: int) -> tuple[int, dict[str, tuple[Any, ...]]]:
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) < len(archive.infolist()) or sum(info.file_size for info in infos.values()) > size:
            self.damaged("members of the archive overlap", "", len(archive.infolist()), "members apart")
        self._archive, self._unread = archive, infos
        tree = self.parse(self._member(STRUCTURE, STRUCTURE, "|u1").tobytes())
        self.keys(tree, "", ("format", "channels", *self.kinds))
        if tree["format"] != self.form:
            self.damaged("the format is unknown", "format", tree["format"], self.form)
        blocks = {kind: tuple(self._blocks(tree[kind], kind)) for kind in self.kinds}
        if self._unread:
            self.damaged("a member is unknown", printable(min(self._unread)), None, "no such member")
        return self.integer(tree["channels"], (0, MAX_INDEX), "channels"), blocks

    def _blocks(self, value: Any, kind: str) -> list[Any]:
        """The blocks of one kind."""
        described = self.kinds[kind]
        scalars = (*described.words, *described.choices, *described.flags, *described.numbers)
        names = (*scalars, *described.nested, "arrays")
        made = []
        for i, entry in enumerate(self.as_list(value, kind)):
            path = f"{kind}[{i}]"
            block = self.as_object(entry, path, names)
            fields: dict[str, Any] = {name: self._word(block[name], f"{path}.{name}") for name in described.words}
            for name, allowed in described.choices.items():
                fields[name] = self._choice(block[name], allowed, f"{path}.{name}")
            fields |= {name: self.flag(block[name], f"{path}.{name}") for name in described.flags}
            # Ranges are looked at with those of the arrays.
            for name in described.numbers:
                fields[name] = self.integer(block[name], (-MAX_INDEX, MAX_INDEX), f"{path}.{name}")
            fields |= {name: read(self, block[name], f"{path}.{name}") for name, read in described.nested.items()}
            listed = self.as_list(block["arrays"], f"{path}.arrays")
            present = [name for name, array in described.arrays.items() if not array.optional or name in listed]
            self.same(listed, present, f"{path}.arrays")
            for name in present:
                fields[name] = self._member(f"{kind}/{i}/{name}", f"{path}.{name}", described.arrays[name].dtype)
            made.append(described.make(**fields))
        return made

    def _member(self, name: str, path: str, dtype: str) -> Numbers:
        """An array of exactly this type; no more memory is taken than the file has bytes for it."""
        info = self._unread.pop(f"{name}.npy", None)
        if info is None:
            self.damaged("an array is missing", path, None, f"member {name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            self.damaged("an array is compressed", path, info.compress_size, "stored members, as nirc writes them")
        stream = io.BytesIO(self._archive.read(info))
        version = npy.read_magic(stream)
        if version != (1, 0):
            self.damaged("the array's format version is unknown", path, version, "1.0")
        shape, fortran, found = npy.read_array_header_1_0(stream)
        if found.str != dtype or fortran:
            self.damaged("an array has another type", path, f"{found.str} {shape}"[:60], f"{dtype} in C order")
        return np.frombuffer(stream.read(), found).reshape(shape)  # raises if they do not fit each other

    def _word(self, value: Any, path: str) -> str:
        """A name."""
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
            self.damaged("a name is missing", path, value, f"1 to {MAX_NAME} printable characters")
        return value

    def _choice(self, value: Any, allowed: tuple[str, ...], path: str) -> str:
        """One of a few words."""
        if not isinstance(value, str) or value not in allowed:
            self.damaged("a word is unknown", path, value, ", ".join(allowed))
        return value

    # What the checks of a backend's tables are made of.

    def ranges(self, blocks: Mapping[str, Iterable[Any]]) -> None:
        """Note everything outside the chip's ranges, once a field."""
        for kind, described in self.kinds.items():
            for i, block in enumerate(blocks[kind]):
                for name, (allowed, source) in described.numbers.items():
                    self._range(np.array([getattr(block, name)]), allowed, f"{kind}[{i}].{name}", source)
                for name, wanted in described.arrays.items():
                    if (array := getattr(block, name)) is not None:
                        self._range(array, wanted.allowed, f"{kind}[{i}].{name}", wanted.source)

    def _range(self, values: Numbers, allowed: Allowed, path: str, source: str) -> None:
        if values.size == 0 or (values.min() >= allowed[0] and values.max() <= allowed[1]):  # false for NaN
            return
        bad = values[~((values >= allowed[0]) & (values <= allowed[1]))]
        others = f"; so are {len(bad) - 1} more values of this field" if len(bad) > 1 else ""
        self.outside(path, bad[0].item(), allowed, f"a value is outside the chip's range{others}", source)

    def indices(self, index: Numbers, n: int, path: str) -> None:
        """One or more numbers below ``n``."""
        self.shape(index, (max(1, index.size),), path)
        self.within(index, n, path)

    def within(self, index: Numbers, n: int, path: str) -> None:
        """Numbers below ``n``."""
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < n:
            self.damaged("a number points to nothing", path, f"{index.min()}..{index.max()}", f"0..{n - 1}")

    def shape(self, array: Numbers, shape: tuple[int, ...], path: str) -> None:
        """An array of this shape."""
        if array.shape != shape:
            self.damaged("an array has another shape", path, array.shape, shape)

    def known(self, name: str, names: Mapping[str, int], path: str) -> int:
        """The size of a block that exists."""
        if name not in names:
            self.damaged("there is no such block to connect", path, name, "a block of the network; readouts only end")
        return names[name]

    def unique(self, blocks: Iterable[Any], what: str) -> None:
        """Names that are given once."""
        twice = [name for name, n in Counter(block.name for block in blocks).items() if n > 1]
        if twice:
            self.damaged(f"two of {what} have the same name", "", twice[0], "names that differ")

    def ends(self, block: Any, inputs: Iterable[Any], populations: Sequence[Any], path: str) -> tuple[int, int]:
        """Neurons of the ``source`` of a block, which sends, and of its ``target``, which is a population."""
        receivers = {population.name: population.n for population in populations}
        senders = {source.name: source.n for source in inputs}
        senders |= {population.name: population.n for population in populations if population.spikes}
        return self.known(block.source, senders, f"{path}.source"), self.known(
            block.target, receivers, f"{path}.target"
        )

    def outputs(self, outputs: Sequence[Any], populations: Iterable[Any]) -> None:
        """One or more outputs, each some neurons of a population."""
        if not outputs:
            self.damaged("the network has no outputs", "outputs", None, "one or more")
        sizes = {population.name: population.n for population in populations}
        for i, output in enumerate(outputs):
            n = self.known(output.population, sizes, f"outputs[{i}].population")
            self.indices(output.neurons, n, f"outputs[{i}].neurons")
