"""Update rules and neurons at random: of every writer and chip, and any that contradict nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import get_args

import numpy as np
from hypothesis import strategies as st

from nirc.backends.speck import neuron as speck
from nirc.backends.xylo import neuron as xylo
from nirc.ir.arrays import Float, frozen
from nirc.ir.layers import NeuronKind
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.rules import (
    BOUND,
    EMIT,
    LETTER,
    MEMBRANE,
    RESTORE,
    SET,
    SUBTRACT,
    Add,
    Decay,
    Fire,
    Operation,
    Rule,
    plain,
)  # fmt: skip
from nirc.writers.writer import Setting, Writer, installed_writers

ONE = frozen(np.ones(1))


def decays_after_adding(rule: Rule) -> bool:
    """Return True if the current takes its input, decays, and then enters the membrane."""
    order = [Add("x", "i"), Decay("i"), Add("i", "v")]
    return [op for op in rule.operations if op in order] == order


CHIPS: dict[str, Rule] = {
    "xylo": xylo.HIDDEN,
    "xylo, output": xylo.HIDDEN.with_fire(Fire(">=", 1)),
    "xylo, membrane": xylo.READ,
    "speck": speck.RULE,
    "speck, to zero": speck.RULE.with_reset("set"),
    "loihi2": LETTER,
    "loihi2, synapse": LETTER.with_synapse(),
    "spinnaker2": plain("set", synapse=True, at=">="),
    "spinnaker2, subtract": plain("subtract", synapse=False, at=">="),
}


def continuous(kind: NeuronKind) -> Continuous:
    """One neuron of this kind with a time constant of 8 ms, a synapse of 4 ms and all the rest
    1.
    """
    timed, leaks = kind not in ("I", "IF", "Threshold"), kind in ("LI", "LIF", "CubaLI", "CubaLIF")
    synapse, fires = kind.startswith("Cuba"), kind in ("IF", "LIF", "CubaLIF", "Threshold")
    return Continuous(
        kind,
        tau_syn_s=ONE * 4e-3 if synapse else None,
        tau_mem_s=ONE * 8e-3 if timed else None,
        r=None if kind == "Threshold" else ONE,
        w_in=ONE if synapse else None,
        v_leak=ONE * 0 if leaks else None,
        v_threshold=ONE if fires else None,
        v_reset=ONE * 0 if fires and kind != "Threshold" else None,
    )


def settings_of(writer: Writer) -> Iterator[Setting]:
    """Every combination of the writer's choices, for populations that feed themselves and
    others.
    """
    values = [(*c.values, *c.tried) for c in writer.choices]
    for combination in product(*values):
        chosen = dict(zip((c.key for c in writer.choices), combination, strict=True))
        for recurrent in (False, True):
            yield Setting(1e-3, chosen, recurrent)


def of_writers() -> dict[str, Rule]:
    """Every rule that an installed writer gives a neuron of any kind, by its text."""
    made: dict[str, Rule] = {}
    for writer in installed_writers().values():
        for setting in settings_of(writer):
            for kind in get_args(NeuronKind):
                if kind == "Threshold":  # the same for all writers
                    continue
                rule = writer.step(continuous(kind), 1, setting).rule
                made[rule.text] = rule
    return made


RULES = of_writers() | {rule.text: rule for rule in CHIPS.values()}


def of_writers_and_chips() -> st.SearchStrategy[Rule]:
    """One of ``RULES``."""
    return st.sampled_from(sorted(RULES)).map(RULES.__getitem__)


@st.composite
def any_rule(draw: st.DrawFn) -> Rule:
    """A rule that contradicts nothing, whether a simulator has it or not."""
    synapse = draw(st.booleans())
    needed: list[Operation] = [Decay("v")]
    needed += [Decay("i"), Add("x", "i"), Add("i", "v")] if synapse else [Add("x", "v")]
    ops = list(draw(st.permutations(needed)))
    fires = st.builds(Fire, st.sampled_from([">", ">="]), st.sampled_from([1, 2, 31, None]))
    if not draw(st.booleans()):
        for op in draw(st.sampled_from([(), (EMIT,), (BOUND,), (EMIT, BOUND)])):
            ops.insert(draw(st.integers(0, len(ops))), op)
        return Rule(tuple(ops))
    count = draw(st.integers(1, 2))
    fire = draw(fires)
    at = sorted(
        draw(st.lists(st.integers(0, len(ops)), min_size=count, max_size=count)), reverse=True
    )
    for place in at:
        ops.insert(place, fire)
    first = ops.index(fire)
    last = len(ops) - 1 - ops[::-1].index(fire)
    behind = {EMIT: 0, BOUND: 0, SUBTRACT: first + 1, SET: first + 1, RESTORE: last + 1}
    others = draw(
        st.sets(st.sampled_from([BOUND, SUBTRACT, SET, *([RESTORE] if count == 2 else [])]))
    )
    for op in sorted(others, key=lambda op: (-behind[op], op.text)):
        ops.insert(draw(st.integers(behind[op], len(ops))), op)
    ops.insert(draw(st.integers(0, len(ops))), EMIT)
    return Rule(tuple(ops))


@st.composite
def neurons(
    draw: st.DrawFn, rules: st.SearchStrategy[Rule], n: int = 3, *, receptors: int = 2
) -> Discrete:
    """A population under one of ``rules``, in eighths, so that membranes often are exactly at a
    threshold.
    """
    rule = draw(rules)

    def eighths(low: int, high: int) -> Float:
        return frozen(
            np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n))) / 8.0
        )

    decay_syn = decay_syn_2 = None
    if rule.has_synapse:
        first = receptors < 2 or draw(st.booleans())
        decay_syn = eighths(0, 8) if first else None
        decay_syn_2 = (
            eighths(0, 8) if receptors > 1 and (not first or draw(st.booleans())) else None
        )
    return Discrete(
        decay_mem=draw(st.sampled_from([frozen(np.ones(n)), eighths(0, 8)])),
        gain_mem=draw(st.sampled_from([frozen(np.ones(n)), eighths(1, 16)])),
        drift=draw(st.sampled_from([frozen(np.zeros(n)), eighths(-4, 4)])),
        decay_syn=decay_syn,
        gain_syn=None if decay_syn is None else eighths(1, 16),
        threshold=None if rule.fires is None else eighths(2, 16),
        v_reset=draw(st.sampled_from([None, eighths(-4, 1)])),
        decay_syn_2=decay_syn_2,
        gain_syn_2=None if decay_syn_2 is None else eighths(1, 16),
        rule=rule,
        v_least=eighths(-16, 0) if rule.bounded else None,
        v_start=draw(st.sampled_from([None, eighths(-8, 24)])),
        grain=draw(st.sampled_from([None, None, 0.125])),
    )


@st.composite
def drives(draw: st.DrawFn, n: int = 3, *, most_steps: int = 12) -> Float:
    """(steps, n) inputs in quarters."""
    steps = draw(st.integers(1, most_steps))
    values = draw(st.lists(st.integers(-8, 16), min_size=steps * n, max_size=steps * n))
    return np.array(values).reshape(steps, n) / 4.0


__all__ = [
    "CHIPS",
    "LETTER",
    "MEMBRANE",
    "RULES",
    "any_rule",
    "drives",
    "neurons",
    "of_writers_and_chips",
]
