"""Read a network as it was trained. The recorded outputs beside the file say which reading that is.

The files of ``tests/data/zoo`` and of ``strangers.py`` hold the outputs of the training simulator
(``outputs`` in NAME.npz). A file does not say how its neurons reset, so the default reading may
be another network.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.files.data import Data, read_data
from nirc.semantics.run import run

READINGS = (
    Options(),
    Options(reset="subtract"),
    Options(writer="nir"),
    Options(writer="snntorch,reset=zero,reset_delay=no"),
    Options(writer="snntorch,reset=subtract,reset_delay=no"),
)
COMPARED = 40  # samples


@cache
def reading(path: Path) -> Options:
    """Return the first reading that repeats the recorded outputs, spike by spike.

    Raises ``SystemExit`` if none does.
    """
    data = samples(path)
    with np.load(path.with_suffix(".npz")) as arrays:
        recorded = arrays["outputs"][:COMPARED]
    some = data.inputs[:COMPARED]
    inputs = some.reshape(*some.shape[:2], -1)
    for options in READINGS:
        stages = lower(path, options.with_data(data), log=Log())
        answer = run(stages.reference, inputs).outputs
        if np.array_equal(answer, recorded.reshape(answer.shape)):
            return options
    raise SystemExit(f"{path}: no reading repeats the recorded outputs")


@cache
def samples(path: Path) -> Data:
    """Return the samples of a network."""
    return read_data(path.with_suffix(".npz"), Log())


def parts(path: Path) -> tuple[Data, Data]:
    """Return the first quarter of the samples, and the others."""
    data = samples(path)
    quarter = len(data.inputs) // 4

    def of(some: slice) -> Data:
        known = None if data.labels is None else data.labels[some]
        return replace(data, inputs=data.inputs[some], labels=known, outputs=None)

    return of(slice(quarter)), of(slice(quarter, None))
