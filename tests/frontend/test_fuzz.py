"""Spoilt HDF5 files end in a graph or in findings. ``python -m tests.fuzz_hdf5`` makes more."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.fuzz_hdf5 import corpus, lookup3, repair, said, seeds, spoilt


def test_files_that_once_said_something_new(tmp_path: Path) -> None:
    path, everything = tmp_path / "m.nir", set()
    for data in corpus():
        path.write_bytes(data)
        everything |= said(path)
    assert len(everything) > 300


def test_seeds_are_valid_and_their_changes_end_in_findings(tmp_path: Path) -> None:
    path, dice, pool = tmp_path / "m.nir", np.random.default_rng(0), list(seeds())
    for data in pool:
        path.write_bytes(data)
        assert "Linear ['padding', 'weight', 'x']" in said(path)
    refused = 0
    for _ in range(150):
        path.write_bytes(spoilt(dice, pool))
        refused += any(each.startswith("F") for each in said(path))
    assert 50 < refused < 150


def test_the_checksum_is_that_of_the_library(tmp_path: Path) -> None:
    """Else HDF5 would refuse every spoilt header for its checksum alone."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["a"] = 1.0
    data = bytearray(path.read_bytes())
    assert lookup3(bytes(data[:44])).to_bytes(4, "little") == data[44:48]
    same = bytearray(data)
    repair(same)
    assert same == data
