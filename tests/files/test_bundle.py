"""Bundles on disk: whole, checked, and never a way out of their directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.files.bundle import in_runs, to_json
from nirc.files.faults import Faults
from nirc.files.runs import MOST_VALUES, Unpacking
from tests.deployed import manifest_text
from tests.models import DATA


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = nirc.compile(
        DATA / "paper/braille_noDelay_noBias_subtract.nir", "xylo", reset="subtract"
    )
    return made.save(tmp_path / "b")


def edited(bundle: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_bytes(manifest_text(manifest))
    return bundle


def refusal(bundle: Path) -> str:
    with pytest.raises(nirc.InputError) as refused:
        nirc.Bundle.open(bundle)
    return str(refused.value)


def test_what_was_saved_is_what_is_opened(bundle: Path) -> None:
    opened = nirc.Bundle.open(bundle)
    inputs = np.ones((1, 5, 12), int)
    assert opened.run(inputs).outputs.shape == (1, 5, 7)


def test_a_changed_file_is_noticed(bundle: Path) -> None:
    config = bundle / "config.json"
    config.write_text(config.read_text().replace("127", "126", 1))
    assert "U605" in refusal(bundle) and "config.json" in refusal(bundle)


def test_an_emptied_file_is_noticed(bundle: Path) -> None:
    (bundle / "report.json").write_bytes(b"")
    assert "`report.json` is not the file that nirc wrote" in refusal(bundle)


def test_a_changed_manifest_is_noticed(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    assert "`manifest.json` is not the file that nirc wrote" in refusal(bundle)


def test_an_edited_deploy_script_is_not_overwritten_without_a_word(bundle: Path) -> None:
    opened = nirc.Bundle.open(bundle)
    with (bundle / "deploy.py").open("a") as script:
        script.write("# my cable\n")
    with pytest.raises(nirc.UsageError, match=r"whose `deploy\.py` was changed by hand"):
        opened.save(bundle)
    assert (bundle / "deploy.py").read_text().endswith("# my cable\n")
    opened.save(bundle, force=True)
    assert nirc.Bundle.open(bundle) == opened


def test_a_link_to_an_empty_directory_stays_a_link(bundle: Path) -> None:
    (bundle.parent / "disk").mkdir()
    (bundle.parent / "link").symlink_to("disk")
    nirc.Bundle.open(bundle).save(bundle.parent / "link")
    assert (bundle.parent / "link").readlink() == Path("disk")
    assert nirc.Bundle.open(bundle.parent / "disk") == nirc.Bundle.open(bundle)


def test_numbers_of_a_manifest_ask_for_no_more_memory_together_than_data_may(
    bundle: Path,
) -> None:
    """Latency and channels are each allowed, and made 16 TiB of zeros."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["latency_steps"] = 1 << 16
        manifest["input_map"] = [*range(11), (1 << 20) - 1]

    opened = nirc.Bundle.open(edited(bundle, change))
    with pytest.raises(nirc.InputError, match="U604"):
        opened.run(np.zeros((4, 5, 12), int))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(schema="nirc-bundle/99"),
        lambda m: m.update(input_map="no"),
        lambda m: m.update(input_map=[1 << 40]),
        lambda m: m.update(output_map=[True] * 7),
        lambda m: m.update(latency_steps=10**12),
        lambda m: m.update(latency_steps=(1 << 16) + 1),
        lambda m: next(iter(m["populations"].values())).update(index=[0, 0], scale=[1.0, 1.0]),
        lambda m: m.update(output_latency_steps=[0]),
        lambda m: m.pop("populations"),
        lambda m: m["files"].update({"../../etc/passwd": "0"}),
        lambda m: m["files"].update({"/etc/passwd": "0"}),
        lambda m: m["populations"].update(evil=3),
    ],
)
def test_a_damaged_manifest_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    assert "U605" in refusal(edited(bundle, change))


def test_a_population_that_the_chip_does_not_have_is_refused(bundle: Path) -> None:
    evil = {"part": "hidden", "index": [99999], "scale": [1], "latency_steps": 0}
    opened = nirc.Bundle.open(edited(bundle, lambda m: m["populations"].update(evil=evil)))
    with pytest.raises(nirc.InputError, match="U605"):
        opened.run(np.zeros((1, 2, 12), int), record=["evil"])


