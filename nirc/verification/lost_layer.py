"""The last neurons of a network that its file lacks, as recorded outputs show them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.verification.recorded import Recording

Array = NDArray[Any]
SAME = 1e-4  # relative: decays and gains that float32 computed
SHOWN = 4  # decays that are printed


def lost_layer(program: Program, kept: Recording, output: Array) -> str:
    """Say which neurons are missing behind the last layer of a file, "" if the recording shows
    none.

    ``output`` (samples, steps, n) is what the file gives. Leaky integrators behind it are proved by
    their recurrence: every recorded value is a share of the value before plus a gain times what the
    file gives.
    """
    recorded = kept.outputs
    if kept.share(output) == 1:
        return ""
    if not _ends_in_weights(program):
        if kept.analog or (recorded % 1 == 0).all():
            return ""
        return (
            "the recorded outputs are no spike counts, and the file ends in spiking neurons: "
            "record their spikes"
        )
    if (
        recorded.any()
        and (recorded >= 0).all()
        and (recorded % 1 == 0).all()
        and (output % 1 != 0).any()
    ):
        return (
            "the recorded outputs are spikes, and the file ends in a linear layer: it lacks the "
            "last neurons. Export "
            "them, or add --readout if:THRESHOLD"
        )
    fitted = _integrators(recorded, output)
    if fitted is None:
        return ""
    decay, gain = fitted
    found = (
        "the recorded outputs are those of leaky integrators behind the last layer, which "
        "the file lacks: "
    )
    if np.ptp(decay) <= SAME and (abs(gain - 1) <= SAME).all():
        return f"{found}--readout li:{1 / (1 - decay.mean()):.5g} adds them"
    kept_shares = ", ".join(f"{d:.5g}" for d in decay[:SHOWN]) + ", ..." * (len(decay) > SHOWN)
    gains = (
        f" and multiply their input by {gain.mean():.5g}" if (abs(gain - 1) > SAME).any() else ""
    )
    return (
        f"{found}they keep {kept_shares} of themselves in a step{gains}. Add them to the file as "
        "nir.LI(tau=dt / (1 - kept), r=tau / dt, v_leak=0)"
    )


def _ends_in_weights(program: Program) -> bool:
    into = chain.from_iterable(map(program.into, program.nodes(Sink)))
    return any(
        p.ops or p.biases or not isinstance(program[source], Population) for source, p in into
    )


def _integrators(recorded: Array, output: Array) -> tuple[Array, Array] | None:
    """Decay and gain (n,) of integrators that give ``recorded`` from ``output``, None if there are
    none.
    """
    before = np.concatenate([np.zeros_like(recorded[:, :1]), recorded[:, :-1]], axis=1)
    largest = max(float(np.abs(recorded).max(initial=0.0)), 1e-30)
    decays, gains = [], []
    for neuron in range(recorded.shape[2]):
        parts = np.stack([before[..., neuron].ravel(), output[..., neuron].ravel()], axis=1)
        wanted = recorded[..., neuron].ravel()
        (decay, gain), *_ = np.linalg.lstsq(parts, wanted, rcond=None)
        if (
            np.abs(parts @ (decay, gain) - wanted).max(initial=0.0) > SAME * largest
            or not SAME < decay < 1 - 1e-9
        ):
            return None
        decays.append(float(decay))
        gains.append(float(gain))
    return np.array(decays), np.array(gains)
