"""The C target on random networks: compiled program, emulator and integer program are equal.

``examples/nirc-target-c/benchmarks/equal.py --networks 1000`` goes on.
"""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.api import compile_model
from nirc.chip.backend import Backend
from nirc.diagnostics.log import Log
from tests.build import affine, graph, inp, lif, out
from tests.smith.case import as_object
from tests.strangers import ROOT, installed

EQUAL = ROOT / "examples/nirc-target-c/benchmarks/equal.py"


@pytest.fixture
def target_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """The package, as if it were installed."""
    with installed("c", tmp_path, monkeypatch) as backend:
        yield backend


@pytest.fixture
def equal(target_c: Backend) -> dict[str, Any]:
    """The functions of the benchmark."""
    return runpy.run_path(str(EQUAL))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("first", [0, 103, 304])
def test_random_networks_are_equal_in_c(equal: dict[str, Any], first: int) -> None:
    made = (each for each in equal["compiled_cases"](first) if not isinstance(each[2], str))
    seed, case, compiled = next(made)
    assert list(equal["differences"](compiled, case.inputs)) == [], f"graph {seed}"


def test_a_chip_may_keep_constants_beside_its_neurons(target_c: Backend) -> None:
    """network.nir has no place for them, so there is none, and the report says so."""
    nodes = {"in": inp(2), "w": affine(np.ones((2, 2)), [0.1, 0.2]), "p": lif(2), "out": out(2)}
    log = Log()
    made = compile_model(as_object(graph(nodes, "in w p out")), "c", log=log)
    assert "network.nir" not in made.bundle.files
    assert [d.code for d in log.diagnostics if "constants" in d.message] == ["C906"]