def test_long_lists_are_written_in_runs() -> None:
    assert in_runs([0, 1, 2, 3, 9, 9, 9, 9, 9, None, None, None, None]) == [
        [0, 4, 1],
        [9, 5, 0],
        [None, 4, 0],
    ]
    assert in_runs([64.0] * 5 + [0.5, 0.25, 0.125, 2.0]) == [[64.0, 5, 0], 0.5, 0.25, 0.125, 2.0]
    assert in_runs([4, 2, 0, -2, -1, 0, 1]) == [[4, 4, -2], -1, 0, 1]
    for short in ([], [3], [0, 1, 2], [5, 3, 8, 1], [True, True, True, True]):
        assert in_runs(short) == short


@pytest.mark.parametrize("seed", range(20))
def test_lists_in_runs_are_read_in_full(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.cumsum(rng.integers(0, 2, 60)).tolist()
    values = [None if value % 7 == 3 else value for value in values]
    in_full = Unpacking(Faults()).values(in_runs(values), "input_map")
    assert in_full == values and to_json(in_runs(values)).count(b"\n") == 1


@pytest.mark.parametrize(
    "run",
    [
        [0, 1 << 40, 1],
        [0.5, 4, 1],
        [None, 4, 2],
        [0, 0, 1],
        [0, -3, 1],
        [0, 4],
        [0, 4, 1, 1],
        [0, 4, 0.5],
        [0, True, 1],
        [[0, 2, 1], 2, 0],
        ["x", 2, 0],
    ],
)
def test_a_run_that_is_none_is_refused(bundle: Path, run: list[Any]) -> None:
    manifest = nirc.Bundle.open(bundle).manifest | {"input_map": [run]}
    (bundle / "manifest.json").write_bytes(manifest_text(manifest))
    assert "input_map[0]" in refusal(bundle)


def test_runs_of_many_fields_cannot_ask_for_much_memory(bundle: Path) -> None:
    runs = [[0, MOST_VALUES // 2 + 1, 0]]
    text = refusal(edited(bundle, lambda m: m.update(input_map=runs, output_map=runs)))
    assert "output_map[0]" in text and "too long" in text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    assert "U605" in refusal(bundle)


def test_links_and_pipes_are_not_followed(bundle: Path) -> None:
    secret = bundle.parent / "secret"
    secret.write_bytes((bundle / "config.json").read_bytes())
    (bundle / "config.json").unlink()
    (bundle / "config.json").symlink_to(secret)
    assert "U605" in refusal(bundle)
    (bundle / "config.json").unlink()
    os.mkfifo(bundle / "config.json")
    assert "U605" in refusal(bundle)


def test_a_link_is_not_replaced_by_a_bundle(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(nirc.UsageError, match="U602"):
        nirc.Bundle.open(bundle).save(tmp_path / "link")


def test_files_that_a_user_put_into_a_bundle_survive(bundle: Path) -> None:
    (bundle / "results.npz").write_bytes(b"mine")
    with pytest.raises(nirc.UsageError, match="U602"):
        nirc.Bundle.open(bundle).save(bundle)
    assert (bundle / "results.npz").read_bytes() == b"mine"


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 5, 11), (1, 5, 3, 5)])
def test_a_raster_of_another_shape_is_refused(bundle: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(nirc.InputError, match="U604"):
        nirc.Bundle.open(bundle).run(np.zeros(shape, int))


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_values_that_are_no_counts_are_refused(bundle: Path, value: float) -> None:
    with pytest.raises(nirc.InputError, match="U604"):
        nirc.Bundle.open(bundle).run(np.full((1, 2, 12), value))


def test_counts_above_15_are_clipped_and_said(bundle: Path) -> None:
    from nirc.diagnostics.log import Log

    log, opened = Log(), nirc.Bundle.open(bundle)
    many = opened.run(np.full((1, 20, 12), 99), log=log)
    np.testing.assert_array_equal(many.outputs, opened.run(np.full((1, 20, 12), 15)).outputs)
    assert [d.code for d in log.diagnostics] == ["X514"]


@pytest.mark.parametrize("shape", [(0, 5, 12), (2, 0, 12)])
def test_empty_batches_and_rasters_have_empty_answers(bundle: Path, shape: tuple[int, ...]) -> None:
    assert nirc.Bundle.open(bundle).run(np.zeros(shape, int)).outputs.shape == (*shape[:2], 7)


def test_a_list_of_plain_values_is_one_line() -> None:
    tree = {"b": {"c": [], "a": [1, None, 0.5, "ä"]}, "a": [[1, 2], {"x": True}], "c": (1, 2)}
    text = (
        '{\n "a": [\n  [1, 2],\n  {\n   "x": true\n  }\n ],\n'
        ' "b": {\n  "a": [1, null, 0.5, "ä"],\n  "c": []\n },\n "c": [1, 2]\n}\n'
    )
    assert to_json(tree).decode() == text
    with pytest.raises(ValueError, match="JSON"):
        to_json([float("nan")])
