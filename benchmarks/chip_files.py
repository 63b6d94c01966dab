"""Digests of the chips' files from the published networks, read by NIR's letter, against another
checkout of nirc.

    python benchmarks/chip_files.py --against DIR

``DIR`` is a checkout with its own ``.venv``. Prints "N of M digests differ" and each that does.
Reports are left out: their words may change. Status 1 if any differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import hashlib, json, sys
from pathlib import Path
from nirc.api import Options, compile_model
from nirc.diagnostics.log import Log
from nirc.diagnostics.errors import NircError
letter = {"writer": "nir"} if "writer" in Options.__dataclass_fields__ else {}
found = {}
for name in sys.argv[1].split(","):
    for reset in ("model", "subtract"):
        for chip in ("xylo", "speck", "loihi2", "spinnaker2"):
            key = f"{Path(name).stem} {reset} {chip}"
            dt_s = 1e-4 if "lif_norse" in name else None  # the file does not tell it
            try:
                options = Options(dt_s=dt_s, reset=reset, **letter)
                files = compile_model(name, chip, options, log=Log()).bundle.files
                for file, data in files.items():
                    if file not in ("report.json", "report.html", "deploy.py"):
                        found[f"{key} {file}"] = hashlib.sha256(data).hexdigest()[:12]
            except NircError as error:
                found[key] = "refused: " + ",".join(sorted({d.code for d in error.diagnostics}))
print(json.dumps(found))
"""


def digests(checkout: Path) -> dict[str, str]:
    """Of every chip file, by model, reset, chip and name."""
    data = ROOT / "tests" / "data"
    models = [*sorted((data / "zoo").glob("*.nir")), *sorted((data / "paper").glob("*.nir"))]
    python = checkout / ".venv" / "bin" / "python"
    command = [
        str(python if python.exists() else sys.executable),
        "-c",
        CHILD,
        ",".join(map(str, models)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--against", metavar="DIR", type=Path, required=True, help="another checkout"
    )
    here, there = digests(ROOT), digests(parser.parse_args().against.resolve())
    differ = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    print(f"{len(differ)} of {len(here.keys() | there.keys())} digests differ")
    for key in differ:
        print(f"  {key}: {there.get(key)} -> {here.get(key)}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
