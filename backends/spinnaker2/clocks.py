"""Clocks: neurons that spike in every step from a given one on, and bring constants to those that
they feed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.constants import Clocked, shares
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.ir.arrays import frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Population, Projection, Role
from nirc.ir.program import Program

Arc = tuple[str, str, Projection]


@dataclass(frozen=True)
class User:
    """A population that clocks feed.

    ``limit``: of a weight; ``filtered``: two receptors, by sign.
    """

    n: int
    late: int
    limit: int
    filtered: bool
    origins: tuple[str, ...]
    clocked: tuple[Clocked, ...]


class Clocks:
    """Neurons that spike in every step from a given one on: one population for each lateness of
    targets.
    """

    def __init__(self) -> None:
        self.users: dict[int, list[tuple[str, User]]] = {}

    def add(self, name: str, user: User) -> None:
        """``name`` asks for clocks."""
        self.users.setdefault(user.late, []).append((name, user))

    def into(self, program: Program, nodes: dict[str, object], arcs: list[Arc]) -> None:
        """Add the clocks and their projections to what ``program`` becomes."""
        for lateness, users in sorted(self.users.items()):
            copies: dict[int, int] = {}  # by onset
            for _, user in users:
                for clocked in user.clocked:
                    needed = len(shares(clocked.weight, user.limit))
                    copies[clocked.onset] = max(copies.get(clocked.onset, 0), needed)
            onsets = sorted(copies)
            count = np.array([copies[onset] for onset in onsets])
            first = dict(zip(onsets, (np.cumsum(count) - count).tolist(), strict=True))
            name = program.fresh_name("bias", nodes)
            origins = tuple(dict.fromkeys(user.origins[0] for _, user in users))
            clock = _clock(np.repeat(onsets, count), lateness)
            nodes[name] = Population((int(count.sum()),), clock, origins, Role.CLOCK)
            for target, user in users:
                arcs += [(name, target, p) for p in _projections(user, first, int(count.sum()))]


def _projections(user: User, first: dict[int, int], clocks: int) -> list[Projection]:
    """From ``clocks`` neurons, those of an onset from ``first`` on, to one population: one
    projection a receptor.
    """
    weight = np.zeros((user.n, clocks))
    for clocked in user.clocked:
        for k, part in enumerate(shares(clocked.weight, user.limit)):
            weight[:, first[clocked.onset] + k] += part
    made = []
    for receptor, which in enumerate((weight > 0, weight < 0) if user.filtered else (weight != 0,)):
        target, source = np.nonzero(which)
        if target.size:
            op = Sparse(target, source, frozen(weight[target, source]), clocks, user.n)
            made.append(Projection((op,), synapse=receptor, origins=user.origins))
    return made


def _clock(onsets: NDArray[np.int64], lateness: int) -> SpinNeuron:
    """Counts the chip's steps and spikes so that its targets see the spike in the model's step
    ``onsets`` (n,).
    """
    first = (onsets + lateness).astype(np.float64)
    zeros, ones = single(np.zeros(len(onsets))), single(np.ones(len(onsets)))
    return SpinNeuron(
        model="lif_no_delay",
        reset="reset_to_v_reset",
        threshold=single(first),
        alpha_decay=ones,
        i_offset=ones,
        v_init=zeros,
        v_reset=single(first - 1),
        scale=frozen(np.ones(len(onsets))),
        late=lateness - 1,
    )
