"""The bytes of a NIR file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from nirc.export.graph import Graph

VERSION = "1.0.8"  # of the reader that the layout was checked with


def nir_bytes(graph: Graph, metadata: Mapping[str, str] | None = None) -> bytes:
    """HDF5 as ``nir.write`` lays it out: node/{type, nodes/NAME/FIELD, edges}, version. Same graph,
    same bytes.

    ``metadata``: texts of the outermost graph, in node/metadata.
    """
    import h5py

    buffer = io.BytesIO()
    text = h5py.string_dtype()
    with h5py.File(buffer, "w", track_order=False) as file:
        file.create_dataset("version", data=VERSION, dtype=text)
        root = file.create_group("node")
        _write(root, graph, text)
        for key, note in sorted((metadata or {}).items()):
            root.create_dataset(f"metadata/{key}", data=note, dtype=text)
    return buffer.getvalue()


def _write(group: Any, graph: Graph, text: Any) -> None:
    """A graph in its group. Edges keep their order, which importers follow."""
    import numpy as np

    group.create_dataset("type", data="NIRGraph", dtype=text)
    for name, fields in sorted(graph.nodes.items()):
        node = group.create_group(f"nodes/{name}")
        if fields["type"] == "NIRGraph":
            _write(node, fields["graph"], text)
            continue
        for field, value in sorted(fields.items()):
            if isinstance(value, str):
                node.create_dataset(field, data=value, dtype=text)
            else:
                squeeze = {"compression": "gzip"} if np.size(value) > 1 else {}
                node.create_dataset(field, data=value, track_times=False, **squeeze)
    group.create_dataset("edges", data=graph.edges, dtype=text)
