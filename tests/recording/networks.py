"""Inputs, recordings and their comparison, for networks of the real simulators."""

from __future__ import annotations

import importlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from numpy.typing import NDArray

import nirc
from nirc.api import Options, lower
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.semantics.run import run
from nirc.verification.recorded import recording

IN_CI = {
    "snntorch": "pip install --no-deps snntorch==1.0.0",
    "norse": "pip install --no-deps norse==1.1.0",
    "norse.torch": "pip install --no-deps norse==1.1.0",
    "sinabs": "pip install --no-deps sinabs==3.1.3",
    "neurobench": "pip install --no-deps neurobench==2.3.0 tqdm",
}


def require(package: str) -> Any:
    """A simulator's package.

    Missing: the test is skipped, or fails if CI should have installed it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        reason = f"{package} is missing ({error})"
        if package in IN_CI and os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(f"{reason}: {IN_CI[package]}")
        pytest.skip(reason)


def packages(names: dict[str, Any], **modules: str) -> Any:
    """Return a fixture that binds ``modules``, torch and torch.nn to names of a test module.

    They are imported when a test of the module runs, so that others do not wait for them.
    """

    @pytest.fixture(autouse=True)
    def bind() -> None:
        for name, package in {**modules, "torch": "torch", "nn": "torch.nn"}.items():
            names[name] = require(package)
        names["torch"].manual_seed(0)
        names["torch"].set_num_threads(1)

    return bind


def spikes(
    *shape: int, rate: float = 0.3, samples: int = 3, steps: int = 30, seed: int = 0
) -> NDArray[np.uint8]:
    """Input spikes (samples, steps, *shape)."""
    raster = np.random.default_rng(seed).random((samples, steps, *shape)) < rate
    return raster.astype(np.uint8)


def louder(network: Any, factor: float) -> Any:
    """The network with larger weights, so that its neurons fire."""
    import torch

    with torch.no_grad():
        for name, parameter in torch.nn.Module.named_parameters(network):
            if "weight" in name:
                parameter.mul_(factor)
    return network


@dataclass(frozen=True)
class Taken:
    """A recording: what nirc.record returned, and the share of its outputs that the file gives.

    The file is read without ``--from``.
    """

    recorded: nirc.Recorded
    equal: float
    warnings: tuple[str, ...]

    def codes(self) -> set[str]:
        """Codes of what was warned of."""
        return {d.code for d in self.recorded.diagnostics if d.severity == "warning"}


def taken(network: Any, inputs: NDArray[Any], where: Path, **options: Any) -> Taken:
    """Record ``network``.

    nir.read opens the file with its type checks on, and nirc reads it without an option.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorded = nirc.record(
            network, inputs, where / "model.nir", where / "recorded.npz", **options
        )
    assert nir.read(recorded.model).metadata == {"nirc_from": recorded.text}
    data = read_data(recorded.data, Log())
    stages = lower(str(recorded.model), Options(strict=True), log=Log(strict=True))
    assert stages.reading.confidence == "recorded" and not stages.reading.open_keys
    kept = recording(data, stages.reference, Log())
    assert kept is not None
    computed = run(stages.reference, inputs.reshape(*inputs.shape[:2], -1)).outputs
    return Taken(recorded, kept.share(computed), tuple(str(w.message) for w in caught))


def without_note(model: Path) -> str:
    """Return the writer and the confidence of a recorded file whose note is removed."""
    with h5py.File(model, "a") as file:
        del file["node/metadata"]
    reading = lower(str(model), Options(), log=Log()).reading
    return f"{reading.writer.name}, {reading.confidence}"


def refused(network: Any, inputs: NDArray[Any], where: Path, **options: Any) -> Diagnostic:
    """The first error of a network that cannot be recorded. No file is left."""
    with pytest.raises(NircError) as refusal:
        nirc.record(network, inputs, where / "model.nir", where / "recorded.npz", **options)
    assert not any(where.iterdir())
    return next(d for d in refusal.value.diagnostics if d.severity == "error")
