"""Lists of synapses that gather many small projections between the same processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.drive import stored
from nirc.backends.loihi2.processes import Piece
from nirc.backends.loihi2.rule import SignMode
from nirc.backends.loihi2.tables import Projection
from nirc.ir.arrays import Int, unrepeated
from nirc.ir.linear import Dense, Sparse, Weighted, weights_of

# Source and target process, delay, sign mode, exponent, and if neurons inhibit themselves by it.
Key = tuple[str, str, int, SignMode, int, bool]
Weights = NDArray[np.int16]
Synapses = tuple[Int, Int, Weights]  # target, source, weight
Stored = tuple[SignMode, int, Synapses]  # sign mode, exponent, synapses


class Lists:
    """Gathers synapses with the same processes, delay, sign mode and exponent.

    Self-inhibition stands apart, since it bounds u where other inhibition does not.
    """

    def __init__(self) -> None:
        self._lists: dict[Key, list[Synapses]] = {}
        # By the operator's id. The operator lives here, so that no other one gets its id.
        self._known: dict[int, tuple[Weighted, Stored]] = {}

    def add(self, source: Piece, target: Piece, op: Weighted, delay: int, *, itself: bool) -> None:
        """Add the synapses of ``op`` that are not zero. ``itself``: to the same population."""
        if id(op) not in self._known:
            self._known[id(op)] = op, _synapses(op)
        _, (mode, exponent, (rows, cols, weights)) = self._known[id(op)]
        if not weights.size:
            return
        alone = itself and not delay and mode == "inhibitory" and bool((rows == cols).all())
        key = (source.name, target.name, delay, mode, exponent, alone)
        synapses = target.places[rows], source.places[cols], weights
        self._lists.setdefault(key, []).append(synapses)

    def projections(self, number: int) -> Iterator[Projection]:
        """Yield the lists as projections named from ``w{number}`` on.

        A synapse between two neurons that stands twice goes to a second list.
        """
        for (source, target, delay, mode, exponent, _), parts in self._lists.items():
            rows, cols, weights = map(np.concatenate, zip(*parts, strict=True))
            for once in unrepeated(rows, cols):
                delays = np.full(once.size, delay) if delay else None
                yield Projection(
                    f"w{number}",
                    source,
                    target,
                    "sparse",
                    weights[once],
                    mode,
                    rows[once],
                    cols[once],
                    delays,
                    weight_exp=exponent,
                )
                number += 1


def _synapses(op: Weighted) -> Stored:
    assert isinstance(op, Dense | Sparse), "neurons with kernels are not joined"
    value = weights_of(op)
    if not value.any():
        none = np.zeros(0, np.int64)
        return "mixed", 0, (none, none, np.zeros(0, np.int16))
    mode, exponent = stored(value)
    rows, cols, values = op.coo()
    weights = np.rint(values / 2.0**exponent).astype(np.int16)  # at most 9 bits
    keep = np.flatnonzero(weights)
    return mode, exponent, (rows[keep], cols[keep], weights[keep])
