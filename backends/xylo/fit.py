"""Fits a network into a variant: limits, order of the neurons, and the chip's arrays.

All limits are reported, not just the first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from nirc.backends.xylo import differences, lower
from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.estimate import report_slow_clock
from nirc.backends.xylo.findings import (
    AboveLimit,
    MixedOutputs,
    RelaysAdded,
    TooManyHidden,
    TooManyInputs,
    TooManyOutputs,
)
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.limits import BIAS, DASH, FIRST, LAST, THRESHOLD, VARIANTS, WEIGHT_WORD
from nirc.backends.xylo.lower import Measure, Reservoir
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.place import Placement, PlaceProblem, can_place, place
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Excess, Target, excesses
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import populations_of
from nirc.ir.program import Program

# Limits that no rounding of weights can bring down.
SIZES = (TooManyInputs, TooManyHidden, TooManyOutputs)
NOTHING: Int = np.zeros(0, dtype=np.int64)


def cannot_fit(
    discrete: Program, targets: Sequence[Target], log: Log, *, synapses: bool = True
) -> bool:
    """Report every limit of all ``targets`` if each of them lacks channels, neurons or outputs.

    Synapses are counted only then, and not at all if there are too many to list. Without
    ``synapses`` they are not counted.
    """
    legal = XyloLegalise().run(discrete, Log())
    reservoir = lower.lower(legal, Log(), synapses=False)
    over = [excesses(reservoir, target) for target in targets]
    if not all(any(_is_of(each, *SIZES) for each in exceeded) for exceeded in over):
        return False
    with contextlib.suppress(CompileError):
        reservoir = lower.lower(legal, Log(), synapses=synapses)
    roomier = list(_roomier(reservoir)) if synapses else []
    for target in targets:
        _report(excesses(reservoir, target), reservoir, roomier, log)
    return True


def fit(
    program: Program, discrete: Program, target: Target, search: Search, log: Log
) -> Mapped | None:
    """Return tables for ``target``, or None with the reasons in ``log``.

    ``discrete`` is legalised, ``program`` integer.
    """
    reservoir = lower.lower(program, log)
    if _has_mixed_outputs(reservoir, log):
        return None
    over = excesses(reservoir, target)
    problem = _problem(reservoir)
    roomier: Iterable[Target] = _roomier(reservoir)
    if over:
        roomier = [variant for variant in roomier if can_place(problem, variant, search)]
        _report(over, reservoir, roomier, log)
    # A network of too many neurons has no order. The search would report this a second time.
    if any(_is_of(each, TooManyHidden) for each in over):
        return None
    placed = _ordered(problem, target, roomier, search, log)
    if over or placed is None:
        return None
    latency_steps = differences.latencies(discrete)
    differences.report_timing(discrete, latency_steps, log)
    differences.report(discrete, log)
    channel = channels(reservoir, target.max("input channels"))
    chip = assemble(reservoir, placed, channel)
    report_slow_clock(chip, target, discrete.dt_s, log)
    if placed.relay_of.size:
        last = target.max(LAST)
        log.add(RelaysAdded(relays=placed.relay_of.size, last=last))
    per_sink = [[latency_steps[sink]] * reservoir.program[sink].n for sink in reservoir.sinks]
    silent = any(reservoir.program[b.name].dynamics.silent for b in reservoir.readout)
    return Mapped(
        target,
        chip,
        tuple(None if c < 0 else c for c in channel.of_input.tolist()),
        tuple(range(reservoir.n_readout)),
        tuple(chain.from_iterable(per_sink)),
        _placed_blocks(reservoir, placed, latency_steps),
        _utilisation(reservoir, placed, channel, chip, target),
        silent,
        differences.retimed(program, latency_steps),
    )


def _has_mixed_outputs(reservoir: Reservoir, log: Log) -> bool:
    """Report X516 if some readout neurons spike and others are read by their membranes."""
    readout = [reservoir.program[b.name] for b in reservoir.readout]
    silent = tuple(p.origins[0] for p in readout if p.dynamics.silent)
    spiking = tuple(p.origins[0] for p in readout if not p.dynamics.silent)
    if silent and spiking:
        log.add(MixedOutputs(where=spiking[0], spiking=spiking, membranes=silent))
    return bool(silent and spiking)


def _is_of(excess: Excess, *findings: type[AboveLimit]) -> bool:
    return excess.limit.finding in findings


def _roomier(reservoir: Reservoir) -> Iterator[Target]:
    """Yield the variants of which the network exceeds no limit. Only refusals ask for them."""
    return (variant for variant in VARIANTS if not excesses(reservoir, variant))


def _report(
    over: Iterable[Excess], reservoir: Reservoir, roomier: Sequence[Target], log: Log
) -> None:
    """Report one error for each limit that is exceeded. The first of ``roomier`` is advised."""
    other = next(iter(roomier), None)
    for each in over:
        finding = each.limit.finding
        if issubclass(finding, TooManyInputs):
            log.add(
                finding(where=each.where, excess=each, roomier=other, channels=reservoir.channels)
            )
        elif issubclass(finding, AboveLimit):
            log.add(finding(where=each.where, excess=each, roomier=other))


def _problem(reservoir: Reservoir) -> PlaceProblem:
    receives = np.zeros(reservoir.n_hidden, dtype=bool)
    read_out = np.zeros(reservoir.n_hidden, dtype=bool)
    receives[reservoir.from_input.target] = True
    read_out[reservoir.to_readout.source] = True
    return PlaceProblem(receives, read_out)


def _ordered(
    problem: PlaceProblem, target: Target, roomier: Iterable[Target], search: Search, log: Log
) -> Placement | None:
    answer = place(problem, target, search, roomier)
    if isinstance(answer, Placement):
        return answer
    for conflict in answer:
        log.add(conflict)
    return None


def _placed_blocks(
    reservoir: Reservoir, placed: Placement, latency_steps: dict[str, int]
) -> dict[str, Block]:
    neurons = populations_of(reservoir.program, XyloNeuron)
    blocks = {}
    parts = (
        ("hidden", reservoir.hidden, placed.index),
        ("readout", reservoir.readout, np.arange(reservoir.n_readout)),
    )
    for part, populations, places in parts:
        for b in populations:
            scale = neurons[b.name].dynamics.scale
            index = places[b.start : b.stop].tolist()
            blocks[b.name] = Block(part, tuple(index), tuple(scale.tolist()), latency_steps[b.name])
    return blocks


def _utilisation(
    reservoir: Reservoir, placed: Placement, channel: Channels, chip: Specification, target: Target
) -> dict[str, tuple[int, int]]:
    def most(measure: Callable[[Reservoir], Measure]) -> int:
        return max((n for _, n in measure(reservoir)), default=0)

    used = {
        "input channels": channel.used,
        "hidden neurons": placed.hidden,
        "output neurons": reservoir.n_readout,
        "fan-out of one neuron": most(lower.fan_out),
        "recurrent entries": most(lower.entries),
        FIRST: int(np.unique(reservoir.from_input.target).size),
        LAST: int(np.count_nonzero(chip.weights_out.any(axis=1))),
    }
    return {name: (n, target.max(name)) for name, n in used.items()}


# --- a placed reservoir as the chip's arrays ---


@dataclass(frozen=True)
class Channels:
    """The chip's input channel of each model input, -1 where nothing listens."""

    of_input: Int
    used: int


