"""CPU time of the float and discrete stages on the zoo's networks, against another checkout of
nirc.

    python benchmarks/stages.py [--against DIR] [--runs N]

``DIR`` is a checkout with its own ``.venv``, such as a worktree of an older commit. Each stage runs
``N`` times in turn in both, and the table shows the smallest CPU time and the ratio of the two.
Without DIR the times alone are shown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "tests" / "data" / "zoo"
CHILD = """
import json, sys, time
import numpy as np
from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
found = {}
for name in sys.argv[1].split(","):
    letter = {"writer": "nir"} if "writer" in Options.__dataclass_fields__ else {}
    reset = "subtract" if "if_cnn" in name else "zero"
    stages = lower(name + ".nir", Options(reset=reset, **letter), log=Log())
    inputs = np.load(name + ".npz")["inputs"]
    inputs = inputs.reshape(*inputs.shape[:2], -1)[:64]
    reference = getattr(stages, "reference", stages.continuous)
    for stage, program in (("float", reference), ("discrete", stages.discrete)):
        start = time.process_time()
        run(program, inputs)
        found[name.split("/")[-1] + " " + stage] = time.process_time() - start
print(json.dumps(found))
"""


def measured(checkout: Path) -> dict[str, float]:
    """CPU seconds of each network and stage in one process of ``checkout``."""
    python = checkout / ".venv" / "bin" / "python"
    names = ",".join(str(path.with_suffix("")) for path in sorted(ZOO.glob("*.nir")))
    command = [str(python if python.exists() else sys.executable), "-c", CHILD, names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout)
    times: dict[str, float] = json.loads(done.stdout)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", metavar="DIR", type=Path, help="another checkout")
    parser.add_argument("--runs", metavar="N", type=int, default=5, help="default 5")
    options = parser.parse_args()
    checkouts = [ROOT] if options.against is None else [ROOT, options.against.resolve()]
    best: list[dict[str, float]] = [{} for _ in checkouts]
    for _ in range(options.runs):
        for found, checkout in zip(best, checkouts, strict=True):
            for name, seconds in measured(checkout).items():
                found[name] = min(seconds, found.get(name, seconds))
    print(f"{'network and stage':36s} here [s]" + ("  other [s]  ratio" if len(best) > 1 else ""))
    for name, seconds in best[0].items():
        other = f"  {best[1][name]:9.3f}  {seconds / best[1][name]:5.2f}" if len(best) > 1 else ""
        print(f"{name:36s} {seconds:8.3f}{other}")


if __name__ == "__main__":
    main()
