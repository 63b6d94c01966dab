"""The library in a notebook: warnings, representations, and arguments of the wrong type."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.diagnostics.errors import ChipWarning
from tests import commands
from tests.models import DATA

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


@pytest.fixture(scope="module")
def bundle() -> nirc.Bundle:
    with pytest.warns(ChipWarning, match="D401"):
        return nirc.compile(VOWELS, "xylo", writer="snntorch,reset=zero")


def test_a_network_that_loses_accuracy_is_not_compiled_without_a_word(bundle: nirc.Bundle) -> None:
    assert "D401" in {d.code for d in bundle.diagnostics}  # the fixture saw the warning


def test_a_bundle_from_disk_has_its_findings(bundle: nirc.Bundle, tmp_path: Path) -> None:
    opened = nirc.Bundle.open(bundle.save(tmp_path / "b"))
    assert [(d.code, d.message) for d in opened.diagnostics] == [
        (d.code, d.message) for d in bundle.diagnostics
    ]


def test_a_report_without_findings_is_a_damaged_bundle(bundle: nirc.Bundle, tmp_path: Path) -> None:
    files = bundle.files | {"report.json": b"[]"}
    digests = bundle.manifest["files"] | {"report.json": nirc.api.sha256(b"[]")}
    saved = nirc.Bundle(bundle.manifest | {"files": digests}, files).save(tmp_path / "b")
    with pytest.raises(nirc.InputError, match="U605"):
        nirc.Bundle.open(saved)


def test_representations_are_one_short_line(bundle: nirc.Bundle) -> None:
    run = bundle.run(np.ones((2, 5, 12), np.int64))
    for each in (bundle, run, nirc.load(VOWELS)):
        text = repr(each)
        assert "\n" not in text and len(text) < 120
    assert "xylo:audio3" in repr(bundle) and "warning(s)" in repr(bundle)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dt": "1e-4"},
        {"dt": True},
        {"reset": 3},
        {"reset": None},
        {"writer": b"norse"},
        {"readout": 8},
        {"strict": "yes"},
        {"seed": 1.5},
        {"time_limit": "10"},
        {"effort": 3},
        {"chip": "input=dvs"},
        {"chip": {"steps": 5}},
        {"calibrate": "samples\0.npz"},
        {"calibrate": [[1, 2], [3]]},
        {"target": None},
        {"model": 5},
        {"model": None},
    ],
)
def test_a_value_of_another_type_is_a_usage_error(wrong: dict[str, Any]) -> None:
    given = {"model": VOWELS, "target": "xylo"} | wrong
    with pytest.raises(nirc.UsageError, match="cannot be of type"):
        nirc.compile(**given)


def test_inputs_that_are_no_numbers_are_a_usage_error(bundle: nirc.Bundle) -> None:
    with pytest.raises(nirc.UsageError, match="inputs"):
        bundle.run("spikes.npz")


def test_seeds_and_steps_of_numpy_are_numbers() -> None:
    made = nirc.compile(VOWELS, "xylo", seed=np.int64(0), strict=np.bool_(False))  # type: ignore[arg-type]
    assert made.manifest["seed"] == 0


WRITER = "snntorch,reset=zero,reset_delay=no"


@pytest.fixture(scope="module")
def few() -> dict[str, Any]:
    """Some samples of the model's data, as arrays by name."""
    data = np.load(VOWELS.with_suffix(".npz"))
    return {"inputs": data["inputs"][:8], "labels": data["labels"][:8]}


def printed(*args: object, cwd: Path) -> dict[str, Any]:
    """What a command prints as JSON, without what only a command has."""
    done = commands.nirc(*args, "--format", "json", cwd=cwd)
    tree: dict[str, Any] = json.loads(done.stdout)
    return {k: v for k, v in tree.items() if k not in ("diagnostics", "exit_status", "accepted")}


def as_json(figures: nirc.Figures) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(json.dumps(figures))
    return tree


