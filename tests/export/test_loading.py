"""Neurons written for an importer: the cell computes the step that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.exporting.loading import load
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete
from nirc.ir.rules import LETTER, MEMBRANE, Fire, Rule, parse, plain
from nirc.semantics.neuron import NeuronStepper
from nirc.writers.importer import Importer, parameters, setting
from nirc.writers.snntorch import LATE_SUBTRACT, RESTORED
from nirc.writers.writer import installed_writers

N = 5
MANY = parse("decay v, add x->v, fire >= many, subtract, emit")


def importer(name: str) -> Importer:
    found = installed_writers()[name].importer
    assert found is not None
    return found


def neurons(rule: Rule, **other: object) -> Discrete:
    """Neurons of one decay and one threshold, unless told otherwise."""
    one = np.ones(N)
    synapse = {"decay_syn": one * 0.6, "gain_syn": one} if rule.has_synapse else {}
    fires = {} if rule.fires is None else {"threshold": one * 1.5, "v_reset": one * 0}
    fields = {
        "decay_mem": one * 0.8,
        "gain_mem": one,
        "drift": one * 0,
        **synapse,
        **fires,
        "rule": rule,
        **other,
    }
    return Discrete(**{k: frozen(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()})  # type: ignore[arg-type]


def uneven(rule: Rule, seed: int, **other: object) -> Discrete:
    """Neurons with numbers of their own: decays, gains, thresholds."""
    rng = np.random.default_rng(seed)
    synapse = (
        {"decay_syn": rng.uniform(0, 0.99, N), "gain_syn": rng.uniform(0.2, 2, N)}
        if rule.has_synapse
        else {}
    )
    own = {"decay_mem": rng.uniform(0, 0.99, N), "gain_mem": rng.uniform(0.2, 2, N)}
    fires = {} if rule.fires is None else {"threshold": rng.uniform(0.5, 2, N)}
    return neurons(rule, **{**own, **synapse, **fires, **other})


def loaded_outputs(
    name: str, d: Discrete, inputs: np.ndarray, values: Mapping[str, str] | None = None
) -> np.ndarray:
    """Return the output of the module that the importer makes of the cell, by nirc's rule."""
    how = importer(name)
    loaded = load(how, d, values)
    assert not loaded.refused, loaded.refused
    assert loaded.cell is not None
    cell = loaded.cell
    made = how.step(parameters(cell), N, setting(how, {**(values or {}), **cell.values}))
    if cell.threshold is not None:
        made = replace(made, threshold=cell.threshold, rule=LETTER.without_reset())
    gain = 1.0 if cell.gain is None else cell.gain
    constant = 0.0 if cell.constant is None else cell.constant
    return outputs(made, inputs * gain + constant)


def outputs(d: Discrete, inputs: np.ndarray) -> np.ndarray:
    stepper = NeuronStepper(d, (1, N))
    return np.stack([stepper.step(x[None]) for x in inputs])


SAID = {
    "snntorch": [LETTER, LETTER.with_synapse(), plain("set", synapse=False, at=">=")],
    "norse": [
        LETTER,
        LETTER.with_synapse(),
        plain("subtract", synapse=False),
        plain("subtract", synapse=True),
    ],
    "sinabs": [MANY, MEMBRANE],
    "rockpool": [MANY, plain("subtract", synapse=True, at=">=", most=None), MEMBRANE],
    "spyx": [LETTER.without_reset(), plain("subtract", synapse=True), LATE_SUBTRACT],
}


@pytest.mark.parametrize("name", SAID)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_the_cell_computes_the_step_in_every_neuron(name: str, seed: int) -> None:
    """Decays, gains and thresholds of each neuron come back, by the module's own rule."""
    inputs = np.random.default_rng(seed).normal(0.4, 1, (30, N))
    for rule in SAID[name]:
        d = uneven(rule, seed)
        got, wanted = loaded_outputs(name, d, inputs), outputs(d, inputs)
        late = load(importer(name), d).delayed
        assert np.isclose(got[late:], wanted[: len(wanted) - late], atol=1e-4).mean() > 0.99, (
            rule.text
        )


@pytest.mark.parametrize("decay", [0.0, 1.0])
@pytest.mark.parametrize(
    ("name", "rule"), [(n, r) for n, rules in SAID.items() for r in rules if n != "spyx"]
)
def test_nothing_and_everything_can_be_kept(name: str, rule: Rule, decay: float) -> None:
    if name == "rockpool" and rule == MEMBRANE and decay == 0:
        pytest.skip("said to be impossible below")
    inputs = np.random.default_rng(0).normal(0.4, 1, (30, N))
    d = neurons(rule, decay_mem=np.full(N, decay))
    np.testing.assert_allclose(loaded_outputs(name, d, inputs), outputs(d, inputs), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "reset", "delay", "rule"),
    [
        ("snntorch", "subtract", "yes", LATE_SUBTRACT),
        ("snntorch", "subtract", "no", RESTORED),
        ("snntorch", "none", "no", LETTER.without_reset()),
        ("snntorch", "subtract", "yes", LATE_SUBTRACT.with_synapse()),
    ],
)
def test_choices_of_the_importer_load_other_rules(
    name: str, reset: str, delay: str, rule: Rule
) -> None:
    values = {"reset": reset, "reset_delay": delay}
    assert not load(importer(name), neurons(rule), values).refused
    assert load(importer(name), neurons(rule)).refused


