"""The slow clock, which adds biases: one tick a time step."""

from __future__ import annotations

from collections.abc import Callable

from nirc.backends.speck.limits import DATASHEET, SLOW_CLOCK_HZ
from nirc.backends.speck.network import Network
from nirc.diagnostics.log import Log


def slow_clock_hz(
    network: Network, dt_s: float | None, log: Log, say: Callable[..., None]
) -> float | None:
    """Ticks per second for a tick in every step, None if no layer has a bias or the step is
    unknown.

    Report by ``say`` what a bias means on the chip (D415). A clock out of range is an error (S718).
    """
    biased = [layer for layer in network.layers if layer.has_bias]
    if not biased:
        return None
    hz = None if dt_s is None else round(1 / dt_s, 3)
    low, high = SLOW_CLOCK_HZ
    if hz is not None and not low <= hz <= high:
        log.error(
            "S718",
            f"a bias takes one tick of the slow clock in each step of {dt_s:g} s",
            where=biased[0].origin,
            found=f"{hz:g} Hz",
            limit=f"{low} to {high} Hz",
            source=DATASHEET,
            help="give the length of a step on the chip with --dt, from 1e-4 to 0.1 s",
        )
        return None
    rate = (
        "one tick in each step; give --dt to have its frequency set"
        if hz is None
        else f"{hz:g} Hz, a tick a step"
    )
    say(
        "D415",
        f"the biases of {len(biased)} layer(s) are added by the slow clock ({rate}), at all its "
        "neurons at once: "
        "in the step's own time, not with its events",
        where=biased[0].origin,
        found=", ".join(
            f"`{layer.name}` {int(layer.bias.min())}..{int(layer.bias.max())}"
            for layer in biased[:4]
        ),
        source=DATASHEET,
        help="train without biases to do without the clock",
    )
    return hz
