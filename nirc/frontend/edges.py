"""Resolve the names in edges to nodes. A certain reading is a warning, anything else is an error.

Names in real files deviate. The deviations were measured on the published history of the NIR
repository, see docs/reference/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import chain

from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.files.bounds import MAX_REPORTED
from nirc.frontend.raw import RawGraph, RawNode

Path = tuple[str, ...]  # a node, or a node inside nested graphs


def resolve_edges(graph: RawGraph, log: Log, *, inside: Path = ()) -> list[tuple[Path, Path]]:
    """Return edges as paths to nodes, in file order, each once. Errors (G251) go to ``log``."""
    place = "/".join(("", *(f"nodes/{name}" for name in inside), "edges"))[1:]
    names = _Names(graph, inside, log, place)
    resolved: dict[tuple[Path, Path], None] = {}
    repeated: dict[tuple[str, str], None] = {}
    for source, target in graph.edges:
        if source == target and source not in graph.nodes and names.members(source):
            log.warning(
                "G204",
                f"the edge from flattened subgraph `{source}` to itself is dropped: its "
                "recurrence is inside",
                where=place,
            )
            continue
        ends = names.find(source, "source"), names.find(target, "target")
        if ends[0] is None or ends[1] is None:
            if len(log.errors) >= MAX_REPORTED:
                break
            continue
        edge = (ends[0], ends[1])
        if edge in resolved:
            repeated[(source, target)] = None
        resolved[edge] = None
    for source, target in list(repeated)[:MAX_REPORTED]:
        log.warning("G201", f"edge {source!r} -> {target!r} occurs more than once", where=place)
    if len(repeated) > MAX_REPORTED:
        log.warning(
            "G201", f"{len(repeated) - MAX_REPORTED} more edges occur more than once", where=place
        )
    return list(resolved)


class _Names:
    """Look-up of names in one graph. Each deviation is reported once."""

    def __init__(self, graph: RawGraph, inside: Path, log: Log, place: str) -> None:
        self.nodes: Mapping[str, RawNode] = graph.nodes
        self.inside = inside
        self.log = log
        self.place = place
        named = set(chain.from_iterable(graph.edges))
        self.unknown = sorted(named - set(graph.nodes))
        self.unused = sorted(
            n for n in set(graph.nodes) - named if graph.nodes[n].type not in ("Input", "Output")
        )

    def members(self, prefix: str) -> list[str]:
        """Return the nodes that a flattened subgraph ``prefix`` left in this graph."""
        return self._flattened_names.get(prefix, [])

    @cached_property
    def _flattened_names(self) -> dict[str, list[str]]:
        """Nodes by each prefix of their dotted names, computed once for files with many names."""
        by_prefix: dict[str, list[str]] = {}
        for name in self.nodes:
            for prefix in _prefixes(name, "."):
                by_prefix.setdefault(prefix, []).append(name)
        return by_prefix

    def find(self, name: str, end: str) -> Path | None:
        if name in self.nodes:
            return (name,)
        path = self._flattened(name, end) or self._outer_path(name) or self._inner_path(name)
        path = path or self._only_one_left(name)
        if path is None:
            self.log.error(
                "G251",
                f"an edge names `{name[:200]}`, which is not a node of this graph",
                where=self.place,
                found=name[:200],
                limit="one of "
                + ", ".join(sorted(self.nodes)[:12])
                + (", ..." if len(self.nodes) > 12 else ""),
                help=did_you_mean(name, self.nodes, "export the model again, or correct the edge"),
            )
        return path

    def _flattened(self, name: str, end: str) -> Path | None:
        """Resolve ``lif1`` to its Input (as target) or Output, if ``lif1.input``, ... exist."""
        wanted = "Input" if end == "target" else "Output"
        ports = [n for n in self.members(name) if self.nodes[n].type == wanted]
        if len(ports) != 1:
            return None
        self._warn(
            "G202", f"`{name}` is a flattened subgraph: edges reach it through `{ports[0]}`", name
        )
        return (ports[0],)

    def _outer_path(self, name: str) -> Path | None:
        """Resolve ``lif1.lif`` inside the subgraph ``lif1`` that has a node ``lif``."""
        for prefix in (".".join(self.inside), self.inside[-1] if self.inside else ""):
            inner = name.removeprefix(prefix + ".")
            if prefix and inner != name and inner in self.nodes:
                self._warn("G203", f"`{name}` is read as this subgraph's own `{inner}`", name)
                return (inner,)
        return None

    def _inner_path(self, name: str) -> Path | None:
        """Resolve ``lif1.lif`` outside, where ``lif1`` is a nested graph with a node ``lif``."""
        for separator in (".", "/"):
            nodes = self.nodes
            rest = name
            path: Path = ()
            while rest not in nodes:
                head = next(
                    (h for h in _prefixes(rest, separator) if h in nodes and nodes[h].graph), None
                )
                if head is None:
                    break
                inner = nodes[head].graph
                assert inner is not None
                nodes, rest, path = inner.nodes, rest[len(head) + 1 :], (*path, head)
            else:
                self._warn(
                    "G203",
                    f"`{name}` is read as node `{rest}` inside subgraph `{'/'.join(path)}`",
                    name,
                )
                return (*path, rest)
        return None

    def _only_one_left(self, name: str) -> Path | None:
        """Match the only unknown name with the only node that no edge names."""
        if self.unknown != [name] or len(self.unused) != 1:
            return None
        self._warn(
            "G203",
            f"`{name}` is read as `{self.unused[0]}`, the only node that no edge names",
            name,
        )
        return (self.unused[0],)

    def _warn(self, code: str, message: str, name: str) -> None:
        self.log.warning(code, message, where=self.place, found=name)


def _prefixes(name: str, separator: str) -> list[str]:
    """Return proper prefixes at each separator, longest first."""
    parts = name.split(separator)
    return [separator.join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
