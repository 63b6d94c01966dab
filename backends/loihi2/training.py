"""The numbers of Loihi 2 that training may change, and one step of its neurons as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.drive import Drive
from nirc.backends.loihi2.limits import BIAS_EXP, BIAS_MANT, DU, STATE, STATE_SHIFT, VTH, WRAP
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron, run_without_input, start_value
from nirc.backends.loihi2.plan import split_bias
from nirc.chip.training import Fits, Mantissas, Multiples, Place, Trainable, Trainables
from nirc.ir.arrays import Float, Int, frozen_integers
from nirc.ir.computation import (
    OUT,
    SPIKES,
    Compare,
    Computation,
    Copy,
    Fold,
    Over,
    Plus,
    Saturate,
    Set,
    Step,
    Times,
    Truncate,
    Wrap,
    X,
)
from nirc.ir.linear import Conv, Dense, Sparse, Weighted, weights_of
from nirc.ir.populations import Population, Projection, Role, populations_of
from nirc.ir.program import Program
from nirc.rounding.rule import OWN_BITS

UNIT = float(1 << STATE_SHIFT)
ONE = np.ones(1)
SHARE = 1 / rule.DECAY_UNITY
NEURON: tuple[Step, ...] = (
    Times("arrived", X, "unit"),
    Times("u", "u", "decay_syn"),
    Truncate("u"),
    Plus("u", "u", "arrived"),
    Wrap("u", 32),
    Fold("u", float(WRAP)),
    Times("v", "v", "decay_mem"),
    Truncate("v"),
    Plus("v", "v", "u"),
    Plus("v", "v", "bias"),
    Saturate("v", *STATE),
    Compare("v", "threshold"),
    Set("v", "rest"),
)


@dataclass(frozen=True)
class LoihiTraining:
    """``nirc.chip.training.Training`` of Loihi 2. ``bits``: of a weight."""

    payloads: ClassVar[tuple[type, ...]] = (
        LoihiNeuron,
        BinaryInput,
    )
    bits: int = OWN_BITS

    def computation(self, population: Population[Any]) -> Computation:
        """Return the rule of ``rule``. An input sends any count above 0 as one spike."""
        n = population.dynamics
        zeros = np.zeros(population.n)
        if not isinstance(n, LoihiNeuron):
            return Computation((Compare(X, "threshold"), Copy(OUT, SPIKES)), {"threshold": zeros})
        parameters: dict[str, Float] = {
            "unit": zeros + UNIT,
            "decay_syn": 1 - (n.du + 1) / rule.DECAY_UNITY,
            "decay_mem": 1 - n.dv / rule.DECAY_UNITY,
            "bias": _bias(n).astype(np.float64),
            "threshold": n.vth.astype(np.float64) * UNIT,
            "rest": zeros,
        }
        states = {"u": zeros, "v": n.v_start.astype(np.float64)}
        if n.spikes:
            return Computation((*NEURON, Copy(OUT, SPIKES)), parameters, states)
        parameters["scale"] = n.scale
        return Computation((*NEURON, Over(OUT, "v", "scale")), parameters, states)

    def trainables(self, program: Program) -> Trainables:
        """Return decays, thresholds and biases of the model's neurons, and their weights.

        Neurons of a process keep one decay and one threshold. Where neurons subtract their
        threshold by self-inhibition, these three belong together and stay.
        """
        neurons = populations_of(program, LoihiNeuron)
        edges = list(program.edges())
        inhibiting = {t for s, t, p in edges if t in neurons and _inhibits(program, s, t, p)}
        values: dict[str, dict[str, Trainable]] = {}
        for name, population in neurons.items():
            if population.role is Role.MODEL:
                values[name] = _values(population.dynamics, fixed=name in inhibiting)
        weights: dict[Place, Trainable] = {}
        for number, (source, target, p) in enumerate(edges):
            if target not in values or not isinstance(p.ops[0], Weighted):
                continue
            grid = None if _inhibits(program, source, target, p) else _grid(p.ops[0], self.bits)
            if grid is not None:
                unit = _by_target(program[target].dynamics.scale / UNIT, p.ops[0])
                weights[number, 0] = Trainable(grid, unit)
        return Trainables(values, weights)

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return nothing: all numbers of a neuron have slopes."""
        return ()

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return nothing: the decays are the model's."""
        return ()

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other numbers, and the starts of neurons that follow."""
        nodes = {}
        for name, of in values.items():
            neuron = _changed(program[name].dynamics, of)
            nodes[name] = program[name].with_dynamics(neuron)
        return program.mapped(nodes)


def _bias(n: LoihiNeuron) -> Int:
    return rule.effective_bias(n.bias_mant, n.bias_exp).astype(np.int64)


def _values(n: LoihiNeuron, *, fixed: bool) -> dict[str, Trainable]:
    """Return the numbers of a population. ``fixed``: biases only."""
    values = {"bias": Trainable(Mantissas(BIAS_MANT[1], BIAS_EXP[1]), n.scale)}
    if fixed:
        return values
    kinds = np.stack([n.du, n.dv, n.vth], axis=1)
    _, process = np.unique(kinds, axis=0, return_inverse=True)
    process = process.ravel()
    if (n.dv < rule.DECAY_UNITY).all():
        values["decay_mem"] = Trainable(Multiples(0, rule.DECAY_UNITY, SHARE), ONE, process)
    if (n.du < DU[1]).all():
        values["decay_syn"] = Trainable(Multiples(0, rule.DECAY_UNITY - 1, SHARE), ONE, process)
    if n.spikes and (n.vth > 0).all():
        values["threshold"] = Trainable(Multiples(1, VTH[1], UNIT), n.scale, process)
    return values


def _inhibits(program: Program, source: str, target: str, p: Projection) -> bool:
    """Return True if neurons whose v is u subtract their threshold by this projection."""
    n = program[target].dynamics
    if source != target or p.lag != 1 or (n.dv < rule.DECAY_UNITY).any():
        return False
    if isinstance(p.ops[0], Conv):
        return False
    rows, columns, value = p.ops[0].coo()
    return bool((rows == columns).all() and (value <= 0).all())


def _grid(op: Weighted, bits: int) -> Multiples | None:
    """Return the grid of the weights as ``Drive`` stores them, None without weights."""
    value = weights_of(op)
    if not value.any():
        return None
    nothing = np.zeros(1)
    drive = Drive(op, value, nothing, nothing, bits=bits)
    low = -drive.top if drive.mixed or value.min() < 0 else 0
    high = drive.top if drive.mixed or value.max() > 0 else 0
    return Multiples(low, high, drive.step(1.0))


def _by_target(scale: Float, op: Weighted) -> Float:
    """Return the scale of each weight's target."""
    if isinstance(op, Dense):
        return scale[:, None]
    if isinstance(op, Sparse):
        return scale[op.target]
    return scale.reshape(op.shape_out[0], -1)[:, 0].reshape(-1, *(1,) * (op.weight.ndim - 1))


