"""Read a hostile HDF5 file to a raw graph. No link is followed, no size is trusted, no code is run.

Layout (NIR specification): group ``node`` with datasets ``type`` and ``edges`` and group ``nodes``.
Nested graphs have the same layout. Groups called ``metadata`` are ignored, except for a text of the
outermost graph that names the writer of the file. Nodes are sorted by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nirc.diagnostics.file import (
    EXPORT_AGAIN,
    UNFINISHED,
    CannotOpen,
    NoGraphType,
    NoNodeType,
    NotNir,
    NotNumbersOrText,
    SlashInName,
    StoredElsewhere,
    TooMuchAsked,
    UnreadableNames,
)
from nirc.diagnostics.log import Log
from nirc.diagnostics.writer import NoteUnusable
from nirc.files.bounds import (
    MAX_DEPTH,
    MAX_EDGES,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_NAME,
    MAX_NODES,
    MAX_REPORTED,
    MAX_TOTAL_BYTES,
    MAX_TOTAL_FIELDS,
    RefusalError,
    at,
    damage,
    printable,
    refused,
)
from nirc.files.foreign import check_file, check_hdf5, identify_hdf5
from nirc.files.hdf5.file import Hdf5, shape_of
from nirc.files.hdf5.text import Texts, is_text
from nirc.frontend.raw import (
    FROM_KEY,
    FROM_PLACE,
    INTEGERS_KEY,
    Field,
    RawGraph,
    RawNode,
    bytes_of,
    is_large,
    of_first_row,
    recorded_text,
)

NO_FIELDS = ("type", "metadata")
GRAPH = ("nodes", "edges", "type")  # the members of a NIRGraph, as nir 1.0.8 writes them


def read_raw(path: Path, log: Log, *, outline: bool = False) -> RawGraph:
    """Return the graph as stored. Raises ``InputError`` with all faults (F101 to F108, F113).

    ``outline``: read the first row only of large matrices, see ``nirc.frontend.raw``.
    """
    reader = _Reader(log, outline=outline)
    graph = RawGraph({}, ())
    with reader.reporting(""):
        check_file(path)
        check_hdf5(path)
        with Hdf5(path) as file:
            graph = reader.model(file)
    log.raise_if_errors()
    return graph


class _Reader:
    """State for all groups of a file: the budget, the path of groups, and warnings for the end."""

    def __init__(self, log: Log, *, outline: bool) -> None:
        self.log = log
        self.outline = outline
        self.bytes = 0
        self.nodes = 0
        self.fields = 0
        self.edges = 0
        self.path: list[int] = []  # addresses of the groups around: a hard link may lead back up
        self.slashed: list[str] = []

    @contextmanager
    def reporting(self, where: str) -> Iterator[None]:
        """Report a refusal inside the block at ``where``. Reading continues after the block."""
        try:
            with at(where):
                yield
        except OSError as error:  # of the disk: the file was opened before
            reason = error.strerror or str(error)
            self.log.add(CannotOpen(path=printable(self.log.file), reason=reason))
            self.log.raise_if_errors()
        except RefusalError as refusal:
            self.log.add(refusal.finding)
            if len(self.log.errors) >= MAX_REPORTED:
                self.log.raise_if_errors()

    def model(self, hdf5: Hdf5) -> RawGraph:
        """Return the graph below ``/node``."""
        self.hdf5 = hdf5
        self.texts = Texts(hdf5)
        names = hdf5.names(hdf5.root)
        if "node" not in names:
            raise identify_hdf5(hdf5, names)
        node = hdf5.open(hdf5.root, "node")
        if not self.hdf5.is_group(node):
            raise refused(NotNir, "`node` is not a group", help=EXPORT_AGAIN)
        members = hdf5.names(node)
        missing = [name for name in GRAPH if name not in members]
        if missing not in ([], ["type"]) and set(members) <= {*GRAPH, "metadata"}:
            raise _unfinished(missing, members)
        kind = self._top_type(node, members)
        if kind != "NIRGraph" or "nodes" not in members:
            found = ", ".join(map(printable, members[:8]))
            help_ = EXPORT_AGAIN
            if kind != "NIRGraph":
                found = printable(kind)
                help_ = "did you mean NIRGraph?" if kind.lower() == "nirgraph" else EXPORT_AGAIN
            limit = "NIRGraph with `nodes` and `edges`"
            raise refused(NotNir, "`node` is not a NIR graph", found, limit, help_)
        graph = replace(
            self._graph(node, members, "", self._version(names)),
            recorded=self._recorded(node, members),
            integers=self._integers(node, members),
        )
        if self.slashed:
            self.log.add(SlashInName(where="nodes", names=[printable(n) for n in self.slashed]))
        return graph

    def _top_type(self, node: Any, members: list[str]) -> str:
        if "type" in members:
            with at("type"):
                return self.texts.one(self.hdf5.open(node, "type"))
        if "nodes" in members and "edges" in members:
            self.log.add(NoGraphType(where="type"))
            return "NIRGraph"
        return "nothing with a type"

    def _version(self, names: list[str]) -> str:
        if "version" in names:
            with self.reporting("version"):
                item = self.hdf5.open(self.hdf5.root, "version")
                return self.texts.one(item) if self.hdf5.is_dataset(item) and is_text(item) else ""
        return ""

    def _recorded(self, node: Any, members: list[str]) -> str:
        """Return the text that names the file's writer, or "". Warn (W207) of other contents."""
        try:
            group = self.hdf5.open(node, "metadata") if "metadata" in members else None
            if (
                group is None
                or not self.hdf5.is_group(group)
                or FROM_KEY not in self.hdf5.names(group)
            ):
                return ""
            return recorded_text(self.texts.one(self.hdf5.open(group, FROM_KEY)), "file")
        except RefusalError as refusal:
            note = refusal.finding
            if not isinstance(note, NoteUnusable):
                words = note.words()
                note = NoteUnusable(
                    where=FROM_PLACE, problem=words.message, found=words.found, limit=words.limit
                )
            self.log.add(note)
            return ""

    def _integers(self, node: Any, members: list[str]) -> bytes:
        """Return the bytes of integers for a chip, or none. Other contents are none."""
        with suppress(RefusalError):
            group = self.hdf5.open(node, "metadata") if "metadata" in members else None
            if group is None or not self.hdf5.is_group(group):
                return b""
            if INTEGERS_KEY in self.hdf5.names(group):
                item = self.hdf5.open(group, INTEGERS_KEY)
                if self.hdf5.is_dataset(item) and not is_text(item):
                    return bytes_of(self.hdf5.numbers(item))
        return b""

    @contextmanager
    def _inside(self, group: Any) -> Iterator[None]:
        """Enter a group. Refuse a group that is too deep or contains itself."""
        address = self.hdf5.address(group)
        if address in self.path:
            problem = "a group contains itself by a hard link"
            raise refused(StoredElsewhere, problem, limit="a tree of groups", help=EXPORT_AGAIN)
        if len(self.path) >= MAX_DEPTH:
            problem = "graphs are nested too deep"
            raise refused(TooMuchAsked, problem, limit=f"{MAX_DEPTH} HDF5 groups")
        self.path.append(address)
        try:
            yield
        finally:
            self.path.pop()

    def _graph(self, group: Any, members: list[str], path: str, version: str = "") -> RawGraph:
        """Read a group with ``nodes`` and ``edges``.

        ``path``: below /node, "" for the outermost.
        """
        nodes: dict[str, RawNode] = {}
        edges: tuple[tuple[str, str], ...] = ()
        with self._inside(group):
            with self.reporting(_join(path, "nodes")):
                if "nodes" not in members:
                    raise refused(UnreadableNames, "a graph has no group `nodes`", help=UNFINISHED)
                self._nodes(self.hdf5.open(group, "nodes"), _join(path, "nodes"), "", nodes)
            with self.reporting(_join(path, "edges")):
                if "edges" not in members:
                    raise refused(UnreadableNames, "a graph has no list `edges`", help=UNFINISHED)
                edges = self._edges(self.hdf5.open(group, "edges"))
        return RawGraph(dict(sorted(nodes.items())), edges, version)

    def _nodes(self, group: Any, path: str, lead: str, nodes: dict[str, RawNode]) -> None:
        """Add the nodes of a group. ``lead``: the part of their names before the last slash."""
        if not self.hdf5.is_group(group):
            raise refused(UnreadableNames, "`nodes` is not a group", help=EXPORT_AGAIN)
        with self._inside(group):
            for name in self.hdf5.names(group):
                with self.reporting(_join(path, name)):
                    self._count_node(lead + name)
                    plain = self._plain_node(group, name, _join(path, name))
                    if plain is not None:
                        nodes[lead + name] = plain
                        continue
                    self._child(self.hdf5.open(group, name), _join(path, name), lead + name, nodes)

    def _count_node(self, name: str) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._give_up("there are too many nodes", f"{MAX_NODES} nodes")
        if len(name) > MAX_NAME:
            problem = "a node's name is too long"
            found = f"{len(name)} characters"
            raise refused(TooMuchAsked, problem, found, f"{MAX_NAME} characters")

    def _count_fields(self, count: int) -> None:
        if count > MAX_FIELDS:
            raise refused(TooMuchAsked, "a node has too many fields", str(count), str(MAX_FIELDS))
        self.fields += count
        if self.fields > MAX_TOTAL_FIELDS:
            self._give_up("the nodes have too many fields", f"{MAX_TOTAL_FIELDS} fields")

    def _give_up(self, problem: str, limit: str) -> None:
        """Raise ``InputError``: reading more would take too long."""
        self.log.add(TooMuchAsked(where="nodes", problem=problem, limit=limit))
        self.log.raise_if_errors()

    def _child(self, group: Any, path: str, name: str, nodes: dict[str, RawNode]) -> None:
        """Read a node, or the nodes of a group without a type, whose names have a slash."""
        members = self.hdf5.names(group) if self.hdf5.is_group(group) else []
        if "type" in members:
            nodes[name] = self._node(group, members, path, name, nodes)
        elif {"nodes", "edges"} <= set(members):
            self.log.add(NoGraphType(where=_join(path, "type")))
            nodes[name] = RawNode(path, "NIRGraph", graph=self._graph(group, members, path))
        elif members and any(self.hdf5.is_group(self.hdf5.open(group, m)) for m in members):
            self.slashed.append(f"{name}/...")
            self._nodes(group, path, f"{name}/", nodes)
        else:
            found = (
                "no field at all" if self.hdf5.is_group(group) else "a dataset instead of a group"
            )
            found = ", ".join(map(printable, members[:8])) or found
            raise RefusalError(NoNodeType(members=found))

    def _plain_node(self, group: Any, name: str, path: str) -> RawNode | None:
        """Return a node whose fields are all of the usual layout, None if it is another."""
        plain, members = self.hdf5.plain, self.hdf5.plain_members(group, name)
        if plain is None or members is None or "type" not in members:
            return None
        reference = plain.reference(members["type"])
        numbers = {key: plain.array(at) for key, at in members.items() if key not in NO_FIELDS}
        if reference is None:
            return None
        fields = {}
        for key, array in numbers.items():
            if array is None or (self.outline and is_large(array.shape)):
                return None
            fields[printable(key)] = array
        total = sum(array.nbytes for array in fields.values())
        with suppress(RefusalError):
            kind = printable(self.texts.at(reference))
            if kind != "NIRGraph" and total <= MAX_TOTAL_BYTES - self.bytes:
                self._count_fields(len(members))
                self.bytes += total
                return RawNode(path, kind, fields)
        return None

    def _node(
        self, group: Any, members: list[str], path: str, name: str, nodes: dict[str, RawNode]
    ) -> RawNode:
        with at(_join(path, "type")):
            kind = printable(self.texts.one(self.hdf5.open(group, "type")))
        self._count_fields(len(members))
        if kind == "NIRGraph":
            return RawNode(path, kind, graph=self._graph(group, members, path))
        fields: dict[str, Field] = {}
        with self._inside(group):
            for field in members:
                if field in NO_FIELDS:
                    continue
                with self.reporting(_join(path, field)):
                    item = self.hdf5.open(group, field)
                    if self.hdf5.is_group(item) and "type" in self.hdf5.names(item):
                        self.slashed.append(f"{name}/{field}")
                        self._count_node(f"{name}/{field}")
                        self._child(item, _join(path, field), f"{name}/{field}", nodes)
                    else:
                        fields[printable(field)] = self._field(item)
        return RawNode(path, kind, fields)

    def _field(self, item: Any) -> Field:
        if not self.hdf5.is_dataset(item):
            problem = "the field is a group or a type"
            raise refused(NotNumbersOrText, problem, limit="numbers or text", help=EXPORT_AGAIN)
        if is_text(item):
            return self.texts.one(item)
        limit = min(MAX_FIELD_BYTES, MAX_TOTAL_BYTES - self.bytes)
        if self.outline and is_large(shape := shape_of(item)):
            return of_first_row(self.hdf5.first_row(item, limit), shape[0])
        array = self.hdf5.numbers(item, limit)
        self.bytes += array.nbytes
        return array

    def _edges(self, item: Any) -> tuple[tuple[str, str], ...]:
        """Return pairs of names. An empty list may have any type, as h5py stores it."""
        pairs = "(n, 2) texts"
        if not self.hdf5.is_dataset(item):
            raise refused(UnreadableNames, "`edges` is not a list", limit=pairs)
        with damage():
            shape = item.shape
        if shape is None or 0 in shape:
            return ()
        if not is_text(item) or len(shape) != 2 or shape[1] != 2:
            problem = "`edges` does not hold pairs of names"
            raise refused(UnreadableNames, problem, f"shape {shape}", pairs, EXPORT_AGAIN)
        self.edges += shape[0]
        if self.edges > MAX_EDGES:
            raise refused(TooMuchAsked, "there are too many edges", str(self.edges), str(MAX_EDGES))
        names = self.texts.read(item, most=2 * MAX_EDGES)
        if max(map(len, names)) > MAX_NAME:
            problem = "an edge's name is too long"
            raise refused(TooMuchAsked, problem, limit=f"{MAX_NAME} characters")
        return tuple(zip(names[::2], names[1::2], strict=True))


def _unfinished(missing: list[str], members: list[str]) -> RefusalError:
    """Return the refusal of a NIRGraph that lacks members and has no others."""
    listed = " and ".join(f"`{name}`" for name in missing)
    found = ", ".join(members) or "an empty group `node`"
    problem = f"the NIR graph is not complete, it lacks {listed}"
    limit = ", ".join(GRAPH)
    if missing != ["edges"]:
        return refused(NotNir, problem, found, limit, UNFINISHED)
    return RefusalError(
        UnreadableNames(where="edges", problem=problem, found=found, limit=limit, help=UNFINISHED)
    )


def _join(path: str, name: str) -> str:
    """Return a place in the file, printable for messages."""
    return f"{path}/{printable(name, MAX_NAME)}" if path else name
