"""CPU seconds of a calibration, with the library in C and with the definitions in numpy.

    python benchmarks/calibration.py [MODEL.nir DATA.npz TARGET] [--samples N] [--steps N]

Default: BasicMotions on Xylo. Both run in this process, one after the other, and must give the same
files. The ratio depends little on the machine and its load.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from nirc.api import Options, compile_model
from nirc.files.manifest import sha256
from nirc.native.library import SWITCH

ZOO = Path(__file__).parents[1] / "tests/data/zoo"
MODEL = ZOO / "basicmotions_lif_ff.nir"
DATA = ZOO / "basicmotions_lif_ff.npz"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default=str(MODEL))
    parser.add_argument("data", nargs="?", default=str(DATA))
    parser.add_argument("target", nargs="?", default="xylo")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    with np.load(given.data) as data:
        inputs = data["inputs"][: given.samples, : given.steps]
        dt_s = float(data["dt"]) if "dt" in data else None
    seconds, digests = {}, set()
    for name, switch in (("library in C", "1"), ("numpy", "0")):
        os.environ[SWITCH] = switch
        begin = time.process_time()
        done = compile_model(given.model, given.target, Options(dt_s=dt_s), calibration=inputs)
        seconds[name] = time.process_time() - begin
        files = sorted(done.bundle.files.items())
        digests.add(sha256(b"".join(content for _, content in files)))
        print(f"{name:<14} {seconds[name]:7.1f} CPU s")
    ratio = seconds["numpy"] / seconds["library in C"]
    print(f"{ratio:.1f} times faster, {'the same files' if len(digests) == 1 else 'OTHER FILES'}")


if __name__ == "__main__":
    main()
