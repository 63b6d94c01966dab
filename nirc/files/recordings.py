"""Recorded signals of populations from files: of the emulator, of a board, of a simulator."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnreadableData
from nirc.files.bounds import COPY_AGAIN, RefusalError, printable, refused
from nirc.files.data import member
from nirc.files.faults import Faults
from nirc.files.foreign import check_file, identify
from nirc.files.manifest import sha256
from nirc.files.recorded import damage
from nirc.files.runrecord import RUN_RECORD, record_path

OUTPUT = "output"  # the name of the network's outputs among the populations
SPIKES, MEMBRANES = "spikes/", "v/"
MOST_SIGNALS = 10_000
EXPECTED = "spikes (samples, steps, outputs), spikes/NAME and v/NAME, as nirc run writes them"
Array = NDArray[Any]


@dataclass(frozen=True)
class Recording:
    """Signals (samples, steps, neurons) by population, in the file's order, the outputs last.

    ``membranes`` are in the units of the chip or of the simulator.
    """

    file: str
    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]


def read_recording(path: Path, log: Log) -> Recording:
    """Return the recorded signals of ``path``. Raises ``InputError`` (U603).

    The outputs are the array `spikes`, or a simulator's `outputs`, or else the counts `output`
    (samples, outputs), which become one step.
    """
    attempt = Log()
    found = Recording(str(path), {}, {})
    try:
        check_file(path)
        kind = identify(path)
        if "numpy" not in kind and "zip" not in kind:
            raise refused(UnreadableData, f"this is {kind}", limit=f".npz with {EXPECTED}")
        arrays = _arrays(path)
        found = Recording(str(path), _spikes(arrays), _signals(arrays, MEMBRANES))
    except OSError as error:
        reason = error.strerror or str(error)
        attempt.add(UnreadableData(problem=f"the file cannot be read: {reason}", help=COPY_AGAIN))
    except RefusalError as refusal:
        attempt.add(refusal.finding)
    log.add_all(replace(finding, file=str(path)) for finding in attempt.diagnostics)
    log.raise_if_errors()
    return found


def read_run(path: Path) -> dict[str, Any] | None:
    """Return the record of the run that wrote ``path``, from the JSON file beside it.

    None if there is none, or if the file there is another one: of another format, damaged, or of
    an answer that was written later or earlier.
    """
    place = Path(record_path(str(path)))
    try:
        check_file(place)
        if place.stat().st_size > RUN_RECORD.most_bytes:
            return None
        faults = Faults()
        tree = RUN_RECORD.parse(place.read_bytes(), faults)
        if not faults:
            RUN_RECORD.check(tree, {}, faults)
        if faults or tree["output"] != sha256(path.read_bytes()):
            return None
    except (OSError, RefusalError):
        return None
    return dict(tree)


def _arrays(path: Path) -> dict[str, Array]:
    with damage(), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        kept = [
            name
            for name in dict.fromkeys(names)
            if name in ("spikes", "outputs", "output") or name.startswith((SPIKES, MEMBRANES))
        ]
        if not kept or len(kept) > MOST_SIGNALS:
            found = ", ".join(printable(name) for name in names[:8]) or "nothing"
            raise refused(UnreadableData, "the file holds no recorded signals", found, EXPECTED)
        return {name: member(archive, name) for name in kept}


def _spikes(arrays: Mapping[str, Array]) -> dict[str, Array]:
    found = _signals(arrays, SPIKES)
    for name in ("spikes", "outputs", "output"):
        if name in arrays:
            counts = arrays[name][:, None] if name == "output" else arrays[name]
            return found | {OUTPUT: _checked(name, counts)}
    return found


def _signals(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): _checked(name, values)
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def _checked(name: str, values: Array) -> Array:
    if values.ndim < 3:
        problem = f"`{name}` has too few axes"
        found, limit = f"shape {values.shape}", "(samples, steps, neurons)"
        raise refused(UnreadableData, problem, found, limit)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise refused(UnreadableData, f"`{name}` holds NaN", limit="numbers")
    return values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
