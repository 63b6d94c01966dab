"""Megabytes that the bare install and each extra put into a fresh environment.

python benchmarks/install_size.py [EXTRA ...]     default: all
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("bare", "nir", "record", "torch", "neurobench", "events", "distributed", "docs")
MB = 1 << 20


def size(site: Path) -> int:
    """Bytes of all files below ``site``."""
    return sum(file.stat().st_size for file in site.rglob("*") if file.is_file())


def measured(extra: str, work: Path) -> float:
    """MB that pip adds to an empty environment."""
    venv = work / extra
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    site = next(venv.glob("lib/python3*/site-packages"))
    before = size(site)
    wanted = str(ROOT) if extra == "bare" else f"{ROOT}[{extra}]"
    subprocess.run([venv / "bin/pip", "install", "-q", wanted], check=True)
    return (size(site) - before) / MB


def main() -> None:
    asked = sys.argv[1:] or list(EXTRAS)
    with tempfile.TemporaryDirectory() as folder:
        bare = measured("bare", Path(folder))
        print(f"bare {bare:.0f} MB")
        for extra in asked:
            if extra != "bare":
                print(f"{extra} +{measured(extra, Path(folder)) - bare:.0f} MB")


if __name__ == "__main__":
    main()
