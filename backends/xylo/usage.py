"""What a reservoir needs of each limited resource: the measures that limits.py names."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nirc.backends.xylo.lower import Reservoir

Measure = Iterable[tuple[str, int]]


def input_channels(reservoir: Reservoir) -> Measure:
    """Channels that a synapse leaves from; unused ones need none."""
    used = np.unique(reservoir.from_input.source).size
    return [(_blocks(reservoir.inputs), min(reservoir.channels, max(used, 1)))]


def hidden_neurons(reservoir: Reservoir) -> Measure:
    """Hidden neurons before any relay."""
    return [(_blocks(reservoir.hidden), reservoir.n_hidden)]


def output_neurons(reservoir: Reservoir) -> Measure:
    """Readout neurons."""
    return [(_blocks(reservoir.readout), reservoir.n_readout)]


def fan_out(reservoir: Reservoir) -> Measure:
    """Recurrent entries of each hidden neuron."""
    count = np.bincount(reservoir.recurrent.source, minlength=reservoir.n_hidden)
    worst = np.flatnonzero(count > 0)
    return [
        (reservoir.name(int(n)), int(count[n]))
        for n in worst[np.argsort(-count[worst], kind="stable")]
    ]


def entries(reservoir: Reservoir) -> Measure:
    """Recurrent entries in total: a pair of neurons costs one."""
    return [("all recurrent synapses", int(reservoir.recurrent.target.size))]


def synaptic_states(reservoir: Reservoir) -> Measure:
    """Synaptic states of a neuron of each hidden population."""
    second = np.zeros(reservoir.n_hidden, dtype=bool)
    for synapses in (reservoir.from_input, reservoir.recurrent):
        second[synapses.target[synapses.value[:, 1] != 0]] = True
    return [(f"`{b.name}`", 1 + int(second[b.start : b.stop].any())) for b in reservoir.hidden]


def _blocks(blocks: tuple[object, ...]) -> str:
    return ", ".join(f"`{b.name}`" for b in blocks[:6]) + (", ..." if len(blocks) > 6 else "")  # type: ignore[attr-defined]
