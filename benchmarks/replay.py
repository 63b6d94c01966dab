"""Did a change alter any result? Digests of the program after every pass and of every bundle, here
and in a revision.

    python benchmarks/replay.py [REVISION]     default: HEAD

Models: tests/data. Prints "0 of N digests changed" or the first that did, for each model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Runs in either tree; prints {"model pass": digest}.
PROBE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import importlib.util
# The folders beside nirc, for a tree that is not installed.
for name in ("passes", "backends"):
    import nirc
    folder = Path(sys.argv[1]) / name
    spec = importlib.util.spec_from_file_location(
        "nirc." + name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["nirc." + name] = module
    spec.loader.exec_module(module)
    setattr(nirc, name, module)
from nirc.api import Options, compile_model
from nirc.files.bundle import sha256
from nirc.diagnostics.errors import NircError
from nirc.ir.text import digest
found = {}
for model in sorted(Path(sys.argv[2]).rglob("*.nir")):
    def observe(step):
        if getattr(step, "program", None) is not None:
            found[f"{model.name} {step.name}"] = digest(step.program)
    try:
        made = compile_model(model, "xylo", Options(dt_s=1e-4), observe=observe)
        found |= {f"{model.name} {name}": sha256(data) for name, data in made.bundle.files.items()}
    except NircError as refusal:
        codes = {d.code for d in refusal.diagnostics if d.severity == "error"}
        found[f"{model.name} refused"] = " ".join(sorted(codes))
print(json.dumps(found))
"""


def digests(tree: Path) -> dict[str, str]:
    command = [sys.executable, "-c", PROBE, str(tree), str(ROOT / "tests/data")]
    found: dict[str, str] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", nargs="?", default="HEAD")
    revision = parser.parse_args().revision
    with tempfile.TemporaryDirectory() as directory:
        archive = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", directory], input=archive, check=True)
        there, here = digests(Path(directory)), digests(ROOT)
    changed = [key for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
    for key in changed:
        print(f"{key}: {there.get(key, '-')[:12]} -> {here.get(key, '-')[:12]}")
    print(f"{len(changed)} of {len(there.keys() | here.keys())} digests changed since {revision}")


if __name__ == "__main__":
    main()
