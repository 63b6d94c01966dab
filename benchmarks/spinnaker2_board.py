"""Fills a SpiNNaker2 board: layers of LIF neurons with random synapses, from the discrete form to
files and back.

    python benchmarks/spinnaker2_board.py   # 34 layers of 40,000 neurons: 92 % of 7104 PEs
    python benchmarks/spinnaker2_board.py --layers 4         # a small one

Prints processor seconds and the largest memory after each stage; the last one follows every packet
of every slice.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

from nirc.backends.spinnaker2.bundle import emit, run
from nirc.backends.spinnaker2.cut import Request
from nirc.backends.spinnaker2.fit import fit
from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise
from nirc.backends.spinnaker2.limits import BOARD_48
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.linear import sparse
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.mapping.effort import EFFORTS


def network(layers: int, n: int, fan_in: int) -> Program:
    rng = np.random.default_rng(0)
    one, decay = frozen(np.ones(n)), frozen(np.full(n, 0.9))
    neuron = Discrete(decay, one, frozen(np.zeros(n)), threshold=one, v_reset=frozen(np.zeros(n)))
    nodes: dict[str, object] = {"in": Source((n,), ("in",))}
    edges: list[tuple[str, str, Projection]] = []
    for k in range(layers):
        target, source = np.repeat(np.arange(n), fan_in), rng.integers(0, n, n * fan_in)
        op = sparse(target, source, rng.normal(0.1, 0.3, n * fan_in), n, n)
        edges.append((f"p{k - 1}" if k else "in", f"p{k}", Projection((op,), origins=(f"w{k}",))))
        nodes[f"p{k}"] = Population((n,), neuron, (f"p{k}",))
    nodes["out"] = Sink((n,), ("out",))
    edges.append((f"p{layers - 1}", "out", Projection(origins=("out",))))
    return Program.of(Form.DISCRETE, nodes, edges, dt_s=1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=34)
    parser.add_argument("--neurons", type=int, default=40_000)
    parser.add_argument("--fan-in", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="rows for docs/performance.md")
    parser.add_argument("--effort", choices=EFFORTS, default="normal")
    asked = parser.parse_args()
    rows: list[Row] = []
    begin = time.process_time()

    def tell(stage: str) -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        seconds = time.process_time() - begin
        what = f"{asked.layers} layers of {asked.neurons} neurons: {stage}, since the start"
        rows.append(Row(what, seconds, "CPU s", note=f"{memory:.2f} GB", memory_gb=memory))
        if not asked.json:
            print(f"{stage:<12} {seconds:7.1f} s  {memory:5.2f} GB", flush=True)

    program, log = network(asked.layers, asked.neurons, asked.fan_in), Log()
    tell("made")
    legal = Spinnaker2Legalise().run(program, log)
    integer = Spinnaker2Quantise().run(legal, log)
    tell("quantised")
    mapped = fit(integer, legal, BOARD_48, Request(steps=10, effort=asked.effort), log)
    if mapped is None:
        raise SystemExit(
            "\n".join(f"{d.code}: {d.message}: {d.found}, limit {d.limit}" for d in log.errors)
        )
    tell("mapped")
    files = emit(mapped.chip)
    tell("files")
    run(files, np.zeros((1, 1, asked.neurons), np.int64), record=False, progress=None, log=log)
    tell("walked")
    if asked.json:
        show(rows, as_json=True)
        return
    for name, (used, available) in mapped.utilisation.items():
        print(f"{name:<32} {used:>7} of {available}")
    plan = mapped.chip.floorplan
    print(f"cost {plan.cost:.0f}, bound {plan.bound:.0f}, gap {plan.gap:.1%}")


if __name__ == "__main__":
    main()