@pytest.mark.filterwarnings("default::nirc.diagnostics.errors.NircWarning")
def test_functions_give_what_the_commands_print(few: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", **few)
    given = ("--from", WRITER, "--target", "xylo", "--data", "few.npz")
    with pytest.warns(ChipWarning):
        found = nirc.verify(VOWELS, "xylo", few, writer=WRITER)
    assert as_json(found) == printed("verify", VOWELS, *given, cwd=tmp_path)
    assert "agreement" in str(found) and "<table" in found._repr_html_()
    with pytest.warns(ChipWarning, match="P312"):  # what the command refuses is a warning
        dropped = nirc.verify(VOWELS, "xylo", few, writer=WRITER, max_accuracy_drop=0.0)
    assert "P312" in {d.code for d in dropped.diagnostics}
    read = nirc.inspect(VOWELS, writer=WRITER)
    assert read._repr_html_().startswith("<pre>")
    assert as_json(read) == printed("inspect", VOWELS, "--from", WRITER, cwd=tmp_path)
    assert as_json(nirc.targets("xylo")) == printed("targets", "xylo", cwd=tmp_path)


def test_all_targets_are_one_table() -> None:
    rows = nirc.compare_targets(VOWELS, writer=WRITER)["targets"]
    assert {row["target"].partition(":")[0] for row in rows if row["fits"]} >= {"xylo", "loihi2"}
    assert not any(row["fits"] for row in rows if row["target"].startswith("speck"))


def test_a_bundle_is_checked_compared_and_exported(tmp_path: Path, bundle: nirc.Bundle) -> None:
    bundle.save(tmp_path / "b")
    assert all(d.severity == "note" for d in nirc.check(tmp_path / "b"))
    spikes = np.zeros((1, 3, 2), np.int64)
    np.savez(tmp_path / "x.npz", spikes=spikes)
    spikes[0, 2, 1] = 1
    np.savez(tmp_path / "y.npz", spikes=spikes)
    found = nirc.compare(tmp_path / "x.npz", tmp_path / "y.npz")
    assert found["first_difference"]["step"] == 2 and not found["equal"]
    lines = nirc.export(
        VOWELS, tmp_path / "e.nir", stage="float", simulator="norse", writer="norse,dt=1e-4"
    )
    assert "norse" in lines and (tmp_path / "e.nir").is_file()


def test_options_may_be_a_dict_and_a_name_that_is_none_is_refused() -> None:
    config: dict[str, Any] = {"writer": WRITER, "seed": 3}
    assert nirc.compile(VOWELS, "xylo", **config).manifest["seed"] == 3
    with pytest.raises(nirc.UsageError, match="no option `sed`"):
        nirc.compile(VOWELS, "xylo", sed=3)  # type: ignore[call-arg]


def test_threads_compile_the_same_bytes(bundle: nirc.Bundle) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(
            lambda _: nirc.compile(VOWELS, "xylo", writer="snntorch,reset=zero"), range(4)
        )
        assert all(each == bundle for each in made)


def test_a_torch_network_is_compiled_from_a_sample() -> None:
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 3), snntorch.Leaky(beta=0.9, init_hidden=True, output=True)
    )
    inputs = np.ones((1, 6, 4), np.int64)
    made = nirc.compile(net, "loihi2", sample=inputs)
    assert "snntorch" in made.manifest["writer"]["from"]
    assert made.run(inputs).outputs.shape == (1, 6, 3)
    with pytest.raises(nirc.UsageError, match="sample"):
        nirc.compile(net, "loihi2")


def test_every_function_can_be_called_again(tmp_path: Path) -> None:
    for name in ("a.nir", "b.nir"):
        nirc.export(VOWELS, tmp_path / name, stage="float", writer=WRITER)
    assert all(callable(getattr(nirc, name)) for name in nirc.__all__ if name != "__version__")


@pytest.mark.parametrize(
    "call",
    [
        lambda: nirc.verify(VOWELS, "xylo", {"labels": [1]}),
        lambda: nirc.verify(VOWELS, "xylo", {"inputs": np.ones((1, 2, 12)), "dt": "x"}),
        lambda: nirc.verify(VOWELS, "xylo", np.ones((1, 2, 12)), max_accuracy_drop=float("nan")),
        lambda: nirc.compare("a", "b", tolerance="x"),  # type: ignore[arg-type]
        lambda: nirc.compare(None, "b"),  # type: ignore[arg-type]
        lambda: nirc.check(5),  # type: ignore[arg-type]
        lambda: nirc.targets(5),  # type: ignore[arg-type]
        lambda: nirc.export(VOWELS, "a\0b"),
        lambda: nirc.export(VOWELS, "a", stage="float", simulator=5),  # type: ignore[arg-type]
        lambda: nirc.compile(VOWELS, "xylo", sample=np.ones((1, 2, 12))),
        lambda: nirc.compile(VOWELS, "xylo", dt=10**400),
        lambda: nirc.load(None),
        lambda: nirc.Bundle.open(None),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_usage_errors(call: Any) -> None:
    with pytest.raises(nirc.UsageError):
        call()


def test_a_warning_can_be_made_from_its_arguments(bundle: nirc.Bundle) -> None:
    found = [d for d in bundle.diagnostics if d.severity == "warning"]
    warning = ChipWarning(found)
    copy = type(warning)(*warning.args)
    assert str(copy) == str(warning) and "more of this code" in str(warning)
    assert str(pickle.loads(pickle.dumps(warning))) == str(warning)


def test_a_bundle_in_the_place_of_a_model_is_called_so(bundle: nirc.Bundle, tmp_path: Path) -> None:
    with pytest.raises(nirc.InputError, match=r"a bundle, not a file.*nirc\.Bundle\.open"):
        nirc.load(bundle.save(tmp_path / "made"))


def test_all_populations_are_recorded_by_one_word(bundle: nirc.Bundle, few: dict[str, Any]) -> None:
    names = list(bundle.manifest["populations"])
    assert set(bundle.run(few["inputs"], record="all").spikes) == set(names)
    assert set(bundle.run(few["inputs"], record=["all"]).v) == set(names)
