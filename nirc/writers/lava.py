"""Lava-DL's slayer, CUBA neurons, measured with lava-dl 0.6.0 and its NIR converter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Training
from nirc.ir.rules import LETTER, MEMBRANE, parse
from nirc.writers.facts import Facts, Node, close
from nirc.writers.importer import (
    Cell,
    Importer,
    constant_input,
    firing,
    of_one_threshold,
    rescaled,
    total_gain,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Evidence,
    Setting,
    Writer,
    discrete,
    reset_to_zero,
)

DT_S = 1e-4
UNITY = 4096  # decays are multiples of 1 / UNITY
DELAYED = parse("emit, decay v, add x->v, fire > 1, set")  # a block delays its spikes by a step
WEIGHT_UNIT = 64  # weights are multiples of 1 / WEIGHT_UNIT
COARSE, DISTINCT = 8, 4  # so many weights are no multiples of 8 units: nobody writes them by hand
GRID = 1e-3  # of a unit: float32 parameters
CHIP_GAIN = 64.0  # of a weight on Loihi 2, whose states are integers


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return NIR's letter, a step later, with gains of 1.

    Decays are multiples of 1 / 4096. States are cut to multiples of a volt / 4096.
    """
    rule = LETTER if setting.values["delay_shift"] == "no" else DELAYED
    cut = discrete(
        c,
        n,
        rule if c.fires else MEMBRANE,
        decay_mem=1.0 if c.tau_mem_s is None else _decay(c.tau_mem_s),
        decay_syn=None if c.tau_syn_s is None else _decay(c.tau_syn_s),
    )
    return replace(cut, grain=1.0 / UNITY)


def training(c: Continuous, setting: Setting) -> Training:
    """Return the step of slayer. Every spike resets to zero."""
    return Training(step=DT_S)


def _decay(tau_s: Float) -> Float:
    return 1.0 - np.rint(UNITY * DT_S / tau_s) / UNITY


def evidence(facts: Facts) -> Evidence:
    """Look for decays and weights on the grids of the chip that slayer trains for."""
    cuba = facts.of("CubaLIF", "CubaLI")
    if not cuba or len(cuba) != len(facts.neurons) or not all(map(_on_grid, cuba)):
        return NO_EVIDENCE
    nodes = facts.of("Linear", "Affine", "Conv2d", "Conv1d")
    weights = [w for n in nodes if (w := n.numbers("weight")) is not None]
    if not weights:
        return NO_EVIDENCE
    units = np.concatenate(weights) * WEIGHT_UNIT
    # Integer weights lie on every grid.
    fine = np.unique(units[np.rint(units) % COARSE != 0]).size >= DISTINCT
    quantised = bool(np.abs(units - np.rint(units)).max() < GRID) and fine
    reasons = [f"all time constants are {DT_S:g} s * {UNITY} / k for integers k"]
    if quantised:
        reasons.append(f"all weights are multiples of 1/{WEIGHT_UNIT}")
    return Evidence(quantised, tuple(reasons), open=("delay_shift",), overrules=("snntorch",))


def _on_grid(node: Node) -> bool:
    pairs = ((node.tau_mem, node.numbers("r")), (node.numbers("tau_syn"), node.numbers("w_in")))
    return all(_is_decay(tau, gain) for tau, gain in pairs)


def _is_decay(tau: Float | None, gain: Float | None) -> bool:
    if tau is None or gain is None or tau.size != gain.size:
        return False
    k = UNITY * DT_S / tau
    if np.abs(k - np.rint(k)).max() > GRID * max(1.0, float(k.max())):
        return False
    return close(gain, tau / DT_S, 1e-5)


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of the published converter: the letter of NIR, without slayer's delay."""
    zero = reset_to_zero(c, n)
    rule = LETTER if c.fires else MEMBRANE
    if c.tau_mem_s is None or c.tau_syn_s is None:
        return discrete(zero, n, rule)
    d = discrete(
        zero,
        n,
        rule,
        decay_mem=_decay(c.tau_mem_s),
        decay_syn=_decay(c.tau_syn_s),
        gain_syn=np.ones(n) if c.w_in is None else c.w_in * DT_S / c.tau_syn_s,
    )
    return replace(d, grain=1.0 / UNITY)


def write(d: Discrete) -> Cell | str:
    """Return CUBA neurons as CubaLIF, with one threshold and one pair of decays a population.

    Slayer cuts states to integers, as the chip does. Potentials of the chip keep their unit.
    """
    if not d.fires:
        return "its converter builds no neuron that sends its membrane"
    zero = np.zeros(d.decay_mem.size)
    decay_syn = zero if d.decay_syn is None else d.decay_syn
    gain: Float | None
    if (total_gain(d) == CHIP_GAIN).all():
        d = rescaled(d, zero + 1.0 / UNITY)
        gain = total_gain(d)
        d = replace(d, gain_mem=frozen(zero + 1))
    elif d.grain == 1.0 / UNITY or not _cuts(d.decay_mem, decay_syn):
        d, gain = of_one_threshold(d)
    else:
        return f"its converter cuts states to {UNITY}ths, and the stage does not"
    for value in (d.decay_mem, decay_syn, d.threshold):
        if value is not None and (value != value[0]).any():
            return "its converter builds neurons of one decay and one threshold a population"
    tau, tau_syn = (DT_S / np.maximum(1.0 - decay, 1e-12) for decay in (d.decay_mem, decay_syn))
    fields = {"tau_mem": tau, "r": tau / DT_S, "tau_syn": tau_syn, "w_in": tau_syn / DT_S}
    return Cell({"type": "CubaLIF", **fields, **firing(d, ">")}, gain, constant_input(d))


def _cuts(*decays: Float) -> bool:
    """Return True if a decay leaves a part of a state, which is cut then."""
    return any(((decay > 0) & (decay < 1)).any() for decay in decays)


IMPORTER = Importer(
    lambda values: (
        "the converter of NIR's documentation (nir_to_lava.py): import_from_nir(nir.read(FILE), "
        "ImportConfig(library_preference=LavaLibrary.LavaDl))"
    ),
    loaded_step,
    write,
    frozenset({"Affine"}),
    order="path",
    time_step=lambda program, values: DT_S,
    single=True,
    remark="Lava-DL itself reads no NIR files: netx loads slayer's own, which bundles for Loihi 2 "
    "have (network.net)",
)

DELAY_SHIFT = "whether a block delays its spikes by a step (delay_shift)"
WRITER = Writer(
    "lava",
    "Lava-DL 0.6.0 (slayer)",
    evidence,
    step,
    choices=(Choice("delay_shift", ("yes", "no"), DELAY_SHIFT),),
    time_step=lambda program, values: DT_S,
    importer=IMPORTER,
    training=training,
)
