"""One step of a neuron in a chip's arithmetic, as data: named operations on registers.

A register holds (batch, n) numbers. The states of a neuron are registers that last from step to
step. Parameters are registers (n,) that operations only read. ``x`` and ``x_2`` hold the summed
input of a step, ``spikes`` the spikes of the last comparison, ``out`` what leaves the neuron.
``of_discrete`` writes a population of the discrete form in these operations. Integer payloads
bring their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import Act, Add, Comparison, Decay, Fire, Operation

X = "x"
X_2 = "x_2"
SPIKES = "spikes"
EARLIER = "earlier"  # spikes of the comparison before the last
OUT = "out"


@dataclass(frozen=True)
class Times:
    """``to = of * by``. ``by`` is a parameter."""

    to: str
    of: str
    by: str


@dataclass(frozen=True)
class Over:
    """``to = of / by``. ``by`` is a parameter that never changes."""

    to: str
    of: str
    by: str


@dataclass(frozen=True)
class Plus:
    """``to = first + second``. Each is a register or a parameter."""

    to: str
    first: str
    second: str


@dataclass(frozen=True)
class Receive:
    """``to`` gains what arrives as ``source``. It saturates at 16 bits after each neuron's part.

    Inputs come first, then populations, in program order. Where only the sum is known, it is added
    as one neuron's.
    """

    to: str
    source: str


@dataclass(frozen=True)
class Copy:
    """``to = of``. ``of`` None: 0."""

    to: str
    of: str | None


@dataclass(frozen=True)
class Truncate:
    """``to`` loses its fraction, towards zero. ``grain``: the unit."""

    to: str
    grain: float = 1.0


@dataclass(frozen=True)
class Single:
    """``to`` is rounded to single precision."""

    to: str


@dataclass(frozen=True)
class Saturate:
    """``to`` is clipped to ``low`` and ``high``."""

    to: str
    low: float
    high: float


@dataclass(frozen=True)
class Fold:
    """``to`` above ``limit`` loses twice the limit, once. At ``-limit`` or below it gains it."""

    to: str
    limit: float


@dataclass(frozen=True)
class Wrap:
    """``to`` wraps around as a signed integer of ``bits``."""

    to: str
    bits: int


@dataclass(frozen=True)
class Leak:
    """``to`` becomes minus the loss of the integer ``of`` in a step.

    The loss is ``of * (1 - decay)`` rounded down, at least 1 if ``of`` is above 0. ``decay``: a
    parameter, 1 minus a power of two.
    """

    to: str
    of: str
    decay: str


@dataclass(frozen=True)
class Compare:
    """Count the spikes of ``of`` over ``threshold``, as ``rules.Fire`` describes.

    ``integers``: all numbers are integers and thresholds are above 0.
    """

    of: str
    threshold: str
    at: Comparison = ">"
    most: int | None = 1
    integers: bool = False


@dataclass(frozen=True)
class Subtract:
    """``of`` loses ``amount`` for each spike. ``spikes``: of the last or the earlier comparison.

    ``sign`` -1: ``of`` gains it.
    """

    of: str
    amount: str
    spikes: str = SPIKES
    sign: float = 1.0


@dataclass(frozen=True)
class Set:
    """``of`` becomes ``to``, a parameter, where the last comparison had a spike."""

    of: str
    to: str


@dataclass(frozen=True)
class Bound:
    """``of`` is at least ``least``, a parameter."""

    of: str
    least: str


Step = (
    Times
    | Over
    | Plus
    | Receive
    | Copy
    | Truncate
    | Single
    | Saturate
    | Fold
    | Wrap
    | Leak
    | Compare
    | Subtract
    | Set
    | Bound
)


@dataclass(frozen=True)
class Computation:
    """``steps`` in order, the ``parameters`` that they read, and the ``states`` at the start.

    All arrays are (n,). A state that is not named starts at 0.
    """

    steps: tuple[Step, ...]
    parameters: Mapping[str, Float]
    states: Mapping[str, Float] = field(default_factory=dict)


def of_discrete(d: Discrete, *, integers: bool = False) -> Computation:
    """Return a population of the discrete form.

    ``integers``: all its numbers are integers, and factors of 1 never change.
    """
    steps: list[Step] = []
    for op in d.rule.operations:
        steps += _of(op, d, integers)
    if integers:
        steps = [step for step in steps if not _is_times_one(step, d)]
    if not any(op == Act("emit") for op in d.rule.operations):
        steps.append(Copy(OUT, "v"))
    n = d.decay_mem.size
    zeros = np.zeros(n)
    named = {
        "decay_mem": d.decay_mem,
        "gain_mem": d.gain_mem,
        "drift": d.drift,
        "decay_syn": d.decay_syn,
        "gain_syn": d.gain_syn,
        "threshold": d.threshold,
        "v_reset": zeros if d.v_reset is None else d.v_reset,
        "decay_syn_2": d.decay_syn_2,
        "gain_syn_2": d.gain_syn_2,
        "v_least": d.v_least,
    }
    read = set(chain.from_iterable(names_in(step) for step in steps))
    parameters = {name: each for name, each in named.items() if each is not None and name in read}
    states = {"v": zeros if d.v_start is None else np.broadcast_to(d.v_start, n)}
    if d.rule.has_synapse:
        states["i"] = zeros
        if d.decay_syn_2 is not None:
            states["i_2"] = zeros
    if any(isinstance(op, Fire) for op in d.rule.operations):
        states |= {SPIKES: zeros, EARLIER: zeros}
    return Computation(tuple(steps), parameters, states)


def names_in(step: Step) -> list[str]:
    """Return the registers and parameters of an operation."""
    return [name for name in vars(step).values() if isinstance(name, str)]


def _is_times_one(step: Step, d: Discrete) -> bool:
    if not isinstance(step, Times) or step.to != step.of:
        return False
    return bool((getattr(d, step.by) == 1).all())


def _of(op: Operation, d: Discrete, integers: bool) -> list[Step]:
    two = d.decay_syn_2 is not None
    match op:
        case Decay(state="i"):
            first = _decayed("i", "decay_syn", d) if d.decay_syn is not None else [Copy("i", None)]
            return [*first, *(_decayed("i_2", "decay_syn_2", d) if two else [])]
        case Decay():
            return [*_decayed("v", "decay_mem", d), Plus("v", "v", "drift")]
        case Add(source="x", to="i"):
            second = _added("i_2", X_2, "gain_syn_2") if two else []
            gain = "gain_syn" if d.gain_syn is not None else None
            return [*_added("i", X, gain), *second]
        case Add(source="x"):
            return _added("v", X, "gain_mem")
        case Add():
            total: list[Step] = [Plus("total", "i", "i_2")] if two else []
            return [*total, *_added("v", "total" if two else "i", "gain_mem")]
        case Fire():
            compare = Compare("v", "threshold", op.at, op.most, integers)
            return [Copy(EARLIER, SPIKES), compare]
        case Act():
            return _act(op, fires=d.threshold is not None, bounded=d.v_least is not None)


def _act(op: Act, *, fires: bool, bounded: bool) -> list[Step]:
    acts: dict[str, list[Step]] = {
        "subtract": [Subtract("v", "threshold")],
        "set": [Set("v", "v_reset")],
        "restore": [Subtract("v", "threshold", EARLIER, -1.0)],
        "bound": [Bound("v", "v_least")] if bounded else [],
        "emit": [Copy(OUT, SPIKES if fires else "v")],
    }
    return acts[op.text]


def _decayed(state: str, by: str, d: Discrete) -> list[Step]:
    cut: list[Step] = [] if d.grain is None else [Truncate(state, d.grain)]
    return [Times(state, state, by), *cut]


def _added(state: str, source: str, gain: str | None) -> list[Step]:
    if gain is None:
        return [Plus(state, state, source)]
    return [Times("added", source, gain), Plus(state, state, "added")]