def test_a_tie_is_decided_as_the_chip_decides_it() -> None:
    """snnTorch fires above a threshold only: it gets the number of float32 below the chip's."""
    d = neurons(
        plain("set", synapse=False, at=">="), decay_mem=np.ones(N), threshold=np.full(N, 3.0)
    )
    cell = load(importer("snntorch"), d).cell
    assert cell is not None
    threshold = cell.fields["v_threshold"].astype(np.float32)
    assert (threshold < 3).all() and (np.nextafter(threshold, np.float32(9)) == 3).all()
    above = replace(d, rule=plain("set", synapse=False, at=">"))
    cell = load(importer("snntorch"), above).cell
    assert cell is not None and (cell.fields["v_threshold"] == 3).all()


def test_one_threshold_for_all_is_reached_by_a_gain() -> None:
    cell = load(importer("snntorch"), neurons(LETTER, threshold=np.arange(1.0, 6.0))).cell
    assert cell is not None and cell.gain is not None
    assert (cell.fields["v_threshold"] == 1).all()
    np.testing.assert_allclose(cell.gain, 1 / np.arange(1.0, 6.0))


def test_the_argument_that_an_importer_needs_is_named() -> None:
    cell = load(importer("norse"), neurons(plain("subtract", synapse=False))).cell
    assert cell is not None and cell.values == {"reset": "subtract"}
    assert "reset_method=norse.torch.functional.reset.reset_subtract" in importer("norse").call(
        cell.values
    )


def test_the_lower_bound_of_sinabs_makes_an_iaf() -> None:
    bounded = parse("decay v, add x->v, fire >= many, subtract, bound, emit")
    keeps = np.ones(N)
    usual = neurons(bounded, decay_mem=keeps, v_least=np.full(N, -1.5))
    cell = load(importer("sinabs"), usual).cell
    assert cell is not None and cell.fields["type"] == "IF"
    other = load(importer("sinabs"), replace(usual, v_least=frozen(np.full(N, -0.5))))
    assert other.refused == ("the stage has a lower bound of the membrane, loaded it has none",)
    word = load(importer("sinabs"), replace(usual, v_least=frozen(np.full(N, -32768.0))))
    assert word.refused == () and word.remarks == ("keeps its membrane at -32768 and above",)


def test_several_spikes_are_a_limit_that_is_told() -> None:
    xylo = plain("subtract", synapse=True, at=">=", most=31)
    loaded = load(importer("rockpool"), neurons(xylo))
    assert loaded.refused == () and loaded.remarks == ("fires up to 31 times in a step",)


@pytest.mark.parametrize(
    ("name", "d", "reason"),
    [
        (
            "snntorch",
            neurons(plain("subtract", synapse=False)),
            "subtracts the threshold at once, loaded it sets the",
        ),
        ("snntorch", neurons(LATE_SUBTRACT), "in the step after a spike"),
        ("snntorch", neurons(MANY), "fires any number of times in a step, loaded once at most"),
        ("snntorch", neurons(MEMBRANE), "no neuron that sends its membrane"),
        (
            "snntorch",
            neurons(LETTER, v_reset=np.full(N, 0.2)),
            "is reset to another potential when it is loaded: 0",
        ),
        (
            "snntorch",
            neurons(LETTER, v_start=np.full(N, 0.2)),
            "starts from another membrane potential",
        ),
        (
            "snntorch",
            neurons(LETTER.with_synapse(), drift=np.full(N, 0.1)),
            "is drawn by another constant input",
        ),
        ("norse", neurons(LATE_SUBTRACT), "subtracts the threshold in the step after a spike"),
        ("norse", neurons(LETTER.without_reset()), "is not reset by a spike"),
        ("sinabs", neurons(LETTER), "fires once at most in a step, loaded any number of times"),
        ("sinabs", neurons(plain("subtract", synapse=True, most=None)), "no synaptic filter"),
        (
            "sinabs",
            neurons(plain("set", synapse=False, at=">=", most=None)),
            "sets the membrane at once",
        ),
        ("rockpool", neurons(MANY.with_fire(Fire(">=", 1))), "fires once at most"),
        ("rockpool", neurons(MEMBRANE, decay_mem=np.zeros(N)), "none without memory"),
        ("rockpool", neurons(MEMBRANE.with_synapse()), "no readout with a synapse"),
        ("spyx", neurons(LETTER), "sets the membrane at once"),
        ("nengo", neurons(LETTER), "spikes within the step"),
        ("lava", neurons(LETTER), "cuts states to 4096ths"),
        (
            "lava",
            neurons(LETTER, grain=1 / 4096, decay_mem=np.linspace(0.2, 0.8, N)),
            "one decay and one threshold",
        ),
        (
            "lava",
            neurons(LETTER, grain=1 / 4096, decay_mem=np.full(N, 0.8)),
            "keeps another share of its membrane",
        ),
        ("snntorch", neurons(LETTER, grain=1 / 4096), "cuts its states"),
    ],
)
def test_what_cannot_be_said_has_a_reason(name: str, d: Discrete, reason: str) -> None:
    assert reason in "; ".join(load(importer(name), d).refused)


def test_the_chips_own_units_reach_slayer_as_they_are() -> None:
    """Loihi 2 adds weights times 64 to whole states: slayer's states are 4096ths."""
    one = np.ones(N)
    d = Discrete(
        one * (1 - 512 / 4096),
        one,
        one * 0,
        one * 0.5,
        one * 64,
        one * 6400,
        one * 0,
        rule=LETTER.with_synapse(),
    )
    loaded = load(importer("lava"), d)
    assert not loaded.refused and loaded.cell is not None
    assert (loaded.cell.fields["v_threshold"] == 6400 / 4096).all()
    assert loaded.cell.gain is not None and (loaded.cell.gain == 64 / 4096).all()
