"""Fine-tuning as a whole: nearer to the model, never farther, and the file carries the integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model
from nirc.diagnostics.errors import UsageError
from nirc.diagnostics.log import Log
from nirc.files.data import Data, read_data
from nirc.finetuning import fit as fitting
from nirc.finetuning import learning, lessons
from nirc.finetuning.learning import Grade
from nirc.finetuning.lessons import Exam
from nirc.finetuning.measured import Request, Result, fit_and_measure, nir_of
from nirc.ir.populations import Population
from nirc.ir.text import digest
from nirc.semantics.run import run
from tests.commands import nirc as command
from tests.commands import process
from tests.models import DATA, chain, cuba, lif, linear

# Three bits leave something to learn on every chip.
OPTIONS = Options(dt_s=1e-4, writer="nir", weight_bits=3)
CHIPS = ("loihi2", "speck", "spinnaker2", "xylo")
pytestmark = pytest.mark.usefixtures("small_calibration")


@pytest.fixture
def few_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few made inputs: for tests of what is kept and written, not of how near it comes."""
    monkeypatch.setattr(lessons, "POOL", 40)
    monkeypatch.setattr(lessons, "EXAM", 12)
    monkeypatch.setattr(fitting, "EXAM", 12)
    monkeypatch.setattr(fitting, "JUDGING", 12)
    monkeypatch.setattr(fitting, "may_gain", lambda *_: True)


@pytest.fixture
def last_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last candidate of a fast course is the best, and the guard takes it."""
    monkeypatch.setattr(fitting, "RATES", (0.1,))
    order = count()
    monkeypatch.setattr(learning.Grade, "score", property(lambda _: -next(order)))
    monkeypatch.setattr(fitting, "better", lambda *_: True)
    monkeypatch.setattr(fitting, "other_rates", lambda *_: [])
    monkeypatch.setattr(fitting, "FEW", 0)


def network(chip: str) -> nir.NIRGraph:
    """Two layers of neurons that the chip has."""
    rng = np.random.default_rng(3)
    neurons: Callable[[int], nir.NIRNode] = cuba if chip == "xylo" else lif
    first, second = linear(rng, 6, 5, 1.0), linear(rng, 3, 6, 1.0)
    return chain(5, first, neurons(6), second, neurons(3), n_out=3)


def samples(n: int = 16, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, 15, 5)) < 0.4).astype(np.int64)


def fitted(chip: str, log: Log | None = None, **more: Any) -> Result:
    request = Request(Data(samples()), epochs=30, **more)
    return fit_and_measure(network(chip), chip, request, OPTIONS, log=log or Log())


@pytest.mark.usefixtures("few_lessons", "last_is_kept")
@pytest.mark.parametrize("chip", CHIPS)
def test_the_file_gives_the_chip_the_fitted_integers(chip: str, tmp_path: Path) -> None:
    done = fitted(chip)
    calibrated = compile_model(network(chip), chip, OPTIONS, log=Log(), calibration=samples())
    assert digest(done.compiled.integer) != digest(calibrated.integer)  # something was learnt
    path = tmp_path / "fitted.nir"
    path.write_bytes(nir_of(done.compiled, Log()))
    again = compile_model(path, chip, Options(dt_s=1e-4), log=Log())
    expected = done.compiled.bundle.files
    differing = {name for name in expected if again.bundle.files[name] != expected[name]}
    assert differing <= {"certificate.json", "report.html", "report.json", "network.nir"}
    emulated = done.compiled.bundle.run(samples(4, seed=1)).outputs
    assert np.array_equal(emulated, run(again.integer, samples(4, seed=1)).outputs)


@pytest.mark.usefixtures("few_lessons")
@pytest.mark.parametrize("chip", CHIPS)
def test_a_fit_that_is_no_better_changes_nothing(
    chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "better", lambda *_: False)
    order = count()
    monkeypatch.setattr(learning.Grade, "score", property(lambda _: -next(order)))
    log = Log()
    done = fitted(chip, log)
    calibrated = compile_model(network(chip), chip, OPTIONS, log=Log(), calibration=samples())
    assert done.compiled.bundle.files == calibrated.bundle.files
    assert done.tree["fit"]["kept"] == "calibrated"
    (warning,) = [d for d in log.diagnostics if d.code == "P329"]
    assert warning.severity == "warning" and "not surely better on samples" in warning.message


@pytest.mark.usefixtures("few_lessons", "last_is_kept")
def test_right_answers_of_another_network_inside_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hidden neurons of the candidate have rates that the model's and the start's do not."""
    assert fitted("xylo", Log()).tree["fit"]["kept"] != "calibrated"
    order = count()
    monkeypatch.setattr(fitting, "other_rates", lambda *_: ["hidden"] if next(order) else [])
    log = Log()
    assert fitted("xylo", log).tree["fit"]["kept"] == "calibrated"
    (warning,) = [d for d in log.diagnostics if d.code == "P329"]
    assert "rates of hidden are no longer the model's" in warning.message
    order = count(1)  # the calibrated chip has these rates, too
    assert fitted("xylo", Log()).tree["fit"]["kept"] != "calibrated"


