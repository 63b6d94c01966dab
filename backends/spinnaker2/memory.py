"""How much memory a slice takes of its processing element, term by term; on the safe side (targets
sheet, section 2).

All terms in bytes. ``table``: the master population table, an entry for each slice that sends here.
``rows``: the synapses of each source neuron with targets here. ``ring``: ring buffers. ``state``:
membranes and currents; parameters have a place of their own. ``recording``: of outputs, over all
steps. ``kernel``: of a convolution, whole on each PE, with a pointer a neuron. ``spikes``: those
that an input plays.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2 import limits
from nirc.backends.spinnaker2.emulate import Connections, connections
from nirc.backends.spinnaker2.tables import (
    DELAYED,
    FILTERED,
    Convolution,
    Input,
    Population,
    Tables,
)

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
TERMS = ("table", "rows", "ring", "state", "recording", "kernel", "spikes")


@dataclass(frozen=True)
class Prices:
    """What memory there is and what things take of it; see ``limits`` for the meaning and source of
    each.
    """

    dyn_bytes: int = limits.DYN_BYTES
    mpt_words: int = limits.MPT_WORDS
    mpt_factor: int = limits.MPT_FACTOR
    row_header: int = limits.ROW_HEADER
    synapse_bytes: int = limits.SYNAPSE_BYTES
    slots: int = limits.SLOTS
    signs: int = limits.SIGNS
    slot_bytes: int = limits.SLOT_BYTES
    state_words: int = limits.STATE_WORDS["lif"]
    state_words_exp: int = limits.STATE_WORDS["lif_curr_exp"]
    spike_bytes: int = limits.SPIKE_BYTES

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of all prices."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True)
class Incoming:
    """Synapses into a population, sorted by source neuron, then target neuron.

    ``rows``: stored one by one.
    """

    source: str
    pre: Int32
    post: Int32
    rows: bool

    def slices(self, atoms: int) -> tuple[Int, Int, Int]:
        """For each source neuron and target slice that it reaches: both, and the synapses between
        them.
        """
        to = self.post // atoms
        new = np.ones(len(to), np.bool_)
        new[1:] = (self.pre[1:] != self.pre[:-1]) | (to[1:] != to[:-1])
        start = np.flatnonzero(new)
        return (
            self.pre[start].astype(np.int64),
            to[start].astype(np.int64),
            np.diff(np.append(start, len(to))),
        )


class Memory:
    """The costs of all ways to slice the populations of ``tables``, recording ``steps`` steps of
    the outputs.
    """

    def __init__(self, tables: Tables, prices: Prices, steps: int) -> None:
        self.tables, self.prices, self.steps = tables, prices, steps
        self.blocks: dict[str, Input | Population] = {b.name: b for b in tables.inputs}
        self.blocks |= {b.name: b for b in tables.populations}
        self.incoming: dict[str, list[Incoming]] = {name: [] for name in self.blocks}
        for c in connections(tables):
            self.incoming[c.target].append(
                _sorted(c, convolved=any(_is(c, k) for k in tables.convolutions))
            )
        self.kernels = {c.target: c.weight.size for c in tables.convolutions}
        self.recorded = {output.population for output in tables.outputs}

    def neurons(self, name: str, atoms: int) -> Int:
        """(slices,) neurons of each slice."""
        n = self.blocks[name].n
        count = -(-n // atoms)
        return np.minimum(atoms, n - atoms * np.arange(count))

    def terms(self, name: str, atoms: int, source_atoms: dict[str, int]) -> dict[str, Int]:
        """(slices,) bytes by term, of a population in slices of ``atoms``, fed by slices of
        ``source_atoms``.
        """
        block, p = self.blocks[name], self.prices
        n = self.neurons(name, atoms)
        zero = np.zeros(len(n), np.int64)
        made = dict.fromkeys(TERMS, zero)
        if isinstance(block, Input):
            made["spikes"] = (
                np.ceil(n * self.steps * limits.INPUT_RATE).astype(np.int64) * p.spike_bytes
            )
            return made
        delayed, filtered = block.model in DELAYED, block.model in FILTERED
        made["ring"] = n * (p.slots if delayed else 1) * p.signs * p.slot_bytes
        made["state"] = n * (p.state_words_exp if filtered else p.state_words) * 4
        if name in self.recorded:
            bits = -(-n // 32) * 4 if block.spikes else n * 4
            made["recording"] = bits * self.steps
        if name in self.kernels:
            made["kernel"] = self.kernels[name] + n
        senders, rows = zero.copy(), zero.copy()
        for into in self.incoming[name]:
            pre, to, synapses = into.slices(atoms)
            if into.rows:
                size = -(-(p.row_header + p.synapse_bytes * synapses) // 4) * 4
                rows += np.bincount(to, size, minlength=len(n)).astype(np.int64)
            sources = -(-self.blocks[into.source].n // source_atoms[into.source])
            sends = np.zeros((sources, len(n)), np.bool_)
            sends[pre // source_atoms[into.source], to] = True
            senders += sends.sum(axis=0)
        made["table"] = senders * p.mpt_words * 4 * p.mpt_factor
        made["rows"] = rows
        return made

    def total(self, name: str, atoms: int, source_atoms: dict[str, int]) -> Int:
        """(slices,) bytes."""
        total: Int = np.sum(list(self.terms(name, atoms, source_atoms).values()), axis=0)
        return total


def _sorted(c: Connections, *, convolved: bool) -> Incoming:
    pre, post = c.pre.astype(np.int32, copy=False), c.post.astype(np.int32, copy=False)
    step = np.diff(pre)
    if not ((step > 0) | ((step == 0) & (np.diff(post) >= 0))).all():
        order = np.lexsort((post, pre))
        pre, post = pre[order], post[order]
    return Incoming(c.source, pre, post, rows=not convolved)


def _is(c: Connections, convolution: Convolution) -> bool:
    return (c.source, c.target) == (convolution.source, convolution.target)
