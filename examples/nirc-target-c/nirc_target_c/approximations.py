"""The model with one approximation of the C program at a time, still in floating point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program
from nirc.semantics.variations import FixedPoint, altered, with_chip_rule
from nirc_target_c.bounds import COUNT, weighted
from nirc_target_c.legalise import CLegalise
from nirc_target_c.limits import STATE
from nirc_target_c.neuron import CNeuron
from nirc_target_c.quantise import CQuantise, first_neurons

CONSTANTS = ("threshold", "v_reset", "v_start", "v_least", "drift")


def approximations(discrete: Program, quantise: CQuantise) -> list[tuple[str, Program]]:
    """Return programs by the name of what differs."""
    legal = CLegalise().run(discrete, Log())
    integer = quantise.run(legal, Log())
    neurons: dict[str, CNeuron] = {
        name: p.dynamics for name, p in integer.nodes(Population).items()
    }

    def decays(name: str, d: Discrete) -> Discrete:
        u = neurons[name].units
        return replace(
            d, decay_mem=u.decay_mem, decay_syn=u.decay_syn, decay_syn_2=u.decay_syn_2, grain=None
        )

    def constants(name: str, d: Discrete) -> Discrete:
        units, scale = neurons[name].units, neurons[name].scale
        values = {field: getattr(units, field) for field in CONSTANTS}
        volts: dict[str, Any] = {
            f: None if value is None else frozen(value / scale) for f, value in values.items()
        }
        return replace(d, **volts)

    def states(name: str, d: Discrete) -> FixedPoint:
        unit = 1 / neurons[name].scale
        top = STATE * unit
        return FixedPoint(d, unit, _cut, v=(-top, top), current=(-top, top))

    programs = [
        (f"weights: {quantise.bits} bits", _in_volts(legal, integer)),
        ("decays: 23 bits", altered(legal, decays)),
        (
            "constants: in units of the state",
            altered(legal, constants),
        ),
        ("states: cut towards 0 to units", altered(legal, states)),
    ]
    if any(d.units.rule.fires != legal[n].dynamics.rule.fires for n, d in neurons.items()):
        bounded = with_chip_rule(legal, lambda name, d: neurons[name].units.rule, spikes=True)
        programs.append((f"saturation: {COUNT} spikes a step", bounded))
    return programs


def _cut(state: Float, kept: Float, unit: Float) -> Float:
    return np.trunc(kept * state / unit) * unit


def _in_volts(legal: Program, integer: Program) -> Program:
    """Return ``legal`` with the weights and constant inputs that are stored."""
    edges: list[tuple[str, str, Projection]] = []
    for source, target, p in integer.edges():
        if not isinstance(integer[target], Population):
            edges.append((source, target, p))
            continue
        scale = integer[target].dynamics.scale
        op = weighted(p)
        values = weights_of(op)
        rows = scale[first_neurons(op)].reshape(-1, *[1] * (values.ndim - 1))
        biases = tuple(replace(b, value=frozen(b.value / scale)) for b in p.biases)
        ops = (*p.ops[:-1], with_weights(op, values / rows))
        edges.append((source, target, replace(p, ops=ops, biases=biases)))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)
