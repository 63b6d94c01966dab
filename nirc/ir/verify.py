"""Invariants of each form. A violation is a bug in a pass, never in the user's model."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.ir.layers import LayerNode
from nirc.ir.populations import Continuous, Discrete, Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import faults as rule_faults


class InvalidProgramError(AssertionError):
    """A program breaks an invariant of its form."""


def verify(program: Program) -> None:
    """Raise ``InvalidProgramError`` naming every broken invariant."""
    faults = _layers(program) if program.form is Form.LAYERS else _populations(program)
    if faults:
        raise InvalidProgramError(
            f"{program.form.value} form of {program.name}: " + "; ".join(faults)
        )


def _layers(program: Program) -> list[str]:
    faults = []
    for name in program.graph:
        payload = program[name]
        if not isinstance(payload, LayerNode):
            faults.append(f"{name} holds {type(payload).__name__}")
        elif not payload.origins:
            faults.append(f"{name} has no origin")
        elif (payload.shape_in is None) != (payload.shape_out is None):
            faults.append(f"{name} knows only one of its shapes")
    return faults


def _populations(program: Program) -> list[str]:
    faults = []
    for name in program.graph:
        payload = program[name]
        if not isinstance(payload, Source | Sink | Population):
            faults.append(f"{name} holds {type(payload).__name__}")
        elif isinstance(payload, Population):
            faults += [f"{name}: {fault}" for fault in _dynamics(payload, program.form)]
            driven = bool(program.graph.pred[name])
            faults += [f"{name}: {fault}" for fault in _role(payload, driven, program.form)]
        if isinstance(payload, Source) and program.graph.pred[name]:
            faults.append(f"source {name} has an input")
        if isinstance(payload, Sink) and program.graph.succ[name]:
            faults.append(f"sink {name} has an output")
    sizes = {name: getattr(program[name], "n", None) for name in program.graph}
    for source, target, projection in program.edges():
        n_source, n_target = sizes[source], sizes[target]
        if n_source is not None and n_target is not None:  # else one of them has been named above
            found = _projection(projection, n_source, n_target)
            faults += [f"{source} -> {target}: {fault}" for fault in found]
    return faults


def _dynamics(population: Population[Any], form: Form) -> list[str]:
    d = population.dynamics
    expected = {Form.CONTINUOUS: Continuous, Form.DISCRETE: Discrete}.get(form)
    if expected is not None and not isinstance(d, expected):
        return [f"{type(d).__name__} in this form"]
    faults = _rule(d) if isinstance(d, Discrete) else []
    n = population.n
    arrays = {k: v for k, v in vars(d).items() if isinstance(v, np.ndarray)}
    wrong = {k: a.shape for k, a in arrays.items() if a.shape[:1] != (n,)}
    faults += [f"{k} has shape {shape}, not ({n}, ...)" for k, shape in wrong.items()]
    return faults + [f"{k} is writeable" for k, a in arrays.items() if a.flags.writeable]


def _role(population: Population[Any], driven: bool, form: Form) -> list[str]:
    """Return contradictions between the role of a population and the population."""
    role = population.role
    d = population.dynamics
    if role is Role.MODEL:
        return []
    faults = [f"a {role.value} in this form"] if form is Form.CONTINUOUS else []
    if driven is (role is Role.CLOCK):
        faults.append(f"a {role.value} {'with' if driven else 'without'} an input")
    if isinstance(d, Discrete):
        if not d.fires:
            faults.append(f"a {role.value} that does not fire")
        if role is Role.RELAY and d.decay_mem.any():
            faults.append("a relay that remembers")
    return faults


def _projection(projection: object, n_source: int, n_target: int) -> list[str]:
    if not isinstance(projection, Projection):
        return [f"holds {type(projection).__name__}"]
    if n_source == n_target and not projection.ops and not projection.biases:
        return []
    faults = []
    n = n_source
    for op in projection.ops:
        if op.n_in != n:
            faults.append(f"{op.text()} takes {op.n_in}, gets {n}")
        n = op.n_out
    if n != n_target:
        faults.append(f"delivers {n}, target has {n_target}")
    shapes = [b.value.shape for b in projection.biases]
    return faults + [f"a bias has shape {shape}" for shape in shapes if shape != (n_target,)]


def _rule(d: Discrete) -> list[str]:
    """Return contradictions between an update rule and its coefficients."""
    synapse = d.decay_syn is not None or d.decay_syn_2 is not None
    found = [*rule_faults(d.rule, synapse=synapse, fires=d.fires)]
    if d.rule.bounded != (d.v_least is not None):
        found.append("the rule and the parameters do not agree on a lower bound")
    return found