def test_rates_of_another_network_are_seen_by_their_distribution() -> None:
    compiled = compile_model(network("spinnaker2"), "spinnaker2", OPTIONS, log=Log())
    model, inputs = compiled.legal, samples(8, seed=2)
    assert fitting.other_rates(model, compiled.integer, inputs) == []
    first, *_ = model.nodes(Population)
    neuron = compiled.integer[first].dynamics
    easy = replace(neuron, threshold=neuron.threshold / 3)
    eager = compiled.integer.mapped({first: compiled.integer[first].with_dynamics(easy)})
    assert first in fitting.other_rates(model, eager, inputs)


def test_leaky_neurons_learn_the_constant_leak_of_speck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration alone leaves .47 of the answers: the chip's leak is another than the model's."""
    monkeypatch.setattr(fitting, "RATES", (0.02,))
    path = DATA / "zoo/basicmotions_lif_ff.nir"
    data = read_data(path.with_suffix(".npz"), Log())
    assert data.labels is not None
    given = replace(data, inputs=data.inputs[:10], labels=data.labels[:10])
    rest = replace(data, inputs=data.inputs[10:], labels=data.labels[10:])
    request = Request(given, test=rest, epochs=12)
    tree = fit_and_measure(path, "speck", request, Options(), log=Log()).tree
    assert tree["before"]["agreement"] < 0.6
    assert tree["after"]["agreement"] > 0.8
    assert tree["after"]["accuracy"] >= 0.8 * tree["float"]["accuracy"]
    assert tree["float"]["agreement"] == 1.0
    assert tree["mode"] == "synchronous"  # as verify judges
    events = tree["modes"]["events"]  # the learning knows sums of a step only
    assert 0.2 < events["before"]["agreement"] < 1.0 and 0.2 < events["after"]["agreement"] < 1.0


@pytest.mark.usefixtures("few_lessons")
def test_the_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    nir.write(tmp_path / "m.nir", network("xylo"))
    np.savez(tmp_path / "d.npz", inputs=samples())
    asked = ("fit", "m.nir", "--target", "xylo", "--from", "nir", "--dt", "1e-4", "--epochs", "1")
    asked = (*asked, "--weight-bits", "3")  # without mistakes nothing would be learnt
    for threads in ("1", "3"):
        out = ("--data", "d.npz", "-o", f"{threads}.nir", "--bundle", threads)
        done = process(*asked, *out, cwd=tmp_path, OPENBLAS_NUM_THREADS=threads)
        assert done.returncode == 0, done.stderr
        assert "course 2 of 2" in done.stderr
    assert (tmp_path / "1.nir").read_bytes() == (tmp_path / "3.nir").read_bytes()
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in ("1", "3")]
    assert manifests[0] == manifests[1]


@pytest.mark.usefixtures("few_lessons")
def test_the_command_writes_file_bundle_and_figures(tmp_path: Path) -> None:
    nir.write(tmp_path / "m.nir", network("xylo"))
    labels = np.arange(16) % 3
    np.savez(tmp_path / "d.npz", inputs=samples(), labels=labels)
    np.savez(tmp_path / "t.npz", inputs=samples(8, seed=5), labels=labels[:8])
    asked = ("m.nir", "--target", "xylo", "--from", "nir", "--dt", "1e-4", "--epochs", "1")
    files = ("--data", "d.npz", "--test", "t.npz", "-o", "o.nir", "--bundle", "b", "--json", "f")
    done = command("fit", *asked, *files, "--labels", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tree = json.loads((tmp_path / "f").read_text())
    for stage in ("plain", "before", "after", "float"):
        assert {"accuracy", "agreement"} <= tree[stage].keys()
    assert tree["float"]["agreement"] == 1.0 and tree["fit"]["labels"] is True
    assert "plain" in done.stdout and "fitted" in done.stdout and "wrote o.nir" in done.stdout
    checked = command("check", "b", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    compiled = command("o.nir", "--target", "xylo", "--dt", "1e-4", "-o", "again", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    config = [(tmp_path / name / "config.json").read_bytes() for name in ("b", "again")]
    assert config[0] == config[1]


@pytest.mark.usefixtures("few_lessons")
def test_a_log_gets_a_line_for_each_stage(tmp_path: Path) -> None:
    """Piped, the command names its stages. A document and --quiet show none."""
    nir.write(tmp_path / "m.nir", network("xylo"))
    np.savez(tmp_path / "d.npz", inputs=samples())
    asked = ("fit", "m.nir", "--target", "xylo", "--from", "nir", "--dt", "1e-4", "--epochs", "1")
    files = ("--data", "d.npz", "-o", "o.nir")
    said = command(*asked, *files, cwd=tmp_path).stderr
    names = ("calibrating on 16 samples", "making inputs", "decays 1 of 3", "decays 3 of 3")
    names = (*names, "course 1 of 2", "course 2 of 2", "judging")
    places = [said.index(f"fitting: {name}") for name in names]
    assert places == sorted(places)
    for hidden in ("--quiet", "--format=json"):
        assert "fitting:" not in command(*asked, *files, hidden, cwd=tmp_path).stderr


@pytest.mark.usefixtures("few_lessons")
def test_the_percentage_rises_while_decays_are_tried() -> None:
    seen: list[tuple[str, int]] = []
    names = [""]
    request = Request(Data(samples()), epochs=48)
    fit_and_measure(
        network("xylo"),
        "xylo",
        request,
        OPTIONS,
        log=Log(),
        progress=lambda done: seen.append((names[-1], done)),
        stage=names.append,
    )
    done = [each for _, each in seen]
    assert done == sorted(done) and done[-1] == 100
    second = [each for name, each in seen if name.startswith("decays 2 of 3")]
    assert second[-1] > second[0]


@pytest.mark.usefixtures("few_lessons")
def test_the_library_has_the_words_of_the_command(tmp_path: Path) -> None:
    out = tmp_path / "o.nir"
    data = {"inputs": samples(), "labels": np.arange(16) % 3}
    with pytest.warns(UserWarning):
        done = nirc.fit(
            network("xylo"), "xylo", data, test=data, epochs=1, out=out, dt=1e-4, writer="nir"
        )
    assert out.read_bytes() == done.nir
    assert done["before"]["agreement"] >= 0 and "agreement" in str(done)
    assert done.bundle.manifest["target"].startswith("xylo")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--labels",), "needs labels"),
        (("--epochs", "0"), "1 to 10000"),
        (("--calibrate", "d.npz"), "does not go with fit"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: tuple[str, ...], says: str, tmp_path: Path) -> None:
    nir.write(tmp_path / "m.nir", network("xylo"))
    np.savez(tmp_path / "d.npz", inputs=samples(4))
    base = ("fit", "m.nir", "--target", "xylo", "--data", "d.npz", "--from", "nir", "--dt", "1e-4")
    done = command(*base, "-o", "o.nir", *asked, cwd=tmp_path)
    assert done.returncode == 2 and "U607" in done.stderr and says in done.stderr
    assert not (tmp_path / "o.nir").exists()


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    nir.write(tmp_path / "m.nir", network("xylo"))
    np.savez(tmp_path / "d.npz", inputs=samples(4))
    before = (tmp_path / "m.nir").read_bytes()
    done = command(
        "fit", "m.nir", "--target", "xylo", "--data", "d.npz", "-o", "m.nir", cwd=tmp_path
    )
    assert done.returncode == 2 and "replace" in done.stderr
    assert (tmp_path / "m.nir").read_bytes() == before


def test_a_wrong_argument_of_the_library_is_named() -> None:
    with pytest.raises(UsageError, match="epochs"):
        nirc.fit(network("xylo"), "xylo", samples(), epochs="2")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="labels"):
        nirc.fit(network("xylo"), "xylo", samples(), labels=3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("few_lessons", "last_is_kept")
def test_a_gain_that_few_samples_do_not_show_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four given samples are left to judge by, and the last candidate of a fast course is worse."""
    monkeypatch.setattr(fitting, "FEW", 5)
    log = Log()
    done = fitted("xylo", log)
    assert done.tree["fit"]["samples"]["guard"]["given"] == 4
    assert done.tree["fit"]["kept"] == "calibrated"
    (warning,) = [d for d in log.diagnostics if d.code == "P329"]
    assert "not evident" in warning.message


