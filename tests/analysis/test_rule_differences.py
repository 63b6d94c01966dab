"""What a chip does otherwise follows from two rules; where nothing is said, both answer alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirc.analysis.rule_differences import differences, report
from nirc.diagnostics.errors import CompileError, Diagnostic
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program, Training
from nirc.ir.rules import LETTER, MEMBRANE, Reset, Rule, parse, plain
from nirc.semantics.neuron import NeuronStepper
from nirc.writers.snntorch import LATE_SET, LATE_SUBTRACT, RESTORED
from tests.rules import RULES, decays_after_adding, drives, neurons

SINABS = parse("decay v, add x->v, fire >= many, subtract, bound, emit")
SEVERAL = plain("subtract", synapse=False, most=31)
FIRING = [
    text
    for text, rule in sorted(RULES.items())
    if rule.fires is not None and not rule.emission_is_delayed
]
NORMALISED = [RULES[text] for text in FIRING if not decays_after_adding(RULES[text])]


def neuron(rule: Rule, decay: float = 0.5, **fields: object) -> Discrete:
    numbers = {"decay_mem": decay, "gain_mem": 1.0, "drift": 0.0, "threshold": 1.0} | fields
    if rule.fires is None:
        del numbers["threshold"]
    return Discrete(**{k: frozen(np.full(2, v)) for k, v in numbers.items()}, rule=rule)  # type: ignore[arg-type]


def codes(d: Discrete, chip: Rule) -> list[str]:
    return [each.code for each in differences(d, chip)]


# -- one code a kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "chip", "code", "says", "the_chip_says"),
    [
        (LETTER, plain("subtract", synapse=False), "D401", "resets to zero",
        "subtracts the threshold"),
        (LETTER.without_reset(), LETTER, "D401", "is not reset", "resets to zero"),
        (LETTER, LETTER.with_fire(SEVERAL.fires or pytest.fail()), "D404", "fires once",
        "up to 31 times"),
        (plain("subtract", synapse=False, most=None), plain("subtract", synapse=False), "D441",
        "any number of times",
         "once"),
        (LATE_SUBTRACT, plain("subtract", synapse=False), "D440", "in the step after a "
                                                                  "spike", "at once"),
        (LATE_SET, LETTER, "D440", "in the step after a spike", "at once"),
        (RESTORED, plain("subtract", synapse=False), "D440", "gives it back", "as it is"),
        (SINABS, plain("subtract", synapse=False, at=">=", most=None), "D443", "lower bound",
        "none"),
        (LETTER, plain("set", synapse=False, at=">="), "D442", "v > threshold", "v >= threshold"),
    ],
)  # fmt: skip
def test_each_kind_of_difference_has_its_code_and_both_sides(
    model: Rule, chip: Rule, code: str, says: str, the_chip_says: str
) -> None:
    (found,) = differences(neuron(model), chip)
    model_side, chip_side = found.sides()
    assert found.code == code and says in model_side and the_chip_says in chip_side


def test_a_reset_to_another_potential_is_named() -> None:
    (found,) = differences(neuron(LETTER, v_reset=-0.5), plain("subtract", synapse=False))
    assert found.sides()[0] == "resets to v_reset in the model"


@pytest.mark.parametrize("text", FIRING)
def test_a_chip_with_the_model_s_rule_differs_in_nothing(text: str) -> None:
    rule = RULES[text]
    assert codes(neuron(rule), rule) == (["D440"] if rule.restores else [])


def test_a_population_that_never_fires_has_none() -> None:
    assert codes(neuron(MEMBRANE), LETTER) == []


# -- what makes no difference ----------------------------------------------------------------------


def test_without_memory_a_reset_at_once_is_none() -> None:
    assert codes(neuron(LETTER, decay=0.0), plain("subtract", synapse=False)) == []
    assert codes(neuron(LATE_SUBTRACT, decay=0.0), plain("subtract", synapse=False)) == ["D440"]
    assert codes(neuron(RESTORED, decay=0.0), plain("subtract", synapse=False)) == ["D440"]


def test_a_threshold_that_is_taken_late_is_the_same_where_nothing_decays() -> None:
    assert codes(neuron(LATE_SUBTRACT, decay=1.0), plain("subtract", synapse=False)) == []
    assert codes(neuron(LATE_SET, decay=1.0), LETTER) == ["D440"]


def test_many_spikes_and_a_bound_of_several_count_as_the_same() -> None:
    many = plain("subtract", synapse=False, most=None)
    assert codes(neuron(many), SEVERAL) == codes(neuron(SEVERAL), many) == []


def answers(d: Discrete, x: Float) -> Float:
    stepper = NeuronStepper(d, (1, x.shape[1]))
    return np.concatenate([stepper.step(each[None]) for each in x])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Discrete, Rule]:
    """A population of a writer and the rule of a chip with the same synapse and bound."""
    d = draw(neurons(st.sampled_from(NORMALISED), receptors=1))
    decay = draw(st.sampled_from([d.decay_mem, np.zeros(3), np.ones(3)]))
    fires = d.rule.fires
    assert fires is not None
    reset: Reset = draw(st.sampled_from(["set", "subtract"]))
    most = draw(st.sampled_from([1, fires.most]))
    chip = plain(
        reset, synapse=d.rule.has_synapse, at=draw(st.sampled_from([fires.at, ">="])), most=most
    )
    return replace(d, decay_mem=frozen(decay), v_start=None, grain=None), chip


@settings(max_examples=400)
@given(pairs(), drives())
def test_where_nothing_is_said_both_rules_give_the_same_spikes(
    pair: tuple[Discrete, Rule], x: Float
) -> None:
    d, chip = pair
    assume(not codes(d, chip))
    other = replace(d, rule=chip, v_least=None)
    np.testing.assert_array_equal(answers(other, x), answers(d, x))


# -- what is logged --------------------------------------------------------------------------------


def logged(chip: Rule, *, strict: bool = False, found: str = "") -> list[Diagnostic]:
    """Of two populations by the letter of NIR and a readout between Input and Output."""
    nodes: dict[str, object] = {
        "in": Source((2,), ("nodes/in",)),
        "out": Sink((2,), ("nodes/out",)),
    }
    nodes |= {n: Population((2,), neuron(LETTER), (f"nodes/{n}",)) for n in ("a", "b")}
    nodes["read"] = Population((2,), neuron(MEMBRANE), ("nodes/read",))
    edges = [
        (s, t, Projection()) for s, t in (("in", "a"), ("a", "b"), ("b", "read"), ("read", "out"))
    ]
    log = Log(strict=strict)
    reason = (lambda name: f"{found} of {name}") if found else None
    report(Program.of(Form.DISCRETE, nodes, edges), lambda name, d: chip, "the sheet", log, reason)
    return log.diagnostics


def test_every_population_is_named_with_its_place_and_the_source() -> None:
    found = logged(plain("subtract", synapse=False, most=31))
    assert [(d.code, d.where, d.severity) for d in found] == [
        ("D401", "nodes/a", "warning"), ("D404", "nodes/a", "warning"),
        ("D401", "nodes/b", "warning"), ("D404", "nodes/b", "warning"),
    ]  # fmt: skip
    assert (
        found[0].message == "`a` resets to zero in the model, subtracts the threshold on the chip"
    )
    assert all(d.source == "the sheet" and d.help for d in found)


SNNTORCH = Training("snnTorch", resets={"set": "zero at once"})
BOTH = Training("Sinabs", resets={"set": "set at once", "subtract": "subtract at once"})
NEITHER = Training("Spyx")


@pytest.mark.parametrize("model", [LATE_SUBTRACT, LATE_SET, RESTORED])
@pytest.mark.parametrize(
    ("training", "chip", "help_"),
    [
        (SNNTORCH, ("set", "subtract"), "train with zero at once"),
        (
            SNNTORCH,
            ("subtract",),
            "snnTorch has no reset that this chip computes as it is: `nirc verify` shows",
        ),
        (BOTH, ("set", "subtract"), "train with set at once, or subtract at once"),
        (BOTH, ("subtract",), "train with subtract at once"),
        (
            NEITHER,
            ("set", "subtract"),
            "Spyx has no reset that this chip computes as it is: `nirc verify` shows",
        ),
        (Training(added=True), ("set",), "--readout li reads membranes, which no spike resets"),
    ],
)
def test_the_advice_is_a_reset_that_the_simulator_has_and_the_chip_computes(
    model: Rule, training: Training, chip: tuple[Reset, ...], help_: str
) -> None:
    """A chip that can do either keeps the model's reset."""

    def rule(name: str, d: Discrete) -> Rule:
        return plain(d.rule.reset if d.rule.reset in chip else chip[0], synapse=False)

    nodes: dict[str, object] = {
        "in": Source((2,), ("nodes/in",)),
        "out": Sink((2,), ("nodes/out",)),
    }
    nodes["a"] = Population((2,), neuron(model), ("nodes/a",))
    program = Program.of(
        Form.DISCRETE,
        nodes,
        [("in", "a", Projection()), ("a", "out", Projection())],
        training={"a": training},
    )
    log = Log()
    report(program, rule, "the sheet", log)
    (said,) = [d for d in log.diagnostics if d.code in ("D401", "D440")]
    assert said.help.startswith(help_)


