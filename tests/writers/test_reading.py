"""The writer of a file: evidence, options, open choices, and files that are by nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nirc.api import Options, compile_model, load_as
from nirc.diagnostics.errors import CompileError, UsageError
from nirc.diagnostics.log import Log
from nirc.frontend.load import load_raw
from nirc.frontend.raw import RawGraph, RawNode
from nirc.writers.reading import reading_of
from nirc.writers.writer import Reading, installed_writers
from tests.build import DT, affine, changed, cuba, graph, if_, inp, lif, linear, node, out
from tests.models import DATA
from tests.writers.cases import DATA as CASES

LEAKY = CASES / "snntorch" / "leaky_zero.nir"


def read(
    raw: object, *, asked: str | None = None, reset: str | None = None, strict: bool = False
) -> Reading:
    return reading_of(raw, asked=asked, reset=reset, discretise=None, log=Log(strict=strict))  # type: ignore[arg-type]


def said(model: Path, **options: object) -> set[tuple[str, str]]:
    log = Log()
    load_as(model, Options(**options), log=log)  # type: ignore[arg-type]
    return {(d.code, d.severity) for d in log.diagnostics if d.code[0] == "W"}


# -- files by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "neuron",
    [
        lif(2),
        cuba(2),
        if_(2),
        lif(2, r=np.ones(2), tau=np.full(2, 0.02)),
        lif(2, r=np.full(2, 2.0)),
    ],
    ids=["lif", "cuba", "if", "r1", "r2"],
)
def test_a_file_by_hand_is_nobody_s(neuron: object) -> None:
    found = read(
        graph({"a": inp(3), "w": linear(np.ones((2, 3))), "n": neuron, "b": out(2)}, "a w n b")
    )  # type: ignore[dict-item]
    assert found.writer.name == "nir"
    assert found.confidence in ("none", "open")


@pytest.mark.parametrize(
    ("neuron", "dt_s", "help_"),
    [
        (
            lif(2, r=np.ones(2), tau=np.full(2, 0.02)),
            None,
            "say who wrote it: --from nengo, --from nir --dt 1e-3",
        ),
        (
            lif(2, r=np.ones(2), tau=np.full(2, 0.02)),
            1e-4,
            "say who wrote it: --from nengo, --from nir",
        ),
        (
            lif(2, tau=np.full(2, 5e-3), r=np.full(2, 50.0)),
            None,
            "say who wrote it: --from snntorch, --from nir",
        ),
    ],
    ids=["no step", "a given step", "a step in the file"],
)
def test_the_letter_is_offered_with_a_step_where_it_needs_one(
    neuron: RawNode, dt_s: float | None, help_: str
) -> None:
    nodes = {"a": inp(3), "w": linear(np.ones((2, 3))), "n": neuron, "b": out(2)}
    log = Log()
    reading_of(graph(nodes, "a w n b"), asked=None, reset=None, discretise=None, dt_s=dt_s, log=log)
    assert [d.help for d in log.diagnostics if d.code == "W203"] == [help_]


@pytest.mark.parametrize("steps", [1.5, 9.7, 25.476, 300.1, 1e5, 3e6])
def test_gains_of_tau_over_dt_are_nobody_s_whatever_the_time_constant(steps: float) -> None:
    """For one time constant another round step often explains the gain by Rockpool's formula."""
    for longer in np.random.default_rng(0).uniform(1, 2, 300):
        neuron = lif(2, steps * longer)
        found = read(
            graph({"a": inp(3), "w": linear(np.ones((2, 3))), "n": neuron, "b": out(2)}, "a w n b")
        )
        assert found.confidence != "conclusive", neuron


def test_one_changed_number_is_no_snntorch_file_any_more() -> None:
    """r = tau / 1e-4 holds in every node of an export. A person changes one of them."""
    usual = lif(2, 7.3)
    nodes = {
        "input": inp(2),
        "0": linear(np.eye(2)),
        "1": usual,
        "2": linear(np.eye(2)),
        "3": lif(2),
        "output": out(2),
    }
    assert "snntorch" in read(graph(nodes, "input 0 1 2 3 output")).candidates
    nodes["3"] = changed(usual, r=np.array([1.0, 7.3]))
    assert read(graph(nodes, "input 0 1 2 3 output")).confidence == "none"


@pytest.mark.parametrize(
    ("name", "confidence"), [("paper/lif_norse", "none"), ("zoo/digits_if_cnn", "open")]
)
def test_published_files_without_fingerprints_stay_nobody_s(name: str, confidence: str) -> None:
    reading = load_as(DATA / f"{name}.nir", Options(), log=Log())[1]
    assert (reading.writer.name, reading.confidence) == ("nir", confidence)


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("paper/braille_noDelay_bias_zero", "snntorch"),
        ("paper/cnn_sinabs", "sinabs"),
        ("zoo/digits_lif_mlp", "snntorch"),
        ("history/lif_rockpool-d70a32", "rockpool"),
    ],
)
def test_published_files_with_fingerprints_are_their_simulator_s(name: str, writer: str) -> None:
    reading = load_as(DATA / f"{name}.nir", Options(), log=Log())[1]
    assert (reading.writer.name, reading.confidence) == (writer, "conclusive")
    assert reading.evidence


