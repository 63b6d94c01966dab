"""The range of a field says where it comes from, so that a refusal can name the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from docs.make_reference import described
from nirc.files.kinds import Array, Integer, Kind
from nirc.files.members import MAX_POINTER


def inside(value: object, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield all kinds in a description, with their places."""
    if isinstance(value, Kind):
        yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from inside(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from inside(inner, path)
    elif is_dataclass(value):
        for each in fields(value):
            yield from inside(getattr(value, each.name), path)


@pytest.mark.parametrize("title", ["network.npz of Loihi 2", "network.npz of SpiNNaker2"])
def test_every_range_of_an_archive_has_a_source(title: str) -> None:
    """Numbers that point into a list have none, the list says how far they may go."""
    (file,) = described()[title]
    ranges = [(path, kind) for path, kind in inside(file.root) if hasattr(kind, "low")]
    assert len(ranges) > 20
    for path, kind in ranges:
        points = kind.points if isinstance(kind, Array) else kind.high == MAX_POINTER
        assert bool(kind.source) != points, path


@pytest.mark.parametrize(
    "title", [t for t in described() if t not in ("manifest.json", "a run record")]
)
def test_a_file_of_a_chip_has_a_source_and_a_finding(title: str) -> None:
    for file in described()[title]:
        assert file.source
        assert file.finding is not None
        for _, kind in inside(file.root):
            if isinstance(kind, Integer):
                assert kind.low <= min(kind.only, default=kind.low)
                assert max(kind.only, default=kind.high) <= kind.high
