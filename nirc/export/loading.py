"""The comparison of a step with the one that a simulator builds when it loads the neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import BOUND, LETTER, Fire, Reset, Rule, plain
from nirc.passes.normalise_rules import NormaliseRules
from nirc.writers.importer import Cell, Importer, parameters, setting, total_gain

PASSES = 1e-6  # a state that keeps less keeps nothing, one that loses less keeps all: float32
DECAYS = 1e-6  # a difference of decays that float32 makes
POTENTIALS = 1e-5  # a relative difference of potentials that float32 and its roundings make
LEAST_OF_16_BITS = float(-(1 << 15))
CHIP_SPIKES = (
    31  # spikes in a step that Xylo counts, the least bound of a chip (backends/xylo/limits.py)
)


@dataclass(frozen=True)
class Loaded:
    """A population as a simulator loads it: ``cell``, and why it is not what was asked for.

    ``refused``: reasons that rule it out. ``remarks``: limits of the chip's numbers, which no
    simulator has. ``late``: spikes leave a step later than those of the normalised rule. ``cuts``:
    states are whole numbers, as on a chip.
    """

    cell: Cell | None
    refused: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    rule: str = ""
    late: bool = False
    cuts: bool = False


def load(importer: Importer, wanted: Discrete, values: Mapping[str, str] | None = None) -> Loaded:
    """The best that ``importer`` can be told of ``wanted``, whose rule is normalised and has one
    receptor.

    ``values``: the importer's choices that were asked for.
    """
    cell = importer.write(wanted)
    if isinstance(cell, str):
        return Loaded(None, (cell,))
    step = importer.step(
        parameters(cell),
        wanted.decay_mem.size,
        setting(importer, {**(values or {}), **cell.values}),
    )
    if cell.threshold is not None:
        step = replace(step, threshold=cell.threshold, rule=LETTER.without_reset())
    step, late = _normalised(step)
    asked, got = simplest(wanted), simplest(step)
    refused = tuple(_kinds(asked, got))
    if not refused:
        refused = tuple(_numbers(asked, got, cell))
    refused = tuple(f"the stage {reason}" for reason in refused)
    return Loaded(
        cell, refused, tuple(_limits(asked, got)), step.rule.text, late, step.grain is not None
    )


def _normalised(d: Discrete) -> tuple[Discrete, bool]:
    """The step as passes write it, and whether its spikes leave a step later."""
    n = d.decay_mem.size
    nodes: dict[str, object] = {
        "p": Population((n,), d, ("",)),
        "out": Sink((n,), ("",)),
        "in": Source((n,), ("",)),
    }
    program = Program.of(
        Form.DISCRETE, nodes, [("in", "p", Projection()), ("p", "out", Projection())]
    )
    made = NormaliseRules().run(program, Log())
    return made["p"].dynamics, made["out"].delay_steps > 0


def simplest(d: Discrete) -> Discrete:
    """The same step by the shortest rule.

    A synapse that keeps nothing is none. What subtracts late from a membrane that keeps all, or at
    once from one that keeps nothing, is a plain reset.
    """
    if d.rule.has_synapse and (d.decay_syn is None or (np.abs(d.decay_syn) < PASSES).all()):
        d = replace(
            d, rule=d.rule.without_synapse(), gain_mem=frozen(total_gain(d)), gain_syn=None,
            decay_syn=None
        )  # fmt: skip
    fires = d.rule.fires
    if fires is None:
        return d
    forgets = (
        bool((d.decay_mem < PASSES).all()) and not d.rule.reset_is_delayed and not d.rule.restores
    )
    late_from_all = (
        d.rule.reset_is_delayed
        and d.rule.reset == "subtract"
        and bool((d.decay_mem > 1 - PASSES).all())
    )
    if forgets or (late_from_all and not d.rule.bounded):
        reset: Reset = "set" if forgets else "subtract"
        d = replace(d, rule=plain(reset, synapse=d.rule.has_synapse, at=fires.at, most=fires.most))
        d = replace(d, v_reset=None, v_least=None) if forgets else d
    return d


def _kinds(asked: Discrete, got: Discrete) -> Iterator[str]:
    """Reasons that the rules tell; both rules where no shorter one is found."""
    if _essence(asked) == _essence(got):
        return
    found = [
        *_of_synapse(asked.rule, got.rule),
        *_of_spikes(asked, got),
        *_of_resets(asked, got),
        *_of_bounds(asked, got),
    ]
    yield from found or [f"steps by [{asked.rule.text}], loaded by [{got.rule.text}]"]


def _essence(d: Discrete) -> Rule:
    """The rule without what a threshold makes up for, and without the limits of a chip's
    numbers.
    """
    rule, fires = d.rule, d.rule.fires
    if fires is None:
        return rule
    rule = rule.with_fire(
        Fire(">", None if fires.most is not None and fires.most >= CHIP_SPIKES else fires.most)
    )
    return Rule(tuple(op for op in rule.operations if op != BOUND)) if _is_limit(d) else rule


def _of_bounds(asked: Discrete, got: Discrete) -> Iterator[str]:
    if asked.rule.bounded and not got.rule.bounded and not _is_limit(asked):
        yield "has a lower bound of the membrane, loaded it has none"
    if got.rule.bounded and not asked.rule.bounded:
        yield "has no lower bound of the membrane, loaded it has one"


def _of_synapse(asked: Rule, got: Rule) -> Iterator[str]:
    if asked.has_synapse != got.has_synapse:
        yield (
            "has a synaptic filter, loaded it has none"
            if asked.has_synapse
            else "has no synaptic filter, loaded it has one"
        )


def _of_spikes(asked: Discrete, got: Discrete) -> Iterator[str]:
    one, other = asked.rule.fires, got.rule.fires
    if (one is None) != (other is None):
        yield "never fires, loaded it does" if one is None else "fires, loaded it never does"
    elif (
        one is not None
        and other is not None
        and one.most != other.most
        and not _is_word(one, other)
    ):
        yield f"fires {_times(one)} in a step, loaded {_times(other)}"


def _of_resets(asked: Discrete, got: Discrete) -> Iterator[str]:
    one, other = asked.rule, got.rule
    if one.fires is None or other.fires is None:
        return
    words = [_reset(d) for d in (asked, got)]
    if words[0] != words[1]:
        yield f"{words[0]}, loaded it {words[1]}"


def _reset(d: Discrete) -> str:
    rule = d.rule
    if rule.reset == "none":
        return "is not reset by a spike"
    what = "subtracts the threshold" if rule.reset == "subtract" else "sets the membrane"
    if rule.restores:
        return f"{what} at once, and before the comparison where the membrane still is above it"
    when = "in the step after a spike, after the decay" if rule.reset_is_delayed else "at once"
    return f"{what} {when}"


def _is_word(one: Fire, other: Fire) -> bool:
    """Return whether the two bounds differ by a limit of a chip's numbers only, which no network
    should reach.
    """
    return all(fire.most is None or fire.most >= CHIP_SPIKES for fire in (one, other))


def _times(fire: Fire) -> str:
    return (
        "once at most"
        if fire.most == 1
        else "any number of times"
        if fire.most is None
        else f"up to {fire.most} times"
    )


def _most(d: Discrete) -> int | None:
    return None if d.rule.fires is None else d.rule.fires.most


def _is_limit(d: Discrete) -> bool:
    """Return whether the bound of the membrane is the least number of a chip's word, which no
    network should reach.
    """
    return d.v_least is not None and bool((d.v_least <= LEAST_OF_16_BITS).all())


def _limits(asked: Discrete, got: Discrete) -> Iterator[str]:
    """Yield the bounds of a chip's numbers that a simulator does not have."""
    most, other = _most(asked), _most(got)
    if most is not None and most > 1 and other is None:
        yield f"fires up to {most} times in a step"
    if asked.rule.bounded and not got.rule.bounded and _is_limit(asked):
        yield f"keeps its membrane at {LEAST_OF_16_BITS:g} and above"


