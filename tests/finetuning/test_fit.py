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
    assert "no candidate with the model's rates inside" in warning.message
    # The calibrated chip has these rates, too.
    monkeypatch.setattr(fitting, "other_rates", lambda *_: ["hidden"])
    assert fitted("xylo", Log()).tree["fit"]["kept"] != "calibrated"


@pytest.mark.usefixtures("few_lessons", "last_is_kept")
def test_the_best_candidate_with_the_models_rates_inside_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The candidate with the best answers is another network inside. The next is not."""
    tree = fitted("xylo", Log()).tree["fit"]
    *_, second, last = tree["courses"]
    assert tree["rounds"] == last["rounds"] != second["rounds"]
    found = iter([[], ["hidden"]])  # of the calibrated chip and of the best candidate
    monkeypatch.setattr(fitting, "other_rates", lambda *_: next(found, []))
    assert fitted("xylo", Log()).tree["fit"]["rounds"] == second["rounds"]


@pytest.mark.usefixtures("few_lessons", "last_is_kept")
def test_three_candidates_are_judged_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples to stop by hardly tell the best few apart."""
    courses = fitted("xylo", Log()).tree["fit"]["courses"]
    for refusals in (2, 3):
        answers = iter([False] * refusals)
        monkeypatch.setattr(fitting, "better", lambda *_, of=answers: next(of, True))
        tree = fitted("xylo", Log()).tree["fit"]
        third = courses[-3]
        kept = (third["name"], third["rounds"]) if refusals == 2 else ("calibrated", 0)
        assert (tree["kept"], tree["rounds"]) == kept


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
