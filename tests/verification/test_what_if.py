"""The what-if table: every approximation that a chip makes, alone; ranked; and those that it does
not make are said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.chip import registry
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.ir.arrays import frozen
from nirc.ir.rules import parse
from nirc.report.verify import as_text
from nirc.semantics.run import run
from nirc.semantics.variations import altered
from nirc.verification.verify import verify
from tests.models import DATA, chain, cuba, graph, lif

VOWELS, DIGITS = DATA / "zoo/japanesevowels_rsnn.nir", DATA / "zoo/digits_if_cnn.nir"
KINDS = {
    "xylo": {"weights", "constants", "decays", "reset", "saturation", "states"},
    "loihi2": {"weights", "constants", "decays", "saturation", "states"},
    "spinnaker2": {"weights", "reset", "states"},
}


def alone(model: object, chip: str, **options: Any) -> dict[str, np.ndarray]:
    """Output counts of each what-if and, under "", of the model, on random inputs."""
    discrete = lower(model, Options(**options), log=Log()).discrete
    channels = sum(p.n for p in discrete.nodes(object).values() if type(p).__name__ == "Source")
    inputs = np.random.default_rng(3).poisson(0.3, (4, 60, channels))
    programs = {"": discrete} | dict(registry.backend(chip).approximations(discrete))
    return {name: run(p, inputs).outputs for name, p in programs.items()}


def branched(
    layers: dict[str, nir.NIRNode], edges: list[tuple[str, str]], n_in: int, n_out: int
) -> nir.NIRGraph:
    """Between one input and one output."""
    return graph(
        {"input": nir.Input(np.array([n_in])), **layers, "output": nir.Output(np.array([n_out]))},
        edges,
    )


@pytest.mark.parametrize("chip", KINDS)
def test_what_a_chip_approximates_is_in_the_table(chip: str) -> None:
    assert {name.partition(":")[0] for name in alone(VOWELS, chip)} - {""} == KINDS[chip]


def test_a_leak_and_its_lower_bound_are_specks() -> None:
    names = set(alone(DATA / "zoo/digits_lif_mlp.nir", "speck"))
    assert {
        "decays: a constant leak, and nothing below 0",
        "saturation: several spikes a step",
    } <= names


@pytest.mark.parametrize("chip", ["xylo", "loihi2", "spinnaker2", "speck"])
def test_rounded_weights_alone_are_near_the_models_and_few(chip: str) -> None:
    weight = np.random.default_rng(5).normal(0.3, 0.4, (40, 30))
    one = np.ones(40)
    discrete = lower(
        chain(30, nir.Linear(weight), nir.IF(one, one, 0 * one), n_out=40), Options(), log=Log()
    ).discrete
    programs = registry.backend(chip).approximations(discrete)
    (program,) = (p for name, p in programs if name.startswith("weights"))
    (ops,) = (p.ops for s, _, p in program.edges() if s == "in")
    stored = ops[-1].apply(np.eye(30)).T
    assert (
        0 < np.abs(stored - weight).max() < np.abs(weight).max() / 60
    )  # half a step of 7 bits, turned at most once
    for row in stored:  # all are multiples of one step, or of its half if no two are neighbours
        steps = 2 * row / np.min(np.abs(np.diff(np.unique(row))))
        assert np.abs(steps - np.rint(steps)).max() < 1e-6


def test_a_delay_of_its_own_costs_four_bits_on_spinnaker2() -> None:
    model = branched(
        {
            "a": nir.Linear(np.random.default_rng(0).normal(0.5, 0.4, (5, 2))),
            "h": lif(5, 8.0, 0.8),
            "b": nir.Linear(np.random.default_rng(1).normal(0.4, 0.3, (3, 5))),
            "skip": nir.Linear(np.random.default_rng(2).normal(0.4, 0.3, (3, 2))),
            "o": lif(3, 8.0, 0.8),
        },
        [
            ("input", "a"),
            ("a", "h"),
            ("h", "b"),
            ("b", "o"),
            ("input", "skip"),
            ("skip", "o"),
            ("o", "output"),
        ],
        2,
        3,
    )
    names = list(alone(model, "spinnaker2"))
    assert any("4 and a sign" in name for name in names)
    assert "delays: a step for every hop" in alone(model, "xylo")  # the skip comes a step before


def test_a_loop_of_two_populations_is_late_on_every_chip_with_recurrence() -> None:
    rng = np.random.default_rng(4)
    model = branched(
        {
            "a": nir.Linear(rng.normal(0.6, 0.3, (4, 2))),
            "h": lif(4, 8.0, 0.8),
            "b": nir.Linear(rng.normal(0.5, 0.3, (4, 4))),
            "g": lif(4, 8.0, 0.8),
            "c": nir.Linear(rng.normal(0.2, 0.3, (4, 4))),
        },
        [
            ("input", "a"),
            ("a", "h"),
            ("h", "b"),
            ("b", "g"),
            ("g", "c"),
            ("c", "h"),
            ("g", "output"),
        ],
        2,
        4,
    )
    for chip in ("xylo", "loihi2", "spinnaker2"):
        answers = alone(model, chip)
        (late,) = (name for name in answers if name.startswith("delays"))
        assert (answers[late] != answers[""]).any(), chip


def test_a_constant_behind_a_filter_comes_in_whole_weights() -> None:
    model = chain(2, nir.Affine(np.eye(2) * 0.7, np.array([0.013, 0.3])), cuba(2), n_out=2)
    assert "constants: through a filter in integer weights" in alone(model, "spinnaker2")


RULES = {
    "decay v, add x->v, fire > 1, subtract, emit": set(),
    "fire > 1, decay v, add x->v, subtract, fire > 1, emit": {"reset: in the step of the spike"},
    "fire > 1, decay v, add x->v, subtract, fire > 1, restore, subtract, emit": {
        "reset: in the step of the spike"
    },
    "decay v, add x->v, fire > 1, emit": {"reset: in the step of the spike"},
    "decay v, add x->v, fire > many, subtract, emit": {"saturation: one spike a step"},
    "fire > many, decay v, add x->v, subtract, fire > many, emit": {
        "reset: in the step of the spike",
        "reset: in the step of the spike, one spike a step",
        "saturation: one spike a step",
    },
    "decay v, add x->v, fire > 1, subtract, bound, emit": {
        "saturation: membranes without a lower bound"
    },
}


@pytest.mark.parametrize("rule", RULES)
def test_each_difference_of_spinnaker2s_update_rule_has_a_row(rule: str) -> None:
    """The chip resets in the step of the spike, fires once a step and has no lower bound."""
    model = chain(2, nir.Linear(np.array([[1.4, 0.9], [-2.5, 1.6]])), lif(2, 8.0, 0.8), n_out=2)
    plain = lower(model, Options(), log=Log()).discrete
    ruled_by = altered(
        plain, lambda _, d: replace(d, rule=parse(rule), v_least=frozen(np.full(2, -0.1)))
    )
    rows = dict(registry.backend("spinnaker2").approximations(ruled_by))
    named = {n: p for n, p in rows.items() if n.startswith(("reset", "saturation"))}
    assert named.keys() == RULES[rule]
    inputs = np.random.default_rng(0).poisson(0.5, (9, 60, 2))
    answer = run(ruled_by, inputs).outputs
    for name, program in named.items():
        other = run(program, inputs).outputs
        assert (other != answer).any(), name
        assert "one spike" not in name or (answer.max() > 1 and other.max() == 1)


def test_the_table_is_ranked_and_says_what_is_exact() -> None:
    inputs = np.load(DIGITS.with_suffix(".npz"))["inputs"][:60]
    result = verify(DIGITS, "speck", Data(inputs, None, None), Options(reset="subtract"), log=Log())
    damage = [(row["agreement"], -row["count_error"]) for row in result["what_if"]]
    assert (
        damage == sorted(damage)
        and result["what_if"][0]["name"] == "saturation: several spikes a step"
    )
    assert result["exact"] == ["decays", "reset", "states", "delays"]
    assert "The chip makes no approximation of: decays, reset, states, delays." in as_text(result)
