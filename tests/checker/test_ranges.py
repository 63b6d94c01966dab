"""The checker's ranges are those of the chips' own descriptions, though it shares none of them."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

from nirc.backends.loihi2.tables import network_file as loihi2_file
from nirc.backends.speck.config import config_file as speck_file
from nirc.backends.spinnaker2.tables import Model
from nirc.backends.spinnaker2.tables import network_file as spinnaker2_file
from nirc.backends.xylo.config import config_file as xylo_file
from nirc.certificate.certificate import CHECKED, reader_of
from nirc.checker import speck, spinnaker2
from nirc.checker.compare import check
from nirc.checker.values import Finding, fit
from nirc.chip.registry import resolve
from nirc.files.description import File
from nirc.files.faults import Faults
from nirc.files.kinds import Array, Integer, Integers, Kind, Many, Map, Maybe, Object, Switch
from tests.corrupt import Files, bundles, sealed
from tests.deployed import packed

PARTS = 6  # of the fields of a chip
Path = tuple[Any, ...]
Range = tuple[float, float]
Ranged = (Integer, Integers, Array)


# Fields of which the checker knows more: the one value that they have, or a narrower range.
OTHER: dict[str, dict[str, set[Any]]] = {
    "loihi2": {
        "projections.num_weight_bits": {8},
        "projections.weights": {(-256, 255)},  # of the types of all signs together
        "projections.delays": {(1, 63)},  # none are no array
    },
    "spinnaker2": {"inputs.atoms": {(1, 40)}},  # there are no more neurons
    "speck": {
        "dvs_layer.cut.x": {79},
        "dvs_layer.cut.y": {79},
        "dvs_layer.destinations.feature_shift": {0},
        "dvs_layer.origin.x": {48},
        "dvs_layer.origin.y": {48},
    },
    "xylo": {
        "hidden.neurons.alias_target": {(0, 279)},  # there are no more neurons
        "time_resolution_wrap": {5000},
    },
}


def test_the_models_of_spinnaker2_are_those_that_the_compiler_uses() -> None:
    assert set(spinnaker2.SPIN_MODELS) == {*get_args(Model)}


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("threshold_high", 1, 32767), ("threshold_low", -32768, -1)],
)
def test_thresholds_of_speck_are_words_of_16_bits(field: str, low: int, high: int) -> None:
    pattern = speck.SPECK_USED[field]
    assert [fit("f", value, pattern) for value in (low, high)] == [low, high]
    for value in (low - 1, high + 1, float(low), True):
        with pytest.raises(Finding):
            fit("f", value, pattern)


@pytest.mark.parametrize(
    ("field", "low", "high", "axes"),
    [
        ("weights", -128, 127, 4),
        ("biases", -32768, 32767, 1),
        ("neurons_initial_value", -32768, 32767, 3),
    ],
)
def test_numbers_of_a_core_of_speck_have_their_words(
    field: str, low: int, high: int, axes: int
) -> None:
    pattern = speck.SPECK_USED[field]
    shape = (1,) * (axes - 1)
    for value in (low, high):
        assert fit("f", np.full((*shape, 2), value).tolist(), pattern).shape == (*shape, 2)
    for wrong in (np.full((*shape, 1), low - 1), np.full((*shape, 1), high + 1), np.ones(1)[0]):
        with pytest.raises(Finding):
            fit("f", wrong.tolist(), pattern)


def described(chip: str, files: Files) -> File:
    """Return the chip's own description of the file that has its network."""
    if chip == "loihi2":
        return loihi2_file()
    if chip == "spinnaker2":
        return spinnaker2_file()
    _, (target, *_) = resolve(json.loads(files["manifest.json"])["target"])
    return xylo_file(target) if chip == "xylo" else speck_file(target)


def ranges(kind: Kind | None, tree: Any, path: Path = ()) -> Iterator[tuple[Path, Range]]:
    """Yield the path of each value that has a range, and the range."""
    if isinstance(kind, Maybe) and tree is not None:
        yield from ranges(kind.kind, tree, path)
    elif isinstance(kind, Switch):
        yield from ranges(kind.case(tree), tree, path)
    elif isinstance(kind, Object):
        for name in [name for name in kind.fields if name in tree]:
            yield from ranges(kind.fields[name], tree[name], (*path, name))
    elif isinstance(kind, Many | Map):
        for key in range(len(tree)) if isinstance(kind, Many) else tree:
            yield from ranges(kind.item, tree[key], (*path, key))
    elif isinstance(kind, Ranged) and np.size(tree) and not getattr(kind, "only", ()):
        yield (*path, *[0] * np.ndim(tree)), (kind.low, kind.high)


def changed(tree: Any, path: Path, value: float) -> Any:
    """Return a copy of a tree with another value."""
    tree = copy.deepcopy(tree)
    above = tree
    while isinstance(above, dict | list) and len(path) > 1:
        above, path = above[path[0]], path[1:]
    above[path if isinstance(above, np.ndarray) else path[0]] = value
    return tree


def out_of_range(chip: str, part: int) -> Iterator[tuple[str, Range, Files]]:
    """Yield the fields of the network's file, their ranges, and a bundle with a value outside.

    ``part``: of ``PARTS``, so that a test is quick enough to judge each mutant of the checker.
    """
    seen = set()
    numbers: dict[str, int] = {}  # of the fields
    for _, files in reversed(bundles(chip)):
        file = described(chip, files)
        tree = file.parse(files[file.name], Faults())
        for path, (low, high) in ranges(file.root, tree):
            field = ".".join(key for key in path if isinstance(key, str))
            if (field, low, high) in seen:
                continue
            seen.add((field, low, high))
            if numbers.setdefault(field, len(numbers)) % PARTS != part:
                continue
            for value in (high + 1, low - 1) if high < 1e38 else (np.inf, -np.inf):
                try:
                    data = packed(changed(tree, path, value))
                except OverflowError:  # the type of an array has no such number
                    continue
                yield field, (low, high), sealed({**files, file.name: data})


def expected(chip: str, files: Files) -> Any:
    """Return what the checker's last finding expects, if it could not read on."""
    (*_, last) = [None, *check(files.__getitem__, reader_of(chip))]
    if last is None or last.kind != "unreadable" or not last.wanted:
        return None
    return ast.literal_eval(last.wanted) if last.wanted[0] in "(0123456789" else last.wanted


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("chip", CHECKED)
def test_a_number_outside_its_range_is_refused_with_the_range(chip: str, part: int) -> None:
    """Also where the network that the number stands for would be found to be another."""
    other: dict[str, set[Any]] = {}
    tried = list(out_of_range(chip, part))
    for field, wanted, files in tried:
        found = expected(chip, files)
        if not (isinstance(found, tuple) and found[:2] == pytest.approx(wanted, rel=1e-6)):
            other.setdefault(field, set()).add(found)
    assert len(tried) > 20 / PARTS
    fields = {field for field, _, _ in tried}
    assert other == {field: found for field, found in OTHER[chip].items() if field in fields}
