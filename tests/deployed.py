"""A bundle's deploy.py in this interpreter."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def loaded(directory: Path) -> Any:
    """deploy.py as a module."""
    spec = importlib.util.spec_from_file_location("deploy_under_test", directory / "deploy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
