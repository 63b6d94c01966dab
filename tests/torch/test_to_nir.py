"""A trained module as a NIR file, which gives the chip the same integers."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nirc
from nirc.semantics.run import run
from tests.models import DT
from tests.torch.networks import CASES, KINDS, compiled, counts, made, torch_or_skip
from tests.torch.test_module import shaken

torch = torch_or_skip()
pytestmark = pytest.mark.oracle
REPORTS = {"report.json", "report.html", "certificate.json"}  # of the findings of a compilation
NOTE = "node/metadata/nirc_integers"


def trained(chip: str, kind: str, path: Path, **asked: Any) -> Any:
    """A module with other parameters, written to ``path``."""
    import nirc.torch

    module = made(KINDS[kind](np.random.default_rng(1)), chip, allow_silent=True, **asked)
    shaken(module, 2, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = nirc.torch.to_nir(module, path)
    assert path.read_bytes() == data
    return module


def compile_again(path: Path, chip: str, **asked: Any) -> nirc.Bundle:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nirc.compile(path, chip, **{"dt": DT, "allow_silent": True} | asked)


def codes(bundle: nirc.Bundle) -> set[str]:
    return {finding.code for finding in bundle.diagnostics}


@pytest.mark.parametrize(("chip", "kind"), CASES)
def test_the_file_gives_the_chip_the_same_integers(chip: str, kind: str, tmp_path: Path) -> None:
    module = trained(chip, kind, tmp_path / "trained.nir")
    again = compile_again(tmp_path / "trained.nir", chip)
    assert "U643" in codes(again)
    expected = compiled(module).files
    differ = {name for name, data in expected.items() if again.files[name] != data}
    assert differ <= REPORTS
    inputs = counts(np.random.default_rng(3), kind)
    with torch.no_grad():
        np.testing.assert_array_equal(again.run(inputs).outputs, module(inputs).numpy())


@pytest.mark.parametrize(
    ("chip", "kind"),
    [case for case in CASES if case[1] in ("loop", "deep", "leaky")],
)
def test_a_calibrated_start_is_kept(
    chip: str, kind: str, tmp_path: Path, small_calibration: None
) -> None:
    """Calibration adds synapses, self-inhibition and spike sources."""
    inputs = counts(np.random.default_rng(4), kind, samples=6)
    module = trained(chip, kind, tmp_path / "trained.nir", calibrate=inputs)
    again = compile_again(tmp_path / "trained.nir", chip)
    assert "U643" in codes(again)
    expected = compiled(module).files
    assert {n for n, data in expected.items() if again.files[n] != data} <= REPORTS


def test_another_chip_rounds_the_network_itself(tmp_path: Path) -> None:
    trained("xylo", "loop", tmp_path / "trained.nir")
    assert "U644" in codes(compile_again(tmp_path / "trained.nir", "loihi2"))


def test_other_options_do_not_take_integers_of_another_network(tmp_path: Path) -> None:
    trained("xylo", "loop", tmp_path / "trained.nir")
    again = compile_again(tmp_path / "trained.nir", "xylo", reset="subtract")
    assert "U644" in codes(again)
    asked_anew = compile_again(tmp_path / "trained.nir", "xylo", weight_bits=4)
    assert "U644" in codes(asked_anew)  # eight bits do not lie on the grid of four
    inputs = counts(np.random.default_rng(4), "loop", samples=6)
    calibrated = compile_again(tmp_path / "trained.nir", "xylo", calibrate=inputs)
    assert "U644" in codes(calibrated)


def test_integers_of_four_bits_are_taken_where_four_bits_are_asked_for(tmp_path: Path) -> None:
    module = trained("xylo", "loop", tmp_path / "trained.nir", weight_bits=4)
    again = compile_again(tmp_path / "trained.nir", "xylo", weight_bits=4)
    assert "U643" in codes(again)
    assert again.files["config.json"] == compiled(module).files["config.json"]


def test_a_changed_network_does_not_take_its_old_integers(tmp_path: Path) -> None:
    path = tmp_path / "trained.nir"
    trained("xylo", "loop", path)
    with h5py.File(path, "r+") as file:
        weights = next(n for n in file["node/nodes"].values() if "weight" in n)["weight"]
        weights[...] = weights[...] * 0.9
    assert "U644" in codes(compile_again(path, "xylo"))


def with_note(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the note of a file."""
    with h5py.File(path, "r+") as file:
        note = change(file[NOTE][...])
        del file[NOTE]
        file[NOTE] = note