def grade(distance: list[float], wrong: list[float]) -> Grade:
    return Grade(np.array(distance), np.array(wrong))


def exam(samples: int, given: int, clear: int = 0, outputs: int = 3) -> Exam:
    """An examination in which each input is a sample of its own."""
    inputs, expected = np.zeros((samples, 1, 1), np.int64), np.zeros((samples, 1, outputs))
    number = np.arange(samples)
    return Exam(inputs, expected, given, number, np.zeros(samples, np.int64), clear)


def test_the_guard_wants_answers_that_are_won_by_more_than_chance() -> None:
    """Here every second input comes nearer, so that answers alone may show a gain."""
    start = grade([0.5] * 40, [1.0] * 12 + [0.0] * 28)
    judge = exam(40, given=4)
    half = [0.3, 0.6] * 20
    six = grade(half, [1.0] * 6 + [0.0] * 34)  # one chance in 64
    seven = grade(half, [1.0] * 5 + [0.0] * 35)
    assert not fitting.better(six, start, judge)
    assert fitting.better(seven, start, judge)
    # Answers that are won near one given sample are won once.
    same = replace(judge, unit=np.r_[np.zeros(12, np.int64), np.arange(28)])
    assert not fitting.better(seven, start, same)


def test_nearer_spikes_count_where_answers_are_won_and_none_lost() -> None:
    """Spikes tell more than answers, which 21 given samples hardly tell apart."""
    start = grade([0.5] * 40, [1.0] * 12 + [0.0] * 28)
    judge = exam(40, given=4, clear=10)
    near = [0.4] * 40
    assert not fitting.better(grade(near, [1.0] * 12 + [0.0] * 28), start, judge)
    assert fitting.better(grade(near, [1.0] * 11 + [0.0] * 29), start, judge)
    clear_lost = grade(near, [1.0] * 9 + [0.0] * 30 + [1.0])
    assert not fitting.better(clear_lost, start, judge)
    given_lost = grade(near, [1.0] * 9 + [0.0] * 31)
    known = grade([0.5] * 40, [0.0] + [1.0] * 11 + [0.0] * 28)
    assert not fitting.better(given_lost, known, judge)
    # Units near one sample are nearer once.
    same = replace(judge, unit=np.r_[np.arange(30) % 3, np.arange(10) % 3])
    assert not fitting.better(grade(near, [1.0] * 11 + [0.0] * 29), start, same)


