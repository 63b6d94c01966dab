"""Synapses of network.nir that stand as one list."""

from __future__ import annotations

import math

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.network import FILE
from nirc.checker.values import understood

# fmt: off


@understood(FILE)
def add_lists(bundle: Bundle) -> None:
    """Add the synapses that stand as one list in the metadata of network.nir."""
    lists, starts, head = bundle.network.lists, [*bundle.offsets], "node/metadata/synapses_"
    if f"{head}source" in lists:
        sizes = [math.prod(bundle.network.shapes[name]) for name in starts]
        late = np.repeat([bundle.late.get(name, 0) for name in starts], sizes)
        keys = ("target", "source", "weight", "receptor", "lag")
        to, frm, weight, receptor, lag = (lists.pop(head + key).astype(int) for key in keys)
        lag += late[to] - late[frm]
        first = np.repeat([*bundle.offsets.values()], sizes)
        for (a, b), steps in bundle.retimed.items():  # delivered later on purpose
            lag[(first[frm] == bundle.offsets[a]) & (first[to] == bundle.offsets[b])] += steps
        rows = receptor, lag, (to, frm, weight)
        bundle.network.projections.append((starts[0], starts[0], *rows))  # numbers from 0 on
