"""Needs of nirc.record before it looks at a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nirc
from nirc.diagnostics.errors import UsageError

INPUTS = np.ones((1, 2, 3))


def test_nirc_itself_needs_no_torch() -> None:
    """The name is there, and torch is imported when a network is recorded."""
    code = "import nirc, sys; nirc.record; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"record", "Recorded"} <= set(nirc.__all__)


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError) as refusal:
        nirc.record(None, INPUTS, tmp_path / "m.nir", tmp_path / "r.npz")
    (finding,) = refusal.value.diagnostics
    assert finding.code == "U614" and "pip install 'nirc-compiler[record]'" in finding.help


@pytest.mark.parametrize("simulator", [None, "norse"])
def test_what_is_no_network_is_refused(simulator: str | None, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError) as refusal:
        nirc.record(
            "model.nir", INPUTS, tmp_path / "m.nir", tmp_path / "r.npz", simulator=simulator
        )
    (finding,) = refusal.value.diagnostics
    assert finding.code == "U613" and "torch.nn.Module" in finding.help
