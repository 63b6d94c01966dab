"""A network on Loihi 2: its tables, and where they went."""

from __future__ import annotations

from dataclasses import dataclass

from nirc.backends.loihi2.cores import Placed
from nirc.backends.loihi2.tables import Tables


@dataclass(frozen=True)
class Chip:
    """``late``: steps by which each population's signal is later than in the model, by name."""

    tables: Tables
    placed: Placed
    late: dict[str, int]
