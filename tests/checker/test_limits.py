"""The checker counts what a bundle takes of a chip, and its limits are those of the targets."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck.limits import CORES
from nirc.certificate.certificate import CHECKED, reader_of
from nirc.checker import loihi2, speck, spinnaker2, xylo
from nirc.checker.bundle import Bundle
from nirc.checker.compare import check
from nirc.chip.registry import backends
from tests.corrupt import NETWORKS, Files, bundles

TARGETS = {t.name: t for chip in CHECKED for t in backends()[chip].targets}


def test_limits_of_xylo_are_those_of_its_variants() -> None:
    names = ("hidden neurons", "output neurons", "fan-out of one neuron", "recurrent entries")
    for variant, (*limits, window, part) in xylo.XYLO.items():
        target = TARGETS[f"xylo:{variant}"]
        assert limits == [target.max(name) for name in names]
        assert window == target.max("neurons that inputs reach")
        assert window == target.max("neurons that outputs leave from")
        assert part == target.part
        assert target.max("input channels") == xylo.XYLO_CHANNELS
        assert target.max("clock") == xylo.XYLO_CLOCK


def test_limits_of_loihi_2_are_those_of_its_systems() -> None:
    for system, cores in loihi2.LOIHI2_SYSTEMS.items():
        target = TARGETS[f"loihi2:{system}"]
        assert cores == target.max("cores")
        for name, limit in loihi2.LOIHI2_LIMITS.items():
            assert limit == target.max(f"{name} of a core")


def test_limits_of_speck_are_those_of_its_cores() -> None:
    assert [core.kernel for core in CORES] == [k << 10 for k in speck.SPECK_WORDS["kernel"]]
    assert [core.neuron for core in CORES] == [n << 10 for n in speck.SPECK_WORDS["neuron"]]


def test_limits_of_spinnaker2_are_those_of_its_pes() -> None:
    target = TARGETS["spinnaker2:chip"]
    names = ("neurons of a processing element", "pixels of a convolution on one")
    assert [target.max(name) for name in names] == [*spinnaker2.SPIN_ATOMS]
    assert target.max("processing elements") == spinnaker2.SPIN_PES
    assert target.max("routing entries of a chip") == spinnaker2.SPIN_ENTRIES
    assert target.max("memory of a processing element") == spinnaker2.SPIN_PRICES["dyn_bytes"]
    most = {"no_delay": (target.max("weight"), 0), "conv2d": (target.max("weight"), 0)}
    slow = (target.max("weight with delays"), target.max("delay"))
    for model, found in spinnaker2.SPIN_MODELS.items():
        end = model.rpartition("lif_")[2].replace("curr_exp_", "")
        assert found == ((0, 0) if model == "spike_list" else most.get(end, slow))


def files_of(chip: str, name: str) -> Files:
    """Return a good bundle."""
    (files,) = [files for title, files in bundles(chip) if title == name]
    return files


def counted(chip: str, files: Files) -> dict[str, int]:
    """Return the counts of a bundle that exceed their limits, by place."""
    found = [each for each in check(files.__getitem__, reader_of(chip)) if each.kind == "limit"]
    assert all(each.problem == "there are too many" for each in found)
    return {each.place: int(each.found) for each in found}


def test_what_a_network_takes_of_xylo_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is met is kept, a limit of one less is not."""
    files = files_of("xylo", "japanesevowels_rsnn on xylo:audio3")
    config = json.loads(files["config.json"])
    hidden, outputs = config["hidden"], config["readout"]["neurons"]
    fan = [sum(1 for weight in row if weight) for row in hidden["weights"]]
    assert not np.any(hidden["syn2_weights"])
    counts = {
        "hidden neurons": len(hidden["neurons"]),
        "output neurons": len(outputs),
        "targets": max(fan),
        "recurrent entries": sum(fan),
        "input channels": len(config["input"]["weights"]),
    }
    *_, window, part = xylo.XYLO["audio3"]
    for less in (0, 1):
        *limits, channels = [n - less for n in counts.values()]
        monkeypatch.setattr(xylo, "XYLO_CHANNELS", channels)
        monkeypatch.setitem(xylo.XYLO, "audio3", (*limits, window, part))
        assert counted("xylo", files) == (counts if less else {})


def test_what_a_network_takes_of_speck_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of kernels and neurons take a power of two along each axis."""
    files = files_of("speck", "camera on speck")
    assert counted("speck", files) == {}
    monkeypatch.setattr(speck, "SPECK_WORDS", dict.fromkeys(("kernel", "neuron"), (-1,) * 9))
    found = counted("speck", files)
    words = {place.partition("] ")[2]: n for place, n in found.items()}
    assert words == {"kernel words": 2 * 4 * 16, "neuron words": 4 * 16 * 16}


@pytest.mark.parametrize(
    ("chip", "name", "count"),
    [
        ("loihi2", "wide on loihi2", 1 + len(loihi2.LOIHI2_LIMITS)),
        ("spinnaker2", "readout on spinnaker2", 67),  # two PEs, those of a chip, 64 routers
    ],
)
def test_every_count_is_compared_with_its_limit(
    chip: str, name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(chip, name)
    most, limits, less = Bundle.most, list[int](), 0

    def met(bundle: Bundle, file: str, what: str, numbers: Any, limit: int) -> None:
        for i, number in enumerate(np.ravel(numbers).tolist()):
            limits.append(limit)
            most(bundle, file, what.format(i), number, number - less)

    monkeypatch.setattr(Bundle, "most", met)
    assert counted(chip, files) == {} and len(limits) == count
    assert chip != "loihi2" or limits[1:] == [*loihi2.LOIHI2_LIMITS.values()]
    less = 1
    assert len(counted(chip, files)) == count


@pytest.mark.parametrize("name", [name for name, _, _ in NETWORKS["loihi2"]])
def test_the_checker_counts_what_the_compiler_counts_of_loihi_2(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler's counts stand in floorplan.json, which the checker does not read."""
    counts, cores = counts_of("loihi2", name, monkeypatch)
    wanted = {}
    for i, core in enumerate(cores):
        wanted |= {what.replace("a core", f"core {i}"): n for what, n in core["usage"].items()}
    assert {place: counts[place] for place in wanted} == wanted and wanted


@pytest.mark.parametrize("name", [name for name, _, _ in NETWORKS["spinnaker2"]])
def test_the_checker_counts_what_the_compiler_counts_of_spinnaker2(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, cores = counts_of("spinnaker2", name, monkeypatch)
    memory = [number for place, number in counts.items() if place.endswith("bytes")]
    assert sorted(memory) == sorted(core["usage"]["memory"] for core in cores)
    chips = Counter(core["chip"] for core in cores)
    assert {f"PEs of chip {chip}": n for chip, n in chips.items()}.items() <= counts.items()


def counts_of(chip: str, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, int], Any]:
    """Return what the checker counts, by place, and the cores of floorplan.json."""
    (files,) = [files for title, files in bundles(chip) if title.startswith(f"{name} on ")]
    counts: dict[str, int] = {}

    def kept(bundle: Bundle, file: str, what: str, numbers: Any, limit: int) -> None:
        counts.update({what.format(i): n for i, n in enumerate(np.ravel(numbers).tolist())})

    monkeypatch.setattr(Bundle, "most", kept)
    assert all(each.kind == "overflow" for each in check(files.__getitem__, reader_of(chip)))
    return counts, json.loads(files["floorplan.json"])["floorplan"]["cores"]
