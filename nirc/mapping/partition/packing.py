"""Parts onto cores: first fit, the largest first, with preference for a core that already gets the same spikes."""

from __future__ import annotations

import numpy as np

from nirc.mapping.partition.boxes import Ints


def pack(taken: Ints, capacity: Ints) -> Ints:
    """(parts,) the core of each; ``taken`` (parts, resources) none above ``capacity``."""
    share = (taken / np.maximum(capacity, 1)).max(axis=1)
    order = np.argsort(-share, kind="stable")
    core = np.full(len(taken), -1, dtype=np.int64)
    left = np.zeros((len(taken), capacity.size), dtype=np.int64)
    least = taken.min(axis=0, initial=0 if not len(taken) else int(taken.max()))
    opened: list[int] = []
    used = 0
    for part in order.tolist():
        room = np.flatnonzero((left[opened] >= taken[part]).all(axis=1)) if opened else np.zeros(0, np.int64)
        if room.size:
            core[part] = opened[int(room[0])]
        else:
            core[part], used = used, used + 1
            left[core[part]] = capacity
            opened.append(int(core[part]))
        left[core[part]] -= taken[part]
        if (left[core[part]] < least).any():
            opened.remove(int(core[part]))
    return core
