"""Files that backends write and read: archives, network files, scripts.

A file that is read is checked against its description.
"""

from __future__ import annotations

import ast
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files as resources
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

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
    from jinja2 import Template

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold
WIDTH = 116  # of a line of a script
ROOM = 20  # characters that a label leaves for a number
# Every script holds the text of these modules.
CHECKER = tuple(
    f"nirc.files.{name}"
    for name in ("faults", "kinds", "runs", "description", "manifest", "running")
)
NUMPY = """
try:
    import numpy as np
except ImportError:  # --help works without it
    np = None"""


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


# Scripts.


def deploy_script(
    package: str, files: Sequence[File], modules: Sequence[str], **values: object
) -> bytes:
    """Render deploy.py of ``package``.

    ``files`` describe the bundle's files. ``modules`` of nirc check their fields against each
    other. The template gets ``imports``, of the standard library and numpy, and ``checker``, the
    text of modules and descriptions.
    """
    texts = {name: _text_of(name) for name in (*CHECKER, *modules)}
    described = "".join(f"    {literal(file, 4)},\n" for file in files)
    parts = [f"# From {name}.\n\n\n{_code_of(text)}" for name, text in texts.items()]
    checker = "\n\n\n".join([*parts, f"FILES = [\n{described}]"])
    return script(
        package,
        "deploy.py.j2",
        imports=_imports_of(tuple(texts.values())),
        checker=checker,
        **values,
    )


def script(package: str, template: str, **values: object) -> bytes:
    """Render ``package``'s jinja2 template. A missing value is an error."""
    return _template(package, template).render(**values).encode()


@cache
def _template(package: str, name: str) -> Template:
    """Return the template. It takes longer to read than to render."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)


@cache
def _text_of(module: str) -> str:
    package, _, name = module.rpartition(".")
    return (resources(package) / f"{name}.py").read_text(encoding="utf-8")


def _is_import(node: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


@cache
def _code_of(text: str) -> str:
    """Return a module's text from the first line after its imports."""
    last = max(node.end_lineno or 0 for node in ast.parse(text).body if _is_import(node))
    return "\n".join(text.splitlines()[last:]).strip("\n")


@cache
def _imports_of(texts: tuple[str, ...]) -> str:
    """Return the imports of ``texts`` from the standard library. numpy may be missing."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in chain.from_iterable(ast.parse(text).body for text in texts):
        if isinstance(node, ast.Import):
            plain |= {f"import {alias.name}" for alias in node.names if alias.name != "numpy"}
        elif isinstance(node, ast.ImportFrom) and not f"{node.module}.".startswith(
            ("nirc.", "__future__.")
        ):
            names.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
    froms = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    return "\n".join(["from __future__ import annotations\n", *sorted(plain), *froms, NUMPY])


def literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return Python text of data and of descriptions, in lines of at most ``WIDTH`` characters.

    ``before``: characters before the text in its line.
    """
    opening, parts, closing = _parts(value)
    short = (
        opening + ", ".join(label + literal(inner, -(1 << 20)) for label, inner in parts) + closing
    )
    if indent + before + len(short) <= WIDTH or not parts:
        return short
    space = " " * (indent + 4)
    lines = "".join(
        f"{space}{label}{literal(inner, indent + 4, len(label))},\n" for label, inner in parts
    )
    return f"{opening}\n{lines}{' ' * indent}{closing[-1]}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Return the text before, in and behind the brackets. Each part has a label and a value."""
    if is_dataclass(value):
        kept = [f for f in fields(value) if f.repr and getattr(value, f.name) != f.default]
        labels = ["" if f.default is MISSING else f"{f.name}=" for f in kept]
        inner = [getattr(value, f.name) for f in kept]
        return f"{type(value).__name__}(", list(zip(labels, inner, strict=True)), ")"
    if isinstance(value, dict):
        return "{", [(f"{key!r}: ", inner) for key, inner in value.items()], "}"
    if isinstance(value, list):
        return "[", [("", inner) for inner in value], "]"
    if isinstance(value, tuple):
        return "(", [("", inner) for inner in value], ",)" if len(value) == 1 else ")"
    return value.__name__ if callable(value) else repr(value), [], ""