def _changed(n: LoihiNeuron, of: Mapping[str, Float]) -> LoihiNeuron:
    du, dv, vth, bias = n.du, n.dv, n.vth, np.rint(of["bias"]).astype(np.int64)
    if "decay_mem" in of:
        dv = np.rint((1 - of["decay_mem"]) * rule.DECAY_UNITY).astype(np.int64)
    if "decay_syn" in of:
        du = np.rint((1 - of["decay_syn"]) * rule.DECAY_UNITY).astype(np.int64) - 1
    if "threshold" in of:
        vth = np.rint(of["threshold"] / UNIT).astype(np.int64)
    mantissa, exponent = split_bias(bias)
    v_init, v_start = n.v_init, n.v_start
    other = (dv != n.dv) | (vth != n.vth) | (bias != _bias(n))
    if other.any():
        again = start_value(v_start, bias, dv, vth, n.latency_steps)
        v_init = np.where(other, again, v_init)
        v_start, _ = run_without_input(v_init, bias.astype(np.int32), dv, vth, n.latency_steps)
    return replace(
        n,
        du=frozen_integers(du),
        dv=frozen_integers(dv),
        vth=frozen_integers(vth),
        bias_mant=frozen_integers(mantissa),
        bias_exp=frozen_integers(exponent),
        v_init=frozen_integers(v_init),
        v_start=frozen_integers(v_start),
    )
