"""Time and memory of every stage of ``nirc -v`` against size, and how much of a command they cover.

    python benchmarks/profile_stages.py [NAME ...] [--json]

NAME: a network of ``NETWORKS``. Each is written, then compiled by the command line in a process of
its own. The rows with a stage are those of the plot (docs/pictures/scale.svg).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

SCALE = Path(__file__).with_name("scale.py")
NIRC = [sys.executable, "-c", "from nirc.cli.main import main; main()"]
# Builder of scale.py, its size, and the synapses of the network.
NETWORKS = {
    "dense 250": ("dense", 250, 250**2),
    "dense 1000": ("dense", 1000, 1000**2),
    "dense 4000": ("dense", 4000, 4000**2),
    "convolution 16": ("convolution", 16, 16**2 * 9 * (8 + 64)),
    "convolution 32": ("convolution", 32, 32**2 * 9 * (8 + 64)),
    "convolution 64": ("convolution", 64, 64**2 * 9 * (8 + 64)),
    "convolution 128": ("convolution", 128, 128**2 * 9 * (8 + 64)),
}
TARGETS = ("loihi2", "spinnaker2")
GOAL = 0.9  # of the CPU time of the process
LARGE = 1_000_000  # synapses. Below, the end of Python takes the rest
ENDS = ("start", "finish", "digests")


def compiled(model: Path, target: str) -> tuple[list[dict[str, float]], float]:
    """Return the stages, and the CPU seconds of the whole process."""
    out = model.with_suffix(f".{target}")
    options = ["--target", target, "--dt", "1e-3", "-o", str(out), "-v", "--format", "json"]
    before = os.times()
    done = subprocess.run([*NIRC, str(model), *options], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False)  # fmt: skip
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    return json.loads(done.stdout).get("profile", []), seconds


def rows(names: list[str]) -> Iterator[Row]:
    """Yield the share that stages cover and the longest stage, and the plot's rows."""
    for name in names or NETWORKS:
        kind, side, synapses = NETWORKS[name]
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.nir"
            command = [sys.executable, str(SCALE), "--write", kind, str(side), str(model)]
            subprocess.run(command, check=True)
            for target in TARGETS:
                stages, seconds = compiled(model, target)
                if not stages:
                    yield Row(f"{name} on {target}", None, "", note="no profile")
                    continue
                covered = sum(stage["cpu_seconds"] for stage in stages)
                longest = max(stages, key=lambda stage: stage["cpu_seconds"])
                note = f"of {seconds:.2g} CPU s; the longest is {longest['name']}"
                note += f" with {longest['cpu_seconds']:.2g} s"
                what = f"{name} on {target}: share that the stages cover"
                goal = GOAL if synapses >= LARGE else None
                yield Row(what, covered / seconds, "", goal=goal, most=False, note=note)
                for stage in stages:
                    if stage["name"] in ENDS:
                        continue
                    yield Row(
                        f"{name} on {target}",
                        stage["cpu_seconds"],
                        "CPU s",
                        stage=f"{target} {kind}: {stage['name']}",
                        size=synapses,
                        memory_gb=stage["peak_mb"] / 1e3,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show(rows(given.names), as_json=given.json)


if __name__ == "__main__":
    main()
