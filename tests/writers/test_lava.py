"""Slayer's files lie on the grids of its chip. Small files by hand are not taken for slayer's."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.writers.facts import Facts
from nirc.writers.lava import evidence
from nirc.writers.writer import Evidence
from tests.build import cuba, graph, inp, linear, out


def seen(weight: np.ndarray) -> Evidence:
    """Of a network whose time constants are 512 and 1024 parts of 4096."""
    nodes = {
        "in": inp(weight.shape[1]),
        "w": linear(weight),
        "x": cuba(2, steps=8, synapse=4),
        "out": out(2),
    }
    return evidence(Facts(graph(nodes, "in w x out")))


def test_weights_of_trained_64ths_are_conclusive() -> None:
    weight = np.random.default_rng(0).integers(-100, 100, (2, 12)) * 2 / 64
    assert seen(weight).conclusive


@pytest.mark.parametrize("weight", [np.ones((2, 3)), np.eye(2, 3) / 2, np.full((2, 3), -3 / 16)])
def test_round_numbers_of_a_person_are_a_hint_only(weight: np.ndarray) -> None:
    found = seen(weight)
    assert found.reasons and not found.conclusive


def test_weights_of_any_other_fraction_say_less() -> None:
    found = seen(np.full((2, 3), 0.3))
    assert not found.conclusive and len(found.reasons) == 1