def channels(reservoir: Reservoir, most: int) -> Channels:
    """Give each of the model's inputs a channel if they fit, else only those that a synapse leaves.

    The channels are in the order of the inputs.
    """
    n = reservoir.channels
    if n <= most:
        return Channels(np.arange(n), n)
    used = np.unique(reservoir.from_input.source)
    if not used.size:  # nothing listens, but a network has a channel
        used = np.arange(1)
    of_input = np.full(n, -1)
    of_input[used] = np.arange(used.size)
    return Channels(of_input, int(used.size))


def assemble(reservoir: Reservoir, placement: Placement, channel: Channels) -> Specification:
    """Return arrays in the chip's order.

    Relays copy their neuron by alias and take over its readout weights.
    """
    n = placement.hidden
    place_of = placement.index
    hidden = _joined(reservoir, "hidden")
    readout = _joined(reservoir, "readout")
    w_in = np.zeros((channel.used, n, 2), dtype=np.int64)
    w_rec = np.zeros((n, n, 2), dtype=np.int64)
    w_out = np.zeros((n, reservoir.n_readout), dtype=np.int64)
    into = reservoir.from_input
    w_in[channel.of_input[into.source], place_of[into.target]] = _mantissa(
        into.value, hidden.shift_in
    )
    within = reservoir.recurrent
    w_rec[place_of[within.source], place_of[within.target]] = _mantissa(
        within.value, hidden.shift_rec
    )
    leaves_from = place_of.copy()
    leaves_from[placement.relay_of] = placement.relay_index
    out = reservoir.to_readout
    w_out[leaves_from[out.source], out.target] = _mantissa(out.value[:, 0], readout.shift_rec)
    aliases = np.full(n, -1)
    aliases[place_of[placement.relay_of]] = placement.relay_index

    def at_place(values: Int, rest: int) -> Int:
        full = np.full(n, rest)
        full[place_of] = values
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
        weight_shift_in=hidden.shift_in,
        weight_shift_rec=hidden.shift_rec,
        weight_shift_out=readout.shift_rec,
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
    """Join the parameters of all blocks of one part. All blocks have the same bit shifts."""
    blocks = reservoir.hidden if part == "hidden" else reservoir.readout
    neurons: list[XyloNeuron] = [reservoir.program[b.name].dynamics for b in blocks]

    def join(field: str) -> Int:
        return np.concatenate([NOTHING, *(getattr(n, field) for n in neurons)])

    unused = [np.ones_like(n.dash_syn) if n.dash_syn_2 is None else n.dash_syn_2 for n in neurons]
    first = neurons[0] if neurons else None
    return _Neurons(
        join("dash_mem"),
        join("dash_syn"),
        np.concatenate([NOTHING, *unused]),
        join("threshold"),
        join("bias"),
        first.shift_in if first else 0,
        first.shift_rec if first else 0,
    )


def _mantissa(value: Float, shift: int) -> Int:
    return _within(np.rint(value / 2.0**shift).astype(np.int64), WEIGHT_WORD)


def _within(values: Int, bounds: tuple[int, int]) -> Int:
    """Return ``values`` if they are in range. A word that wraps around must never reach a chip."""
    if values.size and (values.min() < bounds[0] or values.max() > bounds[1]):
        raise AssertionError(f"values {values.min()}..{values.max()} outside {bounds}")
    return values
