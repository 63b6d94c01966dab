"""Did a change alter any result? Digests of the program after every pass and of every file of a
bundle, on all chips, here and in a revision.

    python benchmarks/replay.py [REVISION] [--target NAME ...] [--calibrated]     default: HEAD

Models: tests/data. Prints each digest that changed, then how many of all. ``--calibrated``:
instead, the networks of tests/data/zoo with their data, calibrated, which takes minutes. The
revision is unpacked, and its C code is compiled there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGETS = ("loihi2", "spinnaker2", "speck", "xylo")
# Runs in either tree; prints {"target model pass": digest}.
PROBE = """
import json, sys, warnings
from pathlib import Path
root, data, calibrated, *targets = sys.argv[1:]
sys.path.insert(0, root)
import importlib.util
# The folders beside nirc, for a tree that is not installed.
for name in ("passes", "backends"):
    import nirc
    folder = Path(root) / name
    spec = importlib.util.spec_from_file_location(
        "nirc." + name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["nirc." + name] = module
    spec.loader.exec_module(module)
    setattr(nirc, name, module)
assert nirc.__file__.startswith(root), nirc.__file__
import numpy as np
from nirc.api import Options, compile_model
from nirc.files.manifest import sha256
from nirc.diagnostics.errors import NircError
from nirc.ir.text import digest
CHANGING = ("manifest.json", "report.json", "report.html")  # they hold the version
def inputs_of(model):
    with np.load(model.with_suffix(".npz")) as file:
        inputs = file["inputs"]
        return inputs.reshape(*inputs.shape[:2], -1)[:48], float(file["dt"])
found = {}
for model in sorted(Path(data).rglob("*.nir")):
    inputs, dt_s = inputs_of(model) if calibrated == "yes" else (None, 1e-4)
    for target in targets:
        key = f"{target} {model.parent.name}/{model.name}"
        def observe(step):
            if getattr(step, "program", None) is not None:
                found[f"{key} {step.name}"] = digest(step.program)
        try:
            made = compile_model(
                model, target, Options(dt_s=dt_s), observe=observe, calibration=inputs)
        except NircError as refusal:
            codes = {d.code for d in refusal.diagnostics if d.severity == "error"}
            found[f"{key} refused"] = " ".join(sorted(codes))
            continue
        files = {n: d for n, d in made.bundle.files.items() if n not in CHANGING}
        found |= {f"{key} {name}": sha256(content) for name, content in files.items()}
print(json.dumps(found))
"""


def digests(tree: Path, targets: list[str], *, calibrated: bool) -> dict[str, str]:
    data = ROOT / "tests/data" / ("zoo" if calibrated else "")
    arguments = [str(tree), str(data), "yes" if calibrated else "no", *targets]
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def unpacked(revision: str, folder: Path) -> None:
    """Write the files of ``revision`` to ``folder``, and compile its C code."""
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--target", action="append", help="default: all four chips")
    parser.add_argument("--calibrated", action="store_true")
    given = parser.parse_args()
    revision, targets = given.revision, given.target or [*TARGETS]
    with tempfile.TemporaryDirectory() as directory:
        unpacked(revision, Path(directory))
        trees = (Path(directory), ROOT)
        there, here = (digests(t, targets, calibrated=given.calibrated) for t in trees)
    changed = [key for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
    for key in changed:
        print(f"{key}: {there.get(key, '-')[:12]} -> {here.get(key, '-')[:12]}")
    print(f"{len(changed)} of {len(there.keys() | here.keys())} digests changed since {revision}")


if __name__ == "__main__":
    main()