# -- what stays open -------------------------------------------------------------------------------


def test_every_choice_that_the_file_does_not_record_is_a_warning_with_its_option() -> None:
    log = Log()
    _, reading = load_as(LEAKY, Options(), log=log)
    warnings = [d for d in log.diagnostics if d.code == "W202"]
    assert reading.assumed == {"reset": "subtract", "reset_delay": "yes"}
    assert [d.found for d in warnings] == ["snntorch,reset=subtract", "snntorch,reset_delay=yes"]
    assert "--from snntorch,reset=zero" in warnings[0].help


def test_a_choice_that_is_given_is_open_no_more() -> None:
    reading = load_as(LEAKY, Options(writer="snntorch,reset=zero"), log=Log())[1]
    assert reading.text == "snntorch,reset=zero" and reading.assumed == {}
    assert "W202" not in {code for code, _ in said(LEAKY, writer="snntorch,reset=zero")}


def test_a_guess_is_a_warning_also_where_the_writer_is_named() -> None:
    assert ("W202", "warning") in said(LEAKY)
    assert ("W202", "warning") in said(LEAKY, writer="snntorch")
    log = Log()
    load_as(LEAKY, Options(writer="snntorch,reset_delay=no"), log=log)
    (asked,) = [d for d in log.diagnostics if d.code == "W202"]
    assert "--from snntorch,reset_delay=no,reset=zero" in asked.help  # with what was given


@pytest.mark.parametrize("reset", ["none", "zero"])
def test_a_delay_that_changes_nothing_is_no_guess(reset: str) -> None:
    """A recurrent cell resets to zero a step later where it is delayed, a Leaky never."""
    cell = DATA / "zoo/japanesevowels_rsnn.nir"
    alone = load_as(LEAKY, Options(writer=f"snntorch,reset={reset}"), log=Log())[1]
    in_loop = load_as(cell, Options(writer=f"snntorch,reset={reset}"), log=Log())[1]
    assert alone.assumed == {}
    assert in_loop.assumed == ({} if reset == "none" else {"reset_delay": "yes"})


