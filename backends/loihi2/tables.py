"""What the emulator runs and Lava is given: populations and projections in the chip's integers; and their file.

``network.npz`` holds ``network``, the structure as JSON text in bytes, and one array a field under
``populations/0/bias_mant`` and so on; plain numpy reads it, ``allow_pickle=False``. Nothing in it is compressed and
no time is in it, so that its bytes depend on the tables alone and a reader needs no more memory than the file.
The file is hostile: one that is not as nirc writes it is refused (U605); values that the chip does not take (L810)
are all collected.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.backends.loihi2.geometry import Geometry
from nirc.backends.loihi2.limits import (
    BIAS_EXP,
    BIAS_MANT,
    CONV_MAP,
    CONV_MODELS,
    CONV_PADDING,
    CONV_STEP,
    CONV_WEIGHT,
    DELAY,
    DENSE_MODELS,
    DU,
    DV,
    LIF_MODELS,
    LOGS,
    STATE,
    TOOLS_1,
    VTH,
    WEIGHT,
    WEIGHT_BITS,
    WEIGHT_EXP,
)
from nirc.backends.loihi2.rule import SIGN_MODES, IntArray, SignMode
from nirc.errors import NircError
from nirc.frontend.bounds import MAX_NAME, MAX_TOTAL_BYTES, printable
from nirc.hostile_json import JsonReader, Tree

Kind = Literal["dense", "sparse", "conv"]
KINDS: tuple[Kind, ...] = ("dense", "sparse", "conv")

FILE = "network.npz"
FORMAT = "nirc-loihi2-1"
STRUCTURE = "network"
MAX_STRUCTURE_BYTES = 1 << 24
MAX_INDEX = (1 << 31) - 1
MAX_PRODUCTS = 1 << 34  # of a convolution in a step of the emulator
MAX_SEEN = 1 << 28  # values that it looks at


@dataclass(frozen=True)
class Input:
    """A source of spikes. ``channels`` (n,): which channel of the raster each of its n lines carries."""

    name: str
    channels: IntArray

    @property
    def n(self) -> int:
        """Lines."""
        return len(self.channels)


@dataclass(frozen=True)
class Population:
    """LIF neurons with one decay and one threshold. ``bias_mant``, ``bias_exp`` and ``v_init`` (n,): a value each.

    ``v_init`` is the membrane before the first step, in units of v. ``spikes`` false: a readout, whose v is the
    output. The chip fires and resets it like any other, so the compiler keeps its v below ``vth << 6``.
    """

    name: str
    du: int
    dv: int
    vth: int
    bias_mant: IntArray
    bias_exp: IntArray
    v_init: IntArray
    spikes: bool = True

    @property
    def n(self) -> int:
        """Neurons."""
        return len(self.bias_mant)


@dataclass(frozen=True)
class Projection:
    """Synapses from an input or population to a population, exactly as given to Lava's process of that ``kind``.

    Dense: ``weights`` and ``delays`` (targets, sources). Sparse: one entry a synapse in ``weights``, ``delays``,
    ``rows`` (its target neuron) and ``cols`` (its source), sorted by row, then column, none twice.
    Conv: ``weights`` (C_out, C_in / groups, y, x), a kernel in NIR's order, shared over space as ``geometry`` says;
    even, mixed, of 8 bits and exponent 0, since Lava's fixed-point model does nothing to them; no delays.
    ``delays`` are extra steps, None for none.
    """

    name: str
    source: str
    target: str
    kind: Kind
    weights: IntArray
    sign_mode: SignMode
    rows: IntArray | None = None
    cols: IntArray | None = None
    delays: IntArray | None = None
    num_weight_bits: int = 8
    weight_exp: int = 0
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Output:
    """Columns of the output: ``neurons`` (k,) of a population, their spikes or, for a readout, their v."""

    population: str
    neurons: IntArray


@dataclass(frozen=True)
class Tables:
    """A whole network. ``channels``: width of the raster. Outputs stand in order, one beside the other."""

    channels: int
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[Output, ...]

    def sizes(self) -> dict[str, int]:
        """Neurons of each population and lines of each input, by name."""
        sizes = {source.name: source.n for source in self.inputs}
        return sizes | {population.name: population.n for population in self.populations}


# The file: what each kind of block holds. Numbers and arrays come with their range and its source.

_Range = tuple[int, int]
_INDEX = (0, MAX_INDEX)  # compared with what it points into later
WORDS = {
    "inputs": ("name",),
    "populations": ("name",),
    "projections": ("name", "source", "target"),
    "outputs": ("population",),
}
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {"projections": {"kind": KINDS, "sign_mode": SIGN_MODES}}
FLAGS = {"populations": ("spikes",)}
NUMBERS: dict[str, dict[str, tuple[_Range, str]]] = {
    "populations": {"du": (DU, LIF_MODELS), "dv": (DV, LIF_MODELS), "vth": (VTH, LIF_MODELS)},
    "projections": {"num_weight_bits": (WEIGHT_BITS, DENSE_MODELS), "weight_exp": (WEIGHT_EXP, TOOLS_1)},
}
ARRAYS: dict[str, dict[str, tuple[str, _Range, str]]] = {
    "inputs": {"channels": ("<i4", _INDEX, "")},
    "populations": {
        "bias_mant": ("<i2", BIAS_MANT, LIF_MODELS),
        "bias_exp": ("<i2", BIAS_EXP, LIF_MODELS),
        "v_init": ("<i4", STATE, LIF_MODELS),
    },
    "projections": {
        "weights": ("<i2", WEIGHT, DENSE_MODELS),
        "rows": ("<i4", _INDEX, ""),
        "cols": ("<i4", _INDEX, ""),
        "delays": ("<i2", DELAY, DENSE_MODELS),
    },
    "outputs": {"neurons": ("<i4", _INDEX, "")},
}
GEOMETRY: dict[str, tuple[int, _Range, str]] = {  # numbers, range and its source; of shapes in the second
    "shape_in": (3, (1, MAX_INDEX), ""),
    "shape_out": (3, (1, MAX_INDEX), ""),
    "stride": (2, CONV_STEP, CONV_MODELS),
    "padding": (2, CONV_PADDING, CONV_MODELS),
    "dilation": (2, CONV_STEP, CONV_MODELS),
}
OPTIONAL = ("rows", "cols", "delays")
_BLOCKS: dict[str, Any] = {
    "inputs": Input,
    "populations": Population,
    "projections": Projection,
    "outputs": Output,
}


def to_npz(tables: Tables) -> bytes:
    """The bytes of ``network.npz``: the same for the same tables, whatever the machine.

    Raises ``CompileError`` (L810) for a value that the chip does not take, ``InputError`` (U605) if the tables
    contradict themselves.
    """
    _Reader().check(tables)
    structure: Tree = {"format": FORMAT, "channels": tables.channels}
    members: dict[str, Any] = {STRUCTURE: None}
    for kind in _BLOCKS:
        structure[kind] = []
        for i, block in enumerate(getattr(tables, kind)):
            fields = dict(vars(block))
            arrays = {name: fields.pop(name) for name in ARRAYS[kind]}
            present = [name for name, array in arrays.items() if array is not None]
            if isinstance(geometry := fields.get("geometry"), Geometry):
                fields["geometry"] = asdict(geometry)
            members |= {f"{kind}/{i}/{name}": arrays[name].astype(ARRAYS[kind][name][0]) for name in present}
            structure[kind].append({**fields, "arrays": present})
    text = json.dumps(structure, sort_keys=True, default=int).encode()
    members[STRUCTURE] = np.frombuffer(text, np.uint8)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            member = io.BytesIO()
            npy.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())  # with a fixed time, of 1980
    return packed.getvalue()


def from_npz(data: bytes) -> Tables:
    """The tables in the bytes of a ``network.npz``; its arrays are read-only, int16 or int32.

    Raises ``InputError`` (U605) if the file is damaged or contradicts itself, ``CompileError`` (L810) for values
    that the chip does not take; the diagnostics name field, value and allowed range.
    """
    reader = _Reader()
    if len(data) > MAX_TOTAL_BYTES:
        reader.damaged("the file is too large", "", len(data), f"{MAX_TOTAL_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tables = reader.tables(archive, len(data))
    except NircError:
        raise
    except Exception as error:  # the parsers of numpy and zipfile raise a dozen classes
        reader.damaged(f"the file is damaged: {printable(str(error), 120)}", "", data[:8], "a file that nirc wrote")
    reader.check(tables)
    return tables


class _Reader(JsonReader):
    """Takes the file apart, then looks whether the tables make sense."""

    def __init__(self) -> None:
        super().__init__(FILE, code="L810", source=LIF_MODELS, max_bytes=MAX_STRUCTURE_BYTES)

    # The file.

    def tables(self, archive: zipfile.ZipFile, size: int) -> Tables:
        """Everything in the archive of ``size`` bytes, each field of the right type."""
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) < len(archive.infolist()) or sum(info.file_size for info in infos.values()) > size:
            self.damaged("members of the archive overlap", "", len(archive.infolist()), "members apart")
        self.archive, self.unread = archive, infos
        tree = self.parse(self.member(STRUCTURE, STRUCTURE, "|u1").tobytes())
        self.keys(tree, "", ("format", "channels", *_BLOCKS))
        if tree["format"] != FORMAT:
            self.damaged("the format is unknown", "format", tree["format"], FORMAT)
        blocks = {kind: tuple(self.blocks(tree[kind], kind)) for kind in _BLOCKS}
        if self.unread:
            self.damaged("a member is unknown", printable(min(self.unread)), None, "no such member")
        return Tables(self.integer(tree["channels"], (0, MAX_INDEX), "channels"), **blocks)

    def blocks(self, value: Any, kind: str) -> list[Any]:
        """The inputs, the populations, the projections or the outputs."""
        words, flags = WORDS[kind], FLAGS.get(kind, ())
        choices, numbers = CHOICES.get(kind, {}), NUMBERS.get(kind, {})
        made = []
        for i, entry in enumerate(self.as_list(value, kind)):
            path = f"{kind}[{i}]"
            extra = ("geometry",) if kind == "projections" else ()
            block = self.as_object(entry, path, (*words, *choices, *flags, *numbers, *extra, "arrays"))
            fields: dict[str, Any] = {name: self.word(block[name], f"{path}.{name}") for name in words}
            fields |= {name: self.choice(block[name], allowed, f"{path}.{name}") for name, allowed in choices.items()}
            fields |= {name: self.flag(block[name], f"{path}.{name}") for name in flags}
            # Ranges are looked at with those of the arrays.
            fields |= {name: self.integer(block[name], (-MAX_INDEX, MAX_INDEX), f"{path}.{name}") for name in numbers}
            fields |= {name: self.geometry(block[name], f"{path}.{name}") for name in extra}
            listed = self.as_list(block["arrays"], f"{path}.arrays")
            present = [name for name in ARRAYS[kind] if name not in OPTIONAL or name in listed]
            self.same(listed, present, f"{path}.arrays")
            for name in present:
                fields[name] = self.member(f"{kind}/{i}/{name}", f"{path}.{name}", ARRAYS[kind][name][0])
            made.append(_BLOCKS[kind](**fields))
        return made

    def geometry(self, value: Any, path: str) -> Geometry | None:
        """A convolution's shapes and steps, whole numbers; none for other projections."""
        if value is None:
            return None
        block = self.as_object(value, path, (*GEOMETRY, "groups"))
        anything = (-MAX_INDEX, MAX_INDEX)
        lists = {
            name: tuple(self.array(block[name], (n,), anything, f"{path}.{name}").tolist())
            for name, (n, _, _) in GEOMETRY.items()
        }
        return Geometry(**lists, groups=self.integer(block["groups"], anything, f"{path}.groups"))

    def member(self, name: str, path: str, dtype: str) -> NDArray[Any]:
        """An array of exactly this type; no more memory is taken than the file has bytes for it."""
        info = self.unread.pop(f"{name}.npy", None)
        if info is None:
            self.damaged("an array is missing", path, None, f"member {name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            self.damaged("an array is compressed", path, info.compress_size, "stored members, as nirc writes them")
        stream = io.BytesIO(self.archive.read(info))
        version = npy.read_magic(stream)
        if version != (1, 0):
            self.damaged("the array's format version is unknown", path, version, "1.0")
        shape, fortran, found = npy.read_array_header_1_0(stream)
        if found.str != dtype or fortran:
            self.damaged("an array has another type", path, f"{found.str} {shape}"[:60], f"{dtype} in C order")
        return np.frombuffer(stream.read(), found).reshape(shape)  # raises if they do not fit each other

    def word(self, value: Any, path: str) -> str:
        """A name."""
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
            self.damaged("a name is missing", path, value, f"1 to {MAX_NAME} printable characters")
        return value

    def choice(self, value: Any, allowed: tuple[str, ...], path: str) -> str:
        """One of a few words."""
        if not isinstance(value, str) or value not in allowed:
            self.damaged("a word is unknown", path, value, ", ".join(allowed))
        return value

    # The tables.

    def check(self, tables: Tables) -> None:
        """Raise if they contradict themselves, or hold values that the chip does not take."""
        for i, source in enumerate(tables.inputs):
            self.indices(source.channels, tables.channels, f"inputs[{i}].channels")
        for i, population in enumerate(tables.populations):
            for name in ("bias_mant", "bias_exp", "v_init"):
                self.shape(getattr(population, name), (max(1, population.n),), f"populations[{i}].{name}")
        self.unique([*tables.inputs, *tables.populations], "the inputs and populations")
        self.unique(tables.projections, "the projections")
        for i, projection in enumerate(tables.projections):
            self.synapses(projection, tables, f"projections[{i}]")
        if not tables.outputs:
            self.damaged("the network has no outputs", "outputs", None, "one or more")
        populations = {population.name: population.n for population in tables.populations}
        for i, output in enumerate(tables.outputs):
            n = self.known(output.population, populations, f"outputs[{i}].population")
            self.indices(output.neurons, n, f"outputs[{i}].neurons")
        for kind in _BLOCKS:
            for i, block in enumerate(getattr(tables, kind)):
                self.values(block, kind, f"{kind}[{i}]")
        self.log.raise_if_errors()

    def synapses(self, projection: Projection, tables: Tables, path: str) -> None:
        """A projection whose ends exist and whose arrays fit them."""
        readouts = {population.name for population in tables.populations if not population.spikes}
        senders = {name: n for name, n in tables.sizes().items() if name not in readouts}
        sources = self.known(projection.source, senders, f"{path}.source")
        receivers = {population.name: population.n for population in tables.populations}
        targets = self.known(projection.target, receivers, f"{path}.target")
        rows, cols = projection.rows, projection.cols
        if (projection.geometry is not None) != (projection.kind == "conv"):
            self.damaged("convolutions have a geometry, no others", f"{path}.geometry", projection.kind, "conv")
        if projection.kind != "sparse" and (rows is not None or cols is not None):
            self.damaged(f"a {projection.kind} projection has no rows and columns", path, "rows, cols", "weights alone")
        if projection.geometry is not None:
            self.convolution(projection, projection.geometry, sources, targets, path)
        elif projection.kind == "dense":
            self.shape(projection.weights, (targets, sources), f"{path}.weights")
        elif rows is None or cols is None:
            self.damaged("the places of the synapses are missing", path, None, "rows and cols")
        else:
            self.shape(projection.weights, (projection.weights.size,), f"{path}.weights")
            for name, index, n in (("rows", rows, targets), ("cols", cols, sources)):
                self.shape(index, projection.weights.shape, f"{path}.{name}")
                self.within(index, n, f"{path}.{name}")
            if (np.diff(rows.astype(np.int64) * sources + cols) <= 0).any():
                self.damaged("synapses are out of order or double", path, "rows, cols", "by row, then column")
        if projection.delays is not None:
            self.shape(projection.delays, projection.weights.shape, f"{path}.delays")

    def convolution(self, p: Projection, g: Geometry, sources: int, targets: int, path: str) -> None:
        """A kernel that fits its geometry, and a geometry that fits its ends."""
        at = f"{path}.geometry"
        for name, (_, allowed, source) in GEOMETRY.items():
            self.range(np.array(getattr(g, name)), allowed, f"{at}.{name}", source)
        self.range(np.array([g.groups]), CONV_STEP, f"{at}.groups", CONV_MODELS)
        self.range(np.array([*g.shape_in[1:], *g.shape_out[1:]]), CONV_MAP, at, LOGS)
        self.log.raise_if_errors()
        if p.weights.ndim != 4 or g.shape_in[0] % g.groups or g.shape_out[0] % g.groups:
            self.damaged("groups do not divide the channels", at, g.groups, "a kernel of 4 axes, equal groups")
        kernel = (p.weights.shape[2], p.weights.shape[3])
        self.range(np.array(kernel), CONV_STEP, f"{path}.weights", CONV_MODELS)
        self.shape(p.weights, g.kernel_shape(kernel), f"{path}.weights")
        for name, n, found in (("shape_in", sources, g.n_in), ("shape_out", targets, g.n_out)):
            if n != found:
                self.damaged("a map has another size than its neurons", f"{at}.{name}", found, n)
        if g.covers(kernel) != g.shape_out[1:]:
            self.damaged("the kernel gives another output", f"{at}.shape_out", g.shape_out[1:], g.covers(kernel))
        for size, most in ((p.weights.size * g.positions, MAX_PRODUCTS), (g.looks_at(kernel), MAX_SEEN)):
            if size > most:
                self.damaged("the convolution is too large", at, size, most)
        fixed = (p.sign_mode, p.num_weight_bits, p.weight_exp, p.delays is None)
        if fixed != ("mixed", 8, 0, True):
            self.damaged("a convolution is mixed, of 8 bits, exponent 0 and no delays", path, fixed, "no such settings")
        if (p.weights & 1).any():
            odd = int(p.weights[(p.weights & 1) != 0].flat[0])
            self.outside(f"{path}.weights", odd, CONV_WEIGHT, "a weight of a convolution is odd", CONV_MODELS)

    def values(self, block: Any, kind: str, path: str) -> None:
        """Note everything outside the chip's ranges, once a field."""
        for name, (allowed, source) in NUMBERS.get(kind, {}).items():
            self.range(np.array([getattr(block, name)]), allowed, f"{path}.{name}", source)
        for name, (_, allowed, source) in ARRAYS[kind].items():
            if (array := getattr(block, name)) is not None:
                self.range(array, allowed, f"{path}.{name}", source)

    def range(self, values: IntArray, allowed: _Range, path: str, source: str) -> None:
        """Note the first of ``values`` that is not in ``allowed``."""
        if values.size and not allowed[0] <= int(values.min()) <= int(values.max()) <= allowed[1]:
            bad = values[(values < allowed[0]) | (values > allowed[1])]
            others = f"; so are {len(bad) - 1} more values of this field" if len(bad) > 1 else ""
            self.outside(path, int(bad[0]), allowed, f"a value is outside the chip's range{others}", source)

    def indices(self, index: IntArray, n: int, path: str) -> None:
        """One or more numbers below ``n``."""
        self.shape(index, (max(1, index.size),), path)
        self.within(index, n, path)

    def within(self, index: IntArray, n: int, path: str) -> None:
        """Numbers below ``n``."""
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < n:
            self.damaged("a number points to nothing", path, f"{index.min()}..{index.max()}", f"0..{n - 1}")

    def shape(self, array: IntArray, shape: tuple[int, ...], path: str) -> None:
        """An array of this shape."""
        if array.shape != shape:
            self.damaged("an array has another shape", path, array.shape, shape)

    def known(self, name: str, names: dict[str, int], path: str) -> int:
        """The size of a block that exists."""
        if name not in names:
            self.damaged("there is no such block to connect", path, name, "a block of the network; readouts only end")
        return names[name]

    def unique(self, blocks: Sequence[Input | Population | Projection], what: str) -> None:
        """Names that are given once."""
        twice = [name for name, n in Counter(block.name for block in blocks).items() if n > 1]
        if twice:
            self.damaged(f"two of {what} have the same name", "", twice[0], "names that differ")
