"""The numbers of SpiNNaker2 that training may change, and one step of its neurons as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.spinnaker2.limits import DECAY, DELAYED_WEIGHT, FLOAT32, WEIGHT
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.backends.spinnaker2.quantise import TINY
from nirc.backends.spinnaker2.spike_sources import Copy as Copied
from nirc.backends.spinnaker2.spike_sources import start
from nirc.chip.training import Fits, Multiples, Place, Singles, Trainable, Trainables
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.computation import (
    OUT,
    SPIKES,
    X_2,
    Compare,
    Computation,
    Copy,
    Over,
    Plus,
    Set,
    Single,
    Step,
    Subtract,
    Times,
    X,
)
from nirc.ir.linear import Conv, Sparse
from nirc.ir.populations import Population, Projection, Role, populations_of
from nirc.ir.program import Program
from nirc.rounding.rule import OWN_BITS, narrowed

ONE = np.ones(1)
# Parameters of a computation, and the fields of the payload.
FIELDS = {
    "threshold": "threshold",
    "decay_mem": "alpha_decay",
    "offset": "i_offset",
    "v_reset": "v_reset",
    "decay_exc": "exc_decay",
    "decay_inh": "inh_decay",
}


@dataclass(frozen=True)
class Spinnaker2Training:
    """``nirc.chip.training.Training`` of SpiNNaker2. ``bits``: of a weight."""

    payloads: ClassVar[tuple[type, ...]] = (
        SpinNeuron,
        Copied,
    )
    bits: int = OWN_BITS

    def computation(self, population: Population[Any]) -> Computation:
        """Return the rule of ``rule``, rounded to single precision after each operation."""
        n = population.dynamics
        if not isinstance(n, SpinNeuron):  # copies of inputs
            return Computation((Copy(OUT, X),), {})
        fields = {key: getattr(n, field) for key, field in FIELDS.items()}
        parameters = {k: np.asarray(v, np.float64) for k, v in fields.items() if v is not None}
        begun = n.begun()
        states = {"v": begun.v[0].astype(np.float64)}
        steps: list[Step] = [Copy("drive", X), Single("drive")]
        if n.exc_decay is not None:
            steps = [*_current("exc", X, "decay_exc"), *_current("inh", X_2, "decay_inh")]
            steps += [Plus("drive", "exc", "inh"), Single("drive")]
            states |= {"exc": begun.exc[0].astype(np.float64)}
            states |= {"inh": begun.inh[0].astype(np.float64)}
        steps += [Times("v", "v", "decay_mem"), Single("v"), Plus("v", "v", "drive"), Single("v")]
        steps += [Plus("v", "v", "offset"), Single("v"), Compare("v", "threshold", ">=")]
        subtracts = n.reset == "reset_by_subtraction"
        steps += [Subtract("v", "threshold"), Single("v")] if subtracts else [Set("v", "v_reset")]
        if subtracts:
            del parameters["v_reset"]
        if n.fires:
            return Computation((*steps, Copy(OUT, SPIKES)), parameters, states)
        parameters["scale"] = n.scale
        return Computation((*steps, Over(OUT, "v", "scale")), parameters, states)

    def trainables(self, program: Program) -> Trainables:
        """Return thresholds, decays, constants and weights of all neurons that the model has."""
        values: dict[str, dict[str, Trainable]] = {}
        for name, population in _trained(program).items():
            values[name] = _values(population)
        weights: dict[Place, Trainable] = {}
        for number, (_, target, p) in enumerate(program.edges()):
            if target in values and isinstance(p.ops[-1], Sparse | Conv):
                weights[number, len(p.ops) - 1] = _weights(program[target].dynamics, p, self.bits)
        return Trainables(values, weights)

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return nothing: all numbers of a neuron have slopes."""
        return ()

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return nothing: the decays are the model's."""
        return ()

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other numbers, and the starts of neurons that follow."""
        nodes: dict[str, object] = {}
        for name, of in values.items():
            fields: dict[str, Any] = {FIELDS[key]: single(value) for key, value in of.items()}
            neuron = _begun(replace(program[name].dynamics, **fields), program[name].dynamics)
            nodes[name] = program[name].with_dynamics(neuron)
        nodes = dict(program.graph.nodes(data="payload")) | nodes
        return program.rebuilt(nodes, _stored(program))


def _stored(program: Program) -> Iterator[tuple[str, str, Projection]]:
    """Yield the projections without synapses of weight 0, which the chip does not store."""
    for source, target, p in program.edges():
        op = p.ops[-1] if p.ops else None
        if not isinstance(op, Sparse) or op.value.all():
            yield source, target, p
        elif op.value.any():
            kept = np.flatnonzero(op.value)
            value = frozen(op.value[kept])
            fewer = replace(op, target=op.target[kept], source=op.source[kept], value=value)
            yield source, target, replace(p, ops=(*p.ops[:-1], fewer))


def _current(state: str, source: str, decay: str) -> list[Step]:
    return [Times(state, state, decay), Single(state), Plus(state, state, source), Single(state)]


def _trained(program: Program) -> dict[str, Population[SpinNeuron]]:
    neurons = populations_of(program, SpinNeuron)
    return {name: p for name, p in neurons.items() if p.role is Role.MODEL}


def _values(population: Population[SpinNeuron]) -> dict[str, Trainable]:
    n = population.dynamics
    group = _channels(population) if n.model == "lif_conv2d" else None
    number = Singles(*FLOAT32)
    values = {
        "decay_mem": Trainable(Singles(*DECAY), ONE, group),
        "offset": Trainable(number, n.scale, group),
    }
    if n.fires:
        values["threshold"] = Trainable(Singles(float(TINY), FLOAT32[1]), n.scale, group)
    if n.v_reset.any() and n.reset == "reset_to_v_reset":
        values["v_reset"] = Trainable(number, n.scale, group)
    if n.exc_decay is not None:
        values["decay_exc"] = Trainable(Singles(*DECAY), ONE, group)
        values["decay_inh"] = Trainable(Singles(*DECAY), ONE, group)
    return values


def _channels(population: Population[SpinNeuron]) -> Int:
    return np.repeat(np.arange(population.shape[0]), population.n // population.shape[0])


def _weights(n: SpinNeuron, p: Projection, bits: int) -> Trainable:
    """Return the grid of a projection. Each receptor takes weights of one sign."""
    op = p.ops[-1]
    if isinstance(op, Conv):
        channel = n.scale.reshape(op.shape_out[0], -1)[:, 0]
        grid = Multiples(*narrowed(WEIGHT, bits))
        return Trainable(grid, channel.reshape(-1, *(1,) * (op.weight.ndim - 1)))
    delayed = n.model in ("lif", "lif_curr_exp")
    low, high = narrowed(DELAYED_WEIGHT if delayed else WEIGHT, bits)
    if n.exc_decay is not None:
        low, high = (low, 0) if p.synapse else (0, high)
    assert isinstance(op, Sparse)
    return Trainable(Multiples(low, high), n.scale[op.target])


def _begun(n: SpinNeuron, before: SpinNeuron) -> SpinNeuron:
    """Return neurons that start so that their constants meet the model's first step."""
    fields = ("i_offset", "alpha_decay", "threshold")
    other = np.any([getattr(n, f) != getattr(before, f) for f in fields], axis=0)
    if not n.latency_steps or not other.any():
        return n
    again = start(n.i_offset.astype(np.float64), n.alpha_decay.astype(np.float64), n.latency_steps)
    n = replace(n, v_init=single(np.where(other, again, n.v_init)))
    early = n.fires_early()
    return replace(n, v_init=single(np.where(early, 0.0, n.v_init))) if early.any() else n