@pytest.fixture(scope="module")
def loop_for_xylo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("loop") / "trained.nir"
    trained("xylo", "loop", path)
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(12))
def test_damaged_integers_are_not_used(seed: int, loop_for_xylo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trained.nir"
    path.write_bytes(loop_for_xylo)
    rng = np.random.default_rng(seed)

    def damaged(note: np.ndarray) -> np.ndarray:
        if seed % 3 == 0:
            return note[: rng.integers(1, note.size)]
        head = int(np.argmin(note))  # the byte 0 that ends the structure
        place = rng.integers(0, head if seed % 2 else note.size, 3)
        note[place] ^= rng.integers(1, 256, 3).astype(np.uint8)
        return note

    with_note(path, damaged)
    assert "U644" in codes(compile_again(path, "xylo"))


def forged(note: np.ndarray, change: Callable[[dict[str, Any]], object], fill: int | None) -> Any:
    """Return a note with another structure, or other numbers, and a digest that is right."""
    head, _, body = note.tobytes().partition(b"\0")
    tree = json.loads(head)
    if fill is not None:
        body = bytes([fill]) * len(body)
    tree["sha256"] = hashlib.sha256(body).hexdigest()
    change(tree)
    return np.frombuffer(json.dumps(tree).encode() + b"\0" + body, np.uint8)


def operator(tree: dict[str, Any]) -> dict[str, Any]:
    """The first operator of the first projection that has one."""
    projections = (edge[2]["fields"]["ops"]["tuple"] for edge in tree["edges"])
    found: dict[str, Any] = next(ops[0] for ops in projections if ops)
    return found


def neurons(tree: dict[str, Any]) -> dict[str, Any]:
    """The dynamics of the first population."""
    found: dict[str, Any] = tree["populations"][0][1]["fields"]["dynamics"]
    return found


def wide(projection: dict[str, Any]) -> None:
    """Put operators without numbers before those of a projection: to 2^20 neurons and back."""
    lists = {k: {"array": "i8", "shape": [0]} for k in ("target", "source")}
    lists |= {"value": {"array": "f8", "shape": [0]}}
    ops = projection["ops"]["tuple"]
    n = ops[0]["fields"]["n_in"]
    for n_in, n_out in ((1 << 20, n), (n, 1 << 20)):
        sizes = {"n_in": n_in, "n_out": n_out}
        ops.insert(0, {"class": "Sparse", "fields": {**lists, **sizes}})


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing else": lambda tree: None,
    "no nodes": lambda tree: tree.update(order=[]),
    "no populations": lambda tree: tree.update(populations=7),
    "another class": lambda tree: operator(tree).update({"class": "Path"}),
    "a class of no operator": lambda tree: operator(tree).update({"class": "Projection"}),
    "a huge array": lambda tree: operator(tree)["fields"]["value"].update(shape=[1 << 60]),
    "a negative shape": lambda tree: operator(tree)["fields"]["value"].update(shape=[-1]),
    "objects": lambda tree: operator(tree)["fields"]["value"].update(array="O8"),
    "an operator from elsewhere": lambda tree: operator(tree)["fields"].update(n_in=1 << 20),
    "a text for a number": lambda tree: neurons(tree)["fields"].update(shift_in="x"),
    "a number too large": lambda tree: neurons(tree)["fields"].update(max_spikes=1 << 70),
    "a field too many": lambda tree: neurons(tree)["fields"].update(more=1),
    "relays only": lambda tree: tree["populations"][0][1]["fields"]["role"].update(role="relay"),
    "no chip": lambda tree: tree.pop("target"),
    "a delay that is no number": lambda tree: tree["edges"][0][2]["fields"].update(
        delay_s=float("nan")
    ),
    "empty operators of great size": lambda tree: wide(
        next(each[2]["fields"] for each in tree["edges"] if each[2]["fields"]["ops"]["tuple"])
    ),
    "a fraction for a whole": lambda tree: neurons(tree)["fields"].update(shift_in=0.5),
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("fill", [None, 127, 255])
def test_forged_integers_are_not_used(
    name: str, fill: int | None, loop_for_xylo: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "trained.nir"
    path.write_bytes(loop_for_xylo)
    with_note(path, lambda note: forged(note, FORGERIES[name], fill))
    used = "U643" if (name, fill) == ("nothing else", None) else "U644"
    assert used in codes(compile_again(path, "xylo"))


@pytest.mark.parametrize(
    ("chip", "kind"), [(c, k) for c, k in CASES if k in ("loop", "deep", "leaky")]
)
@pytest.mark.parametrize("field", ["delay_steps", "feedback"])
def test_delays_that_the_chip_does_not_have_are_not_used(
    chip: str, kind: str, field: str, tmp_path: Path
) -> None:
    """One projection after the other arrives a step later, and the note has a right digest."""
    path = tmp_path / "trained.nir"
    module = trained(chip, kind, path)
    good = path.read_bytes()
    for number in range(len(list(module.program.edges()))):
        path.write_bytes(good)

        def later(tree: dict[str, Any], number: int = number) -> None:
            timing = tree["edges"][number][2]["fields"]
            timing[field] = timing[field] + 1 if field == "delay_steps" else not timing[field]

        with_note(path, lambda note: forged(note, later, None))
        assert "U644" in codes(compile_again(path, chip)), number


def without_outputs(tree: dict[str, Any]) -> None:
    """Leave out the edges into the output."""
    names = {name for name, _ in tree["populations"]}
    tree["edges"] = [each for each in tree["edges"] if each[1] in names]


def test_integers_that_make_no_network_are_refused(tmp_path: Path) -> None:
    trained("speck", "convolved", tmp_path / "trained.nir")
    with_note(tmp_path / "trained.nir", lambda note: forged(note, without_outputs, None))
    with pytest.raises(nirc.NircError) as refusal:
        compile_again(tmp_path / "trained.nir", "speck")
    assert [d.code for d in refusal.value.diagnostics if d.severity == "error"] == ["U645"]


def test_the_reference_is_a_network_of_its_own(tmp_path: Path) -> None:
    import nirc.torch

    reference = made(KINDS["loop"](np.random.default_rng(1)), None)
    shaken(reference, 5, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nirc.torch.to_nir(reference, tmp_path / "reference.nir")
        again = made(tmp_path / "reference.nir", None)
    inputs = counts(np.random.default_rng(6), "loop")
    np.testing.assert_allclose(
        run(again.program, inputs).outputs, run(reference.program, inputs).outputs
    )


def test_verify_names_the_trained_integers_where_they_differ_from_the_model(tmp_path: Path) -> None:
    """The device does what they say, so nothing is wrong with the chip's files."""
    rng = np.random.default_rng(0)
    module = made(KINDS["loop"](rng), "xylo", allow_silent=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nirc.torch.to_nir(module, tmp_path / "trained.nir")
        found = nirc.verify(
            tmp_path / "trained.nir", "xylo", counts(rng, "loop", 8, 40), dt=DT, allow_silent=True
        )
    at = found["first_divergence"]
    assert at["stage"] == "integer" and at["pass"] == "the trained integers of the file"
