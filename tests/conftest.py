"""What all tests share: the models in ``data``, and random tests that are the same for
everybody.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.codes import record
from tests.places import demand

settings.register_profile("nirc", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("nirc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--codes", type=Path, help="a file for the codes of diagnostics produced")


def pytest_configure(config: pytest.Config) -> None:
    """Watch what is said about models: see ``tests/places.py`` and ``tests/codes.py``.

    With several workers, an idle worker takes tests of a busy one.
    """
    if config.getoption("dist", "no") == "load":
        config.option.dist = "worksteal"
    demand()
    if (path := config.getoption("--codes")) is not None:
        record(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker ends with one while the others wait."""
    items.sort(key=lambda item: item.path.name != "test_how_to.py")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published and trained models."""
    return Path(__file__).parent / "data"


@pytest.fixture
def small_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds and samples: for tests of what a calibration keeps and says, not of how near it
    comes.
    """
    from nirc.calibration import calibrate, distil, gains
    from nirc.calibration.samples import Counts

    monkeypatch.setattr(distil, "ROUNDS", 30)
    monkeypatch.setattr(gains, "GENERATIONS", 6)
    monkeypatch.setattr(calibrate, "GENERATED", Counts(mixed=8, random=8, clear=8))
