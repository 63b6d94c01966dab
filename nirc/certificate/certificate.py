"""certificate.json: where the numbers of network.nir are, and what was changed on purpose.

``docs/reference/certificate.md`` describes the fields.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TypeGuard

from nirc.certificate.network import NETWORK, network_nir
from nirc.chip.backend import Mapped
from nirc.diagnostics.check import NotChecked
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.files.bundle import to_json
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.nirfile.graph import hdf5_names, stepped

CERTIFICATE = "certificate.json"
CHECKER = "check.py"
PARTS = ("values", "network", "bundle", "compare")  # of every checker, in nirc/checker
CHECKED = ("speck", "xylo")  # chips whose files the checker reads
SCHEMA = "nirc-certificate/1"


def certified(integer: Program, mapped: Mapped, log: Log) -> dict[str, bytes]:
    """Return network.nir, certificate.json and check.py of a bundle.

    ``integer``: the quantised program that was mapped. A network that no NIR file can hold has
    none of the three (C906).
    """
    if not all(
        isinstance(stepped(p.dynamics), Discrete) for p in integer.nodes(Population).values()
    ):
        log.add(NotChecked(reason="neurons of this chip have no form in NIR"))
        return {}
    scales = {name: block.scale for name, block in mapped.blocks.items()}
    try:
        network, datasets = network_nir(integer, scales, Log())
    except CompileError:  # P307
        log.add(NotChecked(reason="a projection is too large for a matrix of NIR"))
        return {}
    names = hdf5_names(integer)
    tree = {
        "schema": SCHEMA,
        "datasets": [each.as_json() for each in datasets],
        "names": {names[name]: name for name in scales if names.get(name, name) != name},
        "retimed": [[names[a], names[b], steps] for a, b, steps in mapped.retimed],
    }
    made = {NETWORK: network, CERTIFICATE: to_json(tree)}
    chip = mapped.target.name.partition(":")[0]
    return made if chip not in CHECKED else {**made, CHECKER: checker_text(chip)}


@cache
def checker_text(chip: str) -> bytes:
    """Return the checker of one chip as a file of its own, the chip's reader at its end."""
    texts = {
        name: (files("nirc.checker") / f"{name}.py").read_text(encoding="utf-8")
        for name in (*PARTS, chip)
    }
    trees = {name: ast.parse(text) for name, text in texts.items()}
    imports = {
        ast.unparse(node)
        for node in chain.from_iterable(tree.body for tree in trees.values())
        if _is_import(node) and not _is_from(node, ("nirc.", "__future__"))
    }
    plain = sorted(line for line in imports if line.startswith("import ") and "numpy" not in line)
    names = sorted(line for line in imports if line.startswith("from "))
    head = [f'#!/usr/bin/env python3\n"""{ast.get_docstring(trees[PARTS[0]])}\n"""']
    head += [
        "from __future__ import annotations",
        "\n".join([*plain, *names]),
        "import numpy as np",
    ]
    start = f'READER = {chip}\n\nif __name__ == "__main__":\n    start(READER)\n'
    code = [_code(texts[name], trees[name]) for name in texts]
    return ("\n\n".join(head) + "\n\n\n" + "\n\n\n".join([*code, start])).encode()


def _code(text: str, tree: ast.Module) -> str:
    """Return a module's text behind its imports."""
    last = max(node.end_lineno or 0 for node in tree.body if _is_import(node))
    return "\n".join(text.splitlines()[last:]).strip("\n")


def _is_import(node: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_from(node: ast.Import | ast.ImportFrom, packages: tuple[str, ...]) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(packages)
