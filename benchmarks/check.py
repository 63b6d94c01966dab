"""The cost of the independent checker, and that of the compilation, in seconds of CPU time.

``python benchmarks/check.py``. The last column is their ratio. A compilation leaves the check out
above the numbers of synapses in ``nirc/certificate/certificate.py``.
"""

from __future__ import annotations

import time
from itertools import pairwise
from unittest import mock

import nir
import numpy as np

from nirc.api import compile_model
from nirc.certificate import checking
from nirc.checker.compare import check
from nirc.diagnostics.log import Log
from nirc.files.bundle import contents
from nirc.options import Options


def dense(n: int) -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    one = np.ones(n)
    nodes = {
        "in": nir.Input(np.array([16])),
        "w": nir.Linear(rng.normal(0.2, 0.5, (n, 16))),
        "h": nir.IF(r=one, v_threshold=one, v_reset=one * 0),
        "read": nir.Linear(rng.normal(0.1, 0.3, (n, n))),
        "o": nir.IF(r=one, v_threshold=one, v_reset=one * 0),
        "out": nir.Output(np.array([n])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)


def convolution(side: int) -> nir.NIRGraph:
    rng = np.random.default_rng(0)

    def conv(out: int, into: int) -> nir.Conv2d:
        weight = rng.normal(0, 0.3, (out, into, 3, 3))
        one = (1, 1)
        return nir.Conv2d(None, weight, one, one, one, 1, np.zeros(out))

    def fires(*shape: int) -> nir.IF:
        return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))

    nodes = {
        "in": nir.Input(np.array([2, side, side])),
        "c1": conv(8, 2),
        "p1": fires(8, side, side),
        "c2": conv(8, 8),
        "p2": fires(8, side, side),
        "out": nir.Output(np.array([8, side, side])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)


CASES: list[tuple[str, object, str, Options]] = [
    ("braille", "examples/braille.nir", "xylo", Options(writer="snntorch,reset=zero")),
    ("digits_if_cnn", "tests/data/zoo/digits_if_cnn.nir", "speck", Options()),
    ("dense, 128", dense(128), "speck", Options()),
    ("dense, 400", dense(400), "loihi2", Options()),
    ("dense, 400", dense(400), "spinnaker2", Options()),
    ("dense, 1000", dense(1000), "spinnaker2", Options()),
    ("dense, 256", dense(256), "speck", Options()),
    ("convolution, 32 x 32", convolution(32), "speck", Options()),
    ("convolution, 62 x 62", convolution(62), "speck", Options()),
    ("convolution, 62 x 62", convolution(62), "spinnaker2", Options()),
]


def main() -> None:
    print(f"{'network':24} {'chip':10} {'synapses':>9} {'compile':>8} {'check':>7} ratio")
    for name, model, target, options in CASES:
        begin = time.process_time()
        with mock.patch.object(checking, "takes_long", lambda _: True):
            compiled = compile_model(model, target, options, log=Log())
        compiling = time.process_time() - begin
        files = contents(compiled.bundle.manifest, compiled.bundle.files)
        begin = time.process_time()
        findings = check(files.__getitem__, checking.reader_of(target))
        checks = time.process_time() - begin
        assert all(each.kind == "overflow" for each in findings), findings[0]
        edges = compiled.integer.edges()
        synapses = sum(op.entries for _, _, projection in edges for op in projection.ops)
        ratio = checks / compiling
        print(f"{name:24} {target:10} {synapses:9} {compiling:8.2f} {checks:7.3f} {ratio:.2f}")


if __name__ == "__main__":
    main()
