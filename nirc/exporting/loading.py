"""The comparison of a step with the one that a simulator builds when it loads the neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nirc.diagnostics.dynamics import times
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
# Spikes in a step that Xylo counts, the least bound of a chip (backends/xylo/limits.py).
CHIP_SPIKES = 31


@dataclass(frozen=True)
class Loaded:
    """A population as a simulator loads it: ``cell``, and why it is not what was asked for.

    ``refused``: reasons that rule it out. ``remarks``: limits of the chip's numbers, which no
    simulator has. ``delayed``: spikes leave a step later than those of the normalised rule.
    ``cuts``: states are integers, as on a chip.
    """

    cell: Cell | None
    refused: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    rule: str = ""
    delayed: bool = False
    cuts: bool = False


def load(importer: Importer, wanted: Discrete, values: Mapping[str, str] | None = None) -> Loaded:
    """Return ``wanted`` as ``importer`` builds it. Its rule is normalised and has one receptor.

    ``values``: the importer's choices that were asked for.
    """
    cell = importer.write(wanted)
    if isinstance(cell, str):
        return Loaded(None, (cell,))
    needed = setting(importer, {**(values or {}), **cell.values})
    step = importer.step(parameters(cell), wanted.decay_mem.size, needed)
    if cell.threshold is not None:
        step = replace(step, threshold=cell.threshold, rule=LETTER.without_reset())
    step, delayed = _normalised(step)
    asked, built = simplest(wanted), simplest(step)
    reasons = [*_of_rules(asked, built)] or [*_of_numbers(asked, built, cell)]
    refused = tuple(f"the stage {reason}" for reason in reasons)
    cuts = step.grain is not None
    return Loaded(cell, refused, tuple(_limits(asked, built)), step.rule.text, delayed, cuts)


def _normalised(d: Discrete) -> tuple[Discrete, bool]:
    """Return the step as passes write it, and True if its spikes leave a step later."""
    n = d.decay_mem.size
    population: Population[Discrete] = Population((n,), d, ("",))
    nodes = {"p": population, "out": Sink((n,), ("",)), "in": Source((n,), ("",))}
    edges = [("in", "p", Projection()), ("p", "out", Projection())]
    program = NormaliseRules().run(Program.of(Form.DISCRETE, nodes, edges), Log())
    return program["p"].dynamics, program["out"].delay_steps > 0


def simplest(d: Discrete) -> Discrete:
    """Return the same step by the shortest rule.

    A synapse that keeps nothing is none. What subtracts late from a membrane that keeps all, or at
    once from one that keeps nothing, is a plain reset.
    """
    if d.rule.has_synapse and (d.decay_syn is None or (np.abs(d.decay_syn) < PASSES).all()):
        gain = frozen(total_gain(d))
        rule = d.rule.without_synapse()
        d = replace(d, rule=rule, gain_mem=gain, gain_syn=None, decay_syn=None)
    rule, fires = d.rule, d.rule.fires
    if fires is None:
        return d
    delayed = rule.reset_is_delayed
    forgets = bool((d.decay_mem < PASSES).all()) and not delayed and not rule.restores
    keeps_all = bool((d.decay_mem > 1 - PASSES).all())
    delayed_from_all = delayed and rule.reset == "subtract" and keeps_all
    if not forgets and (not delayed_from_all or rule.bounded):
        return d
    reset: Reset = "set" if forgets else "subtract"
    d = replace(d, rule=plain(reset, synapse=rule.has_synapse, at=fires.at, most=fires.most))
    return replace(d, v_reset=None, v_least=None) if forgets else d


def _of_rules(asked: Discrete, built: Discrete) -> Iterator[str]:
    """Yield reasons that the rules tell. Both rules are one where no shorter reason is found."""
    if _essence(asked) == _essence(built):
        return
    reasons = [
        *_of_synapse(asked.rule, built.rule),
        *_of_spikes(asked.rule.fires, built.rule.fires),
        *_of_resets(asked.rule, built.rule),
        *_of_bounds(asked, built),
    ]
    yield from reasons or [f"steps by [{asked.rule.text}], loaded by [{built.rule.text}]"]


def _essence(d: Discrete) -> Rule:
    """Return the rule without what a threshold makes up for, and without limits of a chip."""
    rule, fires = d.rule, d.rule.fires
    if fires is None:
        return rule
    rule = rule.with_fire(Fire(">", None if _is_many(fires) else fires.most))
    return Rule(tuple(op for op in rule.operations if op != BOUND)) if _is_limit(d) else rule


def _of_bounds(asked: Discrete, built: Discrete) -> Iterator[str]:
    if asked.rule.bounded and not built.rule.bounded and not _is_limit(asked):
        yield "has a lower bound of the membrane, loaded it has none"
    if built.rule.bounded and not asked.rule.bounded:
        yield "has no lower bound of the membrane, loaded it has one"


def _of_synapse(asked: Rule, built: Rule) -> Iterator[str]:
    if asked.has_synapse and not built.has_synapse:
        yield "has a synaptic filter, loaded it has none"
    if built.has_synapse and not asked.has_synapse:
        yield "has no synaptic filter, loaded it has one"


def _of_spikes(asked: Fire | None, built: Fire | None) -> Iterator[str]:
    if asked is None and built is not None:
        yield "never fires, loaded it does"
    if asked is not None and built is None:
        yield "fires, loaded it never does"
    if asked is None or built is None or asked.most == built.most:
        return
    if not (_is_many(asked) and _is_many(built)):
        yield f"fires {_times(asked)} in a step, loaded {_times(built)}"


def _of_resets(asked: Rule, built: Rule) -> Iterator[str]:
    if asked.fires is not None and built.fires is not None and _reset(asked) != _reset(built):
        yield f"{_reset(asked)}, loaded it {_reset(built)}"


def _reset(rule: Rule) -> str:
    if rule.reset == "none":
        return "is not reset by a spike"
    what = "subtracts the threshold" if rule.reset == "subtract" else "sets the membrane"
    if rule.restores:
        return f"{what} at once, and before the comparison where the membrane still is above it"
    when = "in the step after a spike, after the decay" if rule.reset_is_delayed else "at once"
    return f"{what} {when}"


def _is_many(fire: Fire) -> bool:
    """Return True if no network should reach the bound of the spikes in a step, or without one."""
    return fire.most is None or fire.most >= CHIP_SPIKES


def _times(fire: Fire) -> str:
    return "once at most" if fire.most == 1 else times(fire.most)


def _is_limit(d: Discrete) -> bool:
    """Return True if the membrane's bound is the least number of a chip's word.

    No network should reach it.
    """
    return d.v_least is not None and bool((d.v_least <= LEAST_OF_16_BITS).all())


def _limits(asked: Discrete, built: Discrete) -> Iterator[str]:
    """Yield the bounds of a chip's numbers that a simulator does not have."""
    most, loaded = (None if d.rule.fires is None else d.rule.fires.most for d in (asked, built))
    if most is not None and most > 1 and loaded is None:
        yield f"fires up to {most} times in a step"
    if asked.rule.bounded and not built.rule.bounded and _is_limit(asked):
        yield f"keeps its membrane at {LEAST_OF_16_BITS:g} and above"


