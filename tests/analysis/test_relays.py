"""Relays: which population an added one repeats."""

from __future__ import annotations

import numpy as np

from nirc.analysis.relays import origin, repeated
from nirc.ir.linear import Dense, Diagonal
from nirc.ir.populations import Projection, Source
from nirc.ir.program import Form, Program

ONE = Source((2,), ("nodes/in",))


def program(*edges: tuple[str, str, Projection]) -> Program:
    names = dict.fromkeys(name for source, target, _ in edges for name in (source, target))
    return Program.of(Form.DISCRETE, dict.fromkeys(names, ONE), list(edges))


def test_a_chain_of_relays_leads_to_its_origin() -> None:
    model = program(("in", "lif", Projection()))
    scale = Projection((Diagonal(np.full(2, 3.0)),))
    chip = program(("in", "r", Projection()), ("r", "r2", scale), ("r2", "lif", Projection()))
    relays = repeated(model, chip)
    assert relays == {"r": "in", "r2": "r"}
    assert origin("r2", relays) == "in" and origin("lif", relays) == "lif"


def test_a_population_that_mixes_neurons_or_has_two_inputs_is_no_relay() -> None:
    model = program(("in", "lif", Projection()))
    mixes = Projection((Dense(np.ones((2, 2))),))
    chip = program(
        ("in", "x", mixes),
        ("in", "y", Projection()),
        ("lif", "y", Projection()),
        ("x", "lif", Projection()),
        ("y", "lif", Projection()),
    )
    assert repeated(model, chip) == {}
