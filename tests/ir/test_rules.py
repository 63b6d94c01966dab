"""Update rules as values: their text, their contradictions, and what their order of operations
means.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.ir.rules import (
    EMIT,
    LETTER,
    MEMBRANE,
    SUBTRACT,
    Add,
    Decay,
    Fire,
    Reset,
    Rule,
    faults,
    parse,
    plain,
)  # fmt: skip
from nirc.writers.norse import CELL
from nirc.writers.rockpool import WITH_SYNAPSE as ROCKPOOL
from nirc.writers.snntorch import LATE_SET, LATE_SUBTRACT, RESTORED
from nirc.writers.spyx import PLAIN as SPYX
from nirc.writers.spyx import WITH_SYNAPSE as SPYX_CUBA
from tests.rules import RULES, any_rule, decays_after_adding, of_writers_and_chips


def contradictions(text: str, *, synapse: bool = False, fires: bool = True) -> str:
    return "; ".join(faults(parse(text), synapse=synapse, fires=fires))


# -- text ------------------------------------------------------------------------------------------


@given(st.one_of(any_rule(), of_writers_and_chips()))
def test_a_rule_is_read_from_its_text(rule: Rule) -> None:
    assert parse(rule.text) == rule


def test_the_letter_of_nir_reads_like_its_definition() -> None:
    assert LETTER.text == "decay v, add x->v, fire > 1, set, emit"
    assert LETTER.with_synapse().text == "decay i, add x->i, decay v, add i->v, fire > 1, set, emit"
    assert parse("fire >= many,  emit").operations == (Fire(">=", None), EMIT)


@pytest.mark.parametrize(
    "text",
    ["", "decay", "decay w", "fire", "fire > 0", "fire = 1", "fire >= -1", "fire > 1e9",
    "add v->i", "Emit", "set 0",
     "fire > 9999999999"],
)  # fmt: skip
def test_an_operation_that_does_not_exist_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="no operation") as refusal:
        parse(f"decay v, {text}, emit")
    assert f"`{text}`" in str(refusal.value)


# -- contradictions --------------------------------------------------------------------------------


@given(st.one_of(any_rule(), of_writers_and_chips()))
def test_rules_of_writers_and_chips_contradict_nothing(rule: Rule) -> None:
    assert faults(rule, synapse=rule.has_synapse, fires=rule.fires is not None) == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("decay v, fire > 1, emit", "the input exactly once"),
        ("decay v, add x->v, add x->v, fire > 1, emit", "the input exactly once"),
        ("decay v, add x->i, add x->v, fire > 1, emit", "the input exactly once"),
        ("decay v, add x->v, add i->v, fire > 1, emit", "a part of the synaptic current only"),
        ("decay i, decay v, add x->v, fire > 1, emit", "a part of the synaptic current only"),
        ("decay v, add x->v, fire > 1", "nothing leaves"),
        ("add x->v, fire > 1, emit", "decay the membrane exactly once"),
        ("decay v, decay v, add x->v, fire > 1, emit", "decay the membrane exactly once"),
        ("decay v, add x->v, fire > 1, emit, emit", "`emit` comes 2 times"),
        ("decay v, add x->v, fire > 1, set, bound, bound, emit", "`bound` comes 2 times"),
        ("decay v, add x->v, subtract, fire > 1, emit", "`subtract` comes before the comparison"),
        ("set, decay v, add x->v, fire > 1, emit", "`set` comes before the comparison"),
        ("decay v, add x->v, fire > 1, restore, emit", "`restore` comes before the comparison"),
    ],
)
def test_each_contradiction_inside_a_rule_is_named(text: str, fault: str) -> None:
    assert fault in contradictions(text)


def test_a_rule_and_parameters_that_do_not_agree_are_named() -> None:
    assert "a synaptic current, the parameters" in contradictions(LETTER.with_synapse().text)
    assert "no synaptic current, the parameters" in contradictions(LETTER.text, synapse=True)
    assert "never fires" in contradictions(MEMBRANE.text)
    assert "fires, the parameters" in contradictions(LETTER.text, fires=False)
    assert contradictions(MEMBRANE.text, fires=False) == "" == contradictions(LETTER.text)


# -- what a rule means -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reset", "late", "restores", "emission_is_delayed"),
    [
        (LETTER, "set", False, False, False),
        (MEMBRANE, "none", False, False, False),
        (LATE_SUBTRACT, "subtract", True, False, False),
        (LATE_SET, "set", True, False, False),
        (RESTORED, "subtract", False, True, False),
        (CELL, "set", False, False, False),
        (ROCKPOOL, "subtract", False, False, False),
        (SPYX, "subtract", True, False, True),
        (
            SPYX_CUBA,
            "subtract",
            False,
            False,
            True,
        ),  # the threshold is taken before the membrane decays
        (parse("emit, decay v, add x->v, fire > 1, set"), "set", False, False, True),
        (parse("emit, decay v, add x->v"), "none", False, False, True),
        (parse("decay v, add x->v, emit, bound"), "none", False, False, False),
        (
            parse("add x->i, decay v, add i->v, fire > 1, set, emit, decay i"),
            "set",
            False,
            False,
            False,
        ),
    ],
)
def test_the_order_of_operations_tells_reset_and_time(
    rule: Rule, reset: Reset, late: bool, restores: bool, emission_is_delayed: bool
) -> None:
    assert (rule.reset, rule.reset_is_delayed, rule.restores, rule.emission_is_delayed) == (
        reset,
        late,
        restores,
        emission_is_delayed,
    )


@pytest.mark.parametrize(
    ("text", "fire"),
    [
        ("decay v, add x->v", None),
        ("decay v, add x->v, fire >= 31, subtract, emit", Fire(">=", 31)),
        ("fire > 2, emit, decay v, add x->v, fire > 3", Fire(">", 2)),
        ("emit, decay v, add x->v, fire > 3, set", Fire(">", 3)),  # of the step before
    ],
)
def test_the_comparison_that_decides_is_the_last_before_spikes_leave(
    text: str, fire: Fire | None
) -> None:
    assert parse(text).fires == fire


def test_who_decays_what_was_just_added() -> None:
    assert decays_after_adding(ROCKPOOL)
    assert not decays_after_adding(CELL) and not decays_after_adding(LETTER.with_synapse())


def test_a_lower_bound_is_seen() -> None:
    assert (
        parse("decay v, add x->v, fire > 1, subtract, bound, emit").bounded and not LETTER.bounded
    )


# -- rules from rules ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", RULES)
def test_a_synapse_is_put_in_and_taken_out_again(text: str) -> None:
    rule = RULES[text]
    one, other = rule.with_synapse(), rule.without_synapse()
    assert one.has_synapse and not other.has_synapse
    assert faults(one, synapse=True, fires=rule.fires is not None) == ()
    assert faults(other, synapse=False, fires=rule.fires is not None) == ()
    assert one == rule if rule.has_synapse else one.without_synapse() == rule
    assert (one.reset, one.fires, one.restores) == (rule.reset, rule.fires, rule.restores)


def test_a_new_synapse_decays_before_it_takes_the_input() -> None:
    ops = LATE_SUBTRACT.with_synapse().operations
    assert [op.text for op in ops[:5]] == ["fire > 1", "decay i", "add x->i", "decay v", "add i->v"]
    assert not decays_after_adding(LATE_SUBTRACT.with_synapse())


@given(st.one_of(any_rule(), of_writers_and_chips()), st.sampled_from(["set", "subtract", "none"]))
def test_another_reset_acts_at_once(rule: Rule, reset: Reset) -> None:
    if rule.fires is None:
        assert rule.at_once(reset) == rule
        return
    with_reset, at_once = rule.with_reset(reset), rule.at_once(reset)
    for made in (with_reset, at_once):
        assert made.reset == reset and not made.reset_is_delayed and not made.restores
        assert made.has_synapse == rule.has_synapse
        assert faults(made, synapse=rule.has_synapse, fires=True) == ()
    assert at_once == plain(reset, synapse=rule.has_synapse, at=rule.fires.at, most=rule.fires.most)
    usual: Reset = "subtract" if rule.reset == "subtract" else "set"
    assert rule.at_once() == rule.at_once(usual)
    assert list(with_reset.without_reset().operations) == [*rule.without_reset().operations]


@given(any_rule())
def test_another_number_of_spikes_is_that_of_every_comparison(rule: Rule) -> None:
    fire = Fire(">=", 7)
    made = rule.with_fire(fire)
    assert made.fires == (None if rule.fires is None else fire)
    assert {op for op in made.operations if isinstance(op, Fire)} <= {fire}
    assert [op for op in made.operations if not isinstance(op, Fire)] == [
        op for op in rule.operations if not isinstance(op, Fire)
    ]


def test_the_plain_rule_is_the_letter_with_other_choices() -> None:
    assert plain("set", synapse=False) == LETTER
    assert plain("none", synapse=False).text == "decay v, add x->v, fire > 1, emit"
    several = plain("subtract", synapse=True, at=">=", most=None)
    assert several.text == "decay i, add x->i, decay v, add i->v, fire >= many, subtract, emit"


def test_operations_are_values() -> None:
    assert Decay("v") == Decay("v") != Decay("i") and Add("x", "v") != Add("i", "v")
    assert len({SUBTRACT, parse("fire > 1, subtract, emit").operations[1]}) == 1
