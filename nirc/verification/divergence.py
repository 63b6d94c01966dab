"""The first place where the answer departs from the model's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.verification.record import Recording

Array = NDArray[Any]


def first_divergence(recording: Recording) -> dict[str, Any] | None:
    """The first spike that differs from the model: of the first pass that changes one, the earliest
    step, then sample.

    None if every recorded spike is the model's, to the device.
    """
    for stage, spikes in recording.stages:
        places = [_earliest(n, recording.teacher[n], got) for n, got in spikes.items()]
        found = [place for place in places if place is not None]
        if found:
            return {"stage": stage.stage, "pass": stage.after} | min(
                found, key=lambda f: (f["step"], f["sample"])
            )
    return None


def _earliest(name: str, expected: Array, got: Array) -> dict[str, Any] | None:
    different = np.argwhere((expected != got).transpose(1, 0, 2))  # by step first
    if not len(different):
        return None
    step, sample, neuron = (int(i) for i in different[0])
    return {
        "population": name,
        "step": step,
        "sample": sample,
        "neuron": neuron,
        "expected": float(expected[sample, step, neuron]),
        "found": float(got[sample, step, neuron]),
    }
