"""What all tests share: the models in ``data``, and random tests that are the same for everybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("nirc", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("nirc")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published and trained models."""
    return Path(__file__).parent / "data"
