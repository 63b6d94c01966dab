"""certificate.json: where the numbers of network.nir are, and what was changed on purpose.

``docs/reference/certificate.md`` describes the fields.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import chain
from typing import Any, TypeGuard

from nirc.certificate.network import NETWORK, network_nir
from nirc.certificate.relays import without_relays
from nirc.checker.bundle import Bundle, seal
from nirc.checker.compare import Chip
from nirc.chip.backend import Mapped
from nirc.diagnostics.check import NotChecked
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.files.bundle import packed, to_json
from nirc.files.manifest import sha256
from nirc.ir.linear import Dense, Diagonal, Sparse
from nirc.ir.populations import Discrete, Population, Sink, Source
from nirc.ir.program import Program
from nirc.nirfile.graph import hdf5_names, stepped

CERTIFICATE = "certificate.json"
CHECKER = "check.py"
PARTS = ("values", "network", "bundle", "compare")  # of every checker, in nirc/checker
# Parts of a chip's checker behind those of all, in nirc/checker.
CHECKED = {
    "loihi2": ("kernels", "networks", "loihi2"),
    "speck": ("kernels", "pools", "configs", "speck"),
    "spinnaker2": ("kernels", "pools", "networks", "spinnaker2"),
    "xylo": ("configs", "xylo"),
}
SCHEMA = "nirc-certificate/3"
# Synapses above which a compilation leaves the check out (``python benchmarks/check.py``). Matrices
# and lists cost a fiftieth of the compilation. Kernels are compiled as they are and checked synapse
# by synapse, which costs more than the compilation from here on.
MOST_SYNAPSES = 1 << 20
MOST_OF_KERNELS = 1 << 17


def certified(
    integer: Program,
    mapped: Mapped,
    manifest: Mapping[str, Any],
    chip_files: Mapping[str, bytes],
    log: Log,
) -> dict[str, bytes]:
    """Return network.nir, certificate.json and check.py of a bundle.

    ``integer``: the quantised program that was mapped. A network that no NIR file can hold has
    none of the three (C906).
    """
    if not all(
        isinstance(stepped(p.dynamics), Discrete) for p in integer.nodes(Population).values()
    ):
        log.add(NotChecked(reason="neurons of this chip have no form in NIR"))
        return {}
    if any(projection.biases for _, _, projection in integer.edges()):
        log.add(
            NotChecked(reason="projections of this chip bring constants, which it keeps nowhere")
        )
        return {}
    scales = {name: block.scale for name, block in mapped.blocks.items()}
    try:
        chip_network = without_relays(integer)
        network, datasets = network_nir(chip_network, scales, Log())
    except CompileError:  # P307
        log.add(NotChecked(reason="a projection is too large for a matrix of NIR"))
        return {}
    names = hdf5_names(chip_network)
    chip = mapped.target.name.partition(":")[0]
    made = {NETWORK: network} | ({CHECKER: checker_text(chip)} if chip in CHECKED else {})
    files = {**chip_files, **made}
    digests = {name: sha256(data) for name, data in files.items()}
    listed = json.loads(to_json(packed({**manifest, "files": digests})))
    tree = {
        "schema": SCHEMA,
        "datasets": [each.as_json() for each in datasets],
        "populations": {names[name]: name for name in scales},
        "inputs": [names[name] for name in chip_network.nodes(Source)],
        "outputs": [names[name] for name in chip_network.nodes(Sink)],
        "retimed": [[names[a], names[b], steps] for a, b, steps in mapped.retimed],
        "seal": seal(listed),
    }
    return {**made, CERTIFICATE: to_json(tree)}


def takes_long(integer: Program) -> bool:
    """Return True if a program has more synapses than a compilation checks."""
    ops = list(chain.from_iterable(projection.ops for _, _, projection in integer.edges()))
    every = sum(op.entries for op in ops)
    stored = sum(op.entries for op in ops if isinstance(op, Dense | Sparse | Diagonal))
    return bool(every > MOST_SYNAPSES or every - stored > MOST_OF_KERNELS)


def reader_of(chip: str) -> Callable[[Bundle], Chip]:
    """Return the checker's reader of a chip's files."""
    parts = {name: import_module(f"nirc.checker.{name}") for name in CHECKED[chip]}
    reader: Callable[[Bundle], Chip] = getattr(parts[chip], chip)
    return reader


@cache
def checker_text(chip: str) -> bytes:
    """Return the checker of one chip as a file of its own, the chip's reader at its end."""
    texts = {
        name: (files("nirc.checker") / f"{name}.py").read_text(encoding="utf-8")
        for name in (*PARTS, *CHECKED[chip])
    }
    trees = {name: ast.parse(text) for name, text in texts.items()}
    imports = [
        node
        for node in chain.from_iterable(tree.body for tree in trees.values())
        if _is_import(node) and not _is_from(node, ("nirc.", "__future__"))
    ]
    names = sorted({ast.unparse(node) for node in imports if isinstance(node, ast.ImportFrom)})
    plain = chain.from_iterable(node.names for node in imports if isinstance(node, ast.Import))
    modules = sorted({each.name for each in plain} - {"numpy"})
    head = [f'#!/usr/bin/env python3\n"""{ast.get_docstring(trees[PARTS[0]])}\n"""']
    head += ["\n".join([f"import {', '.join(modules)}", *names]), "import numpy as np"]
    start = f'READER = {chip}\nif __name__ == "__main__":\n    start(READER)\n'
    code = [_code(texts[name], trees[name]) for name in texts]
    whole = "\n\n".join([*head, *code, start])
    return whole.replace("\n\n\n", "\n\n").encode()  # short: one empty line is enough


def _code(text: str, tree: ast.Module) -> str:
    """Return a module's text behind its imports, without what it says to our formatter."""
    last = max(node.end_lineno or 0 for node in tree.body if _is_import(node))
    return "\n".join(text.splitlines()[last:]).replace("# fmt: off\n", "").strip("\n")


def _is_import(node: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_from(node: ast.Import | ast.ImportFrom, packages: tuple[str, ...]) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(packages)
