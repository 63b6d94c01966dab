"""Sinabs' IAF, LIF, ExpLeak and their squeezed forms, measured with sinabs 3.1.3."""

from __future__ import annotations

import math
import re
from itertools import product

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Training
from nirc.ir.rules import MEMBRANE, Fire, Reset, parse
from nirc.writers.facts import Facts, Node
from nirc.writers.importer import (
    Cell,
    Importer,
    constant_input,
    exact_tau,
    of_unit_gain,
    threshold_for,
)
from nirc.writers.writer import (
    NO_EVIDENCE,
    Choice,
    Clues,
    Evidence,
    Setting,
    Writer,
    counts,
    discrete,
    is_count,
)

RULE = parse("decay v, add x->v, fire >= many, subtract, emit")
BOUNDED_READOUT = parse("decay v, add x->v, emit, bound")


def step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return a decay of exp(-1 / tau): tau is in steps.

    The gain is 1 - beta with norm_input. IF neurons have a gain of 1.
    """
    values = setting.values
    decay = _decay(c)
    floor = None if values["floor"] == "none" else frozen(np.full(n, float(values["floor"])))
    if not c.fires:  # ExpLeak has norm_input=False by default, and sends v before it is bounded
        rule = MEMBRANE if floor is None else BOUNDED_READOUT
        return discrete(c, n, rule, decay_mem=decay, v_least=floor)
    normed = c.tau_mem_s is not None and values["norm_input"] == "yes"
    rule = RULE.with_fire(Fire(">=", _most(values["spikes"])))
    if values["reset"] == "zero":
        rule = rule.with_reset("set")
    if floor is not None:
        rule = rule.with_bound()
    gain = 1 - decay if normed else 1.0
    return discrete(c, n, rule, decay_mem=decay, gain_mem=gain, v_least=floor)


def _decay(c: Continuous) -> Float | float:
    return 1.0 if c.tau_mem_s is None else np.exp(-1.0 / c.tau_mem_s)


def training(c: Continuous, setting: Setting) -> Training:
    """Return time constants in steps, and the two resets."""
    resets: dict[Reset, str] = {
        "set": "reset_fn=MembraneReset()",
        "subtract": "reset_fn=MembraneSubtract()",
    }
    return Training(step=1.0, exact=True, resets=resets)


def _most(spikes: str) -> int | None:
    if spikes == "many":
        return None
    return 1 if spikes == "one" else int(spikes)


def evidence(facts: Facts) -> Evidence:
    """Look for r = 1, time constants of a step and more, biases of 0 and no batch axis."""
    if not _may_be_written(facts):
        return NO_EVIDENCE
    reasons = ["r = 1 in every neuron, in float32"]
    if facts.timed:
        reasons.append("time constants of 1 and more, which are steps and not seconds")
    plain = [n for n in facts.of("Affine", "Conv1d", "Conv2d") if n.all_equal("bias", 0.0)]
    if plain:
        reasons.append(
            f"{len(plain)} layer(s) with a bias of zeros, where others leave the bias out"
        )
    if facts.of("SumPool2d"):
        reasons.append("SumPool2d, which Sinabs pools with")
    numbers = [name for name in facts.names if re.fullmatch(r"(\w+\.)*\d+", name)]
    numbered = facts.port_names and 2 * len(numbers) > len(facts.names)
    if numbered:
        reasons.append("nodes are called by their place in a Sequential, as nirtorch calls them")
    # Norse writes the same for a dense network of IF neurons.
    kernels = [n for n in plain if n.type != "Affine"]
    typical = bool(facts.timed) or bool(kernels) or bool(facts.of("SumPool2d"))
    conclusive = numbered and typical and bool(facts.of("Affine", "Conv1d", "Conv2d"))
    conclusive = conclusive and (bool(facts.timed) or not facts.of("AvgPool2d"))
    open_ = ("spikes", "reset", "floor") if facts.of("LIF", "IF") else ()
    return Evidence(
        conclusive, tuple(reasons), open=(*open_, "norm_input") if facts.of("LIF") else open_
    )


def _may_be_written(facts: Facts) -> bool:
    """Return True if nothing in the file rules Sinabs out."""
    neurons = facts.neurons
    if not neurons or any(n.type not in ("LIF", "IF", "LI") for n in neurons):
        return False
    if facts.of("Linear", "Scale", "Delay", "NIRGraph"):  # a bias of 0 is written: no Linear
        return False
    if not all(n.all_equal("r", 1.0) for n in neurons) or not facts.resting_at_zero():
        return False
    if any(len(s) > 1 and s[0] == 1 and len(s) != 3 for s in facts.port_shapes("Input")):
        return False
    return all(map(_in_steps, facts.timed)) and all(map(_is_single, neurons))


def _in_steps(node: Node) -> bool:
    tau = node.tau_mem
    return tau is not None and bool((tau >= 1.0).all())


def _is_single(node: Node) -> bool:
    """Return True if the gain and the threshold are stored in float32, where they are there."""
    stored = (node.stored("r"), node.stored("v_threshold"))
    return all(value is None or value.dtype == np.float32 for value in stored)


def _is_volts(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _floors(clues: Clues) -> list[float]:
    """Return lower bounds that people choose: shares and multiples of a threshold, and of 1."""
    scales = dict.fromkeys((*clues.thresholds, 1.0))
    shares = (1.0, 0.5, 2.0, 0.1, 5.0, 10.0)
    return [*(-share * scale for share, scale in product(shares, scales)), 0.0]


def loaded_step(c: Continuous, n: int, setting: Setting) -> Discrete:
    """Return the neurons of ``from_nir``: several spikes a step and subtraction.

    An IF has the bound -v_threshold, a LIF none and no norm.
    """
    decay = _decay(c)
    if c.v_threshold is None:
        return discrete(c, n, MEMBRANE, decay_mem=decay)
    if c.tau_mem_s is None:
        return discrete(c, n, RULE.with_bound(), v_least=frozen(-c.v_threshold))
    return discrete(c, n, RULE, decay_mem=decay)


def write(d: Discrete) -> Cell | str:
    """Return IAF as IF where the bound is -v_threshold, LIF as LIF, ExpLeak as LI.

    The importer takes v_leak as a vector.
    """
    if d.decay_syn is not None:
        return "its importer builds no synaptic filter (tau_syn is None)"
    d, gain = of_unit_gain(d)
    zero = np.zeros(d.decay_mem.size)
    constant = constant_input(d)
    leaky = {"tau": exact_tau(d.decay_mem), "r": zero + 1, "v_leak": zero}
    if d.threshold is None:
        return Cell({"type": "LI", **leaky}, gain, constant, flat=True)
    fires = {"v_threshold": threshold_for(d, ">="), "v_reset": zero}
    bounded = d.v_least is not None and np.allclose(d.v_least, -d.threshold, rtol=1e-6, atol=0)
    if bounded and (d.decay_mem == 1).all():
        return Cell({"type": "IF", "r": zero + 1, **fires}, gain, constant)
    return Cell({"type": "LIF", **leaky, **fires}, gain, constant, flat=True)


IMPORTER = Importer(
    lambda values: "net = sinabs.from_nir(nir.read(FILE), batch_size=SAMPLES)",
    loaded_step,
    write,
    frozenset({"Affine", "Conv2d", "SumPool2d", "Flatten"}),
    remark="outputs, _ = net(inputs), with samples and steps in one axis",
)


WRITER = Writer(
    "sinabs",
    "Sinabs 3.1.3",
    evidence,
    step,
    choices=(
        Choice(
            "spikes",
            ("many", "one"),
            "how often a neuron may fire in a step (spike_fn)",
            "N",
            is_count,
            numbers=counts,
        ),
        Choice("reset", ("subtract", "zero"), "what a spike does to the membrane (reset_fn)"),
        Choice(
            "floor",
            ("none",),
            "the lower bound of the membrane (min_v_mem)",
            "VOLTS",
            _is_volts,
            ("-1",),
            _floors,
            continuous=True,
        ),
        Choice("norm_input", ("yes", "no"), "whether the input is scaled by 1 - beta (norm_input)"),
    ),
    importer=IMPORTER,
    training=training,
)
