"""A placed reservoir as the chip's arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.xylo.limits import BIAS, DASH, THRESHOLD, WEIGHT_WORD
from nirc.backends.xylo.lower import Reservoir
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.place import Placement
from nirc.backends.xylo.specification import Specification
from nirc.ir.arrays import Int


@dataclass(frozen=True)
class Channels:
    """The chip's input channel of each model input, -1 where nothing listens."""

    of_input: Int
    used: int


def channels(reservoir: Reservoir, most: int) -> Channels:
    """One to one where the model's inputs fit; else only those that a synapse leaves from, in
    order.
    """
    n = reservoir.channels
    if n <= most:
        return Channels(np.arange(n), n)
    used = np.unique(reservoir.from_input.source)
    if not used.size:  # nothing listens; a network still has a channel
        used = np.arange(1)
    of_input = np.full(n, -1)
    of_input[used] = np.arange(used.size)
    return Channels(of_input, int(used.size))


def assemble(reservoir: Reservoir, placement: Placement, channel: Channels) -> Specification:
    """Arrays in the chip's order.

    Relays copy their neuron by alias and take over its readout weights.
    """
    n, place = placement.hidden, placement.index
    hidden = _joined(reservoir, "hidden")
    readout = _joined(reservoir, "readout")
    shift_in, shift_rec, shift_out = hidden.shift_in, hidden.shift_rec, readout.shift_rec
    w_in = np.zeros((channel.used, n, 2), dtype=np.int64)
    w_rec = np.zeros((n, n, 2), dtype=np.int64)
    w_out = np.zeros((n, reservoir.n_readout), dtype=np.int64)
    into = reservoir.from_input
    w_in[channel.of_input[into.source], place[into.target]] = _mantissa(into.value, shift_in)
    within = reservoir.recurrent
    w_rec[place[within.source], place[within.target]] = _mantissa(within.value, shift_rec)
    leaves_from = place.copy()
    leaves_from[placement.relay_of] = placement.relay_index
    out = reservoir.to_readout
    w_out[leaves_from[out.source], out.target] = _mantissa(out.value[:, 0], shift_out)
    aliases = np.full(n, -1)
    aliases[place[placement.relay_of]] = placement.relay_index

    def at_place(values: Int, rest: int) -> Int:
        full = np.full(n, rest)
        full[place] = values
        return full

    return Specification(
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=w_out,
        dash_mem=at_place(hidden.dash_mem, DASH[0]),
        dash_mem_out=readout.dash_mem,
        dash_syn=at_place(hidden.dash_syn, 1),
        dash_syn_2=at_place(hidden.dash_syn_2, 1),
        dash_syn_out=readout.dash_syn,
        threshold=at_place(hidden.threshold, THRESHOLD[1]),
        threshold_out=readout.threshold,
        bias_hidden=_within(at_place(hidden.bias, 0), BIAS),
        bias_out=_within(readout.bias, BIAS),
        weight_shift_in=shift_in,
        weight_shift_rec=shift_rec,
        weight_shift_out=shift_out,
        aliases=aliases,
    )


@dataclass(frozen=True)
class _Neurons:
    dash_mem: Int
    dash_syn: Int
    dash_syn_2: Int
    threshold: Int
    bias: Int
    shift_in: int
    shift_rec: int


def _joined(reservoir: Reservoir, part: str) -> _Neurons:
    """The parameters of all blocks of one part, end to end; the bit shifts are the same in all of
    them.
    """
    blocks = reservoir.hidden if part == "hidden" else reservoir.readout
    neurons: list[XyloNeuron] = [reservoir.program[b.name].dynamics for b in blocks]

    def join(field: str) -> Int:
        return np.concatenate([np.zeros(0, dtype=np.int64), *(getattr(n, field) for n in neurons)])

    unused = [np.ones_like(n.dash_syn) if n.dash_syn_2 is None else n.dash_syn_2 for n in neurons]
    first = neurons[0] if neurons else None
    return _Neurons(
        join("dash_mem"),
        join("dash_syn"),
        np.concatenate([np.zeros(0, dtype=np.int64), *unused]),
        join("threshold"),
        join("bias"),
        first.shift_in if first else 0,
        first.shift_rec if first else 0,
    )


def _mantissa(value: np.ndarray[tuple[int, ...], np.dtype[np.float64]], shift: int) -> Int:
    return _within(np.rint(value / 2.0**shift).astype(np.int64), WEIGHT_WORD)


def _within(values: Int, bounds: tuple[int, int]) -> Int:
    """``values``, which quantise.py has kept in range: a wrapped word must never reach a chip."""
    if values.size and (values.min() < bounds[0] or values.max() > bounds[1]):
        raise AssertionError(f"values {values.min()}..{values.max()} outside {bounds}")
    return values
