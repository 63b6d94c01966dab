"""How the chip's answer will differ in kind from the model's, said once per compilation."""

from __future__ import annotations

from nirc.backends.speck.limits import DATASHEET
from nirc.backends.speck.network import Network
from nirc.diagnostics.log import Log


def report(network: Network, log: Log) -> None:
    """D416: no steps on the chip."""
    first = network.layers[0]
    log.differs(
        "D416",
        "neurons compare with their threshold at every event, not once a step: they may fire several times in a "
        "step, and on a part of its input",
        where=first.origin,
        limit="one spike per event",
        source=DATASHEET,
        help="`nirc verify` shows both: summed up step by step, and event by event; several spikes a step in "
        "training (sinabs' MultiSpike) remove a part of the difference",
    )
