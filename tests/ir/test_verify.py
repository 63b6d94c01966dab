"""Each invariant of each form, broken once."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.layers import Input, LayerNode, Scale
from nirc.ir.linear import Dense
from nirc.ir.populations import (
    Bias,
    Continuous,
    Discrete,
    Population,
    Projection,
    Role,
    Sink,
    Source,
)
from nirc.ir.program import Form, Program
from nirc.ir.rules import MEMBRANE
from nirc.ir.verify import InvalidProgramError, verify
from nirc.passes.pipeline import run_passes

GOOD_LAYERS = {
    "in": LayerNode(Input((2,)), ("nodes/in",)),
    "s": LayerNode(Scale(frozen([1.0])), ("nodes/s",)),
}
ONE = frozen(np.ones(2))
POPULATION = Population((2,), Continuous("IF", r=ONE, v_threshold=ONE), ("nodes/pop",))
GOOD: dict[str, object] = {
    "in": Source((3,), ("nodes/in",)),
    "pop": POPULATION,
    "out": Sink((2,), ("nodes/out",)),
}
TO_POP = Projection((Dense(frozen(np.ones((2, 3)))),))
Edges = list[tuple[str, str, object]]


def continuous(nodes: dict[str, object] | None = None, edges: Edges | None = None) -> Program:
    wires: Edges = [("in", "pop", TO_POP), ("pop", "out", Projection())]
    return Program.of(Form.CONTINUOUS, GOOD | (nodes or {}), wires if edges is None else edges)


def test_good_programs_pass() -> None:
    verify(continuous())
    verify(Program.of(Form.LAYERS, GOOD_LAYERS, [("in", "s")]))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ("text", "s holds str"),
        (replace(GOOD_LAYERS["s"], origins=()), "s has no origin"),
        (replace(GOOD_LAYERS["s"], shape_in=(2,)), "s knows only one of its shapes"),
    ],
)
def test_layers(payload: object, says: str) -> None:
    with pytest.raises(InvalidProgramError, match=says):
        verify(Program.of(Form.LAYERS, GOOD_LAYERS | {"s": payload}, [("in", "s")]))


def population(**dynamics: Any) -> Population:
    return replace(POPULATION, dynamics=replace(POPULATION.dynamics, **dynamics))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("pop", "says"),
    [
        (Input((2,)), "pop holds Input"),
        (replace(POPULATION, dynamics=Discrete(ONE, ONE, ONE)), "pop: Discrete in this form"),
        (population(r=frozen(np.ones(3))), r"pop: r has shape \(3,\)"),
        (population(r=np.ones(2)), "pop: r is writeable"),
    ],
)
def test_nodes(pop: object, says: str) -> None:
    with pytest.raises(InvalidProgramError, match=says):
        verify(continuous({"pop": pop}))


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ([("in", "pop", None)], "in -> pop: holds NoneType"),
        ([("in", "pop", Projection())], "delivers 3, target has 2"),
        ([("pop", "out", TO_POP)], r"dense f64\[2,3\] 1 takes 3, gets 2"),
        (
            [("in", "pop", replace(TO_POP, biases=(Bias(frozen(np.ones(3))),)))],
            r"a bias has shape \(3,\)",
        ),
        ([("pop", "in", Projection((Dense(frozen(np.ones((3, 2)))),)))], "source in has an input"),
        ([("out", "pop", Projection())], "sink out has an output"),
    ],
)
def test_edges(edges: Edges, says: str) -> None:
    with pytest.raises(InvalidProgramError, match=says):
        verify(continuous(edges=edges))


ZERO = frozen(np.zeros(2))
SPIKES = Discrete(ZERO, ONE, ZERO, threshold=ONE, v_reset=ZERO)
WIRED: Edges = [("in", "pop", TO_POP)]


@pytest.mark.parametrize(
    ("dynamics", "role", "edges", "says"),
    [
        (SPIKES, Role.RELAY, WIRED, ""),
        (SPIKES, Role.CLOCK, [], ""),
        (SPIKES, Role.RELAY, [], "pop: a relay without an input"),
        (SPIKES, Role.CLOCK, WIRED, "pop: a clock with an input"),
        (replace(SPIKES, decay_mem=ONE), Role.RELAY, WIRED, "pop: a relay that remembers"),
        (
            Discrete(ZERO, ONE, ZERO, rule=MEMBRANE),
            Role.RELAY,
            WIRED,
            "pop: a relay that does not fire",
        ),
    ],
)
def test_roles(dynamics: Discrete, role: Role, edges: Edges, says: str) -> None:
    pop = Population((2,), dynamics, ("nodes/pop",), role)
    program = Program.of(Form.DISCRETE, GOOD | {"pop": pop}, edges, dt_s=1e-4)
    with pytest.raises(InvalidProgramError, match=says) if says else nullcontext():
        verify(program)


def test_no_role_before_the_discrete_form() -> None:
    with pytest.raises(InvalidProgramError, match="pop: a relay in this form"):
        verify(continuous({"pop": replace(POPULATION, role=Role.RELAY)}))


def test_every_fault_is_named() -> None:
    with pytest.raises(InvalidProgramError, match=r"pop: r is writeable; .* takes 3, gets 2"):
        verify(continuous({"pop": population(r=np.ones(2))}, [("pop", "out", TO_POP)]))


def test_an_edge_to_nowhere_is_no_program() -> None:
    with pytest.raises(ValueError, match="names no node"):
        Program.of(Form.LAYERS, GOOD_LAYERS, [("in", "x")])


def test_the_pipeline_looks_at_what_every_pass_gives() -> None:
    class Breaks:
        name = "breaks"

        def run(self, program: Program, log: Log) -> Program:
            return program.mapped({"pop": population(r=np.ones(2))})

    with pytest.raises(InvalidProgramError):
        run_passes(continuous(), [Breaks()], Log())