def _of_numbers(asked: Discrete, built: Discrete, cell: Cell) -> Iterator[str]:
    """Yield reasons that the coefficients tell, where both rules are of a kind."""
    loaded_gain = total_gain(built)
    gain = loaded_gain * (1.0 if cell.gain is None else cell.gain)
    wanted_gain = total_gain(asked)
    # What a unit of the stage's membrane is when it is loaded.
    unit = np.where(wanted_gain == 0, 1.0, gain / np.where(wanted_gain == 0, 1.0, wanted_gain))
    decays = {
        "membrane": (asked.decay_mem, built.decay_mem),
        "synaptic current": (asked.decay_syn, built.decay_syn),
    }
    for name, (one, other) in decays.items():
        if one is not None and other is not None and np.abs(one - other).max() > DECAYS:
            ranges = f"{_range(other)} for {_range(one)}"
            yield f"keeps another share of its {name} in a step: {ranges}"
    if asked.grain is not None and built.grain is None:
        yield f"cuts its states to multiples of {asked.grain:g}, loaded it does not"
    arriving = np.zeros(unit.size) if cell.constant is None else loaded_gain * cell.constant
    if asked.rule.has_synapse and arriving.any():
        yield "has a constant input behind its synaptic filter"
    threshold = 0.0 if asked.threshold is None else np.abs(asked.threshold * unit).max()
    for name, (one, other) in _potentials(asked, built, unit, arriving).items():
        near = POTENTIALS * (np.abs(one).max() + threshold) * 0.1
        if not np.allclose(one, other, rtol=POTENTIALS, atol=near):
            yield f"{name} when it is loaded: {_range(other / unit)} for {_range(one / unit)}"


def _potentials(
    asked: Discrete, built: Discrete, unit: Float, arriving: Float
) -> dict[str, tuple[Float, Float]]:
    """Return pairs (n,) of potentials in the loaded unit, by the words for a difference."""
    zero = np.zeros(unit.size)

    def wanted(value: Float | None) -> Float:
        return zero if value is None else value * unit

    def loaded(value: Float | None) -> Float:
        return zero if value is None else value

    drift = wanted(asked.drift), built.drift + arriving
    start = wanted(asked.v_start), loaded(built.v_start)
    pairs = {
        "is drawn by another constant input": drift,
        "starts from another membrane potential": start,
    }
    if asked.threshold is not None and built.threshold is not None:
        pairs["has another threshold"] = wanted(asked.threshold), built.threshold
        if asked.rule.reset == "set":
            reset = wanted(asked.v_reset), loaded(built.v_reset)
            pairs["is reset to another potential"] = reset
    if asked.v_least is not None and built.v_least is not None:
        pairs["has another lower bound"] = wanted(asked.v_least), built.v_least
    return pairs


def _range(values: Float) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
