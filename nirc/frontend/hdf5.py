"""A hostile HDF5 file to a raw graph: no link is followed, no size trusted, no code run.

Layout (NIR specification): group ``node`` with datasets ``type`` and ``edges`` and group ``nodes``; nested graphs
have the same layout. Groups called ``metadata`` carry no meaning and are passed over.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.errors import InputError
from nirc.frontend import bounds
from nirc.frontend.foreign import identify
from nirc.frontend.raw import Field, RawGraph, RawNode

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Filters inside the HDF5 library: deflate, shuffle, fletcher32, szip, nbit, scaleoffset; and h5py's own lzf.
FILTERS = {1, 2, 3, 4, 5, 6, 32000}
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError, OverflowError)


def read_raw(path: Path, log: Log) -> RawGraph:
    """The graph as stored. Raises ``InputError`` (F101 to F113) with every fault found."""
    _check_file(path, log)
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            graph = _Reader(log).file(file)
    except InputError:
        raise
    except DAMAGE as error:
        log.error(
            "F104",
            "the HDF5 structure is damaged or incomplete",
            found=str(error).splitlines()[0][:200] if str(error) else "",
            help="copy or export the file again",
        )
    log.raise_if_errors()
    return graph


def _check_file(path: Path, log: Log) -> None:
    """A regular file that starts as HDF5 does; a FIFO or a device is never opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            log.error("F101", f"`{path}` is {kind}", found=str(path), help="name a .nir file")
        elif status.st_size > bounds.MAX_FILE_BYTES:
            log.error(
                "F106",
                "the file is too large",
                found=f"{status.st_size} bytes",
                limit=f"{bounds.MAX_FILE_BYTES} bytes",
            )
        elif not os.access(path, os.R_OK):
            log.error("F101", f"`{path}` may not be read", help="check its permissions")
        elif not _is_hdf5(path, status.st_size):
            log.error(
                "F102",
                f"this is {identify(path)}, not HDF5",
                found=path.name,
                limit="a NIR graph in HDF5",
                help="export the model with nir.write",
            )
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        log.error("F101", f"`{path}` cannot be opened: {text}", found=str(path), help="check the path")
    log.raise_if_errors()


def _is_hdf5(path: Path, size: int) -> bool:
    """The signature stands at byte 0, or after a user block of 512, 1024, 2048, ... bytes."""
    with path.open("rb") as file:
        offset = 0
        while offset < min(size, 1 << 24):
            file.seek(offset)
            if file.read(8) == SIGNATURE:
                return True
            offset = max(512, offset * 2)
    return False


class _StopError(Exception):
    """A group or field has been reported and is given up."""


