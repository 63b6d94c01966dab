"""The rooms whose code gets faults, with the tests that must notice them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from tests.corrupt import NETWORKS, bundles
from tests.mutants.mutant import ROOT


@dataclass(frozen=True)
class Room:
    """Files of code, and the tests that judge them.

    ``plain``: the room has loops that run in C. They run as Python, which has the faults.
    ``ready``: called once, before a mutant is put.
    ``imported``: tests of code that runs at import only, as that of limits. ``seconds``: CPU of the
    tests of a mutant, of the quickest that run its line.
    """

    files: tuple[str, ...]  # patterns
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()  # patterns
    plain: bool = False
    ready: Callable[[], object] | None = None
    imported: tuple[str, ...] = ()
    seconds: float = 6.0

    def paths(self) -> list[str]:
        """Return the files, sorted."""
        found = [
            str(path.relative_to(ROOT)) for pattern in self.files for path in ROOT.glob(pattern)
        ]
        return sorted(f for f in found if not any(fnmatch.fnmatch(f, w) for w in self.without))


PAGES = "tests/diagnostics/test_explain.py::test_the_reference_is_up_to_date"
EXPECTED = "tests/expected/test_expected.py"
SOURCES = "tests/files/test_sources.py"
# training.py is for torch, and tests/torch judges it.
OTHER = ("*/findings.py", "*/__init__.py", "*/emit.py", "*/calibrate.py", "*/training.py")


def _chip(name: str, *tests: str) -> Room:
    names = tuple(f"tests/{name}/test_{test}.py" for test in tests)
    names += ("tests/verification/test_what_if.py",)  # approximations.py
    names += ("tests/files/test_sources.py", "tests/test_limits.py", EXPECTED)
    names += ("tests/deploy/test_check.py::test_each_known_corruption_is_found_at_its_place",)
    names += ("tests/deploy/test_check.py::test_a_change_of_any_field_is_found",)
    names += ("tests/verification/test_laws.py::test_law_of_an_installed_backend",)
    return Room((f"backends/{name}/*.py",), (*names, PAGES), OTHER, imported=(SOURCES, PAGES))


# What the test of the mutator tries: files that a single quick test file judges.
SAMPLE = Room(
    ("nirc/mapping/tables/minimise.py", "nirc/rounding/rule.py", "nirc/analysis/time_step.py"),
    (
        "tests/mapping/tables/test_small.py",
        "tests/rounding/test_rule.py",
        "tests/analysis/test_time_step.py",
    ),
    plain=True,
)


def _bundles() -> None:
    """Compile what the checker is tried on."""
    for chip in NETWORKS:
        bundles(chip)


ROOMS = {
    "checker": Room(("nirc/checker/*.py",), ("tests/checker",), ready=_bundles, seconds=12.0),
    "semantics": Room(("nirc/semantics/*.py",), ("tests/semantics",)),
    "rounding": Room(("nirc/rounding/*.py",), ("tests/rounding",)),
    "passes": Room(
        ("passes/*.py", "nirc/analysis/time_step.py"),
        (
            "tests/passes",
            EXPECTED,
            "tests/analysis/test_time_step.py",
            "tests/test_outline.py",
            "tests/loihi2/test_legalise.py",
            "tests/spinnaker2/test_refusals.py",
        ),
    ),
    "tables": Room(("nirc/mapping/tables/*.py",), ("tests/mapping/tables",), plain=True),
    "xylo": _chip(
        "xylo",
        "approximations",
        "beginning",
        "compile",
        "differences",
        "emit",
        "emulate",
        "estimate",
        "fit",
        "legal",
        "neuron",
        "place",
        "plan",
        "quantise",
        "traits",
    ),
    "speck": _chip(
        "speck",
        "convolve",
        "conflict",
        "assemble",
        "fit",
        "fitted",
        "layer",
        "approximations",
        "emit",
        "compile",
        "config",
        "emulate",
        "events",
        "legalise",
        "neuron",
        "place",
        "quantise",
        "traits",
    ),
    "loihi2": _chip(
        "loihi2",
        "checks",
        "choices",
        "compile",
        "cores",
        "differences",
        "emulate",
        "fit",
        "fit_parts",
        "legal_parts",
        "legalise",
        "lower",
        "netx",
        "neuron",
        "orders",
        "parts",
        "places",
        "plan",
        "quantise",
        "regrouped",
        "rule",
        "slayer",
        "soft_reset",
        "stories",
    ),
    "spinnaker2": _chip(
        "spinnaker2",
        "approximations",
        "checks",
        "drives",
        "quantised",
        "order",
        "order_counts",
        "places",
        "place_counts",
        "memory",
        "assign",
        "lower",
        "estimate",
        "fit",
        "mapping",
        "meaning",
        "golden",
        "random",
        "neuron",
        "refusals",
        "scales",
        "slices",
        "spike_sources",
        "system",
        "tables",
    ),
}