def test_a_reason_is_given_for_another_reset_only() -> None:
    found = logged(plain("subtract", synapse=False, most=31), found="no synapse")
    assert [d.found for d in found] == ["no synapse of a", "", "no synapse of b", ""]


@pytest.mark.parametrize(
    ("reset", "severities"), [("subtract", ["error", "note"]), ("set", ["error", "error"])]
)
def test_spikes_of_an_output_that_only_come_later_are_a_note(
    reset: Reset, severities: list[str]
) -> None:
    """Only an output reads `b`. A reset to zero loses the spikes beyond the chip's bound."""
    several = neuron(plain(reset, synapse=False, most=None))
    nodes: dict[str, object] = {
        "in": Source((2,), ("nodes/in",)),
        "out": Sink((2,), ("nodes/out",)),
    }
    nodes |= {n: Population((2,), several, (f"nodes/{n}",)) for n in ("a", "b")}
    edges = [(s, t, Projection()) for s, t in (("in", "a"), ("a", "b"), ("b", "out"))]
    log = Log(strict=True)
    report(
        Program.of(Form.DISCRETE, nodes, edges),
        lambda name, d: plain(reset, synapse=False, most=1),
        "",
        log,
    )
    assert [d.severity for d in log.diagnostics if d.code == "D441"] == severities


def test_ties_are_notes_under_strict_too() -> None:
    found = logged(plain("set", synapse=False, at=">="), strict=True)
    assert {(d.code, d.severity) for d in found} == {("D442", "note")}


def test_strict_turns_the_others_into_errors() -> None:
    found = logged(plain("subtract", synapse=False), strict=True)
    assert {d.severity for d in found} == {"error"}
    with pytest.raises(CompileError):
        raise CompileError(found)
