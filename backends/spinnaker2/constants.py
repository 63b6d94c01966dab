"""Constant inputs: offsets of the membrane, and clocks.

The chip adds ``i_offset`` to the membrane from its first step on. The model does so from the first
step in which the population's inputs could arrive, some latency later. A starting value of the
membrane makes up for the difference. Behind a synaptic filter a constant has to arrive as spikes.
Clocks, neurons that spike in every step, bring its integer part through the filter and in time. The
rest, less than half a unit of weight, is added to the membrane with its value in the steady state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Population, Projection, Role
from nirc.ir.program import Program

Arc = tuple[str, str, Projection]
CLOCKS = 64  # of one step and target, at most
FAR = 1e30  # the bound of starting values


@dataclass(frozen=True)
class Clocked:
    """Integer weights (neurons,) that clocks of the model's step ``onset`` bring together."""

    onset: int
    weight: Int


def integer_part(wanted: Float, limit: int) -> tuple[Int, Float]:
    """Return the part of ``wanted`` (n,) for ``CLOCKS`` weights of ``limit``, and the rest."""
    integer = np.clip(np.rint(wanted), -limit * CLOCKS, limit * CLOCKS).astype(np.int64)
    rest = wanted - integer
    return integer, np.where(np.abs(rest) < 1e-9 * np.maximum(1.0, np.abs(wanted)), 0.0, rest)


def shares(weight: Int, limit: int) -> list[Int]:
    """Return ``weight`` (n,) as a sum of arrays within ``limit``."""
    count = max(1, -(-int(np.abs(weight).max(initial=0)) // limit))
    sign, size = np.sign(weight), np.abs(weight)
    return [sign * np.clip(size - k * limit, 0, limit) for k in range(count)]


def start(offset: Float, alpha: Float, steps: int) -> Float:
    """Return (n,) the membrane from which ``steps`` times ``offset`` lead to 0.

    It is 0 for neurons without memory.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        leaking = (alpha ** -float(steps) - 1) / (1 - alpha)
        value = -offset * np.where(alpha == 1, float(steps), leaking)
    return np.where((offset != 0) & (np.abs(value) < FAR), value, 0.0)


@dataclass(frozen=True)
class User:
    """A population that clocks feed.

    ``limit``: of a weight. ``filtered``: two receptors, by sign.
    """

    n: int
    latency_steps: int
    limit: int
    filtered: bool
    origins: tuple[str, ...]
    clocked: tuple[Clocked, ...]


class Clocks:
    """Neurons that spike in every step from a given step on. Targets of one latency share them."""

    def __init__(self) -> None:
        self.users: dict[int, list[tuple[str, User]]] = {}

    def add(self, name: str, user: User) -> None:
        """Feed the population ``name``."""
        self.users.setdefault(user.latency_steps, []).append((name, user))

    def into(self, program: Program, nodes: dict[str, object], arcs: list[Arc]) -> None:
        """Add the clocks and their projections to the nodes and arcs of a changed ``program``."""
        for latency_steps, users in sorted(self.users.items()):
            copies: dict[int, int] = {}  # by onset
            for _, user in users:
                for clocked in user.clocked:
                    needed = len(shares(clocked.weight, user.limit))
                    copies[clocked.onset] = max(copies.get(clocked.onset, 0), needed)
            onsets = sorted(copies)
            count = np.array([copies[onset] for onset in onsets])
            clocks = int(count.sum())
            first = dict(zip(onsets, (np.cumsum(count) - count).tolist(), strict=True))
            name = program.fresh_name("bias", nodes)
            origins = tuple(dict.fromkeys(user.origins[0] for _, user in users))
            clock = _clock(np.repeat(onsets, count), latency_steps)
            nodes[name] = Population((clocks,), clock, origins, Role.CLOCK)
            for target, user in users:
                arcs += [(name, target, p) for p in _projections(user, first, clocks)]


def _projections(user: User, first: dict[int, int], clocks: int) -> list[Projection]:
    """Return projections from ``clocks`` neurons to a population, one a receptor.

    ``first``: by onset, the first of its clocks.
    """
    weight = np.zeros((user.n, clocks))
    for clocked in user.clocked:
        for k, part in enumerate(shares(clocked.weight, user.limit)):
            weight[:, first[clocked.onset] + k] += part
    projections = []
    for receptor, which in enumerate((weight > 0, weight < 0) if user.filtered else (weight != 0,)):
        target, source = np.nonzero(which)
        if target.size:
            op = Sparse(target, source, frozen(weight[target, source]), clocks, user.n)
            projections.append(Projection((op,), synapse=receptor, origins=user.origins))
    return projections


def _clock(onsets: NDArray[np.int64], latency_steps: int) -> SpinNeuron:
    """Return neurons that count the chip's steps.

    Targets of this latency get the spikes from the model's steps ``onsets`` (n,) on.
    """
    first = (onsets + latency_steps).astype(np.float64)
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
        latency_steps=latency_steps - 1,
    )
