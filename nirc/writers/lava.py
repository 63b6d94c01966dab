"""Lava-DL's slayer, CUBA neurons; source: lava-dl 0.6.0 and the converter in its repository, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program
from nirc.ir.rules import EMIT, Rule, parse
from nirc.writers.facts import Facts, Node, close
from nirc.writers.writer import NO_EVIDENCE, Choice, Evidence, Setting, Writer, made, membrane_rule, memoryless

DT_S = 1e-4
UNITY = 4096  # decays are whole 4096ths
RULE = parse("emit, decay i, add x->i, decay v, add i->v, fire > 1, set")  # a block delays its spikes by a step
WITHOUT = parse("emit, decay v, add x->v, fire > 1, set")
WEIGHT_UNIT = 64  # weights are whole 64ths
WEIGHT_BY_HAND = 16  # parts of the numbers that people choose
GRID = 1e-3  # of a unit: float32 parameters


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """NIR's letter, a step later, with decays of whole 4096ths that cut states to 4096ths of a volt, and gains of 1."""
    if c.kind == "Threshold":
        return memoryless(c, n)
    synapse = c.tau_syn_s is not None
    rule = RULE if synapse else WITHOUT
    if setting.values["delay_shift"] == "no":
        rule = Rule((*rule.operations[1:], EMIT))
    cut = made(
        c,
        n,
        rule if c.fires else membrane_rule(synapse=synapse),
        decay_mem=1.0 if c.tau_mem_s is None else _kept(c.tau_mem_s),
        decay_syn=None if c.tau_syn_s is None else _kept(c.tau_syn_s),
    )
    return replace(cut, grain=1.0 / UNITY)


def _kept(tau_s: Float) -> Float:
    return 1.0 - np.rint(UNITY * DT_S / tau_s) / UNITY


def evidence(facts: Facts) -> Evidence:
    """Decays of whole 4096ths and weights of whole 64ths: the grids of the chip that slayer trains for.

    Weights that are all whole 16ths are those of a person: of trained ones half are not.
    """
    cuba = facts.of("CubaLIF", "CubaLI")
    weights = [w for n in facts.of("Linear", "Affine", "Conv2d", "Conv1d") if (w := n.numbers("weight")) is not None]
    if not cuba or len(cuba) != len(facts.neurons) or not weights or not all(map(_on_grid, cuba)):
        return NO_EVIDENCE
    quantised = all(_are_whole(w, WEIGHT_UNIT) and w.any() for w in weights)
    trained = quantised and not all(_are_whole(w, WEIGHT_BY_HAND) for w in weights)
    reasons = [f"all time constants are {DT_S:g} s * {UNITY} / k for whole k"]
    if quantised:
        reasons.append(f"all weights are whole {WEIGHT_UNIT}ths")
    return Evidence(trained, tuple(reasons), open=("delay_shift",), overrules=("snntorch",))


def _are_whole(weights: Float, parts: int) -> bool:
    return bool(np.abs(weights * parts - np.rint(weights * parts)).max() < GRID)


def _on_grid(node: Node) -> bool:
    for tau, gain in ((node.tau_mem, node.numbers("r")), (node.numbers("tau_syn"), node.numbers("w_in"))):
        if tau is None or gain is None or tau.size != gain.size:
            return False
        k = UNITY * DT_S / tau
        if np.abs(k - np.rint(k)).max() > GRID * max(1.0, float(k.max())):
            return False
        if not close(gain, tau / DT_S, 1e-5):
            return False
    return True


def time_step(program: Program, values: Mapping[str, str]) -> float:
    """Always 1e-4 s."""
    return DT_S


WRITER = Writer(
    "lava",
    "Lava-DL 0.6.0 (slayer)",
    evidence,
    step,
    choices=(Choice("delay_shift", ("yes", "no"), "whether a block delays its spikes by a step (delay_shift)"),),
    time_step=time_step,
)