def test_two_given_samples_prove_nothing_and_clear_inputs_may() -> None:
    """Hundreds of inputs near two samples are two units. Ten clear ones are ten."""
    start = grade([0.5] * 220, [1.0] * 200 + [1.0] * 10 + [0.0] * 10)
    near_only = grade([0.3] * 200 + [0.5] * 20, [0.0] * 200 + [1.0] * 10 + [0.0] * 10)
    clear_too = grade([0.3] * 220, [0.0] * 220)
    unit = np.r_[np.arange(200) % 2, 2 + np.arange(20)]
    judge = replace(exam(220, given=2, clear=20), unit=unit)
    assert not fitting.better(near_only, start, judge)
    assert fitting.better(clear_too, start, judge)


def test_the_guard_wants_no_given_sample_to_get_worse() -> None:
    wrong = np.r_[0.0, 0.0, 0.0, np.ones(20), np.zeros(17)]
    start = Grade(np.full(40, 0.5), wrong)
    won = np.r_[0.0, 0.0, 0.0, np.zeros(20), np.zeros(17)]
    assert fitting.better(Grade(np.full(40, 0.3), won), start, exam(40, given=3))
    # One more mistake on a given sample may be chance, if the given samples are nearer.
    one_lost = np.r_[1.0, won[1:]]
    nearer = np.r_[np.full(3, 0.3), np.full(37, 0.3)]
    farther = np.r_[np.full(3, 0.6), np.full(37, 0.3)]
    assert fitting.better(Grade(nearer, one_lost), start, exam(40, given=3))
    assert not fitting.better(Grade(farther, one_lost), start, exam(40, given=3))
    two_lost = np.r_[1.0, 1.0, won[2:]]
    assert not fitting.better(Grade(nearer, two_lost), start, exam(40, given=3))


def test_the_guard_wants_less_distance_unless_the_gain_is_certain() -> None:
    start = grade([0.5] * 300, [1.0] * 200 + [0.0] * 100)
    some = grade([0.6] * 300, [1.0] * 193 + [0.0] * 107)
    most = grade([0.6] * 300, [0.0] * 300)
    assert not fitting.better(some, start, exam(300, given=0))
    assert fitting.better(most, start, exam(300, given=0))