def _numbers(asked: Discrete, got: Discrete, cell: Cell) -> Iterator[str]:
    """Reasons that the coefficients tell, where both rules are of a kind."""
    gain, own = _gains(got) * (1.0 if cell.gain is None else cell.gain), _gains(asked)
    unit = np.where(own == 0, 1.0, gain / np.where(own == 0, 1.0, own))
    for name, one, other in (
        ("keeps another share of its membrane", asked.decay_mem, got.decay_mem),
        ("keeps another share of its synaptic current", asked.decay_syn, got.decay_syn),
    ):
        if one is not None and other is not None and np.abs(one - other).max() > DECAYS:
            yield f"{name} in a step: {_range(other)} for {_range(one)}"
    if asked.grain is not None and got.grain is None:
        yield f"cuts its states to multiples of {asked.grain:g}, loaded it does not"
    arriving = np.zeros(unit.size) if cell.constant is None else _gains(got) * cell.constant
    if asked.rule.has_synapse and arriving.any():
        yield "has a constant input behind its synaptic filter"
    pairs = [
        ("is drawn by another constant input", asked.drift * unit, got.drift + arriving),
        (
            "starts from another membrane potential",
            _or_zero(asked.v_start, unit),
            _or_zero(got.v_start, unit / unit),
        ),
    ]
    if asked.threshold is not None and got.threshold is not None:
        pairs.append(("has another threshold", asked.threshold * unit, got.threshold))
        if asked.rule.reset == "set":
            zero = _or_zero(got.v_reset, unit / unit)
            pairs.append(("is reset to another potential", _or_zero(asked.v_reset, unit), zero))
    if asked.v_least is not None and got.v_least is not None:
        pairs.append(("has another lower bound", asked.v_least * unit, got.v_least))
    for name, one, other in pairs:
        size = np.abs(one).max() + (
            0.0 if asked.threshold is None else np.abs(asked.threshold * unit).max()
        )
        if not np.allclose(one, other, rtol=POTENTIALS, atol=POTENTIALS * size * 0.1):
            yield f"{name} when it is loaded: {_range(other / unit)} for {_range(one / unit)}"


def _gains(d: Discrete) -> Float:
    return total_gain(d)


def _or_zero(value: Float | None, unit: Float) -> Float:
    return np.zeros(unit.size) if value is None else value * unit


def _range(values: Float) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
