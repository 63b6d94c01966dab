"""Calls of ``nirc.torch`` that cannot be answered are refused, with codes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.errors import NircError
from tests.torch.networks import KINDS, made, torch_or_skip

torch = torch_or_skip()
pytestmark = pytest.mark.oracle


@pytest.fixture
def module() -> Any:
    return made(KINDS["deep"](np.random.default_rng(0)), "xylo")


def code(call: Any) -> str:
    with pytest.raises(NircError) as refused:
        call()
    return str(refused.value.diagnostics[0].code)


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 5, 4)),
        np.zeros((5, 3)),
        np.full((1, 2, 3), -1),
        np.full((1, 2, 3), 0.5),
        np.full((1, 2, 3), np.nan),
        np.full((1, 2, 3), 1 + 0j),
    ],
)
def test_inputs_that_are_no_counts(module: Any, inputs: np.ndarray) -> None:
    expected = "U607" if inputs.dtype.kind == "c" else "U604"
    assert code(lambda: module(inputs)) == expected
    assert code(lambda: module(torch.from_numpy(inputs))) == "U604"


def test_inputs_that_are_no_numbers(module: Any) -> None:
    assert code(lambda: module("inputs")) == "U607"


def test_parameters_that_diverged(module: Any) -> None:
    name, parameter = next(iter(module.named_parameters()))
    with torch.no_grad():
        parameter.fill_(torch.nan)
    with pytest.raises(NircError, match=name):
        module(np.zeros((1, 2, 3)))
    assert code(module.compile) == "U640"


def test_parameters_of_another_precision(module: Any) -> None:
    module.float()
    assert code(lambda: module(np.zeros((1, 2, 3)))) == "U640"


def sparse(parameter: Any) -> Any:
    return torch.nn.Parameter(parameter.detach().reshape(1, -1).to_sparse(), requires_grad=False)


@pytest.mark.parametrize(
    "other",
    [
        lambda parameter: torch.nn.Parameter(torch.ones(1, dtype=torch.float64)),
        lambda parameter: torch.nn.Parameter(parameter.detach()[None]),
        lambda parameter: None,
        sparse,
        lambda parameter: torch.nn.Parameter(parameter.detach().to("meta")),
    ],
    ids=["one number", "an axis more", "nothing", "sparse", "no numbers"],
)
def test_another_tensor_in_the_place_of_a_parameter(module: Any, other: Any) -> None:
    """A tensor of one number would be broadcast, which nobody asked for."""
    name, parameter = next(iter(module.named_parameters()))
    module.register_parameter(name, other(parameter))
    with pytest.raises(NircError, match=name) as refused:
        module(np.zeros((1, 2, 3)))
    (finding,) = refused.value.diagnostics
    assert (
        finding.code == "U640" and finding.limit == f"a dense tensor of shape {[*parameter.shape]}"
    )
    assert "print(module)" in finding.help
    assert code(module.compile) == "U640"


def test_a_parameter_that_is_gone(module: Any) -> None:
    name = next(iter(dict(module.named_parameters())))
    del module._parameters[name]
    assert code(lambda: module(np.zeros((1, 2, 3)))) == "U640"


def test_paths_and_compilations_of_another_type(module: Any, tmp_path: Path) -> None:
    import nirc.torch

    assert code(lambda: nirc.torch.to_nir(module, 5)) == "U607"
    assert code(lambda: nirc.torch.bundle(module, 5)) == "U607"
    assert code(lambda: nirc.torch.bundle(module, "a\0b")) == "U607"
    assert code(lambda: nirc.torch.to_nir("module", tmp_path / "out.nir")) == "U607"
    assert code(lambda: nirc.torch.module_of(3)) == "U607"


def test_a_file_to_calibrate_with_that_is_none(tmp_path: Path) -> None:
    model = KINDS["deep"](np.random.default_rng(0))
    assert code(lambda: made(model, "xylo", calibrate=str(tmp_path / "none.npz"))) == "U603"
    assert code(lambda: made(model, "xylo", calibrate="none\0.npz")) == "U607"
    assert code(lambda: made(model, "xylo", calibrate=tmp_path, dt="x")) == "U607"


def test_a_module_of_another_version(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import nirc.torch.saved

    stored = pickle.dumps(module)
    monkeypatch.setattr(nirc.torch.saved, "__version__", "99.0")
    assert code(lambda: pickle.loads(stored)) == "U646"


def test_sums_that_float64_cannot_hold(module: Any) -> None:
    assert code(lambda: module(np.full((1, 2, 3), 1e15))) == "U641"


def test_a_backend_without_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    from nirc.backends.xylo import Xylo

    monkeypatch.setattr(Xylo, "training", lambda self: None)
    assert code(lambda: made(KINDS["deep"](np.random.default_rng(0)), "xylo")) == "U642"


def test_the_reference_has_no_bundle(tmp_path: Path) -> None:
    import nirc.torch

    reference = made(KINDS["deep"](np.random.default_rng(0)), None)
    assert code(lambda: nirc.torch.bundle(reference, tmp_path / "out")) == "U607"


def test_unknown_options_and_targets() -> None:
    model = KINDS["deep"](np.random.default_rng(0))
    assert code(lambda: made(model, "xylo", speed=3)) == "U607"
    assert code(lambda: made(model, "zylo")) == "U601"


def test_nirc_does_not_import_torch() -> None:
    script = (
        "import nirc, sys; nirc.compile, nirc.verify; assert 'torch' not in sys.modules;"
        "nirc.torch.module; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_torch_that_is_missing() -> None:
    script = """
import sys
sys.modules["torch"] = None
import nirc
try:
    nirc.torch
except nirc.UsageError as error:
    print(error.diagnostics[0].code)
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "U642\n"