def test_the_guard_wants_clear_samples_to_stay_right() -> None:
    start = grade([0.5] * 23, [1.0] * 20 + [0.0] * 3)
    others_won = grade([0.3] * 23, [0.0] * 20 + [1.0] * 3)
    assert fitting.better(others_won, start, exam(23, given=2))
    assert not fitting.better(others_won, start, exam(23, given=2, clear=3))


def test_a_model_with_one_output_has_to_come_nearer_on_most_samples() -> None:
    start, near = grade([0.5] * 8, [0.0] * 8), grade([0.3] * 8, [0.0] * 8)
    assert fitting.better(near, start, exam(8, given=2, outputs=1))
    assert not fitting.better(near, start, exam(8, given=2, outputs=2))
    mixed = grade([0.3] * 6 + [0.6] * 2, [0.0] * 8)
    assert not fitting.better(mixed, start, exam(8, given=2, outputs=1))


@pytest.mark.usefixtures("few_lessons")
def test_the_models_answers_are_learnt_not_those_of_the_legal_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loihi 2 subtracts the threshold by a synapse, a step later than this model."""
    rng = np.random.default_rng(5)
    first, second = linear(rng, 6, 5, 1.0), linear(rng, 3, 6, 1.0)
    neurons = [nir.IF(r=np.ones(n), v_threshold=np.full(n, 0.5)) for n in (6, 3)]
    model = chain(5, first, neurons[0], second, neurons[1], n_out=3)
    options = Options(dt_s=1.0, writer="snntorch,reset=subtract,reset_delay=no")
    learnt, original = [], fitting.lessons
    monkeypatch.setattr(fitting, "lessons", lambda m, *a: (learnt.append(m), original(m, *a))[1])
    request = Request(Data(samples()), epochs=1)
    compiled = fit_and_measure(model, "loihi2", request, options, log=Log()).compiled
    model_, legal = (run(p, samples()).outputs for p in (compiled.stages.reference, compiled.legal))
    assert not np.array_equal(model_, legal)
    assert np.array_equal(run(learnt[0], samples()).outputs, model_)


def test_of_equal_outputs_the_first_wins_as_verify_counts() -> None:
    model = np.array([[[2, 2]], [[2, 2]], [[1, 3]]], np.float64)
    chip = np.array([[[1, 1]], [[1, 2]], [[0, 1]]], np.float64)
    right = lessons.right_answers(model, None, np.arange(3))
    assert lessons.mistakes(chip, right).tolist() == [0, 1, 0]


def test_a_chip_without_mistakes_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bits on SpiNNaker2 answer as the model. The courses would be work for nothing."""
    monkeypatch.setattr(fitting, "_learnt", None)
    log = Log()
    request = Request(Data(samples()))
    options = replace(OPTIONS, weight_bits=None)
    tree = fit_and_measure(network("spinnaker2"), "spinnaker2", request, options, log=log).tree
    assert [each["name"] for each in tree["fit"]["courses"]] == ["calibrated"]
    (warning,) = [d for d in log.diagnostics if d.code == "P329"]
    assert "makes no mistake" in warning.message


def test_without_a_mistake_there_is_nothing_to_win() -> None:
    none, one = (grade([0.2] * 20, [1.0] * n + [0.0] * (20 - n)) for n in (0, 1))
    assert not fitting.may_gain(none, exam(20, given=4))
    assert fitting.may_gain(one, exam(20, given=4))
    assert fitting.may_gain(none, exam(20, given=4, outputs=1))  # spikes may come nearer


def test_clear_inputs_do_not_pay_for_answers_lost_near_the_given_samples() -> None:
    wrong = np.r_[np.zeros(300), np.ones(96)]
    start = Grade(np.full(396, 0.5), wrong)
    near_lost = Grade(np.full(396, 0.4), np.r_[np.zeros(4), np.ones(40), np.zeros(352)])
    assert fitting.better(Grade(np.full(396, 0.4), np.zeros(396)), start, exam(396, 4, clear=96))
    assert not fitting.better(near_lost, start, exam(396, 4, clear=96))


def test_two_tests_count_as_two() -> None:
    """Of two tests one shows a gain by chance twice as often."""
    seven = np.r_[np.ones(7), np.zeros(13)]
    nearer = np.zeros(20)
    assert fitting.gain_by_chance(seven, nearer, exam(20, given=4)) == pytest.approx(1 / 128)
    assert fitting.gain_by_chance(seven, nearer, exam(20, 4, clear=5)) == pytest.approx(1 / 64)