@dataclass
class _Reader:
    log: Log
    bytes: int = 0
    nodes: int = 0
    open: list[Any] = field(default_factory=list)  # groups on the way down: a hard link may lead back up

    def file(self, file: Any) -> RawGraph:
        names = [printable(n) for n in list(file.keys())[:20]]
        if file.attrs.get("__type__") == "NIRGraphData":
            self.log.error("F103", "this is recorded data of a NIR graph, not a model", help="give it to --data")
        elif "node" not in names:
            self.log.error(
                "F103",
                "the file has no group `node`, so it is no NIR graph",
                found=", ".join(names) or "nothing",
                limit="node",
                help="export the model with nir.write",
            )
        self.log.raise_if_errors()
        try:
            root = self._child(file, "node", "")
            version = self._text(self._child(file, "version", ""), "version") if "version" in names else ""
            if not _is_group(root):
                raise _StopError
            kind = self._type(root, "node")
            if kind != "NIRGraph":
                self.log.error(
                    "F103",
                    f"the top node is a {kind[:60]}, not a NIRGraph",
                    where="type",
                    found=kind[:60],
                    limit="NIRGraph",
                )
            return self._graph(root, "", version)
        except _StopError:
            if not self.log.errors:
                self.log.error("F103", "`node` is not a group", where="node")
            return RawGraph({}, ())

    def _graph(self, group: Any, path: str, version: str = "") -> RawGraph:
        if len(self.open) >= bounds.MAX_DEPTH or any(group.id == up.id for up in self.open):
            self.log.error(
                "F106",
                "graphs are nested too deep, or a group contains itself",
                where=path[-200:],
                limit=f"{bounds.MAX_DEPTH} levels",
            )
            raise _StopError
        self.open.append(group)
        prefix = f"{path}/" if path else ""
        nodes: dict[str, RawNode] = {}
        if "nodes" not in group or "edges" not in group:
            for name in ("nodes", "edges"):
                if name not in group:
                    self.log.error(
                        "F103",
                        f"a graph has no `{name}`",
                        where=f"{prefix}{name}",
                        help="export the model again",
                    )
        else:
            self._nodes(self._child(group, "nodes", path), "", f"{prefix}nodes", nodes)
        edges = self._edges(group, prefix) if "edges" in group else ()
        self.open.pop()
        return RawGraph(nodes, edges, version)

    def _nodes(self, group: Any, lead: str, path: str, nodes: dict[str, RawNode], depth: int = 0) -> None:
        if not _is_group(group) or depth > bounds.MAX_DEPTH:
            self.log.error("F103", "`nodes` is not a group of nodes", where=path[-200:])
            return
        for name in group:
            self.nodes += 1
            if self.nodes > bounds.MAX_NODES or len(name) > bounds.MAX_NAME:
                self.log.error(
                    "F106",
                    "too many nodes, or a name is too long",
                    where=path[-200:],
                    limit=f"{bounds.MAX_NODES} nodes, {bounds.MAX_NAME} characters",
                )
                raise _StopError
            where = f"{path}/{name}"
            try:
                child = self._child(group, name, path)
                if _is_group(child) and "type" not in child and any(_is_group_link(child, k) for k in child):
                    self.log.warning(
                        "F112",
                        f"`{printable(lead + name)}/...` is read as node names with a slash",
                        where=printable(where),
                    )
                    self._nodes(child, f"{lead}{name}/", where, nodes, depth + 1)
                else:
                    nodes[lead + name] = self._node(child, where)
            except _StopError:
                continue
            if self.nodes > bounds.MAX_NODES:
                raise _StopError

    def _node(self, group: Any, path: str) -> RawNode:
        if not _is_group(group) or "type" not in group:
            self.log.error("F108", "this node has no type", where=printable(path), help="export the model again")
            raise _StopError
        kind = self._type(group, path)
        if kind == "NIRGraph":
            return RawNode(path, kind, {}, self._graph(group, path))
        fields: dict[str, Field] = {}
        for name in group:
            if name in ("type", "metadata"):
                continue
            try:
                fields[name] = self._field(self._child(group, name, path), f"{path}/{name}")
            except _StopError:
                continue
        return RawNode(path, kind, fields)

    def _type(self, group: Any, path: str) -> str:
        return self._text(self._child(group, "type", path), f"{path}/type")

    def _child(self, group: Any, name: str, path: str) -> Any:
        import h5py

        where = printable(f"{path}/{name}" if path else name)
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            self.log.error("F105", "this is a link to another place or file", where=where, help="store the data itself")
            raise _StopError
        child = group[name]
        if isinstance(child, h5py.Datatype):
            self.log.error("F107", "this is a type, not data", where=where)
            raise _StopError
        return child

    def _field(self, dataset: Any, where: str) -> Field:
        if _is_group(dataset):
            self.log.error("F107", "this field is a group, not numbers or text", where=printable(where))
            raise _StopError
        if dataset.dtype.kind in "OSU":
            return self._text(dataset, where)
        if dataset.dtype.kind not in "biuf" or dataset.dtype.names is not None or dataset.dtype.itemsize > 8:
            self.log.error(
                "F107",
                "this field is neither numbers nor text",
                where=printable(where),
                found=str(dataset.dtype)[:60],
            )
            raise _StopError
        return np.asarray(self._read(dataset, where))

    def _text(self, dataset: Any, where: str) -> str:
        if _is_group(dataset) or dataset.dtype.kind not in "OSU" or dataset.size != 1:
            self.log.error("F107", "this should be one text", where=printable(where))
            raise _StopError
        return self._decoded(np.ravel(self._read(dataset, where))[0], where)

    def _decoded(self, value: object, where: str) -> str:
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8")
            except UnicodeDecodeError:
                self.log.error("F113", "this text is not UTF-8", where=printable(where))
                raise _StopError from None
        if not isinstance(value, str) or len(value) > bounds.MAX_TEXT_BYTES:
            self.log.error(
                "F113",
                "this is no text, or too long",
                where=printable(where),
                limit=f"{bounds.MAX_TEXT_BYTES} characters",
            )
            raise _StopError
        return value

    def _edges(self, group: Any, prefix: str) -> tuple[tuple[str, str], ...]:
        where = f"{prefix}edges"
        try:
            dataset = self._child(group, "edges", prefix.rstrip("/"))
            if not _is_group(dataset) and dataset.size == 0:
                return ()
            if _is_group(dataset) or dataset.ndim != 2 or dataset.shape[1] != 2 or dataset.dtype.kind not in "OSU":
                self.log.error("F113", "edges are not pairs of names", where=printable(where), limit="(n, 2) texts")
                return ()
            if dataset.shape[0] > bounds.MAX_EDGES:
                self.log.error(
                    "F106",
                    "too many edges",
                    where=printable(where),
                    found=dataset.shape[0],
                    limit=bounds.MAX_EDGES,
                )
                return ()
            values = self._read(dataset, where)
            return tuple((self._decoded(a, where), self._decoded(b, where)) for a, b in values)
        except _StopError:
            return ()

    def _read(self, dataset: Any, where: str) -> Any:
        """The values, once storage, filters and size are known to be harmless."""
        import h5py

        if dataset.external or dataset.is_virtual:
            self.log.error(
                "F105", "this data lies in another file", where=printable(where), help="store the data itself"
            )
            raise _StopError
        if dataset.dtype.kind == "O" and h5py.check_string_dtype(dataset.dtype) is None:
            self.log.error(
                "F107",
                "this field holds references or lists",
                where=printable(where),
                found=str(dataset.dtype)[:60],
            )
            raise _StopError
        properties = dataset.id.get_create_plist()
        used = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
        if used - FILTERS:
            self.log.error(
                "F107",
                "this data is compressed in a way that needs a plugin",
                where=printable(where),
                found=f"filter {min(used - FILTERS)}",
                help="use gzip",
            )
            raise _StopError
        size = int(dataset.size) * dataset.dtype.itemsize
        self.bytes += size
        if size > bounds.MAX_ARRAY_BYTES or self.bytes > bounds.MAX_TOTAL_BYTES:
            self.log.error(
                "F106",
                "this array is too large",
                where=printable(where),
                found=f"{size} bytes",
                limit=f"{bounds.MAX_ARRAY_BYTES} bytes, {bounds.MAX_TOTAL_BYTES} in all",
            )
            raise _StopError
        return dataset[()]


def _is_group(thing: Any) -> bool:
    import h5py

    return isinstance(thing, h5py.Group)


def _is_group_link(group: Any, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink) and group.get(name, getclass=True) is h5py.Group


def printable(text: str) -> str:
    """``text`` for a message: control characters escaped, cut to a sane length."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:200])
    return shown if len(text) <= 200 else shown + "..."
