"""Print the raster of a data file as the program reads it: ``python -m nirc_target_c FILE.npz``."""

from __future__ import annotations

import sys

import numpy as np

from nirc_target_c.compiled import lines_of


def main() -> None:
    """Read ``inputs`` (samples, steps, channels)."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m nirc_target_c FILE.npz > spikes.txt")
    with np.load(sys.argv[1], allow_pickle=False) as data:
        inputs = data["inputs"]
    counts = inputs.reshape(*inputs.shape[:2], -1).astype(np.int64)
    sys.stdout.write(lines_of(counts).decode())


if __name__ == "__main__":
    main()