@pytest.mark.parametrize(
    ("asked", "nearest"), [("reset=zeros", "zero"), ("rest=zero", "reset"), ("reset=7", "")]
)
def test_a_mistyped_choice_gets_the_nearest_that_exists(asked: str, nearest: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load_as(LEAKY, Options(writer=f"snntorch,{asked}"), log=Log())
    (wrong,) = refusal.value.diagnostics
    assert wrong.help == (f"did you mean `{nearest}`?" if nearest else "")


def test_strict_refuses_while_nobody_has_named_the_writer() -> None:
    with pytest.raises(CompileError) as refusal:
        compile_model(LEAKY, "loihi2", Options(strict=True))
    assert {d.code for d in refusal.value.diagnostics if d.severity == "error"} == {"W202"}
    compile_model(LEAKY, "loihi2", Options(strict=True, writer="snntorch"))


def test_where_no_evidence_is_conclusive_the_candidates_are_named() -> None:
    nodes = {"in": inp(2), "w": affine(np.eye(2), np.zeros(2)), "n": lif(2, 2.0), "o": out(2)}
    log = Log()
    reading = reading_of(graph(nodes, "in w n o"), asked=None, reset=None, discretise=None, log=log)
    (told,) = [d for d in log.diagnostics if d.code == "W203"]
    assert reading.writer.name == "nir" and reading.candidates == ("snntorch",)
    assert "--from snntorch" in told.help and "--from nir" in told.help


def test_reset_goes_to_whoever_wrote_the_file() -> None:
    assert load_as(LEAKY, Options(reset="zero"), log=Log())[1].text == "snntorch,reset=zero"
    assert (
        load_as(LEAKY, Options(reset="zero", writer="nir"), log=Log())[1].text == "nir,reset=zero"
    )
    with pytest.raises(UsageError, match="rockpool"):
        load_as(LEAKY, Options(reset="zero", writer="rockpool"), log=Log())


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("snntorhc", "did you mean `snntorch`?"),
        ("snntorch,rest=zero", "reset=subtract|zero|none"),
        ("snntorch,reset=soft", "subtract|zero|none"),
        ("sinabs,floor=low", "none|VOLTS"),
        ("rockpool,spikes=0", "many|N"),
        ("norse,dt=-1", "1e-3|SECONDS"),
        ("snntorch,reset=zero,reset=zero", "once"),
        ("", "lava"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(asked: str, hint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load_as(LEAKY, Options(writer=asked), log=Log())
    told = refusal.value.diagnostics[-1]
    assert told.code == "U607" and hint in f"{told.expected} {told.help}"


def test_the_table_of_writers_is_whole() -> None:
    writers = installed_writers()
    assert list(writers) == [
        "lava",
        "nengo",
        "norse",
        "rockpool",
        "sinabs",
        "snntorch",
        "spyx",
        "nir",
    ]
    for name, writer in writers.items():
        assert writer.name == name
        for choice in writer.choices:
            assert choice.values and all(
                choice.takes(value) for value in (*choice.values, *choice.tried)
            )


def test_a_step_of_the_user_names_the_time_and_changes_no_decay() -> None:
    log = Log()
    made = compile_model(LEAKY, "loihi2", Options(dt_s=1e-3, writer="snntorch,reset=zero"), log=log)
    usual = compile_model(LEAKY, "loihi2", Options(writer="snntorch,reset=zero"))
    assert made.bundle.manifest["dt"] == 1e-3 and usual.bundle.manifest["dt"] == DT
    assert made.bundle.files["network.npz"] == usual.bundle.files["network.npz"]
    assert "P310" in {d.code for d in log.diagnostics}


# -- a reading that contradicts the file -----------------------------------------------------------


def reported(model: Path, **options: object) -> list[tuple[str, str]]:
    log = Log()
    load_as(model, Options(**options), log=log)  # type: ignore[arg-type]
    return [(d.code, d.expected) for d in log.diagnostics if d.code == "W208"]


def test_another_simulator_s_rule_on_a_sure_file_is_a_warning() -> None:
    assert reported(LEAKY, writer="sinabs") == [("W208", "snntorch")]
    assert reported(LEAKY, discretise="euler") == [("W208", "snntorch")]
    assert (
        reported(LEAKY, writer="snntorch") == reported(LEAKY, writer="nir") == reported(LEAKY) == []
    )


@pytest.mark.parametrize("asked", ["snntorch,reset=zero", "nir,reset=zero"])
def test_a_reset_that_is_given_twice_and_differently_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match="contradicts"):
        load_as(LEAKY, Options(writer=asked, reset="subtract"), log=Log())
    load_as(LEAKY, Options(writer=asked, reset="zero"), log=Log())


def test_a_note_in_the_file_that_its_numbers_contradict_leaves_every_choice_open() -> None:
    raw, _ = load_raw(LEAKY, Log())
    log = Log()
    found = reading_of(
        replace(raw, recorded="sinabs,spikes=one"), asked=None, reset=None, discretise=None, log=log
    )
    assert found.writer.name == "sinabs"
    assert {d.code for d in log.diagnostics if d.severity == "warning"} == {"W202", "W208"}
    assert set(found.open_keys) == {c.key for c in found.writer.choices} - {"spikes"}


# -- chance ----------------------------------------------------------------------------------------


def hand_made(names: str, *neurons: RawNode) -> RawGraph:
    """Layers of two between Input and Output, stored in float32 as torch tools write."""
    nodes: dict[str, RawNode] = {"input": inp(2), "output": out(2)}
    for name, neuron in zip(names.split(), neurons, strict=True):
        nodes[f"{name}w"] = linear(np.eye(2))
        nodes[name] = replace(
            neuron, fields={k: v.astype(np.float32) for k, v in neuron.fields.items()}
        )  # type: ignore[union-attr]
    order = [x for name in names.split() for x in (f"{name}w", name)]
    return graph(nodes, " ".join(["input", *order, "output"]))


def test_random_time_constants_are_snntorch_s_in_none_of_300_files() -> None:
    """A single float32 number fits the rounding of 1 - beta in one of four cases."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        neurons = [lif(2, steps) for steps in rng.uniform(1.2, 12, 3)]
        assert read(hand_made("lif1 lif2 lif3", *neurons)).confidence != "conclusive"


@pytest.mark.parametrize(
    "neuron",
    [
        changed(if_(2), r=[2.5, 2.5]),
        changed(if_(2), v_reset=[-0.5, -0.5]),
        lif(2, v_leak=[0.3, 0.3]),
        node("LI", tau=[1e-3, 1e-3], r=[1.0, 1.0], v_leak=[0.0, 0.0]),
    ],
    ids=["r", "v_reset", "v_leak", "li"],
)
def test_names_alone_are_not_spyx(neuron: RawNode) -> None:
    nodes = {"input": inp(2), "layer_0": linear(np.eye(2)), "layer_1": neuron, "output": out(2)}
    assert read(graph(nodes, "input layer_0 layer_1 output")).confidence != "conclusive"


def test_dense_integrators_with_zero_biases_are_open_between_norse_and_sinabs() -> None:
    """Both simulators write a bias of zeros where a layer has none."""
    one = np.ones(2, np.float32)
    weights = RawNode("", "Affine", {"weight": np.eye(2, dtype=np.float32), "bias": 0 * one})
    neuron = RawNode("", "IF", {"r": one, "v_threshold": one, "v_reset": 0 * one})
    nodes = {"input": inp(2), "0": weights, "1": neuron, "output": out(2)}
    found = read(graph(nodes, "input 0 1 output"))
    assert found.confidence == "open" and set(found.candidates) == {"norse", "sinabs"}
