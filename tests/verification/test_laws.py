"""The laws hold for every installed backend and for a chip that comes as a package of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.chip import registry
from nirc.chip.backend import Backend, Emulation
from nirc.semantics.raster import Run
from nirc.verification.laws import LAWS, Law, network
from tests.models import DATA
from tests.strangers import command, installed


@pytest.fixture
def toychip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """The smallest chip."""
    with installed("toychip", tmp_path, monkeypatch) as backend:
        yield backend


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", sorted(registry.backends()))
def test_law_of_an_installed_backend(name: str, law: Law) -> None:
    law(registry.backend(name))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_of_a_strangers_backend(toychip: Backend, law: Law) -> None:
    law(toychip)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_of_a_chip_with_options_and_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, law: Law
) -> None:
    with installed("toycamera", tmp_path, monkeypatch) as backend:
        law(backend)


def test_a_strangers_chip_is_compiled_for_and_listed(toychip: Backend, tmp_path: Path) -> None:
    bundle = nirc.compile(network(), "toychip", reset="subtract")
    bundle.save(tmp_path / "b")
    assert nirc.Bundle.open(tmp_path / "b").run(np.ones((1, 9, 3))).outputs.sum() > 0
    listed = command(tmp_path, "targets", "--format", "json")
    assert "toychip:one" in {t["name"] for t in json.loads(listed.stdout)["targets"]}
    model, data = DATA / "zoo/basicmotions_lif_ff.nir", DATA / "zoo/basicmotions_lif_ff.npz"
    refused = command(tmp_path, "verify", model, "--target", "toychip", "--data", data)
    assert (
        refused.returncode == 1
        and "P320" in refused.stderr
        and "too many neurons" in refused.stderr
    )


def test_the_laws_catch_a_backend_that_forgets_a_limit(
    toychip: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toychip as module

    monkeypatch.setattr(module, "excesses", lambda program, target: [])
    with pytest.raises(AssertionError, match="above the limit"):
        next(law for law in LAWS if law.__name__ == "refuses_what_is_above_a_limit")(toychip)


def test_the_laws_catch_an_emulator_that_rounds_otherwise(
    toychip: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toychip import network as chip

    whole = chip.to_json
    monkeypatch.setattr(chip, "to_json", lambda n: whole(n).replace(b"0.875", b"0.75"))
    with pytest.raises(AssertionError, match="outputs differ"):
        next(law for law in LAWS if law.__name__ == "runs_its_files_as_the_integer_form")(toychip)


def test_the_laws_catch_files_that_change_from_run_to_run(
    toychip: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toychip import network as chip

    whole, count = chip.to_json, iter(range(99))
    monkeypatch.setattr(chip, "to_json", lambda n: whole(n) + b" " * next(count))
    with pytest.raises(AssertionError, match="files differ"):
        next(law for law in LAWS if law.__name__ == "gives_the_same_bytes_twice")(toychip)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (lambda found: [f for f in found if not f[0].startswith("weights")], "and none of"),
        (lambda found: [("rounding: 8 bits", found[0][1]), *found[1:]], "begin with none of"),
        (lambda found: [*found, found[0]], "names"),
    ],
)
def test_the_laws_catch_a_loss_without_a_name(
    kept: Callable[[Any], Any], message: str, toychip: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = type(toychip).approximations
    monkeypatch.setattr(
        type(toychip), "approximations", lambda self, discrete: kept(whole(self, discrete))
    )
    with pytest.raises(AssertionError, match=message):
        next(law for law in LAWS if law.__name__ == "names_its_approximations")(toychip)


def test_the_laws_catch_a_default_that_changes_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed("toycamera", tmp_path, monkeypatch) as backend:
        monkeypatch.setattr(
            type(backend),
            "with_options",
            lambda self, chosen, log: type(self)(input="dvs") if chosen else self,
        )
        with pytest.raises(AssertionError, match="files differ"):
            next(law for law in LAWS if law.__name__ == "has_defaults")(backend)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda output, mode: output[:1] if mode == "one-event" else output, "shape"),
        (
            lambda output, mode: (
                output + np.random.default_rng().random() if mode == "one-event" else output
            ),
            "second",
        ),
    ],
)
def test_the_laws_catch_modes_that_cannot_be_relied_on(
    answer: Callable[[np.ndarray, str], np.ndarray],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with installed("toycamera", tmp_path, monkeypatch) as backend:
        whole = backend.emulate

        def emulate(self: Backend, files: Any, raster: Any, asked: Emulation, log: Any) -> Run:
            return Run(answer(whole(files, raster, asked, log).outputs, asked.mode))

        monkeypatch.setattr(type(backend), "emulate", emulate)
        with pytest.raises(AssertionError, match=message):
            next(law for law in LAWS if law.__name__ == "runs_in_every_mode")(backend)
