"""What is in the folders is in the wheel: an editable install would hide what pyproject.toml
forgets.
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {
    "nirc": ROOT / "nirc",
    "nirc.passes": ROOT / "passes",
    "nirc.backends": ROOT / "backends",
}


def packages() -> dict[str, Path]:
    found = {}
    for name, folder in FOLDERS.items():
        for init in folder.rglob("__init__.py"):
            inner = init.parent.relative_to(folder).parts
            found[".".join((name, *inner))] = init.parent
    return found


def test_every_template_schema_and_page_is_listed() -> None:
    data = SETUPTOOLS["package-data"]
    for name, folder in packages().items():
        for file in folder.rglob("*"):
            inside = file.relative_to(folder).as_posix()
            owner = max(
                (p for p in packages().values() if file.is_relative_to(p)),
                key=lambda p: len(p.parts),
            )
            if file.is_file() and owner == folder and file.suffix in (".j2", ".json", ".md"):
                assert any(fnmatch(inside, pattern) for pattern in data.get(name, ())), (
                    f"{name}: {inside}"
                )
