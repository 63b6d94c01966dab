"""The committed cases made anew by the installed simulators, to notice a release that differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.writers.cases import DATA, SIMULATORS, cases, fields, index, record_anew

NEEDS = {
    "snntorch": (("torch", "nirtorch", "snntorch"), "pip install 'nirc-compiler[oracles]'"),
    "sinabs": (
        ("torch", "nirtorch", "sinabs"),
        "pip install 'nirc-compiler[oracles]'; pip install --no-deps sinabs==3.1.3",
    ),
    "lava": (
        ("torch", "lava"),
        "pip install 'nirc-compiler[oracles]'; pip install --no-deps --ignore-requires-python "
        "lava-nc==0.10.0 lava-dl==0.6.0",
    ),
}


@pytest.mark.oracle
@pytest.mark.parametrize("simulator", NEEDS)
def test_an_installed_simulator_makes_the_same_cases(simulator: str, tmp_path: Path) -> None:
    needs, install = NEEDS[simulator]
    record_anew(simulator, tmp_path, *needs, install=install)
    before, after = index(DATA / simulator), index(tmp_path)
    differences = [
        f"{kind}: the exporter said {row.get('raises')}, now {after[kind].get('raises')}"
        for kind, row in before.items()
        if row.get("raises") != after[kind].get("raises")
    ]
    for case in cases(simulator):
        old, new = fields(case.model), fields(tmp_path / case.model.name)
        if missing := old.keys() ^ new.keys():
            differences.append(f"{case.kind}: {sorted(missing)} in one of the files only")
        differences += [
            f"{case.kind}.nir: {name}"
            for name in old.keys() & new.keys()
            if not same(old[name], new[name])
        ]
        with np.load(case.recorded) as recorded, np.load(tmp_path / case.recorded.name) as anew:
            differences += [
                f"{case.kind}.npz: {name}"
                for name in recorded
                if not close(recorded[name], anew[name])
            ]
    assert not differences, f"{simulator} writes or computes otherwise than recorded: {differences}"


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_committed_case_says_how_it_is_read(simulator: str) -> None:
    found = list(cases(simulator))
    assert found
    for case in found:
        assert case.read.split(",")[0] == simulator
        with np.load(case.recorded) as recorded:
            inputs, outputs = recorded["inputs"], recorded["outputs"]
        assert inputs.dtype == outputs.dtype == np.float32
        assert inputs.shape[:2] == outputs.shape[:2]
        declared = fields(case.model)
        for name, raster in (("input", inputs), ("output", outputs)):
            shape = declared[f"node/nodes/{name}/shape"]
            assert tuple(n for n in shape if n != 1) == raster.shape[2:], f"{case.kind}: {name}"
        assert np.count_nonzero(outputs) > 0, f"{case.kind} is silent"


def same(old: object, new: object) -> bool:
    """Equal values of the same type and shape."""
    if isinstance(old, set):
        return old == new
    a, b = np.asarray(old), np.asarray(new)
    return a.dtype == b.dtype and np.array_equal(a, b)


def close(old: np.ndarray, new: np.ndarray) -> bool:
    """Equal spikes, and membranes within what another order of float32 sums does."""
    if old.shape != new.shape:
        return False
    if np.array_equal(old, np.rint(old)):
        return np.array_equal(old, new)
    return np.allclose(new, old, rtol=1e-5, atol=1e-6 * float(np.abs(old).max()))
